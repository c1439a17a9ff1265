//! One process of the demonstration: a member that reports to its parent.

use std::io::{self, Write};
use std::process;
use std::thread;
use std::time::Duration;

use bellwether::{Event, Instance, Name};
use clap::Args;
use crossbeam::channel::RecvTimeoutError;

use super::report::{Report, Standing};
use crate::clock;
use crate::failure::Failure;

/// What the parent tells it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[arg(value_parser = crate::name)]
    group: Name,
    label: String,
}

/// Joins and reports what happens, until it is killed or its parent has ended.
pub(crate) fn run(options: Options, port: Option<u16>) -> Result<(), Failure> {
    let watch = || {
        // Whatever ends the parent closes this pipe, and nothing may outlive the demonstration.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        process::exit(0);
    };
    let attempted = "start a thread".to_owned();
    thread::Builder::new().spawn(watch).map_err(|error| Failure::Process { attempted, error })?;

    let mut out = io::stdout().lock();
    match crate::group(&options.group, port)?.label(options.label).join() {
        Ok(instance) => report(&instance, &mut out),
        Err(error) => Ok(writeln!(out, "{}", Report::Failed(error.to_string()))?),
    }
}

/// How long a process that has something to say waits for what follows.
const QUIET: Duration = Duration::from_millis(100);

/// Everything that happens between two reigns is said at once when the next one is open: a parent that is woken by the
/// first news takes a processor from those who race.
fn report(instance: &Instance, out: &mut impl Write) -> Result<(), Failure> {
    let events = instance.events();
    let joined = Standing { epoch: instance.epoch(), id: instance.id(), role: instance.role() };
    writeln!(out, "{}", Report::Joined(clock::now(), joined))?;
    out.flush()?;

    let mut unsaid = String::new();
    loop {
        let event =
            if unsaid.is_empty() { events.recv().map_err(RecvTimeoutError::from) } else { events.recv_timeout(QUIET) };
        let at = clock::now();
        let report = match event {
            Ok(Event::Disconnected { at: noticed, .. }) => Report::Disconnected(clock::at(noticed)),
            Ok(Event::Welcomed { role, .. }) => Report::Welcomed(at, role),
            Ok(Event::Reign { epoch, role, .. }) => Report::Reign(at, Standing { epoch, id: instance.id(), role }),
            Ok(_) => continue,
            Err(end) => {
                out.write_all(unsaid.as_bytes())?;
                out.flush()?;
                unsaid.clear();
                match end {
                    RecvTimeoutError::Timeout => continue,
                    RecvTimeoutError::Disconnected => return Ok(()),
                }
            }
        };
        unsaid.push_str(&format!("{report}\n"));
        if matches!(report, Report::Reign(..)) {
            out.write_all(unsaid.as_bytes())?;
            out.flush()?;
            unsaid.clear();
        }
    }
}
