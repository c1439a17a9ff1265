//! Every error that an application can see, brought about.
//!
//! Here are those that belong to no other claim. The others: `ForeignService`, `OtherGroup`, `SourcePort`, `Reserved` and
//! `SupervisorUnresponsive` in `hostile.rs`; `NotSupervisor` and `NoHeir` in `failure.rs`; `Forked` in `fork.rs`; `Lost` in
//! `lock_loss.rs`; `Failed` in `once.rs`; `Conflict` in `state.rs`. `Denied` in `semaphores.rs` (more than the limit),
//! `barriers.rs` (another number), `state.rs` (full) and `policy.rs`; `Option` of permits, parties and values in the first
//! three, of messages, requests and commands in their files. `InCallback` in `callbacks.rs` and `policy.rs`; `Unreachable`
//! in `messages.rs` and `pause.rs`; `NotSupervisor` of commands in `pause.rs`. `TimedOut` and `WouldBlock` of the office in
//! `failure.rs`, of locks in `locks.rs`, of the others in their files. `Left` of a call that waits meanwhile in the same.

mod fleet;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use bellwether::wire::frame::Message;
use bellwether::wire::message::ToMember;
use bellwether::{Command, Error, Group, Refusal};
use fleet::{Fleet, Network, free_port, kernel};

#[test]
fn name_says_what_is_wrong_with_it() {
    for (name, words) in [
        ("x", None),
        ("photo sync ☂", None),
        (&"n".repeat(128), None),
        ("", Some("at least one character")),
        (" x", Some("white space")),
        ("x ", Some("white space")),
        ("a\nb", Some("control")),
        ("a\0b", Some("control")),
        (&"n".repeat(129), Some("129 bytes exceeds 128")),
        (&"☂".repeat(43), Some("129 bytes exceeds 128")),
    ] {
        match (Group::new(name), words) {
            (Ok(_), None) => {}
            (Err(error @ Error::Name(_)), Some(words)) => {
                assert!(error.to_string().contains(words), "{error}");
                assert!(std::error::Error::source(&error).is_some());
            }
            (other, _) => panic!("{name:?}: {other:?}"),
        }
    }
}

#[test]
fn option_says_which_value_exceeds_what_or_is_too_small() {
    let group = || Group::new("options").unwrap().port(free_port());
    for (group, words) in [
        (group().label("l".repeat(257)), "label of 257 exceeds 256"),
        (group().payload(vec![0; 4097]), "payload of 4097 exceeds 4096"),
        (group().member_limit(65_537), "member limit of 65537 exceeds 65536"),
        (group().member_limit(0), "member limit of 0 is too small"),
    ] {
        for error in [group.clone().join().map(drop), group.observe().map(drop)].map(Result::unwrap_err) {
            assert!(matches!(error, Error::Option { .. }), "{error:?}");
            assert_eq!(error.to_string(), words);
        }
    }
    group().label("l".repeat(256)).payload(vec![0; 4096]).member_limit(1).join().unwrap();
}

#[test]
fn left_is_what_every_call_says_that_asks_or_waits() {
    let group = || Group::new("left").unwrap().port(free_port());
    let instance = group().join().unwrap();
    let own = instance.clone();
    let held = own.mutex("held").lock().unwrap();
    own.semaphore("known", 3).resize(2).unwrap();
    let version = own.state().put("key", "value").unwrap();
    instance.leave();
    let (state, long) = (own.state(), Duration::from_secs(3600));
    for (call, error) in [
        ("lock", own.mutex("n").lock().err()),
        ("try_lock", own.mutex("n").try_lock().err()),
        ("lock_timeout", own.mutex("n").lock_timeout(long).err()),
        ("read", own.rwlock("n").read().err()),
        ("write", own.rwlock("n").write().err()),
        ("acquire", own.semaphore("n", 1).acquire(1).err()),
        ("acquire of a known limit", own.semaphore("known", 1).acquire(1).err()),
        ("resize", own.semaphore("n", 1).resize(2).err()),
        ("resize_timeout", own.semaphore("n", 1).resize_timeout(2, long).err()),
        ("wait", own.barrier("n", 1).wait().err()),
        ("wait_timeout", own.barrier("n", 1).wait_timeout(long).err()),
        ("run", own.once("n").run(|| Ok(Vec::new())).err()),
        ("try_run", own.once("n").try_run(|| Ok(Vec::new())).err()),
        ("put", state.put("key", "other").err()),
        ("put_if", state.put_if("key", Some(version), "other").err()),
        ("put_if_timeout", state.put_if_timeout("key", None, "other", long).err()),
        ("delete", state.delete("key").err()),
        ("delete_if", state.delete_if("key", version).err()),
        ("delete_if_timeout", state.delete_if_timeout("key", version, long).err()),
        ("locks", own.locks().err()),
        ("office", own.office().err()),
        ("try_office", own.try_office().err()),
        ("resign", own.resign().err()),
        ("send", own.send(own.id(), *b"text").err()),
        ("try_broadcast", own.try_broadcast(*b"text").err()),
        ("request", own.request(*b"question").err()),
        ("command", own.command(own.id(), Command::Resume).err()),
        ("command_all", own.command_all(Command::Resume).err()),
    ] {
        assert!(matches!(error, Some(Error::Left)), "{call}: {error:?}");
    }
    assert!(!held.is_held());
    assert!(matches!(held.unlock(), Err(Error::Lost)));
}

/// Says this to everybody who comes, once it has heard something.
fn supervisor_that_refuses(refusal: &Refusal) -> u16 {
    let port = free_port();
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let mut bytes = Vec::new();
    ToMember::Refused(refusal.clone()).encode(&mut bytes);
    let refuse = move |mut stream: TcpStream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(&bytes);
    };
    std::thread::spawn(move || listener.incoming().flatten().for_each(refuse));
    port
}

#[test]
fn refused_carries_the_words_of_the_supervisor() {
    for refusal in [
        Refusal::Wire { supervisor: 7, client: 1 },
        Refusal::Full { limit: 3 },
        Refusal::Protocol("frame of 70000 bytes exceeds 65536".into()),
    ] {
        let group = || Group::new("refused").unwrap().port(supervisor_that_refuses(&refusal));
        for error in [group().join().map(drop), group().observe().map(drop)].map(Result::unwrap_err) {
            match &error {
                Error::Refused(given) => assert_eq!(*given, refusal),
                other => panic!("{other:?}"),
            }
            assert_eq!(error.to_string(), format!("refused by the supervisor: {refusal}"));
        }
    }
}

#[test]
fn no_supervisor_only_when_there_is_nobody() {
    let fleet = Fleet::with("limit=none");
    let watcher = fleet.process();
    let observe = |key: &str| watcher.say(&format!("observe {key} group={} port={}", fleet.group, fleet.port));
    let error = watcher.answer(observe("none")).unwrap_err();
    assert!(error.starts_with("NoSupervisor"), "{error}");

    // Between two reigns: nobody listens, but somebody is there.
    let mut members = fleet.members(3, "");
    let agreed = fleet.agree(&members);
    let supervisor = members.remove(agreed.supervisor);
    members.iter().for_each(|member| member.process.stop());
    supervisor.process.kill();
    supervisor.process.reap();
    let observing = observe("between");
    fleet::in_vain(&watcher, fleet.port);
    members.iter().for_each(|member| member.process.resume());
    watcher.answer(observing).unwrap();
    let seen = watcher.ask("look between").unwrap();
    let agreed = fleet.agree(&members);
    assert_eq!((seen.number("epoch"), seen.registry()), (agreed.epoch, agreed.registry));

    // In an open window: somebody listens, but nobody reigns yet.
    let newcomer = fleet.member("");
    members.push(newcomer);
    let agreed = fleet.agree(&members);
    let supervisor = members.remove(agreed.supervisor);
    let stopped = members[0].clone();
    stopped.process.stop();
    supervisor.process.kill();
    supervisor.process.reap();
    members[1].event(0, "the welcome in the open window", |event| {
        (event.kind() == "welcomed" && event.get("supervisor") != Some(&supervisor.id)).then_some(())
    });
    let observing = observe("window");
    fleet::eventually("the observer is connected", || {
        let own = |c: &kernel::Connection| c.state == kernel::State::Established && c.local == fleet.port;
        // Both observers; the other member is stopped.
        kernel::connections(fleet.port).iter().filter(|c| own(c)).count() == 2
    });
    stopped.process.resume();
    watcher.answer(observing).unwrap();
    assert_eq!(watcher.ask("look window").unwrap().registry(), fleet.agree(&members).registry);
}

#[test]
fn interrupted_when_the_supervisor_dies_and_somebody_else_has_written_meanwhile() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(3, "");
    let agreed = fleet.agree(&members);
    let supervisor = &members[agreed.supervisor];
    let writers = fleet::schedules::others(&members, supervisor);
    supervisor.process.stop();
    let calls: Vec<_> = writers.iter().map(|writer| writer.call(&format!("put config {}", writer.id))).collect();
    fleet::eventually("both have said it", || {
        let said = |c: &&kernel::Connection| c.local == fleet.port && c.unread > 0;
        kernel::connections(fleet.port).iter().filter(said).count() == 2
    });
    fleet::schedules::kill(supervisor);
    // It is done for one. For the other it is unknown whether it was done before that.
    let (done, interrupted): (Vec<_>, Vec<_>) = calls.iter().partition(|call| call.answer().is_ok());
    let ([done], [interrupted]) = (&done[..], &interrupted[..]) else { panic!("{} are done", done.len()) };
    let error = fleet::locks::refused(interrupted.answer(), "Interrupted");
    assert!(error.contains("unknown whether it was done"), "{error:?}");
    assert!(writers.iter().all(|writer| writer.get("config").is_some_and(|(text, _)| text == done.member.id)));
}

#[test]
fn an_election_without_descriptors_says_that_this_process_lacks_them() {
    let fleet = Fleet::new();
    // One descriptor for the presence, none for the election.
    let poor = fleet.process();
    poor.ask("starve 1").unwrap();
    let error = fleet.join_in(&poor, "").answer().unwrap_err();
    let lacks = "cannot open another socket: Too many open files";
    assert!(error.starts_with("System") && error.contains(lacks), "{error}");
    let observe = format!("observe o group={} port={}", fleet.group, fleet.port);
    let poor = fleet.process();
    poor.ask("starve 0").unwrap();
    let error = poor.ask(&observe).unwrap_err();
    assert!(error.starts_with("System") && error.contains(lacks), "{error}");
}

#[test]
fn system_names_what_was_tried_and_what_the_kernel_said() {
    let fleet = Fleet::new();
    for mechanism in ["", "portable=1"] {
        let poor = fleet.process();
        poor.ask("starve 0").unwrap();
        let error = fleet.join_in(&poor, mechanism).answer().unwrap_err();
        assert!(error.starts_with("System"), "{error}");
        assert!(error.contains("cannot bind the socket of its presence: Too many open files"), "{error}");
    }
}

#[test]
fn presence_taken_when_no_id_can_be_had() {
    // Only the portable mechanism can run out: of ports, if there are few. Ids that are names are too many to be taken.
    if fleet::network("presence_taken_when_no_id_can_be_had") != Network::Own {
        return;
    }
    let range = std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40000");
    let Ok(()) = range else { return println!("skipped: the range of ports cannot be changed") };
    let _all = UdpSocket::bind("127.0.0.1:40000").unwrap();
    let error = Group::new("taken").unwrap().port(20_000).portable_presence().join().unwrap_err();
    assert!(matches!(error, Error::PresenceTaken), "{error:?}");
}
