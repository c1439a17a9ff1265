//! What processes that are watched closely write down, each into a file of its own.
//!
//! One line per event, in one write, with the machine's monotonic clock, which all processes share. A line that says
//! what is *about to be done* is written before, one that says what *was done* after it. So a process that is killed has
//! said of itself only what is true, and a hold lasted at least from its `granted` to its `releasing`.

mod words;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

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
    /// It is about to leave.
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
    /// It is about to ask the supervisor's handler; then what came of it: the run of the handler that answered, and which
    /// request that run says that it has answered.
    Requesting {
        request: u64,
        patience: Patience,
    },
    Answered {
        request: u64,
        run: Label,
        asked: Label,
    },
    Unanswered {
        request: u64,
        why: Why,
    },
    /// Its handler runs, has read which request it was asked, and is about to answer it.
    Ran {
        run: u64,
        asked: Label,
    },
    /// It is about to send a message to an instance, or to all others; then what came of it, and how many it has reached.
    Sending {
        message: u64,
        to: Option<String>,
        patience: Patience,
    },
    Sent {
        message: u64,
        count: u64,
    },
    Unsent {
        message: u64,
        why: Why,
    },
    /// It was handed a message, which an instance is said to have sent; or it was told that it has missed so many events.
    Received {
        from: String,
        message: Label,
    },
    Missed {
        count: u64,
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
    /// From now on it may leave, or leave the office to somebody.
    Yielding {
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

/// Something that a process has numbered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label {
    pub process: String,
    pub number: u64,
}

/// Why a request has no answer, or a message is not known to have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It would have had to wait, and was not said.
    Blocked,
    /// It was not allowed, or there was nobody whom it could reach. Nothing came of it.
    Refused,
    /// The handler ran, and had no answer.
    Failed,
    /// Nobody knows what became of it: a connection has ended, or the time was over.
    Interrupted,
    TimedOut,
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
