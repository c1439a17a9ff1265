use std::collections::BTreeSet;

use super::super::super::window::RollCall;
use super::super::handshake::tests::{begin_hello_of, group, told};
use super::super::{Control, Settings};
use super::*;
use crate::ident::{Request, Tag};
use crate::wire::message::{Command, Order, ToSupervisor};

const fn id(number: u64) -> InstanceId {
    InstanceId::new(number)
}

/// Everything that a newcomer of this version says at first; its connection has its number.
fn join(supervisor: &mut Supervisor, number: u64, version: u32) {
    begin_hello_of(supervisor, LinkId(number), number, &[], version);
    supervisor.frame(LinkId(number), ToSupervisor::ClaimsEnd);
}

/// The reign of instance 1, of this version, before its window closes.
fn window(version: u32, control: Control) -> Supervisor {
    let me = id(1);
    let settings =
        Settings { group: group(), me, pid: 1, window_limit: None, aside_limit: None, member_limit: 99, control };
    let mut supervisor = Supervisor::new(settings);
    supervisor.called(RollCall::Everyone(BTreeSet::from([(me, Tag::new(1))])));
    begin_hello_of(&mut supervisor, LinkId::LOCAL, 1, &[], version);
    supervisor.frame(LinkId::LOCAL, ToSupervisor::ClaimsEnd);
    supervisor
}

fn yielding() -> Control {
    Control { yields: true, ..Control::default() }
}

/// The same when it is open, of version 5.
fn open(control: Control) -> Supervisor {
    let mut supervisor = window(5, control);
    supervisor.close(1000);
    assert!(supervisor.is_open());
    supervisor
}

/// Whatever was sent so far has been written to the kernels of all.
fn write_all(supervisor: &mut Supervisor) {
    for link in supervisor.members() {
        supervisor.written(link, u64::MAX);
    }
}

/// The ping that the connection of this number was sent, if it was.
fn asked(supervisor: &mut Supervisor, number: u64) -> Option<u64> {
    let frames = told(supervisor, LinkId(number));
    let pings: Vec<_> = frames
        .iter()
        .filter_map(|frame| match frame {
            ToMember::Ping(ping) => Some(*ping),
            _ => None,
        })
        .collect();
    assert!(pings.len() < 2, "once is enough: {frames:?}");
    pings.first().copied()
}

fn handed_over(supervisor: &mut Supervisor) -> Vec<InstanceId> {
    let outputs = supervisor.take_outputs().into_iter();
    outputs
        .filter_map(|output| match output {
            Output::HandOver(heir) => Some(heir),
            _ => None,
        })
        .collect()
}

fn pong(supervisor: &mut Supervisor, number: u64, ping: u64) {
    supervisor.frame(LinkId(number), ToSupervisor::Pong(ping));
}

#[test]
fn who_has_answered_long_ago_has_to_answer_again() {
    let mut supervisor = open(yielding());
    join(&mut supervisor, 2, 6);
    write_all(&mut supervisor);
    let ping = asked(&mut supervisor, 2).expect("it is asked");
    pong(&mut supervisor, 2, ping);
    assert_eq!(handed_over(&mut supervisor), [id(2)]);
    supervisor.ask_heirs_again();
    assert_eq!(supervisor.heir(), None);
    let again = asked(&mut supervisor, 2).expect("it is asked again");
    pong(&mut supervisor, 2, ping);
    assert_eq!((supervisor.heir(), handed_over(&mut supervisor)), (None, vec![]), "an old answer");
    pong(&mut supervisor, 2, again);
    assert_eq!((supervisor.heir(), handed_over(&mut supervisor)), (Some(id(2)), vec![id(2)]));
}

#[test]
fn who_is_newer_is_asked_after_its_welcome_and_handed_the_office_when_it_answers() {
    let mut supervisor = open(yielding());
    join(&mut supervisor, 2, 6);
    let frames = told(&mut supervisor, LinkId(2));
    let [.., ToMember::Welcome(_), ToMember::Ping(ping)] = frames[..] else { panic!("{frames:?}") };
    assert_eq!(supervisor.heir(), None, "it has proved nothing yet");
    pong(&mut supervisor, 2, ping);
    assert_eq!(handed_over(&mut supervisor), [id(2)]);
    assert_eq!(supervisor.heir(), Some(id(2)));
    pong(&mut supervisor, 2, ping);
    join(&mut supervisor, 3, 5);
    write_all(&mut supervisor);
    assert_eq!(asked(&mut supervisor, 2), None);
    assert_eq!(handed_over(&mut supervisor), [], "once");
}

#[test]
fn nobody_is_asked_who_is_not_newer() {
    for (version, own) in [(5, 5), (4, 5), (0, 0), (0, u32::MAX), (u32::MAX, u32::MAX)] {
        let mut supervisor = window(own, yielding());
        supervisor.close(1000);
        join(&mut supervisor, 2, version);
        assert_eq!(asked(&mut supervisor, 2), None, "{version} is not newer than {own}");
        pong(&mut supervisor, 2, 0);
        pong(&mut supervisor, 2, 1);
        assert_eq!((handed_over(&mut supervisor), supervisor.heir()), (Vec::new(), None));
    }
}

#[test]
fn nobody_is_asked_who_was_an_heir_before_or_if_the_application_wants_none() {
    let heirs = BTreeSet::from([id(2)]);
    for control in [Control { heirs, ..yielding() }, Control::default()] {
        let mut supervisor = open(control);
        join(&mut supervisor, 2, 6);
        assert_eq!(asked(&mut supervisor, 2), None);
    }
    let mut supervisor = open(Control { heirs: BTreeSet::from([id(2)]), ..yielding() });
    join(&mut supervisor, 2, 7);
    join(&mut supervisor, 3, 6);
    supervisor.written(LinkId(2), u64::MAX);
    assert!(asked(&mut supervisor, 3).is_some(), "another one may have it");
}

#[test]
fn nothing_happens_before_the_reign_is_open() {
    let mut supervisor = window(5, yielding());
    // One is newer and survived, one is and comes new.
    begin_hello_of(&mut supervisor, LinkId(2), 2, &[1, 2], 6);
    supervisor.frame(LinkId(2), ToSupervisor::ClaimsEnd);
    join(&mut supervisor, 3, 6);
    supervisor.close(1000);
    assert!(!supervisor.is_open());
    let asked_both = |supervisor: &mut Supervisor| {
        let outputs = supervisor.take_outputs();
        [2, 3].map(|number| {
            let asks = |output: &Output| matches!(output, Output::Send(LinkId(n), ToMember::Ping(_)) if *n == number);
            outputs.iter().any(asks)
        })
    };
    assert_eq!(asked_both(&mut supervisor), [false; 2], "they have not been told of the reign");
    write_all(&mut supervisor);
    assert!(supervisor.is_open());
    assert_eq!(asked_both(&mut supervisor), [true; 2]);
}

#[test]
fn only_the_newest_are_asked_and_of_those_the_first_who_answers_is_the_heir() {
    let mut supervisor = window(5, yielding());
    for (number, version) in [(2, 6), (3, 8), (4, 7), (5, 8)] {
        join(&mut supervisor, number, version);
    }
    supervisor.close(1000);
    write_all(&mut supervisor);
    let outputs = supervisor.take_outputs();
    let pings: Vec<_> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::Send(link, ToMember::Ping(ping)) => Some((link.0, *ping)),
            _ => None,
        })
        .collect();
    let [(3, _), (5, second)] = pings[..] else { panic!("{pings:?}") };
    pong(&mut supervisor, 5, second + 9);
    assert_eq!(supervisor.heir(), None, "that is no answer");
    pong(&mut supervisor, 5, second);
    assert_eq!(handed_over(&mut supervisor), [id(5)]);
}

#[test]
fn a_newer_one_takes_the_place_of_an_heir_that_still_waits_for_the_office() {
    let mut supervisor = open(yielding());
    join(&mut supervisor, 2, 6);
    let ping = asked(&mut supervisor, 2).expect("a question");
    pong(&mut supervisor, 2, ping);
    assert_eq!(handed_over(&mut supervisor), [id(2)]);
    join(&mut supervisor, 3, 7);
    write_all(&mut supervisor);
    let ping = asked(&mut supervisor, 3).expect("a question");
    assert_eq!(supervisor.heir(), None);
    pong(&mut supervisor, 3, ping);
    assert_eq!(handed_over(&mut supervisor), [id(3)]);
}

#[test]
fn when_the_heir_goes_the_others_of_its_version_are_asked_again() {
    for gone in [true, false] {
        let mut supervisor = open(yielding());
        join(&mut supervisor, 2, 6);
        let first = asked(&mut supervisor, 2).expect("a question");
        join(&mut supervisor, 3, 6);
        write_all(&mut supervisor);
        let second = asked(&mut supervisor, 3).expect("a question");
        pong(&mut supervisor, 2, first);
        pong(&mut supervisor, 3, second);
        assert_eq!(handed_over(&mut supervisor), [id(2)]);
        supervisor.ended(LinkId(2), gone);
        assert_eq!(supervisor.heir(), None, "gone or aside, it cannot take the office");
        let third = asked(&mut supervisor, 3).expect("a question");
        pong(&mut supervisor, 3, second);
        assert_eq!(supervisor.heir(), None, "that was the answer to the question before");
        pong(&mut supervisor, 3, third);
        assert_eq!(handed_over(&mut supervisor), [id(3)]);
    }
}

#[test]
fn an_heir_that_is_back_has_to_prove_once_more_that_it_runs() {
    let mut supervisor = open(yielding());
    join(&mut supervisor, 2, 6);
    let ping = asked(&mut supervisor, 2).expect("a question");
    pong(&mut supervisor, 2, ping);
    assert_eq!(handed_over(&mut supervisor), [id(2)]);
    supervisor.ended(LinkId(2), false);
    assert_eq!(supervisor.heir(), None);
    let back = LinkId(7);
    begin_hello_of(&mut supervisor, back, 2, &[], 6);
    supervisor.frame(back, ToSupervisor::ClaimsEnd);
    let again = asked(&mut supervisor, 7).expect("a question");
    assert_ne!(again, ping);
    supervisor.frame(back, ToSupervisor::Pong(again));
    assert_eq!(handed_over(&mut supervisor), [id(2)]);
}

#[test]
fn who_is_paused_is_not_given_the_office() {
    let mut supervisor = open(yielding());
    join(&mut supervisor, 2, 6);
    let ping = asked(&mut supervisor, 2).expect("a question");
    pause(&mut supervisor, 2, true);
    pong(&mut supervisor, 2, ping);
    assert_eq!(handed_over(&mut supervisor), []);
    pause(&mut supervisor, 2, false);
    let ping = asked(&mut supervisor, 2).expect("a question");
    pong(&mut supervisor, 2, ping);
    assert_eq!(handed_over(&mut supervisor), [id(2)]);
    pause(&mut supervisor, 2, true);
    assert_eq!(supervisor.heir(), None);
}

#[test]
fn who_is_told_to_stop_is_not_given_the_office() {
    for stop_limit in [None, Some(Supervisor::SLICE)] {
        let mut supervisor = open(Control { stop_limit, ..yielding() });
        join(&mut supervisor, 2, 6);
        let ping = asked(&mut supervisor, 2).expect("a question");
        pong(&mut supervisor, 2, ping);
        assert_eq!(handed_over(&mut supervisor), [id(2)]);
        // The office is not free yet, and nothing of this is in a view.
        let command = Command { request: Request::new(1), to: Some(id(2)), order: Order::Stop };
        supervisor.frame(LinkId::LOCAL, ToSupervisor::Command(command));
        assert_eq!(supervisor.heir(), None, "limit {stop_limit:?}");
        pong(&mut supervisor, 2, ping);
        assert_eq!(supervisor.heir(), None, "limit {stop_limit:?}");
    }
}

/// Pauses a member, or lets it go on, and tells everyone.
fn pause(supervisor: &mut Supervisor, number: u64, paused: bool) {
    let member = supervisor.registry.get(id(number)).expect("a member").clone();
    supervisor.registry.put(
        id(number),
        member.nonce,
        crate::wire::message::Profile { paused, ..member.profile },
        member.place,
    );
    supervisor.announce(&[id(number)], Vec::new(), None);
    supervisor.progress();
}
