//! Who holds what, for people and for tools.

use std::collections::BTreeMap;
use std::fmt;

use crate::entry::{Entry, Holder, time};
use crate::ident::{InstanceId, Kind, Name, Token};
use crate::wire::message::{self, BarrierRow, LockRow};

/// One lock that is held or waited for, or one barrier at which instances wait, as the supervisor sees it; from
/// [`Instance::locks`](crate::Instance::locks).
///
/// A barrier has no holders. Its waiters are those that have arrived and may not pass yet. A use of it that is complete and
/// that a waiter has not passed yet has a row of its own, with nobody missing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockStatus {
    /// What kind of lock, or [`Kind::Barrier`].
    pub kind: Kind,
    /// Its name.
    pub name: Name,
    /// How many permits there are, of a semaphore.
    pub limit: Option<u32>,
    /// How many wait for each other, of a barrier.
    pub parties: Option<u32>,
    /// How many of these have not arrived, of a barrier. A waiter that is paused or not connected counts as missing.
    pub missing: Option<u32>,
    /// Who holds it, the oldest grant first.
    pub holders: Vec<Held>,
    /// Who waits for it, first in line first; once for each call that waits.
    pub waiters: Vec<Waiter>,
}

/// Somebody who holds a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Held {
    /// Who, and since when.
    pub holder: Holder,
    /// How.
    pub mode: Mode,
    /// Under which token.
    pub token: Token,
}

/// Somebody who waits for a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiter {
    /// Which instance.
    pub id: InstanceId,
    /// Its process; 0 if the registry does not know it any more.
    pub pid: u32,
    /// Its label, empty if it gave none.
    pub label: String,
    /// How it wants it.
    pub mode: Mode,
}

/// How a lock is held or wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// Alone.
    Exclusive,
    /// Together with others that share it.
    Shared,
    /// So many permits.
    Permits(u32),
    /// As one of the parties of a barrier.
    Party,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exclusive => f.pad("exclusive"),
            Self::Shared => f.pad("shared"),
            Self::Permits(count) => f.pad(&count.to_string()),
            Self::Party => f.pad("party"),
        }
    }
}

impl From<message::Mode> for Mode {
    fn from(mode: message::Mode) -> Self {
        match mode {
            message::Mode::Exclusive => Self::Exclusive,
            message::Mode::Shared => Self::Shared,
            message::Mode::Permits { count, .. } => Self::Permits(count),
        }
    }
}

impl LockStatus {
    /// The row as it travels, with the names that the registry has for the ids.
    pub(crate) fn from_wire(row: &LockRow, registry: &BTreeMap<InstanceId, &Entry>) -> Self {
        let held = |row: &message::HolderRow| {
            let (pid, label) = named(row.who, registry);
            let holder = Holder { id: row.who, pid, label, since: time(row.since) };
            Held { holder, mode: row.mode.into(), token: row.token }
        };
        Self {
            kind: row.name.kind,
            name: row.name.name.clone(),
            limit: row.limit,
            parties: None,
            missing: None,
            holders: row.holders.iter().map(held).collect(),
            waiters: row.waiters.iter().map(|row| Waiter::new(row.who, row.mode.into(), registry)).collect(),
        }
    }

    /// The same for a barrier.
    pub(crate) fn from_barrier(row: &BarrierRow, registry: &BTreeMap<InstanceId, &Entry>) -> Self {
        Self {
            kind: Kind::Barrier,
            name: row.name.clone(),
            limit: None,
            parties: Some(row.parties),
            missing: Some(row.missing),
            holders: Vec::new(),
            waiters: row.waiters.iter().map(|id| Waiter::new(*id, Mode::Party, registry)).collect(),
        }
    }
}

impl Waiter {
    fn new(id: InstanceId, mode: Mode, registry: &BTreeMap<InstanceId, &Entry>) -> Self {
        let (pid, label) = named(id, registry);
        Self { id, pid, label, mode }
    }
}

/// The process and the label of an instance, if the registry knows it.
fn named(id: InstanceId, registry: &BTreeMap<InstanceId, &Entry>) -> (u32, String) {
    registry.get(&id).map_or((0, String::new()), |entry| (entry.pid, entry.label.clone()))
}
