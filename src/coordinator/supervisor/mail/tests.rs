//! What becomes of messages: each test says what is sent, and when it is written.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::super::window::RollCall;
use super::super::handshake::tests::{begin_hello, group, nonce_of, say_hello};
use super::super::{Control, Output, Rules, Settings};
use super::*;
use crate::ident::{Attempt, Stamp, Tag, Token};
use crate::wire::WIRE_VERSION;
use crate::wire::message::{Command, Hello, Join, LeaveSort, Profile, Purpose, ToSupervisor, Trust};

mod office;
mod plain;
mod random;

use self::office::greet;
pub(in super::super) use self::office::{ME, Office, id, request};

fn message(number: u64, size: usize) -> Arc<[u8]> {
    let mut bytes = vec![0; size.max(8)];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    bytes.into()
}

fn heard_from(link: LinkId, number: u64, size: usize) -> ToMember {
    ToMember::Message(id(link), message(number, size))
}

const A: LinkId = LinkId(1);
const B: LinkId = LinkId(2);
const C: LinkId = LinkId(3);
const WATCHER: LinkId = LinkId(50);
const MIB: usize = 1 << 20;

#[test]
fn a_message_is_delivered_when_the_kernel_of_its_recipient_has_it() {
    let mut office = Office::of(2);
    office.post(A, 1, Some(B), 8);
    office.write(A);
    assert_eq!(office.told(A), []);
    office.write_all();
    assert_eq!(office.told(B), [heard_from(A, 1, 8)]);
    assert_eq!(office.told(A), [ToMember::Delivered(request(1), 1)]);
}

#[test]
fn a_message_to_all_goes_out_at_once_and_reaches_everybody_but_its_sender_and_those_that_only_watch() {
    let mut office = Office::of(3);
    office.observe(WATCHER);
    office.post(A, 1, None, 8);
    assert_eq!(office.casts, [3], "the own instance and two others");
    office.write_all();
    for link in [ME, B, C] {
        assert_eq!(office.told(link), [heard_from(A, 1, 8)]);
    }
    assert_eq!(office.told(A), [ToMember::Delivered(request(1), 3)]);
    assert_eq!(office.told(WATCHER), []);
}

#[test]
fn one_that_watches_and_the_own_instance_send_like_any_other() {
    let mut office = Office::of(2);
    office.observe(WATCHER);
    office.post(WATCHER, 1, None, 8);
    office.post(ME, 2, Some(B), 8);
    office.write_all();
    assert_eq!(office.told(ME), [heard_from(WATCHER, 1, 8), ToMember::Delivered(request(2), 1)]);
    assert_eq!(office.told(A), [heard_from(WATCHER, 1, 8)]);
    assert_eq!(office.told(B), [heard_from(WATCHER, 1, 8), heard_from(ME, 2, 8)]);
    assert_eq!(office.told(WATCHER), [ToMember::Delivered(request(1), 3)]);
}

#[test]
fn a_message_to_the_own_instance_is_delivered_at_once_and_so_is_one_to_nobody() {
    let mut office = Office::of(0);
    office.post(ME, 1, Some(ME), 8);
    office.post(ME, 2, None, 8);
    let delivered = [ToMember::Delivered(request(1), 1), ToMember::Delivered(request(2), 0)];
    let told = office.told(ME);
    assert_eq!(told[0], heard_from(ME, 1, 8));
    assert_eq!(told[1..], delivered);
}

#[test]
fn a_message_for_somebody_who_is_not_there_is_not_delivered() {
    let mut office = Office::of(2);
    office.observe(WATCHER);
    office.end(B, false);
    for (number, to) in [(1, B), (2, C), (3, WATCHER)] {
        office.post(A, number, Some(to), 8);
        office.write_all();
        assert_eq!(office.told(A), [ToMember::Undelivered(request(number))]);
    }
}

#[test]
fn a_connection_that_ends_interrupts_what_is_under_way_and_returns_what_waits() {
    let mut office = Office::of(3);
    for number in 1..=3 {
        office.post(A, number, Some(B), MIB - 100);
    }
    office.post(A, 4, None, 8);
    office.end(B, false);
    office.write_all();
    let outcomes = [
        ToMember::Interrupted(request(1)),
        ToMember::Interrupted(request(2)),
        ToMember::Undelivered(request(3)),
        ToMember::Delivered(request(4), 2),
    ];
    assert_eq!(office.told(A), outcomes);
}

#[test]
fn only_so_much_is_under_way_to_one_that_is_slow_and_the_others_do_not_wait_for_it() {
    let mut office = Office::of(3);
    for number in 1..=5 {
        office.post(A, number, None, MIB - 100);
    }
    assert_eq!(office.unwritten[&B].len(), 2);
    while office.write(C) {}
    assert_eq!(office.told(C).len(), 5, "one that reads gets all");
    assert_eq!(office.unwritten[&B].len(), 2);
    assert_eq!(office.told(A), [], "nothing has reached everybody");
    office.write_all();
    let all: Vec<_> = (1..=5).map(|number| heard_from(A, number, MIB - 100)).collect();
    assert_eq!(office.told(B), all);
    assert_eq!(office.told(A).len(), 5);
}

#[test]
fn a_message_that_would_fit_does_not_overtake_one_that_waits() {
    let mut office = Office::of(2);
    for (number, size) in [(1, MIB), (2, MIB), (3, 8), (4, MIB), (5, 8)] {
        office.post(A, number, Some(B), size);
    }
    office.write_all();
    let order: Vec<_> = office.told(A).into_iter().collect();
    let numbers = (1..=5).map(|number| ToMember::Delivered(request(number), 1)).collect::<Vec<_>>();
    assert_eq!(order, numbers);
}

#[test]
fn whoever_sends_more_than_may_wait_is_denied_and_nobody_gets_anything_of_it() {
    let mut office = Office::of(3);
    let size = MIB - 2 * Mail::OVERHEAD;
    for number in 1..=66 {
        office.post(A, number, Some(B), size);
    }
    while office.write(A) {}
    assert_eq!(office.told(A), [], "two are under way, 64 wait");
    office.post(A, 67, Some(B), size);
    office.post(A, 68, None, size);
    office.post(A, 69, Some(C), size);
    office.write(A);
    office.write(A);
    while office.write(C) {}
    while office.write(A) {}
    let told = office.told(A);
    assert!(
        matches!(told[..], [ToMember::Denied(a, _), ToMember::Denied(b, _), ToMember::Delivered(c, 1)]
        if [a, b, c] == [67, 68, 69].map(request)),
        "{told:?}"
    );
    assert_eq!(office.told(C), [heard_from(A, 69, size)]);
    office.write_all();
    assert_eq!(office.told(B).len(), 66);
    office.post(A, 70, None, size);
    office.write_all();
    assert_eq!(office.told(A).pop(), Some(ToMember::Delivered(request(70), 3)), "there is room again");
}

#[test]
fn the_messages_of_one_that_has_gone_still_arrive_and_nobody_is_answered() {
    let mut office = Office::of(3);
    office.observe(WATCHER);
    for (number, link) in [(1, A), (2, A), (3, WATCHER)] {
        office.post(link, number, Some(B), MIB);
    }
    office.end(A, true);
    office.end(WATCHER, false);
    // Another that happens to use the same connection is not answered in its place.
    office.join(A);
    office.write_all();
    assert_eq!(office.told(A), []);
    office.post(C, 4, Some(B), 8);
    office.write_all();
    assert_eq!(office.told(C), [ToMember::Delivered(request(4), 1)]);
}

#[test]
fn what_was_cancelled_before_it_went_out_goes_to_nobody_and_what_has_begun_goes_on() {
    let mut office = Office::of(3);
    for number in 1..=4 {
        office.post(A, number, Some(B), MIB - 100);
    }
    office.post(A, 5, None, 8);
    for number in [1, 3, 5] {
        office.say(A, ToSupervisor::Cancel(request(number)));
    }
    office.write_all();
    let arrived = [1, 2, 4].map(|number| heard_from(A, number, MIB - 100));
    let told = office.told(B);
    assert_eq!(told[..3], arrived);
    assert_eq!(told[3..], [heard_from(A, 5, 8)]);
    let delivered = [(1, 1), (2, 1), (4, 1), (5, 3)].map(|(number, count)| ToMember::Delivered(request(number), count));
    assert_eq!(office.told(A), delivered);
}

#[test]
fn one_that_watches_cancels_its_own_and_makes_room_for_what_is_behind() {
    let mut office = Office::of(1);
    office.observe(WATCHER);
    office.post(WATCHER, 1, Some(A), MIB);
    office.post(WATCHER, 2, Some(A), MIB);
    office.post(ME, 2, Some(A), 8);
    assert_eq!(office.unwritten[&A].len(), 1);
    office.say(WATCHER, ToSupervisor::Cancel(request(2)));
    assert_eq!(office.unwritten[&A].len(), 2);
    office.write_all();
    assert_eq!(office.told(A), [heard_from(WATCHER, 1, MIB), heard_from(ME, 2, 8)]);
    assert_eq!(office.told(WATCHER), [ToMember::Delivered(request(1), 1)]);
}

#[test]
fn messages_wait_until_everyone_was_told_of_the_reign() {
    let mut office = Office::closed(Control::default(), Rules::ALL, &[A, B]);
    assert!(!office.supervisor.is_open() && !office.supervisor.is_window_open());
    office.forget();
    office.post(A, 1, None, 8);
    office.post(A, 2, Some(B), 8);
    office.post(A, 3, Some(A), 8);
    office.say(A, ToSupervisor::Cancel(request(3)));
    assert_eq!(office.told(ME), []);
    while office.write(A) {}
    assert_eq!(office.told(ME), []);
    office.write_all();
    assert!(office.supervisor.is_open());
    assert_eq!(office.told(ME), [heard_from(A, 1, 8)]);
    let last = office.told(B);
    assert_eq!(last[last.len() - 2..], [heard_from(A, 1, 8), heard_from(A, 2, 8)]);
    let last = office.told(A);
    assert_eq!(last[last.len() - 2..], [(1, 2), (2, 1)].map(|(n, count)| ToMember::Delivered(request(n), count)));
}

#[test]
fn a_supervisor_that_leaves_delivers_nothing_more() {
    let mut office = Office::of(2);
    for number in 1..=3 {
        office.post(A, number, Some(B), MIB);
    }
    office.supervisor.freeze(LeaveSort::Resigning);
    office.take();
    office.write_all();
    assert_eq!(office.told(B).len(), 2, "what was under way, and the farewell");
    // The second and the third were sent to nobody, and are for the next supervisor.
    assert_eq!(office.told(A), [ToMember::Interrupted(request(1)), ToMember::Leave(LeaveSort::Resigning)]);
}
