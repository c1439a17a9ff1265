//! What every command prints with `--json`, as readers see it that have numbers of 53 bits.

use std::collections::BTreeSet;

use bellwether::Group;
use serde_json::Value;

use crate::running::{Talker, bellwether, fresh_group};

/// The words of every command that takes `--json`, without the group and what follows it.
const COMMANDS: [(&str, &[&str]); 10] = [
    ("send", &["all", "hello"]),
    ("pause", &["all"]),
    ("resume", &["all"]),
    ("status", &[]),
    ("state put", &["colour", "red"]),
    ("state get", &["colour"]),
    ("state list", &[]),
    ("state delete", &["colour"]),
    ("state watch", &[]),
    ("stop", &["all"]),
];

/// Those that print no JSON.
const OTHERS: [&str; 4] = ["demo", "request", "join", "help"];

/// The words of the commands, as the command itself lists them.
fn listed(prefix: &[&str]) -> BTreeSet<String> {
    let help = bellwether(&[prefix, &["--help"]].concat()).stdout;
    let (_, list) = help.split_once("Commands:\n").expect("a list of commands");
    // A name stands in the third column, a description further to the right.
    let names = list.lines().take_while(|line| !line.is_empty() && !line.starts_with("Options"));
    let names = names.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// That no number in it is one of which some reader changes the digits; how many strings are numbers that would be.
fn wide_strings(value: &Value) -> usize {
    match value {
        Value::Number(number) => {
            assert!(number.as_u64().is_some_and(|number| number <= 1 << 53), "{number}");
            0
        }
        Value::String(text) => usize::from(text.parse().is_ok_and(|number: u64| number > 1 << 53)),
        Value::Array(values) => values.iter().map(wide_strings).sum(),
        Value::Object(fields) => fields.values().map(wide_strings).sum(),
        Value::Null | Value::Bool(_) => 0,
    }
}

#[test]
fn no_command_prints_a_number_that_a_reader_could_change() {
    let known: BTreeSet<_> = COMMANDS.iter().filter_map(|(words, _)| words.split(' ').next()).chain(OTHERS).collect();
    assert_eq!(listed(&[]).iter().map(String::as_str).collect::<BTreeSet<_>>(), known);
    let tasks = COMMANDS.iter().filter_map(|(words, _)| words.strip_prefix("state ")).chain(["help"]);
    assert_eq!(listed(&["state"]), tasks.map(str::to_owned).collect());

    let group = fresh_group();
    let member = Group::new(group.as_str()).expect("a valid name").join().expect("a fresh group");
    let _held = member.mutex("catalog").lock().expect("nobody has it");
    let _permits = member.semaphore("seats", 25).acquire(3).expect("none is taken");
    for (words, rest) in COMMANDS {
        let words: Vec<_> = words.split(' ').collect();
        let arguments = [&words, &[group.as_str()][..], rest, &["--json"]].concat();
        let line = if words.contains(&"watch") {
            member.state().put("colour", "blue").expect("an open reign");
            Talker::start(&arguments).wait_for(&["{"])
        } else {
            let output = bellwether(&arguments);
            assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{arguments:?}: {output:?}");
            output.stdout
        };
        let value: Value = line.parse().unwrap_or_else(|error| panic!("{error}: {line}"));
        let wide = wide_strings(&value);
        // An epoch, and a token for each lock.
        assert_eq!(wide, if words == ["status"] { 3 } else { 0 }, "{value}");
    }
}
