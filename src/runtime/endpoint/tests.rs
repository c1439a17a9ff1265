use std::io::{Read, Write};

use super::*;
use crate::runtime::testing::{eventually, free_port};

/// Long enough that only a connect without an answer ends by it.
const PATIENT: Duration = Duration::from_secs(10);

fn outcome<T, Outcome>(result: Result<T, Failed<Outcome>>) -> Option<Outcome> {
    result.err().map(|failed| failed.outcome)
}

#[test]
fn one_listens_and_all_others_find_the_port_in_use_until_it_is_closed() {
    let port = free_port();
    assert_eq!(outcome(connect(port, PATIENT)), Some(Connected::Refused));
    let listener = listen(port).unwrap();
    assert_eq!(outcome(listen(port)), Some(Bound::InUse));
    let stream = connect(port, PATIENT).unwrap();
    assert!(stream.nodelay().unwrap());
    let (mut peer, _) = listener.accept().unwrap();
    peer.write_all(b"x").unwrap();
    (&*stream).read_exact(&mut [0]).unwrap();
    drop(listener);
    assert_eq!(outcome(connect(port, PATIENT)), Some(Connected::Refused));
}

#[test]
fn the_port_of_a_closed_supervisor_is_free_although_its_connections_linger() {
    let port = free_port();
    for closed_first_by_the_supervisor in [true, false] {
        let listener = listen(port).unwrap();
        let stream = connect(port, PATIENT).unwrap();
        let (peer, _) = listener.accept().unwrap();
        if closed_first_by_the_supervisor {
            drop((peer, listener));
            // The connection is half closed and the survivor has not even noticed.
            drop(listen(port).unwrap());
            drop(stream);
        } else {
            drop((stream, listener));
            drop(listen(port).unwrap());
            drop(peer);
        }
        drop(listen(port).unwrap());
    }
}

#[test]
fn of_two_that_bound_only_one_can_listen() {
    let port = free_port();
    let slow = bind(port).unwrap();
    let listener = listen(port).unwrap();
    assert_eq!(slow.listen(BACKLOG).map_err(|error| error.kind()), Err(io::ErrorKind::AddrInUse));
    drop(slow);
    connect(port, PATIENT).unwrap();
    drop(listener);
}

#[test]
fn errors_of_the_kernel_become_outcomes() {
    use io::ErrorKind as Kind;
    for (kind, bound, connected) in [
        (Kind::AddrInUse, Bound::InUse, Connected::Failed),
        (Kind::PermissionDenied, Bound::Denied, Connected::Failed),
        (Kind::AddrNotAvailable, Bound::Failed, Connected::Failed),
        (Kind::ConnectionRefused, Bound::Failed, Connected::Refused),
        (Kind::ConnectionReset, Bound::Failed, Connected::Reset),
        (Kind::NotConnected, Bound::Failed, Connected::Reset),
        (Kind::TimedOut, Bound::Failed, Connected::TimedOut),
    ] {
        assert_eq!((not_bound(kind), not_connected(kind)), (bound, connected), "{kind}");
    }
}

#[test]
fn a_socket_connected_to_itself_is_noticed_and_does_not_keep_the_port() {
    let port = free_port();
    assert_eq!(outcome(connect_from(bind(port).unwrap(), port, PATIENT)), Some(Connected::SelfConnected));
    listen(port).unwrap();
}

#[test]
fn the_source_port_of_a_stranger_is_in_use_and_refused_but_that_of_an_instance_is_free() {
    let service = TcpListener::bind(address(0)).unwrap();
    let service_port = service.local_addr().unwrap().port();
    let stranger = TcpStream::connect(address(service_port)).unwrap();
    let port = stranger.local_addr().unwrap().port();
    assert_eq!(outcome(listen(port)), Some(Bound::InUse));
    assert_eq!(outcome(connect(port, PATIENT)), Some(Connected::Refused));
    // Not always the first: connections to different places can share a source port, and the other can be a stranger's.
    let mut own = Vec::new();
    assert!(eventually(|| {
        own.push(connect(service_port, PATIENT).unwrap());
        own.last().is_some_and(|own| listen(own.local_addr().unwrap().port()).is_ok())
    }));
}

#[test]
fn hundreds_can_wait_to_be_accepted() {
    let port = free_port();
    let _listener = listen(port).unwrap();
    let waiting: Vec<_> = (0..300).map(|_| connect(port, PATIENT).unwrap()).collect();
    assert_eq!(waiting.len(), 300);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_queue_answers_nobody_and_connect_gives_up() {
    let port = free_port();
    let full = bind(port).unwrap();
    full.listen(0).unwrap();
    let mut waiting = Vec::new();
    let given_up = loop {
        match connect(port, Duration::from_millis(20)) {
            Ok(stream) => waiting.push(stream),
            Err(failed) => break failed.outcome,
        }
    };
    assert_eq!(given_up, Connected::TimedOut);
}

/// A connection, made and accepted, both prepared.
fn pair() -> (TcpStream, TcpStream) {
    let port = free_port();
    let listener = listen(port).unwrap();
    let made = connect(port, PATIENT).unwrap().try_clone().unwrap();
    let (accepted, _) = listener.accept().unwrap();
    prepare(&accepted).unwrap();
    (made, accepted)
}

#[test]
fn what_a_reading_peer_was_sent_is_soon_sent() {
    let (mut here, mut there) = pair();
    assert!(!unsent(&here).unwrap());
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        there.read_to_end(&mut all).map(|_| all.len())
    });
    for _ in 0..64 {
        here.write_all(&[1; 1 << 16]).unwrap();
    }
    assert!(wait_sent(&here, PATIENT).unwrap());
    drop(here);
    assert_eq!(reader.join().unwrap().unwrap(), 64 << 16);
}

#[test]
fn a_connection_that_was_reset_is_over() {
    let (mut here, there) = pair();
    SockRef::from(&there).set_linger(Some(Duration::ZERO)).unwrap();
    drop(there);
    if CAN_TELL_UNSENT {
        assert!(unsent(&here).is_err());
    }
    assert!(here.read(&mut [0]).is_err());
}

/// The bytes that lie unread at this end, as the kernel counts them.
#[cfg(all(target_os = "linux", feature = "native"))]
fn arrived(there: &TcpStream) -> u64 {
    let ends = [there.local_addr().unwrap(), there.peer_addr().unwrap()];
    let ends = ends.map(|end| format!("0100007F:{:04X}", end.port())).join(" ");
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let line = table.lines().find(|line| line.contains(&ends)).unwrap();
    let (_, unread) = line.split_whitespace().nth(4).unwrap().split_once(':').unwrap();
    u64::from_str_radix(unread, 16).unwrap()
}

#[cfg(all(target_os = "linux", feature = "native"))]
#[test]
fn nothing_is_unsent_only_when_the_peer_that_does_not_read_has_it_all() {
    for size in [1_500, 20_000, 100_000] {
        let (mut here, mut there) = pair();
        here.set_nonblocking(true).unwrap();
        let mut written = 0;
        loop {
            // With a peer that does not read, every eighteenth small write is sent only when its kernel acknowledges
            // those before, which it does after 44 ms: so a full peer is one that takes nothing for longer.
            if wait_sent(&here, Duration::from_millis(200)).unwrap() {
                assert_eq!(arrived(&there), written, "writes of {size}");
                written += here.write(&vec![7; size]).unwrap() as u64;
            } else if arrived(&there) < written && unsent(&here).unwrap() {
                break;
            }
        }
        // The peer reads again.
        here.set_nonblocking(false).unwrap();
        let reader = std::thread::spawn(move || io::copy(&mut there, &mut io::sink()));
        assert!(wait_sent(&here, PATIENT).unwrap() && !unsent(&here).unwrap());
        drop(here);
        assert_eq!(reader.join().unwrap().unwrap(), written);
    }
}

/// Whether the kernel still has bytes for the peer that it has not sent.
fn unsent(stream: &TcpStream) -> io::Result<bool> {
    wait_sent(stream, Duration::ZERO).map(|sent| !sent)
}
