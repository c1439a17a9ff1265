//! The rules once more, as plainly as possible: lists that are searched from the front, names that are never dropped.
//! Shares no code with what it is compared to, apart from the types of the wire.

use super::*;
use crate::wire::message;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct PlainHolder {
    pub(super) who: InstanceId,
    pub(super) want: Want,
    pub(super) token: u64,
    pub(super) since: u64,
    /// Whether its release says that all is well.
    pub(super) vouches: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct PlainWaiter {
    pub(super) who: InstanceId,
    pub(super) want: Want,
    pub(super) ticket: Option<Ticket>,
    /// Whether the ticket has reached it.
    pub(super) heard: bool,
}

#[derive(Clone, Debug)]
pub(super) struct PlainLock {
    pub(super) holders: Vec<PlainHolder>,
    pub(super) queue: Vec<PlainWaiter>,
    pub(super) flag: Abandoned,
    /// Nobody claimed the name in this reign's window.
    pub(super) unclaimed: bool,
    pub(super) limit: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Plain {
    pub(super) locks: BTreeMap<Resource, PlainLock>,
    pub(super) set: BTreeMap<Resource, u32>,
    pub(super) ready: Vec<InstanceId>,
    pub(super) told: Vec<Told>,
    pub(super) token: u64,
    pub(super) epoch: u64,
    pub(super) now: u64,
    ticket: u64,
    asked: Option<Vec<(InstanceId, Want)>>,
    open: bool,
}

/// How a holding ends, in the words of the caller.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Gone {
    Released,
    Declined,
    Abandoned,
    Left,
    Died,
}

impl Plain {
    pub(super) fn new(names: &[Resource]) -> Self {
        let lock = PlainLock { holders: vec![], queue: vec![], flag: Abandoned::Clean, unclaimed: true, limit: 0 };
        Self {
            locks: names.iter().map(|name| (name.clone(), lock.clone())).collect(),
            set: BTreeMap::new(),
            ready: vec![],
            told: vec![],
            token: 0,
            epoch: 0,
            now: 0,
            ticket: 0,
            asked: Some(vec![]),
            open: false,
        }
    }

    fn tell(&mut self, to: InstanceId, what: ToMember) {
        self.told.push(Told { to, what });
    }

    fn live(&self, who: InstanceId, request: Request) -> Option<Want> {
        self.locks.values().find_map(|lock| {
            let holder = lock.holders.iter().find(|h| h.who == who && h.want.request == request).map(|h| &h.want);
            let waiter = lock.queue.iter().find(|w| w.who == who && w.want.request == request).map(|w| &w.want);
            holder.or(waiter).cloned()
        })
    }

    /// The member's honest claims, by request.
    pub(super) fn claims(&self, who: InstanceId) -> (Vec<HeldClaim>, Vec<WantClaim>) {
        let (mut held, mut wants) = (vec![], vec![]);
        for lock in self.locks.values() {
            for holder in lock.holders.iter().filter(|h| h.who == who) {
                let (token, since) = (Token::new(holder.token), holder.since);
                held.push(HeldClaim { want: holder.want.clone(), token, since });
            }
            for waiter in lock.queue.iter().filter(|w| w.who == who) {
                let ticket = if waiter.heard { waiter.ticket } else { None };
                wants.push(WantClaim { want: waiter.want.clone(), ticket });
            }
        }
        held.sort_by_key(|claim| claim.want.request);
        wants.sort_by_key(|claim| claim.want.request);
        (held, wants)
    }

    /// A reign ends and the next one has heard the claims of `back`; of the others nothing is known.
    pub(super) fn succeed(&mut self, back: &[InstanceId], clean: bool) {
        for lock in self.locks.values_mut() {
            lock.holders.retain(|holder| back.contains(&holder.who));
            lock.queue.retain(|waiter| back.contains(&waiter.who));
            for waiter in &mut lock.queue {
                if !waiter.heard {
                    waiter.ticket = None;
                }
                waiter.heard = waiter.ticket.is_some();
            }
            let last = Ticket { epoch: Epoch::new(u64::MAX), n: 0 };
            lock.queue.sort_by_key(|w| match w.ticket {
                Some(ticket) => (ticket, None),
                None => (last, Some((w.who, w.want.request))),
            });
            lock.unclaimed = lock.holders.is_empty();
            lock.flag = if clean && lock.unclaimed { Abandoned::Clean } else { Abandoned::Unknown };
            for holder in &mut lock.holders {
                holder.vouches = holder.want.mode == X;
            }
            if let Some(first) = lock.holders.iter().min_by_key(|holder| holder.token)
                && let Mode::Permits { limit, .. } = first.want.mode
            {
                lock.limit = limit;
            }
        }
        (self.asked, self.open, self.ticket) = (Some(vec![]), false, 0);
    }

    /// The window forgets the member.
    pub(super) fn forfeit(&mut self, who: InstanceId) {
        for lock in self.locks.values_mut() {
            lock.holders.retain(|holder| holder.who != who);
            lock.queue.retain(|waiter| waiter.who != who);
            if lock.unclaimed {
                lock.flag = Abandoned::Unknown;
            }
        }
        self.asked.iter_mut().for_each(|asked| asked.retain(|(id, _)| *id != who));
    }

    pub(super) fn close(&mut self, epoch: u64, base: u64, limited: bool) {
        self.epoch = epoch;
        self.token = base;
        let asked = self.asked.take().unwrap_or_default();
        if limited {
            let mut order: Vec<(u64, Resource, usize)> = vec![];
            for (name, lock) in &self.locks {
                order.extend(lock.holders.iter().enumerate().map(|(at, holder)| (holder.token, name.clone(), at)));
            }
            order.sort();
            for (_, name, at) in order {
                self.token += 1;
                let token = self.token;
                let holder = &mut self.locks.get_mut(&name).expect("a name of the test").holders[at];
                holder.token = token;
                let (who, request) = (holder.who, holder.want.request);
                self.tell(who, ToMember::Token(request, Token::new(token)));
            }
        }
        for name in self.locks.keys().cloned().collect::<Vec<_>>() {
            let queue = std::mem::take(&mut self.locks.get_mut(&name).expect("a name of the test").queue);
            for waiter in queue {
                self.queue(waiter);
            }
        }
        for (who, want) in asked {
            self.queue(PlainWaiter { who, want, ticket: None, heard: false });
        }
    }

    pub(super) fn open(&mut self) {
        self.open = true;
        self.settle_all();
    }

    fn goes_with(kind: Kind, mode: Mode) -> bool {
        match mode {
            X => matches!(kind, Kind::Mutex | Kind::Once | Kind::RwLock),
            S => kind == Kind::RwLock,
            Mode::Permits { count, .. } => kind == Kind::Semaphore && count > 0,
        }
    }

    /// Queues or denies.
    fn queue(&mut self, waiter: PlainWaiter) {
        let (who, request) = (waiter.who, waiter.want.request);
        let name = waiter.want.name.clone();
        let set = self.set.get(&name).copied();
        let lock = self.locks.get_mut(&name).expect("a name of the test");
        let used = !lock.holders.is_empty() || !lock.queue.is_empty();
        let limit = match (set, used, waiter.want.mode) {
            (Some(limit), ..) => limit,
            (None, false, Mode::Permits { limit, .. }) => limit,
            _ => lock.limit,
        };
        let refused = match waiter.want.mode {
            mode if !Self::goes_with(name.kind, mode) => true,
            Mode::Permits { count, .. } => count > limit,
            _ => false,
        };
        if refused {
            self.tell(who, ToMember::Denied(request, "".into()));
        } else {
            lock.limit = limit;
            lock.queue.push(waiter);
        }
    }

    pub(super) fn acquire(&mut self, who: InstanceId, want: Want) {
        let request = want.request;
        let asked = self.asked.iter().flatten().find(|(id, want)| *id == who && want.request == request);
        if let Some(known) = self.live(who, request).or_else(|| asked.map(|(_, want)| want.clone())) {
            let limitless = |mode| match mode {
                Mode::Permits { count, .. } => permits(count, 0),
                mode => mode,
            };
            if known.name != want.name || limitless(known.mode) != limitless(want.mode) {
                self.tell(who, ToMember::Denied(request, "".into()));
            }
        } else if let Some(asked) = &mut self.asked {
            if Self::goes_with(want.name.kind, want.mode) {
                asked.push((who, want));
            } else {
                self.tell(who, ToMember::Denied(request, "".into()));
            }
        } else {
            self.queue(PlainWaiter { who, want, ticket: None, heard: false });
        }
        self.settle_all();
    }

    pub(super) fn cancel(&mut self, who: InstanceId, request: Request) {
        self.asked.iter_mut().for_each(|asked| asked.retain(|(id, want)| (*id, want.request) != (who, request)));
        for lock in self.locks.values_mut() {
            lock.queue.retain(|waiter| (waiter.who, waiter.want.request) != (who, request));
        }
        self.settle_all();
    }

    pub(super) fn free(&mut self, who: InstanceId, request: Request, gone: Gone) {
        for lock in self.locks.values_mut() {
            let mine = |holder: &PlainHolder| (holder.who, holder.want.request) == (who, request);
            let Some(at) = lock.holders.iter().position(mine) else { continue };
            let holder = lock.holders.remove(at);
            if holder.want.mode == S {
                continue;
            }
            match gone {
                Gone::Released if holder.vouches => lock.flag = Abandoned::Clean,
                Gone::Abandoned | Gone::Left if lock.flag == Abandoned::Clean => lock.flag = Abandoned::Unknown,
                Gone::Died => lock.flag = Abandoned::Died { who },
                _ => {}
            }
            if matches!(gone, Gone::Abandoned | Gone::Left | Gone::Died) {
                lock.holders.iter_mut().for_each(|other| other.vouches = false);
            }
        }
    }

    pub(super) fn give_back(&mut self, who: InstanceId, request: Request, gone: Gone) {
        self.free(who, request, gone);
        self.settle_all();
    }

    pub(super) fn set_ready(&mut self, who: InstanceId, ready: bool) {
        self.ready.retain(|id| *id != who);
        if ready {
            self.ready.push(who);
        }
        self.settle_all();
    }

    pub(super) fn end(&mut self, who: InstanceId, gone: Gone) {
        self.ready.retain(|id| *id != who);
        self.asked.iter_mut().for_each(|asked| asked.retain(|(id, _)| *id != who));
        for claim in self.claims(who).0 {
            self.free(who, claim.want.request, gone);
        }
        for lock in self.locks.values_mut() {
            lock.queue.retain(|waiter| waiter.who != who);
        }
        self.settle_all();
    }

    pub(super) fn back(&mut self, who: InstanceId, mut held: Vec<HeldClaim>, mut wants: Vec<WantClaim>) {
        let (holds, waits) = self.claims(who);
        for HeldClaim { want, token, .. } in holds {
            if let Some(at) = held.iter().position(|claim| claim.want == want) {
                if held.remove(at).token != token {
                    self.tell(who, ToMember::Token(want.request, token));
                }
            } else if let Some(at) = wants.iter().position(|claim| self.open && claim.want == want) {
                wants.remove(at);
                let lock = self.locks.get_mut(&want.name).expect("a name of the test");
                let flag = lock.flag;
                let holder = lock.holders.iter_mut().find(|h| h.who == who && h.want == want).expect("a holder");
                holder.vouches = holder.want.mode != S;
                let since = holder.since;
                self.tell(who, ToMember::Grant(Grant { request: want.request, token, since, abandoned: flag }));
            } else {
                self.free(who, want.request, Gone::Abandoned);
            }
        }
        for WantClaim { want, .. } in waits {
            let lock = self.locks.get_mut(&want.name).expect("a name of the test");
            let at = lock.queue.iter().position(|w| w.who == who && w.want == want).expect("a waiter");
            if let Some(claim) = wants.iter().position(|claim| claim.want == want) {
                if wants.remove(claim).ticket != lock.queue[at].ticket {
                    lock.queue[at].heard = false;
                }
            } else {
                lock.queue.remove(at);
            }
        }
        for claim in held {
            self.tell(who, ToMember::Lost(claim.want.request));
        }
        self.settle_all();
        for claim in wants {
            self.acquire(who, claim.want);
        }
    }

    pub(super) fn resize(&mut self, name: &Resource, limit: u32) {
        self.set.insert(name.clone(), limit);
        let lock = self.locks.get_mut(name).expect("a name of the test");
        lock.limit = limit;
        if self.asked.is_none() {
            for waiter in std::mem::take(&mut lock.queue) {
                self.queue(waiter);
            }
        }
        self.settle_all();
    }

    fn fits(lock: &PlainLock, mode: Mode) -> bool {
        match mode {
            Mode::Exclusive => lock.holders.is_empty(),
            Mode::Shared => lock.holders.iter().all(|holder| holder.want.mode == S),
            Mode::Permits { count, .. } => {
                let used: u32 = lock
                    .holders
                    .iter()
                    .map(|h| match h.want.mode {
                        Mode::Permits { count, .. } => count,
                        _ => 0,
                    })
                    .sum();
                used + count <= lock.limit
            }
        }
    }

    fn settle_all(&mut self) {
        if !self.open {
            return;
        }
        let ready = self.ready.clone();
        for lock in self.locks.values_mut() {
            while let Some(at) = lock.queue.iter().position(|waiter| ready.contains(&waiter.who)) {
                if !Self::fits(lock, lock.queue[at].want.mode) {
                    break;
                }
                let PlainWaiter { who, want, .. } = lock.queue.remove(at);
                self.token += 1;
                let token = Token::new(self.token);
                let since = self.now;
                let grant = Grant { request: want.request, token, since, abandoned: lock.flag };
                let vouches = want.mode != S;
                lock.holders.push(PlainHolder { who, want, token: self.token, since, vouches });
                self.told.push(Told { to: who, what: ToMember::Grant(grant) });
            }
            while let Some(at) = lock.queue.iter().position(|waiter| ready.contains(&waiter.who) && !waiter.heard) {
                let mut waiter = lock.queue.remove(at);
                let promised = lock.queue.iter().filter(|other| other.ticket.is_some()).count();
                let to = if waiter.ticket.is_some() { at } else { promised };
                let ticket = waiter.ticket.unwrap_or_else(|| {
                    self.ticket += 1;
                    Ticket { epoch: Epoch::new(self.epoch), n: self.ticket }
                });
                (waiter.ticket, waiter.heard) = (Some(ticket), true);
                let ahead = u32::try_from(to).expect("a short queue");
                let eldest = lock.holders.iter().min_by_key(|holder| holder.token);
                let holder = eldest.map(|holder| message::Holding { who: holder.who, since: holder.since });
                let queued = Queued { request: waiter.want.request, ticket, ahead, holder };
                self.told.push(Told { to: waiter.who, what: ToMember::Queued(queued) });
                lock.queue.insert(to, waiter);
            }
        }
    }
}
