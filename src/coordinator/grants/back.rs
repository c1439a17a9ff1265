//! A member that was set aside and is back within the same reign.

use std::collections::{BTreeMap, BTreeSet};

use super::lock::{End, Key, Place};
use super::shape::same;
use super::{Grants, Live, Phase, Told, all_of};
use crate::ident::{InstanceId, Request, Resource};
use crate::wire::message::{HeldClaim, ToMember, WantClaim};

impl Grants {
    /// A member that was set aside is back with these claims, and what it says about itself is the truth:
    ///
    /// * a holding that it does not claim is freed as an abandoned one: it has released it, or abandoned it, or has never
    ///   read the grant, and nobody says which;
    /// * a holding that it claims as a wait is granted again under the same token: the grant was lost on the way;
    /// * a holding that it claims under another token is told its token;
    /// * a wait that it does not claim is cancelled;
    /// * a wait whose place it does not know is told its place again, which is the same as before;
    /// * a claim to hold what it does not hold is answered by `Lost`;
    /// * a new wait is queued at the end, whatever its ticket.
    ///
    /// Of two claims under one number the first counts. Does not make the member ready. While claims are collected this
    /// is a [`Grants::claim`].
    pub fn back(&mut self, from: InstanceId, held: Vec<HeldClaim>, wants: Vec<WantClaim>) {
        if self.phase == Phase::Collecting {
            self.claim(from, held, wants);
            return;
        }
        self.finish_end(from);
        let mut holds: BTreeMap<Request, HeldClaim> = BTreeMap::new();
        for claim in held {
            holds.entry(claim.want.request).or_insert(claim);
        }
        let mut waits: BTreeMap<Request, WantClaim> = BTreeMap::new();
        let mut order = Vec::new();
        for claim in wants {
            let request = claim.want.request;
            waits.entry(request).or_insert_with(|| {
                order.push(request);
                claim
            });
        }

        let known: Vec<(Key, Live)> = self.live.range(all_of(from)).map(|(key, live)| (*key, live.clone())).collect();
        let mut touched: BTreeSet<Resource> = BTreeSet::new();
        for (key, live) in known {
            let Some(mode) = self.mode_of(key, &live) else { continue };
            let hold = holds.get(&key.1).filter(|claim| live.name == claim.want.name && same(mode, claim.want.mode));
            let wait = waits.get(&key.1).filter(|claim| live.name == claim.want.name && same(mode, claim.want.mode));
            match (live.place, hold, wait) {
                (None, Some(_), _) => {
                    if let Some(claim) = holds.remove(&key.1) {
                        self.confirm_token(key, &live.name, &claim);
                    }
                }
                // Before the grants are open no grant of this reign can have been lost, so that claim is no such wait.
                (None, None, Some(_)) if self.phase == Phase::Open => {
                    waits.remove(&key.1);
                    self.grant_again(key, &live.name);
                }
                (None, None, _) => {
                    let end = if self.rules.silence_is_no_release { End::Abandoned } else { End::Declined };
                    touched.extend(self.free(key, end));
                }
                (Some(place), _, Some(claim)) => {
                    let lost = matches!(place, Place::Told(ticket, _) if claim.ticket != Some(ticket));
                    waits.remove(&key.1);
                    if lost && let Some(lock) = self.locks.get_mut(&live.name) {
                        lock.untell(place);
                        touched.insert(live.name);
                    }
                }
                (Some(place), _, None) => touched.extend(self.unqueue(key, place)),
            }
        }
        for request in holds.into_keys() {
            self.told.push(Told { to: from, what: ToMember::Lost(request) });
        }
        // First those who waited here, then what is new: a name that fell idle may be used in another way.
        self.settle_all(touched);
        for claim in order.iter().filter_map(|request| waits.remove(request)) {
            self.acquire(from, claim.want);
        }
    }

    /// Tells the holder its token if it has another one in mind.
    fn confirm_token(&mut self, key: Key, name: &Resource, claim: &HeldClaim) {
        let Some(holding) = self.locks.get(name).and_then(|lock| lock.holding(key)) else { return };
        if holding.token != claim.token {
            self.told.push(Told { to: key.0, what: ToMember::Token(key.1, holding.token) });
        }
    }

    /// Tells the holder of its grant once more.
    fn grant_again(&mut self, key: Key, name: &Resource) {
        let Some(grant) = self.locks.get_mut(name).and_then(|lock| lock.repeat(key)) else { return };
        self.told.push(Told { to: key.0, what: ToMember::Grant(grant) });
    }
}
