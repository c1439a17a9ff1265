//! What locks, semaphores and the state cost, each beside its floor.
//!
//! A floor is the least that any program of this kind must do, written here without the library: a server with one
//! thread per connection, which keeps a queue for one lock, or hands one value to everybody; see `sync/bare.rs` for what
//! it leaves out. Its frames are the very frames of the library, taken as opaque bytes. The figures of one machine say
//! little about another, the ratio to the floor of the same run says much, so floor and library take turns and the table
//! at the end has one line per comparison.
//!
//! Goal: a lock's round trip within 1.2 times a bare ping-pong. Nothing fails when it is missed, since a timed assertion
//! fails on busy machines. On one, run the program itself with a real-time priority (`chrt -f 20`), more than once. On one
//! processor (`taskset -c 1`) the figures are steadiest and the ratios highest: what both sides compute is then all that
//! passes, while between processors both mostly wait for wake-ups.
//!
//! The processes are this same program, started again with [`common::process::VARIABLE`] in the environment.
//! `cargo bench --bench sync -- lock` runs some of it, `-- --test` everything once with few processes.

#[cfg(unix)]
#[path = "sync/bare.rs"]
mod bare;
#[cfg(unix)]
#[path = "sync/child.rs"]
mod child;
#[cfg(unix)]
mod common;
#[cfg(unix)]
#[path = "common/contest/mod.rs"]
mod contest;
#[cfg(unix)]
#[path = "sync/frames.rs"]
mod frames;
#[cfg(unix)]
#[path = "sync/groups.rs"]
mod groups;
#[cfg(unix)]
#[path = "sync/growth.rs"]
mod growth;
#[cfg(unix)]
#[path = "sync/library.rs"]
mod library;

#[cfg(unix)]
fn main() {
    // Before anything else: a child must not read the command line, which is criterion's.
    if let Ok(task) = std::env::var(common::process::VARIABLE) {
        child::run(&task);
    }
    groups::measure();
    growth::measure();
}

#[cfg(not(unix))]
fn main() {
    println!("sync: the processes are driven with Unix calls; nothing to measure here");
}
