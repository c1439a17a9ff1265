//! What processes that are watched closely write down, each into a file of its own.
//!
//! One line per event, in one write, with the machine's monotonic clock, which all processes share. A line that says
//! what is *about to be done* is written before, one that says what *was done* after it. So a process that is killed has
//! said of itself only what is true, and a hold lasted at least from its `granted` to its `releasing`.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::str::FromStr;

use rustix::time::{ClockId, clock_gettime};

/// The machine's monotonic clock, in nanoseconds.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// A journal that is being written.
pub struct Journal(File);

impl Journal {
    pub fn open(path: &Path) -> io::Result<Self> {
        OpenOptions::new().create(true).append(true).open(path).map(Self)
    }

    /// Writes what happens now, or happened just now.
    pub fn note(&self, what: What) {
        self.note_at(now(), what);
    }

    /// Writes what happened at a time that was read before.
    pub fn note_at(&self, at: u64, what: What) {
        let text = format!("{}\n", Line { at, what });
        // One write: a kill loses the line or leaves it, and two threads do not mix theirs.
        let written = (&self.0).write(text.as_bytes()).expect("a journal can be written");
        assert_eq!(written, text.len(), "a line of a journal was cut short");
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub at: u64,
    pub what: What,
}

/// What can be said in a journal. Numbers of requests are per process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The process is about to join; then under which id it has.
    Joining,
    Joined {
        id: String,
    },
    /// It was told of a reign.
    Reign {
        epoch: u64,
        supervisor: String,
    },
    /// It is about to leave or to hand the office over.
    Leaving,
    /// It is about to ask for a grant; then what came of it.
    Asked {
        ask: u64,
        name: String,
        mode: Mode,
        patience: Patience,
    },
    Granted {
        ask: u64,
        token: u64,
        abandoned: Abandoned,
    },
    GaveUp {
        ask: u64,
    },
    Failed {
        ask: u64,
        reason: String,
    },
    /// It is about to release what it was granted; or it was told that it has lost it.
    Releasing {
        ask: u64,
    },
    Lost {
        ask: u64,
    },
    /// It is about to write a value; then what came of it.
    Putting {
        put: u64,
        key: String,
        expected: Expected,
        value: Option<String>,
    },
    Stored {
        put: u64,
        version: Version,
    },
    Conflict {
        put: u64,
        version: Version,
    },
    Unsure {
        put: u64,
    },
    /// It has read its copy of a value, having begun at a time; nothing: it has none.
    Read {
        began: u64,
        key: String,
        found: Found,
    },
    /// What its copy had when all was over.
    Final {
        key: String,
        found: Found,
    },
    /// It has done all it was told to, and let go of everything.
    End,

    /// By the parent: what it is about to do with a process, and what it has done.
    Killing {
        process: String,
    },
    Dead {
        process: String,
    },
    Stopping {
        process: String,
    },
    Resumed {
        process: String,
    },
    /// Who waited for a name, asked for at a time, in a reign.
    Waiters {
        began: u64,
        epoch: u64,
        name: String,
        waiters: Vec<(String, Mode)>,
    },
}

/// How something is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    Exclusive,
    Shared,
    Permits(u32),
}

/// How long somebody is prepared to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    Endless,
    None,
    /// So many nanoseconds.
    For(u64),
}

/// What a grant said of the owner before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abandoned {
    Clean,
    Died,
    Unknown,
}

/// The number of a write: the reign, and the count within it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u64, pub u64);

/// Under which condition a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    Anything,
    Nothing,
    This(Version),
}

/// What a copy has for a key.
pub type Found = Option<(Version, String)>;

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl FromStr for Version {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (epoch, n) = text.split_once('.').ok_or(())?;
        Ok(Self(number(epoch)?, number(n)?))
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exclusive => f.write_str("exclusive"),
            Self::Shared => f.write_str("shared"),
            Self::Permits(count) => write!(f, "permits:{count}"),
        }
    }
}

impl FromStr for Mode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "exclusive" => Ok(Self::Exclusive),
            "shared" => Ok(Self::Shared),
            other => other.strip_prefix("permits:").ok_or(())?.parse().map(Self::Permits).map_err(drop),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.at)?;
        match &self.what {
            What::Joining => f.write_str("joining"),
            What::Joined { id } => write!(f, "joined {id}"),
            What::Reign { epoch, supervisor } => write!(f, "reign {epoch} {supervisor}"),
            What::Leaving => f.write_str("leaving"),
            What::Asked { ask, name, mode, patience } => {
                write!(f, "asked {ask} {name} {mode} ")?;
                match patience {
                    Patience::Endless => f.write_str("endless"),
                    Patience::None => f.write_str("none"),
                    Patience::For(time) => write!(f, "{time}"),
                }
            }
            What::Granted { ask, token, abandoned } => {
                let abandoned = match abandoned {
                    Abandoned::Clean => "clean",
                    Abandoned::Died => "died",
                    Abandoned::Unknown => "unknown",
                };
                write!(f, "granted {ask} {token} {abandoned}")
            }
            What::GaveUp { ask } => write!(f, "gave-up {ask}"),
            // Reasons are for people, and the last field of their line.
            What::Failed { ask, reason } => write!(f, "failed {ask} {}", reason.replace('\n', " ")),
            What::Releasing { ask } => write!(f, "releasing {ask}"),
            What::Lost { ask } => write!(f, "lost {ask}"),
            What::Putting { put, key, expected, value } => {
                write!(f, "putting {put} {key} ")?;
                match expected {
                    Expected::Anything => f.write_str("anything")?,
                    Expected::Nothing => f.write_str("nothing")?,
                    Expected::This(version) => write!(f, "{version}")?,
                }
                write!(f, " {}", value.as_deref().unwrap_or("-"))
            }
            What::Stored { put, version } => write!(f, "stored {put} {version}"),
            What::Conflict { put, version } => write!(f, "conflict {put} {version}"),
            What::Unsure { put } => write!(f, "unsure {put}"),
            What::Read { began, key, found } => write!(f, "read {began} {key} {}", show(found)),
            What::Final { key, found } => write!(f, "final {key} {}", show(found)),
            What::End => f.write_str("end"),
            What::Killing { process } => write!(f, "killing {process}"),
            What::Dead { process } => write!(f, "dead {process}"),
            What::Stopping { process } => write!(f, "stopping {process}"),
            What::Resumed { process } => write!(f, "resumed {process}"),
            What::Waiters { began, epoch, name, waiters } => {
                write!(f, "waiters {began} {epoch} {name}")?;
                waiters.iter().try_for_each(|(id, mode)| write!(f, " {id}/{mode}"))
            }
        }
    }
}

fn show(found: &Found) -> String {
    found.as_ref().map_or("- -".to_owned(), |(version, value)| format!("{version} {value}"))
}

impl FromStr for Line {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.split(' ');
        let mut word = || words.next().filter(|word| !word.is_empty()).ok_or(());
        let at = number(word()?)?;
        let what = match word()? {
            "joining" => What::Joining,
            "joined" => What::Joined { id: word()?.to_owned() },
            "reign" => What::Reign { epoch: number(word()?)?, supervisor: word()?.to_owned() },
            "leaving" => What::Leaving,
            "asked" => What::Asked {
                ask: number(word()?)?,
                name: word()?.to_owned(),
                mode: word()?.parse()?,
                patience: match word()? {
                    "endless" => Patience::Endless,
                    "none" => Patience::None,
                    time => Patience::For(number(time)?),
                },
            },
            "granted" => What::Granted {
                ask: number(word()?)?,
                token: number(word()?)?,
                abandoned: match word()? {
                    "clean" => Abandoned::Clean,
                    "died" => Abandoned::Died,
                    "unknown" => Abandoned::Unknown,
                    _ => return Err(()),
                },
            },
            "gave-up" => What::GaveUp { ask: number(word()?)? },
            "failed" => {
                let ask = number(word()?)?;
                return Ok(Self { at, what: What::Failed { ask, reason: words.collect::<Vec<_>>().join(" ") } });
            }
            "releasing" => What::Releasing { ask: number(word()?)? },
            "lost" => What::Lost { ask: number(word()?)? },
            "putting" => What::Putting {
                put: number(word()?)?,
                key: word()?.to_owned(),
                expected: match word()? {
                    "anything" => Expected::Anything,
                    "nothing" => Expected::Nothing,
                    version => Expected::This(version.parse()?),
                },
                value: Some(word()?.to_owned()).filter(|value| value != "-"),
            },
            "stored" => What::Stored { put: number(word()?)?, version: word()?.parse()? },
            "conflict" => What::Conflict { put: number(word()?)?, version: word()?.parse()? },
            "unsure" => What::Unsure { put: number(word()?)? },
            "read" => What::Read { began: number(word()?)?, key: word()?.to_owned(), found: found(word()?, word()?)? },
            "final" => What::Final { key: word()?.to_owned(), found: found(word()?, word()?)? },
            "end" => What::End,
            "killing" => What::Killing { process: word()?.to_owned() },
            "dead" => What::Dead { process: word()?.to_owned() },
            "stopping" => What::Stopping { process: word()?.to_owned() },
            "resumed" => What::Resumed { process: word()?.to_owned() },
            "waiters" => {
                let (began, epoch, name) = (number(word()?)?, number(word()?)?, word()?.to_owned());
                let waiter = |word: &str| {
                    let (id, mode) = word.split_once('/').ok_or(())?;
                    Ok((id.to_owned(), mode.parse()?))
                };
                let waiters = words.map(waiter).collect::<Result<_, ()>>()?;
                return Ok(Self { at, what: What::Waiters { began, epoch, name, waiters } });
            }
            _ => return Err(()),
        };
        if words.next().is_some() { Err(()) } else { Ok(Self { at, what }) }
    }
}

fn number(text: &str) -> Result<u64, ()> {
    text.parse().map_err(drop)
}

fn found(version: &str, value: &str) -> Result<Found, ()> {
    if version == "-" && value == "-" { Ok(None) } else { Ok(Some((version.parse()?, value.to_owned()))) }
}

/// The lines of a journal.
///
/// # Errors
///
/// The first line that nobody can have written. Only the last one may be torn, and then it has no end.
pub fn parse(text: &str) -> Result<Vec<Line>, String> {
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let line = |line: &str| line.parse().map_err(|()| format!("a journal has the line {line:?}"));
    whole.split('\n').filter(|line| !line.is_empty()).map(line).collect()
}
