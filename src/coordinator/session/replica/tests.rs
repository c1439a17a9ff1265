use super::super::{InstanceId, Name, Profile};
use super::*;
use crate::ident::{Epoch, Kind, Nonce, Token};
use crate::wire::message::{Opened, ToMember, Welcome};

const fn at(epoch: u64, n: u64) -> Stamp {
    Stamp { epoch: Epoch::new(epoch), n }
}

fn key(text: &str) -> Resource {
    Resource::new(Kind::Value, Name::new(text).expect("a short name"))
}

fn value(text: &str, version: Stamp) -> Value {
    let bytes = Some(b"bytes".as_slice().into());
    Value { key: key(text), version, writer: InstanceId::new(7), request: Request::new(70), bytes }
}

fn head(epoch: u64, written: u64, whole: bool) -> ViewHead {
    ViewHead { stamp: at(epoch, 1), base: Token::new(9), written, whole }
}

fn welcome(view: Option<ViewHead>) -> ToMember {
    ToMember::Welcome(Welcome { supervisor: InstanceId::new(1), pid: 1, view })
}

fn opened(view: ViewHead) -> ToMember {
    ToMember::Opened(Opened { supervisor: InstanceId::new(1), view, departed: Vec::new() })
}

fn hear(session: &mut Session, frame: ToMember) -> Vec<Effect> {
    session.receive(frame).expect("a frame that has its place here")
}

fn session() -> Session {
    let profile =
        Profile { pid: 1, version: 0, since: 0, presence: 0, paused: false, label: "".into(), payload: [].into() };
    Session::new(InstanceId::new(2), Nonce::new(2), Name::new("group").expect("a short name"), profile)
}

/// A member of reign 5 that has `x` as written second.
fn member() -> Session {
    let mut session = session();
    session.hello();
    hear(&mut session, ToMember::Value(value("x", at(5, 2))));
    hear(&mut session, welcome(Some(head(5, 2, true))));
    session
}

fn again(session: &mut Session) {
    session.disconnected();
    session.hello();
    hear(session, welcome(None));
}

fn puts(effects: &[Effect]) -> Vec<(Request, Option<Stamp>)> {
    let said = effects.iter().filter_map(|effect| match effect {
        Effect::Send(ToSupervisor::Put(put)) => Some((put.request, put.again)),
        _ => None,
    });
    said.collect()
}

fn notices(effects: Vec<Effect>) -> Vec<Notice> {
    let about_state = |notice: &Notice| {
        matches!(notice, Notice::Written(_) | Notice::Stored(..) | Notice::Conflict(..) | Notice::Interrupted(_))
    };
    let told = effects.into_iter().filter_map(|effect| match effect {
        Effect::Tell(notice) => Some(notice),
        _ => None,
    });
    told.filter(about_state).collect()
}

#[test]
fn a_copy_counts_only_when_it_is_whole() {
    let mut session = session();
    session.hello();
    hear(&mut session, ToMember::Value(value("x", at(5, 2))));
    assert_eq!((session.state().values().len(), session.state().stamp()), (0, Stamp::default()));
    session.disconnected();
    session.hello();
    hear(&mut session, ToMember::Value(value("y", at(5, 3))));
    let told = notices(hear(&mut session, welcome(Some(head(5, 3, true)))));
    assert_eq!(told, [Notice::Written(value("y", at(5, 3)))]);
    assert_eq!(session.state().stamp(), at(5, 3));
    assert_eq!(session.state().values().keys().collect::<Vec<_>>(), [&key("y")], "of the first connection nothing");
}

#[test]
fn a_hello_says_how_far_the_copy_goes() {
    let mut session = member();
    hear(&mut session, ToMember::Value(value("y", at(5, 3))));
    session.disconnected();
    let said = |frames: &[ToSupervisor]| {
        frames.iter().find_map(|frame| if let ToSupervisor::Join(join) = frame { Some(join.state) } else { None })
    };
    assert_eq!(said(&session.hello()), Some(at(5, 3)));
    hear(&mut session, ToMember::Forfeited);
    session.disconnected();
    session.rename(InstanceId::new(3), Nonce::new(3));
    assert_eq!(said(&session.hello()), Some(Stamp::default()), "what was forfeited is nobody's source");
    assert_eq!(session.state().values().len(), 2, "but can still be read");
}

#[test]
fn what_is_lacking_is_added_and_the_whole_replaces() {
    for (whole, left) in [(false, 2), (true, 1)] {
        let mut session = member();
        again(&mut session);
        hear(&mut session, ToMember::Value(value("y", at(5, 3))));
        let told = notices(hear(&mut session, opened(head(6, 0, whole))));
        assert_eq!(session.state().values().len(), left);
        assert_eq!(session.state().stamp(), at(6, 0));
        assert_eq!(told[0], Notice::Written(value("y", at(5, 3))));
        let forgotten = Value { version: Stamp::default(), bytes: None, ..value("x", at(5, 2)) };
        assert_eq!(told[1..], if whole { vec![Notice::Written(forgotten)] } else { Vec::new() });
    }
}

/// How many writes the application learns to have been skipped, which must come before the values.
fn skipped(effects: &[Effect]) -> u64 {
    let told = effects.iter().filter_map(|effect| match effect {
        Effect::Tell(Notice::Skipped(count)) => Some(Some(*count)),
        Effect::Tell(Notice::Written(_)) => Some(None),
        _ => None,
    });
    let told: Vec<_> = told.collect();
    assert!(told.iter().skip(1).all(Option::is_none), "once, and first: {told:?}");
    told.first().copied().flatten().unwrap_or_default()
}

#[test]
fn writes_that_left_no_value_are_told_as_skipped() {
    let y = |epoch, n| value("y", at(epoch, n));
    let (x, z) = (|epoch, n| value("x", at(epoch, n)), |epoch, n| value("z", at(epoch, n)));
    // The member has the writes of reign 5 up to the second, which is that of `x`.
    for (what, values, view, count) in [
        ("the same reign, nothing new", vec![], head(5, 2, false), 0),
        ("the same reign, every write", vec![y(5, 3), z(5, 4)], head(5, 4, false), 0),
        ("the same reign, a key written often", vec![y(5, 2_584)], head(5, 2_584, false), 2_581),
        ("the next reign, nothing new", vec![x(5, 2)], head(6, 0, true), 0),
        ("the next reign, every write of the last", vec![y(5, 3)], head(6, 0, false), 0),
        ("the next reign, writes of the last", vec![y(5, 9)], head(6, 0, false), 6),
        ("the next reign, late", vec![y(6, 1)], head(6, 1, false), 1),
        ("the next reign, late, writes of both", vec![x(5, 5), y(6, 3)], head(6, 3, false), 4),
        ("a later reign", vec![x(6, 7)], head(7, 0, true), 6),
    ] {
        let mut session = member();
        again(&mut session);
        for value in values {
            hear(&mut session, ToMember::Value(value));
        }
        assert_eq!(skipped(&hear(&mut session, opened(view))), count, "{what}");
    }
}

#[test]
fn a_newcomer_has_skipped_nothing_and_who_forfeited_does_not_know() {
    let mut session = session();
    session.hello();
    hear(&mut session, ToMember::Value(value("x", at(5, 9))));
    assert_eq!(skipped(&hear(&mut session, welcome(Some(head(5, 9, true))))), 0);

    // Of a group without values it knows that there were none.
    let mut session = self::session();
    session.hello();
    hear(&mut session, welcome(Some(head(5, 0, true))));
    again(&mut session);
    hear(&mut session, ToMember::Value(value("x", at(5, 3))));
    assert_eq!(skipped(&hear(&mut session, opened(head(5, 3, false)))), 2);

    for (version, count) in [(2, 0), (3, 1)] {
        let mut session = member();
        hear(&mut session, ToMember::Forfeited);
        session.disconnected();
        session.rename(InstanceId::new(3), Nonce::new(3));
        session.hello();
        hear(&mut session, ToMember::Value(value("x", at(5, version))));
        assert_eq!(skipped(&hear(&mut session, welcome(Some(head(5, 3, true))))), count);
    }
}

#[test]
fn nothing_can_be_added_to_a_copy_that_does_not_count() {
    let mut session = session();
    session.hello();
    let before = session.clone();
    assert!(session.receive(welcome(Some(head(5, 2, false)))).is_err());
    assert_eq!(session, before);
}

#[test]
fn a_deleted_key_does_not_come_back() {
    let mut session = member();
    let deleted = Value { bytes: None, ..value("x", at(5, 3)) };
    hear(&mut session, ToMember::Value(deleted.clone()));
    again(&mut session);
    hear(&mut session, opened(head(6, 0, false)));
    assert_eq!(session.state().values().get(&key("x")), Some(&deleted));
}

#[test]
fn a_member_takes_only_the_next_write() {
    for version in [at(5, 2), at(5, 4), at(6, 3), at(4, 3)] {
        let mut session = member();
        let before = session.clone();
        assert!(session.receive(ToMember::Value(value("x", version))).is_err(), "{version}");
        assert_eq!(session, before);
    }
}

#[test]
fn a_fetch_in_a_window_is_answered_with_all_there_is() {
    let mut session = member();
    assert!(session.receive(ToMember::Fetch).is_err(), "the window is closed");
    again(&mut session);
    let effects = hear(&mut session, ToMember::Fetch);
    let expected = [ToSupervisor::Value(value("x", at(5, 2))), ToSupervisor::StateEnd].map(Effect::Send);
    assert_eq!(effects, expected);
}

#[test]
fn a_write_is_said_when_a_reign_is_open_and_said_again_with_the_version_of_then() {
    let mut session = session();
    let (first, said) = session.put(key("x"), None, None);
    assert_eq!(said, None);
    session.hello();
    hear(&mut session, ToMember::Value(value("x", at(5, 2))));
    assert_eq!(puts(&hear(&mut session, welcome(Some(head(5, 2, true))))), [(first, None)], "it was never said");
    let (second, said) = session.put(key("y"), None, None);
    assert_eq!(puts(&said.map(Effect::Send).into_iter().collect::<Vec<_>>()), [(second, None)]);
    hear(&mut session, ToMember::Value(value("y", at(5, 3))));
    again(&mut session);
    let (third, said) = session.put(key("x"), None, None);
    assert_eq!(said, None, "not before the window is closed");
    let effects = hear(&mut session, opened(head(6, 0, false)));
    assert_eq!(puts(&effects), [(first, Some(at(5, 2))), (second, Some(Stamp::default())), (third, None)]);
}

#[test]
fn every_write_has_one_answer_and_one_that_was_forgotten_none() {
    let version = at(5, 3);
    type Answer = fn(Request, Stamp) -> (ToMember, Notice);
    let answers: [Answer; 3] = [
        |request, version| (ToMember::Stored(request, version), Notice::Stored(request, version)),
        |request, version| (ToMember::Conflict(request, version), Notice::Conflict(request, version)),
        |request, _| (ToMember::Interrupted(request), Notice::Interrupted(request)),
    ];
    for answer in answers {
        let mut session = member();
        let (request, _) = session.put(key("x"), None, None);
        let (frame, notice) = answer(request, version);
        assert_eq!(notices(hear(&mut session, frame.clone())), [notice]);
        assert_eq!(notices(hear(&mut session, frame.clone())), []);
        let (request, _) = session.put(key("x"), None, None);
        session.forget_put(request);
        assert_eq!(notices(hear(&mut session, answer(request, version).0)), []);
        again(&mut session);
        assert_eq!(puts(&hear(&mut session, opened(head(6, 0, false)))), []);
    }
    let mut session = member();
    let (request, _) = session.put(key("x"), None, None);
    let effects = hear(&mut session, ToMember::Denied(request, "no".into()));
    assert_eq!(effects, [Effect::Tell(Notice::Denied(request, "no".into()))]);
    assert!(session.puts().is_empty());
}

#[test]
fn what_was_said_under_a_forfeited_id_is_interrupted_and_what_was_not_is_said_under_the_next() {
    let mut session = member();
    let (said, _) = session.put(key("x"), None, None);
    again(&mut session);
    let (unsaid, _) = session.put(key("x"), None, None);
    assert_eq!(notices(hear(&mut session, ToMember::Forfeited)), [Notice::Interrupted(said)]);
    session.disconnected();
    session.rename(InstanceId::new(3), Nonce::new(3));
    session.hello();
    assert_eq!(puts(&hear(&mut session, welcome(Some(head(6, 0, true))))), [(unsaid, None)]);
}

#[test]
fn an_observers_write_ends_as_interrupted_with_its_connection() {
    let mut session = session().observing();
    assert!(matches!(session.hello().first(), Some(ToSupervisor::Hello(hello)) if hello.purpose == Purpose::Observer));
    hear(&mut session, welcome(Some(head(5, 0, true))));
    let (said, frame) = session.put(key("x"), None, None);
    assert!(frame.is_some());
    session.disconnected();
    let (unsaid, _) = session.put(key("x"), None, None);
    session.hello();
    let effects = hear(&mut session, welcome(Some(head(6, 0, true))));
    assert_eq!(puts(&effects), [(unsaid, None)]);
    assert_eq!(notices(effects), [Notice::Interrupted(said)]);
}

fn large() -> Option<Arc<[u8]>> {
    Some(vec![7; 600_000].into())
}

#[test]
fn large_writes_are_said_one_after_the_other_and_nothing_overtakes_them() {
    let mut session = member();
    let (first, said) = session.put(key("a"), None, large());
    assert!(said.is_some());
    let (second, said) = session.put(key("b"), None, large());
    assert_eq!(said, None, "both at once are more than may be under way");
    let (third, said) = session.put(key("c"), None, None);
    assert_eq!(said, None, "it waits for its turn");
    let effects = hear(&mut session, ToMember::Denied(first, "".into()));
    assert_eq!(puts(&effects), [(second, None), (third, None)]);
    assert_eq!(puts(&hear(&mut session, ToMember::Stored(second, at(5, 3)))), []);
    hear(&mut session, ToMember::Stored(third, at(5, 4)));
    assert_eq!(session.puts.said, Pace::default());
}

#[test]
fn a_write_that_nobody_waits_for_still_takes_its_room_until_it_is_answered() {
    let mut session = member();
    let (first, _) = session.put(key("a"), None, large());
    session.forget_put(first);
    let (second, said) = session.put(key("b"), None, large());
    assert_eq!(said, None);
    let (given_up, _) = session.put(key("c"), None, large());
    session.forget_put(given_up);
    let effects = hear(&mut session, ToMember::Stored(first, at(5, 3)));
    assert_eq!(puts(&effects), [(second, None)]);
    assert_eq!(notices(effects), [], "nobody waits for the first");
}

#[test]
fn on_a_new_connection_large_writes_are_said_one_after_the_other_again() {
    let mut session = member();
    let (first, _) = session.put(key("a"), None, large());
    let (second, _) = session.put(key("b"), None, large());
    again(&mut session);
    let effects = hear(&mut session, opened(head(6, 0, false)));
    assert_eq!(puts(&effects), [(first, Some(Stamp::default()))]);
    let effects = hear(&mut session, ToMember::Stored(first, at(6, 1)));
    assert_eq!(puts(&effects), [(second, None)]);
}
