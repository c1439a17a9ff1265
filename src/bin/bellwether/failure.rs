//! Why a command ends with exit status 1.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::demo::journal::Fault;

/// What went wrong, in words for whoever typed the command.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The library said so.
    Group(bellwether::Error),
    /// The same, for a group and port that the user should hear about.
    NotObserved {
        /// The group that was asked for.
        group: String,
        /// Where it was looked for.
        port: u16,
        /// What the library said.
        error: bellwether::Error,
    },
    /// The library said so about something that was tried.
    NotDone {
        /// What was tried, such as `write "colour" in "photo-sync"`.
        attempted: String,
        /// What the library said.
        error: bellwether::Error,
    },
    /// The key has no value.
    NoValue {
        /// The group that was asked.
        group: String,
        /// The key that was asked for.
        key: String,
    },
    /// The one that something is for is not there, or not one.
    Nobody {
        /// The group that was asked.
        group: String,
        /// What is wrong with it.
        why: String,
    },
    /// Standard input could not be read.
    Input(io::Error),
    /// The output could not be written.
    Output(io::Error),
    /// A process could not be started, asked or ended.
    Process {
        /// What was tried, such as `start instance 3`.
        attempted: String,
        /// What the system answered.
        error: io::Error,
    },
    /// A process of the demonstration ended, or said something, that was not expected.
    Instance(String),
    /// Something did not happen in time.
    Awaited {
        /// What, such as `the registry without instance 2`.
        what: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The journal of the demonstration shows what must not happen.
    Journal(Fault),
    /// A process of the demonstration was given what the policy forbids.
    LetThrough {
        /// The number of the one that asked for it.
        number: usize,
        /// That of the supervisor, whose policy should have refused it.
        supervisor: usize,
    },
    /// A process of the demonstration was given a lock while it was paused.
    Served {
        /// Its number.
        number: usize,
        /// How many grants it got.
        grants: usize,
    },
    /// Some survivors came back as somebody else.
    Identity {
        /// How many did not keep their id.
        strangers: usize,
        /// How many survivals there were in all.
        survivals: usize,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(error) => fmt::Display::fmt(error, f),
            Self::NotObserved { group, port, error: bellwether::Error::NoSupervisor } => {
                write!(f, "no copy of {group:?} runs: nobody listens on port {port}")
            }
            Self::NotObserved { group, error, .. } => write!(f, "cannot look into {group:?}: {error}"),
            Self::NotDone { attempted, error } => write!(f, "cannot {attempted}: {error}"),
            Self::NoValue { group, key } => write!(f, "{key:?} has no value in {group:?}"),
            Self::Nobody { group, why } => write!(f, "in {group:?} {why}"),
            Self::Input(error) => write!(f, "cannot read the input: {error}"),
            Self::Output(error) => write!(f, "cannot write the output: {error}"),
            Self::Process { attempted, error } => write!(f, "cannot {attempted}: {error}"),
            Self::Instance(what) => f.write_str(what),
            Self::Awaited { what, waited } => write!(f, "waited {} s in vain for {what}", waited.as_secs()),
            Self::Journal(fault) => fmt::Display::fmt(fault, f),
            Self::LetThrough { number, supervisor } => {
                write!(f, "instance {number} was given what the policy of instance {supervisor} forbids")
            }
            Self::Served { number, grants } => {
                write!(f, "instance {number} was given the lock {grants} times while it was paused")
            }
            Self::Identity { strangers, survivals } => {
                write!(f, "{strangers} of {survivals} times a survivor came back under another id")
            }
        }
    }
}

impl std::error::Error for Failure {}

impl From<bellwether::Error> for Failure {
    fn from(error: bellwether::Error) -> Self {
        Self::Group(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}
