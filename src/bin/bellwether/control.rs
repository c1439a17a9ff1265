//! `bellwether send`, `request`, `pause`, `resume` and `stop`: what can be said to the copies of a program from outside.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io::{self, Write};
use std::str::FromStr;

use bellwether::{Command, Entry, InstanceId, Name, Observer};
use clap::Args;
use serde_json::json;

use crate::failure::Failure;
use crate::input;
use crate::json::line;
use crate::status::{self, PATIENCE};
use crate::table::escaped;

/// What `send` is told.
#[derive(Debug, Args)]
pub(crate) struct Send {
    #[command(flatten)]
    target: Target,

    /// The message; `-` reads it from standard input.
    #[arg(allow_hyphen_values = true)]
    message: OsString,
}

/// What `request` is told.
#[derive(Debug, Args)]
pub(crate) struct Request {
    /// The name of the group.
    #[arg(value_parser = crate::name)]
    group: Name,

    /// The question; `-` reads it from standard input.
    #[arg(allow_hyphen_values = true)]
    question: OsString,
}

/// Whom something is for, and where.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// The name of the group.
    #[arg(value_parser = crate::name)]
    group: Name,

    /// The id of an instance, its process id, or `all`.
    #[arg(value_name = "ID")]
    whom: Whom,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// One instance or all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Whom {
    All,
    Id(InstanceId),
    Pid(u32),
    /// Nobody can be called that; which is said when it is known who is there.
    Other(String),
}

impl FromStr for Whom {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match (text.parse(), text.parse()) {
            _ if text == "all" => Self::All,
            (Ok(id), _) => Self::Id(id),
            (_, Ok(pid)) => Self::Pid(pid),
            _ => Self::Other(text.to_owned()),
        })
    }
}

impl Whom {
    /// Who that is; `None`: all.
    fn find(&self, registry: &[Entry]) -> Result<Option<InstanceId>, String> {
        let found: Vec<_> = match self {
            Self::Id(id) => registry.iter().filter(|entry| entry.id == *id).collect(),
            Self::Pid(pid) => registry.iter().filter(|entry| entry.pid == *pid).collect(),
            Self::All | Self::Other(_) => Vec::new(),
        };
        match (&found[..], self) {
            ([entry], _) => Ok(Some(entry.id)),
            ([], Self::Id(id)) => Err(format!("no instance has the id {id}")),
            ([], Self::Pid(pid)) => Err(format!("no instance has the process id {pid}")),
            ([], Self::Other(text)) => Err(format!("{text:?} is neither an id, a process id nor `all`")),
            ([], Self::All) => Ok(None),
            (several, _) => Err(format!("{} instances share that process; name one by its id", several.len())),
        }
    }
}

/// Sends a message.
pub(crate) fn send(options: Send, port: Option<u16>) -> Result<(), Failure> {
    let bytes = input::bytes(options.message)?;
    options.target.carry_out("send a message", port, |observer, to| match to {
        Some(id) => observer.send_timeout(id, bytes, PATIENCE).map(|()| 1),
        None => observer.broadcast_timeout(bytes, PATIENCE),
    })
}

/// Asks the handler at the supervisor and prints what it answers, byte by byte.
pub(crate) fn request(options: Request, port: Option<u16>) -> Result<(), Failure> {
    let bytes = input::bytes(options.question)?;
    let group = options.group.as_str();
    let observer = observe(&options.group, port)?;
    let answer = observer.request_timeout(bytes, PATIENCE);
    let answer = answer.map_err(|error| Failure::NotDone { attempted: format!("ask {group:?}"), error })?;
    let mut out = io::stdout().lock();
    out.write_all(&answer)?;
    Ok(out.flush()?)
}

/// Commands something.
pub(crate) fn command(target: &Target, command: Command, port: Option<u16>) -> Result<(), Failure> {
    let attempted = command.to_string();
    target.carry_out(&attempted, port, |observer, to| match to {
        Some(id) => observer.command_timeout(id, command, PATIENCE).map(|()| 1),
        None => observer.command_all_timeout(command, PATIENCE),
    })
}

impl Target {
    fn carry_out(
        &self,
        what: &str,
        port: Option<u16>,
        act: impl FnOnce(&Observer, Option<InstanceId>) -> Result<usize, bellwether::Error>,
    ) -> Result<(), Failure> {
        let group = self.group.as_str();
        let observer = observe(&self.group, port)?;
        let to =
            self.whom.find(&observer.registry()).map_err(|why| Failure::Nobody { group: group.to_owned(), why })?;
        let count = act(&observer, to)
            .map_err(|error| Failure::NotDone { attempted: format!("{what} in {group:?}"), error })?;
        let mut out = io::stdout().lock();
        if self.json {
            writeln!(out, "{}", line(&json!({ "group": group, "reached": count })))?;
        } else {
            writeln!(out, "reached {count} in {}", escaped(group))?;
        }
        Ok(out.flush()?)
    }
}

/// An observer that can be used: it is part of an open reign.
pub(crate) fn observe(group: &Name, port: Option<u16>) -> Result<Observer, Failure> {
    let observer = status::observe(crate::group(group, port)?, group.as_str())?;
    status::settled(&observer, |_, _| true, "the next supervisor", PATIENCE)?;
    Ok(observer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_is_told_by_what_it_looks_like() {
        for (text, whom) in [
            ("all", Whom::All),
            ("00000000000000ff", Whom::Id(InstanceId::new(255))),
            ("1234", Whom::Pid(1234)),
            // Sixteen digits are an id, whatever digits they are.
            ("0000000000001234", Whom::Id(InstanceId::new(0x1234))),
            ("nobody", Whom::Other("nobody".to_owned())),
            ("-1", Whom::Other("-1".to_owned())),
        ] {
            assert_eq!(text.parse(), Ok(whom), "{text}");
        }
    }
}
