//! The journal that the processes of the demonstration write under one lock, and what it proves.
//!
//! Every owner of the lock writes when it begins and when it ends. The order of the lines in the file is the order of
//! the writes, so that two owners at a time cannot stay hidden.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{env, process};

use bellwether::Epoch;

use super::fleet::Number;
use crate::clock;
use crate::failure::Failure;

/// A journal in a directory of its own, which is removed in the end.
#[derive(Debug)]
pub(crate) struct Journal {
    directory: PathBuf,
    path: PathBuf,
}

impl Journal {
    /// An empty one.
    pub(crate) fn create() -> Result<Self, Failure> {
        let directory = env::temp_dir().join(format!("bellwether-demo-{}-{:x}", process::id(), clock::now()));
        let failed = |error| Failure::Process { attempted: format!("create {}", directory.display()), error };
        private().create(&directory).map_err(failed)?;
        let journal = Self { path: directory.join("journal"), directory: directory.clone() };
        OpenOptions::new().write(true).create_new(true).open(&journal.path).map_err(failed)?;
        Ok(journal)
    }

    /// Where the processes find it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What has been written so far, line by line.
    pub(crate) fn lines(&self) -> Result<Vec<Line>, Failure> {
        let failed = |error| Failure::Process { attempted: format!("read {}", self.path.display()), error };
        let text = fs::read_to_string(&self.path).map_err(failed)?;
        // What has no end yet is being written.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| line.parse().map_err(|()| Failure::Journal(Fault::Strange(line.to_owned())))).collect()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.directory) {
            log::warn!("cannot remove {}: {error}", self.directory.display());
        }
    }
}

/// A directory that only this user can look into.
fn private() -> DirBuilder {
    use std::os::unix::fs::DirBuilderExt;
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

/// What an owner writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It has the lock.
    Begin,
    /// It is about to release it.
    End,
}

/// One line of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) step: Step,
    /// The token of the grant.
    pub(crate) token: u64,
    /// Who wrote it.
    pub(crate) number: Number,
    /// The reign in which it had the lock.
    pub(crate) epoch: Epoch,
    /// When, on the clock that all processes share.
    pub(crate) at: u64,
    /// Whether it was told that the owner before has released the lock.
    pub(crate) clean: bool,
}

impl Line {
    /// All lines have this length, the line feed included. It divides the size of a page, so that a writer that is killed
    /// leaves a line or none: a write is only ever cut between two pages.
    const LENGTH: usize = 128;

    /// Appends it in one write.
    pub(crate) fn append(&self, file: &mut File) -> io::Result<()> {
        file.write_all(format!("{:<width$}\n", self.to_string(), width = Self::LENGTH - 1).as_bytes())
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, token, number, epoch, at, clean } = self;
        let step = if *step == Step::Begin { "begin" } else { "end" };
        let before = if *clean { "clean" } else { "abandoned" };
        write!(f, "{step} {token} {number} {epoch} {at} {before}")
    }
}

impl FromStr for Line {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        let words: Vec<_> = line.split_whitespace().collect();
        let [step, token, number, epoch, at, before] = words[..] else { return Err(()) };
        Ok(Self {
            step: match step {
                "begin" => Step::Begin,
                "end" => Step::End,
                _ => return Err(()),
            },
            token: token.parse().map_err(|_| ())?,
            number: number.parse().map_err(|_| ())?,
            epoch: Epoch::new(epoch.parse().map_err(|_| ())?),
            at: at.parse().map_err(|_| ())?,
            clean: match before {
                "clean" => true,
                "abandoned" => false,
                _ => return Err(()),
            },
        })
    }
}

/// What a journal without a fault comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// How often the lock was granted.
    pub(crate) grants: usize,
    /// To how many processes.
    pub(crate) processes: usize,
    /// In how many reigns.
    pub(crate) reigns: usize,
    /// How many owners were killed before they had written their end.
    pub(crate) unfinished: usize,
}

/// What a journal must not show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A line that is none.
    Strange(String),
    /// The token is not higher than the one before.
    Token { line: Line, before: u64 },
    /// The reign is one before the last.
    Reign { line: Line, before: Epoch },
    /// Somebody wrote while another one had the lock, or without having begun.
    Overlap { line: Line, owner: Option<Number> },
    /// The owner before has not written its end, and lives.
    Unfinished { line: Line, owner: Number },
    /// The owner before was killed, and the next one was told that it had released the lock.
    Unwarned { line: Line, owner: Number },
}

/// Checks a journal of which these writers were killed meanwhile. The last owner may still be at it.
pub(crate) fn check(lines: &[Line], killed: &BTreeSet<Number>) -> Result<Tally, Fault> {
    let mut tally = Tally::default();
    let mut writers = BTreeSet::new();
    let mut reigns = BTreeSet::new();
    let mut last: Option<&Line> = None;
    let mut owner: Option<&Line> = None;
    for line in lines {
        if line.step == Step::End {
            // Whoever comes too late, or never began, finds the lock with another one or with nobody.
            match owner.take() {
                Some(begun) if (begun.number, begun.token) == (line.number, line.token) => {}
                other => return Err(Fault::Overlap { line: *line, owner: other.map(|begun| begun.number) }),
            }
            continue;
        }
        if let Some(begun) = owner.replace(line) {
            let owner = begun.number;
            if !killed.contains(&owner) {
                return Err(Fault::Unfinished { line: *line, owner });
            }
            if line.clean {
                return Err(Fault::Unwarned { line: *line, owner });
            }
            tally.unfinished += 1;
        }
        if let Some(last) = last.replace(line) {
            if line.token <= last.token {
                return Err(Fault::Token { line: *line, before: last.token });
            }
            if line.epoch < last.epoch {
                return Err(Fault::Reign { line: *line, before: last.epoch });
            }
        }
        tally.grants += 1;
        writers.insert(line.number);
        reigns.insert(line.epoch);
    }
    Ok(Tally { processes: writers.len(), reigns: reigns.len(), ..tally })
}

/// The first grant in this reign or a later one.
pub(crate) fn first_grant(lines: &[Line], epoch: Epoch) -> Option<&Line> {
    lines.iter().find(|line| line.step == Step::Begin && line.epoch >= epoch)
}

/// Who of these has not had the lock since this reign began.
pub(crate) fn without_grant(lines: &[Line], epoch: Epoch, members: impl Iterator<Item = Number>) -> Vec<Number> {
    let begins = lines.iter().filter(|line| line.step == Step::Begin && line.epoch >= epoch);
    let had: BTreeSet<Number> = begins.map(|line| line.number).collect();
    members.filter(|number| !had.contains(number)).collect()
}

/// Of the grants in these lines, after the first to another process: how many went to others, and how many to this one.
pub(crate) fn beside(lines: &[Line], number: Number) -> (usize, usize) {
    let begins = lines.iter().filter(|line| line.step == Step::Begin).skip_while(|line| line.number == number);
    let own = begins.clone().filter(|line| line.number == number).count();
    (begins.count() - own, own)
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the journal is wrong: ")?;
        match self {
            Self::Strange(line) => write!(f, "{line:?} is no line of it"),
            Self::Token { line, before } => write!(f, "the token does not rise after {before}: {line}"),
            Self::Reign { line, before } => write!(f, "a reign before {before} goes on: {line}"),
            Self::Overlap { line, owner: Some(owner) } => {
                write!(f, "two at a time, since instance {owner} has the lock: {line}")
            }
            Self::Overlap { line, owner: None } => write!(f, "nobody has the lock: {line}"),
            Self::Unfinished { line, owner } => {
                write!(f, "two at a time, since instance {owner} lives and has not ended: {line}")
            }
            Self::Unwarned { line, owner } => {
                write!(f, "instance {owner} was killed with the lock, and nobody said so: {line}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(token: u64, number: Number, epoch: u64) -> Line {
        Line { step: Step::Begin, token, number, epoch: Epoch::new(epoch), at: 0, clean: true }
    }

    fn end(token: u64, number: Number, epoch: u64) -> Line {
        Line { step: Step::End, ..begin(token, number, epoch) }
    }

    fn warned(line: Line) -> Line {
        Line { clean: false, ..line }
    }

    /// Checks a journal of which instance 1 was killed.
    fn checked(lines: &[Line]) -> Result<Tally, Fault> {
        check(lines, &BTreeSet::from([1]))
    }

    #[test]
    fn a_journal_of_one_at_a_time_is_counted() {
        assert_eq!(checked(&[]), Ok(Tally::default()));
        let lines = [
            begin(3, 1, 1),
            end(3, 1, 1),
            begin(4, 2, 1),
            end(4, 2, 1),
            begin(5, 1, 1),
            warned(begin(90, 3, 2)),
            end(90, 3, 2),
            begin(91, 2, 2),
        ];
        let tally = Tally { grants: 5, processes: 3, reigns: 2, unfinished: 1 };
        assert_eq!(checked(&lines), Ok(tally), "the last one may still be at it");
    }

    #[test]
    fn every_wrong_journal_is_found() {
        let overlap = |line, owner| Fault::Overlap { line, owner };
        for (lines, fault) in [
            // A second one begins while the first, which lives, is at it.
            (
                vec![begin(1, 2, 1), begin(2, 3, 1), end(1, 2, 1), end(2, 3, 1)],
                Fault::Unfinished { line: begin(2, 3, 1), owner: 2 },
            ),
            // The same with one that was killed later: its end betrays it.
            (vec![begin(1, 1, 1), warned(begin(2, 3, 1)), end(1, 1, 1)], overlap(end(1, 1, 1), Some(3))),
            (vec![begin(1, 1, 1), warned(begin(2, 3, 1)), end(2, 3, 1), end(1, 1, 1)], overlap(end(1, 1, 1), None)),
            (vec![begin(1, 2, 1), end(1, 3, 1)], overlap(end(1, 3, 1), Some(2))),
            (vec![begin(1, 2, 1), end(2, 2, 1)], overlap(end(2, 2, 1), Some(2))),
            (vec![end(1, 2, 1)], overlap(end(1, 2, 1), None)),
            (vec![begin(1, 2, 1), end(1, 2, 1), end(1, 2, 1)], overlap(end(1, 2, 1), None)),
            // Tokens that stay or fall, reigns that come back.
            (vec![begin(7, 2, 1), end(7, 2, 1), begin(7, 3, 1)], Fault::Token { line: begin(7, 3, 1), before: 7 }),
            (vec![begin(7, 2, 1), end(7, 2, 1), begin(6, 3, 2)], Fault::Token { line: begin(6, 3, 2), before: 7 }),
            (
                vec![begin(7, 2, 2), end(7, 2, 2), begin(8, 3, 1)],
                Fault::Reign { line: begin(8, 3, 1), before: Epoch::new(2) },
            ),
            // Half a work that nobody was told of.
            (vec![begin(1, 1, 1), begin(2, 3, 2)], Fault::Unwarned { line: begin(2, 3, 2), owner: 1 }),
        ] {
            assert_eq!(checked(&lines), Err(fault), "{lines:?}");
        }
    }

    #[test]
    fn the_first_grant_of_a_reign_is_the_first_that_begins_in_it() {
        let lines = [begin(1, 2, 1), end(1, 2, 1), begin(2, 3, 2), end(2, 3, 2), begin(3, 2, 2)];
        assert_eq!(first_grant(&lines, Epoch::new(2)), Some(&lines[2]));
        assert_eq!(first_grant(&lines, Epoch::new(3)), None);
        assert_eq!(without_grant(&lines, Epoch::new(2), [2, 3, 4].into_iter()), [4]);
        assert_eq!(without_grant(&lines[..4], Epoch::new(2), [2, 3, 4].into_iter()), [2, 4]);
    }

    #[test]
    fn what_one_gets_beside_the_others_counts_from_the_first_of_them() {
        // The first may have been on its way before.
        let lines = [end(1, 2, 1), begin(2, 2, 1), end(2, 2, 1), begin(3, 3, 1), end(3, 3, 1), begin(4, 4, 1)];
        assert_eq!(beside(&lines, 2), (2, 0));
        assert_eq!(beside(&lines[..3], 2), (0, 0));
        assert_eq!(beside(&[&lines[..], &[begin(5, 2, 1), begin(6, 3, 1)]].concat(), 2), (3, 1));
    }

    #[test]
    fn lines_read_back_from_the_file_and_have_one_length() {
        let journal = Journal::create().unwrap();
        assert_eq!(journal.lines().unwrap(), []);
        let huge = Line { at: u64::MAX, number: Number::MAX, ..warned(end(u64::MAX, 1, u64::MAX)) };
        let lines = [begin(1, 2, 3), huge];
        let mut file = OpenOptions::new().append(true).open(journal.path()).unwrap();
        for line in &lines {
            line.append(&mut file).unwrap();
        }
        assert_eq!(fs::metadata(journal.path()).unwrap().len(), 2 * Line::LENGTH as u64);
        assert_eq!(journal.lines().unwrap(), lines);
        file.write_all(b"begin 7").unwrap();
        assert_eq!(journal.lines().unwrap(), lines, "what is being written does not count yet");
        file.write_all(b"\n").unwrap();
        assert!(matches!(journal.lines(), Err(Failure::Journal(Fault::Strange(line))) if line == "begin 7"));
        let directory = journal.directory.clone();
        drop(journal);
        assert!(!directory.exists());
    }

    #[test]
    fn other_lines_are_no_lines() {
        for line in ["", "begin", "begin 1 2 3 4", "begin 1 2 3 4 dirty", "pause 1 2 3 4 clean", "begin x 2 3 4 clean"]
        {
            assert_eq!(line.parse::<Line>(), Err(()), "{line:?}");
        }
    }
}
