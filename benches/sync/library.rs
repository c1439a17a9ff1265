//! The library, as a program uses it.

use std::time::Instant;

use bellwether::{Group, Instance, Role};

use crate::child;
use crate::common::process::{Process, free_port};
use crate::frames::{NAME, VALUE};
use crate::groups::{Crowd, Runner, Timed, pairs};

/// Locks and unlocks from a subordinate.
pub(crate) fn lock(timed: Timed) -> Runner {
    let (server, port) = child::serving("supervisor");
    let instance = subordinate(port);
    let mut mutex = instance.mutex(NAME);
    Box::new(move |count| {
        let _alive = (&instance, &server);
        pairs(count, timed, &mut mutex, |mutex| mutex.lock().expect(GRANTED), |_, guard| drop(guard))
    })
}

/// The same by the supervisor itself, which asks nobody.
pub(crate) fn own_lock() -> Runner {
    let instance = join(free_port());
    assert_eq!(instance.role(), Role::Supervisor, "nobody else has this port");
    let mut mutex = instance.mutex(NAME);
    Box::new(move |count| {
        pairs(count, Timed::Both, &mut mutex, |mutex| mutex.lock().expect(GRANTED), |_, guard| drop(guard))
    })
}

/// One permit of many, from a subordinate.
pub(crate) fn semaphore() -> Runner {
    let (server, port) = child::serving("supervisor");
    let instance = subordinate(port);
    let mut semaphore = instance.semaphore(NAME, 4);
    Box::new(move |count| {
        let _alive = (&instance, &server);
        pairs(
            count,
            Timed::Both,
            &mut semaphore,
            |semaphore| semaphore.acquire(1).expect(GRANTED),
            |_, guard| drop(guard),
        )
    })
}

/// Several subordinates, each in a process of its own, fight for one lock.
pub(crate) fn contention(fighters: u32) -> Runner {
    let (server, port) = child::serving("supervisor");
    child::fight(server, (0..fighters).map(|_| Process::start(&format!("fighter {port}"))).collect())
}

/// Writes a value that everybody is to have, and waits until they do.
pub(crate) fn put(crowd: Crowd) -> Runner {
    let (server, port) = child::serving("supervisor");
    let members = child::crowd("crowd", port, crowd);
    let instance = subordinate(port);
    Box::new(move |count| {
        let _alive = (&server, &members);
        let start = Instant::now();
        for _ in 0..count {
            instance.state().put(NAME, VALUE).expect("the supervisor lives");
        }
        start.elapsed()
    })
}

/// What one process of [`contention`] does between the shots.
pub(crate) fn fighter(port: u16) -> impl FnMut() {
    let instance = subordinate(port);
    let mutex = instance.mutex(NAME);
    move || {
        let _alive = &instance;
        drop(mutex.lock().expect(GRANTED));
    }
}

/// So many members, as one process of the crowd.
pub(crate) fn members(port: u16, count: u32) -> Vec<Instance> {
    (0..count).map(|_| subordinate(port)).collect()
}

/// Joins a group; whoever is first is the supervisor.
pub(crate) fn join(port: u16) -> Instance {
    Group::new(NAME).expect("a valid name").port(port).join().expect("a group can be joined")
}

fn subordinate(port: u16) -> Instance {
    let instance = join(port);
    assert_eq!(instance.role(), Role::Subordinate, "the supervisor lives in another process");
    instance
}

/// What `expect` says of a grant.
const GRANTED: &str = "the supervisor lives and denies nothing";
