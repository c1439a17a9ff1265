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
        G(outcome) => election.greeted(outcome, Duration::ZERO, now, chance),
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
        (G(Greeted::PutOff), CONNECT),
        (G(Greeted::Starved), CONNECT),
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
    assert_eq!(election.greeted(Greeted::Ended, Duration::ZERO, Duration::ZERO, 0), CONNECT);
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
    assert_eq!(election.greeted(Greeted::Ended, Duration::ZERO, Duration::ZERO, 0), CONNECT);
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
            Step::Greet => _ = election.greeted(greeted, Duration::ZERO, now, 7 << 60),
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
        (Bound::InUse, Connected::TimedOut, Unusable::Unresponsive, PATIENCE),
        (Bound::InUse, Connected::SelfConnected, Unusable::SourcePort, PATIENCE),
        (Bound::InUse, Connected::Reset, Unusable::HangsUp, LIMIT),
        (Bound::ListenFailed, Connected::Refused, Unusable::SourcePort, PATIENCE),
    ] {
        let (verdict, after) = play(bound, connected, Greeted::Ended, each);
        assert_eq!(verdict, reason, "{bound:?} {connected:?}");
        assert!(after >= patience && after < patience + LONGEST_TIMEOUT, "{reason:?} after {after:?}");
    }
    for (greeted, reason, patience) in [
        (Greeted::Ended, Unusable::HangsUp, LIMIT),
        (Greeted::PutOff, Unusable::Refused, LIMIT),
        (Greeted::Starved, Unusable::Failing, PATIENCE),
    ] {
        let (verdict, after) = play(Bound::InUse, Connected::Made, greeted, each);
        assert_eq!(verdict, reason, "{greeted:?}");
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

/// What one round of an election meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Round {
    bound: Bound,
    connected: Connected,
    greeted: Greeted,
    silent: Duration,
}

const NEW: [fn(Duration) -> Election; 5] =
    [Election::first, Election::again, Election::reserved, Election::resigned, Election::observing];

/// Every round that is no end.
fn rounds() -> Vec<Round> {
    let mut rounds = Vec::new();
    let made =
        Round { bound: Bound::InUse, connected: Connected::Made, greeted: Greeted::Ended, silent: Duration::ZERO };
    for bound in [Bound::InUse, Bound::ListenFailed, Bound::Failed] {
        for connected in
            [Connected::Refused, Connected::Reset, Connected::TimedOut, Connected::SelfConnected, Connected::Failed]
        {
            rounds.push(Round { bound, connected, ..made });
        }
    }
    for greeted in [Greeted::Ended, Greeted::PutOff, Greeted::Starved] {
        for silent in [Duration::ZERO, Duration::from_millis(2900)] {
            rounds.push(Round { greeted, silent, ..made });
        }
    }
    rounds
}

/// Plays one round after the other; returns the verdict, and after how much running time in which no supervisor was heard.
fn verdict(
    mut election: Election,
    mut rounds: impl FnMut(u32) -> Round,
    each: impl Fn(Step) -> Duration,
) -> (Unusable, Duration) {
    let mut now = Duration::ZERO;
    let mut round = 0;
    for _ in 0..200_000 {
        let step = election.step();
        let took = each(step);
        let met = rounds(round);
        match step {
            Step::Bind => {
                now += took;
                election.bound(met.bound, now);
            }
            Step::Connect { timeout } => {
                now += if met.connected == Connected::TimedOut { timeout } else { took };
                election.connected(met.connected, now, u64::from(round) << 40);
                round += u32::from(met.connected != Connected::Made);
            }
            Step::Greet => {
                let silent = met.silent.min(election.patience());
                now += silent;
                election.greeted(met.greeted, silent, now, u64::from(round) << 40);
                round += 1;
            }
            Step::Pause(pause) => {
                now += pause;
                election.paused();
            }
            Step::Unusable(reason) => return (reason, now),
            Step::Lead | Step::Follow => panic!("{step:?} without a cause"),
        }
    }
    panic!("no verdict after {now:?}: {election:?}");
}

const BOUND: Duration = Duration::from_secs(5);

#[test]
fn every_pair_of_rounds_that_alternate_leads_to_a_verdict_within_five_seconds() {
    let rounds = rounds();
    for new in NEW {
        for each in [Duration::ZERO, Duration::from_micros(40), SLICE] {
            for one in &rounds {
                for two in &rounds {
                    let pair = |round: u32| if round.is_multiple_of(2) { *one } else { *two };
                    let (reason, after) = verdict(new(Duration::ZERO), pair, |_| each);
                    assert!(after <= BOUND, "{one:?} and {two:?}: {reason:?} after {after:?}");
                }
            }
        }
    }
}

#[test]
fn of_several_obstacles_the_one_that_took_longest_is_blamed() {
    let stray = Round { bound: Bound::InUse, connected: Connected::Refused, greeted: Greeted::Ended, silent: SLICE };
    let mute = Round { connected: Connected::TimedOut, ..stray };
    let mixed = |round: u32| if round.is_multiple_of(2) { stray } else { mute };
    let (reason, _) = verdict(Election::first(Duration::ZERO), mixed, |_| Duration::from_micros(40));
    assert_eq!(reason, Unusable::Unresponsive);
}

#[test]
fn connects_that_time_out_get_longer() {
    let mut election = Election::again(Duration::ZERO);
    let mut now = Duration::ZERO;
    let mut timeouts = Vec::new();
    loop {
        match election.step() {
            Step::Connect { timeout } => {
                timeouts.push(timeout);
                now += timeout;
                election.connected(Connected::TimedOut, now, 0);
            }
            Step::Bind => _ = election.bound(Bound::InUse, now),
            Step::Pause(_) => _ = election.paused(),
            Step::Unusable(Unusable::Unresponsive) => break,
            step => panic!("{step:?} after {now:?}"),
        }
    }
    assert!(timeouts.is_sorted());
    assert_eq!((timeouts.first(), timeouts.last()), (Some(&FIRST_TIMEOUT), Some(&LONGEST_TIMEOUT)));
}

#[test]
fn a_supervisor_that_is_heard_may_keep_its_window_open_for_as_long_as_it_likes() {
    let mut election = Election::again(Duration::ZERO);
    let mut now = Duration::ZERO;
    for _ in 0..100 {
        election.connected(Connected::Made, now, 0);
        now += Duration::from_secs(60);
        assert!(!matches!(election.greeted(Greeted::Ended, Duration::ZERO, now, 0), Step::Unusable(_)));
        election.paused();
    }
}

#[test]
fn connections_that_end_before_the_welcome_again_and_again_get_longer_pauses() {
    let mut election = Election::again(Duration::ZERO);
    let (mut longest, mut made) = (Duration::ZERO, 0);
    loop {
        match election.step() {
            Step::Connect { .. } => _ = election.connected(Connected::Made, Duration::ZERO, 0),
            Step::Greet => {
                made += 1;
                election.greeted(Greeted::PutOff, SLICE, Duration::ZERO, u64::MAX);
            }
            Step::Pause(pause) => {
                assert!(made > GREETINGS || pause <= LONGEST_PAUSE);
                longest = longest.max(pause);
                election.paused();
            }
            _ => break,
        }
    }
    assert!(longest > LONGEST_TIMEOUT * 9 / 10 && longest <= LONGEST_TIMEOUT, "{longest:?}");
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
    for longest in [LONGEST_PAUSE, LONGEST_TIMEOUT] {
        assert_eq!(pause(0, longest, 0), FIRST_PAUSE / 2);
        assert_eq!(pause(u32::MAX, longest, 0), longest / 2);
        for late in 0..40 {
            assert!(pause(late, longest, 0) <= pause(late + 1, longest, 0));
            assert!(pause(late, longest, u64::MAX) <= longest);
            assert!(pause(late, longest, 0) < pause(late, longest, u64::MAX));
        }
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
        prop::sample::select(vec![Greeted::Ended, Greeted::PutOff, Greeted::Starved]),
        0_u64..200_000,
        any::<u64>(),
    )
}

proptest! {
    #[test]
    fn no_sequence_of_outcomes_spins(
        start in 0..NEW.len(),
        outcomes in prop::collection::vec(outcome(), 1..400),
    ) {
        let mut election = NEW[start](Duration::ZERO);
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
                Step::Greet => election.greeted(greeted, Duration::from_micros(micros), now, chance),
                Step::Pause(pause) => {
                    prop_assert!(pause >= FIRST_PAUSE / 2 && pause <= LONGEST_TIMEOUT);
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

    #[test]
    fn every_sequence_of_rounds_leads_to_a_verdict_within_five_seconds(
        start in 0..NEW.len(),
        order in prop::collection::vec((0..rounds().len(), 0_u64..100_000), 1..200),
    ) {
        let all = rounds();
        let at = |round: u32| order[round as usize % order.len()];
        let round = std::cell::Cell::new(0);
        let next = |number: u32| {
            round.set(number);
            all[at(number).0]
        };
        let (reason, after) = verdict(NEW[start](Duration::ZERO), next, |_| Duration::from_micros(at(round.get()).1));
        prop_assert!(after <= BOUND, "{reason:?} after {after:?}");
    }
}
