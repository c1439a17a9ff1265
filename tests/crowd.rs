//! Crowds on the port: what they cost while they are there, and that they keep no member out.

mod fleet;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use bellwether::InstanceId;
use bellwether::ident::{Nonce, Stamp};
use bellwether::wire::frame::{LIMIT_BEFORE_ACCEPTANCE, Message};
use bellwether::wire::message::{Entry, NameSort, Profile, Standing, ToMember, ToSupervisor};
use fleet::kernel::status_of;
use fleet::schedules::{court, expect_reign, kill};
use fleet::strangers::{Crowd, connect, encoded, hello, join, raise_descriptors, show};
use fleet::{Fleet, Member};

/// So many connections, or as many as this process may have.
fn crowd_of(count: usize) -> usize {
    count.min(raise_descriptors() / 2 - 100)
}

/// A fleet of three whose window limit is short, one of which holds a lock; and a membership without a member, for which
/// every window waits until its limit has passed.
fn group() -> (Fleet, Member, Vec<Member>, u64, [std::os::unix::net::UnixDatagram; 2]) {
    let fleet = Fleet::with("limit=300");
    let members = fleet.members(3, "");
    let epoch = fleet.agree(&members).epoch;
    let (supervisor, rest) = court(&fleet, &members);
    rest[0].lock("g", "mutex line").unwrap();
    let id = InstanceId::new(7);
    let faked = ["", "/m/0000000000000001"].map(|sort| show(format!("bellwether/{}/{id}{sort}", fleet.port)));
    (fleet, supervisor, rest, epoch, faked)
}

/// The window closes by its limit, and the locks go on.
fn assert_goes_on(supervisor: &Member, rest: &[Member], epoch: u64) {
    kill(supervisor);
    expect_reign(rest, epoch);
    assert!(rest[0].is_held("g"));
    rest[1].lock("h", "mutex other").unwrap();
    rest[0].unlock("g").unwrap();
    rest[1].lock("next", "mutex line").unwrap();
    for member in rest {
        assert_eq!(member.events(0, "forfeited").len(), 0, "{}", member.id);
    }
}

#[test]
fn b3_a_crowd_of_silent_connections_does_not_stop_the_limit() {
    let count = crowd_of(4700);
    let (fleet, supervisor, rest, epoch, _faked) = group();
    let _crowd = Crowd::new(fleet.port, count, Vec::new());
    assert_goes_on(&supervisor, &rest, epoch);
}

#[test]
fn b3_a_crowd_that_says_hello_and_no_more_does_not_stop_the_limit() {
    let count = crowd_of(1000);
    let (fleet, supervisor, rest, epoch, _faked) = group();
    let _crowd = Crowd::new(fleet.port, count, encoded(&[hello(9, 1)]));
    assert_goes_on(&supervisor, &rest, epoch);
}

#[test]
fn p15_a_silent_connection_costs_no_thread() {
    let count = crowd_of(1000);
    let (fleet, supervisor, rest, _, _faked) = group();
    let before = status_of(supervisor.process.pid, "Threads");
    let crowd = Crowd::new(fleet.port, count, Vec::new());
    rest[1].lock("h", "mutex other").unwrap();
    let after = status_of(supervisor.process.pid, "Threads");
    assert!(after < before + 20, "{before} threads, then {after}");
    drop(crowd);
}

#[test]
fn p15_fast_talkers_are_sent_away_and_keep_nobody_out() {
    let (fleet, _, rest, _, _faked) = group();
    let begin = |id| encoded(&[hello(id, 1), join(&fleet.group)]);
    let names = |count: u64| {
        ToSupervisor::Names(NameSort::Heard, (0..count).map(|id| (InstanceId::new(id), Nonce::default())).collect())
    };
    let all = [
        encoded(&[ToSupervisor::Ping(1)]).repeat(1000),
        encoded(&[names(0)]).repeat(1000),
        encoded(&[names(4000)]),
        vec![0],
    ];
    let talkers: Vec<_> = (100..)
        .zip(all.iter().chain(&all))
        .map(|(id, words)| {
            let mut stream = connect(fleet.port);
            stream.set_nodelay(true).unwrap();
            stream.write_all(&begin(id)).unwrap();
            if words.len() == 1 {
                // The head of a frame that never ends.
                stream.write_all(&[0, 1, 0, 0, 3]).unwrap();
            }
            let words = words.clone();
            // Only a stream that was ended takes no more.
            std::thread::spawn(move || while stream.write_all(&words).is_ok() {})
        })
        .collect();
    for n in 0..50 {
        rest[1].lock(&format!("h{n}"), &format!("mutex other-{n}")).unwrap();
    }
    fleet.member("").ask("leave").unwrap();
    // One byte at a time is sent away by the time it takes, before so many bytes have come.
    talkers.into_iter().for_each(|talker| talker.join().unwrap());
    fleet.member("").ask("leave").unwrap();
}

#[test]
fn p15_the_memory_that_unaccepted_handshakes_take_is_bounded() {
    let count = crowd_of(1800);
    let (fleet, supervisor, rest, _, _faked) = group();
    let mut words = encoded(&[hello(9, 1), join(&fleet.group), ToSupervisor::Names(NameSort::Known, Vec::new())]);
    words.extend((LIMIT_BEFORE_ACCEPTANCE as u32).to_be_bytes());
    words.push(3);
    words.resize(words.len() + LIMIT_BEFORE_ACCEPTANCE - 2, 0);
    let before = status_of(supervisor.process.pid, "VmHWM");
    let mut kept = Vec::new();
    for id in 0..count as u64 {
        let mut stream = connect(fleet.port);
        let mut own = encoded(&[hello(1000 + id, 1)]);
        own.extend_from_slice(&words[encoded(&[hello(9, 1)]).len()..]);
        // It may have been dropped by then.
        let _ = stream.write_all(&own);
        kept.push(stream);
    }
    // A newcomer is not among those that are dropped; it can be that it has to wait until all of them were read.
    fleet::eventually("a newcomer gets in", || fleet.joining("").answer().is_ok());
    rest[1].lock("h", "mutex other").unwrap();
    let grown = status_of(supervisor.process.pid, "VmHWM") - before;
    assert!(grown < (64 + 40) * 1024, "{grown} kB for {count} connections");
}

#[test]
fn p15_a_supervisor_that_lies_cannot_fill_a_members_memory() {
    let fleet = Fleet::new();
    let listener = TcpListener::bind(("127.0.0.1", fleet.port)).unwrap();
    let joining = fleet.joining("");
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
    let count = stream.read(&mut [0; 4096]).unwrap();
    assert!(count > 0, "a hello");
    let profile = Profile {
        pid: 1,
        version: 0,
        since: Stamp::default().n,
        presence: 0,
        paused: false,
        label: "".into(),
        payload: vec![7; 4096].into(),
    };
    let entries = (0..240).map(|id| Entry {
        id: InstanceId::new(id),
        nonce: Nonce::default(),
        profile: profile.clone(),
        standing: Standing::Active,
    });
    let mut frame = Vec::new();
    ToMember::Entries(entries.collect()).encode(&mut frame);
    let taken = (0..600).take_while(|_| stream.write_all(&frame).is_ok()).count();
    assert!(taken < 600, "it took everything");
    let peak = status_of(joining.process.pid, "VmHWM");
    assert!(peak < 200 * 1024, "{peak} kB");
    drop((stream, listener));
    // It may have tried again meanwhile, and have found no other.
    let answer = joining.answer();
    assert!(answer.as_ref().map_or_else(|error| error.contains("ForeignService"), |_| true), "{answer:?}");
}
