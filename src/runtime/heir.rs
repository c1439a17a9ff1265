//! Leaving the office to a newer version of the program, as soon as the application lets it go: a thread of its own waits
//! for that, in those reigns in which somebody newer comes.

use std::sync::{Arc, PoisonError};

use super::reign::{Ended, Reign};
use super::shared::{Seat, Shared};
use super::spawn;
use crate::coordinator::supervisor::Supervisor;

/// Whether somebody newer waits for the office.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    /// Nobody does.
    Nobody,
    /// Somebody does; the thread is to be started.
    Comes,
    /// The thread runs. It looks by itself who the heir is.
    Attended,
}

impl Waits {
    /// Somebody newer is to have the office.
    pub(super) fn come(&mut self) {
        if *self == Self::Nobody {
            *self = Self::Comes;
        }
    }

    /// Whether the thread is to be started now.
    pub(super) fn begin(&mut self) -> bool {
        let begins = *self == Self::Comes;
        if begins {
            *self = Self::Attended;
        }
        begins
    }
}

/// Starts the thread that hands the office over.
pub(super) fn attend(reign: &Reign) {
    let shared = reign.shared().clone();
    let Some(seated) = shared.seated().filter(|seated| std::ptr::eq(&**seated, reign)) else { return };
    if let Err(error) = spawn("bw-heir", move || hand_over(&shared, &seated)) {
        reign.core().heir_waits = Waits::Nobody;
        log::warn!("cannot start a thread, so the office stays where it is: {error}");
    }
}

/// Waits until the office can be handed over, and does it; or until there is nothing to hand over, or nobody to whom.
fn hand_over(shared: &Shared, reign: &Arc<Reign>) {
    while let Some(waited) = shared.wait_for_no_office(reign) {
        if waited {
            // Whoever answers comes here again, with a thread of its own.
            return reign.ask_heirs_again();
        }
        let mut core = reign.core();
        if core.ended.is_some() {
            return;
        }
        let Some(heir) = core.machine.heir() else {
            // Under the same lock under which the next one comes.
            core.heir_waits = Waits::Nobody;
            return;
        };
        // From here on no guard is given out; one that was meanwhile goes first.
        if shared.begin_resigning() {
            drop(core);
            reign.stop(Ended::Resigned, Reign::DRAIN);
            return log::debug!("the office is left to {heir}, which is newer");
        }
    }
}

impl Reign {
    fn ask_heirs_again(&self) {
        let asked = self.decide(Supervisor::ask_heirs_again, |core| core.heir_waits = Waits::Nobody);
        if let Some((touched, ())) = asked {
            self.flush(touched);
        }
    }
}

impl Shared {
    /// The own reign, if this instance has the office.
    fn seated(&self) -> Option<Arc<Reign>> {
        match &self.state().seat {
            Seat::Supervisor(reign) => Some(reign.clone()),
            _ => None,
        }
    }

    /// Waits until no office guard is left, and says whether there was one; `None` if this reign has ended first.
    fn wait_for_no_office(&self, reign: &Arc<Reign>) -> Option<bool> {
        let mut state = self.state();
        let waits = state.offices > 0;
        loop {
            let reigns = matches!(&state.seat, Seat::Supervisor(seated) if Arc::ptr_eq(seated, reign));
            if !reigns || state.leaving || state.resigning {
                return None;
            }
            if state.offices == 0 {
                return Some(waits);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets no office guard be taken from here on, unless there is one.
    pub(super) fn begin_resigning(&self) -> bool {
        let mut state = self.state();
        let free = state.offices == 0 && !state.leaving && !state.resigning;
        state.resigning |= free;
        free
    }
}
