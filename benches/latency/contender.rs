//! What is compared, and the child process that runs it.
//!
//! A child notes when something happened to it and says so only when asked. The figure is therefore the time of the
//! event itself, and no process writes to a pipe while the others are still racing.

use std::fmt;
use std::io::{self, Write};
use std::process;
use std::str::FromStr;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use crate::common::process::{PATIENCE, now};

/// One way to elect a supervisor.
pub(crate) struct Contender {
    /// As it is called in the figures.
    pub(crate) name: &'static str,
    /// Takes part in the elections on a port until the process is killed, and notes on the board what it reached.
    pub(crate) compete: fn(u16, &Board) -> !,
    /// Joins the supervisor on a port as a subordinate, and leaves again: how long the joining alone took.
    pub(crate) join: fn(u16) -> Duration,
    /// Whether `compete` notes [`Milestone::Reign`] after an election.
    pub(crate) reigns: bool,
}

/// What a process can reach after a supervisor's death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Milestone {
    /// It has won the port, or its handshake with the winner is complete.
    Welcomed,
    /// It is part of an opened reign.
    Reign,
}

/// In which role it was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Supervisor,
    Subordinate,
}

/// What has happened to this process so far.
#[derive(Default)]
pub(crate) struct Board {
    notes: Mutex<Vec<(Milestone, Stamp)>>,
    noted: Condvar,
}

/// When a milestone was reached, and in which role: a child's answer.
#[derive(Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) at: u64,
    pub(crate) role: Role,
}

impl Board {
    /// Notes that a milestone is reached now.
    pub(crate) fn note(&self, milestone: Milestone, role: Role) {
        let stamp = Stamp { at: now(), role };
        self.notes.lock().expect("no thread panics while it holds the notes").push((milestone, stamp));
        self.noted.notify_one();
    }

    /// Waits for the first such milestone after a point in time.
    fn first(&self, milestone: Milestone, after: u64) -> Option<Stamp> {
        let find = |notes: &[(Milestone, Stamp)]| {
            notes.iter().find(|(what, stamp)| *what == milestone && stamp.at > after).map(|(_, stamp)| *stamp)
        };
        let notes = self.notes.lock().expect("no thread panics while it holds the notes");
        let (notes, _) = self
            .noted
            .wait_timeout_while(notes, PATIENCE, |notes| find(notes).is_none())
            .expect("no thread panics while it holds the notes");
        find(&notes)
    }
}

/// The child process: competes on one thread, answers its parent on another. Its task is the name of its contender and
/// the port, such as `bare 12345`.
pub(crate) fn run(contenders: &[&Contender], task: &str) -> ! {
    let (name, port) = task.split_once(' ').expect("a name and a port");
    let contender = contenders.iter().find(|contender| contender.name == name).expect("a known contender");
    let port = port.parse().expect("a port number");

    let board = Arc::new(Board::default());
    let asked = Arc::clone(&board);
    thread::spawn(move || {
        // Whatever ends the conversation also ends the process: nothing may outlive the parent, however that ends.
        let end = answer(&asked);
        process::exit(if end.is_ok() { 0 } else { 1 });
    });
    (contender.compete)(port, &board)
}

/// Answers questions of the form `<milestone> <after>` with `<at> <role>` until the parent closes the pipe.
fn answer(board: &Board) -> io::Result<()> {
    let mut out = io::stdout();
    for line in io::stdin().lines() {
        let line = line?;
        let question = line.split_once(' ').and_then(|(what, after)| Some((what.parse().ok()?, after.parse().ok()?)));
        let (milestone, after) = question.ok_or(io::ErrorKind::InvalidData)?;
        let Stamp { at, role } = board.first(milestone, after).ok_or(io::ErrorKind::TimedOut)?;
        writeln!(out, "{at} {role}")?;
    }
    Ok(())
}

impl fmt::Display for Milestone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Welcomed => "welcomed",
            Self::Reign => "reign",
        })
    }
}

impl FromStr for Milestone {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Welcomed, Self::Reign].into_iter().find(|milestone| milestone.to_string() == text).ok_or(())
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Supervisor => "supervisor",
            Self::Subordinate => "subordinate",
        })
    }
}

impl FromStr for Stamp {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (at, role) = text.split_once(' ').ok_or(())?;
        let role = [Role::Supervisor, Role::Subordinate].into_iter().find(|known| known.to_string() == role);
        Ok(Self { at: at.parse().map_err(|_| ())?, role: role.ok_or(())? })
    }
}
