//! The proof that something is held.

use std::{fmt, thread};

use crate::coordinator::session::Hold;
use crate::entry::time;
use crate::error::Error;
use crate::ident::{Request, Token};
use crate::instance::Instance;
use crate::wire::message::Abandoned;

/// Shows that this instance holds a lock or permits, and releases them when it is dropped. Dropping it sends the release
/// and does not wait for it to arrive; [`Guard::unlock`] does.
///
/// It survives the supervisor: whoever reigns next knows of it. It does not need to be dropped in the thread that got
/// it. As long as it exists the instance does not leave of its own accord.
///
/// Nothing is poisoned, but a guard that is dropped because its thread panics tells the next owner so: it finds
/// [`Abandoned::Unknown`] where it would have found [`Abandoned::Clean`]. As in `std`, not if the thread panicked already
/// when it got the guard, nor for a guard of [`RwLock::read`](super::RwLock::read).
///
/// What a lock cannot do: keep this process from being stopped and losing it meanwhile ([`Guard::is_held`],
/// [`Event::LockLost`](crate::Event::LockLost)), or keep a write that is under way from arriving late. Work that must be
/// safe even then hands [`Guard::token`] to whatever it writes to, which refuses a token lower than one it has seen.
#[must_use = "what is held is released as soon as the guard is dropped"]
pub struct Guard {
    instance: Instance,
    request: Request,
    hold: Hold,
    /// The thread panicked already: what it does on its way out is no work cut short.
    panicked: bool,
}

impl Guard {
    pub(super) fn new(instance: Instance, request: Request, hold: Hold) -> Self {
        Self { instance, request, hold, panicked: thread::panicking() }
    }

    /// The fencing token: higher than that of every grant of this name before, reigns included. (After the end of all copies
    /// of the program and a clock that was set back it is not: see [`Token`].)
    ///
    /// It may rise while the guard exists, when a change of supervisor took a lock from somebody else who was silent for
    /// too long; then ask again before the next write. After a loss it is the token of the grant again, even if it had
    /// risen; the event of the loss has the last one.
    pub fn token(&self) -> Token {
        self.held().map_or(self.hold.token, |hold| hold.token)
    }

    /// Returns what became of the owner before, so that a process that finds half of its work knows that it is half.
    ///
    /// A guard of [`RwLock::read`](super::RwLock::read) changes nothing for the next owner, however it ends: a reader that
    /// is killed, evicted or leaves has nothing half done, and a reader that releases has repaired nothing.
    pub fn abandoned(&self) -> Abandoned {
        self.hold.abandoned
    }

    /// When it was granted, by the clock of the supervisor that granted it.
    pub fn since(&self) -> std::time::SystemTime {
        time(self.hold.since)
    }

    /// Whether it is still held, as far as this instance knows. It ends before the guard is dropped if the instance was
    /// silent in an election beyond the window limit, leaves or is evicted. In a forked child it is not held: it is the parent's.
    ///
    /// Asks no other process. On Linux with the feature `native`, a process that was stopped learns of a loss within 100
    /// milliseconds of its own running time, whatever has become of the supervisor that gave it up: the kernel keeps a
    /// notice for it. There is no such notice if another user has filled the instance's sockets with datagrams, or if the supervisor
    /// could not read `/proc/net/unix`. Elsewhere a
    /// process learns of a loss only from a supervisor that answers it, and until then this can return `true` while
    /// another process holds the lock.
    pub fn is_held(&self) -> bool {
        self.held().is_some()
    }

    /// Releases it, and blocks until the supervisor has confirmed that: a `try_lock` that begins after this call has
    /// returned does not find this holder, in whatever process it is made. Takes one round trip; during an
    /// election, until the next reign is open, but at most a second.
    ///
    /// Dropping the guard releases it as well and does not wait: a message to another process, by whatever way, can
    /// overtake the release. Where only the lock itself orders what is done, drop the guard; where something else does,
    /// a pipe, a file or the end of a child, call this.
    ///
    /// # Errors
    ///
    /// - [`Error::Lost`] if it was lost before, also by leaving.
    /// - [`Error::Interrupted`] if no supervisor has confirmed the release within a second. It is given up for good all
    ///   the same, but others may find it held for as long as the supervisor does not answer.
    /// - [`Error::Forked`].
    pub fn unlock(self) -> Result<(), Error> {
        self.instance.shared().unforked()?.release_confirmed(self.request)
    }

    fn held(&self) -> Option<Hold> {
        self.instance.shared().unforked().ok()?.held(self.request)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // In a forked child the connection is the parent's, and so is what it holds.
        let Ok(shared) = self.instance.shared().unforked() else { return };
        if thread::panicking() && !self.panicked {
            shared.abandon(self.request);
        } else {
            shared.release(self.request);
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("token", &self.hold.token).field("abandoned", &self.hold.abandoned).finish()
    }
}
