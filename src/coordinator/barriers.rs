//! All barriers of one reign, decided at the supervisor.
//!
//! Arrivals, claims and ends of members go in; [`Barriers::take_told`] gives what has to be written to whom. Owns no
//! socket, thread, lock, clock or randomness, and never refuses a call: every sequence of calls with any ids and numbers
//! is harmless.
//!
//! # One use of a barrier
//!
//! The first to arrive fixes how many are needed. When so many have arrived that are connected and not paused, they are a *generation*:
//! `Complete` is written to all of them, and only when all are sure to know it, `Go` to each. A member that has said on its
//! present connection that it waits is sure to know what was written to it. One that has not may still give the connection up
//! unread, and knows it when it has answered a ping behind the `Complete`. An arrival that comes meanwhile belongs to the next
//! generation. A waiter whose connection ends before it is sure to know holds the others back until it is back or has ended.
//!
//! An arrival counts while it was said on the present connection of its member. Members say their arrivals again after
//! every Welcome and Opened, once. So a `Go` cannot be followed by another word about the same request.
//!
//! An arrival is taken back only as long as its generation is not complete ([`Barriers::withdraw`]), and its member is told
//! which of the two it is. Until then it counts. So all of a generation pass that live, or none does.
//!
//! # Across reigns
//!
//! That a generation is complete stays true for ever, whoever says it, and a request waits only once. So everybody who
//! knows of it and has not passed brings it to the next supervisor, and whoever it names may pass.
//!
//! The successor may not let the first of them go at once. Perhaps one of them alone was written `Complete`: if it passed
//! and left, and the successor died, nobody would know why the others wait. So a generation that was brought is treated
//! like one that is being completed: everybody it names and who is there is written `Complete`, unless it brought it
//! itself, and `Go` waits for that. At every moment at which one has passed, all others that still wait have `Complete`,
//! and bring it to whoever reigns next.
//!
//! One that comes back in the same reign may bring a generation of this reign that is known no more. Then all others
//! were let go before, and only its own `Go` was lost.
//!
//! # The leader
//!
//! The first of the generation. If it ends before anybody was let go, the next one leads. Later nobody does,
//! and a successor, which cannot know whether somebody was let go, names no other than the first. So there are never two.

mod meeting;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use self::meeting::{Key, Meeting, all_of};
use super::rules::Rules;
use crate::ident::{Epoch, InstanceId, Name, Request, Stamp};
use crate::wire::message::{Arrive, BarrierRow, Generation};

/// All barriers of one reign. See the [module](self).
#[derive(Clone, Debug, PartialEq)]
pub struct Barriers {
    rules: Rules,
    /// The reign; `None` until it is open.
    epoch: Option<Epoch>,
    /// How many generations were completed in this reign.
    completed: u64,
    /// How many arrivals there were.
    arrivals: u64,
    /// Generations that members brought before the reign was open; empty afterwards.
    claims: BTreeMap<InstanceId, Vec<Generation>>,
    /// What is to be taken back and is part of one of those; empty afterwards.
    withdrawn: BTreeSet<Key>,
    /// Who is a member, and whether it is connected.
    members: BTreeMap<InstanceId, bool>,
    /// Whose arrivals do not count at present, although they are connected.
    paused: BTreeSet<InstanceId>,
    /// The barriers at which somebody waits for others to arrive.
    queues: BTreeMap<Name, Queue>,
    /// The generations of which somebody was not let go yet.
    meetings: BTreeMap<Stamp, Meeting>,
    /// Every request that waits, exactly once.
    live: BTreeMap<Key, Live>,
    told: Vec<Told>,
}

/// Something that has to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// That this is complete, to these; and [`Barriers::noted`] when one of them is sure to know it.
    Complete(Vec<InstanceId>, Generation),
    /// That the request may pass, and whether it leads.
    Go(InstanceId, Request, bool),
    /// That the request was taken back.
    Withdrawn(InstanceId, Request),
    /// That the request is refused, and why.
    Denied(InstanceId, Request, String),
}

/// Those who wait at one barrier for others to arrive; never empty.
#[derive(Clone, Debug, PartialEq)]
struct Queue {
    parties: u32,
    /// In order of arrival. The flag: said on the present connection.
    waiting: BTreeMap<u64, (Key, bool)>,
}

/// Where a request is.
#[derive(Clone, Debug, PartialEq)]
enum Live {
    Waits(Name, u64),
    Meets(Stamp),
}

impl Live {
    /// The barrier at which it waits for others to arrive.
    const fn waits_at(&self) -> Option<&Name> {
        match self {
            Self::Waits(name, _) => Some(name),
            Self::Meets(_) => None,
        }
    }
}

impl Barriers {
    /// The most parties of one barrier: what is said of a generation fits one frame many times over.
    pub const PARTIES_LIMIT: u32 = 4096;

    /// The most requests with which one member waits at once.
    pub const ARRIVALS_LIMIT: usize = 4096;

    /// The barriers of a reign that begins: nothing is completed.
    pub(crate) const fn new(rules: Rules) -> Self {
        Self {
            rules,
            epoch: None,
            completed: 0,
            arrivals: 0,
            claims: BTreeMap::new(),
            withdrawn: BTreeSet::new(),
            members: BTreeMap::new(),
            paused: BTreeSet::new(),
            queues: BTreeMap::new(),
            meetings: BTreeMap::new(),
            live: BTreeMap::new(),
            told: Vec::new(),
        }
    }

    /// Begins to complete generations: call it when `Opened` was written to everyone.
    pub fn open(&mut self, epoch: Epoch) {
        if self.epoch.is_some() {
            return;
        }
        self.epoch = Some(epoch);
        let mut brought = BTreeSet::new();
        for (from, generations) in std::mem::take(&mut self.claims) {
            brought.extend(generations.into_iter().filter_map(|generation| self.adopt(epoch, from, generation)));
        }
        for number in brought {
            self.gather(number);
        }
        for (from, request) in std::mem::take(&mut self.withdrawn) {
            self.withdraw(from, request);
        }
        let names: Vec<_> = self.queues.keys().cloned().collect();
        names.into_iter().for_each(|name| self.settle(&name));
    }

    /// A member says hello, and these generations are complete of which it was not let go yet. Replaces what it brought
    /// before.
    pub fn bring(&mut self, from: InstanceId, generations: Vec<Generation>) {
        let Some(epoch) = self.epoch else {
            self.claims.insert(from, generations);
            return;
        };
        for generation in generations {
            if let Some(number) = self.adopt(epoch, from, generation) {
                self.gather(number);
            }
        }
    }

    /// `from` waits at a barrier, or says so again. Before [`Barriers::open`] it is only noted.
    pub fn arrive(&mut self, from: InstanceId, arrive: Arrive) {
        let Arrive { request, name, parties } = arrive;
        let key = (from, request);
        let refusal = match self.live.get(&key) {
            Some(Live::Meets(number)) => {
                let number = *number;
                return match self.meetings.get_mut(&number) {
                    Some(meeting) if meeting.generation.name == name => {
                        meeting.waiters.insert(key, true);
                        self.let_go(number);
                    }
                    _ => self.deny(key, in_use(request)),
                };
            }
            Some(Live::Waits(known, place)) => {
                let queue = self.queues.get_mut(&name).filter(|queue| *known == name && queue.parties == parties);
                match queue.and_then(|queue| queue.waiting.get_mut(place)) {
                    Some((_, said)) => {
                        *said = true;
                        None
                    }
                    None => Some(in_use(request)),
                }
            }
            None => self.refuses(from, &name, parties),
        };
        if let Some(reason) = refusal {
            return self.deny(key, reason);
        }
        if !self.live.contains_key(&key) {
            self.forget_other_number(&name, parties);
            self.arrivals += 1;
            let place = self.arrivals;
            let queue = self.queues.entry(name.clone()).or_insert_with(|| Queue { parties, waiting: BTreeMap::new() });
            queue.waiting.insert(place, (key, true));
            self.live.insert(key, Live::Waits(name.clone(), place));
        }
        self.settle(&name);
    }

    /// Why a new arrival cannot wait.
    fn refuses(&self, from: InstanceId, name: &Name, parties: u32) -> Option<String> {
        if !(1..=Self::PARTIES_LIMIT).contains(&parties) {
            return Some(format!("a barrier has 1 to {} parties, not {parties}", Self::PARTIES_LIMIT));
        }
        let binds = |queue: &&Queue| queue.parties != parties && queue.waiting.values().any(|(_, said)| *said);
        if let Some(queue) = self.queues.get(name).filter(binds) {
            return Some(format!("those who wait at barrier {name} wait for {} parties, not {parties}", queue.parties));
        }
        if self.live.range(all_of(from)).nth(Self::ARRIVALS_LIMIT - 1).is_some() {
            return Some(format!("this instance waits at barriers {} times already", Self::ARRIVALS_LIMIT));
        }
        None
    }

    /// Of those who wait for another number none has said so on its present connection. Their members may have begun anew:
    /// so they do not bind anybody. Whoever still waits says it again, and is refused like one that comes now.
    fn forget_other_number(&mut self, name: &Name, parties: u32) {
        if let Some(queue) = self.queues.get(name).filter(|queue| queue.parties != parties) {
            for (key, _) in queue.waiting.values() {
                self.live.remove(key);
            }
            self.queues.remove(name);
        }
    }

    /// `from` does not want to wait any longer. If the request is part of a complete generation it stays there, since others
    /// may have passed because of it. Before [`Barriers::open`] it may be part of one that was brought by a member that
    /// ends before it has told anybody else; then that shows when it opens.
    pub fn withdraw(&mut self, from: InstanceId, request: Request) {
        let key = (from, request);
        if self.is_claimed(key) {
            self.withdrawn.insert(key);
        } else if !matches!(self.live.get(&key), Some(Live::Meets(_))) {
            self.drop_key(key);
            self.told.push(Told::Withdrawn(from, request));
        }
    }

    /// The request is refused, and is not decided.
    pub(crate) fn refuse(&mut self, from: InstanceId, request: Request) {
        self.drop_key((from, request));
    }

    /// Says whether the member is connected and welcomed. Of one that is not nothing is counted, and it is told nothing.
    /// Only who was said to be connected once is a member.
    pub fn set_ready(&mut self, id: InstanceId, ready: bool) {
        let before = self.members.insert(id, ready);
        if ready && before != Some(true) {
            self.back(id);
        } else if !ready && before == Some(true) {
            self.aside(id);
        }
    }

    /// Says whether the member is paused. Its arrivals keep their places then and complete nothing. What is complete is
    /// not held up by it: the others may have passed.
    pub fn set_paused(&mut self, id: InstanceId, paused: bool) {
        if paused {
            self.paused.insert(id);
        } else if self.paused.remove(&id) {
            let names: BTreeSet<_> = self.live.range(all_of(id)).filter_map(|(_, live)| live.waits_at()).collect();
            let names: Vec<_> = names.into_iter().cloned().collect();
            names.into_iter().for_each(|name| self.settle(&name));
        }
    }

    /// The entry of the instance has ended, or it begins anew: nothing it said counts any more.
    pub fn end(&mut self, id: InstanceId) {
        self.claims.remove(&id);
        self.withdrawn.retain(|key| key.0 != id);
        self.members.remove(&id);
        self.paused.remove(&id);
        let keys: Vec<_> = self.live.range(all_of(id)).map(|(key, _)| *key).collect();
        keys.into_iter().for_each(|key| self.drop_key(key));
    }

    /// Whether the member has said on its present connection that it waits in this generation, which only one says that is
    /// part of the reign.
    pub fn has_said(&self, id: InstanceId, number: Stamp) -> bool {
        let meeting = self.meetings.get(&number);
        meeting.is_some_and(|meeting| meeting.waiters.range(all_of(id)).any(|(_, said)| *said))
    }

    /// `Complete` of this generation is known to this member, whatever becomes of its connection.
    pub fn noted(&mut self, id: InstanceId, number: Stamp) {
        if let Some(meeting) = self.meetings.get_mut(&number) {
            meeting.unnoted.remove(&id);
            self.let_go(number);
        }
    }

    /// What has to be written, in the order in which it was decided.
    pub fn take_told(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.told)
    }

    /// Who waits for others to arrive: the barrier, how many are needed, the request, and whether it counts.
    pub fn waiting(&self) -> impl Iterator<Item = (&Name, u32, (InstanceId, Request), bool)> {
        self.queues.iter().flat_map(move |(name, queue)| {
            queue.waiting.values().map(move |(key, said)| (name, queue.parties, *key, *said && self.counts(key.0)))
        })
    }

    /// The barriers behind this name at which members wait for others to arrive, so many of them.
    pub fn rows(&self, after: Option<&Name>, count: usize) -> Vec<BarrierRow> {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let queues = self.queues.range::<Name, _>((after, Bound::Unbounded)).take(count);
        let row = |(name, queue): (&Name, &Queue)| {
            let counted = queue.waiting.values().filter(|(key, said)| *said && self.counts(key.0)).count() as u32;
            let waiters = queue.waiting.values().map(|(key, _)| key.0).collect();
            let missing = queue.parties.saturating_sub(counted);
            BarrierRow { name: name.clone(), parties: queue.parties, missing, waiters }
        };
        queues.map(row).collect()
    }

    /// The same for generations that are complete and that somebody has not passed yet: with their numbers.
    pub fn complete_rows(&self, after: Option<Stamp>, count: usize) -> Vec<(Stamp, BarrierRow)> {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let meetings = self.meetings.range((after, Bound::Unbounded)).take(count);
        let row = |(number, meeting): (&Stamp, &Meeting)| {
            let Generation { name, waiters, .. } = &meeting.generation;
            let parties = waiters.len() as u32;
            let left = waiters.iter().filter(|key| meeting.waiters.contains_key(key)).map(|key| key.0).collect();
            (*number, BarrierRow { name: name.clone(), parties, missing: 0, waiters: left })
        };
        meetings.map(row).collect()
    }

    /// Of how many generations somebody was not let go yet.
    pub fn meeting(&self) -> usize {
        self.meetings.len()
    }

    /// Whether this request is part of a generation that is complete, as far as is known: it cannot be refused any more.
    pub fn is_decided(&self, id: InstanceId, request: Request) -> bool {
        let key = (id, request);
        matches!(self.live.get(&key), Some(Live::Meets(_))) || self.is_claimed(key)
    }

    fn is_claimed(&self, key: Key) -> bool {
        self.claims.values().flatten().any(|generation| generation.waiters.contains(&key))
    }

    fn is_ready(&self, id: InstanceId) -> bool {
        self.members.get(&id) == Some(&true)
    }

    /// Whether what it says counts now.
    fn counts(&self, id: InstanceId) -> bool {
        self.is_ready(id) && !self.paused.contains(&id)
    }

    fn deny(&mut self, (to, request): Key, reason: String) {
        self.told.push(Told::Denied(to, request, reason));
    }

    /// Completes what can be completed at one barrier.
    fn settle(&mut self, name: &Name) {
        let Some(epoch) = self.epoch else { return };
        while let Some(queue) = self.queues.get(name) {
            let counts = |entry: &(&u64, &(Key, bool))| entry.1.1 && self.counts(entry.1.0.0);
            let needed = queue.parties as usize;
            if queue.waiting.len() < needed {
                // Or each arrival would look at all before it.
                return;
            }
            let first: Vec<_> = queue.waiting.iter().filter(counts).take(needed).map(|(place, _)| *place).collect();
            if first.len() < needed {
                return;
            }
            let waiters = first.into_iter().filter_map(|place| self.unqueue(name, place)).map(|(key, _)| key).collect();
            self.completed += 1;
            let number = Stamp { epoch, n: self.completed };
            self.complete(Generation { name: name.clone(), number, waiters });
        }
    }

    fn unqueue(&mut self, name: &Name, place: u64) -> Option<(Key, bool)> {
        let queue = self.queues.get_mut(name)?;
        let entry = queue.waiting.remove(&place);
        if queue.waiting.is_empty() {
            self.queues.remove(name);
        }
        entry
    }

    /// A request waits no more.
    fn drop_key(&mut self, key: Key) {
        match self.live.remove(&key) {
            Some(Live::Waits(name, place)) => drop(self.unqueue(&name, place)),
            Some(Live::Meets(number)) => {
                if let Some(meeting) = self.meetings.get_mut(&number) {
                    meeting.quit(key);
                    meeting.pass_the_lead(key);
                    self.let_go(number);
                }
            }
            None => {}
        }
    }

    /// Panics unless every request is in one place, and nothing that can be decided is undecided.
    pub fn check_invariants(&self) {
        let mut places = 0;
        for (name, queue) in &self.queues {
            assert!(!queue.waiting.is_empty() && (1..=Self::PARTIES_LIMIT).contains(&queue.parties), "{name}");
            let counted = queue.waiting.values().filter(|(key, said)| *said && self.counts(key.0)).count();
            assert!(self.epoch.is_none() || counted < queue.parties as usize, "{name} is complete");
            for (place, (key, _)) in &queue.waiting {
                assert_eq!(self.live.get(key), Some(&Live::Waits(name.clone(), *place)));
                places += 1;
            }
        }
        for (number, meeting) in &self.meetings {
            assert!(self.epoch.is_some() && *number == meeting.generation.number && !meeting.waiters.is_empty());
            assert!(meeting.unnoted.iter().all(|id| meeting.waiters.keys().any(|key| key.0 == *id)));
            for (key, said) in &meeting.waiters {
                assert_eq!(self.live.get(key), Some(&Live::Meets(*number)));
                assert!(!(*said && self.is_ready(key.0) && meeting.unnoted.is_empty()), "{key:?} may go");
                places += 1;
            }
        }
        assert_eq!(places, self.live.len());
        assert!(self.epoch.is_none() || self.claims.is_empty() && self.withdrawn.is_empty());
    }
}

fn in_use(request: Request) -> String {
    format!("request {request} is in use for something else")
}
