//! The processes beside the one that measures.
//!
//! A fighter is told when to begin and how often to lock, and says when it was done; the others do what they do in
//! threads.

use std::io::{self, Write};
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::process::{PATIENCE, Process, now};
use crate::contest::bare::members as bare_members;
use crate::contest::children::{attend, await_ready};
use crate::contest::compare::Runner;
use crate::contest::library::{group, join, members};
use crate::{bare, growth, library};

/// The child process: does its task until the parent closes the pipe.
pub(crate) fn run(task: &str) -> ! {
    let mut words = task.split(' ');
    let what = words.next().expect("a task");
    let port = words.next().and_then(|word| word.parse().ok()).expect("a port number");
    let mut count = || words.next().and_then(|word| word.parse().ok()).expect("how many");
    match what {
        "bare-server" => attend(bare::serve(port)),
        "bare-crowd" => attend(bare_members(port, count())),
        "bare-fighter" => attack(bare::fighter(port)),
        "supervisor" => attend(join(group(port))),
        "crowd" => attend(members(port, count())),
        "fighter" => attack(library::fighter(port)),
        "hoarder" => attend(growth::hoarder(port, count())),
        _ => panic!("unknown task `{what}`"),
    }
}

/// Answers `<at> <count>` with the time at which it was done so often.
fn attack(mut pair: impl FnMut()) -> ! {
    // Names are made and threads are raised by now when the time counts.
    pair();
    println!("ready");
    for line in io::stdin().lines() {
        let Ok(line) = line else { break };
        let (at, count) = line.split_once(' ').expect("when and how often");
        let at: u64 = at.parse().expect("nanoseconds");
        let count: u32 = count.parse().expect("a number");
        thread::sleep(Duration::from_nanos(at.saturating_sub(now())));
        for _ in 0..count {
            pair();
        }
        println!("{}", now());
        let _ = io::stdout().flush();
    }
    process::exit(0);
}

/// Has these processes lock and unlock at the same time: how long that took for so many pairs in all.
pub(crate) fn fight(server: Process, mut fighters: Vec<Process>) -> Runner {
    fighters.iter_mut().for_each(await_ready);
    Box::new(move |count| {
        let _alive = &server;
        let processes = u32::try_from(fighters.len()).expect("few processes");
        let each = count.div_ceil(processes);
        let begin = now() + HEAD_START;
        fighters.iter_mut().for_each(|fighter| fighter.tell(&format!("{begin} {each}")));
        let deadline = Instant::now() + PATIENCE;
        let done = fighters.iter_mut().map(|fighter| {
            let done: u64 = fighter.hear("when it was done", deadline).parse().expect("nanoseconds");
            done
        });
        let last = done.max().expect("somebody fights");
        // What was asked for need not be a multiple of the number of processes.
        Duration::from_nanos(last.saturating_sub(begin)) * count / (each * processes)
    })
}

/// Nanoseconds in which all of them have been told when to begin.
const HEAD_START: u64 = 5_000_000;
