//! One row of the registry, as the application sees it.

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::ident::InstanceId;
use crate::text::{Plain, Size};
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
///
/// ```
/// # fn main() -> Result<(), bellwether::Error> {
/// # let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
/// # let group = bellwether::Group::new("photo-sync")?.port(port);
/// let instance = group.label("worker 3").payload(*b"ipc:7").join()?;
/// let registry = instance.registry();
/// let own = registry.iter().find(|entry| entry.id == instance.id()).expect("every instance has an entry");
/// assert_eq!((own.label.as_str(), own.payload.as_slice()), ("worker 3", &b"ipc:7"[..]));
/// assert_eq!(own.pid, std::process::id());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
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
            since: time(profile.since),
            role: if supervisor == Some(entry.id) { Role::Supervisor } else { Role::Subordinate },
            standing: entry.standing,
        }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, pid, label, payload, version, since, role, standing } = self;
        f.debug_struct("Entry")
            .field("id", id)
            .field("pid", pid)
            .field("label", label)
            .field("payload", &Size::of(payload))
            .field("version", version)
            .field("since", since)
            .field("role", role)
            .field("standing", standing)
            .finish()
    }
}

/// Who holds something, as the application sees it: the first thing people ask when they wait.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// Which instance.
    pub id: InstanceId,
    /// Its process.
    pub pid: u32,
    /// Its label, empty if it gave none.
    pub label: String,
    /// Since when it holds it, by the clock of the supervisor that granted it.
    pub since: SystemTime,
}

impl Holder {
    /// The holder whose entry this is.
    pub(crate) fn from_wire(entry: &message::Entry, since: u64) -> Self {
        let profile = &entry.profile;
        Self { id: entry.id, pid: profile.pid, label: profile.label.to_string(), since: time(since) }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.pid)?;
        if !self.label.is_empty() {
            write!(f, " ({})", Plain(&self.label))?;
        }
        match self.since.elapsed() {
            Ok(elapsed) => write!(f, " for {elapsed:.1?}"),
            // The clock was set back since.
            Err(_) => Ok(()),
        }
    }
}

/// A time in milliseconds since 1970, as far as such a time can be.
pub(crate) fn time(millis: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(millis.min(u64::from(u32::MAX) * 1000))
}
