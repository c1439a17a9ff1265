use std::collections::BTreeSet;

use super::super::super::window::RollCall;
use super::super::handshake::tests::{group, nonce_of, say_hello, told};
use super::super::{Control, Settings, WIRE_VERSION};
use super::*;
use crate::coordinator::numbers::{BELIEF, END, LAST};
use crate::ident::{Attempt, Epoch, Kind, Resource, Stamp, Token};
use crate::wire::message::{
    Forfeit, Hello, Join, Mode, NameSort, Profile, Purpose, Refusal, ToMember, ToSupervisor, Trust,
};

const FOREIGN: LinkId = LinkId(900);

const fn id(number: u64) -> InstanceId {
    InstanceId::new(number)
}

fn supervisor(control: Control) -> Supervisor {
    Supervisor::new(Settings {
        group: group(),
        me: id(1),
        pid: 1,
        window_limit: None,
        aside_limit: None,
        member_limit: 9,
        control,
    })
}

fn everyone(shown: &[(u64, u64)]) -> RollCall {
    RollCall::Everyone(shown.iter().map(|(number, tag)| (id(*number), Tag::new(*tag))).collect())
}

/// A hello of another wire version under this id, and for which membership the office is left then.
fn foreign_hello(supervisor: &mut Supervisor, number: u64) -> Option<Forfeit> {
    supervisor.take_outputs();
    supervisor.connected(FOREIGN);
    supervisor.frame(FOREIGN, hello(number, WIRE_VERSION + 1));
    left_over(supervisor)
}

fn hello(number: u64, wire: u16) -> ToSupervisor {
    let (attempt, nonce) = (Attempt::new(9), nonce_of(number));
    ToSupervisor::Hello(Hello { wire, purpose: Purpose::Member, trust: Trust::Open, id: id(number), attempt, nonce })
}

fn left_over(supervisor: &mut Supervisor) -> Option<Forfeit> {
    supervisor.outputs.iter().find_map(|output| match output {
        Output::StepDown(StepDown::MustRefuse(membership)) => Some(*membership),
        _ => None,
    })
}

/// What a client with these numbers says; with a view it is a survivor.
fn numbered(number: u64, view: bool, highest: u64) -> Vec<ToSupervisor> {
    let stamp = if view { Stamp { epoch: Epoch::new(1), n: 1 } } else { Stamp::default() };
    let profile =
        Profile { pid: 0, version: 0, since: 0, presence: 0, paused: false, label: "".into(), payload: [].into() };
    let join = Join {
        group: group(),
        stamp,
        epoch: Epoch::new(highest),
        base: Token::new(highest),
        state: Stamp::default(),
        stopping: false,
        profile,
    };
    let names = vec![(id(number), nonce_of(number))];
    let names = view.then_some(ToSupervisor::Names(NameSort::Known, names));
    [hello(number, WIRE_VERSION), ToSupervisor::Join(join)]
        .into_iter()
        .chain(names)
        .chain([ToSupervisor::ClaimsEnd])
        .collect()
}

#[test]
fn the_office_is_left_to_a_foreign_member_when_the_kernel_has_shown_it() {
    let mut winner = supervisor(Control::default());
    say_hello(&mut winner, LinkId::LOCAL, 1, &[1, 2, 3]);
    say_hello(&mut winner, LinkId(3), 3, &[1, 2, 3]);
    assert_eq!(foreign_hello(&mut winner, 2), None, "the kernel has not answered");
    let unknown = {
        let mut winner = winner.clone();
        winner.called(everyone(&[(1, 1), (3, 3)]));
        left_over(&mut winner)
    };
    assert_eq!(unknown, Some((id(2), Tag::new(0))), "a view names it, and where it has no tag it is left once as well");
    winner.called(everyone(&[(1, 1), (2, 22), (3, 3)]));
    assert_eq!(left_over(&mut winner), Some((id(2), Tag::new(22))));
    assert!(told(&mut winner, LinkId(3)).contains(&ToMember::Leave(LeaveSort::ResigningOver(id(2), Tag::new(22)))));
}

#[test]
fn the_office_is_left_for_a_membership_once() {
    let yielded: BTreeSet<_> = [(id(2), Tag::new(22)), (id(2), Tag::new(23))].into();
    for (shown, expected) in [
        (vec![(1, 1), (2, 22)], None),
        (vec![(1, 1), (2, 22), (2, 23)], None),
        (vec![(1, 1), (2, 22), (2, 24)], Some((id(2), Tag::new(24)))),
        (vec![(1, 1), (2, 24)], Some((id(2), Tag::new(24)))),
        (vec![(1, 1)], None),
    ] {
        let mut winner = supervisor(Control { yielded: yielded.clone(), ..Control::default() });
        winner.called(everyone(&shown));
        assert_eq!(foreign_hello(&mut winner, 2), expected, "{shown:?}");
    }
    let often = (0..Supervisor::YIELDS as u64).map(|tag| (id(2), Tag::new(tag))).collect();
    let mut winner = supervisor(Control { yielded: often, ..Control::default() });
    winner.called(everyone(&[(1, 1), (2, 99)]));
    assert_eq!(foreign_hello(&mut winner, 2), None, "it renews its membership all the time");
}

#[test]
fn the_office_is_left_to_no_one_when_no_more_can_be_remembered() {
    let yielded: BTreeSet<_> = (0..Session::YIELDED as u64).map(|n| (id(1000 + n), Tag::new(n))).collect();
    for (count, leaves) in [(Session::YIELDED - 1, true), (Session::YIELDED, false)] {
        let yielded = yielded.iter().copied().take(count).collect();
        let mut supervisor = supervisor(Control { yielded, ..Control::default() });
        supervisor.called(everyone(&[(1, 1), (2, 2)]));
        say_hello(&mut supervisor, LinkId::LOCAL, 1, &[1, 2]);
        assert_eq!(foreign_hello(&mut supervisor, 2).is_some(), leaves, "{count} are remembered");
    }
}

#[test]
fn where_memberships_have_no_tags_the_office_is_left_to_an_instance_once() {
    let mut winner = supervisor(Control::default());
    winner.called(RollCall::Somebody(true));
    say_hello(&mut winner, LinkId::LOCAL, 1, &[1, 2]);
    let membership = foreign_hello(&mut winner, 2).expect("the office is left");
    let mut winner = supervisor(Control { yielded: [membership].into(), ..Control::default() });
    winner.called(RollCall::Somebody(true));
    say_hello(&mut winner, LinkId::LOCAL, 1, &[1, 2]);
    assert_eq!(foreign_hello(&mut winner, 2), None);
}

#[test]
fn numbers_far_beyond_what_a_winner_knows_are_refused_and_count_for_nothing() {
    const NOW: u64 = 1_700_000_000_000;
    let most = NOW * 1_000_000 + BELIEF;
    for view in [false, true] {
        for (highest, taken) in [(most, true), (most + 1, false), (END - (1 << 22), false), (u64::MAX, false)] {
            let mut winner = supervisor(Control { is_member: true, ..Control::default() });
            winner.set_time(NOW);
            winner.called(everyone(&[(1, 1), (2, 22)]));
            say_hello(&mut winner, LinkId::LOCAL, 1, &[1, 2]);
            winner.take_outputs();
            winner.connected(LinkId(2));
            numbered(2, view, highest).into_iter().for_each(|frame| winner.frame(LinkId(2), frame));
            let frames = told(&mut winner, LinkId(2));
            let refused = matches!(frames[..], [ToMember::Refused(Refusal::Protocol(_))]);
            assert_eq!((refused, left_over(&mut winner)), (!taken, None), "{view} {highest}: {frames:?}");
            winner.membership_gone(id(2));
            winner.gone(id(2));
            winner.close(NOW * 1_000_000);
            assert!(winner.head.base.number() <= most + crate::coordinator::numbers::STEP);
        }
    }
}

#[test]
fn a_winner_that_knows_nothing_leaves_the_office_to_survivors_it_cannot_believe() {
    let far = 2 * BELIEF;
    let mut winner = supervisor(Control::default());
    winner.called(everyone(&[(1, 1), (2, 22)]));
    say_hello(&mut winner, LinkId::LOCAL, 1, &[]);
    winner.take_outputs();
    winner.connected(LinkId(2));
    numbered(2, true, far).into_iter().for_each(|frame| winner.frame(LinkId(2), frame));
    assert_eq!(left_over(&mut winner), Some((id(2), Tag::new(22))));
    // One that knows as much believes them.
    let mut winner = supervisor(Control { known: far, is_member: true, ..Control::default() });
    winner.called(everyone(&[(1, 1), (2, 22)]));
    say_hello(&mut winner, LinkId::LOCAL, 1, &[1, 2]);
    winner.connected(LinkId(2));
    numbered(2, true, far + 1).into_iter().for_each(|frame| winner.frame(LinkId(2), frame));
    assert!(left_over(&mut winner).is_none() && winner.is_complete());
}

/// One instance reigns again and again, and each time a liar brings the highest number that is believed.
#[test]
fn the_own_member_half_bears_every_number_that_a_reign_can_have() {
    let profile =
        Profile { pid: 1, version: 0, since: 0, presence: 0, paused: false, label: "".into(), payload: [].into() };
    let mut session = Session::new(id(1), nonce_of(1), group(), profile);
    let lock = Resource::new(Kind::Mutex, group());
    let mut last = (Epoch::default(), Token::default());
    for reign in 0..1200_u64 {
        let control = Control { known: session.highest(), is_member: !session.is_fresh(), ..Control::default() };
        let brought = crate::coordinator::numbers::believed(0, session.highest());
        let mut winner = supervisor(control);
        winner.called(everyone(&[(1, 1)]));
        let mut words: Vec<_> = session.hello();
        let mut hear = |winner: &mut Supervisor, words: &mut Vec<ToSupervisor>| loop {
            words.drain(..).for_each(|frame| winner.frame(LinkId::LOCAL, frame));
            winner.close(0);
            let frames = told(winner, LinkId::LOCAL);
            if frames.is_empty() {
                return;
            }
            for frame in frames {
                let effects = session.receive(frame.clone()).unwrap_or_else(|why| panic!("{reign}: {why:?} {frame:?}"));
                words.extend(effects.into_iter().filter_map(|effect| match effect {
                    crate::coordinator::session::Effect::Send(frame) => Some(frame),
                    _ => None,
                }));
            }
        };
        let liar = LinkId(2);
        winner.connected(liar);
        let survives = reign % 2 == 0;
        numbered(2, survives, brought).into_iter().for_each(|frame| winner.frame(liar, frame));
        hear(&mut winner, &mut words);
        winner.written(liar, u64::MAX);
        hear(&mut winner, &mut words);
        assert!(winner.is_open(), "reign {reign}");
        let (request, ask) = session.acquire(lock.clone(), Mode::Exclusive);
        let mut words: Vec<_> = ask.into_iter().collect();
        words.drain(..).for_each(|frame| winner.frame(LinkId::LOCAL, frame));
        for frame in told(&mut winner, LinkId::LOCAL) {
            session.receive(frame).expect("a grant");
        }
        let held = session.take(request);
        if session.highest() < END {
            assert!(held.is_some(), "reign {reign}");
        }
        let now = (winner.head.stamp.epoch, winner.head.base);
        assert!(now >= last && now.0.number() <= END && now.1.number() <= END);
        if last.1.number() < LAST {
            assert!(now.1 > last.1, "reign {reign}");
        }
        last = now;
        drop(session.release(request));
        session.disconnected();
    }
    assert!(last.1.number() >= LAST, "the end was not reached: {last:?}");
}
