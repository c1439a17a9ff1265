//! `bellwether state watch`: every change of the values, as it happens.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, Instant, SystemTime};

use bellwether::{Error, Event, Name, StateValue, Version};
use crossbeam::channel::RecvTimeoutError;

use super::{Group, json};
use crate::clock;
use crate::failure::Failure;
use crate::table::{escaped, plain};

/// How often it is asked, while nobody reigns, whether anybody is left.
const LOOK: Duration = Duration::from_millis(200);

/// Who finds nobody to answer for so long has not found nobody: a group of which all copies are stopped is still there.
const NOBODY: Duration = Duration::from_secs(2);

/// Prints what there is and what changes.
pub(super) fn run(group: &Group, key: Option<&Name>, port: Option<u16>) -> Result<(), Failure> {
    let observer = group.observe(port)?;
    // First the events, then the values: nothing can fall between the two.
    let events = observer.events();
    let snapshot = || observer.state().snapshot().into_iter().filter(|(name, _)| key.is_none_or(|key| key == name));
    let mut out = io::stdout().lock();
    let mut known = Known::default();
    let mut lines = known.catch_up(snapshot().collect());
    loop {
        for change in lines.drain(..) {
            writeln!(out, "{}", if group.json { change.json() } else { change.words(SystemTime::now()) })?;
        }
        out.flush()?;
        let event = match observer.supervisor() {
            Some(_) => events.recv().map_err(RecvTimeoutError::from),
            None => events.recv_timeout(LOOK),
        };
        match event {
            Ok(Event::State { key: name, version, bytes }) if key.is_none_or(|key| *key == name) => {
                lines.extend(known.note(Change { key: name, version, bytes: bytes.map(|bytes| bytes.to_vec()) }));
            }
            Ok(Event::Missed(_)) => lines = known.catch_up(snapshot().collect()),
            Ok(Event::PortUnusable { port, reason, listener }) => {
                let group = group.group.to_string();
                return Err(Failure::NotObserved {
                    group,
                    port,
                    error: Error::PortUnusable { port, reason, listener },
                });
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Ok(Event::Disconnected { .. }) | Err(RecvTimeoutError::Timeout) => {
                if observer.supervisor().is_none() && is_over(crate::group(&group.group, port)?) {
                    return Ok(());
                }
            }
            Ok(_) => {}
        }
    }
}

/// Whether nobody is left. The observer itself goes on looking for the next supervisor, as it should in a program that
/// outlives the group it looks at.
fn is_over(group: bellwether::Group) -> bool {
    let began = Instant::now();
    matches!(group.observe(), Err(Error::NoSupervisor)) && began.elapsed() < NOBODY
}

/// A value that was written or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    key: Name,
    version: Version,
    /// None of a value that was deleted.
    bytes: Option<Vec<u8>>,
}

impl Change {
    fn json(&self) -> String {
        json(self.key.as_str(), self.version, self.bytes.as_deref()).to_string()
    }

    fn words(&self, now: SystemTime) -> String {
        let (now, key, version) = (clock::utc(now), escaped(self.key.as_str()), self.version);
        match &self.bytes {
            Some(bytes) => format!("{now}  {key} {version}: {}", plain(&String::from_utf8_lossy(bytes))),
            None => format!("{now}  {key} {version} deleted"),
        }
    }
}

/// The versions that were printed last, of what has a value. The same news can come twice: by an event, and because it
/// was there already when the event was read.
#[derive(Debug, Default)]
struct Known(BTreeMap<Name, Version>);

impl Known {
    /// Takes one change; gives it back if it is news.
    fn note(&mut self, change: Change) -> Option<Change> {
        let before = match change.bytes {
            Some(_) => self.0.insert(change.key.clone(), change.version),
            // Of what never had a value, as far as was said, a deletion is no news.
            None => return self.0.remove(&change.key).map(|_| change),
        };
        (before != Some(change.version)).then_some(change)
    }

    /// Takes everything there is; gives back what is news.
    fn catch_up(&mut self, values: BTreeMap<Name, StateValue>) -> Vec<Change> {
        let gone: Vec<_> = self.0.iter().filter(|(key, _)| !values.contains_key(*key)).collect();
        let gone = gone.into_iter().map(|(key, version)| Change { key: key.clone(), version: *version, bytes: None });
        let gone: Vec<_> = gone.collect();
        let there = values.into_iter().map(|(key, StateValue { bytes, version, .. })| Change {
            key,
            version,
            bytes: Some(bytes.to_vec()),
        });
        gone.into_iter().chain(there).filter_map(|change| self.note(change)).collect()
    }
}
