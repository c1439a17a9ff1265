//! What the supervisor and a subordinate decide. Pure: no socket, thread, lock, clock or randomness lives here; time and
//! chance are arguments, tables are ordered, and what is to be done comes out as values. So the whole of it can be
//! replayed, fuzzed and simulated.
//!
//! Reading order: [`session`] (the member half that every instance has), [`submission`] (what a member brings to a new
//! supervisor), [`handshakes`] (how long it may take over that), [`window`] (what a new supervisor waits for, and how it judges what was brought), [`registry`] (who is
//! there), [`numbers`] (its epoch and its tokens), [`supervisor`] (the machine that ties them together), [`grants`] (who
//! holds what), [`barriers`] (who waits for whom), [`state`] (the values that everybody has a copy of), [`election`] (how
//! one instance races for the port), [`setbacks`] (how it goes on when its own reign fails).

#![allow(clippy::exhaustive_enums, reason = "hidden from users; the runtime must answer every case")]

pub mod barriers;
pub mod election;
pub mod grants;
pub mod handshakes;
pub mod numbers;
pub mod registry;
pub mod rules;
pub mod session;
pub mod setbacks;
#[cfg(test)]
mod simulation;
pub mod state;
pub mod submission;
pub mod supervisor;
pub mod window;
