//! What the next owner is told of the one before.

use super::*;

/// What a name says after its only holder, in this mode, ended its holding.
fn after(mode: Mode, before: Abandoned, end: impl FnOnce(&mut Grants)) -> Abandoned {
    let mut grants = open();
    flag(&mut grants, mode, before);
    grants.acquire(A, want(1, "n", mode));
    end(&mut grants);
    grants.check_invariants();
    assert_eq!(grants.names().count(), 0, "nobody holds or waits");
    grants.abandoned(&of(mode, "n"))
}

/// Sets the flag of an idle name.
fn flag(grants: &mut Grants, mode: Mode, flag: Abandoned) {
    if flag != Abandoned::Clean {
        // A reader would leave it as it is.
        grants.acquire(D, want(99, "n", if mode == S { X } else { mode }));
        grants.end(D, flag != Abandoned::Unknown);
        grants.set_ready(D, true);
    }
    assert_eq!(grants.abandoned(&of(mode, "n")), flag);
}

#[test]
fn the_end_of_a_holding_decides_what_the_next_owner_is_told() {
    let release = |grants: &mut Grants| grants.release(A, Request::new(1));
    let decline = |grants: &mut Grants| grants.decline(A, Request::new(1));
    let abandon = |grants: &mut Grants| grants.abandon(A, Request::new(1));
    let leave = |grants: &mut Grants| grants.end(A, false);
    let die = |grants: &mut Grants| grants.end(A, true);
    let forget = |grants: &mut Grants| grants.back(A, vec![], vec![]);
    let clean = Abandoned::Clean;
    let unknown = Abandoned::Unknown;
    for before in [clean, unknown, died(D)] {
        for mode in [X, S, permits(1, 2)] {
            // A reader repairs nothing and leaves nothing half done, however it ends.
            let unless_shared = |flag| if mode == S { before } else { flag };
            assert_eq!(after(mode, before, release), unless_shared(clean), "{mode:?} released, {before:?}");
            assert_eq!(after(mode, before, decline), before, "{mode:?} declined, {before:?}");
            let left = unless_shared(if before == clean { unknown } else { before });
            assert_eq!(after(mode, before, abandon), left, "{mode:?} abandoned, {before:?}");
            assert_eq!(after(mode, before, forget), left, "{mode:?} not claimed, {before:?}");
            assert_eq!(after(mode, before, leave), left, "{mode:?} left, {before:?}");
            assert_eq!(after(mode, before, die), unless_shared(died(A)), "{mode:?} died, {before:?}");
        }
    }
}

#[test]
fn permits_vouch_only_for_what_they_were_told_of() {
    let mut grants = open();
    for (id, request) in [(A, 1), (B, 1), (C, 1)] {
        grants.acquire(id, want(request, "n", permits(1, 3)));
    }
    grants.end(C, true);
    grants.release(A, Request::new(1));
    assert_eq!(grants.abandoned(&of(permits(1, 1), "n")), died(C), "the holder beside it was never told");
    grants.acquire(A, want(2, "n", permits(1, 3)));
    grants.acquire(D, want(1, "n", permits(1, 3)));
    grants.end(B, false);
    told(&mut grants);
    grants.release(A, Request::new(2));
    assert_eq!(grants.abandoned(&of(permits(1, 1), "n")), died(C), "one more has left in the middle since it was told");
    grants.acquire(A, want(3, "n", permits(1, 3)));
    assert_eq!(told(&mut grants), ["1: 3 granted 6, 3 died"]);
    grants.release(A, Request::new(3));
    assert_eq!(grants.abandoned(&of(permits(1, 1), "n")), Abandoned::Clean);
}

#[test]
fn a_repeated_grant_tells_of_the_flag_as_it_is_now() {
    let mut grants = open();
    for id in [A, B] {
        grants.acquire(id, want(1, "n", permits(1, 2)));
    }
    told(&mut grants);
    grants.end(B, true);
    grants.back(A, vec![], vec![waits(1, "n", permits(1, 2), None)]);
    assert_eq!(told(&mut grants), ["1: 1 granted 1, 2 died"]);
    grants.release(A, Request::new(1));
    assert_eq!(grants.abandoned(&of(permits(1, 1), "n")), Abandoned::Clean);
}

#[test]
fn a_name_nobody_vouches_for_is_unknown_after_a_failure_until_it_was_released() {
    let mut grants = Grants::new();
    grants.set_ready(A, true);
    grants.close(Epoch::new(9), Token::new(BASE), false, true);
    grants.open();
    for (request, expected) in [(1, "1: 1 granted 1, unknown"), (2, "1: 2 granted 2, unknown"), (3, "1: 3 granted 3")] {
        grants.acquire(A, want(request, "n", X));
        assert_eq!(told(&mut grants), [expected]);
        if request == 1 {
            grants.decline(A, Request::new(1));
        } else {
            grants.release(A, Request::new(request));
        }
        grants.check_invariants();
        assert_eq!(grants.names().count(), 0, "the name itself takes no memory");
    }
}

#[test]
fn only_an_exclusive_claim_vouches() {
    for (mode, release, next) in [
        (X, true, Abandoned::Clean),
        (X, false, Abandoned::Unknown),
        (S, true, Abandoned::Unknown),
        (permits(1, 2), true, Abandoned::Unknown),
    ] {
        for in_window in [true, false] {
            for failure in [true, false] {
                let mut grants = Grants::new();
                grants.claim(A, vec![held(1, "n", mode, 5)], vec![]);
                let end = |grants: &mut Grants| match release {
                    true => grants.release(A, Request::new(1)),
                    false => grants.decline(A, Request::new(1)),
                };
                if in_window {
                    end(&mut grants);
                }
                grants.close(Epoch::new(9), Token::new(BASE), false, failure);
                if !in_window {
                    end(&mut grants);
                }
                grants.check_invariants();
                assert_eq!(
                    grants.abandoned(&of(mode, "n")),
                    next,
                    "{mode:?}, released: {release}, in the window: {in_window}"
                );
            }
        }
    }
}

#[test]
fn a_claimer_that_ends_during_the_window_is_remembered() {
    for (dies, flag) in [(true, died(A)), (false, Abandoned::Unknown)] {
        let mut grants = closed(|grants| {
            grants.claim(A, vec![held(1, "n", X, 5)], vec![waits(2, "m", X, None)]);
            grants.end(A, dies);
            assert!(grants.conflicts().is_empty());
        });
        assert_eq!(grants.abandoned(&name("n")), flag);
        assert_eq!(grants.names().count(), 0);
        grants.open();
        assert!(told(&mut grants).is_empty());
    }
}

#[test]
fn a_forgotten_claim_or_a_limit_leaves_no_name_clean() {
    type Case = (fn(&mut Grants), bool, Abandoned);
    let cases: [Case; 5] = [
        (|_| {}, false, Abandoned::Clean),
        (|_| {}, true, Abandoned::Unknown),
        (|grants| grants.forget(A), false, Abandoned::Unknown),
        (|grants| grants.claim(A, vec![], vec![]), false, Abandoned::Unknown),
        (|grants| grants.claim(A, vec![held(1, "n", X, 5)], vec![]), false, Abandoned::Clean),
    ];
    for (number, (then, limited, flag)) in cases.into_iter().enumerate() {
        let mut grants = Grants::new();
        grants.claim(A, vec![held(1, "n", X, 5)], vec![]);
        then(&mut grants);
        grants.close(Epoch::new(9), Token::new(BASE), limited, false);
        assert_eq!(grants.abandoned(&name("other")), flag, "case {number}");
    }
}
