use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::mpsc;

use super::*;
use crate::coordinator::session::Session;
use crate::event::Event;
use crate::ident::{Epoch, Name, Stamp, Token};
use crate::runtime::callbacks::Callbacks;
use crate::runtime::presence::Mechanism;
use crate::runtime::shared::{Seat, Settings};
use crate::runtime::{driver, testing};
use crate::wire::frame::{Decoder, LIMIT_AFTER_TRUST, Message};
use crate::wire::message::{Profile, ToMember, ViewHead, Welcome};

const OTHER: InstanceId = InstanceId::new(3);
/// Only ends a test that has failed.
const PATIENCE: Duration = Duration::from_secs(20);

fn shared(port: u16, purpose: Purpose) -> Arc<Shared> {
    let group = Name::new("group").expect("a short name");
    let profile =
        Profile { pid: 1, version: 0, since: 0, presence: 0, paused: false, label: "".into(), payload: [].into() };
    let mut session = Session::new(InstanceId::new(2), crate::ident::Nonce::new(1), group.clone(), profile);
    if purpose == Purpose::Observer {
        session = session.observing();
    }
    let mechanism = Mechanism::Datagram;
    let settings = Settings {
        group,
        port,
        purpose,
        mechanism,
        window_limit: None,
        member_limit: 9,
        stop_limit: None,
        callbacks: Callbacks::default(),
        succession: true,
    };
    Arc::new(Shared::new(settings, session, None))
}

/// A supervisor that says what the test wants.
struct Supervisor {
    stream: TcpStream,
    decoder: Decoder,
}

impl Supervisor {
    fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().expect("a connection");
        let mut supervisor = Self { stream, decoder: Decoder::new(LIMIT_AFTER_TRUST) };
        while supervisor.hear() != Some(ToSupervisor::ClaimsEnd) {}
        let stamp = Stamp { epoch: Epoch::new(9), n: 1 };
        let view = Some(ViewHead { stamp, base: Token::new(90), written: 0, whole: true });
        supervisor.say(&ToMember::Welcome(Welcome { supervisor: OTHER, pid: 1, view }));
        supervisor
    }

    fn say(&mut self, frame: &ToMember) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        self.stream.write_all(&bytes).expect("an open connection");
    }

    /// The next frame; `None`: the connection has ended.
    fn hear(&mut self) -> Option<ToSupervisor> {
        loop {
            match self.decoder.next().expect("whole frames") {
                // Whoever waits asks now and then whether anybody is there.
                Some(ToSupervisor::Ping(n)) => self.say(&ToMember::Pong(n)),
                Some(frame) => return Some(frame),
                None => {
                    let count = self.stream.read(self.decoder.space()).expect("what was said");
                    if count == 0 {
                        return None;
                    }
                    self.decoder.filled(count);
                }
            }
        }
    }
}

/// An instance on its own thread, and a supervisor on another one.
fn play(purpose: Purpose, supervise: impl FnOnce(Supervisor) + Send, call: impl FnOnce(&Arc<Shared>)) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, testing::free_port())).expect("a free port");
    let shared = shared(listener.local_addr().expect("its address").port(), purpose);
    std::thread::scope(|scope| {
        // The listener stays, so that nobody elects the instance.
        scope.spawn(|| supervise(Supervisor::accept(&listener)));
        scope.spawn(|| driver::run(&shared));
        shared.wait_joined(Some(PATIENCE)).expect("the welcome");
        call(&shared);
        if let Some(Seat::Subordinate(peer)) = shared.begin_leaving() {
            let _ = peer.stream.shutdown(Shutdown::Both);
        }
    });
}

/// A supervisor that answers one request after the other.
fn answering(answers: Vec<fn(Request) -> ToMember>) -> impl FnOnce(Supervisor) + Send {
    |mut supervisor| {
        for answer in answers {
            let request = match supervisor.hear() {
                Some(ToSupervisor::Post(post)) => post.request,
                Some(ToSupervisor::Ask(ask)) => ask.request,
                Some(ToSupervisor::Command(command)) => command.request,
                other => panic!("nobody asked for {other:?}"),
            };
            supervisor.say(&answer(request));
        }
        assert_eq!(supervisor.hear(), None, "everything was answered");
    }
}

const FOREVER: Patience = Patience::Forever;

fn bytes(size: usize) -> Arc<[u8]> {
    vec![7; size].into()
}

#[test]
fn every_answer_ends_the_call_in_its_way() {
    let answers: Vec<fn(Request) -> ToMember> = vec![
        |request| ToMember::Delivered(request, 1),
        |request| ToMember::Undelivered(request),
        |request| ToMember::Interrupted(request),
        |request| ToMember::Denied(request, "why".into()),
        |request| ToMember::Delivered(request, 7),
        |request| ToMember::Undelivered(request),
        |request| ToMember::Reply(request, bytes(5)),
        |request| ToMember::Failed(request, "why".into()),
    ];
    play(Purpose::Member, answering(answers), |shared| {
        assert!(matches!(shared.send(Some(OTHER), bytes(1), FOREVER), Ok(1)));
        let answer = shared.send(Some(OTHER), bytes(1), FOREVER);
        assert!(matches!(answer, Err(Error::Unreachable { id: OTHER })), "{answer:?}");
        assert!(matches!(shared.send(Some(OTHER), bytes(1), Patience::Try), Err(Error::Interrupted)));
        let answer = shared.send(Some(OTHER), bytes(1), FOREVER);
        assert!(matches!(&answer, Err(Error::Denied(why)) if why == "why"), "{answer:?}");
        assert!(matches!(shared.send(None, bytes(1), FOREVER), Ok(7)));
        assert!(matches!(shared.send(None, bytes(1), FOREVER), Ok(0)), "that nobody is there is no error");
        assert_eq!(shared.ask(bytes(1), FOREVER).expect("a reply"), bytes(5));
        let answer = shared.ask(bytes(1), FOREVER);
        assert!(matches!(&answer, Err(Error::Failed(why)) if why.to_string() == "why"), "{answer:?}");
        assert_eq!(shared.state().session.errands().count(), 0);
    });
}

#[test]
fn the_end_of_the_connection_interrupts_what_was_said_at_once() {
    let supervise = |mut supervisor: Supervisor| {
        assert!(matches!(supervisor.hear(), Some(ToSupervisor::Post(_))));
    };
    play(Purpose::Member, supervise, |shared| {
        let answer = shared.send(None, bytes(1), FOREVER);
        assert!(matches!(answer, Err(Error::Interrupted)), "{answer:?}");
        let answer = shared.send(None, bytes(1), Patience::Try);
        assert!(matches!(answer, Err(Error::WouldBlock { holder: None })), "{answer:?}");
        let answer = shared.ask(bytes(1), Patience::For(Duration::ZERO));
        assert!(matches!(answer, Err(Error::TimedOut { .. })), "{answer:?}");
        assert_eq!(shared.state().session.errands().count(), 0, "it is not said later on");
    });
}

#[test]
fn what_nobody_waits_for_any_more_is_cancelled() {
    let (heard, frames) = mpsc::channel();
    let supervise = move |mut supervisor: Supervisor| {
        while let Some(frame) = supervisor.hear() {
            heard.send(frame).expect("the test listens");
        }
    };
    play(Purpose::Member, supervise, |shared| {
        let answer = shared.ask(bytes(1), Patience::For(Duration::ZERO));
        assert!(matches!(answer, Err(Error::TimedOut { .. })), "{answer:?}");
        let next = || frames.recv_timeout(PATIENCE).expect("a frame");
        let ToSupervisor::Ask(ask) = next() else { panic!("the question") };
        assert_eq!(next(), ToSupervisor::Cancel(ask.request));
    });
}

#[test]
fn what_cannot_be_said_is_refused_before_anybody_hears_of_it() {
    play(Purpose::Member, answering(Vec::new()), |shared| {
        let large = bytes(VALUE_LIMIT + 1);
        let refused = [
            ("message", shared.send(None, large.clone(), FOREVER)),
            ("request", shared.ask(large.clone(), FOREVER).map(|_| 0)),
            ("command", shared.command(None, Order::Custom(large), FOREVER)),
        ];
        for (what, answer) in refused {
            let is_option = matches!(&answer, Err(Error::Option { option, value, limit })
                if *option == what && (*value, *limit) == (1_048_577, 1_048_576));
            assert!(is_option, "{what}: {answer:?}");
        }
        let answer = shared.command(None, Order::Stop, FOREVER);
        assert!(matches!(answer, Err(Error::NotSupervisor)), "{answer:?}");
    });
}

#[test]
fn an_observer_need_not_reign_to_command() {
    let answers: Vec<fn(Request) -> ToMember> =
        vec![|request| ToMember::Delivered(request, 1), |request| ToMember::Denied(request, "why".into())];
    play(Purpose::Observer, answering(answers), |shared| {
        assert!(matches!(shared.command(Some(OTHER), Order::Pause, Patience::For(PATIENCE)), Ok(1)));
        let answer = shared.command(None, Order::Stop, Patience::For(PATIENCE));
        assert!(matches!(answer, Err(Error::Denied(_))), "{answer:?}");
    });
}

#[test]
fn who_is_evicted_is_told_and_does_not_come_again() {
    let (go, begin) = mpsc::channel();
    let supervise = move |mut supervisor: Supervisor| {
        begin.recv_timeout(PATIENCE).expect("somebody listens");
        let Some(ToSupervisor::Ask(_)) = supervisor.hear() else { panic!("the question") };
        supervisor.say(&ToMember::Message(OTHER, bytes(2)));
        supervisor.say(&ToMember::Command(Order::Stop));
        supervisor.say(&ToMember::Evicted);
        assert_eq!(supervisor.hear(), None);
    };
    play(Purpose::Member, supervise, |shared| {
        let events = shared.hub.subscribe();
        go.send(()).expect("the supervisor waits");
        let answer = shared.ask(bytes(1), FOREVER);
        assert!(matches!(answer, Err(Error::Left)), "{answer:?}");
        let mut heard = Vec::new();
        // The end of the channel is that of the instance: whoever elected again would not get there.
        while let Ok(event) = events.recv_timeout(PATIENCE) {
            heard.push(event);
        }
        assert_eq!(heard[0], Event::Message { from: OTHER, bytes: bytes(2) });
        assert_eq!(heard[1..3], [Event::commanded(Order::Stop), Event::Evicted]);
        assert!(matches!(shared.state().seat, Seat::Left));
        assert!(matches!(shared.send(None, bytes(1), FOREVER), Err(Error::Left)));
    });
}
