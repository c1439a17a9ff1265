//! The library: locks, semaphores and the state, as a program uses them.

use bellwether::Role;

use crate::child;
use crate::common::process::{Process, free_port};
use crate::contest::children::{Crowd, crowd, serving};
use crate::contest::compare::{Runner, repeated};
use crate::contest::frames::NAME;
use crate::contest::library::{group, join, subordinate};
use crate::frames::VALUE;
use crate::groups::{Timed, pairs};

/// Locks and unlocks from a subordinate.
pub(crate) fn lock(timed: Timed) -> Runner {
    let (server, port) = serving("supervisor");
    let instance = subordinate(port);
    let mut mutex = instance.mutex(NAME);
    Box::new(move |count| {
        let _alive = (&instance, &server);
        pairs(count, timed, &mut mutex, |mutex| mutex.lock().expect(GRANTED), |_, guard| drop(guard))
    })
}

/// The same by the supervisor itself, which asks nobody.
pub(crate) fn own_lock() -> Runner {
    let instance = join(group(free_port()));
    assert_eq!(instance.role(), Role::Supervisor, "nobody else has this port");
    let mut mutex = instance.mutex(NAME);
    Box::new(move |count| {
        pairs(count, Timed::Both, &mut mutex, |mutex| mutex.lock().expect(GRANTED), |_, guard| drop(guard))
    })
}

/// One permit of many, from a subordinate.
pub(crate) fn semaphore() -> Runner {
    let (server, port) = serving("supervisor");
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
    let (server, port) = serving("supervisor");
    child::fight(server, (0..fighters).map(|_| Process::start(&format!("fighter {port}"))).collect())
}

/// Writes a value that everybody is to have, and waits until they do.
pub(crate) fn put(size: Crowd) -> Runner {
    let (server, port) = serving("supervisor");
    let members = crowd("crowd", port, size);
    let instance = subordinate(port);
    Box::new(move |count| {
        let _alive = (&server, &members);
        repeated(count, |_| {
            instance.state().put(NAME, VALUE).expect("the supervisor lives");
        })
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

/// What `expect` says of a grant.
pub(crate) const GRANTED: &str = "the supervisor lives and denies nothing";
