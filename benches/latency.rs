//! How long joining and failover take, each beside its floor.
//!
//! A floor is the least that any program of this kind must do, written here without the library: for joining, one
//! connect and one round trip; for failover, one race to bind and one handshake per survivor. The figures of one
//! machine say little about another, the ratio to the floor of the same run says much, so floor and library take turns
//! and the table at the end has one line per pair.
//!
//! Goal: failover within 1.5 times its floor at 8 and at 64 processes. Nothing fails when it is missed, since a timed
//! assertion fails on busy machines.
//!
//! The processes are this same program, started again with [`common::process::VARIABLE`] in the environment.
//! `cargo bench --bench latency -- failover/8` runs one group, `-- --test` everything once with few processes.

#[cfg(unix)]
#[path = "latency/bare.rs"]
mod bare;
#[cfg(unix)]
mod common;
#[cfg(unix)]
#[path = "latency/contender.rs"]
mod contender;
#[cfg(unix)]
#[path = "latency/fleet.rs"]
mod fleet;
#[cfg(unix)]
#[path = "latency/groups.rs"]
mod groups;
#[cfg(unix)]
#[path = "latency/library.rs"]
mod library;

/// Who is measured. The first is the floor, the others are compared with it.
#[cfg(unix)]
static CONTENDERS: &[&contender::Contender] = &[&bare::CONTENDER, &library::CONTENDER];

#[cfg(unix)]
fn main() {
    // Before anything else: a child must not read the command line, which is criterion's.
    if let Ok(role) = std::env::var(common::process::VARIABLE) {
        contender::run(CONTENDERS, &role);
    }
    groups::measure(CONTENDERS);
}

#[cfg(not(unix))]
fn main() {
    println!("latency: the floor is written for Unix; nothing to measure here");
}
