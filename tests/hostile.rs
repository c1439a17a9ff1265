//! Strangers on the port, and what else cannot be trusted: everybody else goes on undisturbed.

#[path = "hostile/elections.rs"]
mod elections;
mod fleet;
#[path = "hostile/identity.rs"]
mod identity;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bellwether::ident::{Attempt, Kind, Nonce, Request, Resource, Stamp};
use bellwether::wire::WIRE_VERSION;
use bellwether::wire::frame::{Decoder, LIMIT_AFTER_TRUST, LIMIT_BEFORE_ACCEPTANCE, LIMIT_BEFORE_TRUST};
use bellwether::wire::message::{Mode, NameSort, ToMember, ToSupervisor, Want};
use bellwether::{Epoch, Error, Group, InstanceId, Name, PortReason, Refusal, Token};
use fleet::strangers::{answers, connect, encoded, hello, join, join_from, show};
use fleet::{Agreed, Fleet, Member, Network, free_port};

/// What a stranger is told who says this and then waits.
fn told(port: u16, bytes: &[u8]) -> Vec<ToMember> {
    let mut stream = connect(port);
    stream.write_all(bytes).unwrap();
    answers(stream)
}

fn refused(port: u16, bytes: &[u8]) -> Refusal {
    let mut frames = told(port, bytes);
    match frames.pop() {
        Some(ToMember::Refused(refusal)) if frames.is_empty() => refusal,
        last => panic!("{frames:?} {last:?}"),
    }
}

/// That the group is as it was, and that one can still join it, leave it, and read the right registry.
fn assert_undisturbed(fleet: &Fleet, members: &[Member], before: &Agreed) {
    let visitor = fleet.member("");
    let all: Vec<_> = members.iter().chain([&visitor]).cloned().collect();
    assert_eq!(fleet.agree(&all).epoch, before.epoch);
    visitor.ask("leave").unwrap();
    let after = fleet.agree(members);
    assert_eq!((after.epoch, &after.registry), (before.epoch, &before.registry));
    for member in members {
        for kind in ["disconnected", "hung", "forfeited"] {
            assert_eq!(member.events(0, kind).len(), 0, "{kind} at {}", member.id);
        }
    }
}

fn group_of_four() -> (Fleet, Vec<Member>, Agreed) {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(4, "");
    let agreed = fleet.agree(&members);
    (fleet, members, agreed)
}

#[test]
fn b3_a_survivor_that_is_answered_at_the_door_can_be_granted_things_afterwards() {
    let fleet = Fleet::with("limit=none");
    let id = InstanceId::new(7);
    let _presence = show(format!("bellwether/{}/{id}", fleet.port));
    let _membership = show(format!("bellwether/{}/{id}/m/0000000000000001", fleet.port));
    let joining = fleet.joining("");
    fleet::eventually("the winner listens", || fleet::kernel::is_listened_on(fleet.port));
    // All it has to say is there when the winner takes its connection, and completes the window.
    joining.process.stop();
    let mut stream = connect(fleet.port);
    let stamp = Stamp { epoch: Epoch::new(1), n: 1 };
    let names = ToSupervisor::Names(NameSort::Known, vec![(id, Nonce::new(7))]);
    stream.write_all(&encoded(&[hello(7, 1), join_from(&fleet.group, stamp), names, ToSupervisor::ClaimsEnd])).unwrap();
    joining.process.resume();
    fleet.joined(joining);
    let want = Want {
        request: Request::new(1),
        name: Resource::new(Kind::Mutex, Name::new("lock").unwrap()),
        mode: Mode::Exclusive,
    };
    stream.write_all(&encoded(&[ToSupervisor::Acquire(want)])).unwrap();
    let mut decoder = Decoder::new(LIMIT_AFTER_TRUST);
    loop {
        match decoder.next().expect("the supervisor speaks the wire") {
            Some(ToMember::Grant(_)) => break,
            Some(_) => {}
            None => {
                let count = stream.read(decoder.space()).expect("an answer");
                assert!(count > 0, "the connection was ended");
                decoder.filled(count);
            }
        }
    }
}

#[test]
fn the_office_begins_when_everyone_has_been_told_of_the_reign() {
    let fleet = Fleet::with("limit=none payload=4096");
    let ids = [7, 8, 9].map(InstanceId::new);
    let shown =
        ids.map(|id| ["", "/m/0000000000000001"].map(|sort| show(format!("bellwether/{}/{id}{sort}", fleet.port))));
    let joining = fleet.joining("");
    fleet::eventually("the winner listens", || fleet::kernel::is_listened_on(fleet.port));
    // They say all that is awaited and cannot be told much: as long as they may still be, a later supervisor that learns
    // from them alone could count its reign like this one.
    let deaf = ids.map(|id| {
        let deaf = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        deaf.set_recv_buffer_size(1).unwrap();
        deaf.connect(&std::net::SocketAddr::from(([127, 0, 0, 1], fleet.port)).into()).unwrap();
        let ToSupervisor::Join(mut join) = join_from(&fleet.group, Stamp { epoch: Epoch::new(1), n: 1 }) else {
            unreachable!("it is a join");
        };
        join.profile.payload = vec![7; 4096].into();
        let names = ToSupervisor::Names(NameSort::Known, ids.map(|id| (id, Nonce::new(id.number()))).to_vec());
        let words = [hello(id.number(), 1), ToSupervisor::Join(join), names, ToSupervisor::ClaimsEnd];
        (&deaf).write_all(&encoded(&words)).unwrap();
        deaf
    });
    let winner = fleet.joined(joining);
    winner.ask("office").unwrap();
    let aside = winner.status().registry.iter().filter(|row| row.standing == "Aside").count();
    assert_eq!(aside, ids.len());
    drop((shown, deaf));
}

#[test]
fn p15_nonsense_is_answered_with_a_reason_and_disturbs_nobody() {
    let (fleet, members, agreed) = group_of_four();
    let port = fleet.port;
    let greeting = encoded(&[hello(1, 1)]);
    let huge = |limit: usize| u32::try_from(limit + 1).unwrap().to_be_bytes().to_vec();
    let mut wrong_magic = greeting.clone();
    wrong_magic[5] ^= 1;
    let mut trailing = greeting.clone();
    trailing.push(0);
    let grown = u32::from_be_bytes(trailing[..4].try_into().unwrap()) + 1;
    trailing[..4].copy_from_slice(&grown.to_be_bytes());
    for (what, bytes) in [
        ("garbage", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        ("zeroes", vec![0; 64]),
        ("a length of nothing", vec![0, 0, 0, 0]),
        ("an oversized length", huge(LIMIT_BEFORE_TRUST)),
        ("an unknown kind", vec![0, 0, 0, 1, 250]),
        ("a wrong magic", wrong_magic),
        ("trailing bytes", trailing),
        ("a cut field", vec![0, 0, 0, 3, 1, 0x42, 0x45]),
        ("a frame before hello", encoded(&[ToSupervisor::Ping(1)])),
        ("leave before hello", encoded(&[ToSupervisor::Leave])),
        ("join before hello", encoded(&[join(&fleet.group)])),
        // Each under its own id: of two connections of one id with the same attempt the second is not listened to.
        ("a second hello", encoded(&[hello(2, 1), hello(2, 2)])),
        ("a request before the claims end", encoded(&[hello(3, 1), join(&fleet.group), ToSupervisor::Pong(1)])),
        ("an oversized length after hello", [encoded(&[hello(4, 1)]), huge(LIMIT_BEFORE_ACCEPTANCE)].concat()),
        ("garbage after hello", [encoded(&[hello(5, 1)]), vec![0, 0, 0, 1, 200]].concat()),
    ] {
        let frames = told(port, &bytes);
        assert!(matches!(frames[..], [ToMember::Refused(Refusal::Protocol(_))]), "{what}: {frames:?}");
    }
    // Who hangs up in the middle is told nothing.
    for cut in 0..greeting.len() {
        let mut stream = connect(port);
        stream.write_all(&greeting[..cut]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(answers(stream), []);
    }
    assert_undisturbed(&fleet, &members, &agreed);
}

#[test]
fn p15_a_member_that_breaks_the_protocol_after_its_welcome_is_ended() {
    let (fleet, members, agreed) = group_of_four();
    for (id, broken) in (7..).zip([encoded(&[hello(7, 2)]), encoded(&[join(&fleet.group)]), vec![0, 0, 0, 1, 250]]) {
        let mut stream = connect(fleet.port);
        stream.write_all(&encoded(&[hello(id, 1), join(&fleet.group), ToSupervisor::ClaimsEnd])).unwrap();
        stream.write_all(&broken).unwrap();
        let frames = answers(stream);
        assert!(matches!(frames.last(), Some(ToMember::Refused(Refusal::Protocol(_)))), "{frames:?}");
    }
    assert_undisturbed(&fleet, &members, &agreed);
}

#[test]
fn p15_another_wire_version_is_refused_with_both_versions() {
    let (fleet, members, agreed) = group_of_four();
    let mut newer = encoded(&[hello(1, 1)]);
    newer[9..11].copy_from_slice(&(WIRE_VERSION + 6).to_be_bytes());
    let expected = Refusal::Wire { supervisor: WIRE_VERSION, client: WIRE_VERSION + 6 };
    assert_eq!(refused(fleet.port, &newer), expected);
    // A member says all of its handshake at once, and only the first frame of it is the same in all versions.
    newer.extend([0, 0, 0, 2, 0xee, 0xee]);
    assert_eq!(refused(fleet.port, &newer), expected);
    assert_undisturbed(&fleet, &members, &agreed);
}

#[test]
fn p15_another_group_on_the_port_is_told_apart() {
    let (fleet, members, agreed) = group_of_four();
    assert_eq!(refused(fleet.port, &encoded(&[hello(1, 1), join("another")])), Refusal::Group);
    let another = || Group::new("another").unwrap().port(fleet.port);
    // Whoever only wants to look is not shown the wrong group either.
    for error in [another().join().map(drop), another().observe().map(drop)].map(Result::unwrap_err) {
        let told =
            matches!(&error, Error::PortUnusable { reason: PortReason::OtherGroup, port, .. } if *port == fleet.port);
        assert!(told, "{error:?}");
    }
    assert_undisturbed(&fleet, &members, &agreed);
}

#[test]
fn p15_a_full_group_says_so() {
    let fleet = Fleet::with("members=2");
    let members = fleet.members(2, "");
    let agreed = fleet.agree(&members);
    let error = fleet.joining("").answer().unwrap_err();
    assert!(error.starts_with("Refused(Full"), "{error}");
    let (supervisor, leaver) = (&members[agreed.supervisor], &members[1 - agreed.supervisor]);
    leaver.ask("leave").unwrap();
    // Who has left has said so; that the supervisor has heard it is another matter.
    supervisor.expect(0, "ended", &[("id", leaver.id.as_str()), ("reason", "Left")]);
    let next = fleet.member("");
    fleet.agree(&[supervisor.clone(), next]);
}

/// Keeps doing something on a thread until dropped.
struct Nuisance(Arc<AtomicBool>, Option<std::thread::JoinHandle<()>>);

impl Nuisance {
    fn new(mut act: impl FnMut() + Send + 'static) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let seen = over.clone();
        let act = move || {
            while !seen.load(Ordering::Relaxed) {
                act();
            }
        };
        Self(over, Some(std::thread::spawn(act)))
    }
}

impl Drop for Nuisance {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        let _ = self.1.take().map(std::thread::JoinHandle::join);
    }
}

/// Says a hello as slowly as this, and begins again when it is told off.
fn dribble(port: u16, pause: Duration) -> Nuisance {
    let bytes = encoded(&[hello(9, 1), join("nobody"), ToSupervisor::ClaimsEnd]);
    let (mut stream, mut next) = (connect(port), 0);
    Nuisance::new(move || {
        std::thread::sleep(pause);
        // Never the last byte: the handshake is always owed.
        if stream.write_all(&bytes[next..=next]).is_err() || next + 2 == bytes.len() {
            if let Ok(again) = TcpStream::connect(("127.0.0.1", port)) {
                (stream, next) = (again, 0);
            }
        } else {
            next += 1;
        }
    })
}

#[test]
fn p15_strangers_that_are_slow_or_silent_disturb_nobody() {
    let (fleet, members, agreed) = group_of_four();
    let _slow = dribble(fleet.port, Duration::from_millis(50));
    let _silent: Vec<_> = (0..500).map(|_| connect(fleet.port)).collect();
    assert_undisturbed(&fleet, &members, &agreed);
    let mut members = members;
    let supervisor = members.remove(agreed.supervisor);
    supervisor.process.kill();
    supervisor.process.reap();
    let after = fleet.agree(&members);
    assert!(after.epoch > agreed.epoch);
    for member in &members {
        assert_eq!(member.events(0, "forfeited").len(), 0);
    }
}

#[test]
fn p15_strangers_that_are_silent_or_never_stop_talking_are_sent_away() {
    let (fleet, members, agreed) = group_of_four();
    let mut strangers: Vec<_> = (0..20).map(|_| connect(fleet.port)).collect();
    let mut talker = connect(fleet.port);
    talker.set_nodelay(true).unwrap();
    talker.write_all(&encoded(&[hello(9, 1), join(&fleet.group)])).unwrap();
    let mut talking = talker.try_clone().unwrap();
    strangers.push(talker);
    let names = encoded(&[ToSupervisor::Names(bellwether::wire::message::NameSort::Heard, Vec::new())]);
    let _talk = Nuisance::new(move || {
        // So rarely that it is the time that is too much, and not the frames.
        std::thread::sleep(Duration::from_millis(30));
        let _ = talking.write_all(&names);
    });
    for stream in strangers {
        assert_eq!(answers(stream), [ToMember::Refused(Refusal::Slow)]);
    }
    assert_undisturbed(&fleet, &members, &agreed);
}

#[test]
fn b3_a_stranger_that_dribbles_cannot_hold_a_window_open() {
    let fleet = Fleet::with("limit=300");
    let members = fleet.members(4, "");
    let agreed = fleet.agree(&members);
    let mut rest = members;
    let supervisor = rest.remove(agreed.supervisor);
    let stopped = rest.remove(0);
    stopped.process.stop();
    supervisor.process.kill();
    supervisor.process.reap();
    for member in &rest {
        member.event(0, "the welcome in the open window", |event| (event.kind() == "welcomed").then_some(()));
    }
    // One long greeting, faster than the supervisor looks at it.
    let bytes = [encoded(&[hello(9, 1)]), vec![0, 1, 0, 0, 3], vec![1; 0x1_0000]].concat();
    let mut stream = connect(fleet.port);
    stream.set_nodelay(true).unwrap();
    let mut next = 0;
    let _slow = Nuisance::new(move || {
        std::thread::sleep(Duration::from_millis(3));
        if stream.write_all(&bytes[next..=next]).is_ok() {
            next += 1;
        }
    });
    for member in &rest {
        member.reign_after(agreed.epoch);
        member.expect(0, "ended", &[("id", stopped.id.as_str()), ("reason", "Evicted")]);
    }
}

// ---------------------------------------------------------------------------------------------------- unusable ports

fn join_error(port: u16) -> String {
    let group = Group::new("hostile").unwrap().port(port);
    format!("{:?}", group.join().expect_err("the port cannot be used"))
}

/// A service that does this with every connection.
fn service(serve: impl Fn(TcpStream) + Send + 'static) -> u16 {
    let port = free_port();
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    std::thread::spawn(move || listener.incoming().flatten().for_each(serve));
    port
}

#[test]
fn p15_a_service_that_answers_something_else_is_a_foreign_service() {
    for words in [&b"220 mail.example.org ESMTP\r\n"[..], b"HTTP/1.1 400 Bad Request\r\n\r\n", &[0xff; 64], &[0; 64]] {
        let port = service(move |mut stream| {
            let _ = stream.write_all(words);
            let _ = stream.read(&mut [0; 256]);
        });
        let error = join_error(port);
        assert!(error.contains("ForeignService"), "{error}");
        let error = Group::new("hostile").unwrap().port(port).observe().expect_err("nobody to observe");
        assert!(format!("{error:?}").contains("ForeignService"), "{error:?}");
    }
}

#[test]
fn b2_a_listener_that_takes_every_id_away_keeps_no_join_for_ever() {
    let port = service(|mut stream| {
        let _ = stream.read(&mut [0; 256]);
        let _ = stream.write_all(&encoded(&[ToMember::Forfeited]));
    });
    join_error(port);
}

#[test]
fn p15_a_service_that_hangs_up_is_told_apart() {
    let error = join_error(service(drop));
    assert!(error.contains("HangsUp") && error.contains(&format!("pid: {}", std::process::id())), "{error}");
}

#[test]
fn p15_a_service_that_stays_mute_is_reported_as_unresponsive() {
    let kept = std::sync::Mutex::new(Vec::new());
    let port = service(move |stream| kept.lock().unwrap().push(stream));
    // Both wait for some seconds.
    let group = move || Group::new("hostile").unwrap().port(port);
    let observing = std::thread::spawn(move || group().observe().map(drop));
    for error in [group().join().map(drop), observing.join().unwrap()].map(Result::unwrap_err) {
        let Error::SupervisorUnresponsive { port: named, listener: Some(listener), .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!((*named, listener.pid), (port, std::process::id()));
    }
}

/// A listener whose queue is full, so that the kernel drops every further request to connect.
fn full_queue(port: u16) -> (TcpListener, Vec<TcpStream>) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    socket.bind(&address.into()).unwrap();
    socket.listen(0).unwrap();
    let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok();
    (socket.into(), std::iter::from_fn(connect).take(100).collect())
}

#[test]
fn b2_who_asks_a_listener_that_takes_no_connection_hears_so_within_seconds() {
    let fleet = Fleet::new();
    let _full = full_queue(fleet.port);
    let own = format!("process {}", std::process::id());
    // Both at once; each in a process of its own.
    let joining = fleet.joining("");
    let watcher = fleet.process();
    let observing = watcher.say(&format!("observe o group={} port={}", fleet.group, fleet.port));
    for error in [joining.answer().map(drop), watcher.answer(observing).map(drop)].map(Result::unwrap_err) {
        assert!(error.starts_with("SupervisorUnresponsive"), "{error}");
        assert!(error.contains(&own) && !error.contains("an instance"), "{error}");
        assert!(error.contains(&fleet.port.to_string()), "{error}");
    }
}

#[test]
fn b2_a_stopped_supervisor_whose_queue_is_full_is_named_and_stays_supervisor() {
    if fleet::network("b2_a_stopped_supervisor_whose_queue_is_full_is_named_and_stays_supervisor") != Network::Own {
        return;
    }
    std::fs::write("/proc/sys/net/core/somaxconn", "1").unwrap();
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(3, "");
    let agreed = fleet.agree(&members);
    let supervisor = &members[agreed.supervisor];
    supervisor.process.stop();
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], fleet.port));
    let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok();
    let queued: Vec<_> = std::iter::from_fn(connect).take(100).collect();
    let error = fleet.joining("").answer().unwrap_err();
    assert!(error.starts_with("SupervisorUnresponsive"), "{error}");
    let named = format!("process {}", supervisor.process.pid);
    assert!(error.contains(&named) && error.contains("an instance on this port, which stands still"), "{error}");
    drop(queued);
    supervisor.process.resume();
    assert_eq!(fleet.agree(&members).epoch, agreed.epoch);
}

#[test]
fn p15_a_port_that_is_somebodys_source_port_is_told_apart() {
    use socket2::{Domain, SockAddr, Socket, Type};
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let stranger = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let address = |port: u16| SockAddr::from(std::net::SocketAddr::from(([127, 0, 0, 1], port)));
    // The kernel chooses, for `free_port` also gives ports on which ended connections of an earlier group linger: these
    // do not hinder a supervisor, but a stranger who does not share its port.
    stranger.bind(&address(0)).unwrap();
    let port = stranger.local_addr().unwrap().as_socket().unwrap().port();
    stranger.connect(&address(target.local_addr().unwrap().port())).unwrap();
    let error = join_error(port);
    assert!(error.contains("SourcePort"), "{error}");
    drop(stranger);
}

#[test]
fn p15_a_port_that_one_may_not_bind_is_told_apart() {
    assert!(join_error(0).contains("Reserved"));
    let first_free: u32 = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start")
        .map_or(1024, |text| text.trim().parse().unwrap());
    if first_free < 2 {
        println!("skipped: on this machine everybody may bind every port");
        return;
    }
    let fleet = Fleet::new();
    let mut command = Command::new(std::env::current_exe().unwrap());
    if rustix::process::geteuid().is_root() {
        // Somebody without rights; whether this binary can be read then depends on where it lies.
        command.uid(65_534);
    }
    let nobody = fleet.start(&mut command);
    let error = fleet.join_in(&nobody, "port=1").answer().unwrap_err();
    assert!(error.contains("PortUnusable") && error.contains("Reserved"), "{error}");
}

#[test]
fn a_join_for_which_no_thread_is_left_fails_and_says_so() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: the threads of a user whom nobody else uses cannot be counted");
        return;
    }
    let mut told = 0;
    // Nobody else's, also if this runs twice at a time.
    let user = 20_000 + std::process::id() % 40_000;
    // Somewhere between too few for the process and enough for the join.
    for threads in 2..=7 {
        let fleet = Fleet::new();
        let mut command = Command::new("prlimit");
        command.arg(format!("--nproc={threads}")).arg(std::env::current_exe().unwrap()).uid(user);
        if let Some(Err(error)) = fleet.visit(&mut command) {
            assert!(error.contains("start a thread"), "{error}");
            told += 1;
        }
    }
    assert!(told > 0);
}
