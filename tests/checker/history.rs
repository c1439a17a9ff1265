//! The journals of a storm, put together: who did what, from when to when.
//!
//! Knows no rule. Where a time is only known to lie between two others, both are kept.

use std::collections::BTreeMap;
use std::path::Path;

use super::journal::{self, Abandoned, Expected, Found, Label, Line, Mode, Patience, Version, What, Why};

/// The name of the parent's journal; every other file is a process's own.
pub const PARENT: &str = "parent";

/// Everything that is known of one storm.
#[derive(Debug, Default)]
pub struct History {
    /// In the order of their names.
    pub processes: Vec<Process>,
    pub snapshots: Vec<Snapshot>,
    /// The first time in any journal: what is told of a time is told from there.
    pub start: u64,
}

/// One process.
#[derive(Debug, Default)]
pub struct Process {
    pub name: String,
    /// When it began to join, and the id under which it then had joined.
    pub joining: Option<u64>,
    pub joined: Option<(u64, String)>,
    /// The ids that it ever had.
    pub ids: Vec<String>,
    /// When it was told of which reign.
    pub reigns: Vec<(u64, u64, String)>,
    /// When it began to leave, or to hand the office over, for the first time; and when it began to leave.
    pub leaving: Option<u64>,
    pub left: Option<u64>,
    /// By their numbers.
    pub asks: BTreeMap<u64, Ask>,
    pub puts: BTreeMap<u64, Put>,
    pub requests: BTreeMap<u64, Request>,
    /// What its handler was asked.
    pub runs: BTreeMap<u64, Run>,
    pub messages: BTreeMap<u64, Message>,
    /// In the order in which they came.
    pub receipts: Vec<Receipt>,
    /// When it was told that it had missed something.
    pub missed: Vec<u64>,
    pub reads: Vec<Read>,
    pub finals: BTreeMap<String, Found>,
    /// When it said that it was done.
    pub ended: Option<u64>,
    /// When the parent was about to kill it.
    pub killed: Option<u64>,
    /// When the parent knew that it was dead.
    pub dead: Option<u64>,
    /// From the moment at which the parent was about to stop it until the parent had let it run on.
    pub stops: Vec<Stop>,
    /// The last time in its journal.
    pub last: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    pub from: u64,
    pub until: u64,
}

/// A request for a grant.
#[derive(Debug)]
pub struct Ask {
    pub name: String,
    pub mode: Mode,
    pub patience: Patience,
    pub asked: u64,
    pub outcome: Outcome,
    pub releasing: Option<u64>,
    pub lost: Option<u64>,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Open,
    Granted { at: u64, token: u64, abandoned: Abandoned },
    GaveUp { at: u64 },
    Failed { at: u64, reason: String },
}

/// A write.
#[derive(Debug)]
pub struct Put {
    pub key: String,
    pub expected: Expected,
    /// Every write has a value of its own; nothing: it deletes.
    pub value: Option<String>,
    pub began: u64,
    pub outcome: Written,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    Open,
    Stored { at: u64, version: Version },
    Conflict { at: u64, version: Version },
    Unsure { at: u64 },
}

/// A question for the supervisor's handler.
#[derive(Debug)]
pub struct Request {
    pub patience: Patience,
    pub began: u64,
    pub outcome: Reply,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    Open,
    /// The answer names the run and the request.
    Answered {
        at: u64,
        run: Label,
        asked: Label,
    },
    None {
        at: u64,
        why: Why,
    },
}

/// That a handler was asked something.
#[derive(Debug)]
pub struct Run {
    pub at: u64,
    pub asked: Label,
}

/// Something that was said to an instance, or to all others.
#[derive(Debug)]
pub struct Message {
    pub to: Option<String>,
    pub patience: Patience,
    pub began: u64,
    pub outcome: Sent,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    Open,
    Done { at: u64, count: u64 },
    Not { at: u64, why: Why },
}

/// That a message came, and from whom it says it is.
#[derive(Debug)]
pub struct Receipt {
    pub at: u64,
    pub from: String,
    pub message: Label,
}

/// A look at the own copy.
#[derive(Debug)]
pub struct Read {
    pub key: String,
    pub began: u64,
    pub ended: u64,
    pub found: Found,
}

/// Who waited for a name at some moment between two times.
#[derive(Debug)]
pub struct Snapshot {
    pub began: u64,
    pub ended: u64,
    pub epoch: u64,
    pub name: String,
    pub waiters: Vec<(String, Mode)>,
}

impl History {
    /// Reads all journals in a directory.
    ///
    /// # Errors
    ///
    /// In words, what is wrong with them.
    pub fn read(directory: &Path) -> Result<Self, String> {
        let mut journals = BTreeMap::new();
        let files = std::fs::read_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        for file in files {
            let path = file.map_err(|error| error.to_string())?.path();
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            journals.insert(name, journal::parse(&text)?);
        }
        Self::assemble(&journals)
    }

    /// Puts journals together that have been read.
    ///
    /// # Errors
    ///
    /// Somebody says in words what cannot have been, such as the end of what did not begin.
    pub fn assemble(journals: &BTreeMap<String, Vec<Line>>) -> Result<Self, String> {
        let mut processes = BTreeMap::new();
        for (name, lines) in journals.iter().filter(|(name, _)| *name != PARENT) {
            let mut process = Process { name: name.clone(), ..Process::default() };
            for line in lines {
                process.take(line).map_err(|what| format!("{name} says {:?}: {what}", line.to_string()))?;
            }
            processes.insert(name.clone(), process);
        }
        for line in journals.get(PARENT).into_iter().flatten() {
            match &line.what {
                What::Killing { process } => of(&mut processes, process).killed = Some(line.at),
                What::Dead { process } => of(&mut processes, process).dead = Some(line.at),
                What::Stopping { process } => {
                    of(&mut processes, process).stops.push(Stop { from: line.at, until: u64::MAX });
                }
                What::Resumed { process: name } => {
                    let process = of(&mut processes, name);
                    let stop = process.stops.last_mut().filter(|stop| stop.until == u64::MAX);
                    stop.ok_or_else(|| format!("{name} was resumed and had not been stopped"))?.until = line.at;
                }
                // What it does from now on it may do because it has left, or leaves the office to somebody.
                What::Yielding { process } => _ = of(&mut processes, process).leaving.get_or_insert(line.at),
                What::Waiters { .. } => {}
                other => return Err(format!("the parent says {other:?}")),
            }
        }
        let snapshot = |line: &Line| match &line.what {
            What::Waiters { began, epoch, name, waiters } => Some(Snapshot {
                began: *began,
                ended: line.at,
                epoch: *epoch,
                name: name.clone(),
                waiters: waiters.clone(),
            }),
            _ => None,
        };
        let snapshots = journals.values().flatten().filter_map(snapshot).collect();
        let start = journals.values().flatten().map(|line| line.at).min().unwrap_or_default();
        Ok(Self { processes: processes.into_values().collect(), snapshots, start })
    }
}

/// The process of this name; one that was killed early may have no journal.
fn of<'p>(processes: &'p mut BTreeMap<String, Process>, name: &str) -> &'p mut Process {
    processes.entry(name.to_owned()).or_insert_with(|| Process { name: name.to_owned(), ..Process::default() })
}

impl Process {
    /// Whether it was there until all was over.
    pub fn lived(&self) -> bool {
        self.killed.is_none()
    }

    /// Whether it may have stood still at some moment between the two times.
    pub fn stood_still(&self, from: u64, until: u64) -> bool {
        self.first_stop(from).is_some_and(|stop| stop.from <= until)
    }

    /// The first stop that was not over by this time.
    pub fn first_stop(&self, after: u64) -> Option<&Stop> {
        self.stops.iter().find(|stop| stop.until >= after)
    }

    fn take(&mut self, line: &Line) -> Result<(), String> {
        let at = line.at;
        self.last = self.last.max(at);
        match &line.what {
            What::Joining => self.joining = Some(at),
            What::Joined { id } => {
                self.joined.get_or_insert((at, id.clone()));
                self.ids.push(id.clone());
            }
            What::Reign { epoch, supervisor } => self.reigns.push((at, *epoch, supervisor.clone())),
            What::Leaving => {
                self.leaving.get_or_insert(at);
                self.left = Some(at);
            }
            What::Asked { ask, name, mode, patience } => {
                let new = Ask {
                    name: name.clone(),
                    mode: *mode,
                    patience: *patience,
                    asked: at,
                    outcome: Outcome::Open,
                    releasing: None,
                    lost: None,
                };
                if self.asks.insert(*ask, new).is_some() {
                    return Err("it has asked for that before".to_owned());
                }
            }
            What::Granted { ask, token, abandoned } => {
                self.settle(*ask, Outcome::Granted { at, token: *token, abandoned: *abandoned })?;
            }
            What::GaveUp { ask } => self.settle(*ask, Outcome::GaveUp { at })?,
            What::Failed { ask, reason } => self.settle(*ask, Outcome::Failed { at, reason: reason.clone() })?,
            What::Releasing { ask } => {
                let held = self.held(*ask)?;
                if held.releasing.replace(at).is_some() {
                    return Err("it has released that before".to_owned());
                }
            }
            What::Lost { ask } => self.held(*ask)?.lost = Some(at),
            What::Putting { put, key, expected, value } => {
                let (key, value) = (key.clone(), value.clone());
                let new = Put { key, expected: *expected, value, began: at, outcome: Written::Open };
                if self.puts.insert(*put, new).is_some() {
                    return Err("it has put that before".to_owned());
                }
            }
            What::Stored { put, version } => self.written(*put, Written::Stored { at, version: *version })?,
            What::Conflict { put, version } => self.written(*put, Written::Conflict { at, version: *version })?,
            What::Unsure { put } => self.written(*put, Written::Unsure { at })?,
            What::Requesting { request, patience } => {
                let new = Request { patience: *patience, began: at, outcome: Reply::Open };
                if self.requests.insert(*request, new).is_some() {
                    return Err("it has asked that before".to_owned());
                }
            }
            What::Answered { request, run, asked } => {
                self.replied(*request, Reply::Answered { at, run: run.clone(), asked: asked.clone() })?;
            }
            What::Unanswered { request, why } => self.replied(*request, Reply::None { at, why: *why })?,
            What::Ran { run, asked } => {
                if self.runs.insert(*run, Run { at, asked: asked.clone() }).is_some() {
                    return Err("it has run that before".to_owned());
                }
            }
            What::Sending { message, to, patience } => {
                let new = Message { to: to.clone(), patience: *patience, began: at, outcome: Sent::Open };
                if self.messages.insert(*message, new).is_some() {
                    return Err("it has sent that before".to_owned());
                }
            }
            What::Sent { message, count } => self.sent(*message, Sent::Done { at, count: *count })?,
            What::Unsent { message, why } => self.sent(*message, Sent::Not { at, why: *why })?,
            What::Received { from, message } => {
                self.receipts.push(Receipt { at, from: from.clone(), message: message.clone() });
            }
            What::Missed { .. } => self.missed.push(at),
            What::Read { began, key, found } => {
                self.reads.push(Read { key: key.clone(), began: *began, ended: at, found: found.clone() });
            }
            What::Final { key, found } => _ = self.finals.insert(key.clone(), found.clone()),
            What::End => self.ended = Some(at),
            What::Waiters { .. } => {}
            _ => return Err("that is for the parent to say".to_owned()),
        }
        Ok(())
    }

    fn settle(&mut self, ask: u64, outcome: Outcome) -> Result<(), String> {
        let asked = self.asks.get_mut(&ask).ok_or("it has not asked for that")?;
        if asked.outcome != Outcome::Open {
            return Err("it had its answer before".to_owned());
        }
        asked.outcome = outcome;
        Ok(())
    }

    fn held(&mut self, ask: u64) -> Result<&mut Ask, String> {
        let held = self.asks.get_mut(&ask).filter(|ask| matches!(ask.outcome, Outcome::Granted { .. }));
        held.ok_or_else(|| "it does not hold that".to_owned())
    }

    fn written(&mut self, put: u64, outcome: Written) -> Result<(), String> {
        let put = self.puts.get_mut(&put).ok_or("it has not put that")?;
        if put.outcome != Written::Open {
            return Err("it had its answer before".to_owned());
        }
        put.outcome = outcome;
        Ok(())
    }

    fn replied(&mut self, request: u64, outcome: Reply) -> Result<(), String> {
        let request = self.requests.get_mut(&request).ok_or("it has not asked that")?;
        if request.outcome != Reply::Open {
            return Err("it had its answer before".to_owned());
        }
        request.outcome = outcome;
        Ok(())
    }

    fn sent(&mut self, message: u64, outcome: Sent) -> Result<(), String> {
        let message = self.messages.get_mut(&message).ok_or("it has not sent that")?;
        if message.outcome != Sent::Open {
            return Err("it had its answer before".to_owned());
        }
        message.outcome = outcome;
        Ok(())
    }
}
