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
        } else if matches!(self.phase, Phase::Open) {
            self.looks.asked.insert((id, request), self.looks.last + 1);
            self.looks.changed = true;
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

    /// The connection of a member has ended, or its entry has.
    pub(super) fn note_end(&mut self, id: InstanceId) {
        self.looks.changed |= self.looks.dying.remove(&id);
    }

    /// Answers the questions that can be answered, and looks at who is in the way of the others. Says whether anything was
    /// answered.
    pub(super) fn answer_inquiries(&mut self) -> bool {
        if !std::mem::take(&mut self.looks.changed) || !matches!(self.phase, Phase::Open) {
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
            let Some(others) = self.grants.in_the_way(id, request, lives, Self::LOOK) else { continue };
            if others.is_empty() {
                self.grants.inquire(id, request);
                answered = true;
            } else {
                self.looks.asked.insert((id, request), since);
                unknown.extend(others.difference(&self.looks.dying).take(Self::LOOK - unknown.len()));
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
