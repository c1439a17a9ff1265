//! The library, as a program uses it.
//!
//! A process is counted when its own code hears of the event, one wake-up after the library knew: that is when a user
//! can act on it. The floor has no such step.

use std::time::{Duration, Instant};

use bellwether::{Event, Group, Instance};

use crate::contender::{Board, Contender, Milestone, Role};

/// What an election and a join cost with everything that the library does for them.
pub(crate) static CONTENDER: Contender = Contender { name: "bellwether", compete, join: timed_join, reigns: true };

fn compete(port: u16, board: &Board) -> ! {
    let instance = join(port);
    let events = instance.events();
    board.note(Milestone::Welcomed, role(instance.role()));
    // Whether the events of the join itself are among these does not matter: only those after a death are asked for.
    for event in &events {
        match event {
            Event::Welcomed { .. } => board.note(Milestone::Welcomed, role(instance.role())),
            Event::Reign { role: reached, .. } => board.note(Milestone::Reign, role(reached)),
            _ => {}
        }
    }
    panic!("the events of an instance that lives have ended");
}

fn timed_join(port: u16) -> Duration {
    let start = Instant::now();
    let instance = join(port);
    let joined = start.elapsed();
    assert_eq!(role(instance.role()), Role::Subordinate, "the supervisor lives in another process");
    instance.leave();
    joined
}

fn join(port: u16) -> Instance {
    Group::new("bench").expect("a valid name").port(port).join().expect("a group can be joined")
}

fn role(role: bellwether::Role) -> Role {
    match role {
        bellwether::Role::Supervisor => Role::Supervisor,
        _ => Role::Subordinate,
    }
}
