//! Whatever its peers say, a supervisor neither panics nor contradicts itself.

#![no_main]

use bellwether::coordinator::supervisor::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzzing::supervisor(data));
