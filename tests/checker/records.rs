//! The journals of one fleet: where they are, what the parent writes, and how they are judged in the end.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::check::{Forfeits, Rules, Weight, check, sentences, weigh};
use super::history::{History, PARENT};
use super::journal::{Journal, What};
use crate::fleet::child::storm::PERMITS;
use crate::fleet::{Fleet, Joining};

pub struct Records {
    directory: PathBuf,
    journal: Journal,
}

impl Records {
    /// New ones, in a directory that is removed when they have been judged and are right.
    pub fn new(fleet: &Fleet, what: &str) -> Self {
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(&fleet.group);
        std::fs::create_dir_all(&directory).expect("a new directory");
        println!("{what}, journals in {}", directory.display());
        let journal = Journal::open(&directory.join(format!("{PARENT}.log"))).expect("a new file");
        Self { directory, journal }
    }

    pub fn note(&self, what: What) {
        self.journal.note(what);
    }

    /// Starts a process under this name that joins and storms.
    pub fn begin(&self, fleet: &Fleet, name: &str, options: &str) -> Joining {
        let directory = self.directory.display();
        fleet.begin("storm", &fleet.process(), &format!("in={directory} name={name} {options}"))
    }

    /// How many bytes there are.
    pub fn written(&self) -> u64 {
        let files = std::fs::read_dir(&self.directory).expect("the directory of the storm");
        files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len())).sum()
    }

    /// Lets those that are still there, by name, come to their ends, and judges all that was done.
    pub fn judge(&self, rest: &[(&str, &Joining)], forfeits: Forfeits) -> Weight {
        rest.iter().for_each(|(_, joining)| _ = joining.member().say("calm"));
        for (name, joining) in rest {
            joining.answer().unwrap_or_else(|error| panic!("{name} failed: {error}"));
        }
        for (name, joining) in rest {
            joining.member().ask("aftermath").unwrap_or_else(|error| panic!("{name} failed: {error}"));
        }
        let history = History::read(&self.directory).unwrap();
        let rules = Rules { limits: BTreeMap::from([("s".to_owned(), PERMITS)]), forfeits };
        let weight = weigh(&history, &rules);
        println!("{weight:?}");
        let wrong = check(&history, &rules);
        assert!(wrong.is_empty(), "{}\nthe journals are in {}", sentences(&wrong), self.directory.display());
        std::fs::remove_dir_all(&self.directory).expect("own files can be removed");
        weight
    }
}
