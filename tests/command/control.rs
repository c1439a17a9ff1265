//! `bellwether send`, `request`, `pause`, `resume` and `stop`.

use std::process;

use bellwether::{Command, Event, Group, Instance, Operation, Verdict};
use serde_json::{Value, json};

use crate::running::{Member, Output, bellwether, bellwether_reading, fresh_group};
use crate::{assert_failed, assert_usage, entries, status};

/// What a command prints that cannot fail.
fn said(output: Output) -> String {
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{output:?}");
    output.stdout
}

/// A supervisor in this process, which answers and judges.
fn answering(group: &str) -> Instance {
    let answer = |request: &bellwether::Request| [b"not ", &request.bytes[..]].concat();
    let policy = |_: &bellwether::Entry, operation: &Operation| match operation {
        Operation::Command { command: Command::Stop, .. } => Verdict::Deny("nobody stops here".to_owned()),
        Operation::Request { bytes } if **bytes == *b"why" => Verdict::Deny("no reasons\u{1b}[31m".to_owned()),
        _ => Verdict::Allow,
    };
    let group = Group::new(group).expect("a valid name").label("answering").on_request(answer).policy(policy);
    group.join().expect("a fresh group")
}

/// How the registry shows this one.
fn standing(group: &str, id: &str) -> Value {
    let status = status(&[group]);
    let entry = entries(&status).iter().find(|entry| entry["id"] == id);
    entry.unwrap_or_else(|| panic!("{id} expected: {status}"))["state"].clone()
}

#[test]
fn a_message_reaches_one_by_its_id_or_process_and_everybody_by_all() {
    let group = fresh_group();
    let mut members = [Member::join(&[&group]), Member::join(&[&group]), Member::join(&[&group])];
    let (id, pid) = (members[1].id().to_owned(), members[2].pid().to_string());

    assert_eq!(said(bellwether(&["send", &group, &id, "-5\n\u{1b}[31m"])), format!("reached 1 in {group}\n"));
    members[1].wait_for(&["message of ", "8 bytes: -5\\n\\u{1b}[31m"]);
    let json: Value = said(bellwether(&["send", &group, &pid, "two", "--json"])).parse().expect("JSON");
    assert_eq!(json, json!({ "group": group, "reached": 1 }));
    members[2].wait_for(&["3 bytes: two"]);

    let large = vec![b'x'; 300_000];
    assert_eq!(said(bellwether_reading(&large, &["send", &group, "all", "-"])), format!("reached 3 in {group}\n"));
    members.iter_mut().for_each(|member| drop(member.wait_for(&["message of ", "300000 bytes: xxx"])));
    for member in members {
        let lines = member.leave();
        let count = lines.iter().filter(|line| line.contains("message of ")).count();
        assert_eq!(count, if lines[0].contains("supervisor") { 1 } else { 2 }, "nobody else's: {lines:?}");
    }
}

#[test]
fn what_nobody_can_be_meant_by_is_said() {
    let group = fresh_group();
    let member = Member::join(&[&group]);
    let id = if member.id() == "0000000000000001" { "0000000000000002" } else { "0000000000000001" };
    // No process has the number 0.
    for (whom, why) in [
        (id, format!("no instance has the id {id}")),
        ("0", "no instance has the process id 0".to_owned()),
        ("everybody", "\"everybody\" is neither an id, a process id nor `all`".to_owned()),
    ] {
        for arguments in [&["send", &group, whom, "hello"][..], &["pause", &group, whom], &["stop", &group, whom]] {
            assert_failed(&bellwether(arguments), &format!("in {group:?} {why}"));
        }
    }
    assert!(!member.leave().iter().any(|line| line.contains("message") || line.contains("commands")));

    let name = || Group::new(group.as_str()).expect("a valid name");
    let both = [name().join().expect("nobody else is there"), name().join().expect("the first welcomes it")];
    let pid = process::id().to_string();
    let several = bellwether(&["send", &group, &pid, "hello"]);
    assert_failed(&several, "2 instances share that process; name one by its id");
    said(bellwether(&["send", &group, &both[0].id().to_string(), "hello"]));
}

#[test]
fn an_answer_is_printed_byte_by_byte() {
    let group = fresh_group();
    let _supervisor = answering(&group);
    assert_eq!(said(bellwether(&["request", &group, "--json\n"])), "not --json\n");
    let bytes: Vec<u8> = (0..=u8::MAX).collect();
    let answer = bellwether_reading(&bytes, &["request", &group, "-"]);
    assert_eq!((answer.code, answer.bytes), (Some(0), [b"not ", &bytes[..]].concat()));
    assert_failed(&bellwether(&["request", &group, "why"]), "cannot ask");
    // What a policy says comes from another process: it must not colour the terminal.
    let denied = bellwether(&["request", &group, "why"]);
    assert!(denied.stderr.contains("no reasons") && !denied.stderr.contains('\u{1b}'), "{denied:?}");
}

#[test]
fn a_question_to_somebody_without_a_handler_fails() {
    let group = fresh_group();
    let _member = Member::join(&[&group]);
    assert_failed(&bellwether(&["request", &group, "anything"]), &format!("cannot ask {group:?}"));
}

#[test]
fn who_is_paused_is_shown_as_paused_until_it_is_resumed() {
    let group = fresh_group();
    let mut members = [Member::join(&[&group]), Member::join(&[&group])];
    let id = members[1].id().to_owned();
    assert_eq!(said(bellwether(&["pause", &group, &id])), format!("reached 1 in {group}\n"));
    members[1].wait_for(&["the supervisor commands: pause"]);
    members[0].wait_for(&["paused", &id]);
    assert_eq!(standing(&group, &id), "paused");
    assert_eq!(standing(&group, members[0].id()), "active");

    let json: Value = said(bellwether(&["resume", &group, "all", "--json"])).parse().expect("JSON");
    assert_eq!(json, json!({ "group": group, "reached": 2 }));
    members.iter_mut().for_each(|member| drop(member.wait_for(&["the supervisor commands: resume"])));
    assert_eq!(standing(&group, &id), "active");
}

#[test]
fn who_is_told_to_stop_leaves_and_ends_well() {
    let group = fresh_group();
    let mut supervisor = Member::join(&[&group]);
    let (mut first, mut second) = (Member::join(&[&group]), Member::join(&[&group]));
    let (one, other) = (first.id().to_owned(), second.id().to_owned());
    assert_eq!(said(bellwether(&["stop", &group, &first.pid().to_string()])), format!("reached 1 in {group}\n"));
    first.wait_for(&["the supervisor commands: stop"]);
    supervisor.wait_for(&["left: ", &one]);
    second.wait_for(&["left: ", &one]);
    let lines = first.leave();
    assert!(lines.last().is_some_and(|line| line.ends_with("  left")), "{lines:?}");

    // The supervisor too, in whatever order.
    let json: Value = said(bellwether(&["stop", &group, "all", "--json"])).parse().expect("JSON");
    assert_eq!(json["reached"], 2, "{json}");
    for mut member in [supervisor, second] {
        member.wait_for(&["the supervisor commands: stop"]);
        let lines = member.leave();
        assert!(lines.last().is_some_and(|line| line.ends_with("  left")), "{other} or the supervisor: {lines:?}");
    }
    assert_failed(&bellwether(&["status", &group]), "no copy");
}

#[test]
fn a_policy_refuses_a_command_and_says_why() {
    let group = fresh_group();
    let supervisor = answering(&group);
    let events = supervisor.events();
    let id = supervisor.id().to_string();
    assert_failed(&bellwether(&["stop", &group, &id]), "nobody stops here");
    assert_failed(&bellwether(&["stop", &group, "all", "--json"]), "nobody stops here");
    said(bellwether(&["resume", &group, &id]));
    // Only the one that was allowed.
    let command = events.iter().find_map(|event| match event {
        Event::Command(command) => Some(command),
        _ => None,
    });
    assert_eq!(command, Some(Command::Resume));
}

#[test]
fn nobody_is_reached_where_nobody_is() {
    let group = fresh_group();
    for (task, rest) in
        [("send", &["all", "hello"][..]), ("request", &["hello"]), ("pause", &["all"]), ("stop", &["1"])]
    {
        assert_failed(&bellwether(&[&[task, group.as_str()], rest].concat()), "no copy");
    }
}

#[test]
fn what_is_too_large_is_refused_with_the_limit() {
    let group = fresh_group();
    let supervisor = answering(&group);
    let large = vec![b'x'; 1024 * 1024 + 1];
    let id = supervisor.id().to_string();
    for arguments in [&["send", &group, &id, "-"][..], &["send", &group, "all", "-"], &["request", &group, "-"]] {
        assert_failed(&bellwether_reading(&large, arguments), "exceeds");
    }
}

#[test]
fn what_is_not_said_in_full_is_an_error_of_usage() {
    let group = fresh_group();
    for (arguments, hint) in [
        (&["send", &group, "all"][..], "MESSAGE"),
        (&["send", &group], "ID"),
        (&["send", "", "all", "hello"], "GROUP"),
        (&["request", &group], "QUESTION"),
        (&["request", " padded", "hello"], "white space"),
        (&["pause", &group], "ID"),
        (&["resume"], "GROUP"),
        (&["stop", &group, "all", "now"], "now"),
        (&["stop", &group, "all", "--port", "0"], "--port"),
        (&["pause", &group, "all", "--hard"], "--hard"),
    ] {
        assert_usage(&bellwether(arguments), hint);
    }
}
