//! `bellwether join`: a plain member that tells what happens in its group.

use std::io::{self, BufRead, Write};
use std::process;
use std::thread;
use std::time::SystemTime;

use bellwether::{Command, Entry, Event, Instance, Lack, Name, Role};
use clap::Args;

use crate::clock;
use crate::failure::Failure;
use crate::registry::role;
use crate::table::plain;

/// What `join` is told.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The name of the group.
    #[arg(value_parser = crate::name)]
    group: Name,

    /// A text that the registry shows for this member, at most 256 bytes.
    #[arg(long, value_name = "L", default_value = "")]
    label: String,

    /// Do not read standard input: stay a member until killed.
    ///
    /// For members in the background, which the shell would stop when they read from the terminal.
    #[arg(long)]
    no_input: bool,
}

/// Joins, prints one line per event, and leaves when the input ends.
pub(crate) fn run(options: Options, port: Option<u16>) -> Result<(), Failure> {
    let group = crate::group(&options.group, port)?.label(options.label);
    let port = group.supervisor_port();
    let instance = group.join()?;
    let events = instance.events();
    say(&format!(
        "joined {:?} as {}: id {}, pid {}, port {port}",
        options.group.as_str(),
        role(instance.role()),
        instance.id(),
        process::id(),
    ))?;
    if !options.no_input {
        say("`q` or Ctrl-D leaves")?;
        leave_at_end_of_input(instance.clone())?;
    }
    for event in events {
        say(&words(&event))?;
        if event == Event::Command(Command::Stop) {
            // There is no work to be ended first. On a thread of its own, as the events of leaving are yet to be told.
            let leaving = instance.clone();
            start(move || leaving.leave())?;
        }
    }
    say("left")
}

fn leave_at_end_of_input(instance: Instance) -> Result<(), Failure> {
    let wait = move || {
        // An input that cannot be read will not end either.
        let _ = io::stdin().lock().lines().map_while(Result::ok).find(|line| line.trim() == "q");
        instance.leave();
    };
    start(wait)
}

fn start(work: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let attempted = "start a thread".to_owned();
    thread::Builder::new().spawn(work).map(drop).map_err(|error| Failure::Process { attempted, error })
}

fn say(line: &str) -> Result<(), Failure> {
    Ok(writeln!(io::stdout(), "{}  {line}", clock::utc(SystemTime::now()))?)
}

/// One line for an event.
fn words(event: &Event) -> String {
    match event {
        Event::Welcomed { role: Role::Supervisor, .. } => {
            "bound: this is the supervisor now; waiting for the others".into()
        }
        Event::Welcomed { supervisor, role: Role::Subordinate } => format!("welcomed by {supervisor}"),
        Event::Reign { epoch, supervisor, role: Role::Supervisor } => {
            format!("reign {epoch} is open: supervisor is {supervisor}, which is this member")
        }
        Event::Reign { epoch, supervisor, .. } => format!("reign {epoch} is open: supervisor is {supervisor}"),
        Event::Disconnected { supervisor, .. } => format!("disconnected from {supervisor}: the election begins"),
        Event::Joined(entry) => format!("joined: {}", who(entry)),
        Event::Changed(entry) => format!("{}: {}", entry.standing, who(entry)),
        Event::Ended { entry, reason } => format!("{reason}: {}", who(entry)),
        Event::Hung { supervisor: Some(supervisor), .. } => format!("{supervisor}, the supervisor, does not answer"),
        Event::Hung { supervisor: None, listener: Some(listener) } => {
            format!("{listener}, has the port and does not answer")
        }
        Event::Hung { supervisor: None, listener: None } => "whoever has the port does not answer".into(),
        Event::Forfeited { old, new } => format!("silent for too long: {old} has ended, this member goes on as {new}"),
        Event::Message { from, bytes } => {
            let text = plain(&String::from_utf8_lossy(bytes));
            format!("message of {from}, {} bytes: {text}", bytes.len())
        }
        Event::Command(command) => format!("the supervisor commands: {command}"),
        Event::Evicted => "told to stop and still there: evicted".into(),
        Event::Crashed => "a thread has panicked: out of the group".into(),
        Event::PortUnusable { port, reason, listener } => {
            let listener =
                listener.as_ref().map_or_else(String::new, |listener| format!("; {listener}, listens there"));
            format!("port {port} is unusable at the moment: {reason}{listener}")
        }
        Event::Starved { lacks: Lack::Descriptors } => "this process has no descriptors to spare".into(),
        Event::Starved { lacks: Lack::Threads } => "this process has no threads to spare".into(),
        Event::Missed(count) => format!("too slow: {count} events were missed"),
        other => format!("{other:?}"),
    }
}

fn who(entry: &Entry) -> String {
    let label = if entry.label.is_empty() { String::new() } else { format!(" \"{}\"", plain(&entry.label)) };
    format!("{} pid {}{label}", entry.id, entry.pid)
}

#[cfg(test)]
mod tests {
    use bellwether::{Epoch, InstanceId, PortReason};

    use std::time::Instant;

    use super::*;

    #[test]
    fn every_event_is_one_line() {
        let (supervisor, epoch) = (InstanceId::new(1), Epoch::new(7));
        for (event, line) in [
            (Event::Welcomed { supervisor, role: Role::Subordinate }, "welcomed by 0000000000000001"),
            (
                Event::Reign { epoch, supervisor, role: Role::Subordinate },
                "reign 7 is open: supervisor is 0000000000000001",
            ),
            (
                Event::Reign { epoch, supervisor, role: Role::Supervisor },
                "reign 7 is open: supervisor is 0000000000000001, which is this member",
            ),
            (
                Event::Disconnected { supervisor, at: Instant::now() },
                "disconnected from 0000000000000001: the election begins",
            ),
            (Event::Hung { supervisor: None, listener: None }, "whoever has the port does not answer"),
            (Event::Missed(3), "too slow: 3 events were missed"),
            (
                Event::PortUnusable { port: 7, reason: PortReason::OtherGroup, listener: None },
                "port 7 is unusable at the moment: another group listens there",
            ),
        ] {
            assert_eq!(words(&event), line);
        }
    }
}
