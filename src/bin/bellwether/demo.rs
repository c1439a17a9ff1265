//! `bellwether demo`: real processes, a supervisor that is killed, and what the others do about it.
//!
//! The [`fleet`] owns the processes, each of which runs [`instance`] and tells in [`report`]s what happened to it and
//! when. A [`timeline`] is what the reports of all survivors say together, and the [`reporter`] prints it. All the while
//! the processes fight for one lock and write a [`journal`] under it, which is checked in the end. Each of them has a
//! [`policy`], by which the supervisor of the moment refuses what is forbidden, and one of them is shown in a [`pause`].

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::process;
use std::time::{Duration, Instant, SystemTime};

use bellwether::{Entry, Epoch, InstanceId, Name};
use clap::Args;

use crate::control;
use crate::failure::Failure;
use crate::status;

mod fleet;
pub(crate) mod instance;
pub(crate) mod journal;
mod pause;
mod policy;
mod report;
mod reporter;
mod timeline;

use fleet::{Fleet, Number};
use journal::{Journal, Line};
use reporter::{Reign, Reporter};
use timeline::{Moment, Timeline};

/// What `demo` is told.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many processes to start, at most 256.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=256))]
    instances: u16,

    /// How often to kill the supervisor, fewer times than there are processes.
    ///
    /// Nobody replaces the dead; only if a single process is left, another one joins it.
    #[arg(long, value_name = "K", default_value_t = 3)]
    kills: u16,
}

/// How long anything may take before the demonstration gives up.
const PATIENCE: Duration = Duration::from_secs(30);

impl Options {
    /// Whether the options go together, or why not.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Self { instances, kills } = self;
        if kills < instances {
            return Ok(());
        }
        Err(format!("--kills {kills} with --instances {instances} would leave nobody: there must be fewer kills"))
    }
}

/// Shows the whole of it.
pub(crate) fn run(options: &Options, port: Option<u16>) -> Result<(), Failure> {
    let name = Name::new(format!("bellwether-demo-{}", process::id())).map_err(bellwether::Error::from)?;
    let port = port.map_or_else(|| free_port(&name), Ok)?;
    // Before the fleet, so that it is removed after the last process has ended.
    let journal = Journal::create()?;
    let mut reporter = Reporter::new(io::stdout());
    reporter.opening(options.instances, options.kills, &name, port)?;

    let mut fleet = Fleet::start(&name, port, journal.path(), options.instances, PATIENCE)?;
    fought(&mut fleet, &journal)?;
    let mut refused = vec![fleet.tempt()?];
    reporter.registry(&registry(&fleet, &name, port)?, SystemTime::now())?;

    let mut reigns = Vec::new();
    for number in 1..=options.kills {
        let reign = next_reign(&mut fleet, &journal)?;
        reporter.reign(number, &reign)?;
        refused.push(reign.refused);
        reigns.push(reign);
        if fleet.size() < 2 {
            fleet.add()?;
            fleet.settle(fleet.epoch())?;
            fought(&mut fleet, &journal)?;
            reporter.company()?;
        }
        reporter.registry(&registry(&fleet, &name, port)?, SystemTime::now())?;
    }
    let paused = pause::show(&mut fleet, &journal, &control::observe(&name, Some(port))?)?;
    let configured = fleet.configure()?;
    reporter.summary(&reigns)?;
    let tally = journal::check(&journal.lines()?, &fleet.killed()).map_err(Failure::Journal)?;
    reporter.journal(&tally)?;
    reporter.configuration(&configured)?;
    reporter.policy(&refused)?;
    if let Some(paused) = paused {
        reporter.pause(paused)?;
    }
    match (reigns.iter().map(|reign| reign.strangers.len()).sum(), reigns.iter().map(|reign| reign.survivors).sum()) {
        (0, _) => Ok(()),
        (strangers, survivals) => Err(Failure::Identity { strangers, survivals }),
    }
}

/// Kills the supervisor and waits until all others are in the reign of the next one.
fn next_reign(fleet: &mut Fleet, journal: &Journal) -> Result<Reign, Failure> {
    let before = fleet.ids();
    let killed = fleet.kill_supervisor()?;
    fleet.settle(Epoch::new(fleet.epoch().number() + 1))?;
    let timeline = Timeline::new(killed.at, &fleet.logs())
        .ok_or_else(|| Failure::Instance("the survivors do not agree on what happened".to_owned()))?;
    let strangers = strangers(&before, &fleet.ids());
    let lines = fought(fleet, journal)?;
    let grant = journal::first_grant(&lines, fleet.epoch())
        .map(|line| Moment { micros: line.at.saturating_sub(killed.at) / 1000, number: line.number })
        .ok_or_else(|| Failure::Instance("nobody has got the lock".to_owned()))?;
    let timeline = timeline.before(grant.micros);
    let refused = fleet.tempt()?;
    Ok(Reign { number: killed.number, pid: killed.pid, survivors: fleet.size(), timeline, grant, strangers, refused })
}

/// Waits until everybody has had the lock in the present reign; the journal as it is then.
fn fought(fleet: &mut Fleet, journal: &Journal) -> Result<Vec<Line>, Failure> {
    let (epoch, members) = (fleet.epoch(), fleet.ids());
    awaited(fleet, journal, |lines| {
        let missing = journal::without_grant(lines, epoch, members.keys().copied());
        let list: Vec<_> = missing.iter().map(Number::to_string).collect();
        match missing.is_empty() {
            true => Ok(lines.to_vec()),
            false => Err(format!("the lock to be granted to instance {}", list.join(", "))),
        }
    })
}

/// Waits until the journal shows something, or says what is missing.
fn awaited<T>(fleet: &mut Fleet, journal: &Journal, look: impl Fn(&[Line]) -> Result<T, String>) -> Result<T, Failure> {
    let began = Instant::now();
    loop {
        match look(&journal.lines()?) {
            Ok(seen) => return Ok(seen),
            Err(what) if began.elapsed() >= PATIENCE => return Err(Failure::Awaited { what, waited: began.elapsed() }),
            Err(_) => fleet.listen(Duration::from_millis(1))?,
        }
    }
}

/// Who did not come back under its old id.
fn strangers(before: &BTreeMap<Number, InstanceId>, after: &BTreeMap<Number, InstanceId>) -> Vec<Number> {
    after.iter().filter(|(number, id)| before.get(number) != Some(id)).map(|(number, _)| *number).collect()
}

/// The registry, as an observer sees it, in the order in which the processes were started. It is waited for until it
/// names everybody who should be in it and nobody who was killed.
fn registry(fleet: &Fleet, name: &Name, port: u16) -> Result<Vec<Entry>, Failure> {
    let observer = status::observe(crate::group(name, Some(port))?, name.as_str())?;
    let members = fleet.members();
    let wanted = |epoch: Epoch, entries: &[Entry]| {
        let listed: BTreeMap<u32, InstanceId> = entries.iter().map(|entry| (entry.pid, entry.id)).collect();
        epoch >= fleet.epoch()
            && members.iter().all(|(pid, (_, id))| listed.get(pid) == Some(id))
            && !listed.keys().any(|pid| fleet.has_killed(*pid))
    };
    let (_, mut entries) = status::settled(&observer, wanted, "a registry of exactly the living", PATIENCE)?;
    // A stranger that has joined the demonstration's group by hand comes last.
    entries.sort_by_key(|entry| members.get(&entry.pid).map_or(Number::MAX, |(number, _)| *number));
    Ok(entries)
}

/// A port that nobody uses. The search begins at the port that the group would have by default, so that demonstrations
/// that run at the same time start in different places, and stays below the ports from which most systems take the
/// source ports of connections.
fn free_port(name: &Name) -> Result<u16, Failure> {
    const FIRST: u16 = 10_240;
    const LAST: u16 = 32_767;
    let start = crate::group(name, None)?.supervisor_port();
    (start..=LAST)
        .chain(FIRST..start)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .ok_or_else(|| Failure::Instance(format!("no port in {FIRST}-{LAST} is free")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_must_survive() {
        for (instances, kills, fine) in [(5, 3, true), (2, 1, true), (1, 0, true), (3, 3, false), (1, 2, false)] {
            assert_eq!(Options { instances, kills }.check().is_ok(), fine, "{instances} instances, {kills} kills");
        }
    }

    #[test]
    fn a_survivor_under_another_id_is_a_stranger() {
        let ids = |pairs: &[(Number, u64)]| pairs.iter().map(|(n, id)| (*n, InstanceId::new(*id))).collect();
        let before = ids(&[(1, 10), (2, 20), (3, 30)]);
        assert_eq!(strangers(&before, &ids(&[(2, 20), (3, 30)])), Vec::<Number>::new());
        assert_eq!(strangers(&before, &ids(&[(2, 21), (3, 30)])), [2]);
    }

    #[test]
    fn a_port_that_is_in_use_is_passed_over() {
        let name = Name::new(format!("demo-test-{}", process::id())).unwrap();
        let first = free_port(&name).unwrap();
        let _holder = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).unwrap();
        let second = free_port(&name).unwrap();
        assert_ne!(first, second);
        assert!((10_240..=32_767).contains(&second));
    }
}
