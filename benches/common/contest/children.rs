//! The processes beside the one that measures.
//!
//! Each says `ready` when it is. All end with their parent, whose end of the pipe closes.

use std::io;
use std::process;
use std::time::Instant;

use crate::common::process::{PATIENCE, Process, free_port};

/// How many connections there are, and in how many processes their readers live.
#[derive(Clone, Copy)]
pub(crate) struct Crowd {
    pub(crate) connections: u32,
    pub(crate) processes: u32,
}

/// Keeps this alive until the parent ends.
pub(crate) fn attend<T>(alive: T) -> ! {
    println!("ready");
    for _ in io::stdin().lines() {}
    // Nothing is handed over in an orderly way: everybody else ends as well.
    std::mem::forget(alive);
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

/// Waits until a process says that it is ready.
pub(crate) fn await_ready(process: &mut Process) {
    assert_eq!(process.hear("that it is ready", Instant::now() + PATIENCE), "ready");
}
