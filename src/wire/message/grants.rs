//! What is said of locks: what is wanted, claimed, granted, and who holds what.

use crate::ident::{InstanceId, Name, Request, Resource, Ticket, Token};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// The asker's number for it.
    pub request: Request,
    /// The lock.
    pub name: Resource,
    /// How it is wanted.
    pub mode: Mode,
}

/// How something is held or wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// By one alone.
    Exclusive,
    /// Together with others that share.
    Shared,
    /// `count` permits out of `limit`; the limit counts only for the first that names it.
    Permits {
        /// How many, at least 1.
        count: u32,
        /// Out of how many.
        limit: u32,
    },
}

/// A member's word that it holds something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldClaim {
    /// What was asked for and granted.
    pub want: Want,
    /// The token of the grant.
    pub token: Token,
    /// When it was granted, in milliseconds since 1970.
    pub since: u64,
}

/// A member's word that it waits for something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantClaim {
    /// What is asked for.
    pub want: Want,
    /// The place it was told, if it was told one.
    pub ticket: Option<Ticket>,
}

/// A place in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Which request.
    pub request: Request,
    /// Its ticket.
    pub ticket: Ticket,
    /// How many waiters are ahead of it.
    pub ahead: u32,
    /// Who has held the lock for longest, if anybody holds it.
    pub holder: Option<Holding>,
}

/// Who holds a lock, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Who.
    pub who: InstanceId,
    /// When it was granted, in milliseconds since 1970 by the supervisor's clock.
    pub since: u64,
}

/// A grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Which request.
    pub request: Request,
    /// Its fencing token.
    pub token: Token,
    /// When that was, in milliseconds since 1970 by the supervisor's clock.
    pub since: u64,
    /// What became of the owner before.
    pub abandoned: Abandoned,
}

/// What became of the last owner that could write: of a read-write lock the last writer, however the readers since have
/// ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Abandoned {
    /// It released, or no owner is known. After the end of all copies nothing is known: a copy that died alone in the middle
    /// of its work leaves `Clean` behind.
    Clean,
    /// It died, was evicted, or was silent beyond the window limit, while it held.
    Died {
        /// Which instance that was.
        who: InstanceId,
    },
    /// Nobody vouches for its work: it left, or dropped its guard in a panic, or it cannot be excluded that it died.
    Unknown,
}

/// Who holds a lock and who waits for it. Of one that has too many of either for a frame there are several rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockRow {
    /// Which.
    pub name: Resource,
    /// How many permits it has, if it has permits.
    pub limit: Option<u32>,
    /// Who holds it, the oldest grant first.
    pub holders: Vec<HolderRow>,
    /// Who waits for it, first in line first.
    pub waiters: Vec<WaiterRow>,
}

/// A barrier at which members wait. Members that wait there for the next use have a row of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BarrierRow {
    /// Its name.
    pub name: Name,
    /// How many wait for each other.
    pub parties: u32,
    /// How many of them have not arrived, or do not count at present, since they are set aside or paused.
    pub missing: u32,
    /// The members that have arrived and may not pass yet, in their order of arrival; one for each of its calls.
    pub waiters: Vec<InstanceId>,
}

/// Somebody who holds a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HolderRow {
    /// Who.
    pub who: InstanceId,
    /// How.
    pub mode: Mode,
    /// Under which token.
    pub token: Token,
    /// When it was granted, in milliseconds since 1970.
    pub since: u64,
}

/// Somebody who waits for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaiterRow {
    /// Who.
    pub who: InstanceId,
    /// How.
    pub mode: Mode,
}
