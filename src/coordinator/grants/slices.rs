//! Work that is too much for one input: it is begun by the input and goes on in slices, [`Grants::go_on`].
//!
//! No input touches more than a slice of requests, [`Rules::slice`], so that the caller can release its mutex in
//! between. Two sorts of work can be left:
//!
//! * *Visits*: an instance has ended, or can take grants again or no more, and its requests are looked at one by one, in
//!   their order. The decision itself takes effect at once: an instance that has ended gets nothing from then on, and
//!   neither does one that is not ready. What an ended instance held stays held until its request is visited.
//! * *Narrowed names*: the limit of a semaphore was set, and what waits there may be above it. It is denied place by place,
//!   and granted before never.
//! * *Unsettled names*: more can be granted or told there.
//!
//! A name that somebody asks for does not wait for its turn: what an ended instance holds there is freed first, so that
//! nobody is refused because of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;

use super::lock::{End, Key, Place};
use super::{Grants, Phase, all_of};
use crate::ident::{InstanceId, Request, Resource};

/// What is left to be done.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rest {
    /// Whose requests are to be visited, each with the last request that was.
    visits: VecDeque<(InstanceId, Option<Request>)>,
    /// The instances that have ended and of which requests are left. Each has a visit.
    ending: BTreeMap<InstanceId, End>,
    /// Names whose limit was set, each with the last place that was compared with it.
    narrowed: VecDeque<(Resource, Option<Place>)>,
    /// Names at which more can be granted or told.
    unsettled: BTreeSet<Resource>,
    /// Names at which nothing was granted for want of a token.
    short: BTreeSet<Resource>,
    /// How many requests the present input has touched.
    #[cfg(test)]
    touched: usize,
}

impl Rest {
    pub(super) const fn new() -> Self {
        Self {
            visits: VecDeque::new(),
            ending: BTreeMap::new(),
            narrowed: VecDeque::new(),
            unsettled: BTreeSet::new(),
            short: BTreeSet::new(),
            #[cfg(test)]
            touched: 0,
        }
    }

    /// Whether the instance has ended, so that what is left of it means nothing.
    pub(super) fn has_ended(&self, id: InstanceId) -> bool {
        self.ending.contains_key(&id)
    }

    pub(super) fn unsettled(&mut self, name: Resource) {
        self.unsettled.insert(name);
    }

    pub(super) fn short(&mut self, name: Resource) {
        self.short.insert(name);
    }

    /// Whether a name may not be at rest.
    pub(super) fn concerns(&self, name: &Resource) -> bool {
        !self.visits.is_empty() || self.unsettled.contains(name) || self.is_narrowed(name)
    }

    pub(super) fn is_narrowed(&self, name: &Resource) -> bool {
        self.narrowed.iter().any(|(narrowed, _)| narrowed == name)
    }

    pub(super) fn is_visited(&self, id: InstanceId) -> bool {
        self.visits.iter().any(|(visited, _)| *visited == id)
    }
}

impl Grants {
    /// Whether work is left: [`Grants::go_on`].
    pub fn is_behind(&self) -> bool {
        let settles = self.phase == Phase::Open && !self.rest.unsettled.is_empty();
        settles || !self.rest.visits.is_empty() || !self.rest.narrowed.is_empty()
    }

    /// Does one slice of the work that is left.
    pub fn go_on(&mut self) {
        if self.phase == Phase::Open && !self.rest.unsettled.is_empty() {
            self.settle_rest();
        } else if let Some((id, after)) = self.rest.visits.pop_front() {
            self.visit(id, after);
        } else if let Some((name, before)) = self.rest.narrowed.pop_front() {
            self.narrow(name, before);
        }
    }

    /// The limit of a name was set: what can never be granted is denied.
    pub(super) fn begin_narrowing(&mut self, name: &Resource) {
        self.rest.narrowed.retain(|(narrowed, _)| narrowed != name);
        self.narrow(name.clone(), None);
    }

    /// From the last place to the first: one that is told its place meanwhile moves to where nobody has looked yet.
    fn narrow(&mut self, name: Resource, before: Option<Place>) {
        let Some(lock) = self.locks.get(&name) else { return };
        let shape = lock.shape();
        let places: Vec<_> = lock.places_before(before).take(self.rules.slice).collect();
        let last = places.last().map(|(place, _)| *place);
        if last.is_some_and(|last| lock.places_before(Some(last)).next().is_some()) {
            self.rest.narrowed.push_back((name.clone(), last));
        }
        for (place, waiting) in places {
            if let Some(reason) = shape.refuses(waiting.mode) {
                self.unqueue(waiting.key, place);
                self.deny(waiting.key.0, waiting.key.1, reason);
            }
        }
        self.settle(&name);
    }

    /// A base is known above which tokens can be given: the names that lacked one are settled.
    pub(super) fn settle_short(&mut self) {
        let mut short = std::mem::take(&mut self.rest.short);
        self.rest.unsettled.append(&mut short);
        if self.phase == Phase::Open {
            self.settle_rest();
        }
    }

    /// Settles names that are not, until a slice is used up.
    pub(super) fn settle_rest(&mut self) {
        let mut slice = self.rules.slice;
        while slice > 0
            && let Some(name) = self.rest.unsettled.pop_first()
        {
            self.settle_within(&name, &mut slice);
            slice = slice.saturating_sub(1);
        }
    }

    /// The instance gets nothing more, and all that it has is given up.
    pub(super) fn begin_end(&mut self, id: InstanceId, end: End) {
        self.ready.remove(&id);
        if !self.rest.has_ended(id) && self.live.range(all_of(id)).next().is_some() {
            self.rest.ending.insert(id, end);
            self.begin_visit(id);
        }
    }

    /// Whether what an instance had that has ended is not all freed yet.
    pub fn is_ending(&self, id: InstanceId) -> bool {
        self.rest.has_ended(id)
    }

    /// An instance that has ended begins anew under the same id: what is left of it ends first, in one step. The supervisor
    /// lets no newcomer in under an id of which much is left: [`Grants::is_ending`].
    pub(super) fn finish_end(&mut self, id: InstanceId) {
        while self.rest.has_ended(id) {
            self.rest.visits.retain(|(visited, _)| *visited != id);
            self.visit(id, None);
        }
    }

    /// Looks at the requests of an instance: a slice now, and the others later.
    pub(super) fn begin_visit(&mut self, id: InstanceId) {
        // One that was begun before begins anew: what it has looked at may have changed.
        self.rest.visits.retain(|(visited, _)| *visited != id);
        self.visit(id, None);
    }

    /// The same, all of them at once.
    pub(super) fn visit_all(&mut self, id: InstanceId) {
        self.begin_visit(id);
        while let Some((visited, after)) = self.rest.visits.back().copied()
            && visited == id
        {
            self.rest.visits.pop_back();
            self.visit(id, after);
        }
    }

    fn visit(&mut self, id: InstanceId, after: Option<Request>) {
        let first = after.map_or(Bound::Included((id, Request::new(0))), |after| Bound::Excluded((id, after)));
        let rest = (first, Bound::Included(*all_of(id).end()));
        let slice: Vec<Key> = self.live.range(rest).take(self.rules.slice).map(|(key, _)| *key).collect();
        let end = self.rest.ending.get(&id).copied();
        let mut touched = BTreeSet::new();
        for key in &slice {
            touched.extend(match end {
                Some(end) => self.drop_request(*key, end),
                None => self.refresh(*key),
            });
        }
        match slice.last() {
            Some(last)
                if slice.len() == self.rules.slice
                    && self.live.range((Bound::Excluded(*last), rest.1)).next().is_some() =>
            {
                self.rest.visits.push_back((id, Some(last.1)));
            }
            _ => drop(self.rest.ending.remove(&id)),
        }
        if self.phase == Phase::Open {
            self.rest.unsettled.append(&mut touched);
            self.settle_rest();
        } else {
            self.settle_all(touched);
        }
    }

    /// Ends a request in whatever place, and returns the name.
    fn drop_request(&mut self, key: Key, end: End) -> Option<Resource> {
        match self.live.get(&key)?.place {
            Some(place) => self.unqueue(key, place),
            None => self.free(key, end),
        }
    }

    /// Brings a waiting request in line with whether its owner can take grants, and returns the name.
    fn refresh(&mut self, key: Key) -> Option<Resource> {
        #[cfg(test)]
        self.count_touched();
        let live = self.live.get(&key)?;
        let place = live.place?;
        let ready = self.ready.contains(&key.0);
        self.locks.get_mut(&live.name)?.set_ready(place, ready);
        Some(live.name.clone())
    }

    /// Frees what instances that have ended hold of the name for which this request waits, and says whether there was
    /// anything to be done.
    pub fn bring_up_to_date(&mut self, from: InstanceId, request: Request) -> bool {
        let before = self.told.len();
        if let Some(name) = self.live_of((from, request)).map(|live| live.name.clone()) {
            self.catch_up(&name);
        }
        self.told.len() > before
    }

    /// Whether this request waits and its owner, which can take grants, is still to be told its place.
    pub fn will_be_told(&self, from: InstanceId, request: Request) -> bool {
        let place = self.live_of((from, request)).and_then(|live| live.place);
        matches!(place, Some(Place::Untold(_))) && self.ready.contains(&from)
    }

    /// Brings a name up to date before it is asked for: what instances that have ended hold there is freed now.
    pub(super) fn catch_up(&mut self, name: &Resource) {
        if self.rest.unsettled.is_empty() && self.rest.ending.is_empty() {
            return;
        }
        let Some(lock) = self.locks.get(name) else { return };
        let has_ended = |key: &Key| self.rest.ending.get(&key.0).map(|end| (*key, *end));
        let ended = lock.holders().take(self.rules.slice).filter_map(|(key, _)| has_ended(key));
        for (key, end) in ended.collect::<Vec<_>>() {
            self.free(key, end);
        }
        self.settle(name);
    }

    /// Counts a request that the present input touches.
    #[cfg(test)]
    pub(super) fn count_touched(&mut self) {
        self.rest.touched += 1;
    }

    /// How many requests were touched since the last call.
    #[cfg(test)]
    pub(crate) fn take_touched(&mut self) -> usize {
        std::mem::take(&mut self.rest.touched)
    }

    /// Panics if what is left contradicts the rest.
    pub(super) fn check_rest(&self) {
        for id in self.rest.ending.keys() {
            assert!(self.rest.is_visited(*id), "{id} has ended and nobody ends its requests");
            assert!(!self.ready.contains(id), "{id} has ended and gets grants");
        }
        let visited: BTreeSet<_> = self.rest.visits.iter().map(|(id, _)| id).collect();
        assert_eq!(visited.len(), self.rest.visits.len(), "somebody is visited twice");
        assert!(self.rest.short.is_empty() || self.last >= self.ceiling, "a name lacks tokens, and there are some");
    }
}
