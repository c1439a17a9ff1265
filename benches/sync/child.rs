//! The processes beside the one that measures.
//!
//! Each says `ready` when it is. A fighter is then told when to begin and how often to lock, and says when it was done;
//! the others do what they do in threads. All end with their parent, whose end of the pipe closes.

use std::io::{self, Write};
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::process::{PATIENCE, Process, free_port, now};
use crate::groups::{Crowd, Runner};
use crate::{bare, library};

/// The child process: does its task until the parent closes the pipe.
pub(crate) fn run(task: &str) -> ! {
    let mut words = task.split(' ');
    let what = words.next().expect("a task");
    let port = words.next().and_then(|word| word.parse().ok()).expect("a port number");
    let mut count = || words.next().and_then(|word| word.parse().ok()).expect("how many");
    match what {
        "bare-server" => attend(bare::serve(port)),
        "bare-crowd" => attend(bare::members(port, count())),
        "bare-fighter" => attack(bare::fighter(port)),
        "supervisor" => attend(library::join(port)),
        "crowd" => attend(library::members(port, count())),
        "fighter" => attack(library::fighter(port)),
        _ => panic!("unknown task `{what}`"),
    }
}

/// Keeps this alive until the parent ends.
fn attend<T>(alive: T) -> ! {
    println!("ready");
    for _ in io::stdin().lines() {}
    // Nothing is handed over in an orderly way: everybody else ends as well.
    std::mem::forget(alive);
    process::exit(0);
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

/// Starts a process that serves a port, and waits until it does.
pub(crate) fn serving(task: &str) -> (Process, u16) {
    let port = free_port();
    let mut server = Process::start(&format!("{task} {port}"));
    await_ready(&mut server);
    (server, port)
}

/// Starts the processes of a crowd, and waits until all connections are made.
pub(crate) fn crowd(task: &str, port: u16, crowd: Crowd) -> Vec<Process> {
    let each = crowd.connections / crowd.processes;
    let mut processes: Vec<_> =
        (0..crowd.processes).map(|_| Process::start(&format!("{task} {port} {each}"))).collect();
    processes.iter_mut().for_each(await_ready);
    processes
}

fn await_ready(process: &mut Process) {
    assert_eq!(process.hear("that it is ready", Instant::now() + PATIENCE), "ready");
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
