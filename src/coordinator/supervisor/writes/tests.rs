//! Writes through a supervisor and some member halves.

mod net;

use self::net::{ME, Net, key, name, session};
use super::super::super::rules::Rules;
use super::super::super::session::{Notice, Session};
use super::super::Supervisor;
use super::*;
use crate::ident::Kind;
use crate::wire::message::{Mode, ToSupervisor};

#[test]
fn a_write_is_acknowledged_when_it_was_written_to_everyone() {
    let mut net = Net::of_three();
    let request = net.put(2, key("x"), None, b"1");
    assert!(net.deliver(2));
    assert_eq!(net.about(request), [], "3 has not got it");
    assert!(net.deliver(3));
    net.deliver_all();
    assert_eq!(net.about(request), net.stored(2, request, 1));
    net.assert_same();
}

#[test]
fn writes_are_acknowledged_in_their_order() {
    let mut net = Net::of_three();
    let first = net.put(2, key("x"), None, b"1");
    let second = net.put(ME, key("x"), None, b"2");
    while net.deliver(2) {}
    net.deliver(3);
    assert_eq!(net.about(second), []);
    net.deliver_all();
    assert_eq!(net.about(first), net.stored(2, first, 1));
    assert_eq!(net.about(second), net.stored(ME, second, 2));
    net.assert_same();
}

#[test]
fn a_member_that_is_cut_is_not_waited_for_and_gets_what_it_lacks_when_it_is_back() {
    let mut net = Net::of_three();
    let before = net.put(ME, key("x"), None, b"1");
    net.deliver_all();
    let request = net.put(ME, key("y"), None, b"2");
    net.deliver(2);
    assert_eq!(net.about(request), []);
    let stopped = net.end(3, false);
    assert_eq!(net.about(request), net.stored(ME, request, 2));
    assert_eq!(net.about(before).len(), 1);
    net.greet(4, stopped);
    let values = net.unwritten[&4].iter().filter(|frame| matches!(frame, ToMember::Value(_))).count();
    assert_eq!(values, 1, "x it has");
    net.deliver_all();
    net.assert_same();
}

#[test]
fn a_newcomer_gets_the_whole_state_with_its_welcome() {
    let mut net = Net::of_three();
    net.put(2, key("x"), None, b"1");
    net.put(ME, key("y"), None, b"2");
    net.greet(4, session(4));
    net.put(ME, key("x"), None, b"3");
    net.deliver_all();
    net.assert_same();
    assert_eq!(net.sessions[&4].state().values().len(), 2);
}

#[test]
fn a_refusal_is_told_at_once_and_a_conflict_when_everybody_has_the_value() {
    let mut net = Net::of_three();
    net.put(2, key("x"), None, b"1");
    let conflict = net.put(ME, key("x"), Some(Stamp::default()), b"2");
    while net.deliver(2) {}
    assert_eq!(net.about(conflict), [], "whoever is told may act upon a value that dies with two of them");
    let refused = net.put(ME, Resource::new(Kind::Mutex, name("x")), None, b"2");
    assert_eq!(net.about(refused), [(ME, Notice::Denied(refused, "a mutex has no value".into()))]);
    net.deliver_all();
    assert_eq!(net.about(conflict), [(ME, Notice::Conflict(conflict, net.version(1)))]);
    assert!(net.sessions[&ME].puts().is_empty());
}

#[test]
fn a_write_that_arrives_twice_is_done_once() {
    let mut net = Net::of_three();
    let session = net.sessions.get_mut(&2).expect("a session of the test");
    let (request, frame) = session.put(key("x"), None, None);
    let frame = frame.expect("a reign is open");
    net.say(2, frame.clone());
    net.put(ME, key("x"), None, b"2");
    net.say(2, frame);
    net.deliver_all();
    assert_eq!(net.supervisor.state().stamp(), net.version(2));
    assert_eq!(net.about(request), net.stored(2, request, 1));
}

#[test]
fn writes_that_overtake_each_other_are_both_done() {
    let mut net = Net::of_three();
    let session = net.sessions.get_mut(&2).expect("a session of the test");
    let (first, one) = session.put(key("x"), None, None);
    let (second, two) = session.put(key("y"), None, None);
    for frame in [two, one] {
        net.say(2, frame.expect("a reign is open"));
    }
    net.deliver_all();
    assert_eq!(net.about(second), net.stored(2, second, 1));
    assert_eq!(net.about(first), net.stored(2, first, 2));
}

#[test]
fn a_caller_of_the_own_half_is_answered_however_many_overtake_it() {
    let mut net = Net::of_three();
    let me = net.sessions.get_mut(&ME).expect("a session of the test");
    let (stopped, late) = me.put(key("x"), None, None);
    for _ in 0..2 * Writes::SAID {
        net.put(ME, key("y"), None, b"1");
        net.deliver_all();
    }
    net.say(ME, late.expect("a reign is open"));
    net.deliver_all();
    assert_eq!(net.about(stopped), net.stored(ME, stopped, 2 * Writes::SAID as u64 + 1));
}

#[test]
fn what_is_remembered_of_a_connection_is_bounded() {
    let mut writes = Writes::default();
    let link = LinkId(7);
    for request in 1..=5000 {
        assert!(writes.is_said_first(link, Request::new(request)), "{request}");
    }
    assert!(writes.said[&link].len() <= Writes::SAID);
    for request in [1, 4000, 5000] {
        assert!(!writes.is_said_first(link, Request::new(request)), "{request} was said");
    }
}

#[test]
fn a_write_before_the_reign_is_open_is_kept_in_order() {
    let sessions = Net::of_three().killed();
    let mut sessions = sessions.into_values();
    let mut net = Net::new(sessions.next().expect("2"), &[2, 3]);
    net.greet(3, sessions.next().expect("3"));
    net.supervisor.gone(InstanceId::new(1));
    net.outputs();
    assert!(!net.supervisor.is_open(), "3 was not told");
    let first = net.put(ME, key("x"), None, b"1");
    let second = net.put(ME, key("x"), None, b"2");
    assert_eq!(net.supervisor.state().values().len(), 0);
    net.deliver_all();
    assert_eq!(net.about(first), net.stored(ME, first, 1));
    assert_eq!(net.about(second), net.stored(ME, second, 2));
    net.assert_same();
}

#[test]
fn only_so_much_is_under_way_at_a_time_however_many_write() {
    let mut net = Net::of_three();
    let large = vec![7; 900_000];
    let requests: Vec<_> =
        (0..12).map(|n| (net.put([ME, 2, 3][n % 3], key(&format!("k{n}")), None, &large), n)).collect();
    let waiting = |net: &Net, link: u64| {
        let sizes = net.unwritten.get(&link).into_iter().flatten().map(|frame| match frame {
            ToMember::Value(value) => value.bytes.as_ref().map_or(0, |bytes| bytes.len()),
            _ => 0,
        });
        sizes.sum::<usize>()
    };
    for _ in 0..200 {
        assert!(waiting(&net, 2) <= Writes::UNDER_WAY && waiting(&net, 3) <= Writes::UNDER_WAY);
        net.supervisor.check_invariants();
        let more = [net.deliver(2), net.deliver(3)];
        if more == [false, false] {
            break;
        }
    }
    for (request, n) in requests {
        let answers = net.about(request);
        let full = n >= 4;
        assert!(
            matches!(answers.as_slice(), [(_, Notice::Stored(..))] if !full)
                || matches!(answers.as_slice(), [(_, Notice::Denied(..))] if full),
            "{n}: {answers:?}"
        );
    }
    net.assert_same();
    assert_eq!((net.supervisor.writes.pending_bytes, net.supervisor.writes.kept_bytes), (0, 0));
}

#[test]
fn what_is_written_to_one_member_is_not_compared_with_every_write_under_way() {
    let mut net = Net::of_three();
    let writes = 500;
    for n in 0..writes {
        net.put(ME, key(&format!("k{n}")), None, b"1");
    }
    assert_eq!(net.supervisor.writes.pending.len(), writes);
    net.supervisor.writes.looked = 0;
    net.deliver_all();
    assert_eq!(net.supervisor.writes.pending.len(), 0);
    // Of each of two members each frame, once when it is written and at most once before.
    let looked = net.supervisor.writes.looked;
    assert!(looked <= 4 * writes, "{looked} looks at {writes} writes");
    net.assert_same();
}

/// 2 has a write that 3 lacks, and its supervisor died before it was acknowledged.
fn half_distributed() -> (Session, Session, Request) {
    let mut net = Net::of_three();
    net.put(ME, key("x"), None, b"1");
    net.deliver_all();
    let request = net.put(2, key("x"), None, b"2");
    net.put(ME, key("y"), None, b"3");
    while net.deliver(2) {}
    assert_eq!(net.about(request), []);
    let mut sessions = net.killed().into_values();
    (sessions.next().expect("2"), sessions.next().expect("3"), request)
}

#[test]
fn the_winner_adopts_the_newest_copy_that_anybody_has() {
    for winner in [2, 3] {
        let (two, three, request) = half_distributed();
        let (me, other) = if winner == 2 { (two, three) } else { (three, two) };
        let mut net = Net::new(me, &[2, 3]);
        net.supervisor.gone(InstanceId::new(1));
        net.greet(7, other);
        assert_eq!(net.supervisor.is_window_open(), winner == 3, "2's copy was not fetched yet");
        net.deliver_all();
        net.assert_same();
        let (value, state) = (key("x"), net.supervisor.state());
        assert_eq!(state.values()[&value].bytes.as_deref(), Some(&b"2"[..]));
        assert_eq!(state.values().len(), 2);
        let (writer, version) = (if winner == 2 { ME } else { 7 }, state.version(&value));
        assert_eq!(net.about(request), [(writer, Notice::Stored(request, version))], "under its old version");
    }
}

#[test]
fn who_ends_while_its_copy_is_fetched_is_accounted_for_only_with_its_end() {
    let (two, three, _) = half_distributed();
    let mut net = Net::new(three, &[2, 3]);
    net.supervisor.gone(InstanceId::new(1));
    net.greet(7, two);
    let two = net.end(7, false);
    net.deliver_all();
    assert!(net.supervisor.is_window_open(), "it lives");
    net.greet(8, two);
    net.supervisor.gone(InstanceId::new(2));
    net.outputs();
    assert!(net.supervisor.is_open(), "it died, with the write that nobody else has");
    assert_eq!(net.supervisor.state().values().len(), 1);
}

#[test]
fn who_is_silent_while_its_copy_is_fetched_forfeits_at_the_limit() {
    let (two, three, _) = half_distributed();
    let mut net = Net::new(three, &[2, 3]);
    net.supervisor.gone(InstanceId::new(1));
    net.greet(7, two);
    assert!(net.supervisor.is_unfinished(LinkId(7)));
    net.supervisor.time(Supervisor::SLICE, true);
    net.outputs();
    assert!(net.supervisor.is_open());
    assert_eq!(net.supervisor.registry().len(), 1);
    assert_eq!(net.unwritten[&7].back(), Some(&ToMember::Forfeited));
}

#[test]
fn a_winner_that_never_had_a_view_adopts_what_the_survivors_bring() {
    let (two, three, request) = half_distributed();
    let mut net = Net::new(session(9), &[2, 3]);
    net.greet(7, three);
    net.greet(8, two);
    net.deliver_all();
    // Whom the kernel no longer shows and the survivors name.
    net.supervisor.gone(InstanceId::new(1));
    net.outputs();
    net.deliver_all();
    assert!(net.supervisor.is_open());
    assert_eq!(net.supervisor.state().values().len(), 2);
    assert_eq!(net.about(request).len(), 1);
    net.assert_same();
}

#[test]
fn what_was_written_between_the_first_saying_and_the_second_interrupts() {
    let mut net = Net::of_three();
    // 2 says it, and its connection ends before that is read; 3 writes the key meanwhile.
    let two = net.sessions.get_mut(&2).expect("a session of the test");
    let (lost, _) = two.put(key("x"), None, None);
    let (unchanged, _) = two.put(key("y"), None, None);
    let two = net.end(2, false);
    net.put(3, key("x"), None, b"3");
    net.greet(4, two);
    net.deliver_all();
    assert_eq!(net.about(lost), [(4, Notice::Interrupted(lost))]);
    assert_eq!(net.about(unchanged), net.stored(4, unchanged, 2), "nobody wrote this one, so it is done now");
    net.assert_same();
}

#[test]
fn an_observer_has_a_copy_and_writes_and_is_not_waited_for() {
    let mut net = Net::of_three();
    net.put(2, key("x"), None, b"1");
    net.greet(5, session(50).observing());
    net.deliver_all();
    net.assert_same();
    let request = net.put(ME, key("x"), None, b"2");
    net.deliver(2);
    net.deliver(3);
    assert_eq!(net.about(request).len(), 1, "the observer has not got it");
    let own = net.put(5, key("x"), None, b"3");
    net.deliver_all();
    assert_eq!(net.about(own), net.stored(5, own, 3));
    assert_eq!(net.supervisor.state().values()[&key("x")].writer, InstanceId::new(50));
    net.assert_same();
}

#[test]
fn a_limit_counts_when_it_is_acknowledged_and_in_the_next_reign_before_claims_are_judged() {
    let limit = |n: u32| n.to_be_bytes();
    let semaphore = Resource::new(Kind::Semaphore, name("s"));
    let mut net = Net::of_three();
    net.put(ME, semaphore.clone(), None, &limit(5));
    assert_eq!(net.supervisor.grants().limit(&semaphore), None, "the others do not have it");
    net.deliver_all();
    assert_eq!(net.supervisor.grants().limit(&semaphore), Some(5));
    // What is asked for names another limit, which does not count.
    for link in [2, 3] {
        let mode = Mode::Permits { count: 2, limit: 2 };
        let session = net.sessions.get_mut(&link).expect("a session of the test");
        let (_, frame) = session.acquire(semaphore.clone(), mode);
        net.say(link, frame.expect("a reign is open"));
    }
    net.deliver_all();
    let mut sessions = net.killed().into_values();
    let mut net = Net::new(sessions.next().expect("2"), &[2, 3]);
    net.supervisor.gone(InstanceId::new(1));
    net.greet(7, sessions.next().expect("3"));
    net.deliver_all();
    assert_eq!(net.supervisor.grants().limit(&semaphore), Some(5));
    assert_eq!(net.supervisor.grants().holders(&semaphore).count(), 2, "4 of 5");
}

#[test]
fn who_says_values_that_nobody_asked_for_is_refused() {
    let value = |n: u64| Value {
        key: key("x"),
        version: Stamp { epoch: Epoch::new(1), n },
        writer: InstanceId::new(2),
        request: Request::new(1),
        bytes: None,
    };
    for frame in [ToSupervisor::Value(value(1)), ToSupervisor::StateEnd] {
        let mut net = Net::of_three();
        net.say(2, frame);
        let refused = net.unwritten[&2].iter().any(|frame| matches!(frame, ToMember::Refused(Refusal::Protocol(_))));
        assert!(refused && net.supervisor.state().values().is_empty());
    }
}

/// 2 reigns and gives up 3; then 3 reigns and gives up 2; the clock was set back, so that 3 counts as 2 did. Each has
/// written something. Then both are there.
fn after_two_reigns_that_know_nothing_of_each_other(rules: Rules) -> Net {
    let mut sessions = Net::of_three().killed().into_values();
    let alone = |session: Session| {
        let mut net = Net::with_rules(session, &[2, 3], rules);
        net.supervisor.gone(InstanceId::new(1));
        net.supervisor.time(Supervisor::SLICE, true);
        net.outputs();
        assert!(net.supervisor.is_open());
        let bytes = net.sessions[&ME].id().number().to_be_bytes();
        net.put(ME, key("x"), None, &bytes);
        net.resigned()
    };
    let two = alone(sessions.next().expect("2"));
    let three = alone(sessions.next().expect("3"));
    let mut net = Net::with_rules(three, &[2, 3], rules);
    net.greet(7, two);
    net.deliver_all();
    assert!(net.supervisor.is_open());
    net
}

#[test]
fn copies_of_two_reigns_that_know_nothing_of_each_other_are_told_apart() {
    let net = after_two_reigns_that_know_nothing_of_each_other(Rules { epochs_are_unique: false, ..Rules::ALL });
    let copies = [ME, 7].map(|link| net.sessions[&link].state());
    assert_eq!(copies[0].stamp(), copies[1].stamp());
    assert_ne!(copies[0].values(), copies[1].values(), "without the rule they differ for ever");

    let mut net = after_two_reigns_that_know_nothing_of_each_other(Rules::ALL);
    let mut two = net.end(7, false);
    assert!(two.is_fresh(), "it has forfeited");
    two.rename(InstanceId::new(4), crate::ident::Nonce::new(4));
    net.greet(8, two);
    net.deliver_all();
    net.assert_same();
}
