//! `bellwether status`: the registry of a group and its locks, seen from outside.

use std::io::{self, Write};
use std::time::{Duration, Instant, SystemTime};

use bellwether::sync::LockStatus;
use bellwether::{Entry, Epoch, Error, Group, Name, Observer, Role};
use clap::Args;
use serde_json::Value;

use crate::failure::Failure;
use crate::json::line;
use crate::{locks, registry};

/// What `status` is told.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The name of the group.
    #[arg(value_parser = crate::name)]
    group: Name,

    /// Print one JSON value instead of a table.
    #[arg(long)]
    json: bool,
}

/// How long a group may be between two reigns. Longer than the default window limit, which is 5 s.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How long the supervisor has to say who holds what. The registry does not wait for it: every observer has a copy.
const ANSWER: Duration = Duration::from_secs(1);

/// Prints the registry, and who holds what.
pub(crate) fn run(options: &Options, port: Option<u16>) -> Result<(), Failure> {
    let observer = observe(crate::group(&options.group, port)?, options.group.as_str())?;
    let (epoch, mut entries) = settled(&observer, |_, _| true, "the next supervisor", PATIENCE)?;
    let mut out = io::stdout().lock();
    if options.json {
        let mut status = registry::json(options.group.as_str(), observer.port(), epoch, &entries);
        status["locks"] = surveyed(&observer)?.as_deref().map_or(Value::Null, locks::json);
        writeln!(out, "{}", line(&status))?;
        return Ok(out.flush()?);
    }
    entries.sort_by_key(|entry| (entry.role != Role::Supervisor, entry.since, entry.id));
    write!(out, "{}", registry::table(&entries, SystemTime::now(), 0))?;
    out.flush()?;
    if let Some(rows) = surveyed(&observer)?.filter(|rows| !rows.is_empty()) {
        write!(out, "\n{}", locks::table(&rows, SystemTime::now()))?;
    }
    Ok(out.flush()?)
}

/// Who holds what; `None`, and a word on standard error, if the supervisor does not say so in time.
fn surveyed(observer: &Observer) -> Result<Option<Vec<LockStatus>>, Failure> {
    match observer.locks_timeout(ANSWER) {
        Ok(rows) => Ok(Some(rows)),
        Err(Error::TimedOut { waited, .. }) => {
            eprintln!("bellwether: who holds what is unknown: the supervisor has not answered for {waited:.1?}");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// An observer of the group, or the reason for a user why there is none.
pub(crate) fn observe(group: Group, name: &str) -> Result<Observer, Failure> {
    let port = group.supervisor_port();
    group.observe().map_err(|error| Failure::NotObserved { group: name.to_owned(), port, error })
}

/// The registry of an open reign, as soon as it is as wanted. Between two reigns nobody is supervisor; that is waited
/// out, since it would look as if something was wrong.
pub(crate) fn settled(
    observer: &Observer,
    wanted: impl Fn(Epoch, &[Entry]) -> bool,
    what: &str,
    patience: Duration,
) -> Result<(Epoch, Vec<Entry>), Failure> {
    let began = Instant::now();
    let events = observer.events();
    loop {
        let epoch = observer.epoch();
        let entries = observer.registry();
        let supervised = entries.iter().any(|entry| entry.role == Role::Supervisor);
        // Epoch and entries are two questions; they belong together if no reign began between them.
        if supervised && observer.epoch() == epoch && wanted(epoch, &entries) {
            return Ok((epoch, entries));
        }
        let left = patience.saturating_sub(began.elapsed());
        if events.recv_timeout(left).is_err() {
            return Err(Failure::Awaited { what: what.to_owned(), waited: began.elapsed() });
        }
    }
}
