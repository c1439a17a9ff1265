//! The replicated state as the supervisor has it: a map of versioned values, of which every instance has a copy.
//!
//! Owns what a write does to the map and whether it may; never knows who is connected. Distribution and acknowledgement
//! are the supervisor's ([`super::supervisor`]), the copies are the members' ([`super::session`]).
//!
//! # One order
//!
//! A reign numbers its writes: (epoch, 1), (epoch, 2), and so on. A value's version is its write's number, and a delete
//! is a write like any other. A copy's *stamp* says how far it goes: the reign, and the last write of that reign that it
//! has. All that follows rests on one sentence: **of two copies with stamps of the same reign, the one with the smaller
//! stamp is a prefix of the other**: the same map without the last writes. It holds because
//!
//! - no two reigns have the same epoch. An epoch lies above every epoch that anybody brings, and its last bits are the
//!   winner's. So also where the clock was set back and nobody who is there has heard of an earlier reign, two reigns
//!   that know nothing of each other are not counted the same, see [`super::window::Window::numbers`];
//! - every copy of a reign begins with what the supervisor adopted at its opening, that is the stamp (epoch, 0). It
//!   arrives before the Welcome or Opened, which makes it count: whole or not at all;
//! - the writes follow on the one connection in their order, to everyone who has a view. A member takes a write only if
//!   it is the next one. Whoever lost its connection gets what it lacks before its next Welcome.
//!
//! A stamp has the reign of the view that came with it, so a copy is never newer or older than its owner's view.
//!
//! # What a new supervisor adopts
//!
//! The copy with the highest stamp of everyone who is accounted for when the window closes; nothing is merged. A member
//! that has a better copy than all before is accounted for only when its copy has arrived.
//!
//! *No acknowledged write is lost* while one member lives that was connected when it was acknowledged, and that was never
//! silent beyond the limit. An acknowledged write had been written to that member's kernel, and the member reads its
//! connection to the end before it elects; so its copy contains the write. It is awaited in every window, as a holder
//! would be, and so the best copy goes at least as far as its own. If that is of the same reign, it contains the write by
//! the sentence above. If it is of a later reign, that reign began with an adopted copy, for which the same was true:
//! nobody who was awaited then was missing, or it would have been silent beyond the limit.
//!
//! - Not yet a member: whoever has not read its first Welcome is not shown by the kernel, and a newcomer that wins does
//!   not wait for it. If everyone else dies in that moment, what it was about to read is not adopted.
//! - Set aside and back in the same reign: what it lacks is what is above its stamp. It counts for acknowledgements
//!   again from its Welcome on. Whoever is set aside is not waited for: of a write that is acknowledged meanwhile it knows
//!   nothing, and if everyone else dies then, the write dies with them.
//! - Over the limit: its copy loses its stamp with its id, so that it is never adopted, and it gets the whole state. It
//!   may be on a branch that nobody else took.
//! - A winner that never had a view has no copy: every survivor's is better.
//! - A supervisor that resigns or fail-stops has the longest copy of its reign, for its own half hears each write at once.
//!   The tail that nobody else has is not acknowledged. If it comes back in time the tail is adopted, and whoever wrote it
//!   learns so when it says it again. If it does not, the tail is a branch on which nobody goes on.
//! - Nobody is there who had a copy: the state is empty. That is a complete restart.
//! - An observer may be ahead of all members. Its copy is no one's source, and it begins every connection with the whole
//!   state.
//!
//! Readers can see a value that is never acknowledged and is gone after a change of reign.
//!
//! # Writes said again
//!
//! A write that was not answered is said again to the next supervisor, together with the version that the key had in the
//! writer's copy when it was said first. If the key's value is the one that this write made, it is done. If the key has
//! the version of then, no write to it is in the adopted order since, this one neither, and it is done now. Otherwise
//! somebody has written the key in between, and it is unknown whether this write came before that: to do it now could
//! overwrite what was written in knowledge of it, so it ends as interrupted.

use std::collections::BTreeMap;
use std::fmt;

use crate::ident::{Epoch, InstanceId, Kind, Resource, Stamp};
use crate::wire::VALUE_LIMIT;
use crate::wire::message::{Put, Value};

/// The state, or a copy of it that is on its way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// How far it goes.
    stamp: Stamp,
    /// The copy with which the reign began.
    adopted: Stamp,
    /// Every key that was ever written. A deleted one stays, without bytes: its version and its writer are still asked
    /// for, and whoever comes back has to be told of the delete.
    values: BTreeMap<Resource, Value>,
    /// What all of it costs.
    size: usize,
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done, with this value.
    Stored(Value),
    /// It was done before, under this version.
    Known(Stamp),
    /// The key has this version and not the expected one.
    Conflict(Stamp),
    /// The key has moved on since it was said first: it is unknown whether it was done.
    Interrupted,
    /// It may not be done.
    Refused(Unfit),
}

/// Why a value cannot be in the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// Nothing of this kind has a value.
    Kind(Kind),
    /// A limit is four bytes.
    Limit,
    /// What has once been set of this kind cannot be deleted.
    Lasting(Kind),
    /// A result is written once.
    Decided,
    /// The value is larger than [`VALUE_LIMIT`].
    Large(usize),
    /// There would be more than [`State::KEY_LIMIT`] keys, deleted ones included.
    Keys,
    /// All of it would cost more than [`State::SIZE_LIMIT`].
    Full,
    /// It is newer than the copy that it is said to be a part of, or the reign has no number left for it.
    Number,
}

impl State {
    /// The most keys, deleted ones included: far above what coordination needs. It is no database.
    pub const KEY_LIMIT: usize = 16_384;
    /// The most that keys and values may cost, in bytes. Every instance has a copy, and the longest part of a failover
    /// may be to bring it to everyone.
    pub const SIZE_LIMIT: usize = 4 << 20;
    /// What a key costs beside its own bytes and its value's: its numbers, and its place in the map.
    pub const KEY_COST: usize = 64;

    /// A copy that goes so far, of which nothing has arrived yet.
    pub fn copy(stamp: Stamp) -> Self {
        Self { stamp, ..Self::default() }
    }

    /// How far it goes.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Every key that was ever written.
    pub fn values(&self) -> &BTreeMap<Resource, Value> {
        &self.values
    }

    /// The version of a key; zero if it was never written.
    pub fn version(&self, key: &Resource) -> Stamp {
        self.values.get(key).map_or_else(Stamp::default, |value| value.version)
    }

    /// The limits of all semaphores that have one.
    pub fn limits(&self) -> impl Iterator<Item = (&Resource, u32)> {
        self.values.values().filter_map(|value| limit_of(value).map(|limit| (&value.key, limit)))
    }

    /// Takes a value of the copy that is on its way.
    ///
    /// # Errors
    ///
    /// [`Unfit`] if no supervisor can have written it; nothing was changed.
    pub fn take(&mut self, value: Value) -> Result<(), Unfit> {
        if value.version > self.stamp {
            return Err(Unfit::Number);
        }
        fits(&value.key, value.bytes.as_deref())?;
        self.insert(value)
    }

    /// A reign begins with this copy.
    pub fn begin(&mut self, epoch: Epoch) {
        self.adopted = self.stamp;
        // Epochs rise until there are no more numbers. Then at least the writes go on rising.
        let n = if self.stamp.epoch == epoch { self.stamp.n } else { 0 };
        self.stamp = Stamp { epoch, n };
    }

    /// Whether somebody whose copy goes so far lacks only what was written since: then that stamp; otherwise it needs
    /// the whole state.
    pub fn since(&self, has: Stamp) -> Option<Stamp> {
        let prefix_of = |copy: Stamp| has.epoch == copy.epoch && has.n <= copy.n;
        (has != Stamp::default() && (prefix_of(self.stamp) || prefix_of(self.adopted))).then_some(has)
    }

    /// What was written since; `None`: everything.
    pub fn written_since(&self, since: Option<Stamp>) -> impl Iterator<Item = &Value> {
        self.values.values().filter(move |value| since.is_none_or(|since| value.version > since))
    }

    /// What becomes of a write that may have been done already; `None`: it was not, and is to be [`put`](Self::put).
    pub fn known(&self, writer: InstanceId, put: &Put) -> Option<Outcome> {
        if let Some(value) = self.values.get(&put.key)
            && (value.writer, value.request) == (writer, put.request)
        {
            return Some(Outcome::Known(value.version));
        }
        put.again.filter(|then| *then != self.version(&put.key)).map(|_| Outcome::Interrupted)
    }

    /// Writes, if that may be.
    pub fn put(&mut self, writer: InstanceId, put: &Put) -> Outcome {
        if let Err(why) = fits(&put.key, put.bytes.as_deref()) {
            return Outcome::Refused(why);
        }
        let before = self.version(&put.key);
        if put.expected.is_some_and(|expected| expected != before) {
            return Outcome::Conflict(before);
        }
        if put.key.kind == Kind::Once && before != Stamp::default() {
            return Outcome::Refused(Unfit::Decided);
        }
        let Some(n) = self.stamp.n.checked_add(1) else { return Outcome::Refused(Unfit::Number) };
        let version = Stamp { n, ..self.stamp };
        let value = Value { key: put.key.clone(), version, writer, request: put.request, bytes: put.bytes.clone() };
        if let Err(why) = self.insert(value.clone()) {
            return Outcome::Refused(why);
        }
        self.stamp = version;
        Outcome::Stored(value)
    }

    fn insert(&mut self, value: Value) -> Result<(), Unfit> {
        let before = self.values.get(&value.key);
        if before.is_none() && self.values.len() >= Self::KEY_LIMIT {
            return Err(Unfit::Keys);
        }
        let size = self.size - before.map_or(0, cost) + cost(&value);
        // What makes it smaller is always possible, or a full state could not be emptied.
        if size > Self::SIZE_LIMIT && size > self.size {
            return Err(Unfit::Full);
        }
        self.size = size;
        self.values.insert(value.key.clone(), value);
        Ok(())
    }

    /// Panics with a sentence if the state contradicts itself. For tests, simulation and fuzzing.
    pub fn check_invariants(&self) {
        assert!(self.adopted <= self.stamp, "the reign began with more than there is now");
        assert!(self.values.len() <= Self::KEY_LIMIT, "{} keys", self.values.len());
        assert_eq!(self.size, self.values.values().map(cost).sum::<usize>(), "the size is miscounted");
        assert!(self.size <= Self::SIZE_LIMIT, "{} bytes", self.size);
        for (key, value) in &self.values {
            assert_eq!(key, &value.key, "a value is under another key");
            assert!(value.version <= self.stamp, "{key} has a version that was not given yet");
            assert_eq!(fits(key, value.bytes.as_deref()), Ok(()), "{key} has a value that it cannot have");
        }
    }
}

/// The limit that a value sets, if it is one of a semaphore.
pub fn limit_of(value: &Value) -> Option<u32> {
    let bytes = value.bytes.as_deref().filter(|_| value.key.kind == Kind::Semaphore)?;
    bytes.try_into().ok().map(u32::from_be_bytes)
}

/// What a value costs.
pub(super) fn cost(value: &Value) -> usize {
    value.key.name.as_str().len() + value.bytes.as_ref().map_or(0, |bytes| bytes.len()) + State::KEY_COST
}

/// Whether a key can have this value at all.
fn fits(key: &Resource, bytes: Option<&[u8]>) -> Result<(), Unfit> {
    match (key.kind, bytes) {
        (_, Some(bytes)) if bytes.len() > VALUE_LIMIT => Err(Unfit::Large(bytes.len())),
        (Kind::Value, _) | (Kind::Once, Some(_)) => Ok(()),
        (Kind::Semaphore, Some(bytes)) if bytes.len() == size_of::<u32>() => Ok(()),
        (Kind::Semaphore, Some(_)) => Err(Unfit::Limit),
        (Kind::Semaphore | Kind::Once, None) => Err(Unfit::Lasting(key.kind)),
        (kind, _) => Err(Unfit::Kind(kind)),
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(kind) => write!(f, "a {kind} has no value"),
            Self::Limit => f.write_str("the limit of a semaphore is four bytes"),
            Self::Lasting(kind) => write!(f, "the value of a {kind} cannot be deleted"),
            Self::Decided => f.write_str("the result of a once is written only once"),
            Self::Large(bytes) => write!(f, "value of {bytes} bytes exceeds {VALUE_LIMIT}"),
            Self::Keys => {
                write!(f, "the state has {} keys, deleted ones included, and takes no more", State::KEY_LIMIT)
            }
            Self::Full => write!(f, "keys and values would exceed {} bytes", State::SIZE_LIMIT),
            Self::Number => f.write_str("the number of the write is beyond the reign's"),
        }
    }
}

#[cfg(test)]
mod tests;
