//! What can be proved of the state: one order of writes, nothing acknowledged is lost, copies only go forward.
//!
//! A write that was never acknowledged may be seen by processes that die, and then be gone; that is no violation.

use std::collections::BTreeMap;

use super::check::{Forfeits, Rules};
use super::history::{History, Outcome, Process, Put, Read, Written};
use super::journal::{Expected, Found, Version};

/// A write, and what came of it.
struct Write<'a> {
    process: &'a Process,
    number: u64,
    put: &'a Put,
}

/// A write that was acknowledged.
struct Stored<'w, 'a> {
    write: &'w Write<'a>,
    at: u64,
    version: Version,
}

/// All writes of a history.
pub(super) struct Writes<'a>(Vec<Write<'a>>);

/// The version that a key has before it was ever written.
const NEVER: Version = Version(0, 0);

impl Write<'_> {
    fn words(&self) -> String {
        format!("{}#{} ({})", self.process.name, self.number, self.put.value.as_deref().unwrap_or("deletes"))
    }
}

impl<'a> Writes<'a> {
    pub(super) fn of(history: &'a History) -> Self {
        let all = history
            .processes
            .iter()
            .flat_map(|process| process.puts.iter().map(move |(number, put)| Write { process, number: *number, put }));
        Self(all.collect())
    }

    fn stored<'w>(&'w self) -> impl Iterator<Item = Stored<'w, 'a>> {
        self.0.iter().filter_map(|write| match write.put.outcome {
            Written::Stored { at, version } => Some(Stored { write, at, version }),
            _ => None,
        })
    }

    /// The acknowledged writes of each key.
    fn by_key<'w>(&'w self) -> BTreeMap<&'a str, Vec<Stored<'w, 'a>>> {
        let mut keys: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for stored in self.stored() {
            keys.entry(stored.write.put.key.as_str()).or_default().push(stored);
        }
        keys
    }

    /// One version is one write of the whole group, and a write that began when another had been acknowledged has the
    /// higher one.
    pub(super) fn versions(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut versions: BTreeMap<Version, Stored<'_, '_>> = BTreeMap::new();
        for stored in self.stored() {
            let (version, words) = (stored.version, stored.write.words());
            if let Some(other) = versions.insert(version, stored) {
                wrong.push(format!("{version} is the version of {} and of {words}", other.write.words()));
            }
        }
        let mut done: Vec<_> = self.stored().collect();
        done.sort_by_key(|stored| stored.at);
        let mut begun: Vec<_> = self.stored().collect();
        begun.sort_by_key(|stored| stored.write.put.began);
        let mut done = done.into_iter().peekable();
        let mut highest: Option<Stored<'_, '_>> = None;
        for stored in begun {
            while let Some(earlier) = done.next_if(|earlier| earlier.at < stored.write.put.began) {
                highest = highest.filter(|highest| highest.version > earlier.version).or(Some(earlier));
            }
            if let Some(highest) = highest.as_ref().filter(|highest| highest.version > stored.version) {
                let (one, other) = (highest.write, stored.write);
                wrong.push(format!(
                    "{} of {} was acknowledged as {} before {} of {} began, which became {}",
                    one.words(),
                    one.put.key,
                    highest.version,
                    other.words(),
                    other.put.key,
                    stored.version
                ));
            }
        }
        wrong
    }

    /// What was read had been written before, to that key, under that version, and is the same wherever it was read.
    pub(super) fn origin(&self, history: &History) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut values: BTreeMap<&str, &Write<'_>> = BTreeMap::new();
        for write in &self.0 {
            if let Some(value) = &write.put.value {
                values.insert(value, write);
            }
        }
        let mut known: BTreeMap<Version, (&str, Option<&str>)> = BTreeMap::new();
        for stored in self.stored() {
            known.insert(stored.version, (&stored.write.put.key, stored.write.put.value.as_deref()));
        }
        for (process, key, ended, found) in sights(history) {
            let Some((version, value)) = found else { continue };
            let what = format!("{} read {key} = {value}, version {version}", process.name);
            match values.get(value.as_str()) {
                None => wrong.push(format!("{what}, which nobody wrote")),
                Some(write) if write.put.key != key => {
                    wrong.push(format!("{what}, which belongs to {}", write.put.key))
                }
                Some(write) if write.put.began > ended => {
                    wrong.push(format!("{what} before {} wrote it", write.words()))
                }
                Some(write) if matches!(write.put.outcome, Written::Conflict { .. }) => {
                    wrong.push(format!("{what}, which was refused"));
                }
                _ => {}
            }
            let first = known.entry(*version).or_insert((key, Some(value)));
            if *first != (key, Some(value)) {
                wrong.push(format!("{what}, which is also the version of {} = {:?}", first.0, first.1));
            }
        }
        wrong
    }

    /// What was acknowledged is seen by whoever was told anything by the supervisor after that, and nobody's copy goes
    /// back. Another process's copy may be a moment behind an acknowledgement: it has the bytes, but has not read them.
    pub(super) fn visibility(&self, history: &History, rules: &Rules) -> Vec<String> {
        let mut wrong = Vec::new();
        let keys: BTreeMap<_, _> = self.by_key().into_iter().map(|(key, stored)| (key, Ledger::of(stored))).collect();
        for process in &history.processes {
            let trips = Trips::of(process);
            let name = &process.name;
            let mut reads: BTreeMap<&str, Vec<&Read>> = BTreeMap::new();
            for read in &process.reads {
                reads.entry(&read.key).or_default().push(read);
            }
            for (key, mut reads) in reads {
                let own =
                    self.stored().filter(|stored| stored.write.process.name == *name && stored.write.put.key == key);
                let own = Ledger::of(own.collect());
                for read in &reads {
                    let told = trips.begun_of_those_done_by(read.began);
                    let told = told.and_then(|told| keys.get(key)?.highest_before(told));
                    let due = told.into_iter().chain(own.highest_before(read.began)).max_by_key(|due| due.version);
                    let Some(due) = due else { continue };
                    if !self.is_at_least(key, &read.found, due.version, read.ended) {
                        let (words, version) = (due.write.words(), due.version);
                        wrong.push(format!("{name} read {key} as {:?} after {words} was {version}", read.found));
                    }
                }
                // A copy that was given up with its instance is replaced by another, which may lack what nobody else had.
                if rules.forfeits == Forfeits::WhenStopped && !process.stops.is_empty() {
                    continue;
                }
                reads.sort_by_key(|read| read.began);
                let mut ended: Vec<_> = reads.clone();
                ended.sort_by_key(|read| read.ended);
                let mut ended = ended.into_iter().peekable();
                let mut newest: Option<&(Version, String)> = None;
                for read in reads {
                    while let Some(earlier) = ended.next_if(|earlier| earlier.ended < read.began) {
                        newest = newest.max(earlier.found.as_ref());
                    }
                    if let Some((version, value)) = newest
                        && !self.is_at_least(key, &read.found, *version, read.ended)
                    {
                        wrong.push(format!("{name} read {key} as {:?} after {value}, {version}", read.found));
                    }
                }
            }
        }
        wrong
    }

    /// Whether a copy that has this for the key, at this time, can have all up to this version.
    fn is_at_least(&self, key: &str, found: &Found, version: Version, at: u64) -> bool {
        match found {
            Some((seen, _)) => *seen >= version,
            // Nothing is there: only if somebody deleted it since, or is just doing so.
            None => self.0.iter().filter(|write| write.put.key == key && write.put.value.is_none()).any(|write| {
                let late = match write.put.outcome {
                    Written::Stored { version: deleted, .. } => deleted >= version,
                    Written::Conflict { .. } => false,
                    Written::Open | Written::Unsure { .. } => true,
                };
                late && write.put.began < at
            }),
        }
    }

    /// In the end all copies are equal, and none lacks what was acknowledged.
    pub(super) fn finals(&self, history: &History) -> Vec<String> {
        let mut wrong = Vec::new();
        let stayed = |process: &&Process| process.ended.is_some() && process.left.is_none();
        let survivors: Vec<_> = history.processes.iter().filter(stayed).collect();
        for process in survivors.iter().skip(1) {
            if process.finals != survivors[0].finals {
                let (one, other) = (survivors[0], process);
                let all = one.finals.iter().chain(&other.finals);
                let differ = all.filter(|(key, _)| one.finals.get(*key) != other.finals.get(*key));
                let keys: Vec<_> = differ.map(|(key, found)| format!("{key}: {found:?}")).collect();
                wrong.push(format!("{} and {} end with different copies: {}", one.name, other.name, keys.join(", ")));
            }
        }
        for (key, stored) in self.by_key() {
            let Some(newest) = stored.iter().max_by_key(|stored| stored.version) else { continue };
            for process in &survivors {
                let found = process.finals.get(key).cloned().flatten();
                if !self.is_at_least(key, &found, newest.version, u64::MAX) {
                    let (words, version) = (newest.write.words(), newest.version);
                    wrong.push(format!("{} ends with {key} as {found:?}, and {words} was {version}", process.name));
                }
            }
        }
        wrong
    }

    /// Whether the key may have been deleted at one version or later, before another; also by a delete of which nobody
    /// knows what became of it.
    fn was_deleted(&self, key: &str, from: Version, before: Version) -> bool {
        let mut deletes = self.0.iter().filter(|write| write.put.key == key && write.put.value.is_none());
        deletes.any(|write| match write.put.outcome {
            Written::Stored { version, .. } => from <= version && version < before,
            Written::Conflict { .. } => false,
            Written::Open | Written::Unsure { .. } => true,
        })
    }

    /// A write that expected a version replaced just that one, and was refused only if the key had another.
    pub(super) fn chain(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (key, mut stored) in self.by_key() {
            stored.sort_by_key(|stored| stored.version);
            for (n, this) in stored.iter().enumerate() {
                let Some(expected) = expected(this.write.put) else { continue };
                // A key without a value was never written, or has been deleted.
                let nothing = this.write.put.expected == Expected::Nothing;
                let before = n.checked_sub(1).map(|n| &stored[n]);
                let before = before.filter(|before| !nothing || !self.was_deleted(key, before.version, this.version));
                if let Some(before) = before.filter(|before| before.version > expected) {
                    let (one, other) = (this.write.words(), before.write.words());
                    wrong.push(format!("{key}: {one} replaced {expected}, and there was {other}, {}", before.version));
                }
                if this.version <= expected {
                    wrong.push(format!("{key}: {} became {} after {expected}", this.write.words(), this.version));
                }
            }
        }
        for write in &self.0 {
            if let Written::Conflict { version, .. } = write.put.outcome
                && expected(write.put).is_none_or(|expected| expected == version)
            {
                wrong.push(format!("{}: {} was refused because of {version}", write.put.key, write.words()));
            }
        }
        wrong
    }
}

/// Acknowledged writes in the order of their acknowledgements.
struct Ledger<'w, 'a> {
    stored: Vec<Stored<'w, 'a>>,
    /// Which of the writes up to here has the highest version.
    highest: Vec<usize>,
}

impl<'w, 'a> Ledger<'w, 'a> {
    fn of(mut stored: Vec<Stored<'w, 'a>>) -> Self {
        stored.sort_by_key(|stored| stored.at);
        let mut best = 0;
        let highest = (0..stored.len()).map(|n| {
            if stored[n].version > stored[best].version {
                best = n;
            }
            best
        });
        Self { highest: highest.collect(), stored }
    }

    fn highest_before(&self, time: u64) -> Option<&Stored<'w, 'a>> {
        let count = self.stored.partition_point(|stored| stored.at < time);
        self.stored.get(*self.highest.get(count.checked_sub(1)?)?)
    }
}

fn expected(put: &Put) -> Option<Version> {
    match put.expected {
        Expected::Anything => None,
        Expected::Nothing => Some(NEVER),
        Expected::This(version) => Some(version),
    }
}

/// Everything that was seen of the state: by whom, of which key, until when.
fn sights(history: &History) -> impl Iterator<Item = (&Process, &str, u64, &Found)> {
    history.processes.iter().flat_map(|process| {
        let reads = process.reads.iter().map(move |read| (process, read.key.as_str(), read.ended, &read.found));
        let last = process.finals.iter().map(move |(key, found)| (process, key.as_str(), u64::MAX, found));
        reads.chain(last)
    })
}

/// When a process asked the supervisor and was answered. What the supervisor had told before it, the process knows then.
struct Trips(
    /// By the time of the answer: the latest time at which one that was answered until then had begun.
    BTreeMap<u64, u64>,
);

impl Trips {
    fn of(process: &Process) -> Self {
        let grants = process.asks.values().filter_map(|ask| match ask.outcome {
            Outcome::Granted { at, .. } => Some((at, ask.asked)),
            _ => None,
        });
        let writes = process.puts.values().filter_map(|put| match put.outcome {
            Written::Stored { at, .. } => Some((at, put.began)),
            _ => None,
        });
        let join = process.joined.as_ref().and_then(|(at, _)| Some((*at, process.joining?)));
        let mut all: Vec<_> = grants.chain(writes).chain(join).collect();
        all.sort_unstable();
        let mut latest = 0;
        let rising = all.into_iter().map(|(at, begun)| {
            latest = latest.max(begun);
            (at, latest)
        });
        Self(rising.collect())
    }

    fn begun_of_those_done_by(&self, time: u64) -> Option<u64> {
        self.0.range(..time).next_back().map(|(_, begun)| *begun)
    }
}
