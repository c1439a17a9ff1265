//! Generations on their way: from their completion, or from the claim that they were completed, until all may pass.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::{Barriers, Live, Told};
use crate::ident::{Epoch, InstanceId, Request, Stamp};
use crate::wire::message::Generation;

/// A request of a member.
pub(super) type Key = (InstanceId, Request);

/// The range of all requests of one member.
pub(super) fn all_of(id: InstanceId) -> RangeInclusive<Key> {
    (id, Request::new(0))..=(id, Request::new(u64::MAX))
}

/// A complete generation of which somebody was not let go yet.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Meeting {
    pub(super) generation: Generation,
    /// Who was not let go yet; never empty. The flag: said on the present connection.
    pub(super) waiters: BTreeMap<Key, bool>,
    /// Who among them may not know yet that it is complete. Until there are none, nobody passes.
    pub(super) unnoted: BTreeSet<InstanceId>,
    leader: Key,
    /// Nobody else may lead: somebody was let go, or may have been.
    is_led: bool,
}

impl Meeting {
    pub(super) fn quit(&mut self, key: Key) {
        self.waiters.remove(&key);
        if self.waiters.range(all_of(key.0)).next().is_none() {
            self.unnoted.remove(&key.0);
        }
    }

    /// Somebody who never comes again leaves the lead to the next one.
    pub(super) fn pass_the_lead(&mut self, from: Key) {
        if self.leader == from
            && !self.is_led
            && let Some(next) = self.generation.waiters.iter().find(|key| self.waiters.contains_key(key))
        {
            self.leader = *next;
        }
    }
}

impl Barriers {
    /// These requests, which have just been taken out of their queue, are a generation.
    pub(super) fn complete(&mut self, generation: Generation) {
        let Some(leader) = generation.waiters.first().copied() else { return };
        let number = generation.number;
        self.live.extend(generation.waiters.iter().map(|key| (*key, Live::Meets(number))));
        let waiters: BTreeMap<_, _> = generation.waiters.iter().map(|key| (*key, true)).collect();
        let unnoted = waiters.keys().map(|key| key.0).collect();
        self.meetings.insert(number, Meeting { generation, waiters, unnoted, leader, is_led: false });
        self.gather(number);
    }

    /// Takes over a generation that `from` knows to be complete, and returns its number if anybody still waits.
    ///
    /// Ignored is what cannot be true: a generation without who brings it, one with more waiters than any barrier has,
    /// and one that this reign did not complete.
    pub(super) fn adopt(&mut self, epoch: Epoch, from: InstanceId, generation: Generation) -> Option<Stamp> {
        let number = generation.number;
        let is_new = !self.meetings.contains_key(&number);
        let possible = generation.waiters.iter().any(|key| key.0 == from)
            && generation.waiters.len() <= Self::PARTIES_LIMIT as usize
            && number <= Stamp { epoch, n: self.completed };
        let leader = *generation.waiters.first().filter(|_| possible)?;
        // Of a generation of this reign that is known no more all others were let go.
        let everybody = is_new && number.epoch < epoch;
        let mut meeting = self.meetings.remove(&number).unwrap_or_else(|| Meeting {
            generation: generation.clone(),
            waiters: BTreeMap::new(),
            unnoted: BTreeSet::new(),
            leader,
            is_led: true,
        });
        let named = |key: &&Key| key.0 == from || everybody && self.members.contains_key(&key.0);
        let named: Vec<_> = generation.waiters.iter().filter(named).copied().collect();
        for key in named.into_iter().filter(|_| meeting.generation.name == generation.name) {
            let said = match self.live.get(&key).cloned() {
                None => false,
                Some(Live::Waits(name, place)) if name == generation.name => {
                    self.unqueue(&name, place).is_some_and(|(_, said)| said)
                }
                // It is in this one already, or was let into another one, which it will pass with.
                Some(_) => continue,
            };
            self.live.insert(key, Live::Meets(number));
            meeting.waiters.insert(key, said);
            meeting.unnoted.insert(key.0);
            if !is_new && !meeting.generation.waiters.contains(&key) {
                meeting.generation.waiters.push(key);
            }
        }
        meeting.unnoted.remove(&from);
        if meeting.waiters.is_empty() {
            return None;
        }
        self.meetings.insert(number, meeting);
        Some(number)
    }

    /// Tells everybody who may not know it that the generation is complete.
    pub(super) fn gather(&mut self, number: Stamp) {
        let Some(meeting) = self.meetings.get(&number) else { return };
        let to: Vec<_> = meeting.unnoted.iter().copied().filter(|id| self.is_ready(*id)).collect();
        if !to.is_empty() {
            self.told.push(Told::Complete(to, meeting.generation.clone()));
        }
        self.let_go(number);
    }

    /// Lets everybody go who may.
    pub(super) fn let_go(&mut self, number: Stamp) {
        let Some(meeting) = self.meetings.get_mut(&number) else { return };
        if meeting.unnoted.is_empty() || !self.rules.complete_before_go {
            let ready = |id: &InstanceId| self.members.get(id) == Some(&true);
            let going = meeting.waiters.iter().filter(|(key, said)| **said && ready(&key.0));
            let going: Vec<_> = going.map(|(key, _)| *key).collect();
            meeting.is_led |= !going.is_empty();
            for key in going {
                meeting.quit(key);
                self.live.remove(&key);
                self.told.push(Told::Go(key.0, key.1, key == meeting.leader));
            }
        }
        if meeting.waiters.is_empty() {
            self.meetings.remove(&number);
        }
    }

    /// The member is connected: it is told what it may not know.
    pub(super) fn back(&mut self, id: InstanceId) {
        let mut numbers = BTreeSet::new();
        let mut names = BTreeSet::new();
        for (_, live) in self.live.range(all_of(id)) {
            match live {
                Live::Waits(name, _) => drop(names.insert(name.clone())),
                Live::Meets(number) => drop(numbers.insert(*number)),
            }
        }
        for number in numbers {
            let Some(meeting) = self.meetings.get(&number) else { continue };
            if meeting.unnoted.contains(&id) {
                self.told.push(Told::Complete(vec![id], meeting.generation.clone()));
            }
            self.let_go(number);
        }
        names.into_iter().for_each(|name| self.settle(&name));
    }

    /// The connection of the member is over. Its arrivals keep their places, but count only when they are said again.
    pub(super) fn aside(&mut self, id: InstanceId) {
        // It is said again as well.
        self.withdrawn.retain(|key| key.0 != id);
        let keys: Vec<_> = self.live.range(all_of(id)).map(|(key, live)| (*key, live.clone())).collect();
        for (key, live) in keys {
            // What it has not said on this connection it may have given up before it: if not, it will say it again.
            let keeps = match &live {
                Live::Waits(name, place) => {
                    let queue = self.queues.get_mut(name);
                    let entry = queue.and_then(|queue| queue.waiting.get_mut(place));
                    entry.is_some_and(|(_, said)| std::mem::take(said))
                }
                Live::Meets(number) => self.meetings.get_mut(number).is_some_and(|meeting| {
                    let said = meeting.waiters.get_mut(&key).is_some_and(std::mem::take);
                    // And if it knows that this is complete, it will bring that again too.
                    said || meeting.unnoted.contains(&id)
                }),
            };
            if keeps {
                continue;
            }
            self.live.remove(&key);
            match live {
                Live::Waits(name, place) => drop(self.unqueue(&name, place)),
                Live::Meets(number) => {
                    if let Some(meeting) = self.meetings.get_mut(&number) {
                        meeting.quit(key);
                        self.let_go(number);
                    }
                }
            }
        }
    }
}
