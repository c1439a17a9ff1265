//! One process of the demonstration: a member that fights for the lock, has a policy in case it becomes the supervisor,
//! and reports to its parent.

use std::fs::OpenOptions;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use bellwether::{Abandoned, Error, Event, Instance, Name};
use clap::Args;
use crossbeam::channel::RecvTimeoutError;

use super::fleet::Number;
use super::journal::{Line, Step};
use super::policy::{FORBIDDEN, label, policy};
use super::report::{Report, Standing};
use crate::clock;
use crate::failure::Failure;

/// What the parent tells it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[arg(value_parser = crate::name)]
    group: Name,
    number: Number,
    journal: PathBuf,
}

/// The line by which the parent has a process write the configuration.
pub(crate) const WRITE: &str = "write";

/// The line by which the parent has a process ask for what is [`FORBIDDEN`].
pub(crate) const TRY: &str = "try";

/// The key of the configuration.
const CONFIGURATION: &str = "configuration";

/// Joins and reports what happens, until it is killed or its parent has ended.
pub(crate) fn run(options: Options, port: Option<u16>) -> Result<(), Failure> {
    let Options { group, number, journal } = options;
    let joined = Arc::new(OnceLock::new());
    spawn({
        let joined = joined.clone();
        move || {
            obey(&joined);
            process::exit(0);
        }
    })?;
    let group = crate::group(&group, port)?.label(label(number));
    match group.policy(move |_, operation| policy(number, operation)).join() {
        Ok(instance) => {
            let instance = joined.get_or_init(|| instance);
            let fighter = instance.clone();
            spawn(move || fail(fight(&fighter, number, &journal)))?;
            report(instance)
        }
        Err(error) => say(&format!("{}\n", Report::Failed(error.to_string()))),
    }
}

fn spawn(body: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let attempted = "start a thread".to_owned();
    thread::Builder::new().spawn(body).map(drop).map_err(|error| Failure::Process { attempted, error })
}

/// The parent hears that the process has ended, and its user why.
fn fail(done: Result<(), Failure>) {
    if let Err(failure) = done {
        eprintln!("bellwether: {failure}");
        process::exit(1);
    }
}

/// Does what the parent says, until its pipe is closed: whatever ends the parent does that, and nothing may outlive the
/// demonstration.
fn obey(joined: &OnceLock<Instance>) {
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        match (joined.get(), line.as_str()) {
            (Some(instance), WRITE) => {
                fail(instance.state().put(CONFIGURATION, "new").map(drop).map_err(Failure::from));
            }
            (Some(instance), TRY) => fail(attempt(instance)),
            _ => {}
        }
    }
}

/// Asks for the lock that nobody may have, and says what came of it.
fn attempt(instance: &Instance) -> Result<(), Failure> {
    let report = match instance.mutex(FORBIDDEN).lock() {
        Ok(_guard) => Report::Allowed(clock::now()),
        Err(Error::Denied(why)) => Report::Denied(clock::now(), why),
        Err(error) => return Err(error.into()),
    };
    say(&format!("{report}\n"))
}

/// Writes whole lines at once: two threads have something to say.
fn say(lines: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(lines.as_bytes())?;
    Ok(out.flush()?)
}

/// How long the lock is held: long enough for others to be in the way, and for a kill to hit somebody at work.
const WORK: Duration = Duration::from_micros(300);

/// Takes the lock again and again and writes into the journal what it does with it.
fn fight(instance: &Instance, number: Number, journal: &Path) -> Result<(), Failure> {
    let failed = |error| Failure::Process { attempted: format!("write {}", journal.display()), error };
    let mut file = OpenOptions::new().append(true).open(journal).map_err(failed)?;
    let lock = instance.mutex("journal");
    loop {
        let guard = lock.lock()?;
        let (token, epoch) = (guard.token().number(), instance.epoch());
        let clean = guard.abandoned() == Abandoned::Clean;
        let begin = Line { step: Step::Begin, token, number, epoch, at: clock::now(), clean };
        begin.append(&mut file).map_err(failed)?;
        thread::sleep(WORK);
        let end = Line { step: Step::End, at: clock::now(), ..begin };
        end.append(&mut file).map_err(failed)?;
        guard.unlock()?;
    }
}

/// How long a process that has something to say waits for what follows.
const QUIET: Duration = Duration::from_millis(100);

/// Everything that happens between two reigns is said at once when the next one is open: a parent that is woken by the
/// first news takes a processor from those who race.
fn report(instance: &Instance) -> Result<(), Failure> {
    let events = instance.events();
    let joined = Standing { epoch: instance.epoch(), id: instance.id(), role: instance.role() };
    say(&format!("{}\n", Report::Joined(clock::now(), joined)))?;

    let mut unsaid = String::new();
    loop {
        let event =
            if unsaid.is_empty() { events.recv().map_err(RecvTimeoutError::from) } else { events.recv_timeout(QUIET) };
        let at = clock::now();
        let report = match event {
            Ok(Event::Disconnected { at: noticed, .. }) => Report::Disconnected(clock::at(noticed)),
            Ok(Event::Welcomed { role, .. }) => Report::Welcomed(at, role),
            Ok(Event::Reign { epoch, role, .. }) => Report::Reign(at, Standing { epoch, id: instance.id(), role }),
            Ok(Event::State { key, version, .. }) if key.as_str() == CONFIGURATION => {
                Report::Configured(at, version.to_string())
            }
            Ok(_) => continue,
            Err(end) => {
                say(&unsaid)?;
                unsaid.clear();
                match end {
                    RecvTimeoutError::Timeout => continue,
                    RecvTimeoutError::Disconnected => return Ok(()),
                }
            }
        };
        unsaid.push_str(&format!("{report}\n"));
        if matches!(report, Report::Reign(..) | Report::Configured(..)) {
            say(&unsaid)?;
            unsaid.clear();
        }
    }
}
