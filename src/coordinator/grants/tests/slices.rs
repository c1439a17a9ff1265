//! Work that is too much for one input.

use super::*;

const SLICE: usize = Rules::ALL.slice;

/// Grants of reign 9 that are open, and do so little at a time.
fn open_with(slice: usize) -> Grants {
    let mut grants = Grants::new().with_rules(Rules { slice, ..Rules::ALL });
    for id in [A, B, C, D] {
        grants.set_ready(id, true);
    }
    grants.close(Epoch::new(9), Token::new(BASE), false, false);
    grants.open();
    grants
}

/// Does all that is left, and says in how many slices. No slice may be larger than the others.
fn finish(grants: &mut Grants) -> usize {
    let mut slices = 0;
    while grants.is_behind() {
        grants.take_touched();
        grants.go_on();
        let touched = grants.take_touched();
        assert!(touched <= SLICE, "{touched} requests in one slice");
        slices += 1;
        assert!(slices < 100_000, "the work never ends");
    }
    slices
}

/// So many names that this one holds, and others wait for some of them.
fn hold_many(grants: &mut Grants, count: u64) {
    for number in 0..count {
        grants.acquire(A, want(number, &format!("n{number}"), X));
    }
    for number in (0..count).step_by(100) {
        grants.acquire(B, want(number, &format!("n{number}"), X));
    }
    grants.take_told();
}

#[test]
fn the_end_of_an_instance_with_very_many_locks_frees_each_once_in_slices() {
    let count = Grants::CLAIM_LIMIT as u64;
    let mut grants = open();
    hold_many(&mut grants, count);
    grants.take_touched();
    grants.end(A, true);
    assert!(grants.take_touched() <= SLICE, "the first slice");
    assert!(grants.is_behind());
    let slices = finish(&mut grants);
    assert!(slices >= grants_needed(count), "{slices} slices");
    grants.check_invariants();
    assert_eq!(grants.held_by(A).count(), 0);
    let mut granted = grants.take_told();
    granted.sort_by_key(|told| format!("{:?}", told.what));
    let before = granted.len();
    granted.dedup();
    assert_eq!((granted.len(), before), (count as usize / 100 + 1, count as usize / 100 + 1), "each waiter, once");
    assert!(granted.iter().all(|told| told.to == B && format!("{:?}", told.what).contains("Died")));
}

fn grants_needed(count: u64) -> usize {
    count as usize / SLICE - 1
}

#[test]
fn very_many_waits_of_one_instance_end_become_ready_and_are_passed_over_in_slices() {
    let mut grants = open();
    for number in 0..5000 {
        grants.acquire(A, want(number, &format!("n{number}"), X));
        grants.acquire(B, want(number, &format!("n{number}"), X));
    }
    grants.take_told();
    let steps: [fn(&mut Grants); 3] =
        [|grants| grants.set_ready(B, false), |grants| grants.set_ready(B, true), |grants| grants.end(B, false)];
    for step in steps {
        grants.take_touched();
        step(&mut grants);
        assert!(grants.take_touched() <= SLICE && grants.is_behind());
        finish(&mut grants);
        grants.check_invariants();
    }
    assert_eq!(waiters(&grants, "n4999"), []);
    grants.end(A, false);
    finish(&mut grants);
    assert_eq!(grants.names().count(), 0);
}

#[test]
fn very_many_readers_behind_one_writer_are_let_in_in_slices() {
    let mut grants = open();
    grants.acquire(A, want(1, "n", X));
    for number in 0..5000 {
        grants.acquire(B, want(number, "n", S));
    }
    grants.take_told();
    grants.release(A, Request::new(1));
    assert_eq!(grants.take_told().len(), SLICE);
    assert!(grants.is_behind());
    finish(&mut grants);
    assert_eq!(grants.take_told().len(), 5000 - SLICE);
    grants.check_invariants();
}

#[test]
fn what_an_ended_instance_holds_refuses_nobody_who_asks_meanwhile() {
    let mut grants = open_with(1);
    for number in 1..=4 {
        grants.acquire(A, want(number, &format!("n{number}"), X));
    }
    grants.acquire(B, want(1, "n3", X));
    told(&mut grants);
    grants.end(A, true);
    assert_eq!(holders(&grants, "n4"), [(1, 4)], "not freed yet");
    grants.acquire(C, want(1, "n4", X));
    assert_eq!(told(&mut grants), ["3: 1 granted 5, 1 died"]);
    // One that waits is asked for before its turn has come, and is behind nobody who has ended.
    grants.inquire(B, Request::new(1));
    assert_eq!(told(&mut grants), ["2: 1 granted 6, 1 died"]);
    finish(&mut grants);
    assert_eq!(told(&mut grants), [""; 0]);
    assert_eq!(grants.held_by(A).count(), 0);
}

#[test]
fn an_ended_instance_is_granted_nothing_while_its_waits_are_left() {
    let mut grants = open_with(2);
    grants.acquire(B, want(9, "n3", X));
    for number in 1..=4 {
        grants.acquire(A, want(number, &format!("n{number}"), X));
    }
    grants.acquire(C, want(1, "n3", X));
    told(&mut grants);
    grants.end(A, false);
    // What it says from here on means nothing.
    grants.release(A, Request::new(4));
    grants.cancel(A, Request::new(3));
    assert_eq!((grants.waits(A, Request::new(3)), grants.knows(A, Request::new(4))), (false, false));
    grants.release(B, Request::new(9));
    assert_eq!(told(&mut grants), ["3: 1 granted 5"], "it is passed over");
    finish(&mut grants);
    assert_eq!(grants.abandoned(&name("n4")), Abandoned::Unknown, "it left, and released nothing");
}

#[test]
fn an_id_that_begins_anew_has_nothing_left_of_before() {
    let mut grants = open_with(1);
    for number in 1..=4 {
        grants.acquire(A, want(number, &format!("n{number}"), X));
    }
    told(&mut grants);
    grants.end(A, false);
    grants.acquire(A, want(4, "m", X));
    grants.set_ready(A, true);
    finish(&mut grants);
    assert_eq!(told(&mut grants), ["1: 4 granted 5"]);
    assert_eq!(grants.held_by(A).count(), 1);
}

#[test]
fn a_higher_base_settles_only_the_names_that_lacked_a_token() {
    let mut grants = Grants::new().with_rules(Rules { step: 3000, ..Rules::ALL });
    grants.set_ready(A, true);
    grants.close(Epoch::new(9), Token::new(BASE), false, false);
    grants.open();
    for number in 0..8000 {
        grants.acquire(A, want(number, &format!("n{number}"), X));
    }
    assert_eq!(
        (granted(&mut grants), grants.is_behind()),
        (3000, false),
        "there is nothing to do before the base is known"
    );
    for _ in 0..2 {
        grants.raise(grants.highest());
        assert!(grants.is_behind());
        finish(&mut grants);
    }
    assert_eq!(granted(&mut grants), 5000);
    grants.check_invariants();
}

fn granted(grants: &mut Grants) -> usize {
    grants.take_told().iter().filter(|told| matches!(told.what, ToMember::Grant(_))).count()
}

#[test]
fn waits_that_were_claimed_are_granted_in_slices_when_the_reign_opens() {
    let mut grants = Grants::new();
    grants.set_ready(A, true);
    let claims = (0..5000).map(|number| waits(number, &format!("n{number}"), X, Some((7, number + 1))));
    grants.claim(A, vec![], claims.collect());
    grants.close(Epoch::new(9), Token::new(BASE), false, false);
    grants.open();
    assert!(grants.is_behind());
    // One that asks first is behind who waited before.
    grants.set_ready(B, true);
    grants.acquire(B, want(1, "n4999", X));
    assert_eq!(holders(&grants, "n4999"), [(1, 4999)]);
    finish(&mut grants);
    assert_eq!(grants.held_by(A).count(), 5000);
    grants.check_invariants();
}

#[test]
fn very_many_waits_above_a_new_limit_are_denied_in_slices() {
    let mut grants = open();
    grants.acquire(A, want(1, "n", permits(9, 9)));
    for number in 0..5000 {
        grants.acquire(B, want(number, "n", permits(1 + number as u32 % 2 * 8, 9)));
    }
    grants.take_told();
    grants.resize(&of(permits(1, 1), "n"), 5);
    assert_eq!(grants.take_told().len(), SLICE / 2, "the first slice of places");
    assert!(grants.is_behind());
    grants.check_invariants();
    // Another limit begins anew.
    grants.resize(&of(permits(1, 1), "n"), 4);
    grants.release(A, Request::new(1));
    finish(&mut grants);
    assert_eq!((holders(&grants, "n").len(), waiters(&grants, "n").len()), (4, 2496));
    grants.check_invariants();
}
