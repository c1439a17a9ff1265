use super::*;
use proptest::prelude::*;

/// One step's outcome, for tables and random runs.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    B(Bound),
    C(Connected),
    G(Greeted),
}

use Outcome::{B, C, G};

const CONNECT: Step = Step::Connect { timeout: FIRST_TIMEOUT };

/// An election that has just come to the step that this outcome can end.
fn before(outcome: Outcome) -> Election {
    let mut election = Election::first(Duration::ZERO);
    match outcome {
        B(_) => {}
        C(_) => _ = election.bound(Bound::InUse, Duration::ZERO),
        G(_) => {
            election.bound(Bound::InUse, Duration::ZERO);
            election.connected(Connected::Made, Duration::ZERO, 0);
        }
    }
    election
}

fn tell(election: &mut Election, outcome: Outcome, now: Duration, chance: u64) -> Step {
    match outcome {
        B(outcome) => election.bound(outcome, now),
        C(outcome) => election.connected(outcome, now, chance),
        G(outcome) => election.greeted(outcome, now, chance),
    }
}

#[test]
fn each_outcome_has_its_next_step() {
    for (outcome, next) in [
        (B(Bound::Won), Step::Lead),
        (B(Bound::InUse), CONNECT),
        (B(Bound::ListenFailed), CONNECT),
        (B(Bound::Failed), CONNECT),
        (B(Bound::Denied), Step::Unusable(Unusable::Reserved)),
        (C(Connected::Made), Step::Greet),
        (C(Connected::Refused), Step::Bind),
        (C(Connected::Reset), Step::Bind),
        (C(Connected::TimedOut), Step::Bind),
        (C(Connected::SelfConnected), Step::Bind),
        (C(Connected::Failed), Step::Bind),
        (G(Greeted::Welcomed), Step::Follow),
        (G(Greeted::Ended), CONNECT),
        (G(Greeted::Foreign), Step::Unusable(Unusable::Foreign)),
        (G(Greeted::OtherGroup), Step::Unusable(Unusable::OtherGroup)),
        (G(Greeted::Refused), Step::Unusable(Unusable::Refused)),
    ] {
        assert_eq!(tell(&mut before(outcome), outcome, Duration::ZERO, 0), next, "{outcome:?}");
    }
}

#[test]
fn a_report_that_does_not_belong_to_the_step_changes_nothing() {
    let all = [B(Bound::Won), C(Connected::Made), G(Greeted::Welcomed)];
    for at in all {
        for (other, outcome) in all.into_iter().enumerate() {
            let mut election = before(at);
            let untouched = election.clone();
            if std::mem::discriminant(&at) != std::mem::discriminant(&outcome) {
                tell(&mut election, outcome, Duration::from_secs(9), 9);
                election.paused();
                assert_eq!(election, untouched, "{at:?} {other}");
            }
        }
    }
    let mut over = before(all[0]);
    assert_eq!(over.bound(Bound::Won, Duration::ZERO), Step::Lead);
    for outcome in all {
        assert_eq!(tell(&mut over, outcome, Duration::ZERO, 0), Step::Lead);
    }
}

#[test]
fn after_the_end_of_a_connection_it_connects_first_and_binds_only_when_refused() {
    let mut election = Election::again(Duration::ZERO);
    assert_eq!(election.step(), CONNECT);
    assert_eq!(election.connected(Connected::Made, Duration::ZERO, 0), Step::Greet);
    assert_eq!(election.greeted(Greeted::Ended, Duration::ZERO, 0), CONNECT);
    assert_eq!(election.connected(Connected::Refused, Duration::ZERO, 0), Step::Bind);
}

/// Runs until a bind, always refused, and returns the time at which it came.
fn refused_until_bind(mut election: Election) -> Duration {
    let mut now = Duration::ZERO;
    loop {
        match election.step() {
            Step::Connect { .. } => _ = election.connected(Connected::Refused, now, u64::MAX),
            Step::Pause(pause) => {
                now += pause;
                election.paused();
            }
            Step::Bind => return now,
            step => panic!("{step:?}"),
        }
    }
}

#[test]
fn one_that_resigned_leaves_the_port_to_others_for_a_second_of_refusals_or_until_they_are_gone() {
    let after = refused_until_bind(Election::resigned(Duration::ZERO));
    assert!(after >= COURTESY && after < COURTESY + LONGEST_PAUSE * 2, "{after:?}");
    let mut alone = Election::resigned(Duration::ZERO);
    alone.others_gone();
    assert_eq!(refused_until_bind(alone), Duration::ZERO);
}

#[test]
fn one_that_was_told_of_an_heir_leaves_the_port_to_it_for_a_tenth_of_that_or_until_it_is_gone() {
    let after = refused_until_bind(Election::reserved(Duration::ZERO));
    assert!(after >= RESERVED && after < RESERVED + LONGEST_PAUSE * 2, "{after:?}");
    let mut gone = Election::reserved(Duration::ZERO);
    gone.connected(Connected::Refused, Duration::ZERO, 0);
    gone.others_gone();
    assert_eq!(gone.connected(Connected::Refused, Duration::ZERO, 0), Step::Bind);
}

#[test]
fn the_port_is_left_to_the_heir_also_while_its_window_comes_to_nothing() {
    let mut election = Election::reserved(Duration::ZERO);
    for outcome in [Connected::Reset, Connected::TimedOut, Connected::Failed, Connected::Refused] {
        assert!(matches!(election.connected(outcome, Duration::ZERO, 0), Step::Connect { .. }), "{outcome:?}");
    }
    assert_eq!(election.connected(Connected::Made, Duration::ZERO, 0), Step::Greet);
    assert_eq!(election.greeted(Greeted::Ended, Duration::ZERO, 0), CONNECT);
    assert_eq!(election.connected(Connected::Refused, Duration::ZERO, 0), CONNECT);
}

#[test]
fn being_stopped_does_not_use_up_courtesy() {
    let mut election = Election::resigned(Duration::ZERO);
    election.connected(Connected::Refused, Duration::ZERO, 0);
    assert_eq!(election.connected(Connected::Refused, Duration::from_secs(60), 0), CONNECT);
}

/// Plays the same two outcomes for ever; returns the verdict and the time it took.
fn play(bound: Bound, connected: Connected, greeted: Greeted, each: Duration) -> (Unusable, Duration) {
    let mut election = Election::first(Duration::ZERO);
    let mut now = Duration::ZERO;
    loop {
        now += each;
        match election.step() {
            Step::Bind => _ = election.bound(bound, now),
            Step::Connect { .. } => _ = election.connected(connected, now, 7 << 60),
            Step::Greet => _ = election.greeted(greeted, now, 7 << 60),
            Step::Pause(pause) => {
                now += pause;
                election.paused();
            }
            Step::Unusable(reason) => return (reason, now),
            step => panic!("{step:?} after {now:?}"),
        }
    }
}

#[test]
fn what_never_changes_is_given_up_after_its_patience_and_not_before() {
    let each = Duration::from_micros(15);
    for (bound, connected, reason, patience) in [
        (Bound::InUse, Connected::Refused, Unusable::SourcePort, PATIENCE),
        (Bound::Failed, Connected::Refused, Unusable::Failing, PATIENCE),
        (Bound::Failed, Connected::Failed, Unusable::Failing, PATIENCE),
        (Bound::InUse, Connected::Failed, Unusable::Failing, PATIENCE),
        (Bound::InUse, Connected::Made, Unusable::HangsUp, HANG_UP_PATIENCE),
    ] {
        let (verdict, after) = play(bound, connected, Greeted::Ended, each);
        assert_eq!(verdict, reason, "{bound:?} {connected:?}");
        assert!(after >= patience && after < patience + LONGEST_TIMEOUT, "{reason:?} after {after:?}");
    }
}

#[test]
fn a_stopped_process_concludes_nothing_from_the_time_it_was_stopped() {
    let mut election = Election::first(Duration::ZERO);
    for round in 0..20 {
        let now = PATIENCE * round;
        election.bound(Bound::InUse, now);
        election.connected(Connected::Refused, now, 0);
        election.paused();
        assert_eq!(election.step(), Step::Bind, "round {round}");
    }
}

#[test]
fn one_connection_made_starts_the_patience_with_refusals_anew() {
    let mut election = Election::first(Duration::ZERO);
    let mut now = Duration::ZERO;
    for round in 0..10_000 {
        now += LONGEST_PAUSE;
        match election.step() {
            Step::Bind => _ = election.bound(Bound::InUse, now),
            Step::Connect { .. } if round % 100 == 0 => _ = election.connected(Connected::TimedOut, now, 0),
            Step::Connect { .. } => _ = election.connected(Connected::Refused, now, 0),
            Step::Pause(_) => _ = election.paused(),
            step => panic!("{step:?} after {now:?}"),
        }
    }
}

#[test]
fn connects_that_time_out_get_longer_but_never_decide_anything() {
    let mut election = Election::again(Duration::ZERO);
    let mut now = Duration::ZERO;
    let mut timeouts = Vec::new();
    while timeouts.len() < 10_000 {
        match election.step() {
            Step::Connect { timeout } => {
                timeouts.push(timeout);
                now += timeout;
                election.connected(Connected::TimedOut, now, 0);
            }
            Step::Bind => _ = election.bound(Bound::InUse, now),
            Step::Pause(_) => _ = election.paused(),
            step => panic!("{step:?} after {now:?}"),
        }
    }
    assert!(timeouts.is_sorted());
    assert_eq!((timeouts[0], timeouts[9_999]), (FIRST_TIMEOUT, LONGEST_TIMEOUT));
}

#[test]
fn two_that_keep_each_other_from_listening_recover() {
    // A world of two that step in turns: who binds while the other is bound but does not listen yet spoils both.
    for seed in 0..200_u64 {
        let mut both = [Election::first(Duration::ZERO), Election::first(Duration::ZERO)];
        let mut free_at = [Duration::ZERO; 2];
        let mut chance = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut led = false;
        for _ in 0..2_000 {
            let who = usize::from(free_at[1] < free_at[0]);
            let now = free_at[who];
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            let (took, other) = (Duration::from_micros(10), free_at[1 - who]);
            match both[who].step() {
                Step::Bind if other < now + took && both[1 - who].step() == Step::Bind => {
                    // Both at once: neither may listen.
                    both[who].bound(Bound::ListenFailed, now);
                    both[1 - who].bound(Bound::ListenFailed, other);
                }
                Step::Bind => _ = both[who].bound(Bound::Won, now),
                Step::Connect { .. } => _ = both[who].connected(Connected::Refused, now, chance),
                Step::Pause(pause) => {
                    free_at[who] += pause;
                    both[who].paused();
                    continue;
                }
                Step::Lead => {
                    led = true;
                    break;
                }
                step => panic!("{step:?}"),
            }
            free_at[who] += took;
        }
        assert!(led, "seed {seed}");
    }
}

#[test]
fn pauses_grow_from_the_first_to_the_longest() {
    assert_eq!(pause(0, 0), FIRST_PAUSE / 2);
    assert_eq!(pause(u32::MAX, 0), LONGEST_PAUSE / 2);
    for late in 0..40 {
        assert!(pause(late, 0) <= pause(late + 1, 0));
        assert!(pause(late, u64::MAX) <= LONGEST_PAUSE);
        assert!(pause(late, 0) < pause(late, u64::MAX));
    }
}

fn outcome() -> impl Strategy<Value = (Bound, Connected, Greeted, u64, u64)> {
    (
        prop::sample::select(vec![Bound::InUse, Bound::ListenFailed, Bound::Failed]),
        prop::sample::select(vec![
            Connected::Made,
            Connected::Refused,
            Connected::Reset,
            Connected::TimedOut,
            Connected::SelfConnected,
            Connected::Failed,
        ]),
        Just(Greeted::Ended),
        0_u64..200_000,
        any::<u64>(),
    )
}

proptest! {
    #[test]
    fn no_sequence_of_outcomes_spins(
        start in 0..4,
        outcomes in prop::collection::vec(outcome(), 1..400),
    ) {
        let mut election = match start {
            0 => Election::first(Duration::ZERO),
            1 => Election::again(Duration::ZERO),
            2 => Election::reserved(Duration::ZERO),
            _ => Election::resigned(Duration::ZERO),
        };
        let (mut now, mut eager, mut paused) = (Duration::ZERO, 0, false);
        for (bound, connected, greeted, micros, chance) in outcomes {
            now += Duration::from_micros(micros);
            let before = election.step();
            let after = match before {
                Step::Bind => election.bound(bound, now),
                Step::Connect { timeout } => {
                    prop_assert!(timeout >= FIRST_TIMEOUT && timeout <= LONGEST_TIMEOUT);
                    election.connected(connected, now, chance)
                }
                Step::Greet => election.greeted(greeted, now, chance),
                Step::Pause(pause) => {
                    prop_assert!(pause >= FIRST_PAUSE / 2 && pause <= LONGEST_PAUSE);
                    (eager, paused) = (0, true);
                    election.paused()
                }
                Step::Unusable(_) => break,
                step => panic!("{step:?} without a cause"),
            };
            // A round has at most three steps; once the first pause has come, every round has one.
            eager += 1;
            prop_assert!(eager <= if paused { 4 } else { 3 * EAGER + 3 }, "{eager} steps without a pause");
            // Whatever happened before, a successful listen ends it.
            let mut winner = election.clone();
            if after == Step::Bind {
                prop_assert_eq!(winner.bound(Bound::Won, now), Step::Lead);
            }
        }
    }
}
