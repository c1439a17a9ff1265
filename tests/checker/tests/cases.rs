//! For every property the smallest histories that have it, and the smallest that do not.

mod locks;
mod messages;
mod requests;
mod writes;

use std::collections::{BTreeMap, BTreeSet};

use super::super::check::{Forfeits, Property, Rules, check, sentences};
use super::super::history::History;
use super::super::journal;

/// What the journals of two or three processes say, and what is wrong with that.
struct Case {
    claim: &'static str,
    /// Name and lines of each journal. A process that was not killed also says that it came to its end.
    journals: &'static [(&'static str, &'static str)],
    wrong: Option<Property>,
}

const fn right(claim: &'static str, journals: &'static [(&'static str, &'static str)]) -> Case {
    Case { claim, journals, wrong: None }
}

const fn wrong(property: Property, claim: &'static str, journals: &'static [(&'static str, &'static str)]) -> Case {
    Case { claim, journals, wrong: Some(property) }
}

fn judge(cases: &[Case], forfeits: Forfeits) {
    let rules = Rules { limits: BTreeMap::from([("s".to_owned(), 3)]), forfeits };
    for case in cases {
        let parent = case.journals.iter().find(|(name, _)| *name == "parent").map_or("", |(_, lines)| lines);
        let read = |(name, lines): &(&str, &str)| {
            let mut text: String = lines.split(';').map(|line| format!("{}\n", line.trim())).collect();
            let dead = parent.contains(&format!("killing {name}"));
            if *name != "parent" && !dead && !lines.contains("vanishes") {
                text.push_str("900 end\n");
            }
            ((*name).to_owned(), journal::parse(&text.replace("vanishes\n", "")).unwrap())
        };
        let history = History::assemble(&case.journals.iter().map(read).collect()).unwrap();
        let found = check(&history, &rules);
        let properties: BTreeSet<_> = found.iter().map(|violation| violation.property).collect();
        assert_eq!(properties, case.wrong.into_iter().collect(), "{}: {}", case.claim, sentences(&found));
    }
}
