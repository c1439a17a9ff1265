//! The command does what its help says, with real processes.

#[path = "command/control.rs"]
mod control;
#[path = "command/json.rs"]
mod json;
#[path = "command/running.rs"]
mod running;
#[path = "command/state.rs"]
mod state;
#[path = "command/status_locks.rs"]
mod status_locks;

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;
use std::{env, fs, process, thread};

use running::{Member, Output, bellwether, bellwether_in, fresh_group, fresh_port};
use serde_json::Value;

/// Runs `status --json` and reads what it prints.
fn status(arguments: &[&str]) -> Value {
    let output = bellwether(&[&["status", "--json"], arguments].concat());
    assert_eq!(output.code, Some(0), "{output:?}");
    output.stdout.parse().unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn entries(status: &Value) -> &[Value] {
    status["entries"].as_array().expect("a list of entries")
}

fn assert_usage(output: &Output, hint: &str) {
    assert_eq!(output.code, Some(2), "{output:?}");
    assert!(output.stderr.contains(hint), "{hint:?} expected: {output:?}");
    assert_eq!(output.stdout, "");
}

fn assert_failed(output: &Output, hint: &str) {
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stderr.contains(hint), "{hint:?} expected: {output:?}");
    assert_eq!(output.stdout, "");
}

/// A service that gives everybody this answer and hangs up; its port. It ends with the test.
fn foreign_service(answer: &'static [u8]) -> String {
    let service = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("some port is free");
    let port = service.local_addr().expect("a bound socket has an address").port().to_string();
    thread::spawn(move || service.incoming().flatten().for_each(|mut stream| drop(stream.write_all(answer))));
    port
}

#[test]
fn status_names_the_process_that_takes_no_connection() {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
    socket.listen(0).expect("it listens");
    let service = TcpListener::from(socket);
    let address = service.local_addr().expect("a bound socket has an address");
    let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok();
    let full: Vec<_> = std::iter::from_fn(connect).take(100).collect();
    let output = bellwether(&["status", "mute", "--port", &address.port().to_string()]);
    assert_failed(&output, "has not answered");
    assert_failed(&output, &format!("process {} (", process::id()));
    drop(full);
}

#[test]
fn c7_the_demonstration_shows_one_reign_per_kill() {
    for (instances, kills) in [("5", 3), ("2", 1), ("3", 2), ("1", 0)] {
        let output = bellwether(&["demo", "--instances", instances, "--kills", &kills.to_string()]);
        assert_eq!(output.code, Some(0), "{output:?}");
        assert_eq!(output.stderr, "");
        let begins = |word: &str| output.stdout.lines().filter(|line| line.trim_start().starts_with(word)).count();
        let figures = usize::from(kills > 0);
        assert_eq!(begins("Kill "), kills, "{output:?}");
        assert_eq!(begins("detected "), kills);
        assert_eq!(begins("bound "), kills);
        assert_eq!(begins("window closed "), kills + figures);
        assert_eq!(begins("first grant "), kills + figures);
        assert_eq!(begins("policy "), kills);
        // One registry before the first kill and one after each, all with exactly one supervisor.
        assert_eq!(begins("id "), kills + 1);
        let reigning = |line: &&str| line.contains("  supervisor  ");
        assert_eq!(output.stdout.lines().filter(reigning).count(), kills + 1, "{output:?}");
        assert!(output.stdout.contains(&format!("{kills} kill")), "{output:?}");
    }
}

#[test]
fn the_demonstration_checks_locks_policies_and_a_pause_and_leaves_nothing_behind() {
    let directory = env::temp_dir().join(format!("bellwether-command-test-{}", process::id()));
    fs::create_dir(&directory).expect("a fresh directory");
    for (instances, kills) in [("4", 2), ("1", 0)] {
        let output = bellwether_in(&directory, &["demo", "--instances", instances, "--kills", &kills.to_string()]);
        assert_eq!(output.code, Some(0), "{output:?}");
        let line = |word: &str| output.stdout.lines().find(|line| line.starts_with(word)).unwrap_or_default();
        let lock: Vec<_> = line("One lock: ").split_whitespace().collect();
        // "One lock: 55 grants to 4 processes in 3 reigns; ..."
        let [_, _, grants, _, _, processes, _, _, reigns, ..] = lock[..] else { panic!("{output:?}") };
        let number = |word: &str| word.parse::<usize>().unwrap_or_else(|_| panic!("{word:?}: {output:?}"));
        assert_eq!((processes, number(reigns)), (instances, kills + 1), "{output:?}");
        // In each reign each of the living had it at least once.
        let least: usize = (0..=kills).map(|killed| number(instances) - killed).sum();
        assert!(number(grants) >= least, "{output:?}");
        let copies = number(instances) - kills;
        let all = if copies == 1 { "the only copy has it".to_owned() } else { format!("all {copies} copies have it") };
        assert!(line("One value: ").contains(&all), "{output:?}");
        let tries = match kills {
            0 => "1 try to have the lock \"forbidden\", 1 denied by 1 supervisor.".to_owned(),
            _ => format!("{0} tries to have the lock \"forbidden\", {0} denied by {0} supervisors.", kills + 1),
        };
        assert_eq!(line("One policy: "), format!("One policy: {tries}"), "{output:?}");
        // A pause needs somebody who goes on.
        assert_eq!(line("One pause: ").contains("none of "), copies > 1, "{output:?}");
        assert_eq!(fs::read_dir(&directory).expect("it is there").count(), 0);
    }
    fs::remove_dir(&directory).expect("an empty directory");

    let output = bellwether_in(&directory, &["demo", "--instances", "1", "--kills", "0"]);
    assert_failed(&output, "cannot create");
}

#[test]
fn the_demonstration_uses_the_port_it_is_told() {
    let port = fresh_port().to_string();
    let output = bellwether(&["demo", "--instances", "2", "--kills", "1", "--port", &port]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stdout.contains(&format!("port {port}")), "{output:?}");
}

#[test]
fn the_demonstration_says_why_it_cannot_begin() {
    let port = foreign_service(b"220 mail.example ESMTP\r\n");
    let output = bellwether(&["demo", "--instances", "2", "--kills", "1", "--port", &port]);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stderr.contains("cannot join") && output.stderr.contains(&port), "{output:?}");

    assert_usage(&bellwether(&["demo", "--instances", "3", "--kills", "3"]), "fewer kills");
    assert_usage(&bellwether(&["demo", "--instances", "0"]), "--instances");
}

#[test]
fn c8_status_names_every_member_once() {
    let group = fresh_group();
    let members: Vec<_> = (1..=3).map(|n| Member::join(&[&group, "--label", &format!("number {n}")])).collect();
    let status = status(&[&group]);

    assert_eq!(status["group"], group.as_str());
    assert!(status["port"].as_u64().is_some_and(|port| (10_240..=32_767).contains(&port)), "{status}");
    assert!(
        status["epoch"].as_str().is_some_and(|epoch| epoch.parse::<u64>().is_ok_and(|epoch| epoch > 0)),
        "{status}"
    );
    let entries = entries(&status);
    let count = |key: &str, value: &str| entries.iter().filter(|entry| entry[key] == value).count();
    assert_eq!((count("role", "supervisor"), count("role", "subordinate")), (1, 2), "{status}");
    assert_eq!(count("state", "active"), 3, "{status}");
    for (n, member) in (1..).zip(&members) {
        let label = format!("number {n}");
        let found: Vec<_> = entries.iter().filter(|entry| entry["label"] == label.as_str()).collect();
        let [entry] = found[..] else { panic!("{label} expected once: {status}") };
        assert_eq!(entry["pid"], member.pid());
        assert_eq!(entry["id"], member.id());
        let id = member.id();
        assert!(id.len() == 16 && id.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')), "{id}");
        let since = entry["since"].as_str().unwrap_or_default();
        let pattern: String = since.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(pattern, "0000-00-00T00:00:00.000Z", "{since}");
    }
    let mut ids: Vec<_> = members.iter().map(Member::id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[test]
fn the_status_table_has_the_supervisor_on_top_and_aligned_columns() {
    let group = fresh_group();
    let first = Member::join(&[&group, "--label", "one\nline \u{1b}[31m"]);
    let _second = Member::join(&[&group]);
    let output = bellwether(&["status", &group]);
    assert_eq!(output.code, Some(0), "{output:?}");
    let lines: Vec<_> = output.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{output:?}");
    assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>(), ["id", "pid", "label", "role", "state", "since"]);
    assert!(lines[1].starts_with(first.id()), "{output:?}");
    assert!(lines[1].contains("one\\nline \\u{1b}[31m"), "{output:?}");
    let column = lines[0].find("role").expect("a column of roles");
    assert!(
        lines[1][column..].starts_with("supervisor ") && lines[2][column..].starts_with("subordinate "),
        "{output:?}"
    );
    assert!(output.stdout.is_ascii(), "{output:?}");
}

#[test]
fn a_member_tells_who_comes_leaves_and_fails() {
    let group = fresh_group();
    let mut supervisor = Member::join(&[&group]);
    let mut leaver = Member::join(&[&group]);
    supervisor.wait_for(&["joined: ", leaver.id()]);
    let failing = Member::join(&[&group, "--no-input"]);
    supervisor.wait_for(&["joined: ", failing.id()]);

    let id = failing.id().to_owned();
    failing.kill();
    supervisor.wait_for(&["failed: ", &id]);
    leaver.wait_for(&["failed: ", &id]);

    let id = leaver.id().to_owned();
    let lines = leaver.leave();
    assert!(lines.last().is_some_and(|line| line.ends_with("  left")), "{lines:?}");
    supervisor.wait_for(&["left: ", &id]);
}

#[test]
fn c7_a_member_tells_who_takes_over() {
    let group = fresh_group();
    let supervisor = Member::join(&[&group]);
    let mut heir = Member::join(&[&group]);
    let id = supervisor.id().to_owned();
    supervisor.kill();
    heir.wait_for(&["disconnected from", &id]);
    heir.wait_for(&["bound"]);
    heir.wait_for(&["is open", "which is this member"]);
    let status = status(&[&group]);
    let [entry] = entries(&status) else { panic!("one entry expected: {status}") };
    assert_eq!((&entry["id"], &entry["role"]), (&heir.id().into(), &"supervisor".into()));
}

#[test]
fn every_line_of_a_member_begins_with_the_time() {
    let group = fresh_group();
    let lines = Member::join(&[&group]).leave();
    assert!(lines.len() >= 2, "{lines:?}");
    for line in lines {
        let digits: String = line.chars().take(24).map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(digits, "0000-00-00T00:00:00.000Z", "{line}");
    }
}

#[test]
fn a_group_lives_on_the_port_it_is_given() {
    let group = fresh_group();
    let port = fresh_port().to_string();
    let _member = Member::join(&[&group, "--port", &port]);
    TcpListener::bind((Ipv4Addr::LOCALHOST, port.parse().expect("a number"))).expect_err("the supervisor has the port");
    let status = status(&[&group, "--port", &port]);
    assert_eq!(status["port"].to_string(), port);
    assert_eq!(entries(&status).len(), 1);
    assert_failed(&bellwether(&["status", &group]), "no copy");
}

#[test]
fn status_of_nobody_fails_and_names_the_port() {
    let port = fresh_port().to_string();
    for arguments in [&["--json"][..], &[]] {
        let output = bellwether(&[&["status", &fresh_group(), "--port", &port], arguments].concat());
        assert_failed(&output, "no copy");
        assert!(output.stderr.contains(&port), "{output:?}");
    }
}

#[test]
fn p15_status_tells_a_foreign_service_apart() {
    let refuses = &b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"[..];
    for (answer, hint) in [(refuses, "another service listens there"), (b"", "ended without a word; process ")] {
        let port = foreign_service(answer);
        let output = bellwether(&["status", &fresh_group(), "--port", &port]);
        assert_failed(&output, hint);
        assert!(output.stderr.contains(&port), "{output:?}");
    }
}

#[test]
fn what_is_not_understood_is_said_on_one_screen() {
    let group = fresh_group();
    let long = "x".repeat(129);
    for (arguments, hint) in [
        (&["status", group.as_str(), "--port", "0"][..], "--port"),
        (&["status", &group, "--port", "http"], "--port"),
        (&["join", &group, "--port", "70000"], "--port"),
        (&["demo", "--port=-1"], "--port"),
        (&["status", ""], "GROUP"),
        (&["join", &long], "129 bytes exceeds 128"),
        (&["status", " padded"], "white space"),
        (&["status"], "GROUP"),
        (&["dance"], "dance"),
    ] {
        assert_usage(&bellwether(arguments), hint);
    }
    let label = "x".repeat(257);
    assert_failed(&bellwether(&["join", &group, "--label", &label]), "label of 257 exceeds 256");
}
