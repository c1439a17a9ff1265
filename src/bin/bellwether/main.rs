//! The `bellwether` command: see a group of processes elect, look into a group, write its values, say something to its
//! members, join one by hand.
//!
//! Owns the command line and the exit status: 0 done, 1 failed with a message on standard error, 2 not understood. Never
//! does anything to a group that a program could not do through the library's public face.
#![forbid(unsafe_code)]

use std::io;
use std::num::NonZero;
use std::process::ExitCode;

use bellwether::{Name, NameError};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

mod clock;
mod control;
mod demo;
mod failure;
mod input;
mod join;
mod json;
mod locks;
mod registry;
mod state;
mod status;
mod table;

use failure::Failure;

/// Copies of one program on one machine elect a supervisor, and survive its kill -9.
#[derive(Debug, Parser)]
#[command(name = "bellwether", version, max_term_width = 100)]
struct Command {
    #[command(subcommand)]
    task: Task,

    /// The supervisor port, the same for all copies [default: one for the group's name and the user, in 10240-32767]
    #[arg(long, global = true, value_name = "P")]
    port: Option<NonZero<u16>>,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Watch an election: start real processes, kill their supervisor again and again, and see who takes over and when.
    ///
    /// Every process takes the times itself, on a clock that all of them share, when its own code hears of the event.
    /// All the while the processes fight for one lock and write a journal under it, in a temporary directory of their
    /// own. In the end one of them is paused, and one writes a value. The exit status is 0 only if every survivor was back
    /// under its old id each time, the journal shows one owner at a time under tokens that rise, every supervisor has
    /// refused what the policy of the processes forbids, who was paused had nothing, and the value has reached all.
    Demo(demo::Options),

    /// Print who is in a group and who holds and waits for its locks, without joining it.
    ///
    /// A supervisor that does not say within a second who holds what leaves the registry without the locks; in JSON
    /// they are null then. Ids, epochs, tokens and versions are strings there: they may have more digits than a JSON
    /// number keeps. The exit status is 1 if no copy of the program runs, or if something else listens on the port.
    Status(status::Options),

    /// Read, write and watch the values that the copies of a program share, without joining their group.
    State(state::Options),

    /// Send a message to one instance or to all.
    ///
    /// It arrives as an event of the library. Done when it has reached the process; whether that reads it is its affair.
    Send(control::Send),

    /// Ask the handler at the supervisor and print its answer: the bytes and nothing else.
    Request(control::Request),

    /// Pause an instance, or all: what they ask for from now on waits. They keep what they hold.
    Pause(control::Target),

    /// End the pause of an instance, or of all.
    Resume(control::Target),

    /// Tell an instance, or all, to leave. Who has not left after some time, five seconds by default, is evicted.
    Stop(control::Target),

    /// Join a group as a plain member and print what happens in it.
    ///
    /// A line `q`, or the end of input (Ctrl-D), leaves the group in an orderly way. Ctrl-C and every other signal
    /// simply end the process; the others notice that at once and list it as failed instead of left.
    Join(join::Options),

    /// One process of the demonstration; started by it, and of no use alone.
    #[command(hide = true)]
    DemoInstance(demo::instance::Options),
}

fn main() -> ExitCode {
    env_logger::init();
    let Command { task, port } = Command::parse();
    let port = port.map(NonZero::get);
    let done = match task {
        Task::Demo(options) => match options.check() {
            Ok(()) => demo::run(&options, port),
            Err(why) => Command::command().error(ErrorKind::ValueValidation, why).exit(),
        },
        Task::Status(options) => status::run(&options, port),
        Task::State(options) => state::run(options, port),
        Task::Send(options) => control::send(options, port),
        Task::Request(options) => control::request(options, port),
        Task::Pause(target) => control::command(&target, bellwether::Command::Pause, port),
        Task::Resume(target) => control::command(&target, bellwether::Command::Resume, port),
        Task::Stop(target) => control::command(&target, bellwether::Command::Stop, port),
        Task::Join(options) => join::run(options, port),
        Task::DemoInstance(options) => demo::instance::run(options, port),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads the output has seen enough of it and needs no message.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        Err(failure) => {
            // Why something was denied or failed is what another process says.
            eprintln!("bellwether: {}", table::escaped(&failure.to_string()));
            ExitCode::FAILURE
        }
    }
}

/// Checks the name of a group while the command line is read, so that a bad one is an error of usage.
fn name(text: &str) -> Result<Name, NameError> {
    Name::new(text)
}

/// A group as the options describe it.
fn group(name: &Name, port: Option<u16>) -> Result<bellwether::Group, Failure> {
    let group = bellwether::Group::new(name.as_str())?;
    Ok(match port {
        Some(port) => group.port(port),
        None => group,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Command::command().debug_assert();
    }

    #[test]
    fn a_port_is_understood_on_either_side_of_the_subcommand() {
        for line in [["bellwether", "--port", "20000", "status", "a"], ["bellwether", "status", "a", "--port", "20000"]]
        {
            assert_eq!(Command::try_parse_from(line).unwrap().port.map(NonZero::get), Some(20_000));
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let long = "x".repeat(129);
        for line in [
            vec!["bellwether"],
            vec!["bellwether", "status"],
            vec!["bellwether", "status", ""],
            vec!["bellwether", "status", long.as_str()],
            vec!["bellwether", "join", "a\tb"],
            vec!["bellwether", "state"],
            vec!["bellwether", "state", "get", "a"],
            vec!["bellwether", "state", "get", "a", ""],
            vec!["bellwether", "state", "put", "a", "key"],
            vec!["bellwether", "state", "put", "a", long.as_str(), "value"],
            vec!["bellwether", "state", "watch", "a", "key "],
            vec!["bellwether", "pause", "a"],
            vec!["bellwether", "stop"],
            vec!["bellwether", "send", "a", "all"],
            vec!["bellwether", "request", "a"],
            vec!["bellwether", "status", "a", "--port", "0"],
            vec!["bellwether", "status", "a", "--port", "65536"],
            vec!["bellwether", "demo", "--port", "http"],
            vec!["bellwether", "demo", "--instances", "0"],
        ] {
            assert!(Command::try_parse_from(&line).is_err(), "{line:?}");
        }
    }
}
