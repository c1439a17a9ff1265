//! First come, first served, as far as it can be proved from outside.
//!
//! Who came first is known to the supervisor alone. But it tells who waits when it is asked; and whoever asks for a lock
//! after that answer has come behind those that were named in it. Tokens tell who was granted first.
//!
//! Several things may change the order rightly, and nothing is said about them: a waiter that stands still is passed
//! over; one that was not told its place before the supervisor died goes behind those that were; and one to which the
//! grant was on its way when the supervisor died waits again.

use std::collections::{BTreeMap, BTreeSet};

use super::history::{Ask, History, Outcome, Process, Snapshot};
use super::journal::Mode;
use super::locks::{Hold, by_name};

/// A reign, as far as the processes told of it.
struct Reign {
    epoch: u64,
    /// Its window was closed before this.
    open: u64,
    /// It lasted at least until this.
    lasted: u64,
}

/// A request that waited at some time, and the reign in which it was seen.
struct Seen<'a> {
    process: &'a Process,
    number: u64,
    ask: &'a Ask,
    since: u64,
    epoch: u64,
}

/// Waiters that lived, ran, and were seen waiting are not overtaken by those that came later.
pub(super) fn order(history: &History, holds: &[Hold<'_>]) -> Vec<String> {
    let reigns = reigns(history);
    let mut names = by_name(holds);
    names.values_mut().for_each(|holds| holds.sort_by_key(|hold| hold.ask.asked));
    let mut wrong = BTreeSet::new();
    for seen in history.snapshots.iter().flat_map(|snapshot| seen(history, snapshot)) {
        let Outcome::Granted { at, token, .. } = seen.ask.outcome else { continue };
        if !was_ready(&seen, at) {
            continue;
        }
        let all = names.get(seen.ask.name.as_str()).map(Vec::as_slice).unwrap_or_default();
        for reign in reigns.iter().filter(|reign| reign.epoch >= seen.epoch && at < reign.lasted) {
            // In a later reign it is ahead of those that came after the window, because it brought its claim in it.
            let since = if reign.epoch == seen.epoch { seen.since } else { seen.since.max(reign.open) };
            let first = all.partition_point(|later| later.ask.asked <= since);
            let later = all[first..].iter().take_while(|later| later.ask.asked <= at);
            for later in later.filter(|later| later.token < token && later.granted < reign.lasted) {
                wrong.insert(format!(
                    "{}: {}#{} was seen waiting, and {} came later and has a token below {token}",
                    seen.ask.name,
                    seen.process.name,
                    seen.number,
                    later.words(),
                ));
            }
        }
    }
    wrong.into_iter().collect()
}

fn reigns(history: &History) -> Vec<Reign> {
    let mut told: BTreeMap<u64, (u64, &str)> = BTreeMap::new();
    for (at, epoch, supervisor) in history.processes.iter().flat_map(|process| &process.reigns) {
        let first = told.entry(*epoch).or_insert((*at, supervisor));
        first.0 = first.0.min(*at);
    }
    let end = |epoch: u64, supervisor: &str| {
        let process = history.process_of(supervisor)?;
        let own = [process.killed, process.leaving, process.ended].into_iter().flatten().min().unwrap_or(u64::MAX);
        // If another reign began before, this one ended in a way of which no process told.
        let next = told.range(epoch + 1..).map(|(_, (at, _))| *at).min().unwrap_or(u64::MAX);
        (own <= next).then_some(own)
    };
    let reign = |(epoch, (open, supervisor)): (&u64, &(u64, &str))| {
        Some(Reign { epoch: *epoch, open: *open, lasted: end(*epoch, supervisor)? })
    };
    told.iter().filter_map(reign).collect()
}

/// The requests that certainly waited when the snapshot was taken. It names instances, not requests: if a process has
/// others of the same kind that may or may not have been on their way, nothing is known of any of them.
fn seen<'a>(history: &'a History, snapshot: &Snapshot) -> Vec<Seen<'a>> {
    let mut named: BTreeMap<(&str, Mode), usize> = BTreeMap::new();
    for (id, mode) in &snapshot.waiters {
        *named.entry((id, *mode)).or_default() += 1;
    }
    let mut all = Vec::new();
    for ((id, mode), count) in named {
        let Some(process) = history.process_of(id) else { continue };
        let possible: Vec<_> = process
            .asks
            .iter()
            .filter(|(_, ask)| ask.name == snapshot.name && ask.mode == mode && may_wait(process, ask, snapshot))
            .collect();
        if possible.len() == count {
            let seen = |(number, ask): (&u64, &'a Ask)| Seen {
                process,
                number: *number,
                ask,
                since: snapshot.ended,
                epoch: snapshot.epoch,
            };
            all.extend(possible.into_iter().map(seen));
        }
    }
    all
}

/// Whether the supervisor may have had the request in its queue while the snapshot was taken.
fn may_wait(process: &Process, ask: &Ask, snapshot: &Snapshot) -> bool {
    let over = match &ask.outcome {
        Outcome::Open => return ask.asked < snapshot.ended,
        Outcome::Granted { at, .. } => *at < snapshot.began,
        // That it gave up is known to the supervisor only when something that was said later has been answered.
        Outcome::GaveUp { at } | Outcome::Failed { at, .. } => process.asks.values().any(|later| {
            later.asked > *at && matches!(later.outcome, Outcome::Granted { at, .. } if at < snapshot.began)
        }),
    };
    ask.asked < snapshot.ended && !over
}

/// Whether the waiter could have been granted all the time: it did not stand still while it waited, and after each
/// earlier stop it was connected again before it asked, because it had been granted something in between.
fn was_ready(seen: &Seen<'_>, granted: u64) -> bool {
    let back = |until: u64| {
        seen.process.asks.values().any(|between| {
            let answered = matches!(between.outcome, Outcome::Granted { at, .. } if at < seen.ask.asked);
            between.asked > until && answered
        })
    };
    seen.process.stops.iter().filter(|stop| stop.from <= granted).all(|stop| back(stop.until))
}
