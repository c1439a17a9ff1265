//! A pause: one process gets nothing until it is resumed, while the others go on.

use bellwether::{Command, InstanceId, Observer};

use super::fleet::{Fleet, Number};
use super::journal::{self, Journal};
use super::{PATIENCE, awaited};
use crate::failure::Failure;

/// What was seen of a pause.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paused {
    /// Who was paused.
    pub(crate) number: Number,
    /// How many grants the others had meanwhile.
    pub(crate) others: usize,
}

/// How many grants are waited for.
const GRANTS: usize = 20;

/// Pauses the process that was started last, waits for the others to have the lock, and then for it. `None` if there are
/// no others.
pub(crate) fn show(fleet: &mut Fleet, journal: &Journal, observer: &Observer) -> Result<Option<Paused>, Failure> {
    let Some((number, id)) = fleet.ids().pop_last().filter(|_| fleet.size() > 1) else { return Ok(None) };
    command(observer, id, Command::Pause)?;
    // What was granted before the command took effect is the first thing in the journal after it, if it is not in it yet.
    let before = journal.lines()?.len();
    let (others, own) = awaited(fleet, journal, |lines| match journal::beside(&lines[before..], number) {
        (others, own) if others >= GRANTS => Ok((others, own)),
        (others, _) => Err(format!("{GRANTS} grants beside a paused instance; there were {others}")),
    })?;
    if own > 0 {
        return Err(Failure::Served { number, grants: own });
    }
    let before = journal.lines()?.len();
    command(observer, id, Command::Resume)?;
    awaited(fleet, journal, |lines| match lines[before..].iter().any(|line| line.number == number) {
        true => Ok(Some(Paused { number, others })),
        false => Err(format!("the lock to be granted to instance {number}, which is no longer paused")),
    })
}

fn command(observer: &Observer, id: InstanceId, command: Command) -> Result<(), Failure> {
    let attempted = command.to_string();
    observer.command_timeout(id, command, PATIENCE).map_err(|error| Failure::NotDone { attempted, error })
}
