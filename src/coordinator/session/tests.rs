use super::*;
use crate::ident::{Kind, Resource, Tag, Ticket};
use crate::wire::message::{Abandoned, Delta, Grant, Mode, Queued, Standing, ViewHead, Welcome};

pub(super) fn profile() -> Profile {
    Profile { pid: 1, version: 0, since: 0, presence: 0, paused: false, label: "".into(), payload: [].into() }
}

pub(super) fn name() -> Name {
    Name::new("a").expect("a short name")
}

pub(super) fn lock() -> Resource {
    Resource::new(Kind::Mutex, name())
}

pub(super) fn entry(number: u64) -> Entry {
    Entry { id: InstanceId::new(number), profile: profile(), standing: Standing::Active, nonce: Nonce::new(number) }
}

pub(super) fn welcome(n: u64) -> ToMember {
    let stamp = Stamp { epoch: Epoch::new(9), n };
    let view = Some(ViewHead { stamp, base: Token::new(90), written: 0, whole: true });
    ToMember::Welcome(Welcome { supervisor: InstanceId::new(1), pid: 1, view })
}

/// A member of a reign, with a request that was granted, if it is to hold.
pub(super) fn member(holds: bool) -> (Session, Request) {
    let mut session = Session::new(InstanceId::new(2), Nonce::new(2), name(), profile());
    session.hello();
    session.receive(ToMember::Entries(vec![entry(1), entry(2)])).expect("the view");
    session.receive(welcome(4)).expect("the welcome");
    let (request, sent) = session.acquire(lock(), Mode::Exclusive);
    assert!(sent.is_some());
    if holds {
        let grant = Grant { request, token: Token::new(91), since: 5, abandoned: Abandoned::Clean };
        session.receive(ToMember::Grant(grant)).expect("the grant");
        assert!(session.take(request).is_some());
    }
    (session, request)
}

fn claims(frames: &[ToSupervisor]) -> usize {
    frames.iter().filter(|frame| matches!(frame, ToSupervisor::Held(_) | ToSupervisor::Wants(_))).count()
}

#[test]
fn membership_is_shown_before_the_first_request_leaves() {
    let mut session = Session::new(InstanceId::new(2), Nonce::new(2), name(), profile());
    assert_eq!(session.acquire(lock(), Mode::Exclusive).1, None, "nobody to ask yet");
    assert_eq!(claims(&session.hello()), 0, "a newcomer claims nothing");
    let effects = session.receive(welcome(1)).expect("the welcome");
    let shown = effects.iter().position(|effect| *effect == Effect::ShowMembership);
    let asked = effects.iter().position(|effect| matches!(effect, Effect::Send(ToSupervisor::Acquire(_))));
    assert!(shown.is_some() && shown < asked);
}

#[test]
fn a_release_after_the_end_of_the_connection_is_in_no_claim() {
    let (mut session, request) = member(true);
    session.disconnected();
    assert_eq!(session.release(request), None);
    assert_eq!(claims(&session.hello()), 0);
    let (mut session, _) = member(true);
    session.disconnected();
    assert_eq!(claims(&session.hello()), 1);
}

#[test]
fn the_next_attempt_lies_above_the_last_one_that_a_supervisor_names_within_bounds() {
    for (last, next) in
        [(0, 2), (1, 2), (7, 8), (1 + Attempt::STRIDE, 2 + Attempt::STRIDE), (2 + Attempt::STRIDE, 2), (u64::MAX, 2)]
    {
        let (mut session, _) = member(false);
        assert_eq!(session.attempt(), Attempt::new(1));
        session.turned_away(&Refusal::Attempt { last: Attempt::new(last) });
        session.hello();
        assert_eq!(session.attempt(), Attempt::new(next), "after {last}");
    }
    assert_eq!(Attempt::new(u64::MAX).next(), Attempt::new(u64::MAX));
}

#[test]
fn who_is_told_to_stop_says_so_to_every_supervisor() {
    let says = |session: &mut Session| {
        let frames = session.hello();
        frames.iter().any(|frame| matches!(frame, ToSupervisor::Join(join) if join.stopping))
    };
    let (mut session, _) = member(false);
    session.receive(ToMember::Command(Order::Pause)).expect("a command");
    session.disconnected();
    assert!(!says(&mut session));
    let (mut session, _) = member(false);
    session.receive(ToMember::Command(Order::Stop)).expect("a command");
    session.disconnected();
    assert!(says(&mut session));
    session.disconnected();
    session.rename(InstanceId::new(3), Nonce::new(3));
    assert!(says(&mut session), "also under another id");
}

#[test]
fn only_who_could_change_something_abandons_it() {
    let (mut session, request) = member(true);
    assert_eq!(session.abandon(request), Some(ToSupervisor::Abandon(request)));
    assert_eq!(session.abandon(request), None, "it is held no more");
    let (request, _) = session.acquire(lock(), Mode::Shared);
    let grant = Grant { request, token: Token::new(91), since: 5, abandoned: Abandoned::Clean };
    session.receive(ToMember::Grant(grant)).expect("the grant");
    assert!(session.take(request).is_some());
    assert_eq!(session.abandon(request), Some(ToSupervisor::Release(request)));
    let (mut session, request) = member(true);
    session.disconnected();
    assert_eq!(session.abandon(request), None);
    assert_eq!(claims(&session.hello()), 0);
}

#[test]
fn a_grant_that_nobody_waits_for_is_declined() {
    let (mut session, request) = member(false);
    assert_eq!(session.cancel(request), Some(ToSupervisor::Cancel(request)));
    let grant = Grant { request, token: Token::new(91), since: 5, abandoned: Abandoned::Clean };
    let effects = session.receive(ToMember::Grant(grant));
    assert_eq!(effects, Ok(vec![Effect::Send(ToSupervisor::Decline(request))]));
}

#[test]
fn who_forfeits_loses_what_it_holds_and_asks_again_for_the_rest() {
    let (mut session, held) = member(true);
    let (waits, _) = session.acquire(lock(), Mode::Exclusive);
    let ticket = Ticket { epoch: Epoch::new(9), n: 1 };
    session.receive(ToMember::Queued(Queued { request: waits, ticket, ahead: 0, holder: None })).expect("the place");
    let effects = session.receive(ToMember::Forfeited).expect("the verdict");
    assert_eq!(effects.first(), Some(&Effect::Tell(Notice::Lost(held, lock(), Token::new(91)))));
    assert_eq!(effects.last(), Some(&Effect::Rename));
    assert!(session.is_fresh());
    assert_eq!(session.claims().get(&waits).map(|claim| matches!(claim, Claim::Wants(_, None))), Some(true));
    session.disconnected();
    session.rename(InstanceId::new(3), Nonce::new(3));
    session.hello();
    let effects = session.receive(welcome(1)).expect("the welcome");
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Send(ToSupervisor::Acquire(_)))));
}

#[test]
fn a_change_of_another_view_changes_nothing() {
    let (mut session, _) = member(false);
    let before = session.clone();
    for n in [4, 6] {
        let stamp = Stamp { epoch: Epoch::new(9), n };
        let delta = Delta { stamp, entries: vec![entry(7)], ended: Vec::new() };
        assert!(session.receive(ToMember::Delta(delta)).is_err());
        assert_eq!(session, before);
    }
}

#[test]
fn who_forfeited_is_a_part_of_the_closed_view() {
    let forfeits = vec![(InstanceId::new(8), Tag::new(80))];
    let bring = ToSupervisor::Forfeits(forfeits.clone());
    let mut session = Session::new(InstanceId::new(2), Nonce::new(2), name(), profile());
    session.hello();
    session.receive(ToMember::Forfeits(forfeits)).expect("a part");
    session.disconnected();
    assert!(!session.hello().contains(&bring), "no view used it");
    session.receive(ToMember::Forfeits(vec![(InstanceId::new(8), Tag::new(80))])).expect("a part");
    session.receive(welcome(1)).expect("the welcome");
    session.disconnected();
    assert!(session.hello().contains(&bring));
    session.receive(welcome(1)).expect("a view without it");
    session.disconnected();
    assert!(!session.hello().contains(&bring));
}

#[test]
fn names_of_an_open_window_are_brought_along_but_are_no_knowledge() {
    let (mut session, _) = member(false);
    session.disconnected();
    session.hello();
    let heard = vec![InstanceId::new(8)];
    session.receive(ToMember::Names(NameSort::Heard, heard.clone())).expect("a name");
    let open = Welcome { supervisor: InstanceId::new(1), pid: 1, view: None };
    session.receive(ToMember::Welcome(open)).expect("the welcome");
    assert_eq!((session.stamp().n, session.view().len()), (4, 2));
    session.disconnected();
    assert!(
        session.hello().contains(&ToSupervisor::Names(NameSort::Heard, vec![(InstanceId::new(8), Nonce::UNKNOWN)]))
    );
}
