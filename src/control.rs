//! What an application decides as supervisor: what the others may do, what it answers them, what it commands.

use std::fmt;
use std::sync::Arc;

use crate::entry::Entry;
use crate::ident::{InstanceId, Kind, Name, Resource};
use crate::sync::Mode;
use crate::text::Size;
use crate::wire::message::{Order, Post, ToSupervisor};

/// What an instance wants to do: the policy is asked before it takes effect. See [`crate::Group::policy`].
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// Have a lock, permits, or the right to do something once.
    Acquire {
        /// What kind of lock.
        kind: Kind,
        /// Its name.
        name: Name,
        /// How.
        mode: Mode,
    },
    /// Wait at a barrier.
    Arrive {
        /// Its name.
        name: Name,
        /// For how many it waits.
        parties: u32,
    },
    /// Write a value of the state, the limit of a semaphore, or the result of what is done once.
    Write {
        /// Which of them.
        kind: Kind,
        /// The key.
        name: Name,
        /// The bytes; `None` deletes.
        bytes: Option<Arc<[u8]>>,
    },
    /// Send a message to one other instance.
    Send {
        /// Whom.
        to: InstanceId,
        /// What it says.
        bytes: Arc<[u8]>,
    },
    /// Send a message to all others.
    Broadcast {
        /// What it says.
        bytes: Arc<[u8]>,
    },
    /// Ask the supervisor's handler.
    Request {
        /// What it says.
        bytes: Arc<[u8]>,
    },
    /// Command something, as an observer.
    Command {
        /// Whom; `None`: everybody.
        to: Option<InstanceId>,
        /// What.
        command: Command,
    },
}

/// What a policy says. See [`crate::Group::policy`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "there is nothing between yes and no")]
pub enum Verdict {
    /// It may be done.
    Allow,
    /// It is refused, and why: [`crate::Error::Denied`]. At most 1024 bytes of the reason travel.
    Deny(String),
}

/// What a supervisor tells an instance to do. See [`crate::Instance::command`].
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// Whatever it asks for from now on stays queued, also under the next supervisor. It keeps what it holds.
    Pause,
    /// The end of the pause.
    Resume,
    /// Leave the group. Who has not left after [`crate::Group::stop_limit`] is evicted. The next supervisor knows of it, and
    /// its limit begins anew.
    Stop,
    /// Something that the application knows, at most 1 MiB.
    Custom(Arc<[u8]>),
}

/// What an instance asks the supervisor's handler. See [`crate::Group::on_request`].
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// Who asks.
    pub from: Entry,
    /// What it says.
    pub bytes: Arc<[u8]>,
}

impl Operation {
    /// The operation that travels as this, if it is one.
    pub(crate) fn from_wire(frame: &ToSupervisor) -> Option<Self> {
        Some(match frame {
            ToSupervisor::Acquire(want) => {
                let Resource { kind, name } = want.name.clone();
                Self::Acquire { kind, name, mode: want.mode.into() }
            }
            ToSupervisor::Arrive(arrive) => Self::Arrive { name: arrive.name.clone(), parties: arrive.parties },
            ToSupervisor::Put(put) => {
                let Resource { kind, name } = put.key.clone();
                Self::Write { kind, name, bytes: put.bytes.clone() }
            }
            ToSupervisor::Post(Post { to: Some(to), bytes, .. }) => Self::Send { to: *to, bytes: bytes.clone() },
            ToSupervisor::Post(Post { to: None, bytes, .. }) => Self::Broadcast { bytes: bytes.clone() },
            ToSupervisor::Ask(ask) => Self::Request { bytes: ask.bytes.clone() },
            ToSupervisor::Command(command) => {
                Self::Command { to: command.to, command: Command::from_wire(command.order.clone()) }
            }
            _ => return None,
        })
    }
}

impl Command {
    /// The command as it travels.
    pub(crate) fn order(self) -> Order {
        match self {
            Self::Pause => Order::Pause,
            Self::Resume => Order::Resume,
            Self::Stop => Order::Stop,
            Self::Custom(bytes) => Order::Custom(bytes),
        }
    }

    /// The command that travelled as this.
    pub(crate) fn from_wire(order: Order) -> Self {
        match order {
            Order::Pause => Self::Pause,
            Order::Resume => Self::Resume,
            Order::Stop => Self::Stop,
            Order::Custom(bytes) => Self::Custom(bytes),
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pause => f.write_str("pause"),
            Self::Resume => f.write_str("resume"),
            Self::Stop => f.write_str("stop"),
            Self::Custom(bytes) => write!(f, "custom command of {}", Size::of(bytes)),
        }
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acquire { kind, name, mode } => {
                f.debug_struct("Acquire").field("kind", kind).field("name", name).field("mode", mode).finish()
            }
            Self::Arrive { name, parties } => {
                f.debug_struct("Arrive").field("name", name).field("parties", parties).finish()
            }
            Self::Write { kind, name, bytes } => {
                let bytes = bytes.as_deref().map(Size::of);
                f.debug_struct("Write").field("kind", kind).field("name", name).field("bytes", &bytes).finish()
            }
            Self::Send { to, bytes } => {
                f.debug_struct("Send").field("to", to).field("bytes", &Size::of(bytes)).finish()
            }
            Self::Broadcast { bytes } => f.debug_struct("Broadcast").field("bytes", &Size::of(bytes)).finish(),
            Self::Request { bytes } => f.debug_struct("Request").field("bytes", &Size::of(bytes)).finish(),
            Self::Command { to, command } => {
                f.debug_struct("Command").field("to", to).field("command", command).finish()
            }
        }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pause => f.write_str("Pause"),
            Self::Resume => f.write_str("Resume"),
            Self::Stop => f.write_str("Stop"),
            Self::Custom(bytes) => f.debug_tuple("Custom").field(&Size::of(bytes)).finish(),
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, bytes } = self;
        f.debug_struct("Request").field("from", from).field("bytes", &Size::of(bytes)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::{Request as Number, Stamp};
    use crate::wire::message::{self, Arrive, Ask, Put, Want};

    #[test]
    fn a_policy_sees_what_travels() {
        let (request, name) = (Number::new(1), Name::new("n").expect("a short name"));
        let (bytes, to): (Arc<[u8]>, _) = (Arc::from(*b"b"), InstanceId::new(7));
        let resource = |kind| Resource::new(kind, name.clone());
        let mode = message::Mode::Permits { count: 2, limit: 5 };
        let table = [
            (
                ToSupervisor::Acquire(Want { request, name: resource(Kind::Semaphore), mode }),
                Operation::Acquire { kind: Kind::Semaphore, name: name.clone(), mode: Mode::Permits(2) },
            ),
            (
                ToSupervisor::Arrive(Arrive { request, name: name.clone(), parties: 3 }),
                Operation::Arrive { name: name.clone(), parties: 3 },
            ),
            (
                ToSupervisor::Put(Put {
                    request,
                    key: resource(Kind::Value),
                    expected: Some(Stamp::default()),
                    again: None,
                    bytes: None,
                }),
                Operation::Write { kind: Kind::Value, name: name.clone(), bytes: None },
            ),
            (
                ToSupervisor::Post(Post { request, to: Some(to), bytes: bytes.clone() }),
                Operation::Send { to, bytes: bytes.clone() },
            ),
            (
                ToSupervisor::Post(Post { request, to: None, bytes: bytes.clone() }),
                Operation::Broadcast { bytes: bytes.clone() },
            ),
            (ToSupervisor::Ask(Ask { request, bytes: bytes.clone() }), Operation::Request { bytes: bytes.clone() }),
            (
                ToSupervisor::Command(message::Command { request, to: Some(to), order: Order::Custom(bytes.clone()) }),
                Operation::Command { to: Some(to), command: Command::Custom(bytes) },
            ),
        ];
        for (frame, operation) in table {
            assert_eq!(Operation::from_wire(&frame), Some(operation), "{frame}");
        }
        assert_eq!(Operation::from_wire(&ToSupervisor::Release(request)), None);
    }
}
