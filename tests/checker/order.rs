//! First come, first served, as far as it can be proved from outside.
//!
//! Who came first is known to the supervisor alone. But it tells who waits when it is asked; and whoever asks for a lock
//! after that answer has come behind those that were named in it. Tokens tell who was granted first.
//!
//! Several things may change the order rightly, and nothing is said about them: a waiter that stands still is passed
//! over, and so is one that has lost its connection within a reign, because it was too slow to read; one that was not told its place before the supervisor died goes behind those that were; and one to which the
//! grant was on its way when the supervisor died waits again.

use std::collections::{BTreeMap, BTreeSet};

use super::history::{Ask, History, Outcome, Process, Snapshot, Stop};
use super::journal::Mode;
use super::locks::{Hold, by_name};

/// Waiters that lived, ran, and were seen waiting are not overtaken by those that came later.
pub(super) fn order(history: &History, holds: &[Hold<'_>]) -> Vec<String> {
    let mut wrong = BTreeSet::new();
    compare(history, holds, |seen, token, later| {
        if later.token < token {
            wrong.insert(format!(
                "{}: {}#{} was seen waiting, and {} came later and has a token below {token}",
                seen.ask.name,
                seen.process.name,
                seen.number,
                later.words(),
            ));
        }
    });
    wrong.into_iter().collect()
}

/// For how many pairs of requests the history shows which one had to be served first.
pub(super) fn proofs(history: &History, holds: &[Hold<'_>]) -> usize {
    let mut pairs = BTreeSet::new();
    compare(history, holds, |_, token, later| _ = pairs.insert((token, later.token)));
    pairs.len()
}

/// Goes through all pairs of which the first, with this token, had to be served before the second.
fn compare(history: &History, holds: &[Hold<'_>], mut pair: impl FnMut(&Seen<'_>, u64, &Hold<'_>)) {
    let queues = Queues::of(history);
    let reigns = reigns(history, &queues);
    let mut names = by_name(holds);
    names.values_mut().for_each(|holds| holds.sort_by_key(|hold| hold.ask.asked));
    for seen in history.snapshots.iter().flat_map(|snapshot| queues.seen(snapshot)) {
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
            later.filter(|later| later.granted < reign.lasted).for_each(|later| pair(&seen, token, later));
        }
    }
}

/// A reign, as far as the processes told of it.
struct Reign {
    epoch: u64,
    /// Its window was closed before this.
    open: u64,
    /// It lasted at least until this.
    lasted: u64,
}

fn reigns(history: &History, queues: &Queues<'_>) -> Vec<Reign> {
    let mut told: BTreeMap<u64, (u64, &str)> = BTreeMap::new();
    for (at, epoch, supervisor) in history.processes.iter().flat_map(|process| &process.reigns) {
        let first = told.entry(*epoch).or_insert((*at, supervisor));
        first.0 = first.0.min(*at);
    }
    let end = |epoch: u64, supervisor: &str| {
        let process = queues.processes.get(supervisor)?;
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

/// A request that waited at some time, and the reign in which it was seen.
struct Seen<'a> {
    process: &'a Process,
    number: u64,
    ask: &'a Ask,
    since: u64,
    epoch: u64,
}

/// Which requests a supervisor may have had in its queues, and when.
struct Queues<'a> {
    /// By the ids that they had.
    processes: BTreeMap<&'a str, &'a Process>,
    /// Of each process, name and mode, in the order in which they were asked.
    rows: BTreeMap<(&'a str, &'a str, Mode), Vec<Row<'a>>>,
}

struct Row<'a> {
    number: u64,
    ask: &'a Ask,
    /// By this time the supervisor has it in no queue any more.
    over: u64,
    /// The latest such time of this one and all before.
    all_over: u64,
}

impl<'a> Queues<'a> {
    fn of(history: &'a History) -> Self {
        let mut processes = BTreeMap::new();
        let mut rows: BTreeMap<_, Vec<Row<'_>>> = BTreeMap::new();
        for process in &history.processes {
            processes.extend(process.ids.iter().map(|id| (id.as_str(), process)));
            let mut asks: Vec<_> = process.asks.iter().collect();
            asks.sort_by_key(|(_, ask)| ask.asked);
            let mut own: BTreeMap<_, Vec<_>> = BTreeMap::new();
            // The earliest grant of what was asked for later than the one at hand.
            let mut answers: Vec<(u64, u64)> = Vec::new();
            for (number, ask) in asks.into_iter().rev() {
                let over = match ask.outcome {
                    Outcome::Open => u64::MAX,
                    Outcome::Granted { at, .. } => at,
                    // That it gave up the supervisor knows only when something that was said later is answered.
                    Outcome::GaveUp { at } | Outcome::Failed { at, .. } => {
                        let later = answers.partition_point(|(asked, _)| *asked > at);
                        later.checked_sub(1).map_or(u64::MAX, |last| answers[last].1)
                    }
                };
                if let Outcome::Granted { at, .. } = ask.outcome {
                    let earliest = answers.last().map_or(at, |(_, earliest)| at.min(*earliest));
                    answers.push((ask.asked, earliest));
                }
                let row = Row { number: *number, ask, over, all_over: 0 };
                own.entry((process.name.as_str(), ask.name.as_str(), ask.mode)).or_default().push(row);
            }
            for list in own.values_mut() {
                list.reverse();
                let mut latest = 0;
                for row in list {
                    latest = latest.max(row.over);
                    row.all_over = latest;
                }
            }
            rows.extend(own);
        }
        Self { processes, rows }
    }

    /// The requests that certainly waited when the snapshot was taken. It names instances, not requests: if a process
    /// has others of the same kind that may or may not have been on their way, nothing is known of any of them.
    fn seen(&self, snapshot: &Snapshot) -> Vec<Seen<'a>> {
        let mut named: BTreeMap<(&str, Mode), usize> = BTreeMap::new();
        for (id, mode) in &snapshot.waiters {
            *named.entry((id, *mode)).or_default() += 1;
        }
        let mut all = Vec::new();
        for ((id, mode), count) in named {
            let Some(process) = self.processes.get(id) else { continue };
            let key = (process.name.as_str(), snapshot.name.as_str(), mode);
            let rows = self.rows.get(&key).map(Vec::as_slice).unwrap_or_default();
            let asked = &rows[..rows.partition_point(|row| row.ask.asked < snapshot.ended)];
            let recent = asked.iter().rev().take_while(|row| row.all_over >= snapshot.began);
            let possible: Vec<_> = recent.filter(|row| row.over >= snapshot.began).collect();
            if possible.len() == count {
                let (since, epoch) = (snapshot.ended, snapshot.epoch);
                let seen = |row: &Row<'a>| Seen { process, number: row.number, ask: row.ask, since, epoch };
                all.extend(possible.into_iter().map(seen));
            }
        }
        all
    }
}

/// Whether the waiter could have been granted all the time: it neither stood still nor was disconnected while it waited,
/// and after each earlier time of that it was connected again before it asked, because it had been granted something in
/// between.
fn was_ready(seen: &Seen<'_>, granted: u64) -> bool {
    let back = |until: u64| {
        seen.process.asks.values().any(|between| {
            let answered = matches!(between.outcome, Outcome::Granted { at, .. } if at < seen.ask.asked);
            between.asked > until && answered
        })
    };
    let mut away = seen.process.stops.iter().copied().chain(disconnected(seen.process));
    away.all(|away| away.from > granted || back(away.until))
}

/// When a process may have been disconnected within a reign: it was told of the same reign twice. Of the end of a reign
/// it is not told a second time, and brings its place to the next.
fn disconnected(process: &Process) -> impl Iterator<Item = Stop> {
    let pairs = process.reigns.windows(2).filter(|pair| pair[0].1 == pair[1].1);
    pairs.map(|pair| Stop { from: pair[0].0, until: pair[1].0 })
}
