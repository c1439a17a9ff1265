//! What the kernel shows of those who are missing, and the time that passes meanwhile.

use std::time::Duration;

use super::super::registry::Place;
use super::super::window::RollCall;
use super::{Output, Phase, Supervisor};
use crate::ident::InstanceId;
use crate::wire::message::EndReason;

impl Supervisor {
    /// The kernel has answered the roll call, which was asked for after the port was won.
    pub fn called(&mut self, roll: RollCall) {
        let roll = if self.rules.roll_call { roll } else { RollCall::Somebody(false) };
        if let Phase::Window(window) = &mut self.phase {
            window.called(self.settings.me, roll);
        }
        self.yield_to_unfit();
    }

    /// The kernel has closed the presence of this instance.
    pub fn gone(&mut self, id: InstanceId) {
        match &mut self.phase {
            Phase::Window(window) => {
                let link = self.registry.get(id).and_then(|member| member.place.link());
                if let Some(link) = link.filter(|link| self.writes.is_fetching(*link)) {
                    // It died before it had said all of its copy, and the end of its connection was not read yet.
                    self.cut(link);
                    self.disconnected(id, true);
                } else {
                    window.ended(id, EndReason::Failed);
                }
            }
            Phase::Frozen => return,
            Phase::Opening(_) | Phase::Open => {
                if matches!(self.registry.get(id).map(|m| m.place), Some(Place::Aside(_))) {
                    self.end(id, EndReason::Failed);
                }
            }
        }
        self.progress();
    }

    /// The kernel has closed the membership of this instance.
    pub fn membership_gone(&mut self, id: InstanceId) {
        if let Phase::Window(window) = &mut self.phase {
            window.membership_ended(id);
        }
    }

    /// The kernel shows nobody else.
    pub fn nobody_else(&mut self) {
        if let Phase::Window(window) = &mut self.phase {
            window.nobody_else();
        }
    }

    /// Says what time it is, in milliseconds since 1970: what is granted from now on is granted then, and numbers
    /// are believed a little beyond it. A clock that is set back does no harm.
    pub const fn set_time(&mut self, now: u64) {
        self.clock = now.saturating_mul(1_000_000);
        self.grants.set_time(now);
    }

    /// Whether work is left that was too much for one input: [`Supervisor::go_on`].
    pub fn is_behind(&self) -> bool {
        match self.phase {
            Phase::Frozen => false,
            Phase::Open => self.grants.is_behind() || self.is_surveying(),
            Phase::Window(_) | Phase::Opening(_) => self.grants.is_behind(),
        }
    }

    /// Does a bounded part of the work that is left. Between two calls the others are to get their turn.
    pub fn go_on(&mut self) {
        if !matches!(self.phase, Phase::Frozen) {
            self.grants.go_on();
            self.note_work();
            self.go_on_surveying();
            self.progress();
        }
    }

    /// Some of the supervisor's own running time has passed. `drained`: in that time the accept queue and every
    /// connection that owes its handshake were found empty.
    pub fn time(&mut self, elapsed: Duration, drained: bool) {
        if !drained && self.rules.limit_counts_drained_time {
            return;
        }
        let slice = elapsed.min(Self::SLICE);
        let aside_limit = self.aside_limit();
        match &mut self.phase {
            Phase::Window(window) => {
                if !window.is_complete() && window.wait(slice, self.settings.window_limit) {
                    self.begin_expiry();
                }
            }
            Phase::Frozen => {}
            Phase::Opening(_) | Phase::Open => {
                if let Some(limit) = aside_limit {
                    self.count_aside(slice, limit);
                }
                self.count_stops(slice);
            }
        }
        self.progress();
    }

    fn count_aside(&mut self, slice: Duration, limit: Duration) {
        for id in self.aside() {
            let Some(Place::Aside(waited)) = self.registry.get(id).map(|m| m.place) else { continue };
            let waited = waited + slice;
            if waited >= limit {
                self.end(id, EndReason::Evicted);
            } else {
                self.registry.move_to(id, Place::Aside(waited));
            }
        }
    }

    /// The limit of the window has passed. Every missing member has forfeited all claims; it ends, and others can have what
    /// it held, only when it has been sent a notice: [`Supervisor::notified`].
    fn begin_expiry(&mut self) {
        let Phase::Window(window) = &mut self.phase else { return };
        let missing = window.begin_expiry();
        for id in &missing {
            let tags: Vec<_> = window.shown(*id).collect();
            // One that shows no membership has never asked for anything, or this system has no names for memberships, or
            // does not let them be read.
            if !tags.is_empty() && self.rules.expired_are_notified {
                self.outputs.push(Output::Notify { id: *id, tags, evicted: false });
                if self.rules.notice_before_expiry {
                    continue;
                }
            }
            window.expire(*id);
        }
        for id in missing {
            // Only a member that has not sent all of its copy is missing and connected.
            self.grants.forget(id);
            if let Some(link) = self.registry.remove(id).and_then(|member| member.place.link()) {
                self.forfeit(link, id);
            }
        }
    }

    /// The notice to this member was sent, or could not be: [`Output::Notify`].
    pub fn notified(&mut self, id: InstanceId) {
        match &mut self.phase {
            Phase::Window(window) => window.expire(id),
            Phase::Opening(awaiting) => drop(self.noticing.remove(&id).and_then(|link| awaiting.remove(&link))),
            Phase::Open | Phase::Frozen => {}
        }
        self.stop_notified(id);
        self.progress();
    }
}
