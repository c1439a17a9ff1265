//! The checker is tested before it may test anything: it accepts what is right and rejects what is wrong, each for the
//! property that is violated.

mod cases;
mod faults;
mod mutations;

use super::check::{check, sentences};
use super::generate;
use super::history::{History, PARENT};
use super::journal::{self, Journal, Line, What};

#[test]
fn made_up_histories_of_a_correct_server_are_accepted() {
    for seed in 0..12 {
        let history = History::assemble(&generate::journals(seed, None)).unwrap();
        let wrong = check(&history, &generate::rules());
        assert!(wrong.is_empty(), "seed {seed}: {}", sentences(&wrong));
    }
}

#[test]
fn what_is_written_in_a_journal_is_read_from_it() {
    let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("journals-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let all = generate::journals(1, None);
    for (name, lines) in &all {
        let journal = Journal::open(&directory.join(format!("{name}.log"))).unwrap();
        lines.iter().for_each(|line| journal.note_at(line.at, line.what.clone()));
        let text = std::fs::read_to_string(directory.join(format!("{name}.log"))).unwrap();
        assert_eq!(journal::parse(&text).as_ref(), Ok(lines));
    }
    let read = History::read(&directory).unwrap();
    assert_eq!(format!("{read:?}"), format!("{:?}", History::assemble(&all).unwrap()));
    assert!(all.contains_key(PARENT) && all.len() > 20);
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn a_torn_last_line_is_forgiven_and_any_other_is_not() {
    let first = Line { at: 10, what: What::Joining };
    for torn in ["", "2", "20", "20 ", "20 joined", "20 joined 000", "20 granted 1 12"] {
        assert_eq!(journal::parse(&format!("10 joining\n{torn}")), Ok(vec![first.clone()]), "{torn:?}");
    }
    for torn in
        ["20", "20 joined", "20 granted 1 12", "20 granted 1 12 clean 3", "x joining", "20 asked 1 m often endless"]
    {
        assert!(journal::parse(&format!("10 joining\n{torn}\n30 end\n")).is_err(), "{torn:?}");
    }
}

#[test]
fn what_cannot_have_been_is_no_history() {
    for text in [
        "10 granted 1 1 clean\n",
        "10 releasing 1\n",
        "10 asked 1 m shared none\n20 releasing 1\n",
        "10 asked 1 m shared none\n20 granted 1 1 clean\n30 granted 1 2 clean\n",
        "10 asked 1 m shared none\n20 granted 1 1 clean\n30 releasing 1\n40 releasing 1\n",
        "10 asked 1 m shared none\n11 asked 1 m shared none\n",
        "10 stored 1 1.1\n",
        "10 putting 1 k anything x\n20 stored 1 1.1\n30 unsure 1\n",
        "10 killing b\n",
    ] {
        let journals = std::collections::BTreeMap::from([("a".to_owned(), journal::parse(text).unwrap())]);
        assert!(History::assemble(&journals).is_err(), "{text:?}");
    }
}
