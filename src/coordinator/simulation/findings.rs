//! The findings of the design's red team, each as a schedule: with its rule in force it is harmless, without it the
//! observer sees what would have gone wrong.
//!
//! Those that are not about elections and holders have theirs beside the code that they are about: 21 (versions of values)
//! in `copies.rs` and in the tests of `replica.rs` and `writes.rs`; 22 (two results) in `tests/once.rs`; 23 (limits) in the
//! tests of `grants.rs` and in `tests/semaphores.rs`; 28 (barriers) in `meetings.rs`; 29 (succession) in the tests of
//! `succession.rs`; 31 (a stopped member with nothing in hand) in `tests/failure.rs`; 32 (callbacks) in the tests of
//! `gate.rs` and in `tests/callbacks.rs`; 35 (pauses) in the tests of `gate.rs` and in `tests/pause_reigns.rs`.

use super::super::rules::Rules;
use super::script::Script;
use super::strangers::{Intrusion, Number, Says};
use super::world::Action::{
    Abandon, Acquire, Call, Cancel, Continue, Cut, Elect, FailStop, Finish, GiveUp, Intrude, Kill, Probe, PutIf, Read,
    Receive, Release, Resign, Share, Slice, Start, Stop, Take, Write,
};
use super::{Clock, Config, EVERYTHING, Fault};

/// Three members, the second holds the lock; one more may start; everything may happen.
pub(super) const GROUP: Config = Config { rules: Rules::ALL, slots: 4, held: Some(1), acquires: 9, ..Config::SMALL }
    .with(&[
        (Fault::Start, 9),
        (Fault::Kill, 9),
        (Fault::Stop, 9),
        (Fault::Cancel, 9),
        (Fault::Abandon, 9),
        (Fault::Leave, 9),
        (Fault::Resign, 9),
        (Fault::FailStop, 9),
        (Fault::GiveUp, 9),
        (Fault::Limit, 9),
        (Fault::Undelivered, 9),
    ]);

/// The rule is needed: without it the schedule ends in this sort of violation, with it in none.
pub(super) fn needs(config: Config, off: fn(&mut Rules), violation: &str, schedule: impl Fn(&mut Script)) {
    let mut without = config;
    off(&mut without.rules);
    let mut script = Script::new(without);
    schedule(&mut script);
    let bad = script.world.bad.unwrap_or_else(|| "nothing".into());
    assert!(bad.starts_with(violation), "without the rule: {bad}");
    holds(config, schedule);
}

/// The schedule does no harm, and all comes to rest.
pub(super) fn holds(config: Config, schedule: impl Fn(&mut Script)) -> Script {
    let mut script = Script::new(config);
    schedule(&mut script);
    script.rest();
    assert_eq!(script.world.bad, None);
    script
}

#[test]
fn finding_1_a_newcomer_that_wins_knows_nobody() {
    needs(
        GROUP,
        |rules| rules.roll_call = false,
        "TWO HOLDERS",
        |script| {
            script.all(&[Kill(0), Start(3), Elect(3), Acquire(3, 0)]);
        },
    );
}

#[test]
fn finding_2_the_limit_runs_while_the_winner_itself_is_stopped() {
    needs(
        GROUP,
        |rules| rules.limit_counts_drained_time = false,
        "TWO HOLDERS",
        |script| {
            script.all(&[Kill(0), Receive(1), Receive(2), Elect(2), Elect(1), Stop(2), Continue(2)]);
            script.all(&[Slice(2), Acquire(2, 0)]);
        },
    );
}

#[test]
fn finding_3_the_end_of_a_connection_is_taken_for_death() {
    needs(
        GROUP,
        |rules| rules.end_is_not_death = false,
        "TWO HOLDERS",
        |script| {
            script.all(&[Kill(0), Receive(1), Receive(2), Elect(2), Elect(1)]).read(1, 2);
            script.all(&[Stop(2), GiveUp(1), Continue(2), Read(1, 2), Probe(2), Acquire(2, 0)]);
        },
    );
}

#[test]
fn finding_4_a_stale_connection_speaks_for_a_living_one() {
    let config = Config { held: None, ..GROUP };
    needs(
        config,
        |rules| rules.highest_attempt = false,
        "TWO HOLDERS",
        |script| {
            script.all(&[Stop(0), Start(3), Elect(3), GiveUp(3), Elect(3), Continue(0)]).read(3, 2);
            script.deliver(1).deliver(2).deliver(3).act(Acquire(3, 0));
            script.read(3, 2).deliver(3);
            script.read(3, 1).act(Acquire(2, 0));
            script.read(2, 1).deliver(2);
        },
    );
}

/// Group of three, in which strangers say what they like.
const OPEN_TO_STRANGERS: Config = GROUP.with(&[(Fault::Intrude, 9)]);

/// 2 wins and waits for 1, which holds the lock, and is cut whenever it comes.
#[test]
fn a_hello_alone_takes_nobody_out() {
    needs(
        OPEN_TO_STRANGERS,
        |rules| rules.effects_follow_the_handshake = false,
        "TWO HOLDERS",
        |script| {
            script.all(&[Kill(0), Receive(2), Elect(2), Probe(2)]);
            script.act(Intrude(1, Intrusion { attempt: Number::Highest, says: Says::Hello }));
            for attempt in 2..6 {
                script.all(&[Receive(1), Elect(1)]).read(1, attempt);
            }
            script.all(&[Slice(2), Acquire(2, 0)]);
        },
    );
}

#[test]
fn the_id_of_a_holder_is_taken_over_by_nobody_without_its_nonce() {
    needs(
        OPEN_TO_STRANGERS,
        |rules| rules.takeover_needs_the_nonce = false,
        "TWO HOLDERS",
        |script| {
            script.all(&[Intrude(1, Intrusion { attempt: Number::Next, says: Says::Survivor }), Acquire(0, 0)]);
        },
    );
}

/// 2 wins and waits for 1, which holds the lock.
#[test]
fn an_awaited_id_is_taken_over_by_nobody_without_its_nonce() {
    for (says, violation) in [(Says::Newcomer, "CAME BACK"), (Says::Survivor, "TWO HOLDERS")] {
        needs(
            OPEN_TO_STRANGERS,
            |rules| rules.takeover_needs_the_nonce = false,
            violation,
            |script| {
                script.all(&[Kill(0), Receive(2), Elect(2), Probe(2), Acquire(2, 0)]);
                script.act(Intrude(1, Intrusion { attempt: Number::Next, says }));
            },
        );
    }
}

#[test]
fn finding_5_a_grant_before_the_survivors_know_the_new_names() {
    // Where the kernel lists the members, the roll call would find the newcomer as well.
    let config = Config { slots: 5, members: 4, held: None, listing: false, ..GROUP };
    needs(
        config,
        |rules| {
            // Then a newcomer is the first to hear of the reign.
            rules.newcomers_come_second = false;
            rules.two_step_opening = false;
        },
        "TWO HOLDERS",
        |script| {
            script.all(&[
                Kill(0),
                Receive(1),
                Receive(2),
                Receive(3),
                Elect(1),
                Elect(2),
                Elect(3),
                Start(4),
                Elect(4),
            ]);
            script.read(4, 1).read(2, 2).read(3, 2).act(Probe(1));
            script.deliver(4).act(Acquire(4, 0));
            script.read(4, 1).deliver(4).act(Kill(1));
            script.all(&[Receive(2), Receive(3), Elect(2), Elect(3), Acquire(2, 0)]).among(&[2, 3]);
        },
    );
}

/// The clock was set back. 3 is welcomed in a reign that dies before 2 has heard of it; so the next reign, that of 2, has a
/// lower epoch, and 3's empty copy of the state counts for newer than what was written in it.
#[test]
fn a_newcomer_is_not_the_only_one_who_knows_of_a_reign() {
    let rules = Rules { step: 2, ..Rules::ALL };
    let config = Config { slots: 4, clock: Clock::WasSetBack, rules, locks: 1, late_hello: false, ..EVERYTHING }
        .with(&[(Fault::Start, 1), (Fault::Kill, 2), (Fault::Resign, 2)]);
    needs(
        config,
        |rules| rules.newcomers_come_second = false,
        "WRITE LOST",
        |script| {
            script.all(&[Resign(0), PutIf(2, 1), Start(3), Write(2, 1), Receive(2), Write(1, 1), Finish(0), Elect(0)]);
            script.all(&[Receive(2), Call(0), Elect(3), Elect(2)]).read(3, 1);
            script.all(&[Receive(1), Receive(1), Elect(1)]).read(1, 2).read(2, 2);
            script.all(&[
                Write(3, 1),
                Write(3, 1),
                Kill(1),
                Kill(0),
                Receive(2),
                Receive(3),
                Elect(2),
                Probe(2),
                Call(2),
            ]);
            script.all(&[Resign(2), Receive(3), Receive(3), Finish(2), Elect(2), Call(2), Elect(3)]).read(3, 2);
            script.act(Probe(2));
            script.deliver(3).read(3, 2);
        },
    );
}

/// 4 is told a place by a supervisor that dies before the others were told of 4: nobody waits for 4 then.
#[test]
fn finding_18_a_place_is_told_when_everybody_knows_the_new_names() {
    let config = Config { slots: 5, members: 4, listing: false, ..GROUP };
    needs(
        config,
        |rules| {
            // Then a newcomer is the first to hear of the reign.
            rules.newcomers_come_second = false;
            rules.two_step_opening = false;
        },
        "FIFO BROKEN",
        |script| {
            script.all(&[
                Kill(0),
                Receive(1),
                Receive(2),
                Receive(3),
                Elect(1),
                Elect(2),
                Elect(3),
                Start(4),
                Elect(4),
            ]);
            script.read(4, 1).read(2, 2).read(3, 2).act(Probe(1));
            script.deliver(4).act(Acquire(4, 0));
            script.read(4, 1).deliver(4).act(Kill(1));
            script.all(&[Receive(2), Receive(3), Elect(2), Elect(3), Acquire(2, 0)]).among(&[2, 3]);
            script.act(Acquire(3, 0));
            script.among(&[2, 3]).act(Release(2, 0));
            script.among(&[2, 3]);
        },
    );
}

#[test]
fn finding_6_a_late_claim_is_stale_even_if_the_lock_is_free() {
    needs(
        GROUP,
        |rules| rules.all_is_forfeited = false,
        "STALE CLAIM",
        |script| {
            script.all(&[Kill(0), Stop(1), Receive(2), Elect(2), Probe(2), Acquire(2, 0), Slice(2), Release(2, 0)]);
            script.all(&[Continue(1), Resign(2), Finish(2), Receive(1), Elect(1), Elect(2)]).read(2, 3);
            script.deliver(2).read(2, 3).act(Probe(1));
        },
    );
}

#[test]
fn finding_7_an_id_that_ended_never_comes_back() {
    needs(
        GROUP,
        |rules| rules.new_id = false,
        "CAME BACK",
        |script| {
            script.all(&[Kill(0), Stop(1), Receive(2), Elect(2), Probe(2), Slice(2), Continue(1)]).among(&[1, 2]);
        },
    );
}

#[test]
fn finding_8_a_supervisor_that_fail_stops_forgets_its_own_claims() {
    let config = Config { slots: 2, members: 2, held: Some(0), ..GROUP };
    needs(
        config,
        |rules| rules.fail_stop_keeps_claims = false,
        "TWO HOLDERS",
        |script| {
            script.all(&[FailStop(0), Receive(1), Elect(1)]).among(&[0, 1]).act(Acquire(1, 0));
        },
    );
}

#[test]
fn finding_9_a_resignation_hands_nothing_over() {
    needs(
        GROUP,
        |rules| rules.window_after_resignation = false,
        "TWO HOLDERS",
        |script| {
            script.all(&[Resign(0)]).deliver(1).deliver(2);
            script.all(&[Finish(0), Receive(2), Elect(2), Acquire(2, 0)]);
        },
    );
}

#[test]
fn finding_11_what_was_released_meanwhile_is_in_no_claim() {
    needs(
        GROUP,
        |rules| rules.claims_are_the_table = false,
        "GRANTED TO NOBODY",
        |script| {
            script.all(&[Kill(0), Receive(1), Receive(2), Elect(2), Release(1, 0), Elect(1)]).rest();
        },
    );
}

#[test]
fn finding_19_a_grant_is_not_taken_between_two_reigns() {
    let config = Config { held: None, takes_late: true, ..GROUP };
    needs(
        config,
        |rules| rules.take_only_when_settled = false,
        "STALE TAKE",
        |script| {
            script.act(Acquire(1, 0));
            script.read(1, 1).deliver(1);
            script.all(&[Kill(0), Receive(1), Receive(2), Elect(2), Stop(1), Acquire(2, 0), Probe(2), Slice(2)]);
            script.all(&[Take(2, 0), Continue(1), Take(1, 0)]);
        },
    );
}

#[test]
fn finding_20_a_grant_that_nobody_took_clears_no_flag() {
    let config = Config { slots: 4, members: 4, ..GROUP };
    needs(
        config,
        |rules| rules.decline_keeps_the_flag = false,
        "ABANDONED MISSED",
        |script| {
            script.all(&[Acquire(2, 0), Acquire(3, 0)]).read(2, 1).read(3, 1).deliver(2).deliver(3);
            script.all(&[Kill(1), Read(1, 1), Cancel(2, 0)]);
            script.deliver(2).read(2, 1).deliver(3);
        },
    );
}

/// The holder is cut off, and cuts its work short before it is back.
#[test]
fn finding_20_who_is_back_without_its_lock_has_not_released_it() {
    let config = Config { slots: 4, members: 2, capacity: 1, ..GROUP };
    needs(
        config,
        |rules| rules.silence_is_no_release = false,
        "ABANDONED MISSED",
        |script| {
            script.all(&[Stop(1), Start(2), Elect(2)]).read(2, 1).all(&[Write(1, 1), Start(3), Elect(3)]).read(3, 1);
            script.all(&[Cut(1, 1), Continue(1), Abandon(1, 0)]).rest().act(Acquire(0, 0));
        },
    );
}

/// 2 gives up 1, which holds the lock; 3, who knows nobody, gives up 2 and confirms 1, and dies before it could say so.
/// Two readers; the one that is not the supervisor is killed, then the supervisor, which reads as well.
#[test]
fn finding_20_a_reader_that_is_killed_leaves_nothing_half_done() {
    let config = Config { shared: true, held: None, ..GROUP };
    let script = holds(config, |script| {
        script.all(&[Share(0, 0), Share(1, 0)]);
        script.rest().act(Kill(1));
        script.rest().act(Acquire(2, 0));
        script.rest().act(Kill(0));
        script.rest();
    });
    assert!(script.world.instances[2].claim(0).is_some(), "the writer has it");
}

#[test]
fn finding_30_who_is_given_up_while_it_runs_is_written_that_first() {
    needs(
        GROUP,
        |rules| rules.forfeited_is_awaited = false,
        "TWO HOLDERS",
        |script| {
            script.all(&[Stop(1), Kill(0), Receive(2), Elect(2), Probe(2), Slice(2), FailStop(2), Stop(2)]);
            script.all(&[Start(3), Elect(3), Continue(1), Receive(1), Elect(1)]).read(1, 2).deliver(1).read(1, 2);
            script.all(&[Probe(3), Slice(3), Kill(3), Receive(1), Continue(2), Elect(2), Acquire(2, 0), Elect(1)]);
            script.read(1, 3).all(&[Probe(2)]);
        },
    );
}

#[test]
fn finding_14_tokens_order_two_that_were_late_one_after_the_other() {
    let config = Config { slots: 3, members: 2, ..GROUP };
    needs(
        config,
        |rules| rules.fresh_tokens_after_limit = false,
        "TOKEN ORDER",
        |script| {
            script.all(&[Kill(0), Receive(1), Stop(1), Start(2), Elect(2), Acquire(2, 0), Slice(2), Continue(1)]);
            script.all(&[Resign(2), Finish(2), Elect(1), Probe(1), Stop(2), Slice(1)]);
        },
    );
}

#[test]
fn finding_15_a_released_token_is_in_no_claim() {
    let config = Config { clock: Clock::WasSetBack, ..GROUP };
    needs(
        config,
        |rules| rules.token_base = false,
        "TOKEN NOT RISING",
        |script| {
            script.act(Release(1, 0));
            script.all(&[Kill(0), Receive(2), Elect(2)]).among(&[1, 2]).act(Acquire(2, 0));
        },
    );
}

/// Two tokens are all that a base is good for here, and the third is given and given back.
#[test]
fn finding_15_a_higher_base_is_known_before_tokens_above_it_are_given() {
    let mut config = Config { clock: Clock::WasSetBack, held: None, ..GROUP };
    config.rules.step = 2;
    needs(
        config,
        |rules| rules.base_is_awaited = false,
        "TOKEN NOT RISING",
        |script| {
            for _ in 0..5 {
                script.act(Acquire(1, 0));
                script.read(1, 1).deliver(1).act(Release(1, 0));
                script.read(1, 1);
            }
            script.all(&[Kill(0), Kill(1), Receive(2), Elect(2), Probe(2), Acquire(2, 0)]);
        },
    );
}

/// The same where the kernel tells it: a stopped member found by the roll call is waited for, one that died is not.
#[test]
fn finding_2_a_silent_member_forfeits_when_the_limit_has_passed_and_not_before() {
    let script = holds(Config { slices: 2, ..GROUP }, |script| {
        script.all(&[Kill(0), Stop(1), Receive(2), Elect(2), Probe(2), Acquire(2, 0), Slice(2)]);
        let is_open = |script: &Script| script.world.instances[2].supervisor.as_ref().is_some_and(|s| s.is_open());
        assert!(!is_open(script), "half of the limit");
        script.act(Slice(2));
        assert!(is_open(script), "all of it");
    });
    assert!(script.world.instances[1].claim(0).is_none(), "it was told");
    assert_eq!(script.world.instances[1].generation, 1, "and is another one now");
}

#[test]
fn finding_10_a_full_buffer_frees_nothing() {
    let config = Config { slots: 3, members: 2, held: None, capacity: 1, ..GROUP };
    let script = holds(config, |script| {
        script.act(Acquire(1, 0));
        script.read(1, 1).act(Write(1, 1));
        script.all(&[Acquire(0, 0), Stop(1), Start(2), Elect(2)]).read(2, 1);
        assert!(script.act(Cut(1, 1)), "the buffer is full");
        script.act(Continue(1));
    });
    assert!(script.world.instances[1].claim(0).is_some(), "it was connected again in time");
}

/// 1 holds the lock and stands still while the others send more than its buffer takes.
#[test]
fn a_member_that_stands_still_loses_nothing_within_a_reign() {
    let config = Config { slots: 4, members: 2, capacity: 1, ..GROUP };
    needs(
        config,
        |rules| rules.aside_keeps_claims = false,
        "TWO HOLDERS",
        |script| {
            script.all(&[Stop(1), Start(2), Elect(2)]).read(2, 1).all(&[Write(1, 1), Start(3), Elect(3)]).read(3, 1);
            script.all(&[Cut(1, 1), Acquire(0, 0), Slice(0), Slice(0), Slice(0)]);
        },
    );
}

#[test]
fn finding_12_only_the_end_of_the_claims_accounts_for_a_member() {
    holds(GROUP, |script| {
        script.all(&[Kill(0), Receive(1), Receive(2), Elect(2), Elect(1), Probe(2), Acquire(2, 0)]);
        while script.world.pipe(1, 2).is_some_and(|k| script.world.pipes[k].up.len() > 1) {
            script.act(Read(1, 2));
        }
        let supervisor = script.world.instances[2].supervisor.as_ref();
        assert!(supervisor.is_some_and(|supervisor| supervisor.is_window_open()), "one frame is missing");
        script.read(1, 2);
        let supervisor = script.world.instances[2].supervisor.as_ref();
        assert!(supervisor.is_some_and(|supervisor| !supervisor.is_window_open()), "all is said");
    });
}

#[test]
fn finding_16_a_newcomers_reign_is_newer_than_every_view_of_a_late_member() {
    let config = Config { slots: 3, members: 2, ..GROUP };
    holds(config, |script| {
        script.all(&[Kill(0), Receive(1), Stop(1), Start(2), Elect(2), Acquire(2, 0), Slice(2), Continue(1)]);
        script.all(&[Resign(2), Finish(2), Elect(1), Elect(2)]).read(2, 2);
    });
}

#[test]
fn finding_17_a_grant_in_the_buffer_of_a_dead_supervisor_has_a_visible_holder() {
    let config = Config { held: None, ..GROUP };
    holds(config, |script| {
        script.all(&[Start(3), Elect(3)]).read(3, 1).deliver(1).deliver(2).deliver(3);
        script.act(Acquire(3, 0));
        script.read(3, 1).act(Write(3, 1));
        script.all(&[Stop(3), Kill(0), Kill(1), Receive(2), Elect(2), Probe(2), Acquire(2, 0)]);
        let supervisor = script.world.instances[2].supervisor.as_ref();
        assert!(supervisor.is_some_and(|supervisor| supervisor.is_window_open()), "it waits for the stopped one");
    });
}

#[test]
fn finding_26_the_dead_supervisor_is_in_nobodys_view() {
    let script = holds(GROUP, |script| {
        script.act(Kill(0));
    });
    for i in [1, 2] {
        assert_eq!(script.world.instances[i].session.view().len(), 2);
    }
}

#[test]
fn finding_27_newcomers_of_one_round_do_not_wait_for_each_other() {
    let config = Config { slots: 5, members: 2, ..GROUP };
    let script = holds(config, |script| {
        script.all(&[Stop(1), Start(2), Start(3), Start(4), Elect(2), Elect(3), Elect(4)]);
        script.read(2, 1).read(3, 1).read(4, 1);
        // The stopped one takes what fits its buffer, and that is enough.
        while script.act(Write(1, 1)) {}
        script.deliver(2).deliver(3).deliver(4);
        assert!([2, 3, 4].iter().all(|i| script.world.instances[*i].session.is_settled()));
    });
    assert_eq!(script.world.instances[1].session.view().len(), 5);
}

/// 1 gives up 2; then 2 reigns while 1 is stopped, and gives up 1; then 1 wins, and has only its own old view.
#[test]
fn finding_30_who_forfeited_may_have_reigned_since() {
    let config = Config { slots: 3, members: 3, held: None, ..GROUP };
    needs(
        config,
        |rules| rules.forfeits_need_the_same_tag = false,
        "TWO HOLDERS",
        |script| {
            script.all(&[Stop(2), Acquire(1, 0), Kill(0), Receive(1), Elect(1), Probe(1), Slice(1), Continue(2)]);
            script.all(&[Receive(2), FailStop(1), Stop(1), Elect(2), Probe(2), Acquire(2, 0), Slice(2)]);
            script.all(&[Resign(2), Finish(2), Continue(1), Elect(1), Probe(1)]);
        },
    );
}

/// 2 gives up 1, which holds the lock; then 3, who knows nobody, confirms it and gives up 2. 4 has read of that when 3
/// dies, 1 has not, though it runs all the time. 4 wins, and 2 brings its own old view.
#[test]
fn finding_30_who_forfeited_may_have_been_confirmed_since() {
    let config = Config { slots: 5, ..GROUP };
    needs(
        config,
        |rules| {
            // Then 4 has read of it before 1 has.
            rules.newcomers_come_second = false;
            rules.new_tag_before_hello = false;
        },
        "TWO HOLDERS",
        |script| {
            script.all(&[Stop(1), Kill(0), Receive(2), Elect(2), Probe(2), Slice(2), FailStop(2), Stop(2)]);
            script.all(&[Start(3), Elect(3), Start(4), Elect(4), Continue(1), Receive(1), Elect(1)]);
            script.read(4, 1).read(1, 2).deliver(1).read(1, 2).all(&[Probe(3), Slice(3)]).deliver(4);
            script.all(&[Kill(3), Receive(4), Elect(4), Continue(2), Elect(2)]);
            script.read(2, 3).act(Probe(4));
            script.deliver(2).act(Acquire(4, 0));
        },
    );
}

#[test]
fn finding_30_a_stopped_member_costs_the_limit_only_once() {
    let config = Config { slots: 5, members: 4, held: Some(3), ..GROUP };
    let is_open =
        |script: &Script, i: usize| script.world.instances[i].supervisor.as_ref().is_some_and(|s| s.is_open());
    let script = holds(config, |script| {
        script.all(&[Stop(3), Kill(0), Receive(1), Receive(2), Elect(1), Elect(2)]).among(&[1, 2]);
        assert!(!is_open(script, 1), "it is waited for");
        script.all(&[Slice(1)]).among(&[1, 2]);
        assert!(is_open(script, 1));
        script.all(&[Start(4)]).among(&[1, 2, 4]);
        // One that was there then, and one that came later: both have it from the view.
        script.all(&[Kill(1)]).among(&[2, 4]);
        assert!(is_open(script, 2), "without a limit");
        script.all(&[Resign(2)]).among(&[2, 4]);
        script.all(&[Acquire(2, 0), Acquire(4, 0)]).among(&[2, 4]);
        assert!(is_open(script, 2) || is_open(script, 4), "and once more");
        script.all(&[Kill(2)]).among(&[4]);
        assert!(is_open(script, 4), "and by the newcomer alone");
    });
    assert_eq!(script.world.instances[3].generation, 1, "it was told in the end");
}
