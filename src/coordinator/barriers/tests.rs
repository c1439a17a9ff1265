use super::*;

const A: InstanceId = InstanceId::new(1);
const B: InstanceId = InstanceId::new(2);
const C: InstanceId = InstanceId::new(3);

fn name() -> Name {
    Name::new("phase").expect("a short name")
}

fn stamp(epoch: u64, n: u64) -> Stamp {
    Stamp { epoch: Epoch::new(epoch), n }
}

fn key(id: InstanceId, request: u64) -> Key {
    (id, Request::new(request))
}

fn generation(number: Stamp, waiters: &[Key]) -> Generation {
    Generation { name: name(), number, waiters: waiters.to_vec() }
}

fn go((id, request): Key, leads: bool) -> Told {
    Told::Go(id, request, leads)
}

fn withdrawn((id, request): Key) -> Told {
    Told::Withdrawn(id, request)
}

fn complete(to: &[InstanceId], number: Stamp, waiters: &[Key]) -> Told {
    Told::Complete(to.to_vec(), generation(number, waiters))
}

impl Barriers {
    fn says(&mut self, (id, request): Key, parties: u32) -> Vec<Told> {
        self.arrive(id, Arrive { request, name: name(), parties });
        self.hears()
    }

    fn takes_back(&mut self, (id, request): Key) -> Vec<Told> {
        self.withdraw(id, request);
        self.hears()
    }

    fn hears(&mut self) -> Vec<Told> {
        self.check_invariants();
        self.take_told()
    }

    fn notes(&mut self, id: InstanceId, number: Stamp) -> Vec<Told> {
        self.noted(id, number);
        self.hears()
    }

    fn readies(&mut self, id: InstanceId, ready: bool) -> Vec<Told> {
        self.set_ready(id, ready);
        self.hears()
    }
}

/// A reign with these members, before it is open.
fn closed() -> Barriers {
    let mut barriers = Barriers::new(Rules::ALL);
    [A, B, C].into_iter().for_each(|id| barriers.set_ready(id, true));
    barriers
}

fn open() -> Barriers {
    let mut barriers = closed();
    barriers.open(Epoch::new(5));
    barriers
}

#[test]
fn nobody_goes_before_all_were_written_that_it_is_complete() {
    let mut barriers = open();
    assert_eq!(barriers.says(key(B, 1), 2), []);
    assert_eq!(barriers.says(key(A, 1), 2), [complete(&[A, B], stamp(5, 1), &[key(B, 1), key(A, 1)])]);
    assert_eq!(barriers.notes(A, stamp(5, 1)), []);
    assert_eq!(barriers.notes(B, stamp(5, 1)), [go(key(A, 1), false), go(key(B, 1), true)]);
    assert_eq!(barriers, Barriers { completed: 1, arrivals: 2, ..open() }, "nothing is left of it");
}

#[test]
fn who_arrives_meanwhile_belongs_to_the_next_one() {
    let mut barriers = open();
    barriers.says(key(A, 1), 2);
    barriers.says(key(B, 1), 2);
    assert_eq!(barriers.says(key(C, 1), 2), []);
    barriers.notes(A, stamp(5, 1));
    barriers.notes(B, stamp(5, 1));
    let next = barriers.says(key(A, 2), 2);
    assert_eq!(next, [complete(&[A, C], stamp(5, 2), &[key(C, 1), key(A, 2)])]);
}

#[test]
fn one_party_alone_passes_as_the_leader() {
    let mut barriers = open();
    assert_eq!(barriers.says(key(A, 1), 1), [complete(&[A], stamp(5, 1), &[key(A, 1)])]);
    assert_eq!(barriers.notes(A, stamp(5, 1)), [go(key(A, 1), true)]);
}

#[test]
fn calls_of_one_member_are_parties_like_any_others_and_it_is_told_once() {
    let mut barriers = open();
    barriers.says(key(A, 1), 2);
    assert_eq!(barriers.says(key(A, 2), 2), [complete(&[A], stamp(5, 1), &[key(A, 1), key(A, 2)])]);
    assert_eq!(barriers.notes(A, stamp(5, 1)), [go(key(A, 1), true), go(key(A, 2), false)]);
}

#[test]
fn what_is_said_twice_counts_once() {
    let mut barriers = open();
    barriers.says(key(A, 1), 2);
    assert_eq!(barriers.says(key(A, 1), 2), []);
    barriers.says(key(B, 1), 2);
    assert_eq!(barriers.says(key(A, 1), 2), [], "also when it is complete");
}

#[test]
fn the_first_to_arrive_fixes_how_many_are_needed_until_nobody_waits() {
    let mut barriers = open();
    barriers.says(key(A, 1), 3);
    let refused =
        |told: &[Told]| matches!(told, [Told::Denied(who, _, why)] if *who == B && why.contains("3 parties, not 2"));
    assert!(refused(&barriers.says(key(B, 1), 2)));
    assert_eq!(barriers.takes_back(key(A, 1)), [withdrawn(key(A, 1))]);
    assert_eq!(barriers.says(key(B, 1), 2), []);
    let other = Arrive { request: Request::new(1), name: Name::new("other").expect("a short name"), parties: 2 };
    barriers.arrive(B, other);
    assert!(matches!(barriers.hears()[..], [Told::Denied(B, ..)]), "the request is in use");
}

#[test]
fn who_gave_up_while_it_was_set_aside_binds_nobody_to_its_number() {
    let mut barriers = open();
    barriers.says(key(A, 1), 3);
    barriers.says(key(B, 1), 3);
    barriers.readies(A, false);
    assert!(matches!(barriers.says(key(C, 1), 2)[..], [Told::Denied(C, ..)]), "one of them has not gone");
    assert_eq!(barriers.takes_back(key(B, 1)), [withdrawn(key(B, 1))]);
    // It is back and says nothing of what it has given up.
    barriers.readies(A, true);
    assert_eq!(barriers.says(key(C, 1), 2), []);
    // If it still waited it would say so, and come too late.
    assert!(matches!(barriers.says(key(A, 1), 3)[..], [Told::Denied(A, ..)]));
    assert!(matches!(barriers.says(key(B, 2), 2)[..], [Told::Complete(..)]));
}

#[test]
fn no_barrier_has_more_parties_than_fit_a_frame_and_none_has_none() {
    let mut barriers = open();
    for parties in [0, Barriers::PARTIES_LIMIT + 1, u32::MAX] {
        assert!(matches!(barriers.says(key(A, 1), parties)[..], [Told::Denied(A, ..)]), "{parties}");
    }
    assert_eq!(barriers.says(key(A, 1), Barriers::PARTIES_LIMIT), []);
}

#[test]
fn one_member_waits_only_so_often() {
    let mut barriers = open();
    let limit = Barriers::ARRIVALS_LIMIT as u64;
    for request in 0..limit {
        let name = Name::new(request.to_string()).expect("a short name");
        barriers.arrive(A, Arrive { request: Request::new(request), name, parties: 2 });
    }
    assert_eq!(barriers.hears(), []);
    assert!(matches!(barriers.says(key(A, limit), 2)[..], [Told::Denied(A, ..)]));
    assert_eq!(barriers.says(key(B, limit), 2), [], "another one may");
    assert_eq!(barriers.takes_back(key(A, 0)), [withdrawn(key(A, 0))]);
    assert!(matches!(barriers.says(key(A, limit), 2)[..], [Told::Complete(..)]), "one was given up");
}

#[test]
fn who_is_set_aside_keeps_its_place_and_counts_when_it_has_said_it_again() {
    let mut barriers = open();
    barriers.says(key(A, 1), 2);
    barriers.readies(A, false);
    assert_eq!(barriers.says(key(B, 1), 2), []);
    assert_eq!(barriers.readies(A, true), [], "it may have given up meanwhile");
    assert_eq!(barriers.says(key(A, 1), 2), [complete(&[A, B], stamp(5, 1), &[key(A, 1), key(B, 1)])]);
}

#[test]
fn what_was_not_said_again_is_forgotten_with_the_next_connection() {
    let mut barriers = open();
    barriers.says(key(A, 1), 2);
    barriers.readies(A, false);
    barriers.readies(A, true);
    assert_eq!(barriers.waiting().count(), 1);
    barriers.readies(A, false);
    assert_eq!(barriers.waiting().count(), 0);
}

#[test]
fn who_was_not_written_that_it_is_complete_holds_the_others_back_until_it_is_back() {
    let mut barriers = open();
    barriers.says(key(A, 1), 2);
    barriers.says(key(B, 1), 2);
    barriers.readies(B, false);
    assert_eq!(barriers.notes(A, stamp(5, 1)), []);
    let again = complete(&[B], stamp(5, 1), &[key(A, 1), key(B, 1)]);
    assert_eq!(barriers.readies(B, true), [again]);
    assert_eq!(barriers.notes(B, stamp(5, 1)), [go(key(A, 1), true)], "it may have given up");
    assert_eq!(barriers.says(key(B, 1), 2), [go(key(B, 1), false)]);
}

#[test]
fn who_ends_holds_nobody_back_and_leaves_the_lead_to_the_next() {
    let mut barriers = open();
    for id in [A, B, C] {
        barriers.says(key(id, 1), 3);
    }
    barriers.notes(B, stamp(5, 1));
    barriers.notes(C, stamp(5, 1));
    barriers.end(A);
    assert_eq!(barriers.hears(), [go(key(B, 1), true), go(key(C, 1), false)]);
    assert_eq!(barriers.meeting(), 0);
}

#[test]
fn what_is_complete_is_not_taken_back_and_everything_else_is() {
    let mut barriers = open();
    barriers.says(key(A, 1), 2);
    assert_eq!(barriers.takes_back(key(A, 1)), [withdrawn(key(A, 1))]);
    assert_eq!(barriers.says(key(B, 1), 2), [], "it does not count any more");
    barriers.says(key(A, 2), 2);
    assert_eq!((barriers.takes_back(key(A, 2)), barriers.takes_back(key(B, 1))), (vec![], vec![]));
    barriers.notes(A, stamp(5, 1));
    assert_eq!(barriers.notes(B, stamp(5, 1)), [go(key(A, 2), false), go(key(B, 1), true)]);
    assert_eq!(barriers.takes_back(key(A, 2)), [withdrawn(key(A, 2))], "behind the go it means nothing");
}

#[test]
fn what_somebody_has_brought_before_the_reign_is_open_is_taken_back_only_if_that_one_ends() {
    let brought = generation(stamp(4, 7), &[key(A, 1), key(C, 1)]);
    let case = || {
        let mut barriers = closed();
        barriers.says(key(A, 1), 2);
        barriers.says(key(B, 1), 3);
        barriers.bring(C, vec![brought.clone()]);
        assert_eq!(barriers.takes_back(key(A, 1)), [], "it may be complete");
        assert_eq!(barriers.takes_back(key(B, 1)), [withdrawn(key(B, 1))]);
        barriers
    };
    let mut barriers = case();
    barriers.open(Epoch::new(5));
    assert_eq!(barriers.hears(), [complete(&[A], stamp(4, 7), &[key(A, 1), key(C, 1)])]);
    let mut barriers = case();
    barriers.end(C);
    barriers.open(Epoch::new(5));
    assert_eq!(barriers.hears(), [withdrawn(key(A, 1))]);
    // With the connection the withdrawal is gone, and the arrival is not said again.
    for end in [|barriers: &mut Barriers| barriers.end(A), |barriers: &mut Barriers| barriers.set_ready(A, false)] {
        let mut barriers = case();
        end(&mut barriers);
        barriers.end(C);
        barriers.open(Epoch::new(5));
        assert_eq!(barriers.hears(), []);
    }
}

#[test]
fn nobody_takes_the_lead_when_somebody_has_gone() {
    let mut barriers = open();
    barriers.says(key(A, 1), 2);
    barriers.says(key(B, 1), 2);
    barriers.notes(A, stamp(5, 1));
    barriers.readies(A, false);
    assert_eq!(barriers.notes(B, stamp(5, 1)), [go(key(B, 1), false)], "the leader will be back");
    barriers.end(A);
    assert_eq!((barriers.hears(), barriers.meeting()), (Vec::new(), 0));
}

#[test]
fn nothing_is_completed_before_the_reign_is_open() {
    let mut barriers = closed();
    barriers.says(key(A, 1), 2);
    assert_eq!(barriers.says(key(B, 1), 2), []);
    barriers.open(Epoch::new(5));
    assert_eq!(barriers.hears(), [complete(&[A, B], stamp(5, 1), &[key(A, 1), key(B, 1)])]);
}

#[test]
fn a_generation_that_was_brought_waits_until_all_it_names_and_who_are_there_know() {
    let old = stamp(4, 7);
    let waiters = [key(A, 1), key(B, 1), key(C, 1), key(InstanceId::new(9), 1)];
    let mut barriers = closed();
    barriers.bring(A, vec![generation(old, &waiters)]);
    barriers.bring(C, vec![generation(old, &waiters)]);
    barriers.open(Epoch::new(5));
    assert_eq!(barriers.hears(), [complete(&[B], old, &waiters)]);
    assert_eq!(barriers.says(key(C, 1), 4), [], "B might never know why it waits");
    assert_eq!(barriers.notes(B, old), [go(key(C, 1), false)]);
    assert_eq!(barriers.says(key(A, 1), 4), [go(key(A, 1), true)]);
    // B has passed long ago, and says nothing: that is forgotten with its connection.
    assert_eq!(barriers.meeting(), 1);
    barriers.readies(B, false);
    assert_eq!(barriers.meeting(), 0);
}

#[test]
fn who_waits_already_is_let_go_with_the_generation_that_somebody_brings() {
    let old = stamp(4, 7);
    let mut barriers = open();
    barriers.says(key(B, 1), 2);
    let newcomer = InstanceId::new(8);
    let waiters = [key(B, 1), key(newcomer, 1)];
    barriers.bring(newcomer, vec![generation(old, &waiters)]);
    assert_eq!(barriers.hears(), [complete(&[B], old, &waiters)]);
    assert_eq!(barriers.notes(B, old), [go(key(B, 1), true)]);
    barriers.readies(newcomer, true);
    assert_eq!(barriers.says(key(newcomer, 1), 2), [go(key(newcomer, 1), false)]);
}

#[test]
fn a_go_that_was_lost_is_said_again_to_whoever_brings_the_generation() {
    let mut barriers = open();
    barriers.says(key(A, 1), 2);
    barriers.says(key(B, 1), 2);
    barriers.notes(A, stamp(5, 1));
    assert_eq!(barriers.notes(B, stamp(5, 1)).len(), 2);
    barriers.readies(A, false);
    barriers.bring(A, vec![generation(stamp(5, 1), &[key(A, 1), key(B, 1)])]);
    assert_eq!(barriers.readies(A, true), [], "B has passed, and is not asked again");
    assert_eq!(barriers.says(key(A, 1), 2), [go(key(A, 1), true)]);
    assert_eq!(barriers.meeting(), 0);
}

#[test]
fn a_leader_that_was_disconnected_still_leads_and_nobody_else() {
    let mut barriers = open();
    barriers.says(key(A, 1), 2);
    barriers.says(key(B, 1), 2);
    barriers.notes(A, stamp(5, 1));
    // Twice, so that the second time it has not said again what it waits for.
    for ready in [false, true, false] {
        barriers.readies(A, ready);
    }
    assert_eq!(barriers.notes(B, stamp(5, 1)), [go(key(B, 1), false)]);
    barriers.bring(A, vec![generation(stamp(5, 1), &[key(A, 1), key(B, 1)])]);
    barriers.readies(A, true);
    assert_eq!(barriers.says(key(A, 1), 2), [go(key(A, 1), true)]);
}

#[test]
fn what_cannot_be_true_is_ignored() {
    let many: Vec<_> = (0..=u64::from(Barriers::PARTIES_LIMIT)).map(|request| key(A, request)).collect();
    for claim in [
        generation(stamp(4, 7), &[]),
        generation(stamp(4, 7), &[key(B, 1), key(C, 1)]),
        generation(stamp(4, 7), &many),
        generation(stamp(5, 1), &[key(A, 1), key(B, 1)]),
        generation(stamp(6, 1), &[key(A, 1), key(B, 1)]),
    ] {
        let mut barriers = open();
        barriers.bring(A, vec![claim.clone()]);
        assert_eq!((barriers.hears(), barriers.meeting()), (Vec::new(), 0), "{}", claim.number);
        let mut barriers = closed();
        barriers.bring(A, vec![claim]);
        barriers.open(Epoch::new(5));
        assert_eq!((barriers.hears(), barriers.meeting()), (Vec::new(), 0));
    }
}

#[test]
fn nothing_is_kept_of_those_that_ended() {
    let mut barriers = closed();
    barriers.bring(A, vec![generation(stamp(4, 7), &[key(A, 1), key(B, 1)])]);
    barriers.end(A);
    barriers.open(Epoch::new(5));
    barriers.says(key(B, 1), 2);
    barriers.says(key(C, 1), 2);
    barriers.says(key(C, 2), 2);
    [B, C].into_iter().for_each(|id| barriers.end(id));
    barriers.take_told();
    let nothing = Barriers { epoch: Some(Epoch::new(5)), completed: 1, arrivals: 3, ..Barriers::new(Rules::ALL) };
    assert_eq!(barriers, nothing);
}
