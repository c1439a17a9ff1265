//! What members claim while a window is open, and how it is judged when the window closes.
//!
//! What happens to a claim meanwhile (it is released, its owner dies) is noted at the claim and done after the judging:
//! the claim still proves that older ones which contradict it are stale.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::super::numbers;
use super::lock::{End, Key, Lock, Place};
use super::shape::{misfit, same};
use super::{Flags, Grants, Live, Phase, Told};
use crate::ident::{Epoch, InstanceId, Request, Resource, Ticket, Token};
use crate::wire::message::{HeldClaim, Mode, ToMember, Want, WantClaim};

/// Everything said while a window is open.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Window {
    members: BTreeMap<InstanceId, Said>,
    /// How many waits have come.
    arrivals: u64,
    /// The highest token of any claim, also of those forgotten since: what was granted once is never granted again.
    highest: Token,
    /// A claim to hold something was forgotten: some name may have been left in the middle of something.
    doubt: bool,
}

/// What one member said. No request is in both maps.
#[derive(Clone, Debug, Default, PartialEq)]
struct Said {
    held: BTreeMap<Request, Held>,
    wants: BTreeMap<Request, Asked>,
}

#[derive(Clone, Debug, PartialEq)]
struct Held {
    claim: HeldClaim,
    /// How the holding has ended since.
    end: Option<End>,
}

#[derive(Clone, Debug, PartialEq)]
struct Asked {
    claim: WantClaim,
    arrival: u64,
}

/// The claims that fit together, and the others.
struct Judged<'a> {
    kept: Vec<(Key, &'a Held)>,
    /// A later grant contradicts these.
    stale: Vec<(Key, &'a Held)>,
    /// Nobody was ever granted these.
    impossible: Vec<(Key, &'a Held)>,
}

impl Window {
    pub(super) const fn new() -> Self {
        Self { members: BTreeMap::new(), arrivals: 0, highest: Token::new(0), doubt: false }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn waits(&self, from: InstanceId, request: Request) -> bool {
        self.members.get(&from).is_some_and(|said| said.wants.contains_key(&request))
    }

    fn hold(&mut self, from: InstanceId, claim: HeldClaim) {
        self.highest = self.highest.max(claim.token);
        let held = &mut self.members.entry(from).or_default().held;
        held.entry(claim.want.request).or_insert(Held { claim, end: None });
    }

    /// Notes a wait, or says why it cannot be one.
    pub(super) fn ask(&mut self, from: InstanceId, want: Want, ticket: Option<Ticket>) -> Result<(), String> {
        // A request above the limit waits for the judging, because the limit may not be known yet.
        if let Some(reason) = misfit(want.name.kind, want.mode) {
            return Err(reason);
        }
        let said = self.members.entry(from).or_default();
        let held = said.held.get(&want.request).map(|held| &held.claim.want);
        if let Some(known) = held.or_else(|| said.wants.get(&want.request).map(|asked| &asked.claim.want)) {
            let repeated = known.name == want.name && same(known.mode, want.mode);
            return if repeated { Ok(()) } else { Err(super::in_use(want.request)) };
        }
        self.arrivals += 1;
        said.wants.insert(want.request, Asked { claim: WantClaim { want, ticket }, arrival: self.arrivals });
        Ok(())
    }

    pub(super) fn cancel(&mut self, from: InstanceId, request: Request) {
        if let Some(said) = self.members.get_mut(&from) {
            said.wants.remove(&request);
        }
    }

    pub(super) fn give_back(&mut self, (from, request): Key, end: End) {
        if let Some(held) = self.members.get_mut(&from).and_then(|said| said.held.get_mut(&request)) {
            held.end.get_or_insert(end);
        }
    }

    pub(super) fn end(&mut self, id: InstanceId, end: End) {
        let Some(said) = self.members.get_mut(&id) else { return };
        said.wants.clear();
        for held in said.held.values_mut() {
            held.end.get_or_insert(end);
        }
    }

    pub(super) fn forget(&mut self, from: InstanceId) {
        if let Some(said) = self.members.remove(&from) {
            self.doubt |= !said.held.is_empty();
        }
    }

    /// Judges the claims name by name, the highest token first. A claim is stale if a higher token contradicts it: that
    /// one was granted later, so the older holding had ended by then. This holds also if the higher one is stale
    /// itself.
    ///
    /// Permits never contradict each other. Their sum may exceed every limit that anybody names, because the limit may
    /// have been higher when they were granted: better to believe one too many than to take something from a member that
    /// did nothing wrong.
    ///
    /// A claim in a mode that does not go with the kind is lost and proves nothing: nobody was ever granted that.
    fn judge(&self) -> Judged<'_> {
        let mut names: BTreeMap<&Resource, Vec<(Key, &Held)>> = BTreeMap::new();
        for (id, said) in &self.members {
            for (request, held) in &said.held {
                names.entry(&held.claim.want.name).or_default().push(((*id, *request), held));
            }
        }
        let mut judged = Judged { kept: Vec::new(), stale: Vec::new(), impossible: Vec::new() };
        for (name, mut claims) in names {
            claims.sort_by_key(|(key, held)| (Reverse(held.claim.token), *key));
            let mut newest = None;
            let mut closed = false;
            for (key, held) in claims {
                let mode = held.claim.want.mode;
                if misfit(name.kind, mode).is_some() {
                    judged.impossible.push((key, held));
                    continue;
                }
                let fits = match (newest, mode) {
                    _ if closed => false,
                    (None, _)
                    | (Some(Mode::Shared), Mode::Shared)
                    | (Some(Mode::Permits { .. }), Mode::Permits { .. }) => true,
                    _ => false,
                };
                if fits {
                    newest.get_or_insert(mode);
                    judged.kept.push((key, held));
                } else {
                    closed = true;
                    judged.stale.push((key, held));
                }
            }
        }
        judged
    }
}

impl Grants {
    /// What a member claims to hold and to wait for, all of it: it replaces what the member has said before. After the
    /// window this is [`Grants::back`].
    ///
    /// Of two held claims under one number the first counts.
    pub fn claim(&mut self, from: InstanceId, held: Vec<HeldClaim>, wants: Vec<WantClaim>) {
        if self.phase != Phase::Collecting {
            self.back(from, held, wants);
            return;
        }
        let before = self.window.members.remove(&from).unwrap_or_default();
        for claim in held {
            self.window.hold(from, claim);
        }
        for WantClaim { want, ticket } in wants {
            let request = want.request;
            if let Err(reason) = self.window.ask(from, want, ticket) {
                self.deny(from, request, reason);
            }
        }
        let now = self.window.members.get(&from);
        let dropped = |request| !now.is_some_and(|said| said.held.contains_key(request));
        self.window.doubt |= before.held.keys().any(dropped);
    }

    /// Who claims something that a claim with a higher token contradicts: it was silent while that was granted, and
    /// forfeits everything. Call [`Grants::forget`] for each; the claims that are left fit together.
    pub fn conflicts(&self) -> BTreeSet<InstanceId> {
        let stale = self.window.judge().stale;
        stale.into_iter().filter(|(_, held)| !has_ended(held)).map(|((id, _), _)| id).collect()
    }

    /// The highest token that any claim of this window named.
    pub fn highest_token(&self) -> Token {
        self.window.highest
    }

    /// The window is closed: claims become holdings, tokens go on from `base`. Nothing is granted before
    /// [`Grants::open`]. Does nothing when called again.
    ///
    /// `limited`: the window was closed by its limit. Somebody who was not heard may hold a higher token than those who
    /// were, so every holding gets a fresh one, in the order of the old ones. `failure`: there
    /// was a reign before, or an owner that died may have been known; then names without a claim that vouches begin as
    /// unknown.
    ///
    /// A claim that still does not fit is told `Lost`, a wait that can never be granted `Denied`.
    pub fn close(&mut self, epoch: Epoch, base: Token, limited: bool, failure: bool) {
        if self.phase != Phase::Collecting {
            return;
        }
        self.phase = Phase::Closed;
        let window = std::mem::replace(&mut self.window, Window::new());
        self.epoch = epoch;
        self.arrivals = window.arrivals;
        self.last = base.max(window.highest).number();
        if failure || limited || window.doubt {
            self.flags.doubt();
        }
        let Judged { mut kept, stale, impossible } = window.judge();
        for ((to, request), held) in stale.into_iter().chain(impossible) {
            if held.end.is_none() {
                self.told.push(Told { to, what: ToMember::Lost(request) });
            }
        }
        // The oldest first: it is the nearest to the request that created the name.
        kept.sort_by_key(|(key, held)| (held.claim.token, *key));
        for (key, held) in &kept {
            self.confirm(*key, &held.claim);
        }
        for (key, held) in &kept {
            if let Some(end) = held.end {
                // Settled at once: a name that fell idle may be wanted in another way.
                let name = self.free(*key, end);
                self.settle_all(name);
            } else if limited {
                self.reissue(*key);
            }
        }
        // What was given so far everybody learns as the base.
        self.ceiling = self.ceiling_above(self.last);
        self.queue_up(window);
    }

    /// Makes a claim that was judged a holding.
    fn confirm(&mut self, key: Key, claim: &HeldClaim) {
        let want = &claim.want;
        let shape = self.shape_for(&want.name, want.mode);
        let lock = self.locks.entry(want.name.clone()).or_insert_with(|| Lock::new(shape, Flags::CLAIMED));
        lock.confirm(key, want.mode, claim.token, claim.since);
        self.enter(key, Live { name: want.name.clone(), place: None });
    }

    /// Gives a holding a fresh token.
    fn reissue(&mut self, key: Key) {
        let Some(lock) = self.live.get(&key).and_then(|live| self.locks.get_mut(&live.name)) else { return };
        self.last = self.last.saturating_add(1).min(numbers::END);
        let token = Token::new(self.last);
        lock.reissue(key, token);
        self.told.push(Told { to: key.0, what: ToMember::Token(key.1, token) });
    }

    /// Queues the waits that came during the window: those with a ticket in its order, then the others.
    fn queue_up(&mut self, window: Window) {
        let mut waits: Vec<(Place, InstanceId, Want)> = Vec::new();
        for (id, said) in window.members {
            for Asked { claim, arrival } in said.wants.into_values() {
                // A ticket of this reign or a later one was given by nobody.
                let place = match claim.ticket.filter(|ticket| ticket.epoch < self.epoch) {
                    Some(ticket) => Place::Told(ticket, arrival),
                    None => Place::Untold(arrival),
                };
                waits.push((place, id, claim.want));
            }
        }
        waits.sort_by_key(|(place, ..)| *place);
        for (place, id, want) in waits {
            let (request, name) = (want.request, want.name.clone());
            if let Err(reason) = self.enqueue(id, want, place) {
                self.deny(id, request, reason);
            } else {
                self.rest.unsettled(name);
            }
        }
    }
}

/// Whether the claimer is gone, so that it can forfeit nothing.
const fn has_ended(held: &Held) -> bool {
    matches!(held.end, Some(End::Died | End::Left))
}
