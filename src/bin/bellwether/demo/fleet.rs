//! The processes of the demonstration.
//!
//! Ends only processes that it started itself, each with its [`Child`] in hand, and reaps every one of them, whichever
//! way the demonstration ends. If it is killed itself, the children end because their standard input does.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use bellwether::{Epoch, InstanceId, Name, Role};
use crossbeam::channel::{Receiver, Sender, unbounded};

use super::instance::{TRY, WRITE};
use super::policy::Refused;
use super::report::{Report, Standing};
use crate::clock;
use crate::failure::Failure;

/// The number of a process: 1 for the first that was started.
pub(crate) type Number = usize;

/// Processes of one group, all children of this one.
#[derive(Debug)]
pub(crate) struct Fleet {
    group: Name,
    port: u16,
    journal: PathBuf,
    patience: Duration,
    /// The living, by number.
    members: BTreeMap<Number, Member>,
    /// Those who were killed, with their processes.
    killed: Vec<(Number, u32)>,
    started: Number,
    /// The reign that all members were part of last.
    epoch: Epoch,
    mouth: Sender<(Number, Heard)>,
    ear: Receiver<(Number, Heard)>,
}

#[derive(Debug)]
struct Member {
    child: Child,
    standing: Option<Standing>,
    /// What it reported since the last kill.
    log: Vec<Report>,
    /// When it had which version of the configuration.
    configured: Option<(u64, String)>,
    /// What came of it when it asked for what is forbidden: nothing, or the words with which it was refused.
    answered: Option<Result<(), String>>,
}

/// What came through the pipe of a process.
#[derive(Debug)]
enum Heard {
    Line(String),
    End,
}

/// Who was killed, and when.
#[derive(Debug)]
pub(crate) struct Killed {
    pub(crate) number: Number,
    pub(crate) pid: u32,
    pub(crate) at: u64,
}

/// A configuration that has reached everybody.
#[derive(Debug)]
pub(crate) struct Configured {
    /// Who wrote it.
    pub(crate) number: Number,
    /// The version that it got.
    pub(crate) version: String,
    /// How many have it, the writer included.
    pub(crate) copies: usize,
    /// From the order to write it until the last one had it, in microseconds.
    pub(crate) micros: u64,
}

impl Fleet {
    /// Starts that many processes at once and waits until they are one group.
    pub(crate) fn start(
        group: &Name,
        port: u16,
        journal: &Path,
        instances: u16,
        patience: Duration,
    ) -> Result<Self, Failure> {
        let (mouth, ear) = unbounded();
        let mut fleet = Self {
            group: group.clone(),
            port,
            journal: journal.to_owned(),
            patience,
            members: BTreeMap::new(),
            killed: Vec::new(),
            started: 0,
            epoch: Epoch::default(),
            mouth,
            ear,
        };
        for _ in 0..instances {
            fleet.add()?;
        }
        fleet.settle(Epoch::default())?;
        Ok(fleet)
    }

    /// Starts one more.
    pub(crate) fn add(&mut self) -> Result<(), Failure> {
        let number = self.started + 1;
        let failed = |error| Failure::Process { attempted: format!("start instance {number}"), error };
        let mut child = Command::new(env::current_exe().map_err(failed)?)
            .arg("demo-instance")
            .args([self.group.as_str(), &number.to_string(), "--port", &self.port.to_string()])
            .arg(&self.journal)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let lines = child.stdout.take().map(|stdout| BufReader::new(stdout).lines());
        // Its standard input stays with the child: closing it would end the process.
        self.members
            .insert(number, Member { child, standing: None, log: Vec::new(), configured: None, answered: None });
        self.started = number;
        let mouth = self.mouth.clone();
        let listen = move || {
            for line in lines.into_iter().flatten().map_while(Result::ok) {
                let _ = mouth.send((number, Heard::Line(line)));
            }
            let _ = mouth.send((number, Heard::End));
        };
        // It ends with the pipe, that is with the process.
        thread::Builder::new().spawn(listen).map(drop).map_err(failed)
    }

    /// Waits until every member is part of one reign, of this epoch or a later one.
    pub(crate) fn settle(&mut self, least: Epoch) -> Result<(), Failure> {
        let deadline = Instant::now() + self.patience;
        loop {
            if let Some(epoch) = self.common_epoch().filter(|epoch| *epoch >= least) {
                self.epoch = epoch;
                return Ok(());
            }
            match self.ear.recv_deadline(deadline) {
                Ok((number, heard)) => self.hear(number, heard)?,
                Err(_) => return Err(Failure::Awaited { what: self.missing(least), waited: self.patience }),
            }
        }
    }

    /// Hears what is said within this time, or the first of it.
    pub(crate) fn listen(&mut self, time: Duration) -> Result<(), Failure> {
        match self.ear.recv_timeout(time) {
            Ok((number, heard)) => self.hear(number, heard),
            Err(_) => Ok(()),
        }
    }

    /// Has one process write the configuration and waits until all report that they have the version it got.
    pub(crate) fn configure(&mut self) -> Result<Configured, Failure> {
        let Some((&number, writer)) = self.members.iter_mut().next_back() else {
            return Err(Failure::Instance("nobody is left to write the configuration".to_owned()));
        };
        let asked = clock::now();
        writer.tell(number, WRITE)?;
        let deadline = Instant::now() + self.patience;
        loop {
            if let Some((at, version)) = self.common_configuration() {
                let micros = at.saturating_sub(asked) / 1000;
                return Ok(Configured { number, version, copies: self.size(), micros });
            }
            match self.ear.recv_deadline(deadline) {
                Ok((number, heard)) => self.hear(number, heard)?,
                Err(_) => {
                    let what = "all instances to have one version of the configuration".to_owned();
                    return Err(Failure::Awaited { what, waited: self.patience });
                }
            }
        }
    }

    /// Has one process ask for what is forbidden; not the supervisor, unless it is alone. The supervisor is to refuse it.
    pub(crate) fn tempt(&mut self) -> Result<Refused, Failure> {
        let Some(supervisor) = self.supervisor() else { return Err(nobody_reigns()) };
        let other = self.members.keys().rev().find(|number| **number != supervisor);
        let number = other.copied().unwrap_or(supervisor);
        if let Some(asker) = self.members.get_mut(&number) {
            asker.tell(number, TRY)?;
        }
        let deadline = Instant::now() + self.patience;
        loop {
            if let Some(answer) = self.members.get_mut(&number).and_then(|asker| asker.answered.take()) {
                return Refused::new(number, supervisor, answer);
            }
            match self.ear.recv_deadline(deadline) {
                Ok((number, heard)) => self.hear(number, heard)?,
                Err(_) => {
                    let what = format!("an answer to instance {number}, which asks for what is forbidden");
                    return Err(Failure::Awaited { what, waited: self.patience });
                }
            }
        }
    }

    /// Who reigns, by its own account.
    fn supervisor(&self) -> Option<Number> {
        let reigns = |member: &Member| member.standing.is_some_and(|standing| standing.role == Role::Supervisor);
        self.members.iter().find(|(_, member)| reigns(member)).map(|(number, _)| *number)
    }

    /// The version that all members have, and when the last of them had it.
    fn common_configuration(&self) -> Option<(u64, String)> {
        let all: Vec<_> = self.members.values().map(|member| member.configured.as_ref()).collect::<Option<_>>()?;
        let (_, version) = all.first()?;
        let last = all.iter().map(|(at, _)| *at).max()?;
        all.iter().all(|(_, other)| other == version).then(|| (last, version.clone()))
    }

    /// The reign of all members, if it is the same for all, and one of them reigns.
    fn common_epoch(&self) -> Option<Epoch> {
        let standings: Vec<Standing> = self.members.values().map(|member| member.standing).collect::<Option<_>>()?;
        let epoch = standings.first()?.epoch;
        let supervisors = standings.iter().filter(|standing| standing.role == Role::Supervisor).count();
        (supervisors == 1 && standings.iter().all(|standing| standing.epoch == epoch)).then_some(epoch)
    }

    fn missing(&self, least: Epoch) -> String {
        let missing = |member: &Member| member.standing.is_none_or(|standing| standing.epoch < least);
        let missing: Vec<_> =
            self.members.iter().filter(|(_, member)| missing(member)).map(|(n, m)| m.name(*n)).collect();
        match missing.is_empty() {
            true => "all instances to be part of one reign".to_owned(),
            false => format!("{} to be part of the reign", missing.join(", ")),
        }
    }

    fn hear(&mut self, number: Number, heard: Heard) -> Result<(), Failure> {
        // Of the dead nothing is of interest any more.
        let Some(member) = self.members.get_mut(&number) else { return Ok(()) };
        let name = member.name(number);
        let Heard::Line(line) = heard else {
            return Err(Failure::Instance(format!("{name} has ended by itself")));
        };
        match line.parse() {
            Ok(Report::Failed(why)) => Err(Failure::Instance(format!("{name} cannot join: {why}"))),
            Ok(report) => {
                if let Report::Joined(_, standing) | Report::Reign(_, standing) = report {
                    member.standing = Some(standing);
                }
                match report {
                    Report::Configured(at, version) => member.configured = Some((at, version)),
                    Report::Allowed(_) => member.answered = Some(Ok(())),
                    Report::Denied(_, why) => member.answered = Some(Err(why)),
                    report => member.log.push(report),
                }
                Ok(())
            }
            Err(()) => Err(Failure::Instance(format!("{name} said what is no report: {line:?}"))),
        }
    }

    /// Kills the supervisor with SIGKILL and reaps it.
    pub(crate) fn kill_supervisor(&mut self) -> Result<Killed, Failure> {
        let supervisor = self.supervisor().and_then(|number| self.members.remove_entry(&number));
        let Some((number, mut victim)) = supervisor else { return Err(nobody_reigns()) };
        for member in self.members.values_mut() {
            member.log.clear();
        }
        let pid = victim.child.id();
        let at = clock::now();
        let killed = victim.child.kill();
        let reaped = victim.reap(number, self.patience);
        killed.map_err(|error| Failure::Process { attempted: format!("kill {}", victim.name(number)), error })?;
        reaped?;
        self.killed.push((number, pid));
        Ok(Killed { number, pid, at })
    }

    /// How many live.
    pub(crate) fn size(&self) -> usize {
        self.members.len()
    }

    /// The reign that all were part of when they last settled.
    pub(crate) const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether the process of this number is one of those who were killed.
    pub(crate) fn has_killed(&self, pid: u32) -> bool {
        self.killed.iter().any(|(_, killed)| *killed == pid)
    }

    /// Those who were killed.
    pub(crate) fn killed(&self) -> BTreeSet<Number> {
        self.killed.iter().map(|(number, _)| *number).collect()
    }

    /// Who lives under which id.
    pub(crate) fn ids(&self) -> BTreeMap<Number, InstanceId> {
        self.members().into_values().collect()
    }

    /// Number and id of the living, by process.
    pub(crate) fn members(&self) -> BTreeMap<u32, (Number, InstanceId)> {
        let known = |(number, member): (&Number, &Member)| Some((member.child.id(), (*number, member.standing?.id)));
        self.members.iter().filter_map(known).collect()
    }

    /// What everyone who lives has reported since the last kill.
    pub(crate) fn logs(&self) -> Vec<(Number, &[Report])> {
        self.members.iter().map(|(number, member)| (*number, member.log.as_slice())).collect()
    }
}

impl Member {
    fn name(&self, number: Number) -> String {
        format!("instance {number} (pid {})", self.child.id())
    }

    /// Says a line to it.
    fn tell(&mut self, number: Number, line: &str) -> Result<(), Failure> {
        let told = self.child.stdin.as_mut().map_or(Ok(()), |stdin| writeln!(stdin, "{line}"));
        told.map_err(|error| Failure::Process { attempted: format!("talk to {}", self.name(number)), error })
    }

    /// Takes the exit status of a process that was killed, so that its number is free again.
    fn reap(&mut self, number: Number, patience: Duration) -> Result<(), Failure> {
        let deadline = Instant::now() + patience;
        loop {
            match self.child.try_wait() {
                Ok(Some(_)) => return Ok(()),
                Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
                Ok(None) => {
                    return Err(Failure::Awaited {
                        what: format!("the end of {}", self.name(number)),
                        waited: patience,
                    });
                }
                Err(error) => {
                    return Err(Failure::Process { attempted: format!("reap {}", self.name(number)), error });
                }
            }
        }
    }
}

fn nobody_reigns() -> Failure {
    Failure::Instance("none of the instances is the supervisor".to_owned())
}

impl Drop for Fleet {
    fn drop(&mut self) {
        // All before the first is reaped: the others need not elect one supervisor after the other on their way out.
        for member in self.members.values_mut() {
            // Fails only for a process that has ended already.
            let _ = member.child.kill();
        }
        for (number, member) in &mut self.members {
            if let Err(failure) = member.reap(*number, self.patience) {
                log::warn!("{failure}");
            }
        }
    }
}
