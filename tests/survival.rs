//! Real processes take and release locks, write and read values, ask the supervisor's handler and send messages at
//! random, while others, the supervisor included, are killed, stopped and continued at random. Afterwards their journals
//! are judged.
//!
//! `BELLWETHER_KILLS=n` kills so many processes instead of 200; `BELLWETHER_STORM_SEED=n` takes other chances. When a
//! storm has failed its journals are kept, and its last words say where.

mod checker;
mod fleet;

use std::time::{Duration, Instant};

use checker::chance::Chance;
use checker::check::{Forfeits, Weight};
use checker::journal::What;
use checker::records::Records;
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
        assert!(weight.answered > weight.interrupted && weight.interrupted > 0 && weight.refused == 0, "{weight:?}");
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
    records: Records,
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
        let records = Records::new(fleet, &format!("storm {seed}"));
        let chance = Chance::new(seed);
        let mut storm = Self { fleet, records, chance, alive: Vec::new(), started: 0, kills: 0, longest };
        storm.refill();
        storm
    }

    fn refill(&mut self) {
        while self.alive.len() < PROCESSES {
            let name = format!("p{}", self.started);
            let (seed, longest) = (self.chance.next() >> 32, self.longest);
            let options = format!("seed={seed} threads={THREADS} longest={longest}");
            let joining = self.records.begin(self.fleet, &name, &options);
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
        // One that was shut out before may not be back yet, and is nobody's member then.
        let epoch = |n: usize| self.alive[n].reign.map(|(epoch, _)| epoch);
        if epoch(victim) != epoch(supervisor) {
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
            self.records.note(What::Killing { process: process.name.clone() });
            process.member.process.kill();
        }
        for process in dying {
            process.member.process.reap();
            self.records.note(What::Dead { process: process.name });
            self.kills += 1;
        }
    }

    fn stop(&mut self, victim: usize, millis: u64) {
        let until = Instant::now() + Duration::from_millis(1 + self.chance.below(millis));
        let process = &mut self.alive[victim];
        if process.stopped.is_none() {
            self.records.note(What::Stopping { process: process.name.clone() });
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
                self.records.note(What::Resumed { process: process.name.clone() });
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
            // Of the reign that it joined it tells first; what was said meanwhile is read twice, and says the same.
            let told = ["came", "reign"].map(|kind| process.member.events(process.read, kind));
            process.read = until;
            if let Some(last) = told.iter().flatten().last() {
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
        let before = self.records.written();
        eventually("the work goes on", || self.records.written() > before + 10_000);
    }

    /// Whether anybody who lives was told that it has lost a lock.
    fn has_lost(&self) -> bool {
        self.alive.iter().any(|process| !process.member.events(0, "lost").is_empty())
    }

    // ------------------------------------------------------------------------------------------------------------- the end

    /// Lets everybody come to an end, and judges all that was done.
    fn judge(mut self, forfeits: Forfeits) -> Weight {
        self.resume_all();
        println!("{} kills", self.kills);
        let rest: Vec<_> = self.alive.iter().map(|process| (process.name.as_str(), &process.joining)).collect();
        self.records.judge(&rest, forfeits)
    }
}
