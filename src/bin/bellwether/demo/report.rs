//! What a process of the demonstration tells its parent, one line per report.

use std::fmt;
use std::str::FromStr;

use bellwether::{Epoch, InstanceId, Role};

use crate::registry::role;

/// One thing that happened to a process. `at` is on the clock that all processes share, taken when the process's own
/// thread heard of the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Report {
    /// It is part of an open reign for the first time.
    Joined(u64, Standing),
    /// Its connection to the supervisor has ended.
    Disconnected(u64),
    /// It has won the port, or it was welcomed by the winner.
    Welcomed(u64, Role),
    /// It is part of the next open reign.
    Reign(u64, Standing),
    /// It has this version of the configuration.
    Configured(u64, String),
    /// It was given the lock that nobody may have.
    Allowed(u64),
    /// It was refused that lock, and with which words.
    Denied(u64, String),
    /// It could not join, and ends.
    Failed(String),
}

/// What a process is in an open reign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) epoch: Epoch,
    pub(crate) id: InstanceId,
    pub(crate) role: Role,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Joined(at, standing) => write!(f, "joined {at} {standing}"),
            Self::Disconnected(at) => write!(f, "disconnected {at}"),
            Self::Welcomed(at, as_what) => write!(f, "welcomed {at} {}", role(*as_what)),
            Self::Reign(at, standing) => write!(f, "reign {at} {standing}"),
            Self::Configured(at, version) => write!(f, "configured {at} {version}"),
            Self::Allowed(at) => write!(f, "allowed {at}"),
            Self::Denied(at, why) => write!(f, "denied {at} {}", why.escape_debug()),
            Self::Failed(why) => write!(f, "failed {}", why.escape_debug()),
        }
    }
}

impl FromStr for Report {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        let (what, rest) = line.split_once(' ').ok_or(())?;
        if what == "failed" {
            return Ok(Self::Failed(rest.to_owned()));
        }
        let (at, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let at = at.parse().map_err(|_| ())?;
        match what {
            "joined" => Ok(Self::Joined(at, rest.parse()?)),
            "disconnected" if rest.is_empty() => Ok(Self::Disconnected(at)),
            "welcomed" => Ok(Self::Welcomed(at, parse_role(rest)?)),
            "configured" if !rest.is_empty() => Ok(Self::Configured(at, rest.to_owned())),
            "allowed" if rest.is_empty() => Ok(Self::Allowed(at)),
            "denied" if !rest.is_empty() => Ok(Self::Denied(at, rest.to_owned())),
            "reign" => Ok(Self::Reign(at, rest.parse()?)),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.epoch, self.id, role(self.role))
    }
}

impl FromStr for Standing {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.split(' ');
        let (Some(epoch), Some(id), Some(role), None) = (words.next(), words.next(), words.next(), words.next()) else {
            return Err(());
        };
        Ok(Self {
            epoch: Epoch::new(epoch.parse().map_err(|_| ())?),
            id: id.parse().map_err(|_| ())?,
            role: parse_role(role)?,
        })
    }
}

fn parse_role(text: &str) -> Result<Role, ()> {
    [Role::Supervisor, Role::Subordinate].into_iter().find(|known| role(*known) == text).ok_or(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_read_back_from_their_own_lines() {
        let standing = Standing { epoch: Epoch::new(7), id: InstanceId::new(0xab), role: Role::Supervisor };
        for report in [
            Report::Joined(1, standing),
            Report::Disconnected(u64::MAX),
            Report::Welcomed(3, Role::Subordinate),
            Report::Reign(4, Standing { role: Role::Subordinate, ..standing }),
            Report::Configured(5, "7.1".to_owned()),
            Report::Allowed(6),
            Report::Denied(7, "instance 3".to_owned()),
            Report::Failed("port 80 is unusable: binding it is not permitted".to_owned()),
        ] {
            assert_eq!(report.to_string().parse(), Ok(report));
        }
    }

    #[test]
    fn a_failure_of_two_lines_is_one_line() {
        assert_eq!(Report::Failed("a\nb".to_owned()).to_string(), "failed a\\nb");
    }

    #[test]
    fn other_lines_are_no_reports() {
        for line in [
            "",
            "joined",
            "joined 1",
            "joined 1 7 00000000000000ab king",
            "joined 1 7 ab supervisor",
            "joined 1 7 00000000000000ab supervisor and more",
            "disconnected x",
            "disconnected 1 2",
            "welcomed 1",
            "configured 1",
            "allowed 1 2",
            "denied 1",
            "panicked 1",
        ] {
            assert_eq!(line.parse::<Report>(), Err(()), "{line:?}");
        }
    }
}
