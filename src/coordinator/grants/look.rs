//! What the registry, tests and the simulation may see. Changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::lock::{Lock, Place};
use super::shape::Shape;
use super::{Grants, Live, Phase, all_of};
use crate::ident::{InstanceId, Request, Resource, Ticket, Token};
use crate::wire::message::{Abandoned, HolderRow, LockRow, Mode, WaiterRow};

/// Somebody who holds a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Who.
    pub who: InstanceId,
    /// By which request.
    pub request: Request,
    /// How.
    pub mode: Mode,
    /// Under which token.
    pub token: Token,
    /// When it was granted, in milliseconds since 1970.
    pub since: u64,
}

/// Somebody who waits for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiter {
    /// Who.
    pub who: InstanceId,
    /// By which request.
    pub request: Request,
    /// How.
    pub mode: Mode,
    /// The place it was promised, if it was.
    pub ticket: Option<Ticket>,
}

impl Grants {
    /// Whether grants are made.
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Whether grants can go to this one.
    pub fn is_ready(&self, id: InstanceId) -> bool {
        self.ready.contains(&id)
    }

    /// Whether this request waits.
    pub fn waits(&self, from: InstanceId, request: Request) -> bool {
        match self.phase {
            Phase::Collecting => self.window.waits(from, request),
            Phase::Closed | Phase::Open => self.live_of((from, request)).is_some_and(|live| live.place.is_some()),
        }
    }

    /// Whether this request holds or waits. Not while claims are collected.
    pub fn knows(&self, from: InstanceId, request: Request) -> bool {
        self.live_of((from, request)).is_some()
    }

    /// The names that somebody holds or waits for. None while claims are collected.
    pub fn names(&self) -> impl Iterator<Item = &Resource> {
        self.locks.keys()
    }

    /// Who holds the name, by id.
    pub fn holders(&self, name: &Resource) -> impl Iterator<Item = Holder> {
        self.locks.get(name).into_iter().flat_map(Lock::holders).map(|(&(who, request), holding)| Holder {
            who,
            request,
            mode: holding.mode,
            token: holding.token,
            since: holding.since,
        })
    }

    /// Who waits for the name, first in line first.
    pub fn waiters(&self, name: &Resource) -> impl Iterator<Item = Waiter> {
        self.locks.get(name).into_iter().flat_map(Lock::queue).map(|(place, waiting)| Waiter {
            who: waiting.key.0,
            request: waiting.key.1,
            mode: waiting.mode,
            ticket: match place {
                Place::Told(ticket, _) => Some(*ticket),
                Place::Untold(_) => None,
            },
        })
    }

    /// Who keeps this request of `from` from being granted: at most so many of those of whom `lives` does not know. None, if
    /// those who live suffice for that. `None` if the request does not wait, or was never told a place.
    ///
    /// First those who hold, then those who wait ahead: where the holder lives, nobody has to look at a thousand waiters.
    pub fn in_the_way(
        &self,
        from: InstanceId,
        request: Request,
        lives: impl Fn(InstanceId) -> bool,
        most: usize,
    ) -> Option<BTreeSet<InstanceId>> {
        let live = self.live_of((from, request)).filter(|_| self.phase == Phase::Open)?;
        let place = live.place.filter(|place| matches!(place, Place::Told(..)))?;
        self.locks.get(&live.name)?.in_the_way(place, lives, most)
    }

    /// What the instance holds.
    pub fn held_by(&self, id: InstanceId) -> impl Iterator<Item = (&Resource, Holder)> {
        self.live.range(all_of(id)).filter_map(move |(key, live)| {
            let holding = self.locks.get(&live.name)?.holding(*key)?;
            Some((
                &live.name,
                Holder { who: id, request: key.1, mode: holding.mode, token: holding.token, since: holding.since },
            ))
        })
    }

    /// What is held and waited for behind this name, by name: a whole number of names, with about so many holders and
    /// waiters.
    pub fn rows(&self, after: Option<&Resource>, count: usize) -> Vec<LockRow> {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rows = Vec::new();
        let mut size = 0;
        for (name, lock) in self.locks.range::<Resource, _>((after, Bound::Unbounded)) {
            if size >= count {
                break;
            }
            size += lock.len();
            rows.push(self.row(name));
        }
        rows
    }

    fn row(&self, name: &Resource) -> LockRow {
        let holder =
            |holder: Holder| HolderRow { who: holder.who, mode: holder.mode, token: holder.token, since: holder.since };
        let mut holders: Vec<_> = self.holders(name).map(holder).collect();
        holders.sort_unstable_by_key(|holder| holder.token);
        let waiters = self.waiters(name).map(|waiter| WaiterRow { who: waiter.who, mode: waiter.mode }).collect();
        LockRow { name: name.clone(), limit: self.limit(name), holders, waiters }
    }

    /// What the next grant of the name would say of the owner before.
    pub fn abandoned(&self, name: &Resource) -> Abandoned {
        self.locks.get(name).map_or_else(|| self.flags.of(name), Lock::flag)
    }

    /// How many permits the name has: as set, or as named by the request that created it while anybody holds or waits.
    pub fn limit(&self, name: &Resource) -> Option<u32> {
        match self.locks.get(name).map(Lock::shape) {
            Some(Shape::Semaphore { limit }) => Some(limit),
            Some(Shape::Lock) => None,
            None => self.limits.get(name).copied(),
        }
    }

    /// Panics with a sentence if the grants contradict themselves. For tests, simulation and fuzzing.
    pub fn check_invariants(&self) {
        self.flags.check_invariants();
        self.check_rest();
        let collecting = self.phase == Phase::Collecting;
        assert!(
            !collecting || self.locks.is_empty() && self.live.is_empty(),
            "there are locks before the window closed"
        );
        assert!(collecting || self.window.is_empty(), "there are claims after the window closed");
        let mut requests = 0;
        for (name, lock) in &self.locks {
            assert!(
                !lock.is_idle() || self.rest.concerns(name),
                "{name} is kept though nobody holds it or waits for it"
            );
            lock.check_invariants(name, self.rest.is_narrowed(name));
            if self.phase == Phase::Open && self.last < self.ceiling && !self.rest.concerns(name) {
                lock.check_settled(name);
            }
            assert!(!self.flags.keeps(name), "{name} has a flag besides that of its lock");
            requests += lock.len();
            for (key, holding) in lock.holders() {
                let expected = Live { name: name.clone(), place: None };
                assert_eq!(self.live.get(key), Some(&expected), "a holder of {name} is not a live request");
                assert!(holding.token.number() <= self.last, "{name} is held under a token not yet given");
            }
            for (place, waiting) in lock.queue() {
                let expected = Live { name: name.clone(), place: Some(*place) };
                assert_eq!(self.live.get(&waiting.key), Some(&expected), "a waiter of {name} is not a live request");
                let ready = self.ready.contains(&waiting.key.0);
                let settled = lock.is_ready(*place) == ready || self.rest.is_visited(waiting.key.0);
                assert!(settled, "{name} is wrong about who is ready");
                if let Place::Told(ticket, _) = place {
                    let newest = Ticket { epoch: self.epoch, n: self.tickets };
                    assert!(*ticket <= newest, "{name} has a promised place of a later reign");
                }
            }
        }
        assert_eq!(requests, self.live.len(), "there are live requests that neither hold nor wait");
        let mut counts = BTreeMap::new();
        self.live.keys().for_each(|(id, _)| *counts.entry(*id).or_default() += 1);
        assert_eq!(self.counts, counts, "what instances have is miscounted");
    }
}
