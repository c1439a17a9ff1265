//! What a process of a storm does: its threads take and release locks, write and read values, ask the supervisor's handler
//! and send messages at random, and journal it.

mod locks;
mod mail;
mod values;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bellwether::sync;
use bellwether::{Error, Event, Instance};
use crossbeam::channel::Receiver;

use self::mail::Heard;
use super::{Desk, group, lock, option};
use crate::fleet::chance::Chance;
use crate::fleet::journal::{Journal, Mode, Patience, What, now};

/// One instance in a storm.
pub(super) struct Storm {
    instance: Instance,
    book: Arc<Book>,
    heard: Heard,
}

/// What one process writes down, from before it joins.
struct Book {
    name: String,
    journal: Journal,
    /// The last number that was given to anything.
    numbers: AtomicU64,
}

const MUTEXES: [&str; 3] = ["m0", "m1", "m2"];
const RWLOCKS: [&str; 2] = ["l0", "l1"];
const SEMAPHORE: &str = "s";
const KEYS: [&str; 3] = ["k0", "k1", "k2"];

/// The largest value or message, in bytes.
const LARGE: u64 = 400_000;

/// How many permits the semaphore has.
pub const PERMITS: u32 = 5;

impl Desk {
    /// The verbs of this file. `storm KEY in=DIRECTORY name=NAME seed=N threads=N longest=MS [keep=LOCK]… [await=LOCK]` and the
    /// options of a join: it joins, and its threads do this and that until `calm`; then it answers. It keeps these locks
    /// until `unblock KEY`, and waits for that one. When all are calm, for a last word: `aftermath KEY`; or, whoever is
    /// calm before, `depart KEY`: it leaves.
    pub(super) fn obey_storm(self: &Arc<Self>, verb: &str, key: &str, rest: &[String]) -> Result<String, Error> {
        match verb {
            "storm" => {
                let storm = self.begin_storm(key, rest)?;
                let number = |name| option(rest, name).expect("an option of a storm").parse().expect("a number");
                let (seed, threads, longest): (u64, u64, u64) = (number("seed"), number("threads"), number("longest"));
                let storm = &*storm;
                std::thread::scope(|scope| {
                    scope.spawn(|| self.look(storm, seed));
                    for thread in 1..=threads {
                        let chance = Chance::new(seed * 100 + thread);
                        scope.spawn(move || self.work(storm, chance, longest * 1000));
                    }
                    for name in rest.iter().filter_map(|word| word.strip_prefix("keep=")) {
                        let keep = move || {
                            self.report(&format!("event {key} keeps name={name}"));
                            let _ = self.gate(key).recv();
                        };
                        scope.spawn(move || storm.ask(name, Mode::Exclusive, Patience::Endless, keep));
                    }
                    for name in rest.iter().filter_map(|word| word.strip_prefix("await=")) {
                        scope.spawn(move || storm.ask(name, Mode::Exclusive, Patience::Endless, || ()));
                    }
                });
                Ok(String::new())
            }
            "calm" => {
                self.calm.store(true, Ordering::SeqCst);
                Ok(String::new())
            }
            "depart" => {
                let storm = lock(&self.storms).remove(key).ok_or(Error::Left)?;
                storm.note(What::Leaving);
                storm.hear_all();
                lock(&self.instances).remove(key);
                storm.instance.leave();
                storm.note(What::End);
                Ok(String::new())
            }
            "aftermath" => {
                let storm = lock(&self.storms).get(key).cloned().ok_or(Error::Left)?;
                // Whoever was told of a grant knows everything that the supervisor said before.
                storm.ask("last", Mode::Exclusive, Patience::Endless, || ());
                for key in KEYS {
                    storm.note(What::Final { key: key.to_owned(), found: storm.found(key) });
                }
                storm.hear_all();
                storm.note(What::End);
                Ok(String::new())
            }
            other => panic!("no such command: {other}"),
        }
    }

    fn begin_storm(self: &Arc<Self>, key: &str, rest: &[String]) -> Result<Arc<Storm>, Error> {
        let text = |name| option(rest, name).expect("an option of a storm");
        let name = text("name").to_owned();
        let path = Path::new(text("in")).join(format!("{name}.log"));
        let journal = Journal::open(&path).expect("the directory of the storm takes a file");
        let book = Arc::new(Book { name, journal, numbers: AtomicU64::new(0) });
        let handler = book.handler(Chance::new(text("seed").parse().expect("a number")));
        book.journal.note(What::Joining);
        let instance = group(rest)?.on_request(handler).join()?;
        // Of the events that the first receiver gets none is missing.
        let events = instance.events();
        book.journal.note(What::Joined { id: instance.id().to_string() });
        let storm = Arc::new(Storm { instance: instance.clone(), book, heard: Heard::default() });
        lock(&self.storms).insert(key.to_owned(), storm.clone());
        lock(&self.instances).insert(key.to_owned(), instance.clone());
        storm.listen(events);
        let events = instance.events();
        // Of the reign that it has joined there may be no event.
        let (id, role, epoch) = (instance.id(), instance.role(), instance.epoch());
        self.report(&format!("event {key} came id={id} epoch={epoch} role={role:?}"));
        self.forward(key, events);
        Ok(storm)
    }

    fn is_calm(&self) -> bool {
        self.calm.load(Ordering::SeqCst)
    }

    fn work(&self, storm: &Storm, mut chance: Chance, longest: u64) {
        while !self.is_calm() {
            pause(chance.below(6_000));
            let key = KEYS[chance.below(KEYS.len() as u64) as usize];
            match chance.below(14) {
                0..6 => storm.lock(&mut chance, longest),
                6 | 7 => {
                    storm.write(key, &mut chance);
                    continue;
                }
                8 | 9 => {}
                10 | 11 => {
                    storm.inquire(&mut chance);
                    continue;
                }
                _ => {
                    storm.send(&mut chance);
                    continue;
                }
            }
            // What was written before a grant is to be seen now.
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
                    storm.note(What::Waiters { began, epoch, name, waiters });
                }
            }
            pause(chance.below(30_000));
        }
    }
}

impl Book {
    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }
}

impl Storm {
    fn note(&self, what: What) {
        self.book.journal.note(what);
    }

    /// Writes down what the instance is told.
    fn listen(self: &Arc<Self>, events: Receiver<Event>) {
        let storm = self.clone();
        std::thread::spawn(move || {
            for event in events {
                match event {
                    Event::Reign { epoch, supervisor, .. } => {
                        let (epoch, supervisor) = (epoch.number(), supervisor.to_string());
                        storm.note(What::Reign { epoch, supervisor });
                    }
                    Event::Forfeited { new, .. } => storm.note(What::Joined { id: new.to_string() }),
                    Event::Message { from, bytes } => storm.receive(from, &bytes),
                    Event::Missed(count) => storm.note(What::Missed { count }),
                    _ => {}
                }
            }
        });
    }
}

/// How long somebody is prepared to wait this time.
fn patience(chance: &mut Chance) -> Patience {
    match chance.below(100) {
        0..70 => Patience::Endless,
        70..85 => Patience::None,
        _ => Patience::For(chance.below(20_000_000)),
    }
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
