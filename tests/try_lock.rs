//! Calls that do not wait: what a process has given up, or died with, is free for whoever has seen that it has.
//!
//! `BELLWETHER_ROUNDS=n` runs so many rounds of each.

mod fleet;

use std::time::Duration;

use bellwether::Group;
use fleet::schedules::{court, expect_reign, kill, others};
use fleet::{Fleet, Line, Load, Member};

/// How something is held, and how another call tries to have it.
const WAYS: [(&str, &str); 5] = [
    ("mutex order", "mutex order try"),
    ("mutex order", "mutex order within=0"),
    ("write index", "read index try"),
    ("read index", "write index try"),
    ("permits seats limit=3 count=2", "permits seats limit=3 count=2 try"),
];

fn rounds(usual: u32) -> u32 {
    std::env::var("BELLWETHER_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// What was tried in vain.
#[derive(Default)]
struct Tally {
    tries: u32,
    refused: Vec<String>,
}

impl Tally {
    fn note(&mut self, what: &str, answer: Result<Line, String>) -> bool {
        self.tries += 1;
        let is_refused = answer.is_err();
        self.refused.extend(answer.err().map(|error| format!("{what}: {error}")));
        !is_refused
    }

    fn check(&self) {
        println!("{} of {} refused", self.refused.len(), self.tries);
        assert_eq!(self.refused.len(), 0, "of {}: {:#?}", self.tries, self.refused);
    }
}

#[test]
fn p1_what_was_unlocked_is_free_for_whoever_hears_of_it() {
    let _load = Load::new();
    let fleet = Fleet::new();
    let members = fleet.members(3, "");
    let (supervisor, rest) = court(&fleet, &members);
    let observer = Group::new(&fleet.group).unwrap().port(fleet.port).observe().unwrap();
    let mut tally = Tally::default();
    let all = [&supervisor, &rest[0], &rest[1]];
    let roles = [(0, 1), (1, 0), (1, 2), (0, 0), (1, 1)];
    for round in 0..rounds(150) as usize {
        // Every way meets every pair of roles.
        let ((one, other), (held, tried)) = (roles[round % 5], WAYS[round / 5 % 5]);
        all[one].lock("a", held).unwrap();
        all[one].unlock("a").unwrap();
        if round % 3 == 0 {
            let rows = observer.locks_timeout(Duration::from_secs(25)).unwrap();
            assert!(rows.is_empty(), "an observer that asks later sees {rows:?}");
        }
        if tally.note(&format!("{one} to {other}, {tried}"), all[other].lock("b", tried)) {
            all[other].unlock("b").unwrap();
        }
    }
    tally.check();
}

/// Runs this many rounds in which a subordinate holds something and is killed, and one of two others tries to have it.
fn killed(rounds: u32, schedule: impl Fn(&Member, &Member, &str)) {
    /// Of every process two descriptors stay open until the end of its fleet.
    const OF_ONE_FLEET: u32 = 400;

    let _load = Load::new();
    let mut tally = Tally::default();
    while tally.tries < rounds {
        let fleet = Fleet::with("limit=none");
        let members = fleet.members(2, "");
        let (supervisor, rest) = court(&fleet, &members);
        let until = rounds.min(tally.tries + OF_ONE_FLEET);
        while tally.tries < until {
            // Two that die together, so that one may wait behind the other.
            for pair in fleet.members(8, "").chunks(2) {
                let round = tally.tries;
                let asker = if round.is_multiple_of(2) { &supervisor } else { &rest[0] };
                let (held, tried) = WAYS[round as usize / 2 % 5];
                schedule(&pair[0], &pair[1], held);
                if tally.note(&format!("round {round}, {tried}"), asker.lock("b", tried)) {
                    asker.unlock("b").unwrap();
                }
                kill(&pair[1]);
            }
        }
    }
    tally.check();
}

#[test]
fn p1_what_a_killed_process_held_is_free_for_whoever_has_waited_for_it() {
    killed(rounds(120), |holder, _, held| {
        holder.lock("a", held).unwrap();
        kill(holder);
    });
}

#[test]
fn p1_killed_processes_that_waited_are_in_nobodys_way() {
    killed(rounds(60), |holder, waiter, held| {
        holder.lock("a", held).unwrap();
        // Also where readers share, a writer that waits keeps others out.
        let behind = if held == "read index" { "write index" } else { held };
        waiter.queue("a", behind, 0);
        kill(holder);
        kill(waiter);
    });
}

#[test]
fn p1_what_a_killed_supervisor_held_is_found_free_or_with_nobody() {
    let _load = Load::new();
    let fleet = Fleet::with("limit=none");
    let mut members = fleet.members(4, "");
    let (mut free, mut between) = (0, 0);
    for round in 0..rounds(25) {
        let agreed = fleet.agree(&members);
        let supervisor = members[agreed.supervisor].clone();
        let (held, tried) = WAYS[round as usize % 5];
        supervisor.lock("a", held).unwrap();
        kill(&supervisor);
        members = others(&members, &supervisor);
        // Between two reigns nobody knows who holds it.
        match members[0].lock("b", tried) {
            Ok(_) => {
                members[0].unlock("b").unwrap();
                free += 1;
            }
            Err(error) => {
                assert!(!error.contains("holder="), "it is dead: {error}");
                between += 1;
            }
        }
        expect_reign(&members, agreed.epoch);
        assert!(members[1].lock("c", tried).is_ok(), "the reign has begun, and nobody holds it");
        members[1].unlock("c").unwrap();
        members.push(fleet.member(""));
    }
    println!("{free} free, {between} between two reigns");
}
