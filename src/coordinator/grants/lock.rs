//! One name: who holds it, who waits for it, and what became of the owner before.
//!
//! Knows no other name, assigns no token and tells nobody anything.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::shape::{Shape, misfit, permits};
use crate::ident::{InstanceId, Kind, Request, Resource, Ticket, Token};
use crate::wire::message::{self, Abandoned, Grant, Mode};

/// A request of the whole group: request numbers are per instance.
pub(super) type Key = (InstanceId, Request);

/// A place in the queue. The number behind it is the order of arrival, which also keeps equal tickets apart: members
/// claim tickets, and two of them may claim the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// Promised to the waiter.
    Told(Ticket, u64),
    /// Behind every promised place, because no promise is broken by that.
    Untold(u64),
}

/// How a holding ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By the holder, which took the grant and is done.
    Released,
    /// Nobody took the grant.
    Declined,
    /// By the holder, in the middle of its work, or in a way that it did not say.
    Abandoned,
    /// The holder left, or is not heard of again, and said nothing of what it held.
    Left,
    /// The holder failed or forfeited.
    Died,
}

/// A grant that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holding {
    pub(super) mode: Mode,
    pub(super) token: Token,
    /// When it was granted, in milliseconds since 1970.
    pub(super) since: u64,
    /// The value of [`Lock::marks`] of which the holder was told with its grant.
    heard: u64,
}

/// A request that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) key: Key,
    pub(super) mode: Mode,
    /// Whether the waiter knows its place.
    told: bool,
}

/// One name. It exists only while somebody holds or waits.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lock {
    shape: Shape,
    holders: BTreeMap<Key, Holding>,
    /// An exclusive holder is the only one.
    exclusive: bool,
    /// The sum of the permits of all holders.
    used: u64,
    queue: BTreeMap<Place, Waiting>,
    /// The places whose waiters can take a grant now: a release looks only at these, however many are passed over.
    ready: BTreeSet<Place>,
    /// The ready places whose waiters do not know them.
    untold: BTreeSet<Place>,
    /// How many places are [`Place::Told`].
    promised: u32,
    flag: Abandoned,
    /// How often the flag was set: a release clears only a flag that the holder was told of.
    marks: u64,
}

impl Lock {
    /// A name without holder and waiter.
    pub(super) const fn new(shape: Shape, flag: Abandoned) -> Self {
        Self {
            shape,
            holders: BTreeMap::new(),
            exclusive: false,
            used: 0,
            queue: BTreeMap::new(),
            ready: BTreeSet::new(),
            untold: BTreeSet::new(),
            promised: 0,
            flag,
            marks: 1,
        }
    }

    pub(super) const fn shape(&self) -> Shape {
        self.shape
    }

    pub(super) const fn flag(&self) -> Abandoned {
        self.flag
    }

    pub(super) fn is_idle(&self) -> bool {
        self.holders.is_empty() && self.queue.is_empty()
    }

    pub(super) fn holding(&self, key: Key) -> Option<&Holding> {
        self.holders.get(&key)
    }

    pub(super) fn waiting(&self, place: Place) -> Option<&Waiting> {
        self.queue.get(&place)
    }

    pub(super) fn holders(&self) -> impl Iterator<Item = (&Key, &Holding)> {
        self.holders.iter()
    }

    /// Who has held it for longest: the holder under the lowest token.
    pub(super) fn eldest(&self) -> Option<message::Holding> {
        let (key, holding) = self.holders.iter().min_by_key(|(_, holding)| holding.token)?;
        Some(message::Holding { who: key.0, since: holding.since })
    }

    pub(super) fn queue(&self) -> impl Iterator<Item = (&Place, &Waiting)> {
        self.queue.iter()
    }

    /// Makes a claim a holding. What its holder was told of the owner before is not known here.
    pub(super) fn confirm(&mut self, key: Key, mode: Mode, token: Token, since: u64) {
        self.hold(key, Holding { mode, token, since, heard: 0 });
    }

    fn hold(&mut self, key: Key, holding: Holding) {
        match holding.mode {
            Mode::Exclusive => self.exclusive = true,
            Mode::Shared => {}
            Mode::Permits { count, .. } => self.used += u64::from(count),
        }
        self.holders.insert(key, holding);
    }

    /// Gives a holding another token.
    pub(super) fn reissue(&mut self, key: Key, token: Token) {
        if let Some(holding) = self.holders.get_mut(&key) {
            holding.token = token;
        }
    }

    /// The holder is told of its grant a second time, with the flag as it is now.
    pub(super) fn repeat(&mut self, key: Key) -> Option<Grant> {
        let holding = self.holders.get_mut(&key)?;
        holding.heard = self.marks;
        Some(Grant { request: key.1, token: holding.token, since: holding.since, abandoned: self.flag })
    }

    /// Ends a holding and does with the flag what follows from the way it ended.
    pub(super) fn free(&mut self, key: Key, end: End) {
        let Some(holding) = self.holders.remove(&key) else { return };
        match holding.mode {
            Mode::Exclusive => self.exclusive = false,
            Mode::Shared => {}
            Mode::Permits { count, .. } => self.used -= u64::from(count),
        }
        if holding.mode == Mode::Shared {
            // A holder that could only read repairs nothing and leaves nothing half done.
            return;
        }
        match end {
            End::Released => {
                // An exclusive holder was alone, so whatever was wrong with the owners before was told to it, here or in
                // an earlier reign.
                if holding.mode == Mode::Exclusive || holding.heard == self.marks {
                    self.flag = Abandoned::Clean;
                }
            }
            End::Declined => {}
            End::Abandoned | End::Left => {
                self.marks += 1;
                if self.flag == Abandoned::Clean {
                    self.flag = Abandoned::Unknown;
                }
            }
            End::Died => {
                self.marks += 1;
                self.flag = Abandoned::Died { who: key.0 };
            }
        }
    }

    /// Puts a request into the queue. It knows its place if that is a promised one.
    pub(super) fn push(&mut self, place: Place, key: Key, mode: Mode, ready: bool) {
        let told = matches!(place, Place::Told(..));
        self.promised += u32::from(told);
        self.queue.insert(place, Waiting { key, mode, told });
        self.set_ready(place, ready);
    }

    /// Takes a request out of the queue.
    pub(super) fn pull(&mut self, place: Place) -> Option<Waiting> {
        let waiting = self.queue.remove(&place)?;
        self.promised -= u32::from(matches!(place, Place::Told(..)));
        self.ready.remove(&place);
        self.untold.remove(&place);
        Some(waiting)
    }

    /// Says whether the waiter can take a grant now.
    pub(super) fn set_ready(&mut self, place: Place, ready: bool) {
        let Some(waiting) = self.queue.get(&place) else { return };
        if ready {
            self.ready.insert(place);
        } else {
            self.ready.remove(&place);
        }
        if ready && !waiting.told {
            self.untold.insert(place);
        } else {
            self.untold.remove(&place);
        }
    }

    /// What the waiter was told did not reach it: it has to be told again.
    pub(super) fn untell(&mut self, place: Place) {
        if let Some(waiting) = self.queue.get_mut(&place) {
            waiting.told = false;
            if self.ready.contains(&place) {
                self.untold.insert(place);
            }
        }
    }

    /// Grants to the first who can take it, if it fits: nobody overtakes a ready waiter.
    pub(super) fn grant(&mut self, token: Token, since: u64) -> Option<(Key, Abandoned)> {
        let place = *self.ready.first()?;
        let mode = self.queue.get(&place)?.mode;
        if !self.fits(mode) {
            return None;
        }
        let waiting = self.pull(place)?;
        self.hold(waiting.key, Holding { mode, token, since, heard: self.marks });
        Some((waiting.key, self.flag))
    }

    fn fits(&self, mode: Mode) -> bool {
        match (mode, self.shape) {
            (Mode::Exclusive, _) => self.holders.is_empty(),
            (Mode::Shared, _) => !self.exclusive,
            (Mode::Permits { count, .. }, Shape::Semaphore { limit }) => {
                self.used + u64::from(count) <= u64::from(limit)
            }
            (Mode::Permits { .. }, Shape::Lock) => false,
        }
    }

    /// The first waiter that counts as ready, or as ready and untold. One that is so no more does not count from here on,
    /// and takes one of the slice. `None`: there is none, or the slice is used up.
    fn first_ready(
        &mut self,
        slice: &mut usize,
        untold: bool,
        is_ready: impl Fn(Key) -> bool,
    ) -> Option<(Place, Mode)> {
        while *slice > 0 {
            let places = if untold { &self.untold } else { &self.ready };
            let place = *places.first()?;
            let waiting = self.queue.get(&place)?;
            if is_ready(waiting.key) {
                return Some((place, waiting.mode));
            }
            self.set_ready(place, false);
            *slice -= 1;
        }
        None
    }

    /// Whether the first waiter that can take a grant fits.
    pub(super) fn can_grant(&mut self, slice: &mut usize, is_ready: impl Fn(Key) -> bool) -> bool {
        self.first_ready(slice, false, is_ready).is_some_and(|(_, mode)| self.fits(mode))
    }

    /// A ready waiter that does not know its place, the first of them.
    pub(super) fn next_untold(&mut self, slice: &mut usize, is_ready: impl Fn(Key) -> bool) -> Option<Place> {
        Some(self.first_ready(slice, true, is_ready)?.0)
    }

    pub(super) fn is_waited_for(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Marks the waiter as told and returns where it is now, who it is, and how many are ahead. An untold place becomes
    /// the last of the promised ones, under `ticket`; a promised one stays what it is.
    pub(super) fn tell(&mut self, place: Place, ticket: Ticket) -> Option<(Place, Waiting, u32)> {
        let (now, ahead) = match place {
            Place::Told(..) => (place, self.ahead(place)),
            // Everything promised so far has a smaller ticket, so nobody needs to be counted.
            Place::Untold(arrival) => (Place::Told(ticket, arrival), self.promised),
        };
        let mut waiting = self.pull(place)?;
        waiting.told = true;
        self.promised += 1;
        self.queue.insert(now, waiting);
        self.ready.insert(now);
        Some((now, waiting, ahead))
    }

    /// How many places are before this one.
    pub(super) fn ahead(&self, place: Place) -> u32 {
        u32::try_from(self.queue.range(..place).count()).unwrap_or(u32::MAX)
    }

    /// Who keeps this waiter from being granted; see [`Grants::in_the_way`](super::Grants::in_the_way).
    pub(super) fn in_the_way(
        &self,
        place: Place,
        lives: impl Fn(InstanceId) -> bool,
        most: usize,
    ) -> Option<BTreeSet<InstanceId>> {
        let mode = self.waiting(place)?.mode;
        let is_in_the_way = |other: &(InstanceId, Mode)| (mode, other.1) != (Mode::Shared, Mode::Shared);
        let mut holders = self.holders.iter().map(|(key, holding)| (key.0, holding.mode)).filter(is_in_the_way);
        let ahead = self.ready.range(..place).filter_map(|ahead| self.waiting(*ahead));
        let mut ahead = ahead.map(|waiting| (waiting.key.0, waiting.mode)).filter(is_in_the_way);
        // What is left when everyone who lives has what it wants; a lock has room for nobody else.
        let mut room = match self.shape {
            Shape::Semaphore { limit } => u64::from(limit).checked_sub(permits(mode)),
            Shape::Lock => Some(0),
        };
        for others in [&mut holders as &mut dyn Iterator<Item = _>, &mut ahead] {
            let mut unknown = BTreeSet::new();
            for (who, mode) in others {
                if lives(who) {
                    room = room.and_then(|room| room.checked_sub(permits(mode).max(1)));
                } else if unknown.len() < most {
                    unknown.insert(who);
                }
                if room.is_none() {
                    return Some(BTreeSet::new());
                }
            }
            if !unknown.is_empty() {
                return Some(unknown);
            }
        }
        Some(BTreeSet::new())
    }

    /// Changes the limit of a semaphore. What waits for more than that is still to be denied.
    pub(super) const fn resize(&mut self, to: u32) {
        if let Shape::Semaphore { limit } = &mut self.shape {
            *limit = to;
        }
    }

    /// The waiters before a place, the last one first.
    pub(super) fn places_before(&self, before: Option<Place>) -> impl Iterator<Item = (Place, Waiting)> {
        let before = before.map_or(Bound::Unbounded, Bound::Excluded);
        self.queue.range((Bound::Unbounded, before)).rev().map(|(place, waiting)| (*place, *waiting))
    }

    /// Panics if the parts contradict each other.
    pub(super) fn check_invariants(&self, name: &Resource, is_narrowed: bool) {
        assert_eq!(
            matches!(self.shape, Shape::Semaphore { .. }),
            name.kind == Kind::Semaphore,
            "{name} is shared out in a way that does not go with its kind"
        );
        let exclusive = self.holders.values().any(|holding| holding.mode == Mode::Exclusive);
        assert_eq!(self.exclusive, exclusive, "{name} is wrong about an exclusive holder");
        assert!(!exclusive || self.holders.len() == 1, "{name} has an exclusive holder and another one");
        let used: u64 = self.holders.values().map(|holding| permits(holding.mode)).sum();
        assert_eq!(self.used, used, "{name} counts its permits wrongly");
        for holding in self.holders.values() {
            assert_eq!(
                misfit(name.kind, holding.mode),
                None,
                "{name} is held in a mode that does not go with its kind"
            );
            assert!(holding.heard <= self.marks, "{name} has a holder that heard of a flag not yet set");
        }
        for (place, waiting) in &self.queue {
            let never = misfit(name.kind, waiting.mode).or_else(|| self.shape.refuses(waiting.mode));
            assert!(never.is_none() || is_narrowed, "{name} queues what it can never grant");
            assert!(
                waiting.told || !self.ready.contains(place) || self.untold.contains(place),
                "{name} forgets to tell"
            );
            assert!(!waiting.told || !self.untold.contains(place), "{name} tells a place twice");
        }
        assert!(self.untold.is_subset(&self.ready), "{name} tells somebody who is not ready");
        assert!(
            self.ready.iter().all(|place| self.queue.contains_key(place)),
            "{name} has a ready place without waiter"
        );
        let promised = self.queue.keys().filter(|place| matches!(place, Place::Told(..))).count();
        assert_eq!(self.promised as usize, promised, "{name} counts its promised places wrongly");
    }

    /// Panics unless everything was granted that can be, and told to everybody who can be told.
    pub(super) fn check_settled(&self, name: &Resource) {
        let stuck = self.ready.first().and_then(|place| self.queue.get(place)).filter(|first| self.fits(first.mode));
        assert_eq!(stuck, None, "{name} is free and somebody waits");
        assert!(self.untold.is_empty(), "{name} has a ready waiter that was not told its place");
    }

    /// Whether the waiter at this place counts as one that can take a grant.
    pub(super) fn is_ready(&self, place: Place) -> bool {
        self.ready.contains(&place)
    }

    /// How many hold and wait.
    pub(super) fn len(&self) -> usize {
        self.holders.len() + self.queue.len()
    }
}
