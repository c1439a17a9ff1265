//! What is done: sockets, threads, clocks, locks. It decides nothing; what it is to do comes from the coordinator.
//!
//! Reading order: [`driver`] (the thread that every instance has), [`shared`] (what that thread and the callers share),
//! [`follow`] and [`peer`] (being a subordinate), [`hearing`] (what becomes of what the supervisor says), [`reign`] (being
//! the supervisor), [`door`] (how it accepts), [`link`] (one connection of it), [`warden`] (who looks after those that are
//! missing), [`outbox`] (how frames reach a peer), [`office`] (who waits for it), [`heir`] (how a newer version gets it), [`rest`] (work
//! in slices),
//! [`calls`], [`grant`], [`meet`], [`write`] and [`errand`] (who waits for an answer), [`bell`] (how it is woken),
//! [`endpoint`] and [`presence`] (sockets), [`listener`] (who has the port), [`clock`].

mod bell;
pub(crate) mod callbacks;
pub(crate) mod calls;
pub(crate) mod clock;
pub(crate) mod door;
pub(crate) mod driver;
pub(crate) mod endpoint;
mod errand;
pub(crate) mod follow;
pub(crate) mod grant;
mod hearing;
mod heir;
pub(crate) mod link;
pub(crate) mod listener;
mod looks;
pub(crate) mod meet;
pub(crate) mod office;
pub(crate) mod outbox;
pub(crate) mod peer;
mod pool;
pub(crate) mod presence;
pub(crate) mod reign;
mod rest;
pub(crate) mod shared;
#[cfg(test)]
mod testing;
pub(crate) mod warden;
pub(crate) mod write;

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

/// Locks a mutex whose content stays whole even if a holder panicked: every change of it is a single assignment, or it
/// is checked elsewhere.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a named thread with a small stack.
pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.to_owned()).stack_size(STACK).spawn(body)
}

/// Enough for the deepest call in a debug build; only what is touched is resident.
const STACK: usize = 128 * 1024;
