//! One row of the registry, as the application sees it.

use std::time::{Duration, SystemTime};

use crate::ident::InstanceId;
use crate::wire::message;
pub use crate::wire::message::{EndReason, Standing};

/// What an instance is in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "there are two roles, and every user matches both")]
pub enum Role {
    /// It won the port and coordinates the others.
    Supervisor,
    /// It is connected to the supervisor, or takes part in the election of the next one.
    Subordinate,
}

/// One instance in the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Its id.
    pub id: InstanceId,
    /// Its process.
    pub pid: u32,
    /// Its label, empty if it gave none.
    pub label: String,
    /// What it wants the others to know.
    pub payload: Vec<u8>,
    /// The version of the program, 0 if the program names none.
    pub version: u32,
    /// When it joined, by its own clock.
    pub since: SystemTime,
    /// What it is.
    pub role: Role,
    /// How it stands with the supervisor.
    pub standing: Standing,
}

impl Entry {
    /// The row as it travels, seen under a supervisor.
    pub(crate) fn from_wire(entry: &message::Entry, supervisor: Option<InstanceId>) -> Self {
        let profile = &entry.profile;
        Self {
            id: entry.id,
            pid: profile.pid,
            label: profile.label.to_string(),
            payload: profile.payload.to_vec(),
            version: profile.version,
            since: SystemTime::UNIX_EPOCH + Duration::from_millis(profile.since.min(u64::from(u32::MAX) * 1000)),
            role: if supervisor == Some(entry.id) { Role::Supervisor } else { Role::Subordinate },
            standing: entry.standing,
        }
    }
}
