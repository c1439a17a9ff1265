//! What messages, questions and a policy cost, each beside its floor.
//!
//! A floor is the least that any program of this kind must do, written here without the library: a server with one
//! thread per connection, which answers, or hands on what it is sent; see `control/bare.rs` for what it leaves out. Its
//! frames are the very frames of the library, taken as opaque bytes. The figures of one machine say little about
//! another, the ratio to the floor of the same run says much, so floor and library take turns and the table at the end
//! has one line per comparison. What it says about running `sync` holds here as well: with a real-time priority
//! (`chrt -f 20`), on one processor (`taskset -c 1`), more than once.
//!
//! A question has two floors. The second hands the frame to another thread, which answers it: the handler of an
//! application may take as long as it likes, so it cannot run on the thread that reads the connection. The same is true
//! of a policy.
//!
//! Nobody listens to the events of those who are sent something: what an application does with a message is its own
//! affair, and the sender is told when the message has reached the kernel.
//!
//! The processes are this same program, started again with [`common::process::VARIABLE`] in the environment.
//! `cargo bench --bench control -- broadcast` runs some of it, `-- --test` everything once with few processes.

#[cfg(unix)]
#[path = "control/bare.rs"]
mod bare;
#[cfg(unix)]
#[path = "control/child.rs"]
mod child;
#[cfg(unix)]
mod common;
#[cfg(unix)]
#[path = "common/contest/mod.rs"]
mod contest;
#[cfg(unix)]
#[path = "control/frames.rs"]
mod frames;
#[cfg(unix)]
#[path = "control/groups.rs"]
mod groups;
#[cfg(unix)]
#[path = "control/library.rs"]
mod library;

#[cfg(unix)]
fn main() {
    // Before anything else: a child must not read the command line, which is criterion's.
    if let Ok(task) = std::env::var(common::process::VARIABLE) {
        child::run(&task);
    }
    groups::measure();
}

#[cfg(not(unix))]
fn main() {
    println!("control: the processes are driven with Unix calls; nothing to measure here");
}
