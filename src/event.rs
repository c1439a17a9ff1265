//! What happens in a group, as it reaches the application.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::control::Command;
use crate::coordinator::supervisor::Lack;
use crate::entry::{Entry, Role};
use crate::error::{Listener, PortReason};
use crate::ident::Version;
use crate::ident::{Epoch, InstanceId, Kind, Name, Token};
use crate::text::Size;
use crate::wire::message::{EndReason, Order};

mod hub;

pub(crate) use hub::Hub;

/// Something that happened in the group.
///
/// ```
/// use bellwether::{Event, Role};
///
/// fn tell(event: &Event) -> String {
///     match event {
///         Event::Reign { role: Role::Supervisor, .. } => "this copy leads".to_owned(),
///         Event::Reign { supervisor, .. } => format!("{supervisor} leads"),
///         Event::Disconnected { supervisor, .. } => format!("{supervisor} is gone; the election is on"),
///         Event::Ended { entry, reason } => format!("process {} has ended: {reason:?}", entry.pid),
///         other => format!("{other:?}"), // more may come
///     }
/// }
/// # assert_eq!(tell(&Event::Missed(3)), "Missed(3)");
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The instance won the port, or a supervisor completed the handshake with it. The window may still be open.
    Welcomed {
        /// Who reigns.
        supervisor: InstanceId,
        /// What this instance is now.
        role: Role,
    },
    /// The instance is part of an open reign.
    Reign {
        /// Which.
        epoch: Epoch,
        /// Who reigns.
        supervisor: InstanceId,
        /// What this instance is now.
        role: Role,
    },
    /// The connection to the supervisor, or the own reign, has ended; the election has begun. An instance that leaves gets
    /// no such event: its channel just ends.
    Disconnected {
        /// Who reigned.
        supervisor: InstanceId,
        /// When the end was noticed. The event itself follows once the election has got its first tries done: those
        /// that wake up for it would only be in its way.
        at: Instant,
    },
    /// An instance has joined.
    Joined(Entry),
    /// An entry has changed: how it stands with the supervisor.
    Changed(Entry),
    /// An entry has ended.
    Ended {
        /// What the entry was.
        entry: Entry,
        /// How it ended.
        reason: EndReason,
    },
    /// The supervisor has not answered for some seconds although a call, or this instance itself, waited for it. It is not
    /// dead.
    Hung {
        /// Who reigns, if this instance had been welcomed.
        supervisor: Option<InstanceId>,
        /// The process that listens on the port, if this instance had not been welcomed and this user may know.
        listener: Option<Listener>,
    },
    /// This instance was silent in an election beyond the window limit and has lost everything it held; it goes on under a new id.
    Forfeited {
        /// The id that ended.
        old: InstanceId,
        /// The id from now on.
        new: InstanceId,
    },
    /// A value of the state was written, by whomever; of a deleted one there are no bytes.
    State {
        /// The key.
        key: Name,
        /// The version from now on.
        version: Version,
        /// The bytes.
        bytes: Option<Arc<[u8]>>,
    },
    /// A grant was revoked: this instance was silent in an election beyond the window limit, or was evicted, and somebody else may hold
    /// the lock by now. Whoever works under it has to stop.
    LockLost {
        /// What kind of lock.
        kind: Kind,
        /// Its name.
        name: Name,
        /// The token under which it was held.
        token: Token,
    },
    /// A message of another instance, or of an observer, for this one or for all. See [`crate::Instance::send`].
    Message {
        /// Who sent it.
        from: InstanceId,
        /// What it says.
        bytes: Arc<[u8]>,
    },
    /// The supervisor commands something. [`Command::Pause`] and [`Command::Resume`] are in force already; after
    /// [`Command::Stop`] the application should end its work and [leave](crate::Instance::leave).
    Command(Command),
    /// This instance was told to stop and has not left in time: it has lost all it held and is out of the group. Its calls
    /// end with [`crate::Error::Left`], and this channel ends.
    Evicted,
    /// A thread of this instance has panicked, most likely in the application's logger: the instance has lost all it held and
    /// is out of the group. Its calls end with [`crate::Error::Crashed`], and this channel ends.
    Crashed,
    /// The supervisor port cannot be used at the moment; the election goes on. Said once until the next reign.
    PortUnusable {
        /// Which port.
        port: u16,
        /// Why.
        reason: PortReason,
        /// The process that listens there, if one does and this user may know.
        listener: Option<Listener>,
    },
    /// This process has nothing to spare of what a seat takes, and so cannot be part of the next reign; it tries again more
    /// and more slowly, up to a second apart. Until then it keeps what it holds, as any silent member does. Said once until
    /// the next reign.
    Starved {
        /// What is lacking.
        lacks: Lack,
    },
    /// This instance was supervisor, and its reign has failed a second time within a minute, since its own state could not be
    /// trusted: that is a fault of the library or of a client that lies. The instance keeps what it holds and goes on, and
    /// leaves the office to others for a while. The log says what was wrong.
    FailStop,
    /// Events are missing here: the receiver was too slow (see [`crate::Instance::events`] for how much it may lag behind),
    /// or this instance was not connected and its copy of the state goes on at a later write. A receiver that keeps track
    /// of something reads it again: the [registry](crate::Instance::registry), the [values](crate::State::snapshot).
    /// Messages and commands that are missing are lost.
    ///
    /// It stands in the place of the first event that is missing, so that the last event of all can be this one. The number
    /// is how many are known to be missing when it is put there: at least one. Those that follow are counted in another
    /// `Missed` before the next event; then the sum is complete, but for writes to the state of which nobody knows the
    /// number.
    ///
    /// With 0 nothing is missing: from 256 receivers on, each of which may have been dropped, the instance finds out by it
    /// which of them are left.
    Missed(u64),
}

impl Event {
    /// The supervisor has commanded this.
    pub(crate) fn commanded(order: Order) -> Self {
        Self::Command(Command::from_wire(order))
    }

    /// How many bytes of a value it has.
    fn value(&self) -> usize {
        match self {
            Self::State { bytes: Some(bytes), .. } => bytes.len(),
            _ => 0,
        }
    }

    /// How many bytes of a message or a command it has; `None` if it is neither.
    fn mail(&self) -> Option<usize> {
        match self {
            Self::Message { bytes, .. } | Self::Command(Command::Custom(bytes)) => Some(bytes.len()),
            Self::Command(_) => Some(0),
            _ => None,
        }
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Welcomed { supervisor, role } => {
                f.debug_struct("Welcomed").field("supervisor", supervisor).field("role", role).finish()
            }
            Self::Reign { epoch, supervisor, role } => {
                let mut shown = f.debug_struct("Reign");
                shown.field("epoch", epoch).field("supervisor", supervisor).field("role", role).finish()
            }
            Self::Disconnected { supervisor, at } => {
                f.debug_struct("Disconnected").field("supervisor", supervisor).field("at", at).finish()
            }
            Self::Joined(entry) => f.debug_tuple("Joined").field(entry).finish(),
            Self::Changed(entry) => f.debug_tuple("Changed").field(entry).finish(),
            Self::Ended { entry, reason } => {
                f.debug_struct("Ended").field("entry", entry).field("reason", reason).finish()
            }
            Self::Hung { supervisor, listener } => {
                f.debug_struct("Hung").field("supervisor", supervisor).field("listener", listener).finish()
            }
            Self::Forfeited { old, new } => f.debug_struct("Forfeited").field("old", old).field("new", new).finish(),
            Self::State { key, version, bytes } => {
                let bytes = bytes.as_deref().map(Size::of);
                f.debug_struct("State").field("key", key).field("version", version).field("bytes", &bytes).finish()
            }
            Self::LockLost { kind, name, token } => {
                f.debug_struct("LockLost").field("kind", kind).field("name", name).field("token", token).finish()
            }
            Self::Message { from, bytes } => {
                f.debug_struct("Message").field("from", from).field("bytes", &Size::of(bytes)).finish()
            }
            Self::Command(command) => f.debug_tuple("Command").field(command).finish(),
            Self::Evicted => f.write_str("Evicted"),
            Self::FailStop => f.write_str("FailStop"),
            Self::Crashed => f.write_str("Crashed"),
            Self::PortUnusable { port, reason, listener } => {
                let mut text = f.debug_struct("PortUnusable");
                text.field("port", port).field("reason", reason).field("listener", listener).finish()
            }
            Self::Starved { lacks } => f.debug_struct("Starved").field("lacks", lacks).finish(),
            Self::Missed(count) => f.debug_tuple("Missed").field(count).finish(),
        }
    }
}
