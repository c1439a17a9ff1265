//! Who holds what, for people and for tools.

use std::fmt;

use crate::entry::{Entry, Holder, time};
use crate::ident::{InstanceId, Kind, Name, Token};
use crate::wire::message::{self, LockRow};

/// One lock that is held or waited for, as the supervisor sees it; from [`Instance::locks`](crate::Instance::locks).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockStatus {
    /// What kind of lock.
    pub kind: Kind,
    /// Its name.
    pub name: Name,
    /// How many permits there are, of a semaphore.
    pub limit: Option<u32>,
    /// Who holds it, the oldest grant first.
    pub holders: Vec<Held>,
    /// Who waits for it, first in line first.
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
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exclusive => f.pad("exclusive"),
            Self::Shared => f.pad("shared"),
            Self::Permits(count) => f.pad(&count.to_string()),
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
    pub(crate) fn from_wire(row: &LockRow, registry: &[Entry]) -> Self {
        let named = |id: InstanceId| {
            registry.iter().find(|entry| entry.id == id).map_or((0, String::new()), |e| (e.pid, e.label.clone()))
        };
        let held = |row: &message::HolderRow| {
            let (pid, label) = named(row.who);
            let holder = Holder { id: row.who, pid, label, since: time(row.since) };
            Held { holder, mode: row.mode.into(), token: row.token }
        };
        let waiter = |row: &message::WaiterRow| {
            let (pid, label) = named(row.who);
            Waiter { id: row.who, pid, label, mode: row.mode.into() }
        };
        Self {
            kind: row.name.kind,
            name: row.name.name.clone(),
            limit: row.limit,
            holders: row.holders.iter().map(held).collect(),
            waiters: row.waiters.iter().map(waiter).collect(),
        }
    }
}
