use std::collections::BTreeSet;

use super::super::super::window::RollCall;
use super::super::handshake::tests::{begin_hello_of, group, told};
use super::super::{Control, Output, Settings};
use super::*;
use crate::ident::{InstanceId, Tag};
use crate::wire::message::{LeaveSort, ToMember, ToSupervisor};

/// The reign of instance 1, of which it has known these: 2 is back, the others are awaited.
fn window(known: &[u64]) -> Supervisor {
    let me = InstanceId::new(1);
    let control = Control::default();
    let mut supervisor = Supervisor::new(Settings {
        group: group(),
        me,
        pid: 1,
        window_limit: None,
        aside_limit: None,
        member_limit: 99,
        control,
    });
    supervisor.called(RollCall::Everyone(BTreeSet::from([(me, Tag::new(1))])));
    for (link, number) in [(LinkId::LOCAL, 1), (LinkId(2), 2)] {
        begin_hello_of(&mut supervisor, link, number, known, 1);
        supervisor.frame(link, ToSupervisor::ClaimsEnd);
    }
    supervisor.take_outputs();
    supervisor
}

/// Lacks something this often, with so many milliseconds between. Says whether it would give the office up.
fn lacks_for(supervisor: &mut Supervisor, who: Option<u64>, times: u64, apart: u64) -> bool {
    let who = who.map(InstanceId::new);
    (0..times).fold(false, |_, n| supervisor.lacks(who, Duration::from_millis(n * apart)))
}

fn lacks(supervisor: &mut Supervisor, times: u64, apart: u64) -> bool {
    lacks_for(supervisor, None, times, apart)
}

#[test]
fn the_office_is_given_up_when_the_own_running_time_has_shown_the_lack_for_a_second() {
    for (times, apart, given_up) in [
        (1, 0, false),
        (10, 100, false),
        (11, 100, true),
        (101, 10, true),
        // What is not noticed again for so long is over.
        (50, 1100, false),
        // A process that stands still tries nothing.
        (10, 900, false),
        (11, 900, true),
    ] {
        assert_eq!(lacks(&mut window(&[1, 2, 3]), times, apart), given_up, "{times} times, {apart} ms apart");
    }
}

#[test]
fn who_is_in_is_told_that_the_office_is_given_up_and_nothing_is_granted_any_more() {
    let mut supervisor = window(&[1, 2, 3]);
    supervisor.give_up(Lack::Descriptors);
    assert!(supervisor.outputs.contains(&Output::StepDown(StepDown::Lacks(Lack::Descriptors))));
    assert_eq!(told(&mut supervisor, LinkId(2)), [ToMember::Leave(LeaveSort::Resigning)]);
    begin_hello_of(&mut supervisor, LinkId(3), 3, &[1, 2, 3], 1);
    supervisor.frame(LinkId(3), ToSupervisor::ClaimsEnd);
    assert!(!supervisor.is_complete() && !supervisor.is_open());
}

#[test]
fn an_open_reign_is_kept_unless_a_member_cannot_come_back() {
    let mut supervisor = window(&[1, 2]);
    supervisor.close(1);
    supervisor.written(LinkId(2), u64::MAX);
    assert!(supervisor.is_open());
    assert!(!lacks(&mut supervisor, 100, 100), "nobody knows for whom");
    assert!(!lacks_for(&mut supervisor, Some(3), 100, 100), "a newcomer");
    supervisor.ended(LinkId(2), false);
    assert!(!lacks(&mut supervisor, 100, 100), "it may stand still and not be at the door at all");
    assert!(lacks_for(&mut supervisor, Some(2), 11, 100));
}

#[test]
fn strangers_that_leave_no_room_do_not_take_the_office_from_anybody() {
    let mut supervisor = window(&[1, 2, 3]);
    let strangers = [7, 8].map(LinkId);
    strangers.into_iter().for_each(|stranger| supervisor.connected(stranger));
    assert!(!lacks(&mut supervisor, 100, 100));
    // Sent away, they leave room; what still lacks then is the supervisor's own.
    strangers.into_iter().for_each(|stranger| supervisor.ended(stranger, false));
    assert!(lacks(&mut supervisor, 11, 100));
}
