//! Who is granted what, and in which order.

use super::*;

#[test]
fn modes_go_together_or_wait() {
    let limit = 3;
    for (first, second, together) in [
        (X, X, false),
        (X, S, false),
        (S, X, false),
        (S, S, true),
        (permits(1, limit), permits(2, limit), true),
        (permits(2, limit), permits(2, limit), false),
    ] {
        let mut grants = open();
        grants.acquire(A, want(1, "n", first));
        grants.acquire(B, want(1, "n", second));
        let second_line = if together { "2: 1 granted 2" } else { "2: 1 at 9.1 behind 0" };
        assert_eq!(told(&mut grants), ["1: 1 granted 1", second_line], "{first:?} and {second:?}");
    }
}

#[test]
fn every_kind_has_its_modes() {
    let (shared, none) = ("cannot be shared", "has no permits");
    for (kind, mode, reason) in [
        (Kind::Mutex, X, None),
        (Kind::Mutex, S, Some(format!("a mutex {shared}"))),
        (Kind::Mutex, permits(1, 1), Some(format!("a mutex {none}"))),
        (Kind::RwLock, X, None),
        (Kind::RwLock, S, None),
        (Kind::RwLock, permits(1, 1), Some(format!("a rwlock {none}"))),
        (Kind::Semaphore, X, Some("a semaphore is asked for permits".to_owned())),
        (Kind::Semaphore, S, Some("a semaphore is asked for permits".to_owned())),
        (Kind::Semaphore, permits(1, 1), None),
        (Kind::Semaphore, permits(0, 1), Some("0 permits cannot be asked for".to_owned())),
        (Kind::Once, X, None),
        (Kind::Once, S, Some(format!("a once {shared}"))),
        (Kind::Once, permits(1, 1), Some(format!("a once {none}"))),
        (Kind::Value, X, Some("a value cannot be held".to_owned())),
        (Kind::Value, S, Some("a value cannot be held".to_owned())),
        (Kind::Value, permits(1, 1), Some("a value cannot be held".to_owned())),
    ] {
        let want = Want { request: Request::new(1), name: resource(kind, "n"), mode };
        let mut grants = open();
        grants.acquire(A, want.clone());
        let line = reason.as_ref().map_or("1: 1 granted 1".to_owned(), |reason| format!("1: 1 denied: {reason}"));
        assert_eq!(told(&mut grants), [line], "{kind} {mode:?}");
        assert_eq!(grants.names().count(), usize::from(reason.is_none()), "a denied request leaves nothing behind");

        // The same as claims: what cannot be was never granted, and is no wait either.
        let lies = reason.is_some();
        let mut grants = Grants::new();
        let claim = HeldClaim { want: want.clone(), token: Token::new(5), since: 0 };
        grants.claim(A, vec![claim.clone()], vec![]);
        grants.claim(B, vec![], vec![WantClaim { want: want.clone(), ticket: None }]);
        assert!(grants.conflicts().is_empty());
        grants.close(Epoch::new(9), Token::new(BASE), false, false);
        let lines = told(&mut grants);
        let denied = reason.as_ref().map(|reason| format!("2: 1 denied: {reason}"));
        let lost = lies.then(|| "1: 1 lost".to_owned());
        assert_eq!(lines, denied.into_iter().chain(lost).collect::<Vec<_>>(), "{kind} {mode:?}");
        assert_eq!(grants.holders(&want.name).count(), usize::from(!lies));
        grants.open();
        told(&mut grants);
        grants.back(C, vec![claim], vec![]);
        assert_eq!(told(&mut grants), ["3: 1 lost"], "{kind} {mode:?}");
    }
}

#[test]
fn things_of_different_kinds_share_a_name_and_nothing_else() {
    let mut grants = open();
    for (request, kind) in (1..).zip([Kind::Mutex, Kind::RwLock, Kind::Once]) {
        grants.acquire(A, Want { request: Request::new(request), name: resource(kind, "n"), mode: X });
    }
    grants.acquire(A, want(4, "n", permits(1, 1)));
    assert_eq!(told(&mut grants), ["1: 1 granted 1", "1: 2 granted 2", "1: 3 granted 3", "1: 4 granted 4"]);
}

#[test]
fn the_first_request_of_a_name_decides_its_limit_unless_one_was_set() {
    for (set, reason) in [(None, "5 permits exceed the limit of 4"), (Some(2), "5 permits exceed the limit of 2")] {
        let mut grants = open();
        if let Some(limit) = set {
            grants.resize(&of(permits(1, 1), "n"), limit);
        }
        grants.acquire(A, want(1, "n", permits(1, 4)));
        grants.acquire(B, want(1, "n", permits(5, 9)));
        assert_eq!(told(&mut grants), ["1: 1 granted 1".to_owned(), format!("2: 1 denied: {reason}")]);
        grants.release(A, Request::new(1));
        assert_eq!(grants.names().count(), 0, "a denied request leaves nothing behind");
    }
    let mut grants = open();
    grants.acquire(A, want(1, "n", permits(5, 4)));
    assert_eq!(told(&mut grants), ["1: 1 denied: 5 permits exceed the limit of 4"]);
    assert_eq!(grants.names().count(), 0, "a name is not created by a request that is denied");
}

#[test]
fn a_request_number_means_one_thing_and_repeating_it_changes_nothing() {
    let mut grants = open();
    grants.acquire(A, want(1, "n", X));
    grants.acquire(B, want(1, "n", X));
    told(&mut grants);
    let before = grants.clone();
    grants.acquire(A, want(1, "n", X));
    grants.acquire(B, want(1, "n", X));
    assert!(grants.take_told().is_empty());
    for other in [want(1, "n", S), want(1, "other", X)] {
        grants.acquire(A, other.clone());
        grants.acquire(B, other);
        let reason = "denied: request 1 is in use for something else";
        assert_eq!(told(&mut grants), [format!("1: 1 {reason}"), format!("2: 1 {reason}")]);
    }
    assert_eq!(Grants { arrivals: before.arrivals, ..grants }, before);
}

#[test]
fn a_release_grants_to_all_at_the_head_that_fit() {
    let mut grants = open();
    grants.acquire(A, want(1, "n", X));
    for (id, mode) in [(B, S), (C, S), (D, X), (A, S)] {
        grants.acquire(id, want(2, "n", mode));
    }
    told(&mut grants);
    grants.release(A, Request::new(1));
    assert_eq!(told(&mut grants), ["2: 2 granted 2", "3: 2 granted 3"]);
    assert_eq!(waiters(&grants, "n"), [(4, 2), (1, 2)], "the reader behind the writer waits");
}

#[test]
fn a_reader_does_not_overtake_a_writer() {
    let mut grants = open();
    grants.acquire(A, want(1, "n", S));
    grants.acquire(B, want(1, "n", X));
    grants.acquire(C, want(1, "n", S));
    assert_eq!(told(&mut grants), ["1: 1 granted 1", "2: 1 at 9.1 behind 0", "3: 1 at 9.2 behind 1"]);
    grants.cancel(B, Request::new(1));
    assert_eq!(told(&mut grants), ["3: 1 granted 2"], "a cancel lets in who waited behind it");
}

#[test]
fn permits_that_do_not_fit_block_those_behind_them() {
    let mut grants = open();
    grants.acquire(A, want(1, "n", permits(2, 3)));
    grants.acquire(B, want(1, "n", permits(2, 3)));
    grants.acquire(C, want(1, "n", permits(1, 3)));
    assert_eq!(told(&mut grants), ["1: 1 granted 1", "2: 1 at 9.1 behind 0", "3: 1 at 9.2 behind 1"]);
    grants.release(A, Request::new(1));
    assert_eq!(told(&mut grants), ["2: 1 granted 2", "3: 1 granted 3"]);
}

#[test]
fn who_is_not_ready_is_passed_over_and_keeps_its_place() {
    let mut grants = open();
    for id in [A, B, C, D] {
        grants.acquire(id, want(1, "n", X));
    }
    told(&mut grants);
    grants.set_ready(B, false);
    grants.release(A, Request::new(1));
    assert_eq!(told(&mut grants), ["3: 1 granted 2"]);
    grants.set_ready(B, true);
    assert_eq!(waiters(&grants, "n"), [(2, 1), (4, 1)]);
    grants.release(C, Request::new(1));
    assert_eq!(told(&mut grants), ["2: 1 granted 3"]);
}

#[test]
fn who_stops_being_ready_no_longer_blocks() {
    let mut grants = open();
    for (id, mode) in [(A, S), (B, X), (C, S)] {
        grants.acquire(id, want(1, "n", mode));
    }
    told(&mut grants);
    grants.set_ready(B, false);
    assert_eq!(told(&mut grants), ["3: 1 granted 2"]);
}

#[test]
fn a_place_is_told_when_the_waiter_is_ready_and_is_the_last_of_that_moment() {
    let mut grants = open();
    grants.acquire(A, want(1, "n", X));
    grants.set_ready(B, false);
    grants.acquire(B, want(1, "n", X));
    grants.acquire(C, want(1, "n", X));
    assert_eq!(told(&mut grants), ["1: 1 granted 1", "3: 1 at 9.1 behind 0"]);
    grants.set_ready(B, true);
    assert_eq!(told(&mut grants), ["2: 1 at 9.2 behind 1"]);
    assert_eq!(waiters(&grants, "n"), [(3, 1), (2, 1)]);
}

#[test]
fn an_instance_never_called_ready_is_granted_nothing() {
    let mut grants = open();
    let stranger = InstanceId::new(77);
    grants.acquire(stranger, want(1, "n", X));
    assert!(told(&mut grants).is_empty());
    grants.set_ready(stranger, true);
    assert_eq!(told(&mut grants), ["77: 1 granted 1"]);
}

#[test]
fn before_the_opening_requests_are_only_queued() {
    let mut grants = closed(|grants| grants.acquire(A, want(1, "n", X)));
    grants.acquire(B, want(1, "n", X));
    grants.set_ready(B, false);
    grants.set_ready(B, true);
    assert!(told(&mut grants).is_empty());
    grants.open();
    assert_eq!(told(&mut grants), ["1: 1 granted 1", "2: 1 at 9.1 behind 0"]);
}

#[test]
fn a_cancel_that_crosses_its_grant_changes_nothing() {
    let mut grants = open();
    grants.acquire(A, want(1, "n", X));
    grants.acquire(B, want(1, "n", X));
    told(&mut grants);
    grants.cancel(A, Request::new(1));
    assert_eq!(holders(&grants, "n"), [(1, 1)]);
    grants.release(B, Request::new(1));
    grants.decline(B, Request::new(1));
    assert_eq!(waiters(&grants, "n"), [(2, 1)], "who only waits has nothing to give back");
    grants.decline(A, Request::new(1));
    assert_eq!(told(&mut grants), ["2: 1 granted 2"]);
}

#[test]
fn a_waiter_that_asks_is_told_its_place_as_it_is_now() {
    let mut grants = open();
    for id in [A, B, C, D] {
        grants.acquire(id, want(1, "n", X));
    }
    told(&mut grants);
    grants.cancel(B, Request::new(1));
    for (id, expected) in [(A, None), (B, None), (C, Some("3: 1 at 9.2 behind 0")), (D, Some("4: 1 at 9.3 behind 1"))] {
        let before = grants.clone();
        grants.inquire(id, Request::new(1));
        assert_eq!(told(&mut grants), Vec::from_iter(expected), "{id}");
        assert_eq!(grants, before);
    }
    let mut grants = closed(|grants| grants.claim(A, vec![], vec![waits(1, "n", X, Some((7, 1)))]));
    grants.inquire(A, Request::new(1));
    assert_eq!(told(&mut grants), [""; 0], "before the opening a place is no promise yet");
}

#[test]
fn an_end_frees_what_was_held_and_leaves_every_queue() {
    for left in [true, false] {
        let mut grants = open();
        grants.acquire(A, want(1, "n", X));
        grants.acquire(A, want(2, "m", S));
        grants.acquire(B, want(1, "n", X));
        grants.acquire(B, want(2, "m", X));
        grants.acquire(A, want(3, "m", S));
        grants.acquire(C, want(1, "n", X));
        told(&mut grants);
        grants.end(A, !left);
        let reason = if left { "unknown" } else { "1 died" };
        assert_eq!(told(&mut grants), ["2: 2 granted 3".to_owned(), format!("2: 1 granted 4, {reason}")]);
        assert_eq!(waiters(&grants, "m"), []);
        assert_eq!(grants.held_by(A).count(), 0);
    }
}

#[test]
fn a_resize_lets_in_who_fits_and_denies_who_never_will() {
    let mut grants = open();
    grants.acquire(A, want(1, "n", permits(2, 2)));
    grants.acquire(B, want(1, "n", permits(2, 2)));
    grants.acquire(C, want(1, "n", permits(1, 2)));
    told(&mut grants);
    grants.resize(&of(permits(1, 1), "n"), 1);
    assert_eq!(told(&mut grants), ["2: 1 denied: 2 permits exceed the limit of 1"]);
    assert_eq!(holders(&grants, "n"), [(1, 1)], "who holds more than there are keeps them");
    grants.resize(&of(permits(1, 1), "n"), 3);
    assert_eq!(told(&mut grants), ["3: 1 granted 2"]);
    grants.release(A, Request::new(1));
    grants.release(C, Request::new(1));
    grants.acquire(D, want(1, "n", permits(4, 9)));
    assert_eq!(told(&mut grants), ["4: 1 denied: 4 permits exceed the limit of 3"], "a limit that was set stays");
    assert_eq!(grants.limit(&of(permits(1, 1), "n")), Some(3));
}

#[test]
fn tokens_end_where_the_next_reign_may_begin_until_a_higher_base_is_known() {
    let step = 8;
    let mut grants = Grants::new().with_rules(Rules { step, ..Rules::ALL });
    for id in [A, B] {
        grants.set_ready(id, true);
    }
    grants.close(Epoch::new(9), Token::new(BASE), false, false);
    grants.open();
    for count in 1..step {
        assert_eq!(grants.is_short(), count > step / 2, "{count}");
        grants.acquire(A, want(1, "n", X));
        grants.release(A, Request::new(1));
    }
    grants.take_told();
    grants.acquire(A, want(1, "n", X));
    grants.acquire(B, want(1, "m", X));
    assert_eq!(told(&mut grants), [format!("1: 1 granted {step}"), "2: 1 at 9.1 behind 0".to_owned()]);
    assert_eq!(grants.highest(), Token::new(BASE + step));
    grants.raise(Token::new(BASE));
    assert_eq!(told(&mut grants), [""; 0], "that was known before");
    grants.raise(grants.highest());
    assert_eq!(told(&mut grants), [format!("2: 1 granted {}", step + 1)]);
    assert!(!grants.is_short());
    let mut grants = Grants::new();
    grants.set_ready(A, true);
    grants.close(Epoch::new(u64::MAX), Token::new(u64::MAX), true, false);
    grants.open();
    grants.acquire(A, want(1, "n", X));
    assert_eq!(holders(&grants, "n"), [], "there is no token above the highest number");
    assert!(!grants.is_short(), "and no base would change that");
    grants.check_invariants();
}

#[test]
fn who_is_back_says_what_it_holds_and_waits_for() {
    let base = BASE;
    let ticket = Some((9, 1));
    for (claims, expected, why) in [
        ((vec![held(1, "n", X, base + 1)], vec![waits(2, "m", X, ticket)]), vec![], "all is as it was"),
        (
            (vec![held(1, "n", X, base)], vec![waits(2, "m", X, ticket)]),
            vec!["1: 1 token 1001"],
            "an old token is replaced",
        ),
        (
            (vec![], vec![waits(1, "n", X, None), waits(2, "m", X, ticket)]),
            vec!["1: 1 granted 1"],
            "a grant that was lost is repeated",
        ),
        ((vec![], vec![waits(2, "m", X, ticket)]), vec!["3: 1 granted 3, unknown"], "what is not claimed is freed"),
        ((vec![held(1, "n", X, base + 1)], vec![]), vec![], "a wait that is not claimed is cancelled"),
        (
            (vec![held(1, "n", X, base + 1)], vec![waits(2, "m", X, None)]),
            vec!["1: 2 at 9.1 behind 0"],
            "a place that was not heard is told again",
        ),
        (
            (vec![held(1, "n", X, base + 1), held(7, "m", S, 5)], vec![waits(2, "m", X, ticket)]),
            vec!["1: 7 lost"],
            "a holding that is not known is lost",
        ),
        (
            (vec![held(1, "m", X, base + 1)], vec![waits(2, "m", X, ticket)]),
            vec!["1: 1 lost", "3: 1 granted 3, unknown"],
            "a number under another name is another holding",
        ),
        (
            (vec![held(1, "n", X, base + 1)], vec![waits(2, "m", X, ticket), waits(3, "m", X, Some((1, 1)))]),
            vec!["1: 3 at 9.3 behind 1"],
            "a new wait goes to the end whatever its ticket",
        ),
    ] {
        let mut grants = open();
        grants.acquire(A, want(1, "n", X));
        grants.acquire(B, want(1, "m", X));
        grants.acquire(A, want(2, "m", X));
        grants.acquire(C, want(1, "n", X));
        told(&mut grants);
        grants.set_ready(A, false);
        let (held, wants) = claims;
        grants.set_ready(A, true);
        grants.back(A, held, wants.clone());
        assert_eq!(told(&mut grants), expected, "{why}");
        let waiting: Vec<_> = grants.waiters(&name("m")).map(|waiter| waiter.request.number()).collect();
        let expected: Vec<_> = wants.iter().map(|claim| claim.want.request.number()).filter(|&n| n > 1).collect();
        assert_eq!(waiting, expected, "{why}");
    }
}

#[test]
fn who_gives_up_or_is_passed_over_among_very_many_costs_little() {
    // With a scan per cancel, per place told or per end these would be 10^10 steps, and half of that is too long to wait.
    let mut grants = open();
    let instances = 10..100_010;
    for id in instances.clone().map(InstanceId::new) {
        grants.set_ready(id, true);
        grants.acquire(id, want(1, "n", X));
    }
    assert_eq!(grants.take_told().len(), 100_000);
    for id in instances.clone().map(InstanceId::new).filter(|id| id.number() % 3 == 0) {
        grants.set_ready(id, false);
        grants.set_ready(id, true);
    }
    for id in instances.clone().rev().map(InstanceId::new).filter(|id| id.number() % 2 == 0) {
        grants.cancel(id, Request::new(1));
    }
    for id in instances.map(InstanceId::new) {
        grants.end(id, true);
    }
    grants.check_invariants();
    assert_eq!(grants.names().count(), 0);
}

#[test]
fn a_release_among_very_many_waiters_stays_cheap() {
    // With a scan per release, of the waiters or of those passed over, these would be 10^10 steps.
    let mut grants = open();
    let waiting = 100_000;
    grants.set_ready(B, false);
    for request in 0..waiting {
        grants.acquire(B, want(request, "n", X));
    }
    for request in 0..waiting {
        grants.acquire(A, want(request, "n", X));
    }
    for request in 0..waiting {
        grants.release(A, Request::new(request));
    }
    grants.check_invariants();
    assert_eq!(waiters(&grants, "n").len(), 100_000, "those who are not ready are still there");
}

#[test]
fn nobody_has_more_than_it_could_tell_the_next_supervisor() {
    let mut grants = open();
    let limit = Grants::CLAIM_LIMIT as u64;
    (0..limit).for_each(|request| grants.acquire(A, want(request, "n", permits(1, u32::MAX))));
    grants.take_told();
    grants.acquire(A, want(limit, "n", permits(1, u32::MAX)));
    let denied = format!("1: {limit} denied: this instance holds or waits for {limit} things already");
    assert_eq!(told(&mut grants), [denied]);
    grants.acquire(B, want(limit, "n", permits(1, u32::MAX)));
    assert_eq!(told(&mut grants).len(), 1, "others have their own");
    grants.release(A, Request::new(0));
    grants.acquire(A, want(limit + 1, "n", permits(1, u32::MAX)));
    assert_eq!(holders(&grants, "n").len() as u64, limit + 1);
    grants.end(A, true);
    while grants.is_behind() {
        grants.go_on();
    }
    assert_eq!(holders(&grants, "n"), [(2, limit)]);
    grants.check_invariants();
}
