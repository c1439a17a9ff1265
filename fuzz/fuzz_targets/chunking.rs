//! A stream decodes the same however it is cut.

#![no_main]

use bellwether::wire::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzzing::chunking(data));
