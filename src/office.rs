//! Work that only the supervisor does.

use std::fmt;

use crate::ident::{Epoch, Token};
use crate::instance::Instance;

/// Shows that this instance is the supervisor, and keeps it from resigning until it is dropped.
///
/// It cannot keep the process from being stopped, or the machine from failing: work that must never be done by two at
/// once also takes a lock, or hands [`Office::token`] to whatever it writes to.
#[must_use = "the office can be handed over as soon as the guard is dropped"]
pub struct Office {
    instance: Instance,
    epoch: Epoch,
}

impl Office {
    pub(crate) fn new(instance: Instance, epoch: Epoch) -> Self {
        Self { instance, epoch }
    }

    /// A number that is higher than that of every office before it.
    pub fn token(&self) -> Token {
        Token::new(self.epoch.number())
    }

    /// Whether the reign goes on in which the office was taken. It ends without the guard being dropped if the instance
    /// leaves, or gives the office up because its state cannot be trusted any more. In a forked child it is not held: it
    /// is the parent's.
    pub fn is_held(&self) -> bool {
        let shared = self.instance.shared();
        !shared.is_forked() && shared.is_reigning(self.epoch)
    }
}

impl fmt::Debug for Office {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Office").field("instance", &self.instance.id()).field("token", &self.token()).finish()
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        // In a forked child the lock may be in the hands of a thread that does not exist there.
        if !self.instance.shared().is_forked() {
            self.instance.shared().leave_office();
        }
    }
}
