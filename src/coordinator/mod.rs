//! What the supervisor and a subordinate decide. Pure: no socket, thread, lock, clock or randomness.

#![allow(clippy::exhaustive_enums, reason = "hidden from users; the runtime must answer every case")]

pub mod election;
pub mod grants;
