//! Claims, and what becomes of them.

use super::*;

fn ids(ids: impl IntoIterator<Item = InstanceId>) -> Vec<u64> {
    ids.into_iter().map(InstanceId::number).collect()
}

#[test]
fn the_highest_tokens_that_fit_together_are_kept() {
    let two = |limit| permits(2, limit);
    for (claims, losers) in [
        (vec![(A, X, 5), (B, X, 9)], vec![1]),
        (vec![(A, S, 5), (B, S, 9), (C, S, 7)], vec![]),
        (vec![(A, S, 5), (B, X, 9), (C, S, 7)], vec![1, 3]),
        (vec![(A, S, 9), (B, X, 5), (C, S, 7)], vec![2]),
        // The writer in between is stale, and still proves that the reader before it was.
        (vec![(A, S, 5), (B, X, 7), (C, S, 9)], vec![1, 2]),
        // They may have been granted when the limit was higher.
        (vec![(A, two(4), 5), (B, two(4), 7), (C, two(4), 9)], vec![]),
    ] {
        let mut grants = Grants::new();
        for &(id, mode, token) in &claims {
            grants.claim(id, vec![held(1, "n", mode, token)], vec![]);
        }
        assert_eq!(ids(grants.conflicts()), losers, "{claims:?}");
        let mut unheeded = grants.clone();
        for id in grants.conflicts() {
            grants.forget(id);
        }
        assert!(grants.conflicts().is_empty(), "{claims:?}");
        for grants in [&mut grants, &mut unheeded] {
            grants.close(Epoch::new(9), Token::new(BASE), false, true);
            grants.check_invariants();
            let kept: Vec<_> = claims.iter().map(|claim| claim.0.number()).filter(|id| !losers.contains(id)).collect();
            assert_eq!(holders(grants, "n").iter().map(|holder| holder.0).collect::<Vec<_>>(), kept, "{claims:?}");
        }
        let lines: Vec<_> = losers.iter().map(|id| format!("{id}: 1 lost")).collect();
        let mut heard = told(&mut unheeded);
        heard.sort();
        assert_eq!(heard, lines, "who conflicts and was not forgotten is told");
    }
}

#[test]
fn a_limit_that_was_set_counts_for_waits_and_not_for_holdings() {
    let mut grants = Grants::new();
    for (id, token) in [(A, 5), (B, 6)] {
        grants.claim(id, vec![held(1, "n", permits(2, 9), token)], vec![waits(2, "n", permits(4, 9), None)]);
    }
    grants.claim(C, vec![], vec![waits(1, "n", permits(3, 9), None)]);
    grants.resize(&of(permits(1, 1), "n"), 3);
    assert!(grants.conflicts().is_empty());
    grants.close(Epoch::new(9), Token::new(BASE), false, false);
    let denied = "2 denied: 4 permits exceed the limit of 3";
    assert_eq!(told(&mut grants), [format!("1: {denied}"), format!("2: {denied}")]);
    assert_eq!((holders(&grants, "n"), waiters(&grants, "n")), (vec![(1, 1), (2, 1)], vec![(3, 1)]));
}

#[test]
fn a_claim_released_in_the_window_still_proves_that_an_older_one_is_stale() {
    let mut grants = Grants::new();
    grants.claim(A, vec![held(1, "n", X, 5)], vec![]);
    grants.claim(B, vec![held(1, "n", X, 9)], vec![]);
    grants.release(B, Request::new(1));
    assert_eq!(ids(grants.conflicts()), [1]);
    grants.forget(A);
    assert_eq!(grants.highest_token(), Token::new(9));
    grants.close(Epoch::new(9), Token::new(BASE), false, true);
    assert_eq!(holders(&grants, "n"), []);
}

#[test]
fn the_highest_token_is_that_of_any_claim_ever_made() {
    let mut grants = Grants::new();
    assert_eq!(grants.highest_token(), Token::new(0));
    grants.claim(A, vec![held(1, "n", X, 70), held(2, "m", X, 60)], vec![]);
    grants.claim(A, vec![held(2, "m", X, 60)], vec![]);
    grants.forget(A);
    assert_eq!(grants.highest_token(), Token::new(70));
    grants.set_ready(A, true);
    grants.close(Epoch::new(9), Token::new(50), false, false);
    grants.open();
    grants.acquire(A, want(3, "n", X));
    assert_eq!(grants.holders(&name("n")).map(|holder| holder.token).collect::<Vec<_>>(), [Token::new(71)]);
}

#[test]
fn a_new_claim_replaces_all_that_was_said_before() {
    let grants = closed(|grants| {
        grants.claim(A, vec![held(1, "n", X, 5)], vec![waits(2, "m", X, None)]);
        grants.acquire(A, want(3, "m", X));
        grants.claim(A, vec![held(4, "o", X, 6)], vec![]);
    });
    assert_eq!(grants.names().collect::<Vec<_>>(), [&name("o")]);
    assert_eq!(
        grants.held_by(A).map(|(name, holder)| (name.name.as_str(), holder.token.number())).collect::<Vec<_>>(),
        [("o", 6)]
    );
}

#[test]
fn waiters_are_sorted_by_ticket_across_reigns_and_the_others_come_after() {
    let mut grants = closed(|grants| {
        grants.claim(A, vec![held(1, "n", X, 5)], vec![]);
        grants.claim(D, vec![], vec![waits(1, "n", X, None), waits(2, "n", X, Some((8, 1)))]);
        grants.claim(B, vec![], vec![waits(1, "n", X, Some((8, 1))), waits(2, "n", X, Some((7, 3)))]);
        // A ticket of this reign is a lie, so it does not count.
        grants.claim(C, vec![], vec![waits(1, "n", X, Some((7, 2))), waits(2, "n", X, Some((9, 1)))]);
        grants.acquire(A, want(2, "n", X));
    });
    let order = [(3, 1), (2, 2), (4, 2), (2, 1), (4, 1), (3, 2), (1, 2)];
    assert_eq!(waiters(&grants, "n"), order);
    grants.open();
    assert_eq!(waiters(&grants, "n"), order);
    let expected = ["4: 1 at 9.1 behind 4", "3: 2 at 9.2 behind 5", "1: 2 at 9.3 behind 6"];
    assert_eq!(told(&mut grants), expected, "who knows its place is not told again");
}

#[test]
fn a_limited_window_gives_every_holding_a_fresh_token_in_the_old_order() {
    let mut grants = Grants::new();
    grants.claim(A, vec![held(1, "m", S, 8), held(2, "n", X, 5)], vec![]);
    grants.claim(B, vec![held(1, "m", S, 7), held(2, "o", X, 6)], vec![]);
    grants.release(B, Request::new(2));
    grants.close(Epoch::new(9), Token::new(BASE), true, true);
    assert_eq!(told(&mut grants), ["1: 2 token 1001", "2: 1 token 1002", "1: 1 token 1003"]);
    grants.set_ready(C, true);
    grants.open();
    grants.acquire(C, want(1, "p", X));
    assert_eq!(told(&mut grants), ["3: 1 granted 4, unknown"]);
}

#[test]
fn claims_that_cannot_be_are_harmless() {
    let mut grants = Grants::new();
    grants.claim(
        A,
        vec![held(1, "n", X, 5), held(1, "m", X, 6), held(2, "z", permits(0, 0), 7)],
        vec![waits(1, "n", X, None), waits(1, "o", X, None), waits(3, "p", permits(0, 1), None)],
    );
    grants.claim(B, vec![], vec![waits(2, "q", permits(2, 1), None)]);
    grants.close(Epoch::new(9), Token::new(BASE), false, true);
    assert_eq!(
        told(&mut grants),
        [
            "1: 1 denied: request 1 is in use for something else",
            "1: 3 denied: 0 permits cannot be asked for",
            "1: 2 lost",
            "2: 2 denied: 2 permits exceed the limit of 1",
        ]
    );
    assert_eq!((holders(&grants, "n"), grants.names().count()), (vec![(1, 1)], 1));
}

#[test]
fn every_call_is_harmless_in_every_phase() {
    for phase in 0..3 {
        let mut grants = Grants::new();
        if phase > 0 {
            grants.close(Epoch::new(9), Token::new(BASE), false, false);
        }
        if phase > 1 {
            grants.open();
        }
        assert_eq!(grants.is_open(), phase > 1);
        grants.cancel(A, Request::new(1));
        grants.release(A, Request::new(1));
        grants.decline(A, Request::new(u64::MAX));
        grants.end(A, true);
        grants.forget(A);
        grants.resize(&name("n"), 0);
        grants.acquire(A, want(1, "n", permits(1, 1)));
        grants.back(A, vec![held(u64::MAX, "m", X, u64::MAX)], vec![waits(2, "m", S, Some((u64::MAX, u64::MAX)))]);
        grants.claim(B, vec![], vec![waits(0, "m", X, None)]);
        grants.open();
        grants.close(Epoch::new(3), Token::new(0), true, true);
        grants.close(Epoch::new(4), Token::new(0), true, true);
        grants.open();
        grants.check_invariants();
        for id in [A, B] {
            grants.forget(id);
        }
        assert_eq!(grants.names().count(), 0);
        grants.check_invariants();
    }
}
