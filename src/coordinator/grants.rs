//! All locks of one reign, decided at the supervisor.
//!
//! Requests, claims and ends of members go in; [`Grants::take_told`] gives what the members have to be told. Owns no
//! socket, thread, lock, clock or randomness, and never refuses a call: what members say is theirs to choose, so every
//! sequence of calls with any ids and numbers is harmless.
//!
//! A reign's grants pass through three phases. *Collecting*, while the window is open: claims and requests are noted.
//! *Closed*, from [`Grants::close`]: claims were judged and are holdings, nothing is granted yet. *Open*, from
//! [`Grants::open`].
//!
//! # Order
//!
//! First come, first served. The queue of a name has the promised places first, by ticket, then those not told yet, in
//! order of arrival. Only waiters that are not ready (set aside, paused, hung) are passed over, and a waiter who
//! becomes ready before it was ever told a place gets the last one of that moment. A shared request waits behind every
//! ready waiter, so writers are not starved; permits that do not fit block those behind them, so that who wants many is
//! not starved by those who want few.
//! A ticket counts only among the claims of the window, and only if it is of an earlier reign: later it could only take
//! a place that was promised to somebody else meanwhile.
//!
//! # Tokens
//!
//! One counter for all names. At most [`STEP`](super::numbers::STEP) tokens are given above a base, because the base of the next reign
//! may be just that much higher; when they are used up nothing is granted before everybody was told a higher base:
//! [`Grants::is_short`], [`Grants::raise`].
//!
//! # What became of the owner before
//!
//! A flag per name, which is never clean by mistake:
//!
//! | the holding ended | the flag |
//! |---|---|
//! | by a release, exclusive | clean |
//! | by a release, permits | clean if the holder was told of the flag as it stands; otherwise as it was |
//! | by a decline | as it was |
//! | abandoned, not claimed by a member that is back, or because the holder left | unknown if it was clean: it may have stopped in the middle |
//! | because the holder failed or forfeited | died |
//! | in any of these ways, shared | as it was: a holder that could only read repairs nothing and leaves nothing half done |
//!
//! Flags do not survive their reign. A name that was held or claimed across the change begins as unknown, and only an
//! exclusive holder vouches for it: it was alone, so its release says that all is well. Somebody who shares or has some
//! of the permits cannot know about the others. Names without claims begin as unknown if the reign before failed, if
//! the window was closed by its limit, or if a claim was forgotten in it; otherwise as clean.

mod back;
mod flags;
#[doc(hidden)]
pub mod fuzzing;
mod live;
mod lock;
mod look;
mod shape;
mod slices;
mod tokens;
mod window;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use self::flags::Flags;
use self::live::Live;
use self::lock::{End, Key, Lock, Place};
pub use self::look::{Holder, Waiter};
use self::shape::{Shape, misfit, same};
use self::slices::Rest;
use self::window::Window;
use super::rules::Rules;
use crate::ident::{Epoch, InstanceId, Request, Resource, Ticket, Token};
use crate::wire::message::{Grant, Mode, Queued, ToMember, Want};

/// Something that a member has to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Whom.
    pub to: InstanceId,
    /// What: `Queued`, `Grant`, `Token`, `Lost` or `Denied`.
    pub what: ToMember,
}

/// All locks of one reign. See the [module](self).
#[derive(Clone, Debug, PartialEq)]
pub struct Grants {
    phase: Phase,
    /// What was said while collecting; empty afterwards.
    window: Window,
    /// The names that somebody holds or waits for; empty while collecting.
    locks: BTreeMap<Resource, Lock>,
    /// Every request that holds or waits, exactly once.
    live: BTreeMap<Key, Live>,
    /// How many of them each instance has, if it has any.
    counts: BTreeMap<InstanceId, usize>,
    /// The names that nobody holds or waits for.
    flags: Flags,
    /// The limits that were set by [`Grants::resize`]. As bounded as the state that the caller takes them from.
    limits: BTreeMap<Resource, u32>,
    /// Who can take a grant.
    ready: BTreeSet<InstanceId>,
    epoch: Epoch,
    /// The last token given; never above `ceiling`.
    last: u64,
    ceiling: u64,
    rules: Rules,
    /// The last ticket of this reign.
    tickets: u64,
    /// How many requests have come.
    arrivals: u64,
    /// The time, in milliseconds since 1970.
    now: u64,
    /// What the inputs so far have left to be done.
    rest: Rest,
    told: Vec<Told>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Collecting,
    Closed,
    Open,
}

impl Default for Grants {
    fn default() -> Self {
        Self::new()
    }
}

impl Grants {
    /// The grants of a reign that begins: claims are collected, nothing is granted.
    pub const fn new() -> Self {
        Self {
            phase: Phase::Collecting,
            window: Window::new(),
            locks: BTreeMap::new(),
            live: BTreeMap::new(),
            counts: BTreeMap::new(),
            flags: Flags::new(),
            limits: BTreeMap::new(),
            ready: BTreeSet::new(),
            epoch: Epoch::new(0),
            last: 0,
            ceiling: 0,
            rules: Rules::ALL,
            tickets: 0,
            arrivals: 0,
            now: 0,
            rest: Rest::new(),
            told: Vec::new(),
        }
    }

    /// Says what time it is: what is granted from now on is granted then. Milliseconds since 1970. Decides nothing.
    pub const fn set_time(&mut self, now: u64) {
        self.now = now;
    }

    /// Begins to grant: call it when `Opened` was written to everyone. Waiters that are ready are granted or told their
    /// places. Does nothing unless the grants are closed.
    pub fn open(&mut self) {
        if self.phase == Phase::Closed {
            self.phase = Phase::Open;
            self.settle_rest();
        }
    }

    /// `from` asks for something. Before [`Grants::open`] the request is only queued.
    ///
    /// A repetition of a live request is ignored. [`ToMember::Denied`] answers what can never be granted: permits above
    /// the limit or none at all, a mode that does not go with the kind, and a request number that is in use for something
    /// else. The limit that a mode names counts only for the first request of the name, and only if none was set by
    /// [`Grants::resize`].
    pub fn acquire(&mut self, from: InstanceId, want: Want) {
        self.finish_end(from);
        let (request, name) = (want.request, want.name.clone());
        self.catch_up(&name);
        let answer = match self.phase {
            Phase::Collecting => self.window.ask(from, want, None),
            Phase::Closed | Phase::Open => {
                let place = self.arrival();
                self.enqueue(from, want, place)
            }
        };
        if let Err(reason) = answer {
            self.deny(from, request, reason);
        }
        self.settle(&name);
    }

    /// `from` waits no more. A request that was granted meanwhile stays granted: its owner declines it.
    pub fn cancel(&mut self, from: InstanceId, request: Request) {
        if self.phase == Phase::Collecting {
            self.window.cancel(from, request);
        } else if let Some(place) = self.live_of((from, request)).and_then(|live| live.place) {
            let name = self.unqueue((from, request), place);
            self.settle_all(name);
        }
    }

    /// `from` asks how its request stands: if it waits, its place is told again, with how many are ahead now and who
    /// holds. Counts them all, so it is for those who ask seldom.
    pub fn inquire(&mut self, from: InstanceId, request: Request) {
        if self.phase != Phase::Open {
            return;
        }
        let waiting = |grants: &Self| {
            let live = grants.live_of((from, request))?;
            Some((live.name.clone(), live.place?))
        };
        let Some((name, _)) = waiting(self) else { return };
        self.catch_up(&name);
        let Some((name, place)) = waiting(self) else { return };
        // Who was never told a place is not ready, and is told one when it is.
        if let (Place::Told(ticket, _), Some(lock)) = (place, self.locks.get(&name)) {
            let (ahead, holder) = (lock.ahead(place), lock.eldest());
            self.told.push(Told { to: from, what: ToMember::Queued(Queued { request, ticket, ahead, holder }) });
        }
    }

    /// `from` took the grant and is done with it. Nothing happens unless it holds.
    pub fn release(&mut self, from: InstanceId, request: Request) {
        self.give_back((from, request), End::Released);
    }

    /// `from` took the grant and ends it in the middle of its work. Nothing happens unless it holds.
    pub fn abandon(&mut self, from: InstanceId, request: Request) {
        self.give_back((from, request), End::Abandoned);
    }

    /// `from` gives back a grant that nobody waited for. Nothing happens unless it holds.
    pub fn decline(&mut self, from: InstanceId, request: Request) {
        let end = if self.rules.decline_keeps_the_flag { End::Declined } else { End::Released };
        self.give_back((from, request), end);
    }

    /// Says whether the instance is connected and active, so that it can take grants. One that is not, because it is
    /// set aside, paused or hung, keeps what it holds and its places, and is passed over. An instance of which this was
    /// never said is not ready.
    pub fn set_ready(&mut self, id: InstanceId, ready: bool) {
        if ready {
            self.finish_end(id);
        }
        let changed = if ready { self.ready.insert(id) } else { self.ready.remove(&id) };
        // Also when it is ready no more: those behind it may fit now.
        match self.phase {
            _ if !changed => {}
            // Nobody is granted anything yet, and when that begins all have to be in their places.
            Phase::Closed => self.visit_all(id),
            Phase::Collecting | Phase::Open => self.begin_visit(id),
        }
    }

    /// The entry of the instance has ended: all it waited for is gone and all it held is freed, in slices if that is much
    /// ([`Grants::is_behind`]); it gets nothing from here on. `died`: it failed or was evicted, and did not leave.
    pub fn end(&mut self, id: InstanceId, died: bool) {
        let end = if died { End::Died } else { End::Left };
        if self.phase == Phase::Collecting {
            self.ready.remove(&id);
            self.window.end(id, end);
        } else {
            self.begin_end(id, end);
        }
    }

    /// Forgets what the instance claimed and asked for, because it forfeited, left, or comes again. After the window
    /// this is the end of all it holds and waits for, as if it had left.
    pub fn forget(&mut self, from: InstanceId) {
        if self.phase == Phase::Collecting {
            self.window.forget(from);
        } else {
            let ready = self.ready.contains(&from);
            self.begin_end(from, End::Left);
            if ready {
                self.set_ready(from, true);
            }
        }
    }

    /// Sets how many permits a name has, for the whole reign. Holders keep theirs even when that is fewer than are in
    /// use; a waiter that can never be granted is denied.
    pub fn resize(&mut self, name: &Resource, limit: u32) {
        self.limits.insert(name.clone(), limit);
        if let Some(lock) = self.locks.get_mut(name) {
            lock.resize(limit);
            self.begin_narrowing(name);
        }
    }

    /// What the members have to be told, in the order in which it was decided.
    pub fn take_told(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.told)
    }

    /// The place of a request that comes now.
    const fn arrival(&mut self) -> Place {
        self.arrivals += 1;
        Place::Untold(self.arrivals)
    }

    /// Queues a request, or says why it cannot be.
    fn enqueue(&mut self, from: InstanceId, want: Want, place: Place) -> Result<(), String> {
        let key = (from, want.request);
        if let Some(live) = self.live.get(&key) {
            let known = self.mode_of(key, live).is_some_and(|mode| live.name == want.name && same(mode, want.mode));
            return if known { Ok(()) } else { Err(in_use(want.request)) };
        }
        if let Some(reason) = misfit(want.name.kind, want.mode) {
            return Err(reason);
        }
        let created = self.shape_for(&want.name, want.mode);
        let shape = self.locks.get(&want.name).map_or(created, Lock::shape);
        if let Some(reason) = shape.refuses(want.mode) {
            return Err(reason);
        }
        if let Some(reason) = self.has_too_much(from) {
            return Err(reason);
        }
        let ready = self.ready.contains(&from);
        let flags = &mut self.flags;
        let lock = self.locks.entry(want.name.clone()).or_insert_with_key(|name| Lock::new(shape, flags.take(name)));
        lock.push(place, key, want.mode, ready);
        self.enter(key, Live { name: want.name, place: Some(place) });
        Ok(())
    }

    /// What a name becomes when this mode, which goes with its kind, is the first.
    fn shape_for(&self, name: &Resource, mode: Mode) -> Shape {
        match (Shape::of(mode), self.limits.get(name)) {
            (Shape::Semaphore { .. }, Some(&limit)) => Shape::Semaphore { limit },
            (shape, _) => shape,
        }
    }

    /// How a live request holds or waits.
    fn mode_of(&self, key: Key, live: &Live) -> Option<Mode> {
        let lock = self.locks.get(&live.name)?;
        match live.place {
            None => lock.holding(key).map(|holding| holding.mode),
            Some(place) => lock.waiting(place).map(|waiting| waiting.mode),
        }
    }

    /// Takes a waiter out of its queue and returns the name.
    fn unqueue(&mut self, key: Key, place: Place) -> Option<Resource> {
        let live = self.strike(key)?;
        self.locks.get_mut(&live.name)?.pull(place);
        Some(live.name)
    }

    fn give_back(&mut self, key: Key, end: End) {
        if self.phase == Phase::Collecting {
            self.window.give_back(key, end);
        } else if self.live_of(key).is_some_and(|live| live.place.is_none()) {
            let name = self.free(key, end);
            self.settle_all(name);
        }
    }

    /// Ends a holding and returns the name.
    fn free(&mut self, key: Key, end: End) -> Option<Resource> {
        let live = self.strike(key)?;
        self.locks.get_mut(&live.name)?.free(key, end);
        Some(live.name)
    }

    fn settle_all(&mut self, names: impl IntoIterator<Item = Resource>) {
        for name in names {
            self.settle(&name);
        }
    }

    /// Brings a name that was touched to rest: grants what can be granted, tells the others their places, and drops the
    /// name when nobody is left. What is more than a slice is left for later.
    fn settle(&mut self, name: &Resource) {
        self.settle_within(name, &mut self.rules.slice.clone());
    }

    /// The same, with what is left of a slice.
    fn settle_within(&mut self, name: &Resource, slice: &mut usize) {
        let Some(lock) = self.locks.get_mut(name) else { return };
        if self.phase == Phase::Open {
            // Those who can take nothing any more and whose requests were not visited since.
            let ready = &self.ready;
            let is_ready = |key: Key| ready.contains(&key.0);
            while lock.can_grant(slice, is_ready) {
                if self.last >= self.ceiling {
                    self.rest.short(name.clone());
                    break;
                }
                let token = Token::new(self.last + 1);
                let Some((key, abandoned)) = lock.grant(token, self.now) else { break };
                self.last += 1;
                *slice -= 1;
                if let Some(live) = self.live.get_mut(&key) {
                    live.place = None;
                }
                let what = ToMember::Grant(Grant { request: key.1, token, since: self.now, abandoned });
                self.told.push(Told { to: key.0, what });
            }
            // Looks at all holders, and so is done once.
            let holder = lock.eldest();
            while let Some(place) = lock.next_untold(slice, is_ready) {
                let next = Ticket { epoch: self.epoch, n: self.tickets + 1 };
                let Some((now, waiting, ahead)) = lock.tell(place, next) else { break };
                let Place::Told(ticket, _) = now else { break };
                self.tickets += u64::from(place != now);
                *slice -= 1;
                let (to, request) = waiting.key;
                if let Some(live) = self.live.get_mut(&waiting.key) {
                    live.place = Some(now);
                }
                self.told.push(Told { to, what: ToMember::Queued(Queued { request, ticket, ahead, holder }) });
            }
            if *slice == 0 {
                self.rest.unsettled(name.clone());
            }
        } else if self.phase == Phase::Closed && lock.is_waited_for() {
            self.rest.unsettled(name.clone());
        }
        if lock.is_idle()
            && let Some((name, lock)) = self.locks.remove_entry(name)
        {
            self.flags.put(name, lock.flag());
        }
    }

    fn deny(&mut self, to: InstanceId, request: Request, reason: String) {
        self.told.push(Told { to, what: ToMember::Denied(request, reason.into_boxed_str()) });
    }
}

/// The keys of all requests of one instance.
const fn all_of(id: InstanceId) -> std::ops::RangeInclusive<Key> {
    (id, Request::new(0))..=(id, Request::new(u64::MAX))
}

fn in_use(request: Request) -> String {
    format!("request {request} is in use for something else")
}
