//! What a member brings when it connects: collected frame by frame, judged only when it is complete.

use std::collections::{BTreeMap, BTreeSet};

use super::grants::Grants;
use crate::ident::{InstanceId, Nonce};
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
        }
    }

    /// Takes the next frame.
    pub fn gather(&mut self, frame: ToSupervisor) -> Gathered {
        if self.join.is_none() && !matches!(frame, ToSupervisor::Join(_)) {
            return Gathered::Misplaced("frame before join");
        }
        match frame {
            ToSupervisor::Join(_) if self.join.is_some() => return Gathered::Misplaced("second join"),
            ToSupervisor::Join(join) => self.join = Some(join),
            ToSupervisor::Names(NameSort::Known, ids) => self.known.extend(ids),
            ToSupervisor::Names(NameSort::Heard, names) => self.heard.extend(names.into_iter().map(|(id, _)| id)),
            ToSupervisor::Forfeits(forfeits) => self.forfeits.extend(forfeits),
            ToSupervisor::Departed(id, reason) => {
                self.departed.insert(id, reason);
            }
            ToSupervisor::Held(claim) => self.held.push(claim),
            ToSupervisor::Wants(claim) => self.wants.push(claim),
            ToSupervisor::Completed(generation) => self.completed.push(generation),
            ToSupervisor::ClaimsEnd => return Gathered::Complete,
            _ => return Gathered::Misplaced("frame before the end of the claims"),
        }
        if self.items() > Self::ITEM_LIMIT { Gathered::Misplaced("too many names and claims") } else { Gathered::More }
    }

    fn items(&self) -> usize {
        let names = self.known.len() + self.heard.len() + self.forfeits.len() + self.departed.len();
        let completed: usize = self.completed.iter().map(|generation| 1 + generation.waiters.len()).sum();
        names + self.held.len() + self.wants.len() + completed
    }
}
