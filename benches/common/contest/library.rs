//! The library, as a program uses it.

use bellwether::{Group, Instance, Role};

use super::frames::NAME;

/// A group at this port.
pub(crate) fn group(port: u16) -> Group {
    Group::new(NAME).expect("a valid name").port(port)
}

/// Joins a group; whoever is first is the supervisor.
pub(crate) fn join(group: Group) -> Instance {
    group.join().expect("a group can be joined")
}

/// Joins a group whose supervisor lives in another process.
pub(crate) fn subordinate(port: u16) -> Instance {
    let instance = join(group(port));
    assert_eq!(instance.role(), Role::Subordinate, "the supervisor lives in another process");
    instance
}

/// So many members, as one process of a crowd.
pub(crate) fn members(port: u16, count: u32) -> Vec<Instance> {
    (0..count).map(|_| subordinate(port)).collect()
}
