use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};

use super::super::callbacks::Callbacks;
use super::*;
use crate::coordinator::session::{Session, Withdrawal};
use crate::ident::{Epoch, InstanceId, Kind, Name, Request, Resource, Stamp, Token};
use crate::runtime::lock;
use crate::runtime::presence::Mechanism;
use crate::runtime::shared::{Seat, Settings};
use crate::wire::frame::Message;
use crate::wire::message::{Profile, Purpose, Value, ViewHead, Welcome};

fn name() -> Name {
    Name::new("group").expect("a short name")
}

/// An instance that has said hello, its connection, and the supervisor's end of that.
fn greeted() -> (Shared, std::sync::Arc<Peer>, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let stream = TcpStream::connect(listener.local_addr().expect("its address")).expect("a connection");
    let (supervisor, _) = listener.accept().expect("the connection");
    let settings = Settings {
        group: name(),
        port: 1,
        purpose: Purpose::Member,
        mechanism: Mechanism::Datagram,
        window_limit: None,
        member_limit: 9,
        stop_limit: None,
        callbacks: Callbacks::default(),
        succession: true,
    };
    let profile =
        Profile { pid: 1, version: 0, since: 0, presence: 0, paused: false, label: "".into(), payload: [].into() };
    let shared =
        Shared::new(settings, Session::new(InstanceId::new(2), crate::ident::Nonce::new(1), name(), profile), None);
    let peer = std::sync::Arc::new(Peer::new(Owned::new(stream)).expect("its options"));
    assert!(shared.state().sit(Seat::Subordinate(peer.clone())));
    shared.state().hello();
    (shared, peer, supervisor)
}

fn welcome() -> Vec<u8> {
    let stamp = Stamp { epoch: Epoch::new(9), n: 1 };
    let view = Some(ViewHead { stamp, base: Token::new(90), written: 0, whole: true });
    let mut bytes = Vec::new();
    ToMember::Welcome(Welcome { supervisor: InstanceId::new(3), pid: 1, view }).encode(&mut bytes);
    bytes
}

/// All that the instance has said until now.
fn said(peer: &Peer, supervisor: &TcpStream) -> Vec<ToSupervisor> {
    peer.stream.shutdown(Shutdown::Write).expect("an open connection");
    let mut decoder = Decoder::new(LIMIT_AFTER_TRUST);
    let mut frames = Vec::new();
    loop {
        let count = (&*supervisor).read(decoder.space()).expect("what was said");
        if count == 0 {
            return frames;
        }
        decoder.filled(count);
        while let Some(frame) = decoder.next().expect("whole frames") {
            frames.push(frame);
        }
    }
}

#[test]
fn what_is_given_up_while_it_is_said_again_is_not_left_at_the_supervisor() {
    let (shared, peer, mut supervisor) = greeted();
    let last = (0..3000).map(|_| shared.state().session.arrive(name(), 4).0).last().expect("an arrival");
    supervisor.write_all(&welcome()).expect("the welcome");
    endpoint::wait_readable(&peer.stream, Duration::from_secs(20));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            loop {
                let mut state = shared.state();
                if !state.session.is_settled() {
                    continue;
                }
                let Withdrawal::Asked(frame) = state.session.withdraw(last) else { panic!("nobody else came") };
                return shared.submit(state, frame);
            }
        });
        lock(&peer.ear).hear(&shared, &peer);
    });
    let frames = said(&peer, &supervisor);
    let arrived =
        frames.iter().position(|frame| matches!(frame, ToSupervisor::Arrive(arrive) if arrive.request == last));
    let given_up = frames.iter().position(|frame| *frame == ToSupervisor::Withdraw(last));
    assert!(arrived.is_some() && arrived < given_up, "arrived as {arrived:?}, given up as {given_up:?}");
}

/// A reign can open, and acknowledge a write, before the thread of an instance has come to read what it was written.
#[test]
fn what_a_new_reign_has_written_is_seen_although_the_own_thread_has_not_read_its_welcome() {
    if !endpoint::CAN_TELL_HANGUP {
        return;
    }
    let key = Resource::new(Kind::Value, name());
    let version = Stamp { epoch: Epoch::new(9), n: 1 };
    let (writer, request) = (InstanceId::new(3), Request::new(1));
    let value = Value { key: key.clone(), version, writer, request, bytes: Some([7][..].into()) };
    let mut bytes = welcome();
    ToMember::Value(value.clone()).encode(&mut bytes);
    let (shared, peer, mut supervisor) = greeted();
    assert_eq!(shared.value(&key), None, "nothing has come");
    supervisor.write_all(&bytes).expect("an open connection");
    assert!(endpoint::wait_readable(&peer.stream, Duration::from_secs(20)));
    assert_eq!(shared.value(&key), Some(value));
}
