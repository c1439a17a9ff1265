//! Leaving the office to a member that this winner has to refuse, and that another one need not.
//!
//! A client that speaks another wire version, or that brings numbers which a winner that knows nothing cannot believe, may be
//! a member of the reign before. Whether it is, the kernel tells: it shows a membership. A membership can be made up, and
//! the client come again and again; so no winner leaves the office for a membership for which one has before. The members
//! are told for which, and tell it to their own supervisor halves. One that renews its membership all the time is left the
//! office only so often.

use super::super::session::Session;
use super::{LinkId, Output, Phase, StepDown, Supervisor};
use crate::ident::{InstanceId, Tag};
use crate::wire::message::LeaveSort;

impl Supervisor {
    /// How often the office is left to one instance, until a window closes.
    const YIELDS: usize = 8;
    /// How many instances that had to be refused are remembered until the kernel has answered.
    const UNFIT: usize = 64;

    /// This instance has to be refused.
    pub(super) fn yield_to(&mut self, id: InstanceId) {
        let Phase::Window(window) = &self.phase else { return };
        if !window.is_called() {
            if self.unfit.len() < Self::UNFIT {
                self.unfit.insert(id);
            }
            return;
        }
        if !window.is_awaited(id) {
            return;
        }
        let yielded = &self.settings.control.yielded;
        let mut shown: Vec<_> = window.shown(id).collect();
        if shown.is_empty() {
            // Memberships have no tags here.
            shown.push(Tag::new(0));
        }
        let is_new = |tag: &Tag| !self.rules.yields_once || !yielded.contains(&(id, *tag));
        let Some(tag) = shown.into_iter().find(is_new) else { return };
        let of_this_one = yielded.iter().filter(|(before, _)| *before == id).count();
        // What cannot be remembered would be yielded to again and again.
        let is_full = yielded.len() >= Session::YIELDED;
        if self.rules.yields_once && (of_this_one >= Self::YIELDS || is_full) {
            return;
        }
        self.freeze(LeaveSort::ResigningOver(id, tag));
        self.outputs.push(Output::StepDown(StepDown::MustRefuse((id, tag))));
    }

    /// The kernel has answered.
    pub(super) fn yield_to_unfit(&mut self) {
        for id in std::mem::take(&mut self.unfit) {
            self.yield_to(id);
        }
    }

    /// The highest number that is believed, of whomever.
    pub(super) fn believed(&self, link: LinkId) -> u64 {
        if link == LinkId::LOCAL || !self.rules.numbers_are_bounded {
            return super::super::numbers::END;
        }
        super::super::numbers::believed(self.clock, self.settings.control.known)
    }
}

#[cfg(test)]
mod tests;
