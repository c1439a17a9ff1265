//! Every sequence of inputs leaves the grants consistent.

#![no_main]

use bellwether::coordinator::grants::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzzing::grants(data));
