//! Exact answers to those who ask how their requests stand: before one is given, the kernel is asked whether the members
//! in the way live, and those that are gone are ended first.
//!
//! A member that died a moment ago still holds what it held: the end of its connection may not have been read. Calls that
//! wait do not care, since they are served when it is. A call that does not wait would be refused because of a holder
//! whose end its caller has seen.
//!
//! At most one look is under way. It answers every question that came before it began, so that a thousand members that
//! try the same lock cost two looks at its holder. A member that is gone and whose connection has not ended is not ended
//! here: what it sent before its death is read first, and the end of the connection, which the kernel has closed, follows.

use std::collections::{BTreeMap, BTreeSet};

use super::super::registry::Place;
use super::{Output, Phase, Supervisor};
use crate::ident::{InstanceId, Request};
use crate::wire::message::EndReason;

/// The questions that wait for a look, and what looks have shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Looks {
    /// Who asks about which of its requests, and the number of the first look that answers it.
    asked: BTreeMap<(InstanceId, Request), u64>,
    /// The number of the last look that began.
    last: u64,
    /// At whom it looks, while it is under way.
    running: Option<Vec<InstanceId>>,
    /// The last look that found a member alive.
    alive: BTreeMap<InstanceId, u64>,
    /// Members that were found gone and whose connections have not ended.
    dying: BTreeSet<InstanceId>,
    /// Something has changed since the questions were judged.
    changed: bool,
}

impl Supervisor {
    /// At so many members one look looks.
    const LOOK: usize = 64;

    /// A member asks how its request stands.
    pub(super) fn inquire(&mut self, id: InstanceId, request: Request) {
        if !self.rules.refusals_are_exact {
            self.grants.inquire(id, request);
        } else if matches!(self.phase, Phase::Opening(_) | Phase::Open) {
            // The own instance is part of the reign a moment before the reign is open.
            self.looks.asked.insert((id, request), self.looks.last + 1);
            // What is asked while a look is under way is judged when it is over, with all that was asked meanwhile.
            self.looks.changed |= self.looks.running.is_none();
        }
    }

    /// The kernel was asked after the members of the last [`Output::Look`], and has closed the presences of these.
    pub fn looked(&mut self, gone: &[InstanceId]) {
        let Some(running) = self.looks.running.take() else { return };
        if matches!(self.phase, Phase::Frozen) {
            return;
        }
        for id in running {
            match self.registry.get(id).map(|member| member.place) {
                _ if !gone.contains(&id) => drop(self.looks.alive.insert(id, self.looks.last)),
                Some(Place::Aside(_)) => self.end(id, EndReason::Failed),
                Some(_) => drop(self.looks.dying.insert(id)),
                None => {}
            }
        }
        self.looks.changed = true;
        self.progress();
    }

    /// Some of the work was done that earlier inputs had left.
    pub(super) fn note_work(&mut self) {
        self.looks.changed |= !self.looks.asked.is_empty();
    }

    /// The connection of a member has ended, or its entry has.
    pub(super) fn note_end(&mut self, id: InstanceId) {
        self.looks.changed |= self.looks.dying.remove(&id);
    }

    /// Answers the questions that can be answered, and looks at who is in the way of the others. Says whether anything was
    /// answered.
    pub(super) fn answer_inquiries(&mut self) -> bool {
        if !matches!(self.phase, Phase::Open) || !std::mem::take(&mut self.looks.changed) {
            return false;
        }
        let mut unknown = BTreeSet::new();
        let mut answered = false;
        // The oldest first: no flood of new ones keeps them waiting.
        let mut asked: Vec<_> = std::mem::take(&mut self.looks.asked).into_iter().collect();
        asked.sort_by_key(|(_, since)| *since);
        for ((id, request), since) in asked {
            let looks = &self.looks;
            let lives = |other: InstanceId| {
                other == self.settings.me || other == id || looks.alive.get(&other).is_some_and(|look| *look >= since)
            };
            // One that does not wait any more, or is not ready to be granted anything, is not answered.
            answered |= self.grants.bring_up_to_date(id, request);
            let Some(others) = self.grants.in_the_way(id, request, lives, Self::LOOK) else {
                if self.grants.will_be_told(id, request) {
                    self.looks.asked.insert((id, request), since);
                }
                continue;
            };
            if others.is_empty() {
                self.grants.inquire(id, request);
                answered = true;
            } else {
                self.looks.asked.insert((id, request), since);
                // What a member held that has ended is being freed, and nobody has to look at that.
                let is_there = |other: &&InstanceId| self.registry.get(**other).is_some();
                let others = others.difference(&self.looks.dying).filter(is_there);
                unknown.extend(others.take(Self::LOOK - unknown.len()));
            }
        }
        if self.looks.running.is_none() && !unknown.is_empty() {
            self.looks.last += 1;
            let ids: Vec<_> = unknown.into_iter().collect();
            self.looks.running = Some(ids.clone());
            self.outputs.push(Output::Look(ids));
        }
        if self.looks.asked.is_empty() {
            self.looks.alive.clear();
        }
        answered
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::super::rules::Rules;
    use super::super::super::window::RollCall;
    use super::super::handshake::tests::{group, say_hello, told};
    use super::super::{Control, LinkId, Settings};
    use super::*;
    use crate::ident::{Kind, Name, Resource, Tag};
    use crate::wire::message::{Mode, Refusal, ToMember, ToSupervisor, Want};

    /// The end of a member goes on in slices, and its locks are not all free yet.
    #[test]
    fn a_member_that_has_ended_is_not_looked_at_and_keeps_nobody_waiting() {
        let [holder, other] = [LinkId(8), LinkId(9)];
        let settings = Settings {
            group: group(),
            me: InstanceId::new(1),
            pid: 1,
            window_limit: None,
            aside_limit: None,
            member_limit: 9,
            control: Control::default(),
        };
        let mut supervisor = Supervisor::with_rules(settings, Rules { slice: 1, ..Rules::ALL });
        let roll = [1, 2, 3].map(|number| (InstanceId::new(number), Tag::new(number)));
        supervisor.called(RollCall::Everyone(BTreeSet::from(roll)));
        for (link, number) in [(LinkId::LOCAL, 1), (holder, 2), (other, 3)] {
            say_hello(&mut supervisor, link, number, &[1, 2, 3]);
        }
        supervisor.close(1);
        [holder, other].into_iter().for_each(|link| supervisor.written(link, u64::MAX));
        let acquire = |supervisor: &mut Supervisor, link, request, text: &str| {
            let name = Resource::new(Kind::Mutex, Name::new(text).expect("a short name"));
            let want = Want { request: Request::new(request), name, mode: Mode::Exclusive };
            supervisor.frame(link, ToSupervisor::Acquire(want));
        };
        for (request, name) in [(1, "a"), (2, "b"), (3, "c")] {
            acquire(&mut supervisor, holder, request, name);
        }
        acquire(&mut supervisor, other, 1, "c");
        while supervisor.is_behind() {
            supervisor.go_on();
        }
        supervisor.take_outputs();
        supervisor.ended(holder, true);
        supervisor.frame(other, ToSupervisor::Inquire(Request::new(1)));
        let outputs = supervisor.clone().take_outputs();
        assert!(!outputs.iter().any(|output| matches!(output, Output::Look(_))), "{outputs:?}");
        let frames = told(&mut supervisor, other);
        assert!(matches!(frames.last(), Some(ToMember::Grant(_))), "{frames:?}");
        assert!(supervisor.is_behind(), "another lock is still to be freed");
        // Whatever is said under its id meanwhile, what it had is freed in slices.
        let again = LinkId(10);
        say_hello(&mut supervisor, again, 2, &[]);
        assert_eq!(told(&mut supervisor, again), [ToMember::Refused(Refusal::Busy)]);
        assert!(supervisor.is_behind());
        while supervisor.is_behind() {
            supervisor.go_on();
        }
        let again = LinkId(11);
        say_hello(&mut supervisor, again, 2, &[]);
        assert!(supervisor.registry().get(InstanceId::new(2)).is_some(), "{:?}", told(&mut supervisor, again));
    }
}
