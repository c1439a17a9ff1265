//! `bellwether status` of groups that use locks.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};
use std::{process, thread};

use bellwether::{Group, Instance};
use serde_json::Value;

use crate::running::{bellwether, fresh_group};
use crate::status;

fn join(group: &str, label: &str) -> Instance {
    Group::new(group).expect("a valid name").label(label).join().expect("a fresh group")
}

/// Waits until so many wait for anything.
fn await_waiters(instance: &Instance, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let locks = instance.locks().expect("an open reign");
        if locks.iter().map(|lock| lock.waiters.len()).sum::<usize>() == count {
            return;
        }
        assert!(Instant::now() < deadline, "{locks:?}");
        thread::yield_now();
    }
}

#[test]
fn status_names_holders_and_waiters_in_their_order() {
    let group = fresh_group();
    let (first, second) = (join(&group, "first"), join(&group, "second"));
    let catalog = first.mutex("catalog").lock().expect("nobody has it");
    let readers = [&first, &second].map(|reader| reader.rwlock("index").read().expect("nobody writes"));
    let seats = second.semaphore("seats", 25).acquire(3).expect("none is taken");
    let waiter = |instance: &Instance| {
        let instance = instance.clone();
        thread::spawn(move || instance.mutex("catalog").lock().map(drop))
    };
    let second_waits = waiter(&second);
    await_waiters(&first, 1);
    let first_waits = waiter(&first);
    await_waiters(&first, 2);

    let output = bellwether(&["status", &group]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{output:?}");
    let (registry, locks) = output.stdout.split_once("\n\n").expect("two tables");
    assert_eq!(registry.lines().count(), 3);
    let rows: Vec<Vec<_>> = locks.lines().map(|line| line.split_whitespace().collect()).collect();
    let pid = process::id().to_string();
    let catalog_token = catalog.token().to_string();
    assert_eq!(rows[0], ["kind", "name", "place", "pid", "label", "mode", "since", "token"]);
    assert_eq!(rows[1][..6], ["mutex", "catalog", "holds", &pid, "first", "exclusive"]);
    assert_eq!(rows[1].last(), Some(&catalog_token.as_str()));
    assert_eq!(rows[2], ["mutex", "catalog", "waits", "1", &pid, "second", "exclusive"]);
    assert_eq!(rows[3], ["mutex", "catalog", "waits", "2", &pid, "first", "exclusive"]);
    assert_eq!(rows[4][..6], ["rwlock", "index", "holds", &pid, "first", "shared"]);
    assert_eq!(rows[5][..6], ["rwlock", "index", "holds", &pid, "second", "shared"]);
    assert_eq!(rows[6][..8], ["semaphore", "seats", "holds", &pid, "second", "3", "of", "25"]);
    assert_eq!(rows.len(), 7, "{locks}");

    let status = status(&[&group]);
    assert_eq!(status["entries"].as_array().map(Vec::len), Some(2));
    let [mutex, rwlock, semaphore] = &status["locks"].as_array().expect("a list of locks")[..] else {
        panic!("three locks expected: {status}")
    };
    assert_eq!((&mutex["kind"], &mutex["name"], &mutex["limit"]), (&"mutex".into(), &"catalog".into(), &Value::Null));
    let [holder] = &mutex["holders"].as_array().expect("a list")[..] else { panic!("one holder expected: {status}") };
    assert_eq!(holder["id"], first.id().to_string());
    assert_eq!((&holder["pid"], &holder["label"]), (&process::id().into(), &"first".into()));
    assert_eq!((&holder["mode"], &holder["token"]), (&"exclusive".into(), &catalog_token.as_str().into()));
    assert!(holder["since"].as_str().is_some_and(|since| since.ends_with('Z')), "{holder}");
    let waiters: Vec<_> =
        mutex["waiters"].as_array().expect("a list").iter().map(|waiter| waiter["label"].clone()).collect();
    assert_eq!(waiters, ["second", "first"]);
    assert_eq!(rwlock["holders"].as_array().map(Vec::len), Some(2));
    assert_eq!(rwlock["holders"][0]["mode"], "shared");
    assert_eq!((&semaphore["limit"], &semaphore["holders"][0]["permits"]), (&25.into(), &3.into()));

    drop(catalog);
    for waiter in [second_waits, first_waits] {
        waiter.join().expect("no panic").expect("a grant");
    }
    drop((readers, seats));
    let output = bellwether(&["status", &group]);
    assert_eq!(output.stdout.lines().count(), 3, "what nobody holds is not listed: {output:?}");
    assert_eq!(self::status(&[&group])["locks"], Value::Array(Vec::new()));
}

#[test]
fn status_names_barriers_and_who_waits_there() {
    let group = fresh_group();
    let (first, second) = (join(&group, "first"), join(&group, "second"));
    let arrive = |instance: &Instance| {
        let instance = instance.clone();
        thread::spawn(move || instance.barrier("phase-1", 3).wait().map(drop))
    };
    let one = arrive(&second);
    await_waiters(&first, 1);
    let two = arrive(&first);
    await_waiters(&first, 2);
    let output = bellwether(&["status", &group]);
    let (_, locks) = output.stdout.split_once("\n\n").expect("two tables");
    let rows: Vec<Vec<_>> = locks.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    let pid = process::id().to_string();
    let row = |place, label| ["barrier", "phase-1", "waits", place, &pid, label, "party", "of", "3,", "1", "missing"];
    assert_eq!(rows, [row("1", "second"), row("2", "first")]);
    let status = status(&[&group]);
    let [barrier] = &status["locks"].as_array().expect("a list")[..] else { panic!("one barrier expected: {status}") };
    assert_eq!((&barrier["kind"], &barrier["name"]), (&"barrier".into(), &"phase-1".into()));
    assert_eq!((&barrier["parties"], &barrier["missing"], &barrier["limit"]), (&3.into(), &1.into(), &Value::Null));
    let waiters = barrier["waiters"].as_array().expect("a list");
    let waiters: Vec<_> = waiters.iter().map(|waiter| (waiter["label"].clone(), waiter["mode"].clone())).collect();
    assert_eq!(waiters, [("second".into(), "party".into()), ("first".into(), "party".into())]);
    arrive(&first).join().expect("no panic").expect("the last one passes");
    for call in [one, two] {
        call.join().expect("no panic").expect("so do the others");
    }
    assert_eq!(self::status(&[&group])["locks"], Value::Array(Vec::new()));
}

/// A supervisor that stops after it has welcomed somebody: a port that leads to the real one, whose supervisor hears
/// nothing that is said after its first answer.
fn deaf_supervisor(port: u16) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("some port is free");
    let deaf = listener.local_addr().expect("a bound socket has an address").port();
    thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let far = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the supervisor listens");
            let (mut ear, mut mouth) = (near.try_clone().expect("a handle"), far.try_clone().expect("a handle"));
            thread::spawn(move || {
                let mut bytes = [0; 4096];
                // The hello is one write.
                let hello = ear.read(&mut bytes).expect("a hello");
                mouth.write_all(&bytes[..hello]).expect("room for a hello");
                while ear.read(&mut bytes).is_ok_and(|count| count > 0) {}
                let _ = mouth.shutdown(Shutdown::Both);
            });
            let (mut near, mut far) = (near, far);
            thread::spawn(move || std::io::copy(&mut far, &mut near));
        }
    });
    deaf
}

#[test]
fn a_supervisor_that_does_not_answer_hides_the_locks_and_not_the_registry() {
    let group = fresh_group();
    let member = join(&group, "deaf");
    let _held = member.mutex("catalog").lock().expect("nobody has it");
    let port = Group::new(group.as_str()).expect("a valid name").supervisor_port();
    let deaf = deaf_supervisor(port).to_string();
    for arguments in [&[][..], &["--json"]] {
        let output = bellwether(&[&["status", &group, "--port", &deaf], arguments].concat());
        assert_eq!(output.code, Some(0), "{output:?}");
        assert!(output.stdout.contains("deaf"), "{output:?}");
        assert!(output.stderr.contains("who holds what is unknown"), "{output:?}");
        if !arguments.is_empty() {
            let status: Value = output.stdout.parse().expect("JSON");
            assert_eq!(status["locks"], Value::Null);
        }
    }
}
