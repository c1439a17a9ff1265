//! Real processes take and release locks, write and read values, ask the supervisor's handler and send messages at random,
//! while others, the supervisor included, are killed, stopped and continued at random. Afterwards their journals are judged.
//!
//! `BELLWETHER_KILLS=n` kills so many processes instead of 200; `BELLWETHER_STORM_SEED=n` takes other chances. When a
//! storm has failed its journals are kept, and its last words say where.

mod checker;
mod fleet;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use checker::chance::Chance;
use checker::check::{Forfeits, Rules, Weight, check, sentences, weigh};
use checker::history::{History, PARENT};
use checker::journal::{Journal, What};
use fleet::child::storm::PERMITS;
use fleet::{Fleet, Joining, Member, eventually};

/// How many processes there are at any time, and how many threads each of them has.
const PROCESSES: usize = 7;
const THREADS: u32 = 3;

/// So many at least run at any time: that there is somebody to go on.
const RUNNING: usize = 4;

/// Kills per fleet; more are had by several fleets, because a history is judged as a whole.
const PORTION: u32 = 200;

#[test]
fn c5_c7_b2_b4_b5_b6_two_hundred_kills_and_no_lock_is_held_twice_lost_or_out_of_order() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u32>().expect("a number"));
    let kills = number("BELLWETHER_KILLS").unwrap_or(PORTION);
    let seed = number("BELLWETHER_STORM_SEED").unwrap_or(1);
    for portion in 0..kills.div_ceil(PORTION) {
        // No limit: whoever lives keeps what it has, however long it stands still.
        let fleet = Fleet::with("limit=none");
        // Some hold on for longer than an election takes.
        let mut storm = Storm::new(&fleet, u64::from(seed * 1000 + portion), 30);
        storm.rage(PORTION.min(kills - portion * PORTION));
        let weight = storm.judge(Forfeits::Never);
        // Otherwise it was no storm, and nothing was proved.
        assert!(weight.killed > 0 && weight.given_up > 0 && weight.ordered > 0 && weight.writes > 0, "{weight:?}");
        assert!(weight.answered > weight.interrupted && weight.interrupted > 0, "{weight:?}");
        assert!(weight.sent > 0 && weight.received > weight.sent, "{weight:?}");
    }
}

#[test]
fn p11_b5_who_stands_still_beyond_the_limit_may_lose_its_locks_and_the_tokens_tell_who_is_late() {
    let fleet = Fleet::with("limit=500");
    // Some hold on for longer than the limit.
    let mut storm = Storm::new(&fleet, 77, 2000);
    // Who was shut out need not have held anything, or may let go of it before it hears of the loss.
    for round in 0.. {
        storm.shut_out();
        if round >= 10 && storm.has_lost() {
            break;
        }
        assert!(round < 60, "nobody ever lost anything");
    }
    let weight = storm.judge(Forfeits::WhenStopped);
    assert!(weight.lost > 0, "{weight:?}");
}

/// A storm from outside.
struct Storm<'f> {
    fleet: &'f Fleet,
    directory: PathBuf,
    journal: Journal,
    chance: Chance,
    /// Those that were not killed.
    alive: Vec<Process>,
    started: u64,
    kills: u32,
    longest: u64,
}

/// One of its processes.
struct Process {
    name: String,
    joining: Joining,
    member: Member,
    /// Up to where its words were read.
    read: usize,
    /// The last reign of which it told, and whether that is its own.
    reign: Option<(u64, bool)>,
    /// It stands still until then.
    stopped: Option<Instant>,
}

impl<'f> Storm<'f> {
    /// Nobody holds anything for longer than so many milliseconds.
    fn new(fleet: &'f Fleet, seed: u64, longest: u64) -> Self {
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(&fleet.group);
        std::fs::create_dir_all(&directory).expect("a new directory");
        println!("storm {seed}, journals in {}", directory.display());
        let journal = Journal::open(&directory.join(format!("{PARENT}.log"))).expect("a new file");
        let chance = Chance::new(seed);
        let mut storm = Self { fleet, directory, journal, chance, alive: Vec::new(), started: 0, kills: 0, longest };
        storm.refill();
        storm
    }

    fn refill(&mut self) {
        while self.alive.len() < PROCESSES {
            let name = format!("p{}", self.started);
            let (directory, seed) = (self.directory.display(), self.chance.next() >> 32);
            let longest = self.longest;
            let options = format!("in={directory} name={name} seed={seed} threads={THREADS} longest={longest}");
            let joining = self.fleet.begin("storm", &self.fleet.process(), &options);
            let member = joining.member();
            self.alive.push(Process { name, joining, member, read: 0, reign: None, stopped: None });
            self.started += 1;
        }
    }

    // -------------------------------------------------------------------------------------------------------- what is done

    /// Kills so many, and whatever else comes to mind.
    fn rage(&mut self, kills: u32) {
        while self.kills < kills {
            self.pause(60);
            self.resume_those_due();
            self.await_enough();
            let supervisor = self.supervisor();
            let any = self.chance.below(self.alive.len() as u64) as usize;
            match self.chance.below(20) {
                0..8 => self.kill(&[supervisor.unwrap_or(any)]),
                8..13 => self.kill(&[any]),
                13 | 14 if supervisor.is_some_and(|supervisor| supervisor != any) => {
                    self.kill(&[any, supervisor.unwrap_or(any)]);
                }
                15 => self.stop(supervisor.unwrap_or(any), 40),
                16..18 => self.stop(any, 200),
                _ => self.await_work(),
            }
            self.refill();
        }
    }

    /// Somebody stands still during an election until the others have gone on without it.
    fn shut_out(&mut self) {
        self.await_work();
        eventually("somebody reigns", || self.supervisor().is_some());
        let supervisor = self.supervisor().expect("somebody reigns");
        let victim = (supervisor + 1 + self.chance.below(self.alive.len() as u64 - 1) as usize) % self.alive.len();
        if self.alive[victim].reign.is_none() {
            return;
        }
        self.stop(victim, 60_000);
        let pid = self.alive[victim].member.process.pid.to_string();
        let fields = [("pid", pid.as_str()), ("reason", "Evicted")];
        let tells = |n: &usize| ![supervisor, victim].contains(n) && self.alive[*n].reign.is_some();
        let witness = (0..self.alive.len()).find(tells).expect("somebody else");
        let (witness, from) = (self.alive[witness].member.clone(), self.alive[witness].member.process.mark());
        self.kill(&[supervisor]);
        self.refill();
        witness.expect(from, "ended", &fields);
        self.resume_all();
    }

    fn kill(&mut self, victims: &[usize]) {
        let mut victims = victims.to_vec();
        victims.sort_unstable();
        let dying: Vec<_> = victims.into_iter().rev().map(|victim| self.alive.remove(victim)).collect();
        for process in &dying {
            self.journal.note(What::Killing { process: process.name.clone() });
            process.member.process.kill();
        }
        for process in dying {
            process.member.process.reap();
            self.journal.note(What::Dead { process: process.name });
            self.kills += 1;
        }
    }

    fn stop(&mut self, victim: usize, millis: u64) {
        let until = Instant::now() + Duration::from_millis(1 + self.chance.below(millis));
        let process = &mut self.alive[victim];
        if process.stopped.is_none() {
            self.journal.note(What::Stopping { process: process.name.clone() });
            process.member.process.stop();
            process.stopped = Some(until);
        }
    }

    fn resume_those_due(&mut self) {
        self.resume(|until| until <= Instant::now());
    }

    fn resume_all(&mut self) {
        self.resume(|_| true);
    }

    fn resume(&mut self, due: impl Fn(Instant) -> bool) {
        for process in &mut self.alive {
            if process.stopped.is_some_and(&due) {
                process.member.process.resume();
                process.stopped = None;
                self.journal.note(What::Resumed { process: process.name.clone() });
            }
        }
    }

    /// A pause that is a part of the schedule; nothing waits for its end.
    fn pause(&mut self, millis: u64) {
        std::thread::sleep(Duration::from_micros(self.chance.below(millis * 1000)));
    }

    // --------------------------------------------------------------------------------------------------------- what is seen

    /// Reads what the processes have said since, and how many have joined and run.
    fn running(&mut self) -> usize {
        for process in &mut self.alive {
            let until = process.member.process.mark();
            let told = process.member.events(process.read, "reign");
            // What was said meanwhile is read twice, and says the same.
            process.read = until;
            if let Some(last) = told.last() {
                process.reign = Some((last.number("epoch"), last.text("role") == "Supervisor"));
            }
        }
        self.alive.iter().filter(|process| process.reign.is_some() && process.stopped.is_none()).count()
    }

    /// Who reigns, as far as anybody has told.
    fn supervisor(&mut self) -> Option<usize> {
        self.running();
        let latest = self.alive.iter().filter_map(|process| process.reign).map(|(epoch, _)| epoch).max()?;
        self.alive.iter().position(|process| process.reign == Some((latest, true)))
    }

    /// Waits until there are enough to go on, whatever happens next.
    fn await_enough(&mut self) {
        if self.running() < RUNNING + 2 {
            self.resume_all();
            eventually("enough processes have joined", || self.running() >= RUNNING + 2);
        }
    }

    /// Waits until somebody has got on with its work.
    fn await_work(&mut self) {
        self.resume_all();
        let before = self.written();
        eventually("the work goes on", || self.written() > before + 10_000);
    }

    /// Whether anybody who lives was told that it has lost a lock.
    fn has_lost(&self) -> bool {
        self.alive.iter().any(|process| !process.member.events(0, "lost").is_empty())
    }

    /// How many bytes the journals have.
    fn written(&self) -> u64 {
        let files = std::fs::read_dir(&self.directory).expect("the directory of the storm");
        files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len())).sum()
    }

    // ------------------------------------------------------------------------------------------------------------- the end

    /// Lets everybody come to an end, and judges all that was done.
    fn judge(mut self, forfeits: Forfeits) -> Weight {
        self.resume_all();
        for process in &self.alive {
            process.member.say("calm");
        }
        for process in &self.alive {
            process.joining.answer().unwrap_or_else(|error| panic!("{} failed: {error}", process.name));
        }
        for process in &self.alive {
            process.member.ask("aftermath").unwrap_or_else(|error| panic!("{} failed: {error}", process.name));
        }
        let history = History::read(&self.directory).unwrap();
        let rules = Rules { limits: BTreeMap::from([("s".to_owned(), PERMITS)]), forfeits };
        let weight = weigh(&history, &rules);
        println!("{} kills: {weight:?}", self.kills);
        let wrong = check(&history, &rules);
        assert!(wrong.is_empty(), "{}\nthe journals are in {}", sentences(&wrong), self.directory.display());
        std::fs::remove_dir_all(&self.directory).expect("own files can be removed");
        weight
    }
}
