//! What can go wrong for the application, and what to do about it.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::entry::Holder;
use crate::ident::{InstanceId, NameError, Version};
use crate::text::Plain;
use crate::wire::message::Refusal;

/// Why a call on a group or an instance failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The name of the group, or of something in it, is not acceptable.
    Name(NameError),
    /// An option has a value out of its range: above the limit, or too small to mean anything.
    Option {
        /// Which option.
        option: &'static str,
        /// The value, or its size.
        value: u64,
        /// The largest that is accepted.
        limit: u64,
    },
    /// The supervisor port cannot be used. Choose another one with `Group::port`, for all copies of the program.
    PortUnusable {
        /// Which port.
        port: u16,
        /// Why.
        reason: PortReason,
        /// The process that listens there, if one does: on Linux and Android, if this user may know.
        listener: Option<Listener>,
    },
    /// The supervisor does not take this instance in.
    Refused(Refusal),
    /// A process listens on the port and does not answer: it is stopped, in a debugger, or very busy. It is not dead, and
    /// no other instance takes over from it. Wait and try again, or end that process.
    SupervisorUnresponsive {
        /// Which port.
        port: u16,
        /// How long it was waited for.
        waited: Duration,
        /// The process that listens there: on Linux and Android, if this user may know.
        listener: Option<Listener>,
    },
    /// The time given for the call has passed.
    TimedOut {
        /// How long that was.
        waited: Duration,
        /// Who holds what was waited for, and has held it for longest; `None` if nobody does or it is not known, for
        /// instance because the time passed during an election.
        holder: Option<Holder>,
        /// How many others were ahead in the queue, if it was a queue and the place is known.
        position: Option<u32>,
    },
    /// The call would have had to wait: for who holds it, for an election to end, or for longer than a second for an
    /// answer. Nothing was done, but for what the call itself says of a message or a request.
    WouldBlock {
        /// Who has held it for longest; `None` if nobody does or it is not known.
        holder: Option<Holder>,
    },
    /// A thread of this instance has panicked, most likely in the application's logger, so that the instance has left the
    /// group and all that it held is free. Join again.
    Crashed,
    /// The grant had ended before it was released: this instance was silent in an election beyond the window limit, was
    /// evicted, or has left, and somebody else may have held the lock since. What it protects may have changed.
    Lost,
    /// The supervisor does not allow this; the reason says why.
    Denied(String),
    /// The key has another version than expected. Nothing was written; read it and decide anew.
    Conflict {
        /// The version that it has.
        version: Version,
    },
    /// The closure that was to be run once has failed, or the supervisor's handler of requests.
    Failed(Box<dyn std::error::Error + Send + Sync>),
    /// It is unknown whether it was done: the supervisor died before it answered, has been silent for a second, or the
    /// connection ended that it was on its way to. Look before trying again.
    Interrupted,
    /// The instance that a message or a command was for is not there, or has lost its connection. Nothing was sent.
    Unreachable {
        /// Which instance.
        id: InstanceId,
    },
    /// The call was made by a policy or a request handler of the same instance, which would wait for itself.
    InCallback,
    /// There is no supervisor to observe: no copy of the program runs.
    NoSupervisor,
    /// Only the supervisor can do this, and this instance is none.
    NotSupervisor,
    /// There is nobody who could take the office over.
    NoHeir,
    /// The instance has left its group. A call that lists this error fails with [`Error::Crashed`] instead if a thread of the
    /// instance has panicked.
    Left,
    /// Every id that was tried is in use on this machine: the names are taken by some other program.
    PresenceTaken,
    /// This process may not have abstract Unix sockets, by which the kernel shows that an instance lives: mostly a sandbox
    /// forbids them. Allow `AF_UNIX` beside `AF_INET` in systemd's `RestrictAddressFamilies=`. A strictly confined snap
    /// refuses every such name that is not its own; use another confinement.
    Sandboxed {
        /// What the operating system answered.
        source: io::Error,
    },
    /// The instance was used in a forked child, where it belongs to the parent: join again there. From `join` and `observe`:
    /// this process was forked by one that has an instance, and cannot close what it inherited. That takes Linux, the
    /// feature `native` and `/proc`; anywhere else a forked child has to call `exec` first.
    Forked,
    /// The operating system refused something that has nothing to do with the port, such as a thread.
    System {
        /// What was tried.
        attempted: &'static str,
        /// What it answered.
        source: io::Error,
    },
}

/// Why a port cannot be the supervisor port.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PortReason {
    /// Some other service listens there: it answered with something that is not this protocol.
    ForeignService,
    /// The process that listens there ends every connection without a word.
    HangsUp,
    /// Another group listens there.
    OtherGroup,
    /// The port is in use, but nobody listens: it is the source port of some program's outgoing connection. This is
    /// the range from which this machine takes such ports, if it is known; choose a port outside it.
    SourcePort {
        /// The first and the last port of the range.
        range: Option<(u16, u16)>,
    },
    /// Binding it is not permitted: it is below 1024, or reserved.
    Reserved,
    /// The operating system gave another reason.
    Other(io::ErrorKind),
}

/// The process that listens on the supervisor port, as the kernel shows it to this user.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listener {
    /// Its process id.
    pub pid: u32,
    /// The name of its program.
    pub program: String,
    /// Whether it has an instance of a group on this port, and so is no stranger. `false` also if the kernel does not show
    /// that.
    pub is_instance: bool,
    /// Whether it stands still: it is stopped, in a debugger, or in a call that the kernel cannot interrupt.
    pub stands_still: bool,
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ({})", self.pid, Plain(&self.program))?;
        f.write_str(if self.is_instance { ", an instance on this port" } else { "" })?;
        f.write_str(if self.stands_still { ", which stands still" } else { "" })
    }
}

fn listened_by(f: &mut fmt::Formatter<'_>, listener: Option<&Listener>) -> fmt::Result {
    listener.map_or(Ok(()), |listener| write!(f, "; {listener}, listens there"))
}

impl fmt::Display for PortReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ForeignService => f.write_str("another service listens there"),
            Self::HangsUp => f.write_str("every connection to it is ended without a word"),
            Self::OtherGroup => f.write_str("another group listens there"),
            Self::SourcePort { range: Some((first, last)) } => {
                write!(f, "it is in use as a source port; choose one outside {first}-{last}")
            }
            Self::SourcePort { range: None } => f.write_str("it is in use as a source port"),
            Self::Reserved => f.write_str("binding it is not permitted"),
            Self::Other(kind) => write!(f, "{kind}"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => fmt::Display::fmt(error, f),
            Self::Option { option, value, limit } if value > limit => write!(f, "{option} of {value} exceeds {limit}"),
            Self::Option { option, value, .. } => write!(f, "{option} of {value} is too small"),
            Self::PortUnusable { port, reason, listener } => {
                write!(f, "port {port} is unusable: {reason}")?;
                listened_by(f, listener.as_ref())
            }
            Self::Refused(refusal) => write!(f, "refused by the supervisor: {refusal}"),
            Self::SupervisorUnresponsive { port, waited, listener } => {
                write!(f, "the supervisor on port {port} has not answered for {waited:.1?}")?;
                listened_by(f, listener.as_ref())
            }
            Self::TimedOut { waited, holder, position } => {
                write!(f, "timed out after {waited:.1?}")?;
                held_by(f, holder.as_ref())?;
                position.map_or(Ok(()), |ahead| write!(f, ", {ahead} ahead"))
            }
            Self::WouldBlock { holder } => {
                f.write_str("would have to wait")?;
                held_by(f, holder.as_ref())
            }
            Self::Lost => f.write_str("the grant was revoked"),
            Self::Denied(reason) => write!(f, "denied: {}", Plain(reason)),
            Self::Conflict { version } => write!(f, "conflict: the key has version {version}"),
            Self::Failed(error) => write!(f, "the work failed: {error}"),
            Self::Interrupted => f.write_str("interrupted: it is unknown whether it was done"),
            Self::Unreachable { id } => write!(f, "instance {id} is not connected"),
            Self::InCallback => f.write_str("a policy or request handler may not call its own instance"),
            Self::NoSupervisor => f.write_str("no copy of the program runs"),
            Self::NotSupervisor => f.write_str("this instance is not the supervisor"),
            Self::NoHeir => f.write_str("there is no other instance to take the office over"),
            Self::Left => f.write_str("the instance has left its group"),
            Self::Crashed => f.write_str("a thread of this instance has panicked, and so it has left its group"),
            Self::PresenceTaken => f.write_str("every id that was tried is taken by another program"),
            Self::Sandboxed { source } => {
                write!(f, "this process may not have abstract unix sockets, perhaps because of a sandbox: {source}")
            }
            Self::Forked => f.write_str("this process was forked and has not let go of its parent's sockets"),
            Self::System { attempted, source } => write!(f, "cannot {attempted}: {source}"),
        }
    }
}

fn held_by(f: &mut fmt::Formatter<'_>, holder: Option<&Holder>) -> fmt::Result {
    holder.map_or(Ok(()), |holder| write!(f, ", held by {holder}"))
}

impl Error {
    /// The socket that shows that this instance lives cannot be had.
    pub(crate) fn no_presence(source: io::Error) -> Self {
        // What systemd's and other filters of address families answer; std has no kind for it.
        let no_family = cfg!(target_os = "linux") && source.raw_os_error() == Some(EAFNOSUPPORT);
        if no_family || source.kind() == io::ErrorKind::PermissionDenied {
            return Self::Sandboxed { source };
        }
        Self::System { attempted: "bind the socket of its presence", source }
    }

    /// The time given for a call has passed that was not in a queue.
    pub(crate) const fn timed_out(waited: Duration) -> Self {
        Self::TimedOut { waited, holder: None, position: None }
    }
}

/// "Address family not supported", as Linux counts its errors.
const EAFNOSUPPORT: i32 = if cfg!(any(target_arch = "mips", target_arch = "mips64")) { 124 } else { 97 };

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Name(error) => Some(error),
            Self::System { source, .. } | Self::Sandboxed { source } => Some(source),
            Self::Failed(error) => Some(error.as_ref()),
            _ => None,
        }
    }
}

impl From<NameError> for Error {
    fn from(error: NameError) -> Self {
        Self::Name(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::time;

    #[test]
    fn what_a_sandbox_forbids_is_named() {
        for (number, forbidden) in [(1, true), (13, true), (EAFNOSUPPORT, true), (24, false), (12, false), (98, false)]
        {
            let error = Error::no_presence(io::Error::from_raw_os_error(number));
            assert_eq!(matches!(error, Error::Sandboxed { .. }), forbidden, "{error}");
            assert_eq!(error.to_string().contains("sandbox"), forbidden, "{error}");
        }
    }

    #[test]
    fn what_others_chose_is_shown_without_control_of_the_terminal() {
        for (chosen, shown) in [
            ("worker 3", "worker 3"),
            ("a\nb", "a\\nb"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("\u{202e}evil", "\\u{202e}evil"),
            ("zero\u{200b}width", "zero\\u{200b}width"),
        ] {
            let holder = || Holder { id: InstanceId::new(1), pid: 7, label: chosen.to_owned(), since: time(0) };
            for (error, begins) in [
                (Error::Denied(chosen.to_owned()), format!("denied: {shown}")),
                (
                    Error::WouldBlock { holder: Some(holder()) },
                    format!("would have to wait, held by process 7 ({shown}) for "),
                ),
            ] {
                assert!(error.to_string().starts_with(&begins), "{error}");
            }
        }
    }
}
