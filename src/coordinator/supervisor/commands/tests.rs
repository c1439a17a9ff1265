use super::super::handshake::tests::group;
use super::super::mail::tests::{ME, Office, id, request};
use super::super::{Control, Rules, Supervisor};
use super::*;
use crate::ident::{Attempt, Kind, Name, Nonce, Request, Resource, Stamp, Token};
use crate::wire::WIRE_VERSION;
use crate::wire::message::{
    Grant, Hello, Join, Mode, Post, Profile, Purpose, Put, Standing, ToSupervisor, Trust, Want,
};

const A: LinkId = LinkId(1);
const B: LinkId = LinkId(2);
const C: LinkId = LinkId(3);
const WATCHER: LinkId = LinkId(50);
const BACK: LinkId = LinkId(9);

/// Three members; whoever is told to stop has two slices of time.
fn office_with(rules: Rules) -> Office {
    let control = Control { stop_limit: Some(Supervisor::SLICE * 2), answers: true, ..Control::default() };
    let mut office = Office::with(control, rules, 3);
    office.observe(WATCHER);
    office
}

fn office() -> Office {
    office_with(Rules::ALL)
}

fn slices(office: &mut Office, count: u32) {
    for _ in 0..count {
        office.supervisor.time(Supervisor::SLICE, true);
        office.take();
    }
}

fn acquire(office: &mut Office, link: LinkId, number: u64) {
    let name = Resource::new(Kind::Mutex, Name::new("lock").expect("a short name"));
    office.say(link, ToSupervisor::Acquire(Want { request: request(number), name, mode: Mode::Exclusive }));
}

fn is_granted(office: &Office, link: LinkId) -> bool {
    let of = |frame: &ToMember| matches!(frame, ToMember::Grant(Grant { .. }));
    office.written[&link].iter().chain(office.unwritten.get(&link).into_iter().flatten()).any(of)
}

fn is_there(office: &Office, link: LinkId) -> bool {
    office.supervisor.registry().get(id(link)).is_some()
}

fn how_it_ended(office: &mut Office, link: LinkId) -> Vec<EndReason> {
    let of = |frame: ToMember| match frame {
        ToMember::Delta(delta) => delta.ended.into_iter().find(|(ended, _)| *ended == id(link)),
        _ => None,
    };
    office.heard(C).into_iter().filter_map(of).map(|(_, reason)| reason).collect()
}

/// A holds a lock for which B waits, and was told to stop.
fn stopping(rules: Rules) -> Office {
    let mut office = office_with(rules);
    acquire(&mut office, A, 1);
    acquire(&mut office, B, 1);
    office.command(ME, 1, Some(A), Order::Stop);
    office.write_all();
    assert!(office.told(A).contains(&ToMember::Command(Order::Stop)));
    office.forget();
    office
}

#[test]
fn a_member_commands_nothing() {
    let mut office = office();
    for to in [Some(B), Some(ME), None] {
        office.command(A, 1, to, Order::Pause);
        office.write_all();
        let told = office.told(A);
        assert!(matches!(&told[..], [ToMember::Denied(..)]), "{told:?}");
        assert!(office.told(B).is_empty() && office.told(ME).is_empty());
    }
}

#[test]
fn a_pause_is_written_behind_the_change_of_the_entry_and_answered_when_it_is_there() {
    let mut office = office();
    for (number, order, standing) in [(1, Order::Pause, Standing::Paused), (2, Order::Resume, Standing::Active)] {
        office.command(WATCHER, number, Some(A), order.clone());
        assert_eq!(office.supervisor.registry().entry(id(A)).map(|entry| entry.standing), Some(standing));
        while office.write(WATCHER) {}
        assert_eq!(office.told(WATCHER), []);
        office.write_all();
        let heard = office.heard(A);
        let [ToMember::Delta(delta), ToMember::Command(command)] = &heard[..] else { panic!("{heard:?}") };
        assert!(delta.entries[0].standing == standing && *command == order);
        assert_eq!(office.told(WATCHER), [ToMember::Delivered(request(number), 1)]);
    }
}

#[test]
fn a_command_to_all_is_for_everybody_but_who_commands() {
    let mut office = office();
    let order = Order::Custom([7].into());
    office.command(WATCHER, 1, None, order.clone());
    office.command(ME, 2, None, order.clone());
    office.write_all();
    let command = ToMember::Command(order);
    assert_eq!(office.told(ME), [command.clone(), ToMember::Delivered(request(2), 3)]);
    assert_eq!(office.told(A), [command.clone(), command]);
    assert_eq!(office.told(WATCHER), [ToMember::Delivered(request(1), 4)]);
}

#[test]
fn the_supervisor_itself_is_told_to_stop_when_all_others_were_and_whoever_commanded_it_has_its_answer() {
    let mut office = office();
    office.command(WATCHER, 1, None, Order::Stop);
    let stop = ToMember::Command(Order::Stop);
    for link in [A, B] {
        while office.write(link) {}
        assert!(
            office.told(link) == [stop.clone()] && office.told(ME).is_empty() && office.unwritten[&WATCHER].is_empty()
        );
    }
    // One that ends is not waited for, and counts as not reached.
    office.end(C, false);
    assert_eq!(office.told(ME), std::slice::from_ref(&stop));
    assert_eq!(office.unwritten[&WATCHER].front(), Some(&ToMember::Delivered(request(1), 3)));
    // Also if nobody is left who would be answered, or there is nobody else to tell.
    office.command(WATCHER, 2, None, Order::Stop);
    office.end(WATCHER, true);
    assert!(office.told(ME).is_empty());
    while office.write(A) || office.write(B) {}
    assert_eq!(office.told(ME), std::slice::from_ref(&stop));
    office.command(ME, 3, Some(ME), Order::Stop);
    assert_eq!(office.told(ME), [ToMember::Delivered(request(3), 1), stop]);
}

#[test]
fn a_command_for_somebody_who_is_not_there_does_nothing() {
    let mut office = office();
    office.end(A, false);
    office.command(ME, 1, Some(A), Order::Stop);
    office.command(ME, 2, Some(A), Order::Pause);
    assert_eq!(office.told(ME), [1, 2].map(|number| ToMember::Undelivered(request(number))));
    slices(&mut office, 3);
    assert!(is_there(&office, A));
}

#[test]
fn who_gets_more_than_it_reads_is_told_to_pause_and_to_stop_all_the_same() {
    let mut office = office();
    let bytes = vec![0; 1 << 20];
    for number in 1..=9 {
        let post = Post { request: request(number), to: Some(id(A)), bytes: bytes.clone().into() };
        office.say(B, ToSupervisor::Post(post));
    }
    office.command(ME, 1, Some(A), Order::Custom([].into()));
    office.command(ME, 2, Some(A), Order::Stop);
    assert_eq!(office.unwritten[&A].back(), Some(&ToMember::Command(Order::Stop)));
    office.write_all();
    assert_eq!(
        office.told(A).last(),
        Some(&ToMember::Command(Order::Custom([].into()))),
        "in the order of the messages"
    );
    assert_eq!(office.told(ME), [2, 1].map(|number| ToMember::Delivered(request(number), 1)));
}

#[test]
fn who_does_not_stop_in_time_is_evicted_and_what_it_held_is_free_when_it_was_told_so() {
    let mut office = stopping(Rules::ALL);
    slices(&mut office, 1);
    assert!(office.supervisor.is_waiting() && office.unwritten[&A].is_empty());
    slices(&mut office, 1);
    assert_eq!(office.unwritten[&A], [ToMember::Evicted]);
    assert!(office.asides.contains(&Output::Close(A)));
    assert!(is_there(&office, A) && !office.supervisor.is_waiting());
    // It is not heard any more, and nobody is granted anything before it can know.
    office.say(A, ToSupervisor::Release(request(1)));
    office.say(A, ToSupervisor::Leave);
    while office.write(B) {}
    assert!(!is_granted(&office, B));
    office.write_all();
    assert!(!is_there(&office, A) && is_granted(&office, B));
    assert_eq!(how_it_ended(&mut office, A), [EndReason::Evicted]);
}

/// A newcomer, to which an earlier supervisor has said under another id that it is to stop.
fn join_told_to_stop(office: &mut Office, link: LinkId) {
    let hello = Hello {
        wire: WIRE_VERSION,
        purpose: Purpose::Member,
        trust: Trust::Open,
        id: id(link),
        attempt: Attempt::new(1),
        nonce: Nonce::new(id(link).number()),
    };
    let profile =
        Profile { pid: 0, version: 9, since: 0, presence: 0, paused: false, label: "".into(), payload: [].into() };
    let (stamp, base) = (Stamp::default(), Token::default());
    let join = Join { group: group(), stamp, epoch: stamp.epoch, base, state: stamp, stopping: true, profile };
    office.open_link(link);
    for frame in [ToSupervisor::Hello(hello), ToSupervisor::Join(join), ToSupervisor::ClaimsEnd] {
        office.say(link, frame);
    }
}

#[test]
fn who_was_told_to_stop_before_has_as_long_as_if_it_were_told_now() {
    let control = Control { stop_limit: Some(Supervisor::SLICE * 2), yields: true, ..Control::default() };
    let mut office = Office::with(control, Rules::ALL, 3);
    let late = LinkId(7);
    join_told_to_stop(&mut office, late);
    // While it is named to the others its time does not run.
    slices(&mut office, 5);
    assert!(is_there(&office, late));
    office.write_all();
    let told = office.told(late);
    assert!(!told.iter().any(|frame| matches!(frame, ToMember::Command(_) | ToMember::Ping(_))), "{told:?}");
    slices(&mut office, 1);
    assert!(office.unwritten[&late].is_empty());
    slices(&mut office, 1);
    assert_eq!(office.unwritten[&late], [ToMember::Evicted]);
    office.write_all();
    assert_eq!(how_it_ended(&mut office, late), [EndReason::Evicted]);
    assert!([A, B, C].iter().all(|link| is_there(&office, *link)));
}

#[test]
fn without_its_rule_a_lock_is_granted_that_somebody_evicted_believes_to_hold() {
    let mut office = stopping(Rules { evicted_is_awaited: false, ..Rules::ALL });
    slices(&mut office, 2);
    assert!(is_granted(&office, B) && office.unwritten[&A] == [ToMember::Evicted]);
}

#[test]
fn who_is_evicted_and_does_not_read_has_lost_all_with_its_connection() {
    let mut office = stopping(Rules::ALL);
    slices(&mut office, 2);
    assert!(!is_granted(&office, B));
    office.end(A, false);
    assert!(is_granted(&office, B));
    office.write_all();
    assert_eq!(how_it_ended(&mut office, A), [EndReason::Evicted]);
}

#[test]
fn a_member_that_is_evicted_while_it_has_no_connection_is_sent_a_notice_before_its_locks_are_free() {
    let notice = Output::Notify { id: id(A), tags: Vec::new(), evicted: true };
    for reads in [true, false] {
        let mut office = stopping(Rules::ALL);
        office.keeps_notices = true;
        if reads {
            // It had no connection when its time was over.
            office.end(A, false);
            slices(&mut office, 2);
        } else {
            // Its connection ended before it could read the last frame.
            slices(&mut office, 2);
            office.end(A, false);
        }
        assert_eq!(office.asides.iter().filter(|output| **output == notice).count(), 1);
        assert!(is_there(&office, A) && !is_granted(&office, B));
        office.come_back(BACK, id(A));
        assert_eq!(office.unwritten[&BACK], [ToMember::Evicted], "it may have read the notice");
        assert!(is_there(&office, A) && !is_granted(&office, B));
        office.supervisor.notified(id(A));
        office.take();
        assert!(!is_there(&office, A) && is_granted(&office, B));
    }
}

#[test]
fn who_comes_back_while_it_is_being_evicted_learns_it_on_the_new_connection() {
    let mut office = stopping(Rules::ALL);
    slices(&mut office, 2);
    office.come_back(BACK, id(A));
    assert!(!is_there(&office, A) && is_granted(&office, B));
    assert_eq!(office.unwritten[&BACK], [ToMember::Evicted]);
    assert!(office.asides.contains(&Output::Close(BACK)));
}

#[test]
fn an_evicted_one_that_breaks_the_protocol_is_still_told_before_anything_is_free() {
    let mut office = stopping(Rules::ALL);
    slices(&mut office, 2);
    office.supervisor.refuse(A, crate::wire::message::Refusal::Protocol("nonsense".into()));
    office.take();
    assert!(!is_granted(&office, B) && office.unwritten[&A] == [ToMember::Evicted]);
}

#[test]
fn who_leaves_before_it_is_known_that_it_was_told_to_has_been_reached() {
    let mut office = office();
    office.command(WATCHER, 1, Some(A), Order::Stop);
    office.command(WATCHER, 2, None, Order::Stop);
    office.say(A, ToSupervisor::Leave);
    let answers = |office: &mut Office| {
        let all = office.told(WATCHER).into_iter();
        all.filter(|frame| matches!(frame, ToMember::Delivered(..))).collect::<Vec<_>>()
    };
    office.write_all();
    assert_eq!(answers(&mut office), [ToMember::Delivered(request(1), 1), ToMember::Delivered(request(2), 4)]);
    // Of what is no order to leave it stays unknown.
    office.command(WATCHER, 3, Some(B), Order::Custom([].into()));
    office.say(B, ToSupervisor::Leave);
    office.write_all();
    assert!(office.told(WATCHER).contains(&ToMember::Interrupted(request(3))));
}

#[test]
fn who_leaves_in_time_has_left() {
    let mut office = stopping(Rules::ALL);
    slices(&mut office, 1);
    office.say(A, ToSupervisor::Leave);
    slices(&mut office, 3);
    office.write_all();
    assert_eq!(how_it_ended(&mut office, A), [EndReason::Left]);
    assert!(!office.supervisor.is_waiting() && !office.told(A).contains(&ToMember::Evicted));
}

#[test]
fn nothing_that_is_commanded_later_gives_who_is_to_stop_more_time() {
    let mut office = stopping(Rules::ALL);
    slices(&mut office, 1);
    for (number, order) in [(2, Order::Stop), (3, Order::Pause), (4, Order::Resume)] {
        office.command(WATCHER, number, Some(A), order);
    }
    slices(&mut office, 1);
    office.write_all();
    assert_eq!(office.told(A).last(), Some(&ToMember::Evicted));
}

#[test]
fn who_is_set_aside_while_it_is_to_stop_has_no_more_time() {
    let mut office = stopping(Rules::ALL);
    slices(&mut office, 1);
    office.end(A, false);
    assert!(is_there(&office, A) && !is_granted(&office, B));
    slices(&mut office, 1);
    assert!(!is_there(&office, A) && is_granted(&office, B));
    office.write_all();
    assert_eq!(how_it_ended(&mut office, A), [EndReason::Evicted]);
    office.come_back(BACK, id(A));
    assert_eq!(office.unwritten[&BACK], [ToMember::Evicted]);
}

#[test]
fn who_comes_back_while_it_is_to_stop_is_told_again_and_has_no_more_time() {
    let mut office = stopping(Rules::ALL);
    slices(&mut office, 1);
    office.end(A, false);
    office.come_back(BACK, id(A));
    office.write_all();
    assert!(office.told(BACK).contains(&ToMember::Command(Order::Stop)));
    slices(&mut office, 1);
    office.write_all();
    assert_eq!(office.told(BACK), [ToMember::Evicted]);
}

#[test]
fn what_waits_for_somebody_evicted_goes_back_and_what_it_asked_is_not_wanted() {
    let mut office = stopping(Rules::ALL);
    for number in 1..=3 {
        let post = Post { request: request(number), to: Some(id(A)), bytes: vec![0; 1 << 20].into() };
        office.say(C, ToSupervisor::Post(post));
    }
    let ask = crate::wire::message::Ask { request: Request::new(5), bytes: [].into() };
    office.say(A, ToSupervisor::Ask(ask));
    let asked = |output: &Output| if let Output::Handle(number, ..) = output { Some(*number) } else { None };
    let question = office.asides.iter().find_map(asked).expect("a question");
    assert!(office.supervisor.is_wanted(question));
    slices(&mut office, 2);
    assert!(!office.supervisor.is_wanted(question));
    let returned = [2, 3].map(|number| ToMember::Undelivered(request(number)));
    assert_eq!(office.unwritten[&C], returned);
    office.write_all();
    assert_eq!(office.told(C), [&returned[..], &[ToMember::Delivered(request(1), 1)]].concat());
}

#[test]
fn what_somebody_evicted_had_asked_for_takes_no_effect_whatever_the_policy_says() {
    let control = Control { stop_limit: Some(Supervisor::SLICE), judges: true, ..Control::default() };
    let mut office = Office::with(control, Rules::ALL, 3);
    // One is asked about, the other waits behind it.
    acquire(&mut office, A, 1);
    acquire(&mut office, A, 2);
    let asked = |output: &Output| if let Output::Judge(number, ..) = output { Some(*number) } else { None };
    let question = office.asides.iter().find_map(asked).expect("a question");
    office.command(ME, 1, Some(A), Order::Stop);
    slices(&mut office, 1);
    assert!(!office.supervisor.is_wanted(question));
    office.asides.clear();
    office.supervisor.judged(question, Ok(()));
    office.take();
    assert!(!is_granted(&office, A) && !office.asides.iter().any(|output| asked(output).is_some()));
    assert_eq!(office.supervisor.grants().rows(None, 1), []);
}

#[test]
fn a_write_of_somebody_evicted_that_waits_behind_others_is_not_done() {
    let mut office = stopping(Rules::ALL);
    for number in 2..=4 {
        let key = Resource::new(Kind::Value, Name::new(format!("key-{number}")).expect("a short name"));
        let (expected, again, bytes) = (None, None, Some(vec![0; 1 << 20].into()));
        office.say(A, ToSupervisor::Put(Put { request: request(number), key, expected, again, bytes }));
    }
    let under_way = office.supervisor.state().values().len();
    assert!((1..3).contains(&under_way), "the others wait: {under_way}");
    slices(&mut office, 2);
    office.write_all();
    assert!(!is_there(&office, A));
    assert_eq!(office.supervisor.state().values().len(), under_way);
}

#[test]
fn the_supervisor_itself_leaves_when_its_time_is_over_and_evicts_who_is_late_before() {
    let mut office = stopping(Rules::ALL);
    office.command(WATCHER, 7, None, Order::Stop);
    slices(&mut office, 2);
    assert!(office.asides.contains(&Output::StepDown(StepDown::Stopped)));
    let own = office.told(ME);
    let last = [ToMember::Evicted, ToMember::Leave(LeaveSort::Resigning)];
    assert_eq!(own[own.len() - 2..], last, "it knows before anybody else does");
    office.write_all();
    assert!(office.told(A).contains(&ToMember::Evicted));
    assert_eq!(office.told(WATCHER).last(), Some(&ToMember::Leave(LeaveSort::Leaving)));
}

#[test]
fn without_a_limit_nobody_is_evicted_and_no_time_is_counted() {
    let mut office = Office::with(Control::default(), Rules::ALL, 1);
    office.command(ME, 1, None, Order::Stop);
    office.write_all();
    assert!(!office.supervisor.is_waiting());
    slices(&mut office, 9);
    assert!(is_there(&office, A));
}
