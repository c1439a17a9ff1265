//! What decodes encodes to the same bytes.

#![no_main]

use bellwether::wire::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzzing::round_trip(data));
