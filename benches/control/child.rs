//! The processes beside the one that measures: those who serve, and those who are sent messages.

use crate::contest::bare::members as bare_members;
use crate::contest::children::attend;
use crate::contest::library::{group, join, members};
use crate::{bare, library};

/// The child process: does its task until the parent closes the pipe.
///
/// A server's task ends with its port and, at the floor, begins with the size of the messages.
pub(crate) fn run(task: &str) -> ! {
    let (what, numbers) = task.split_once(' ').expect("a task and its numbers");
    let numbers: Vec<u32> = numbers.split(' ').map(|number| number.parse().expect("a number")).collect();
    let port = |number: &u32| u16::try_from(*number).expect("a port");
    match (what, &numbers[..]) {
        ("bare-server", [size, at]) => attend(bare::serve(port(at), usize::try_from(*size).expect("a size"))),
        ("bare-crowd", [at, count]) => attend(bare_members(port(at), *count)),
        ("supervisor", [at]) => attend(join(group(port(at)))),
        ("answering", [at]) => attend(join(library::answering(group(port(at))))),
        ("judging", [at]) => attend(join(library::judging(group(port(at))))),
        ("crowd", [at, count]) => attend(members(port(at), *count)),
        _ => panic!("unknown task `{task}`"),
    }
}
