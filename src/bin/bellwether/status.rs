//! `bellwether status`: the registry of a group, seen from outside.

use std::io::{self, Write};
use std::time::{Duration, Instant, SystemTime};

use bellwether::{Entry, Epoch, Group, Name, Observer, Role};
use clap::Args;

use crate::failure::Failure;
use crate::registry;

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
const PATIENCE: Duration = Duration::from_secs(30);

/// Prints the registry.
pub(crate) fn run(options: &Options, port: Option<u16>) -> Result<(), Failure> {
    let observer = observe(crate::group(&options.group, port)?, options.group.as_str())?;
    let (epoch, mut entries) = settled(&observer, |_, _| true, "the next supervisor", PATIENCE)?;
    let mut out = io::stdout().lock();
    if options.json {
        writeln!(out, "{}", registry::json(options.group.as_str(), observer.port(), epoch, &entries))?;
    } else {
        entries.sort_by_key(|entry| (entry.role != Role::Supervisor, entry.since, entry.id));
        write!(out, "{}", registry::table(&entries, SystemTime::now(), 0))?;
    }
    Ok(out.flush()?)
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
