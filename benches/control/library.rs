//! The library: messages, questions and a policy, as a program uses them.

use std::time::Duration;

use bellwether::{Entry, Group, Instance, Role, Verdict};

use crate::common::process::free_port;
use crate::contest::children::{Crowd, crowd, serving};
use crate::contest::compare::{Runner, repeated};
use crate::contest::frames::NAME;
use crate::contest::library::{group, join, subordinate};
use crate::frames::{QUESTION, bytes};

/// A group whose supervisor answers what it is asked with the question itself.
pub(crate) fn answering(group: Group) -> Group {
    group.on_request(|request| request.bytes.to_vec())
}

/// A group whose supervisor asks a policy, which allows everything.
pub(crate) fn judging(group: Group) -> Group {
    group.policy(|_, _| Verdict::Allow)
}

/// Asks the supervisor's handler.
pub(crate) fn question() -> Runner {
    let (server, port) = serving("answering");
    let instance = subordinate(port);
    Box::new(move |count| {
        let _alive = &server;
        ask(&instance, count)
    })
}

/// The same by the supervisor itself.
pub(crate) fn own_question() -> Runner {
    let instance = join(answering(group(free_port())));
    assert_eq!(instance.role(), Role::Supervisor, "nobody else has this port");
    Box::new(move |count| ask(&instance, count))
}

fn ask(instance: &Instance, count: u32) -> Duration {
    let question = bytes(QUESTION);
    repeated(count, |_| {
        instance.request(question.clone()).expect("the supervisor answers");
    })
}

/// Sends a message of this size to the only other subordinate, and waits until it is delivered.
pub(crate) fn send(size: usize) -> Runner {
    let (server, port) = serving("supervisor");
    let members = crowd("crowd", port, Crowd { connections: 1, processes: 1 });
    let instance = subordinate(port);
    // It has joined before, so its name is known here.
    let other = |entry: &&Entry| entry.role == Role::Subordinate && entry.id != instance.id();
    let to = instance.registry().iter().find(other).expect("the member of the crowd").id;
    let message = bytes(size);
    Box::new(move |count| {
        let _alive = (&server, &members);
        repeated(count, |_| instance.send(to, message.clone()).expect("it is there"))
    })
}

/// Sends a message of this size to everybody else, and waits until it is delivered.
pub(crate) fn broadcast(to: Crowd, size: usize) -> Runner {
    let (server, port) = serving("supervisor");
    let members = crowd("crowd", port, to);
    let instance = subordinate(port);
    let message = bytes(size);
    // The supervisor is one of the others.
    let others = usize::try_from(to.connections).expect("few") + 1;
    Box::new(move |count| {
        let _alive = (&server, &members);
        repeated(count, |_| assert_eq!(instance.broadcast(message.clone()).expect("an open reign"), others))
    })
}

/// Locks and unlocks from a subordinate of this supervisor.
pub(crate) fn lock(supervisor: &'static str) -> Runner {
    let (server, port) = serving(supervisor);
    let instance = subordinate(port);
    let mutex = instance.mutex(NAME);
    Box::new(move |count| {
        let _alive = (&instance, &server);
        repeated(count, |_| drop(mutex.lock().expect("the supervisor lives and denies nothing")))
    })
}
