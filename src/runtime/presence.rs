//! Presence: how the kernel shows that an instance lives.
//!
//! From before its Hello until it has left, an instance holds a *presence*, and from its first Welcome on, before its
//! first request, a *membership*, under a new name before every further Hello. Both are bound sockets.
//! They are gone with the process however it ends, with exec and with leave, and a process that is only stopped keeps them.
//!
//! *Gone* means: no socket has its name. Nothing else is asked. A process id would be wrong in both directions, since a
//! dead child keeps it until its parent reaps it, and since the same process can leave the group and live on.
//!
//! Presence never decides who leads, only who must be waited for. So every doubt is answered "not gone", which costs time
//! up to the limit of the window, while the opposite could take a lock from a living holder.
//!
//! Where memberships have names they are mailboxes as well: a supervisor that gives a member up which is not connected puts
//! a notice there first, and the member finds it whatever becomes of the supervisor. Nothing else is ever read of them.
//!
//! A fork elsewhere in a process keeps its sockets until the child calls exec; and where a test has to bind the name, others
//! that test it in those microseconds find it in use. Both end by themselves: ask again.

use std::io;
use std::time::Duration;

use crate::ident::{InstanceId, Tag};
use crate::wire::Notice;

#[cfg(any(target_os = "linux", target_os = "android"))]
mod linux;
mod portable;

/// Which sockets show presence. All instances of a machine use the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mechanism {
    /// Unix datagram sockets with abstract names: each instance can be asked for, and all can be listed.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    Named,
    /// Loopback UDP sockets: one per instance, by whose number it can be asked for, and one per member on the
    /// supervisor's port, shared by all, by which one can ask whether there is anybody.
    Datagram,
}

impl Mechanism {
    /// The one that this system has.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) const fn native() -> Self {
        Self::Named
    }

    /// The one that this system has.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(crate) const fn native() -> Self {
        Self::Datagram
    }
}

/// The own presence, and the own membership once there is one. Dropping it closes both.
#[derive(Debug)]
pub(crate) struct Presence {
    port: u16,
    id: InstanceId,
    sockets: Sockets,
}

#[derive(Debug)]
enum Sockets {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    Named(linux::Sockets),
    Datagram(portable::Sockets),
}

/// Who lives, as far as the kernel tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RollCall {
    /// These memberships there are, in the order of their ids, the own ones included.
    Everyone(Vec<(InstanceId, Tag)>),
    /// Whether anybody else has a membership. Yes can be wrong for a moment, no cannot.
    Somebody(bool),
    /// It could not be told: anybody may live.
    Unknown,
}

impl Presence {
    /// Takes the presence of this id in the group on this port.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if somebody has the id. With [`Mechanism::Datagram`] that is not noticed.
    pub(crate) fn bind(mechanism: Mechanism, port: u16, id: InstanceId) -> io::Result<Self> {
        let sockets = match mechanism {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Mechanism::Named => Sockets::Named(linux::Sockets::bind(port, id)?),
            Mechanism::Datagram => Sockets::Datagram(portable::Sockets::bind()?),
        };
        Ok(Self { port, id, sockets })
    }

    /// The UDP port by which others can ask for it, for the entry in the registry; 0 if they need none.
    pub(crate) const fn udp_port(&self) -> u16 {
        match &self.sockets {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Sockets::Named(_) => 0,
            Sockets::Datagram(sockets) => sockets.udp_port(),
        }
    }

    /// Takes a membership, or, if there are two, gives the older one up.
    ///
    /// # Errors
    ///
    /// Somebody has it, for longer than any test of it lasts.
    pub(crate) fn join(&mut self) -> io::Result<()> {
        match &mut self.sockets {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Sockets::Named(sockets) => sockets.join(self.port, self.id),
            Sockets::Datagram(sockets) => sockets.join(self.port),
        }
    }

    /// Shows a membership under a new name, beside the one with which it was part of the last reign.
    ///
    /// # Errors
    ///
    /// No socket is left. Nothing has changed then.
    pub(crate) fn show_another(&mut self) -> io::Result<()> {
        match &mut self.sockets {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Sockets::Named(sockets) => sockets.show_another(self.port, self.id),
            // They have no names, and nobody is ever passed over because of them.
            Sockets::Datagram(sockets) => sockets.join(self.port),
        }
    }

    /// Moves its sockets to high descriptors, if they are not there yet and can be.
    pub(crate) fn raise(self) -> Self {
        let sockets = match self.sockets {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Sockets::Named(sockets) => Sockets::Named(sockets.raise()),
            Sockets::Datagram(sockets) => Sockets::Datagram(sockets.raise()),
        };
        Self { sockets, ..self }
    }

    /// Gives up the membership and keeps the presence.
    pub(crate) fn leave(&mut self) {
        match &mut self.sockets {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Sockets::Named(sockets) => sockets.leave(),
            Sockets::Datagram(sockets) => sockets.leave(),
        }
    }

    /// What tells its memberships from others; empty where they have no names.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn tags(&self) -> Vec<Tag> {
        match &self.sockets {
            Sockets::Named(sockets) => sockets.tags(),
            Sockets::Datagram(_) => Vec::new(),
        }
    }

    /// Looks for a notice to this id, and takes it. Also returns how many datagrams were none.
    pub(crate) fn take_notice(&self) -> (Option<Notice>, usize) {
        match &self.sockets {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Sockets::Named(sockets) => sockets.take_notice(self.id),
            Sockets::Datagram(_) => (None, 0),
        }
    }

    /// Puts a notice into the mailboxes of another member: those with these tags.
    ///
    /// # Errors
    ///
    /// It is in none of them, and why.
    pub(crate) fn notify(&self, tags: &[Tag], notice: &Notice) -> io::Result<()> {
        match &self.sockets {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Sockets::Named(sockets) => sockets.notify(self.port, tags, notice),
            Sockets::Datagram(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Whether it has a membership.
    pub(crate) const fn is_member(&self) -> bool {
        match &self.sockets {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Sockets::Named(sockets) => sockets.is_member(),
            Sockets::Datagram(sockets) => sockets.is_member(),
        }
    }
}

/// Whether the instance is gone: no socket has the name of its presence.
///
/// Any error but that counts as not gone: no descriptor left, no permission, no network say nothing about
/// the instance, and to take them for its end would free the locks of a living one.
pub(crate) fn presence_gone(mechanism: Mechanism, port: u16, id: InstanceId, udp_port: u16) -> bool {
    match mechanism {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        Mechanism::Named => linux::presence_gone(port, id),
        Mechanism::Datagram => portable::presence_gone(udp_port),
    }
}

/// Whether the instance has none of these memberships any more. With [`Mechanism::Datagram`] nobody's can be told from the others', so that the
/// answer is no: ask for its presence.
pub(crate) fn membership_gone(mechanism: Mechanism, port: u16, id: InstanceId, tags: &[Tag]) -> bool {
    match mechanism {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        Mechanism::Named => linux::membership_gone(port, id, tags),
        Mechanism::Datagram => false,
    }
}

/// The memberships that this instance shows, of which any can take a notice; none where they have no names.
///
/// # Errors
///
/// The kernel does not list them.
pub(crate) fn tags_of(mechanism: Mechanism, port: u16, id: InstanceId) -> io::Result<Vec<Tag>> {
    match mechanism {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        Mechanism::Named => linux::tags_of(port, id),
        Mechanism::Datagram => Ok(Vec::new()),
    }
}

/// Asks the kernel who lives, once per reign, right after listen.
///
/// With [`Mechanism::Datagram`] only the instance that listens may call it, so that never two do at once: it gives up its
/// own membership for the moment of the test, and two that did so would each find nobody. If it does not get it back, the
/// answer is an error and [`Presence::is_member`] tells; then [`Presence::join`] has to be called again.
///
/// # Errors
///
/// Why it could not be told, for the log: the answer is [`RollCall::Unknown`] then. Not logged here, since whoever calls
/// may hold a lock.
pub(crate) fn roll_call(mechanism: Mechanism, port: u16, own: Option<&mut Presence>) -> Result<RollCall, String> {
    match mechanism {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        Mechanism::Named => linux::roll_call(port, own.map(|own| (own.id, own.tags()))),
        Mechanism::Datagram => portable::roll_call(
            port,
            own.and_then(|own| match &mut own.sockets {
                Sockets::Datagram(sockets) => Some(sockets),
                #[cfg(any(target_os = "linux", target_os = "android"))]
                Sockets::Named(_) => None,
            }),
        ),
    }
}

/// How often a name that is in use is tried again before somebody is said to have it. A test of it by another instance
/// lasts some 10 µs, the fork of another thread up to some milliseconds.
const TRIES: u32 = 40;

/// Binds again while the name is in use, for about a tenth of a second.
fn persist<S>(mut bind: impl FnMut() -> io::Result<S>) -> io::Result<S> {
    let mut tried = 1;
    loop {
        match bind() {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tried < TRIES => {
                std::thread::sleep(Duration::from_micros(20) * tried.pow(2).min(200));
                tried += 1;
            }
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests;
