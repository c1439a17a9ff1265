use super::super::tests::{entry, lock, member as lock_member, name, profile};
use super::*;
use crate::ident::{Epoch, Nonce, Stamp, Token};
use crate::wire::message::{Delta, LeaveSort, Mode, Opened, ToMember, ViewHead, Welcome};

const ME: InstanceId = InstanceId::new(2);
const OTHER: InstanceId = InstanceId::new(3);

fn head(epoch: u64) -> ViewHead {
    let stamp = Stamp { epoch: Epoch::new(epoch), n: 1 };
    ViewHead { stamp, base: Token::new(9), written: 0, whole: true }
}

fn welcome(view: Option<ViewHead>) -> ToMember {
    ToMember::Welcome(Welcome { supervisor: OTHER, pid: 1, view })
}

fn opened(epoch: u64) -> ToMember {
    ToMember::Opened(Opened { supervisor: OTHER, view: head(epoch), departed: Vec::new() })
}

fn hear(session: &mut Session, frame: ToMember) -> Vec<Effect> {
    session.receive(frame).expect("a frame that has its place here")
}

fn newcomer() -> Session {
    let mut session = Session::new(ME, Nonce::new(2), name(), profile());
    session.hello();
    session
}

fn member() -> Session {
    let mut session = newcomer();
    hear(&mut session, welcome(Some(head(5))));
    session
}

fn bytes(size: usize) -> Arc<[u8]> {
    vec![7; size].into()
}

/// What is written, by request.
fn said(effects: &[Effect]) -> Vec<Request> {
    let said = effects.iter().filter_map(|effect| match effect {
        Effect::Send(frame) => Some(number(frame)),
        _ => None,
    });
    said.collect()
}

fn number(frame: &ToSupervisor) -> Request {
    match frame {
        ToSupervisor::Post(post) => post.request,
        ToSupervisor::Ask(ask) => ask.request,
        ToSupervisor::Command(command) => command.request,
        other => panic!("nobody asked for {other}"),
    }
}

fn told(effects: Vec<Effect>) -> Vec<Notice> {
    let told = effects.into_iter().filter_map(|effect| match effect {
        Effect::Tell(notice) => Some(notice),
        _ => None,
    });
    told.collect()
}

#[test]
fn what_is_posted_asked_and_commanded_in_a_reign_is_said_at_once() {
    let mut session = member();
    let (request, frame) = session.post(Some(OTHER), bytes(1));
    assert_eq!(frame, Some(ToSupervisor::Post(Post { request, to: Some(OTHER), bytes: bytes(1) })));
    let (request, frame) = session.ask(bytes(2));
    assert_eq!(frame, Some(ToSupervisor::Ask(Ask { request, bytes: bytes(2) })));
    let (request, frame) = session.command(None, Order::Pause).expect("somebody reigns");
    assert_eq!(frame, ToSupervisor::Command(Command { request, to: None, order: Order::Pause }));
    assert_eq!(session.errands().count(), 3);
}

#[test]
fn what_was_not_said_waits_for_an_open_reign_and_keeps_its_order() {
    let mut session = newcomer();
    let (first, frame) = session.post(None, bytes(1));
    assert_eq!(frame, None, "nobody to say it to");
    assert_eq!(session.command(None, Order::Stop), None, "a command does not wait");
    assert_eq!(said(&hear(&mut session, welcome(Some(head(5))))), [first]);

    session.disconnected();
    let (second, frame) = session.ask(bytes(1));
    assert_eq!(frame, None);
    session.hello();
    assert_eq!(said(&hear(&mut session, welcome(None))), []);
    let (third, frame) = session.post(Some(OTHER), bytes(1));
    assert_eq!(frame, None, "the window is open");
    assert_eq!(session.command(Some(OTHER), Order::Stop), None);
    assert_eq!(said(&hear(&mut session, opened(6))), [second, third]);
}

#[test]
fn what_was_said_is_interrupted_when_the_connection_ends_and_never_said_again() {
    for mut session in [member(), observer()] {
        let (post, _) = session.post(None, bytes(1));
        let (ask, _) = session.ask(bytes(1));
        let (command, _) = session.command(None, Order::Stop).expect("somebody reigns");
        let over = told(session.disconnected());
        assert_eq!(over, [post, ask, command].map(Notice::Interrupted));
        assert_eq!(session.errands().count(), 0);
        let (unsaid, _) = session.post(None, bytes(1));
        assert_eq!(session.disconnected(), [], "it was not said");
        session.hello();
        assert_eq!(said(&hear(&mut session, welcome(Some(head(6))))), [unsaid]);
    }
}

fn observer() -> Session {
    let mut session = Session::new(ME, Nonce::new(2), name(), profile()).observing();
    session.hello();
    hear(&mut session, welcome(Some(head(5))));
    session
}

#[test]
fn every_errand_has_one_answer() {
    type Answer = fn(Request) -> (ToMember, Notice);
    let answers: [Answer; 6] = [
        |request| (ToMember::Delivered(request, 7), Notice::Delivered(request, 7)),
        |request| (ToMember::Undelivered(request), Notice::Undelivered(request)),
        |request| (ToMember::Interrupted(request), Notice::Interrupted(request)),
        |request| (ToMember::Reply(request, bytes(1)), Notice::Replied(request, bytes(1))),
        |request| (ToMember::Failed(request, "why".into()), Notice::Failed(request, "why".into())),
        |request| (ToMember::Denied(request, "why".into()), Notice::Denied(request, "why".into())),
    ];
    for answer in answers {
        let mut session = member();
        let errands = [
            session.post(Some(OTHER), bytes(1)).0,
            session.ask(bytes(1)).0,
            session.command(Some(OTHER), Order::Pause).expect("somebody reigns").0,
        ];
        for request in errands {
            let (frame, notice) = answer(request);
            assert_eq!(hear(&mut session, frame.clone()), [Effect::Tell(notice)]);
            if !matches!(frame, ToMember::Denied(..)) {
                assert_eq!(hear(&mut session, frame), [], "nobody waits for a second one");
            }
        }
        assert_eq!(session.disconnected(), [], "all are answered");
    }
}

#[test]
fn a_message_or_a_question_that_was_said_is_cancelled_and_a_command_is_not() {
    let mut session = member();
    let (post, _) = session.post(None, bytes(1));
    let (ask, _) = session.ask(bytes(1));
    let (command, _) = session.command(None, Order::Stop).expect("somebody reigns");
    assert_eq!(session.forget_errand(post), [ToSupervisor::Cancel(post), ToSupervisor::Ping(1)]);
    assert_eq!(session.forget_errand(ask), [ToSupervisor::Cancel(ask), ToSupervisor::Ping(2)]);
    assert_eq!(session.forget_errand(command), []);
    assert_eq!(session.forget_errand(post), [], "nothing is left of it");
    // These cross the cancel.
    for answer in [ToMember::Delivered(post, 1), ToMember::Reply(ask, bytes(1)), ToMember::Delivered(command, 1)] {
        assert_eq!(hear(&mut session, answer), []);
    }
    assert_eq!(session.disconnected(), []);
    let (unsaid, _) = session.post(None, bytes(1));
    assert_eq!(session.forget_errand(unsaid), [], "nobody has heard of it");
    session.hello();
    assert_eq!(said(&hear(&mut session, welcome(Some(head(6))))), []);
}

#[test]
fn large_ones_are_said_one_after_the_other_and_no_message_overtakes_them() {
    let mut session = member();
    let (first, frame) = session.post(None, bytes(600_000));
    assert!(frame.is_some());
    let (second, frame) = session.ask(bytes(600_000));
    assert_eq!(frame, None, "both at once are more than may be under way");
    let (third, frame) = session.post(None, bytes(1));
    assert_eq!(frame, None, "it waits for its turn");
    assert!(session.command(None, Order::Stop).is_some(), "a command does not");
    let effects = hear(&mut session, ToMember::Delivered(first, 1));
    assert_eq!(said(&effects), [second, third]);
    let (fourth, _) = session.post(None, bytes(Pace::LIMIT));
    assert_eq!(said(&hear(&mut session, ToMember::Denied(second, "".into()))), []);
    assert_eq!(said(&hear(&mut session, ToMember::Interrupted(third))), [fourth], "one may always be under way");
    let (fifth, frame) = session.post(None, bytes(1));
    assert_eq!(frame, None);
    session.disconnected();
    session.hello();
    assert_eq!(said(&hear(&mut session, welcome(Some(head(6))))), [fifth], "the others have left no trace");
}

#[test]
fn what_is_forgotten_makes_room_when_it_is_sure_to_be_read() {
    let mut session = member();
    let (first, _) = session.post(None, bytes(600_000));
    let (second, _) = session.post(None, bytes(600_000));
    let (third, _) = session.post(None, bytes(1));
    let frames = session.forget_errand(second);
    assert_eq!(frames.iter().map(number).collect::<Vec<_>>(), [third], "it stood in the way of the third");
    let (fourth, _) = session.post(None, bytes(600_000));
    let frames = session.forget_errand(first);
    assert_eq!(frames, [ToSupervisor::Cancel(first), ToSupervisor::Ping(1)]);
    assert_eq!(hear(&mut session, ToMember::Pong(0)), [Effect::Tell(Notice::Pong(0))], "it has not read so far");
    let effects = hear(&mut session, ToMember::Pong(1));
    assert_eq!(said(&effects), [fourth]);
    // Here the answer was on its way already.
    let (fifth, _) = session.post(None, bytes(600_000));
    session.forget_errand(fourth);
    assert_eq!(said(&hear(&mut session, ToMember::Delivered(fourth, 1))), [fifth]);
    let (sixth, frame) = session.post(None, bytes(600_000));
    assert_eq!(said(&hear(&mut session, ToMember::Pong(2))), [], "it counts once");
    assert_eq!((frame, said(&hear(&mut session, ToMember::Delivered(fifth, 1)))), (None, vec![sixth]));
}

#[test]
fn a_members_mail_reaches_the_application_when_it_is_part_of_a_reign_and_not_before() {
    let mail = || {
        [
            (ToMember::Message(OTHER, bytes(3)), Notice::Message(OTHER, bytes(3))),
            (ToMember::Command(Order::Custom(bytes(3))), Notice::Commanded(Order::Custom(bytes(3)))),
        ]
    };
    let mut session = member();
    for (frame, notice) in mail() {
        assert_eq!(hear(&mut session, frame), [Effect::Tell(notice)]);
    }
    let mut in_window = member();
    in_window.disconnected();
    in_window.hello();
    hear(&mut in_window, welcome(None));
    for mut session in [newcomer(), in_window, observer()] {
        let before = session.clone();
        for (frame, _) in mail() {
            assert!(session.receive(frame).is_err());
        }
        assert_eq!(session, before);
    }
}

#[test]
fn only_who_is_a_member_can_be_evicted() {
    for mut session in [newcomer(), observer()] {
        let before = session.clone();
        assert!(session.receive(ToMember::Evicted).is_err());
        assert_eq!(session, before);
    }
    // Its connection had ended when it was evicted.
    let mut back = member();
    back.disconnected();
    back.hello();
    assert_eq!(hear(&mut back, ToMember::Evicted), [Effect::Tell(Notice::Evicted), Effect::End]);
}

#[test]
fn what_a_supervisor_that_has_left_its_office_has_not_answered_is_said_to_the_next() {
    let mut session = member();
    let (first, frame) = session.ask(bytes(1));
    assert!(frame.is_some());
    let (answered, _) = session.post(None, bytes(1));
    let (command, _) = session.command(None, Order::Pause).expect("an open reign");
    hear(&mut session, ToMember::Interrupted(answered));
    hear(&mut session, ToMember::Leave(LeaveSort::Resigning));
    let (second, frame) = session.ask(bytes(2));
    assert_eq!(frame, None);
    assert_eq!(told(session.disconnected()), [Notice::Interrupted(command)], "it is this supervisor's word");
    session.hello();
    hear(&mut session, welcome(None));
    assert_eq!(said(&hear(&mut session, opened(6))), [first, second]);
}

#[test]
fn an_answer_outside_an_open_reign_is_misplaced() {
    let mut session = newcomer();
    let (request, _) = session.post(None, bytes(1));
    let before = session.clone();
    let answers = [
        ToMember::Delivered(request, 1),
        ToMember::Undelivered(request),
        ToMember::Reply(request, bytes(1)),
        ToMember::Failed(request, "".into()),
    ];
    for answer in answers {
        assert!(session.receive(answer).is_err(), "it was not said");
        assert_eq!(session, before);
    }
}

fn paused_entry(id: InstanceId, paused: bool) -> crate::wire::message::Entry {
    let mut entry = entry(id.number());
    entry.profile.paused = paused;
    entry
}

fn change(n: u64, paused: bool) -> ToMember {
    let stamp = Stamp { epoch: Epoch::new(5), n };
    ToMember::Delta(Delta { stamp, entries: vec![paused_entry(ME, paused)], ended: Vec::new() })
}

fn brings_pause(session: &mut Session) -> bool {
    let hello = session.hello();
    hello.iter().any(|frame| matches!(frame, ToSupervisor::Join(join) if join.profile.paused))
}

#[test]
fn who_is_paused_says_so_to_the_next_supervisor_also_under_another_id() {
    let mut session = member();
    hear(&mut session, change(2, true));
    assert!(session.profile().paused);
    session.disconnected();
    assert!(brings_pause(&mut session));
    hear(&mut session, ToMember::Forfeited);
    session.disconnected();
    session.rename(InstanceId::new(8), Nonce::new(8));
    assert!(session.is_fresh() && brings_pause(&mut session));
    // The supervisor knows better.
    hear(&mut session, ToMember::Entries(vec![paused_entry(InstanceId::new(8), false), paused_entry(ME, true)]));
    hear(&mut session, welcome(Some(head(6))));
    assert!(!session.profile().paused, "the other one has its old id");
}

#[test]
fn the_end_of_a_pause_is_heard_as_well() {
    let mut session = member();
    hear(&mut session, change(2, true));
    hear(&mut session, change(3, false));
    session.disconnected();
    assert!(!brings_pause(&mut session));
}

#[test]
fn who_is_evicted_has_lost_everything_and_waits_for_nothing() {
    let (mut session, held) = lock_member(true);
    session.acquire(lock(), Mode::Exclusive);
    session.arrive(name(), 2);
    session.post(None, bytes(1));
    session.survey();
    session.put(lock(), None, None);
    let effects = hear(&mut session, ToMember::Evicted);
    let lost = Effect::Tell(Notice::Lost(held, lock(), Token::new(91)));
    assert_eq!(effects, [lost, Effect::Tell(Notice::Evicted), Effect::End]);
    assert!(session.claims().is_empty() && session.puts().is_empty());
    assert_eq!((session.arrivals().count(), session.errands().count()), (0, 0));
    assert_eq!(session.disconnected(), [], "there is nothing left that could be interrupted");
}
