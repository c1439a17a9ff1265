//! What a member brings when it connects: collected frame by frame, judged only when it is complete.

use std::collections::{BTreeMap, BTreeSet};

use super::grants::Grants;
use crate::ident::{InstanceId, Nonce, Request};
use crate::wire::message::{EndReason, Forfeit, Generation, HeldClaim, Hello, Join, NameSort, ToSupervisor, WantClaim};

/// The frames from `Hello` to `ClaimsEnd`, as one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// The first frame.
    pub hello: Hello,
    /// The second; `None` until it came.
    pub join: Option<Join>,
    /// The ids of its last closed view, with their nonces.
    pub known: BTreeMap<InstanceId, Nonce>,
    /// Ids it heard of during an open window.
    pub heard: BTreeSet<InstanceId>,
    /// Who forfeited, as its last closed view had it.
    pub forfeits: BTreeSet<Forfeit>,
    /// Who ended in the old reign, and how, as far as it knows better than the kernel.
    pub departed: BTreeMap<InstanceId, EndReason>,
    /// What it holds.
    pub held: Vec<HeldClaim>,
    /// What it waits for.
    pub wants: Vec<WantClaim>,
    /// Of which barriers it knows that it may pass.
    pub completed: Vec<Generation>,
    weight: Weight,
}

/// How much a submission has brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    /// Names, claims and arrivals; what was said before counts once.
    pub items: usize,
    /// About how many bytes of memory all of it takes.
    pub bytes: usize,
}

/// What a frame did to a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gathered {
    /// More is to come.
    More,
    /// That was all.
    Complete,
    /// The frame has no place here; the sentence says why.
    Misplaced(&'static str),
}

impl Submission {
    /// How many items a member may bring: far above what one process can use, far below what would hurt.
    /// Claims are a third of it at most; the rest is for the names of the largest group, known and heard.
    pub const ITEM_LIMIT: usize = 3 * Grants::CLAIM_LIMIT;

    /// A connection that has said Hello.
    pub fn new(hello: Hello) -> Self {
        Self {
            hello,
            join: None,
            known: BTreeMap::new(),
            heard: BTreeSet::new(),
            forfeits: BTreeSet::new(),
            departed: BTreeMap::new(),
            held: Vec::new(),
            wants: Vec::new(),
            completed: Vec::new(),
            weight: Weight::default(),
        }
    }

    /// How much it has brought so far.
    pub fn weight(&self) -> Weight {
        self.weight
    }

    /// Takes the next frame.
    pub fn gather(&mut self, frame: ToSupervisor) -> Gathered {
        if self.join.is_none() && !matches!(frame, ToSupervisor::Join(_)) {
            return Gathered::Misplaced("frame before join");
        }
        match frame {
            ToSupervisor::Join(_) if self.join.is_some() => return Gathered::Misplaced("second join"),
            ToSupervisor::Join(join) => {
                self.weight.bytes += size_of::<Join>() + join.profile.label.len() + join.profile.payload.len();
                self.join = Some(join);
            }
            ToSupervisor::Names(NameSort::Known, names) => {
                let before = self.known.len();
                self.known.extend(names);
                self.weight.add(self.known.len() - before, size_of::<(InstanceId, Nonce)>());
            }
            ToSupervisor::Names(NameSort::Heard, names) => {
                let before = self.heard.len();
                self.heard.extend(names.into_iter().map(|(id, _)| id));
                self.weight.add(self.heard.len() - before, size_of::<InstanceId>());
            }
            ToSupervisor::Forfeits(forfeits) => {
                let before = self.forfeits.len();
                self.forfeits.extend(forfeits);
                self.weight.add(self.forfeits.len() - before, size_of::<Forfeit>());
            }
            ToSupervisor::Departed(id, reason) => {
                let is_new = self.departed.insert(id, reason).is_none();
                self.weight.add(is_new.into(), size_of::<(InstanceId, EndReason)>());
            }
            ToSupervisor::Held(claim) => {
                self.weight.add(1, size_of::<HeldClaim>() + claim.want.name.name.as_str().len());
                self.held.push(claim);
            }
            ToSupervisor::Wants(claim) => {
                self.weight.add(1, size_of::<WantClaim>() + claim.want.name.name.as_str().len());
                self.wants.push(claim);
            }
            ToSupervisor::Completed(generation) => {
                self.weight.add(1, size_of::<Generation>() + generation.name.as_str().len());
                self.weight.add(generation.waiters.len(), size_of::<(InstanceId, Request)>());
                self.completed.push(generation);
            }
            ToSupervisor::ClaimsEnd => return Gathered::Complete,
            _ => return Gathered::Misplaced("frame before the end of the claims"),
        }
        if self.weight.items > Self::ITEM_LIMIT {
            Gathered::Misplaced("too many names and claims")
        } else {
            Gathered::More
        }
    }
}

impl Weight {
    fn add(&mut self, items: usize, bytes: usize) {
        self.items += items;
        // Half as much again for what tables and allocations take.
        self.bytes += items * (bytes + bytes / 2);
    }
}
