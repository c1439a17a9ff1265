//! What a process of a storm does: its threads take and release locks, write and read values at random, and journal it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bellwether::sync::{self, Guard};
use bellwether::{Error, Event, Instance};

use super::{Desk, group, lock, option};
use crate::fleet::chance::Chance;
use crate::fleet::journal::{Abandoned, Expected, Found, Journal, Mode, Patience, Version, What, now};

/// One instance in a storm.
pub(super) struct Storm {
    name: String,
    instance: Instance,
    journal: Journal,
    /// The last number that was given to a request.
    numbers: AtomicU64,
}

const MUTEXES: [&str; 3] = ["m0", "m1", "m2"];
const RWLOCKS: [&str; 2] = ["l0", "l1"];
const SEMAPHORE: &str = "s";
const KEYS: [&str; 3] = ["k0", "k1", "k2"];

/// The largest value, in bytes.
const LARGE: u64 = 400_000;

/// How many permits the semaphore has.
pub const PERMITS: u32 = 5;

impl Desk {
    /// The verbs of this file. `storm KEY in=DIRECTORY name=NAME seed=N threads=N longest=MS` and the options of a
    /// join: it joins, and its threads do this and that until `calm`; then it answers. `aftermath KEY`, when all are
    /// calm: a last word.
    pub(super) fn obey_storm(self: &Arc<Self>, verb: &str, key: &str, rest: &[String]) -> Result<String, Error> {
        match verb {
            "storm" => {
                let text = |name| option(rest, name).expect("an option of a storm");
                let number = |name| text(name).parse::<u64>().expect("a number");
                let path = Path::new(text("in")).join(format!("{}.log", text("name")));
                let journal = Journal::open(&path).expect("the directory of the storm takes a file");
                journal.note(What::Joining);
                let instance = group(rest)?.join()?;
                journal.note(What::Joined { id: instance.id().to_string() });
                let storm =
                    Arc::new(Storm { name: text("name").to_owned(), instance, journal, numbers: AtomicU64::new(0) });
                lock(&self.storms).insert(key.to_owned(), storm.clone());
                storm.listen();
                let events = storm.instance.events();
                // Of the reign that it has joined there may be no event.
                let (role, epoch) = (storm.instance.role(), storm.instance.epoch());
                self.report(&format!("event {key} reign epoch={epoch} role={role:?}"));
                self.forward(key, events);
                let storm = &*storm;
                std::thread::scope(|scope| {
                    scope.spawn(|| self.look(storm, number("seed")));
                    for thread in 1..=number("threads") {
                        let chance = Chance::new(number("seed") * 100 + thread);
                        let longest = number("longest") * 1000;
                        scope.spawn(move || self.work(storm, chance, longest));
                    }
                });
                Ok(String::new())
            }
            "calm" => {
                self.calm.store(true, Ordering::SeqCst);
                Ok(String::new())
            }
            "aftermath" => {
                let storm = lock(&self.storms).get(key).cloned().ok_or(Error::Left)?;
                // Whoever was told of a grant knows everything that the supervisor said before.
                storm.ask("last", Mode::Exclusive, Patience::Endless, || ());
                for key in KEYS {
                    storm.journal.note(What::Final { key: key.to_owned(), found: storm.found(key) });
                }
                storm.journal.note(What::End);
                Ok(String::new())
            }
            other => panic!("no such command: {other}"),
        }
    }

    fn is_calm(&self) -> bool {
        self.calm.load(Ordering::SeqCst)
    }

    fn work(&self, storm: &Storm, mut chance: Chance, longest: u64) {
        while !self.is_calm() {
            pause(chance.below(6_000));
            let key = KEYS[chance.below(KEYS.len() as u64) as usize];
            match chance.below(10) {
                0..6 => {}
                6 | 7 => {
                    storm.write(key, &mut chance);
                    continue;
                }
                _ => {
                    storm.read(key);
                    continue;
                }
            }
            let (name, mode) = match chance.below(6) {
                n @ 0..=2 => (MUTEXES[n as usize], Mode::Exclusive),
                5 => (SEMAPHORE, Mode::Permits(1 + chance.below(3) as u32)),
                n if chance.percent(75) => (RWLOCKS[n as usize - 3], Mode::Shared),
                n => (RWLOCKS[n as usize - 3], Mode::Exclusive),
            };
            let patience = match chance.below(100) {
                0..70 => Patience::Endless,
                70..85 => Patience::None,
                _ => Patience::For(chance.below(20_000_000)),
            };
            // Most hold it for a moment.
            let most = if chance.percent(10) { longest } else { 500 };
            let hold = chance.below(most);
            storm.ask(name, mode, patience, || pause(hold));
            // What was written before the grant is to be seen now.
            storm.read(key);
        }
    }

    /// Looks from time to time who waits.
    fn look(&self, storm: &Storm, seed: u64) {
        let mut chance = Chance::new(seed);
        while !self.is_calm() {
            let (began, epoch) = (now(), storm.instance.epoch());
            let seen = storm.instance.locks_timeout(Duration::from_millis(200)).unwrap_or_default();
            // Otherwise it is not known which reign has answered.
            if storm.instance.epoch() == epoch {
                for row in seen.into_iter().filter(|row| !row.waiters.is_empty()) {
                    let waiters = row.waiters.iter().map(|waiter| (waiter.id.to_string(), mode(waiter.mode)));
                    let (name, epoch, waiters) = (row.name.to_string(), epoch.number(), waiters.collect());
                    storm.journal.note(What::Waiters { began, epoch, name, waiters });
                }
            }
            pause(chance.below(30_000));
        }
    }
}

impl Storm {
    /// Writes down what the instance is told.
    fn listen(self: &Arc<Self>) {
        let (storm, events) = (self.clone(), self.instance.events());
        std::thread::spawn(move || {
            for event in events {
                match event {
                    Event::Reign { epoch, supervisor, .. } => {
                        let (epoch, supervisor) = (epoch.number(), supervisor.to_string());
                        storm.journal.note(What::Reign { epoch, supervisor });
                    }
                    Event::Forfeited { new, .. } => storm.journal.note(What::Joined { id: new.to_string() }),
                    _ => {}
                }
            }
        });
    }

    fn ask(&self, name: &str, mode: Mode, patience: Patience, meanwhile: impl FnOnce()) {
        let ask = self.numbers.fetch_add(1, Ordering::Relaxed);
        self.journal.note(What::Asked { ask, name: name.to_owned(), mode, patience });
        let guard = match self.call(name, mode, patience) {
            Ok(guard) => guard,
            Err(Error::WouldBlock { .. } | Error::TimedOut { .. }) => {
                return self.journal.note(What::GaveUp { ask });
            }
            Err(error) => return self.journal.note(What::Failed { ask, reason: format!("{error:?}") }),
        };
        let abandoned = match guard.abandoned() {
            bellwether::Abandoned::Clean => Abandoned::Clean,
            bellwether::Abandoned::Died { .. } => Abandoned::Died,
            _ => Abandoned::Unknown,
        };
        self.journal.note(What::Granted { ask, token: guard.token().number(), abandoned });
        meanwhile();
        self.journal.note(What::Releasing { ask });
        match guard.unlock() {
            Ok(()) => {}
            Err(Error::Lost) => self.journal.note(What::Lost { ask }),
            Err(error) => panic!("{name} cannot be released: {error}"),
        }
    }

    fn read(&self, key: &str) {
        let began = now();
        let found = self.found(key);
        self.journal.note(What::Read { began, key: key.to_owned(), found });
    }

    fn found(&self, key: &str) -> Found {
        let value = self.instance.state().get(key)?;
        let text = value.bytes.split(|byte| *byte == b' ').next().unwrap_or_default();
        Some((version(value.version), String::from_utf8_lossy(text).into_owned()))
    }

    fn write(&self, key: &str, chance: &mut Chance) {
        let put = self.numbers.fetch_add(1, Ordering::Relaxed);
        let state = self.instance.state();
        let seen = state.get(key).map(|value| value.version);
        // No other write of the whole storm has this value. What is not there cannot be deleted under a condition.
        let value = (!chance.percent(10)).then(|| format!("{}.{put}", self.name));
        let conditional = chance.percent(40) && (value.is_some() || seen.is_some());
        let expected = match seen {
            _ if !conditional => Expected::Anything,
            None => Expected::Nothing,
            Some(seen) => Expected::This(version(seen)),
        };
        self.journal.note(What::Putting { put, key: key.to_owned(), expected, value: value.clone() });
        // Some are too large to be on their way in a moment.
        let padding = if chance.percent(10) { chance.below(LARGE) as usize } else { 0 };
        let value = value.map(|value| format!("{value} {}", "-".repeat(padding)));
        let written = match (value, seen.filter(|_| conditional)) {
            (Some(value), seen) if conditional => state.put_if(key, seen, value),
            (Some(value), _) => state.put(key, value),
            (None, Some(seen)) => state.delete_if(key, seen),
            (None, None) => state.delete(key),
        };
        self.journal.note(match written {
            Ok(stored) => What::Stored { put, version: version(stored) },
            Err(Error::Conflict { version: other }) => What::Conflict { put, version: version(other) },
            Err(Error::Interrupted) => What::Unsure { put },
            Err(error) => panic!("{key} cannot be written: {error}"),
        });
    }

    fn call(&self, name: &str, mode: Mode, patience: Patience) -> Result<Guard, Error> {
        let time = match patience {
            Patience::For(time) => Duration::from_nanos(time),
            Patience::Endless | Patience::None => Duration::ZERO,
        };
        if let Mode::Permits(count) = mode {
            let semaphore = self.instance.semaphore(name, PERMITS);
            return match patience {
                Patience::Endless => semaphore.acquire(count),
                Patience::None => semaphore.try_acquire(count),
                Patience::For(_) => semaphore.acquire_timeout(count, time),
            };
        }
        if RWLOCKS.contains(&name) {
            let rwlock = self.instance.rwlock(name);
            return match (mode, patience) {
                (Mode::Shared, Patience::Endless) => rwlock.read(),
                (Mode::Shared, Patience::None) => rwlock.try_read(),
                (Mode::Shared, Patience::For(_)) => rwlock.read_timeout(time),
                (_, Patience::Endless) => rwlock.write(),
                (_, Patience::None) => rwlock.try_write(),
                (_, Patience::For(_)) => rwlock.write_timeout(time),
            };
        }
        let mutex = self.instance.mutex(name);
        match patience {
            Patience::Endless => mutex.lock(),
            Patience::None => mutex.try_lock(),
            Patience::For(_) => mutex.lock_timeout(time),
        }
    }
}

fn version(version: bellwether::Version) -> Version {
    version.to_string().parse().expect("a version is two numbers")
}

fn mode(mode: sync::Mode) -> Mode {
    match mode {
        sync::Mode::Shared => Mode::Shared,
        sync::Mode::Permits(count) => Mode::Permits(count),
        _ => Mode::Exclusive,
    }
}

/// A pause of so many microseconds that is a part of the schedule; nothing waits for its end.
fn pause(micros: u64) {
    std::thread::sleep(Duration::from_micros(micros));
}
