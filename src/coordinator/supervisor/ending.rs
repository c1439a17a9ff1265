//! The orderly end of a reign: what was begun for a member is answered first, and what was not begun is left to the next
//! supervisor.
//!
//! [`ToMember::Leave`] is the last frame on a connection. Before it the supervisor answers every message, question and
//! command that it has begun to carry out, with [`ToMember::Interrupted`] if the outcome is not known yet. So a member may
//! send to the next supervisor what is unanswered when `Leave` arrives.

use super::asks::Asks;
use super::commands::Stops;
use super::mail::Mail;
use super::{LinkId, Phase, Supervisor};
use crate::wire::message::{LeaveSort, Refusal, ToMember, ToSupervisor};

impl Supervisor {
    /// Begins no message and no question any more, so that the reign can end as soon as [`Supervisor::is_drained`]. The reign
    /// has to end: what arrives from here on is left to the next supervisor. `leaves`: the supervisor leaves the group, and
    /// nothing in its own process waits for an answer.
    pub fn drain(&mut self, leaves: bool) {
        self.draining = true;
        self.asks.drop_unbegun();
        if leaves {
            self.asks.forget_link(LinkId::LOCAL);
        }
        self.progress();
    }

    /// Whether everything that was begun has been answered.
    pub fn is_drained(&self) -> bool {
        !self.asks.is_any_begun() && !self.mail.is_any_begun()
    }

    /// Whether this is left to the next supervisor.
    pub(super) const fn is_left_to_the_next(&self, frame: &ToSupervisor) -> bool {
        self.draining && matches!(frame, ToSupervisor::Post(_) | ToSupervisor::Ask(_))
    }

    /// Takes nothing more and tells everyone that the supervisor leaves its office.
    pub fn freeze(&mut self, sort: LeaveSort) {
        if self.rules.begun_is_answered {
            for (link, frame) in self.mail.last_answers().into_iter().chain(self.asks.last_answers()) {
                self.send(link, frame);
            }
        }
        self.phase = Phase::Frozen;
        self.mail = Mail::default();
        self.asks = Asks::default();
        self.stops = Stops::default();
        let links: Vec<_> = self.links.keys().copied().filter(|link| *link != LinkId::LOCAL).collect();
        for link in links {
            let unfinished = self.is_unfinished(link);
            self.send(link, if unfinished { ToMember::Refused(Refusal::Leaving) } else { ToMember::Leave(sort) });
        }
        // Only that what is unanswered was not begun: its own instance knows how it leaves the office.
        self.send(LinkId::LOCAL, ToMember::Leave(LeaveSort::Resigning));
    }
}
