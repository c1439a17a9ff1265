//! Giving the office up for want of what it takes to take members in.
//!
//! While a window is open nobody gets anything before those who are awaited are in, and whoever is not short of it can do
//! better. In an open reign everybody who is in goes on working, which a resignation would only disturb, and newcomers wait
//! until there is room. But who was in and cannot come back has locks that others wait for: a window can have closed when
//! all had said what they claim, and there was no thread for them after that.

use std::time::Duration;

use super::{LinkId, Phase, Place, StepDown, Supervisor};
use crate::ident::InstanceId;

/// What a process can have too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// Descriptors, or the memory for sockets.
    Descriptors,
    /// Threads.
    Threads,
}

/// For how long something has been lacking.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scarcity {
    /// When it was noticed last.
    noticed: Option<Duration>,
    /// The own running time since it was noticed first.
    lasted: Duration,
}

impl Scarcity {
    /// What lacks for so long will not be there in a moment.
    const PATIENCE: Duration = Duration::from_secs(1);
    /// What is not noticed again within this lacks no more: whoever was turned away is back by then, if it lives.
    const MEMORY: Duration = Duration::from_secs(1);

    /// Says whether it has lasted too long.
    fn notice(&mut self, now: Duration) -> bool {
        let before = self.noticed.replace(now).map(|before| now.saturating_sub(before));
        // A process that stood still meanwhile has not tried anything in that time.
        let passed = before.filter(|passed| *passed <= Self::MEMORY).map(|passed| passed.min(Supervisor::SLICE));
        self.lasted = passed.map_or(Duration::ZERO, |passed| self.lasted + passed);
        self.lasted >= Self::PATIENCE
    }
}

impl Supervisor {
    /// Somebody could not be taken in, or looked for, for want of something; `who` it was, if that is known, and the time
    /// of a clock that never goes back. Says whether this has lasted for a second of the own running time, so that the
    /// office is better left to another: [`Supervisor::give_up`].
    pub fn lacks(&mut self, who: Option<InstanceId>, now: Duration) -> bool {
        let is_aside = |id| matches!(self.registry.get(id).map(|member| member.place), Some(Place::Aside(_)));
        let matters = match self.phase {
            Phase::Window(_) => !self.is_crowded(),
            Phase::Opening(_) | Phase::Open => who.is_some_and(is_aside),
            Phase::Frozen => false,
        };
        matters && self.scarcity.notice(now)
    }

    /// Leaves the office to a member that has more of this.
    pub fn give_up(&mut self, what: Lack) {
        self.step_down(StepDown::Lacks(what));
    }

    /// Whether most connections owe their handshake. Strangers can have made them, and they are sent away in time; they
    /// would come to the next supervisor just as well.
    fn is_crowded(&self) -> bool {
        let others = self.links.keys().filter(|link| **link != LinkId::LOCAL);
        let unfinished = others.clone().filter(|link| self.is_unfinished(**link));
        unfinished.count() * 2 > others.count()
    }
}

#[cfg(test)]
mod tests;
