use super::*;
use crate::ident::{Name, Request};

const A: InstanceId = InstanceId::new(1);
const B: InstanceId = InstanceId::new(2);

fn key(kind: Kind, text: &str) -> Resource {
    Resource::new(kind, Name::new(text).expect("a name made for a test"))
}

const fn at(epoch: u64, n: u64) -> Stamp {
    Stamp { epoch: Epoch::new(epoch), n }
}

fn put(request: u64, bytes: &[u8]) -> Put {
    let key = key(Kind::Value, "x");
    Put { request: Request::new(request), key, expected: None, again: None, bytes: Some(bytes.into()) }
}

fn delete(request: u64) -> Put {
    Put { bytes: None, ..put(request, &[]) }
}

/// The state of a reign with epoch 5 that began with nothing.
fn state() -> State {
    let mut state = State::default();
    state.begin(Epoch::new(5));
    state
}

fn stored(outcome: Outcome) -> Stamp {
    match outcome {
        Outcome::Stored(value) => value.version,
        other => panic!("not stored: {other:?}"),
    }
}

#[test]
fn writes_are_numbered_in_one_order() {
    let mut state = state();
    let other = Put { key: key(Kind::Value, "y"), ..put(2, b"two") };
    assert_eq!(stored(state.put(A, &put(1, b"one"))), at(5, 1));
    assert_eq!(stored(state.put(B, &other)), at(5, 2));
    assert_eq!(stored(state.put(A, &delete(3))), at(5, 3));
    assert_eq!(state.stamp(), at(5, 3));
    state.begin(Epoch::new(7));
    assert_eq!((state.stamp(), state.version(&other.key)), (at(7, 0), at(5, 2)));
    assert_eq!(stored(state.put(A, &put(4, b"four"))), at(7, 1));
    state.check_invariants();
}

#[test]
fn a_write_that_expects_another_version_conflicts_and_changes_nothing() {
    let mut state = state();
    let never = Put { expected: Some(Stamp::default()), ..put(1, b"one") };
    assert_eq!(stored(state.put(A, &never)), at(5, 1));
    let before = state.clone();
    for expected in [Stamp::default(), at(5, 2), at(4, 1)] {
        let put = Put { expected: Some(expected), ..put(2, b"two") };
        assert_eq!(state.put(B, &put), Outcome::Conflict(at(5, 1)));
        assert_eq!(state, before);
    }
    assert_eq!(stored(state.put(B, &Put { expected: Some(at(5, 1)), ..put(3, b"three") })), at(5, 2));
}

#[test]
fn a_delete_is_a_value_and_its_version_counts() {
    let mut state = state();
    state.put(A, &put(1, b"one"));
    assert_eq!(stored(state.put(A, &delete(2))), at(5, 2));
    assert_eq!(state.values().len(), 1, "it stays, to be told to whoever lacks it");
    assert_eq!(state.written_since(Some(at(5, 1))).count(), 1);
    let created = Put { expected: Some(Stamp::default()), ..put(3, b"three") };
    assert_eq!(state.put(B, &created), Outcome::Conflict(at(5, 2)), "a deleted key was written");
}

#[test]
fn a_write_said_again_is_done_once() {
    let mut state = state();
    state.put(B, &put(1, b"before"));
    let first = put(9, b"mine");
    let again = |then: Stamp| Put { again: Some(then), ..first.clone() };
    assert_eq!(state.known(A, &again(at(5, 1))), None, "nobody wrote the key since, so it was not done");
    assert_eq!(state.known(A, &again(Stamp::default())), Some(Outcome::Interrupted), "somebody wrote it since");
    assert_eq!(stored(state.put(A, &again(at(5, 1)))), at(5, 2));
    for repeated in [first.clone(), again(at(5, 1)), again(Stamp::default())] {
        assert_eq!(state.known(A, &repeated), Some(Outcome::Known(at(5, 2))));
        assert_eq!(state.known(B, &repeated).is_some(), repeated.again.is_some(), "it is A's, not B's");
    }
    state.put(B, &put(2, b"later"));
    assert_eq!(state.known(A, &again(at(5, 1))), Some(Outcome::Interrupted), "to do it again would undo B's");
}

#[test]
fn what_a_key_can_have_depends_on_its_kind() {
    let large = vec![0; VALUE_LIMIT + 1];
    for (kind, bytes, why) in [
        (Kind::Mutex, Some(&b"1"[..]), Some(Unfit::Kind(Kind::Mutex))),
        (Kind::RwLock, None, Some(Unfit::Kind(Kind::RwLock))),
        (Kind::Semaphore, Some(b"1234"), None),
        (Kind::Semaphore, Some(b"123"), Some(Unfit::Limit)),
        (Kind::Semaphore, None, Some(Unfit::Lasting(Kind::Semaphore))),
        (Kind::Once, Some(b""), None),
        (Kind::Once, None, Some(Unfit::Lasting(Kind::Once))),
        (Kind::Value, Some(b""), None),
        (Kind::Value, Some(&large[1..]), None),
        (Kind::Value, Some(&large), Some(Unfit::Large(VALUE_LIMIT + 1))),
        (Kind::Value, None, None),
    ] {
        let mut state = state();
        let put = Put { key: key(kind, "x"), bytes: bytes.map(Into::into), ..put(1, &[]) };
        let outcome = state.put(A, &put);
        let refused = if let Outcome::Refused(why) = outcome { Some(why) } else { None };
        assert_eq!((refused, state.values().len()), (why, usize::from(why.is_none())), "{kind}");
        state.check_invariants();
    }
}

#[test]
fn a_result_is_written_once_and_a_limit_as_often_as_one_likes() {
    let mut state = state();
    let result = |request: u64| Put { key: key(Kind::Once, "x"), ..put(request, b"done") };
    stored(state.put(A, &result(1)));
    assert_eq!(state.put(B, &result(2)), Outcome::Refused(Unfit::Decided));
    assert_eq!(state.known(A, &result(1)), Some(Outcome::Known(at(5, 1))), "who wrote it may say it again");
    let limit = |request: u64, limit: u32| Put { key: key(Kind::Semaphore, "s"), ..put(request, &limit.to_be_bytes()) };
    stored(state.put(A, &limit(3, 25)));
    stored(state.put(B, &limit(4, 7)));
    assert_eq!(state.limits().collect::<Vec<_>>(), [(&key(Kind::Semaphore, "s"), 7)]);
}

#[test]
fn a_full_state_takes_only_what_makes_it_smaller() {
    let mut state = state();
    let large =
        |request: u64| Put { key: key(Kind::Value, &request.to_string()), ..put(request, &[7; VALUE_LIMIT - 1024]) };
    for request in 1..=4 {
        stored(state.put(A, &large(request)));
    }
    let before = state.clone();
    assert_eq!(state.put(A, &large(5)), Outcome::Refused(Unfit::Full));
    assert_eq!(state, before);
    stored(state.put(A, &Put { bytes: None, ..large(1) }));
    stored(state.put(A, &Put { request: Request::new(6), ..large(5) }));
    state.check_invariants();
}

#[test]
fn there_are_so_many_keys_and_deleted_ones_count() {
    let mut state = state();
    for n in 0..State::KEY_LIMIT as u64 {
        stored(state.put(A, &Put { key: key(Kind::Value, &n.to_string()), ..delete(n) }));
    }
    let one_more = Put { key: key(Kind::Value, "x"), ..put(99_999, b"1") };
    assert_eq!(state.put(A, &one_more), Outcome::Refused(Unfit::Keys));
    stored(state.put(A, &Put { key: key(Kind::Value, "7"), ..one_more }));
    state.check_invariants();
}

#[test]
fn only_what_is_a_prefix_is_added_to() {
    let mut state = State::copy(at(5, 3));
    state.begin(Epoch::new(7));
    state.put(A, &put(1, b"one"));
    for (has, lacks_only) in [
        (at(7, 0), true),
        (at(7, 1), true),
        (at(7, 2), false),
        (at(5, 3), true),
        (at(5, 0), true),
        (at(5, 4), false),
        (at(6, 0), false),
        (at(8, 0), false),
        (Stamp::default(), false),
    ] {
        assert_eq!(state.since(has), lacks_only.then_some(has), "{has}");
    }
    let mut empty = State::default();
    empty.begin(Epoch::new(7));
    assert_eq!(empty.since(Stamp::default()), None, "who has no copy needs all of it, also of nothing");
}

#[test]
fn a_copy_takes_what_a_supervisor_can_have_written_and_nothing_else() {
    let value = |n: u64, kind: Kind| Value {
        key: key(kind, "x"),
        version: at(5, n),
        writer: A,
        request: Request::new(1),
        bytes: Some(b"1".as_slice().into()),
    };
    let mut copy = State::copy(at(5, 3));
    assert_eq!(copy.take(value(3, Kind::Value)), Ok(()));
    assert_eq!(copy.take(value(4, Kind::Value)), Err(Unfit::Number));
    assert_eq!(copy.take(value(1, Kind::Mutex)), Err(Unfit::Kind(Kind::Mutex)));
    assert_eq!(copy.take(value(1, Kind::Semaphore)), Err(Unfit::Limit));
    let many = (0..5).map(|n| Value {
        key: key(Kind::Value, &n.to_string()),
        bytes: Some(vec![0; VALUE_LIMIT].into()),
        ..value(1, Kind::Value)
    });
    assert!(many.map(|value| copy.take(value)).any(|taken| taken == Err(Unfit::Full)), "it takes no more memory");
    copy.check_invariants();
}

#[test]
fn numbers_that_end_refuse_writes_and_do_not_wrap() {
    let mut state = State::copy(at(u64::MAX, u64::MAX));
    state.begin(Epoch::new(u64::MAX));
    assert_eq!(state.put(A, &put(1, b"one")), Outcome::Refused(Unfit::Number));
    state.check_invariants();
}
