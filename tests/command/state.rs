//! `bellwether state`.

use serde_json::{Value, json};

use crate::running::{Member, Output, Talker, bellwether, bellwether_reading, fresh_group};
use crate::{assert_failed, assert_usage};

fn state(task: &str, arguments: &[&str]) -> Output {
    bellwether(&[&["state", task], arguments].concat())
}

/// What a command prints that cannot fail.
fn said(output: Output) -> String {
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{output:?}");
    output.stdout
}

fn parsed(line: &str) -> Value {
    line.parse().unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

/// Writes a value and returns its version.
fn put(group: &str, key: &str, value: &str) -> String {
    said(state("put", &[group, key, value])).trim_end().to_owned()
}

#[test]
fn what_is_put_is_what_is_got_byte_by_byte() {
    let group = fresh_group();
    let _member = Member::join(&[&group]);
    for value in ["10 MB/s", "", "-5", "--json", "two\nlines\n"] {
        let value_at_the_end = ["--", &group, "key", value];
        said(state("put", &value_at_the_end));
        assert_eq!(said(state("get", &[&group, "key"])), value);
    }
    assert_eq!(said(state("put", &[&group, "key", "-5", "--json"])).lines().count(), 1);
    assert_eq!(said(state("get", &[&group, "key"])), "-5");

    let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(100_000).collect();
    said(bellwether_reading(&bytes, &["state", "put", &group, "key", "-"]));
    let got = state("get", &[&group, "key"]);
    assert_eq!((got.code, got.bytes), (Some(0), bytes));
}

#[test]
fn versions_rise_and_are_what_a_put_has_printed() {
    let group = fresh_group();
    let _member = Member::join(&[&group]);
    let (first, second) = (put(&group, "key", "one"), put(&group, "key", "two"));
    let number = |version: &str| {
        let (epoch, n) = version.split_once('.').expect("two numbers");
        (epoch.parse::<u64>().expect("a number"), n.parse::<u64>().expect("a number"))
    };
    assert!(number(&first) < number(&second), "{first} {second}");
    let got = parsed(&said(state("get", &[&group, "key", "--json"])));
    assert_eq!(got, json!({ "key": "key", "version": second, "value": "two" }));
    let third = parsed(&said(state("put", &[&group, "key", "three", "--json"])));
    assert_eq!(third["key"], "key");
    assert!(number(third["version"].as_str().expect("a version")) > number(&second), "{third}");
}

#[test]
fn a_list_has_every_key_that_has_a_value() {
    let group = fresh_group();
    let _member = Member::join(&[&group]);
    assert_eq!(said(state("list", &[&group])), "key  version  bytes  value\n");
    let colour = put(&group, "colour", "red\nand blue");
    put(&group, "gone", "soon");
    said(bellwether_reading(&[0xff, 0x00], &["state", "put", &group, "binary", "-"]));
    said(state("delete", &[&group, "gone"]));
    said(state("delete", &[&group, "never there"]));

    let table = said(state("list", &[&group]));
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(lines[1].starts_with("binary  ") && lines[1].contains("  2      "), "{table}");
    assert!(lines[2].starts_with("colour  ") && lines[2].ends_with("  12     red\\nand blue"), "{table}");

    let list = parsed(&said(state("list", &[&group, "--json"])));
    assert_eq!(list["group"], group.as_str());
    assert!(list["port"].is_u64(), "{list}");
    assert_eq!(list["values"].as_array().map(Vec::len), Some(2));
    assert_eq!(list["values"][0]["hex"], "ff00");
    assert_eq!(list["values"][1], json!({ "key": "colour", "version": colour, "value": "red\nand blue" }));
}

#[test]
fn what_has_no_value_is_an_error_and_deleting_it_is_none() {
    let group = fresh_group();
    let _member = Member::join(&[&group]);
    assert_failed(&state("get", &[&group, "colour"]), "\"colour\" has no value");
    put(&group, "colour", "red");
    let deleted = said(state("delete", &[&group, "colour"]));
    assert!(deleted.contains('.'), "a version: {deleted:?}");
    assert_failed(&state("get", &[&group, "colour"]), "\"colour\" has no value");
    said(state("delete", &[&group, "colour"]));
}

#[test]
fn a_watch_tells_what_is_there_what_changes_and_goes_on_after_the_supervisor() {
    let group = fresh_group();
    let supervisor = Member::join(&[&group]);
    let mut heir = Member::join(&[&group]);
    let first = put(&group, "colour", "red");
    put(&group, "size", "7");
    let mut all = Talker::start(&["state", "watch", &group]);
    let mut one = Talker::start(&["state", "watch", &group, "colour", "--json"]);
    all.wait_for(&["  colour ", &first, ": red"]);
    all.wait_for(&["  size ", ": 7"]);
    assert_eq!(parsed(&one.wait_for(&["{"])), json!({ "key": "colour", "version": first, "value": "red" }));

    supervisor.kill();
    heir.wait_for(&["is open", "which is this member"]);
    // Who is not yet connected to the heir is told the last of several writes to a key, and the keys in any order.
    put(&group, "size", "8");
    all.wait_for(&["  size ", ": 8"]);
    let second = put(&group, "colour", "blue");
    all.wait_for(&["  colour ", &second, ": blue"]);
    one.wait_for(&["\"blue\"", &second]);
    said(state("delete", &[&group, "colour"]));
    all.wait_for(&["  colour ", " deleted"]);
    one.wait_for(&["\"deleted\":true"]);

    // With the last copy the values end, and so does whoever watches them.
    heir.leave();
    assert_eq!(all.finish().len(), 5);
    let lines = one.finish();
    let values: Vec<_> = lines.iter().map(|line| parsed(line)["value"].clone()).collect();
    assert_eq!(values, [json!("red"), json!("blue"), Value::Null], "each once, and no other key: {lines:?}");
}

#[test]
fn a_state_that_cannot_be_had_says_why() {
    let group = fresh_group();
    for (task, rest) in
        [("get", &["key"][..]), ("put", &["key", "value"]), ("watch", &[]), ("delete", &["key"]), ("list", &[])]
    {
        assert_failed(&state(task, &[&[group.as_str()], rest].concat()), "no copy");
    }
    let long = "x".repeat(129);
    assert_usage(&state("get", &[&group, &long]), "129 bytes exceeds 128");
    assert_usage(&state("put", &[&group, "", "value"]), "KEY");
    assert_usage(&state("put", &[&group, "key"]), "VALUE");
    assert_usage(&state("watch", &[&group, " padded"]), "white space");
    assert_usage(&state("paint", &[&group]), "paint");

    let _member = Member::join(&[&group]);
    let large = vec![b'x'; 1_048_577];
    let refused = bellwether_reading(&large, &["state", "put", &group, "key", "-"]);
    assert_failed(&refused, "cannot write \"key\"");
    assert!(refused.stderr.contains("value of 1048577 exceeds 1048576"), "{}", refused.stderr);
    assert_failed(&state("get", &[&group, "key"]), "has no value");
}
