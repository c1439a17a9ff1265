//! The checker of real histories.
//!
//! Processes take and release locks, write values, ask the supervisor's handler and send messages while others are
//! killed, stopped and continued; each journals what it does ([`journal`]). Afterwards the journals are put together
//! ([`history`]) and judged ([`check`]). The checker sees nothing of the library: what it says follows from what the
//! processes saw and from one clock.
//!
//! Its first duty is never to accuse wrongly, its second to miss nothing that can be proved. Where a moment lies between
//! two times that are known, each rule takes the one that speaks for the library.

#![allow(dead_code, unreachable_pub, reason = "the checker's own tests use what the storm does not, and the reverse")]

pub mod check;
mod claims;
pub mod history;
mod locks;
mod messages;
mod order;
pub mod records;
mod requests;
mod writes;

pub use crate::fleet::{chance, journal};

#[cfg(test)]
mod generate;
#[cfg(test)]
mod tests;
