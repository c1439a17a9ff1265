//! In which modes something can be had, and how it is shared out.

use crate::ident::Kind;
use crate::wire::message::Mode;

/// How a lock is shared out, as long as somebody holds it or waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Held exclusively or shared.
    Lock,
    /// Held by permits.
    Semaphore {
        /// How many permits there are. More may be in use after a resize.
        limit: u32,
    },
}

impl Shape {
    /// What a mode that goes with its kind creates.
    pub(super) const fn of(mode: Mode) -> Self {
        match mode {
            Mode::Exclusive | Mode::Shared => Self::Lock,
            Mode::Permits { limit, .. } => Self::Semaphore { limit },
        }
    }

    /// Why a mode that goes with the kind can still never be granted, if that is so.
    pub(super) fn refuses(self, mode: Mode) -> Option<String> {
        match (self, mode) {
            (Self::Semaphore { limit }, Mode::Permits { count, .. }) if count > limit => {
                Some(format!("{count} permits exceed the limit of {limit}"))
            }
            _ => None,
        }
    }
}

/// Why nothing of this kind can be had in this mode, whoever asks, if that is so.
pub(super) fn misfit(kind: Kind, mode: Mode) -> Option<String> {
    match (kind, mode) {
        (Kind::Value | Kind::Barrier, _) => Some(format!("a {kind} cannot be held")),
        (Kind::Semaphore, Mode::Permits { count: 0, .. }) => Some("0 permits cannot be asked for".to_owned()),
        (Kind::Semaphore, Mode::Permits { .. })
        | (Kind::RwLock, Mode::Exclusive | Mode::Shared)
        | (Kind::Mutex | Kind::Once, Mode::Exclusive) => None,
        (Kind::Semaphore, Mode::Exclusive | Mode::Shared) => Some("a semaphore is asked for permits".to_owned()),
        (Kind::Mutex | Kind::Once, Mode::Shared) => Some(format!("a {kind} cannot be shared")),
        (Kind::Mutex | Kind::RwLock | Kind::Once, Mode::Permits { .. }) => Some(format!("a {kind} has no permits")),
    }
}

/// How many permits a mode takes.
pub(super) fn permits(mode: Mode) -> u64 {
    match mode {
        Mode::Exclusive | Mode::Shared => 0,
        Mode::Permits { count, .. } => u64::from(count),
    }
}

/// Whether two modes ask for the same. The limit in a mode only creates the semaphore, so it does not count.
pub(super) fn same(one: Mode, other: Mode) -> bool {
    match (one, other) {
        (Mode::Permits { count: a, .. }, Mode::Permits { count: b, .. }) => a == b,
        _ => one == other,
    }
}
