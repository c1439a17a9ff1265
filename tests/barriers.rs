//! Barriers between processes: everybody passes, or nobody, whoever dies meanwhile.

mod fleet;

use fleet::locks::refused;
use fleet::schedules::{court, expect_ended, expect_reign, hold_window_open, kill, others, winner};
use fleet::sync::{Call, dawdle};
use fleet::{Fleet, Load, Member};

fn arrive(members: &[Member], what: &str) -> Vec<Call> {
    members.iter().map(|member| member.meet(what)).collect()
}

/// That all of these pass, and how many of them lead.
fn leaders(calls: &[Call]) -> usize {
    calls.iter().filter(|call| call.done().text("leads") == "true").count()
}

/// That these wait, all of whose arrivals have been heard.
fn assert_waiting(calls: &[Call]) {
    calls.iter().for_each(Call::arrived);
    assert!(calls.iter().all(|call| !call.is_over()), "somebody has passed alone");
}

#[test]
fn p4_all_pass_together_again_and_again_and_one_of_them_leads() {
    let fleet = Fleet::new();
    let members = fleet.members(4, "");
    let (supervisor, rest) = court(&fleet, &members);
    // The supervisor comes last, first and in between.
    for order in [[1, 2, 3, 0], [0, 3, 2, 1], [2, 0, 1, 3], [3, 1, 0, 2]] {
        let all = [&supervisor, &rest[0], &rest[1], &rest[2]];
        let mut calls = vec![];
        for place in order {
            assert_waiting(&calls);
            calls.push(all[place].meet("phase 4"));
        }
        assert_eq!(leaders(&calls), 1);
    }
    // Many uses without a pause.
    for _ in 0..200 {
        assert_eq!(leaders(&arrive(&members, "phase 4")), 1);
    }
    // More than are needed: those that are left over wait for the next use.
    let calls: Vec<_> = (0..3).flat_map(|_| arrive(&members, "many 6")).collect();
    assert_eq!(leaders(&calls), 2);
}

#[test]
fn p4_who_comes_alone_passes_at_once_and_leads() {
    let fleet = Fleet::new();
    for member in fleet.members(2, "") {
        assert_eq!(leaders(&[member.meet("alone 1")]), 1);
    }
}

#[test]
fn p4_other_numbers_are_refused_while_somebody_waits() {
    let fleet = Fleet::new();
    let members = fleet.members(3, "");
    let (supervisor, rest) = court(&fleet, &members);
    for (first, second) in [(&rest[0], &supervisor), (&supervisor, &rest[0]), (&rest[0], &rest[1])] {
        let mut waiting = first.meet("phase 2");
        for asker in &members {
            let refuse = || asker.meet("phase 3 within=300").answer();
            let mut answer = refuse();
            // Should it have been the first to be heard, the other one is refused.
            while answer.as_ref().is_err_and(|error| error.starts_with("TimedOut")) {
                refused(waiting.answer(), "Denied");
                waiting = first.meet("phase 2");
                answer = refuse();
            }
            let error = refused(answer, "Denied");
            assert!(error.contains("wait for 2 parties, not 3"), "{error:?}");
        }
        assert!(!waiting.is_over());
        assert_eq!(leaders(&[waiting, second.meet("phase 2")]), 1);
        // Nobody waits any more: it can be another barrier now.
        assert_eq!(leaders(&arrive(&members, "phase 3")), 1);
    }
    for parties in [0, 4097] {
        let error = refused(rest[0].meet(&format!("phase {parties}")).answer(), "Option");
        assert!(error.contains("parties"), "{error:?}");
    }
    refused(rest[0].meet(&format!("{} 2", "n".repeat(129))).answer(), "Name");
}

#[test]
fn p4_whose_time_has_passed_does_not_count() {
    let fleet = Fleet::new();
    let members = fleet.members(3, "");
    let (supervisor, rest) = court(&fleet, &members);
    for (first, second) in [(&rest[0], &rest[1]), (&supervisor, &rest[0]), (&rest[0], &supervisor)] {
        for _ in 0..100 {
            refused(first.meet("phase 2 within=1").answer(), "TimedOut");
            refused(second.meet("phase 2 within=1").answer(), "TimedOut");
        }
        let calls = [first.meet("phase 2 within=25000"), second.meet("phase 2")];
        assert_eq!(leaders(&calls), 1);
    }
}

/// One arrives with a time that ends about when the other one arrives. `after`: how much later the other one arrives, in
/// microseconds. Whether both passed; that only one of them did is what never happens.
fn race(fleet_round: u32, brief: &Member, patient: &Member, time: u64, after: u64) -> bool {
    let what = format!("race-{fleet_round} 2");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("later than 1970");
    // Enough for both to have read the command, mostly; if not, one of them comes late, which is another race.
    let start = now.as_nanos() as u64 + 2_000_000;
    let first = brief.meet(&format!("{what} within={time} at={start}"));
    let second = patient.meet(&format!("{what} within=20 at={}", start + time * 1_000_000 + after * 1000));
    match (first.answer(), second.answer()) {
        (Ok(one), Ok(other)) => {
            assert!((one.text("leads") == "true") != (other.text("leads") == "true"), "one of them leads");
            true
        }
        (Err(one), Err(other)) => {
            assert!(one.starts_with("TimedOut") && other.starts_with("TimedOut"), "{one}, {other}");
            false
        }
        (one, other) => panic!("round {fleet_round}, {after} us: one passes alone: {one:?}, {other:?}"),
    }
}

#[test]
fn p4_two_whose_times_end_as_they_meet_pass_together_or_not_at_all() {
    let fleet = Fleet::new();
    let members = fleet.members(3, "");
    let (supervisor, rest) = court(&fleet, &members);
    let mut passed = 0;
    let mut round = 0;
    for (brief, patient) in [(&rest[0], &rest[1]), (&supervisor, &rest[0]), (&rest[0], &supervisor)] {
        for after in [0, 100] {
            for time in [0, 1] {
                for _ in 0..75 {
                    round += 1;
                    passed += u32::from(race(round, brief, patient, time, after));
                }
            }
        }
    }
    assert!(passed > 0 && passed < round, "both happen: {passed} of {round} passed");
}

#[test]
fn p4_two_whose_times_end_as_the_supervisor_dies_pass_together_or_not_at_all() {
    let fleet = Fleet::with("limit=none");
    let mut members = fleet.members(3, "");
    let mut ends = [0, 0, 0];
    for round in 0..60 {
        let agreed = fleet.agree(&members);
        let supervisor = members.remove(agreed.supervisor);
        let what = format!("race-{round} 2");
        let brief = members[0].meet(&format!("{what} within={}", round % 3));
        dawdle(round % 20 * 10);
        let patient = members[1].meet(&format!("{what} within={}", round % 4));
        dawdle(round * 7 % 60 * 5);
        kill(&supervisor);
        let end = |call: &Call| match call.answer() {
            Ok(_) => "passed",
            Err(error) if error.starts_with("TimedOut") => "timed out",
            Err(error) if error.starts_with("Interrupted") => "unknown",
            Err(error) => panic!("{error}"),
        };
        match [end(&brief), end(&patient)] {
            ["passed", "timed out"] | ["timed out", "passed"] => panic!("round {round}: one passes alone"),
            ["passed", _] => ends[0] += 1,
            ["timed out", _] => ends[1] += 1,
            _ => ends[2] += 1,
        }
        members.push(fleet.member(""));
    }
    assert!(ends[1] > 0, "passed, timed out, unknown: {ends:?}");
}

#[test]
fn p4_the_last_one_needs_no_time_and_whoever_is_not_the_last_has_none() {
    let fleet = Fleet::new();
    let members = fleet.members(2, "");
    let (supervisor, rest) = court(&fleet, &members);
    for (first, last) in [(&supervisor, &rest[0]), (&rest[0], &supervisor), (&rest[0], &rest[0])] {
        for _ in 0..20 {
            assert_eq!(leaders(&[last.meet("alone 1 within=0")]), 1);
            refused(last.meet("phase 2 within=0").answer(), "TimedOut");
            let waiting = first.meet("phase 2");
            // It may be so slow to arrive that this one is not the last.
            let mut passed = None;
            fleet::eventually("the last one passes", || {
                passed = last.meet("phase 2 within=0").answer().ok();
                passed.is_some()
            });
            let leads = passed.is_some_and(|line| line.text("leads") == "true");
            assert_eq!(leaders(&[waiting]) + usize::from(leads), 1);
        }
    }
}

#[test]
fn p4_a_supervisor_that_stands_still_takes_nothing_back_until_it_runs_again() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(3, "");
    let (supervisor, rest) = court(&fleet, &members);
    let waiting = rest[0].meet("phase 2");
    waiting.arrived();
    supervisor.process.stop();
    // It is not known whether this one counts: it does, as nobody has taken it back when the other one is heard.
    refused(rest[1].meet("phase 2 within=0").answer(), "Interrupted");
    assert!(!waiting.is_over());
    supervisor.process.resume();
    waiting.done();
    // Nothing is left of it.
    refused(rest[1].meet("phase 2 within=20").answer(), "TimedOut");
    refused(rest[0].meet("phase 2 within=20").answer(), "TimedOut");

    supervisor.process.stop();
    refused(rest[1].meet("phase 2 within=0").answer(), "Interrupted");
    supervisor.process.resume();
    rest[1].ask("held-permits none").expect("the supervisor has heard it all");
    refused(rest[0].meet("phase 2 within=100").answer(), "TimedOut");
}

#[test]
fn p4_who_is_killed_while_it_waits_does_not_count_and_can_be_replaced() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(5, "");
    let (supervisor, rest) = court(&fleet, &members);
    for victim in [&rest[3], &rest[2]] {
        let first = [rest[0].meet("phase 3"), victim.meet("phase 3")];
        assert_waiting(&first);
        kill(victim);
        expect_ended(&rest[..2], victim, "Failed");
        // Two of three: the dead one is none of them.
        refused(rest[1].meet("phase 3 within=300").answer(), "TimedOut");
        let [first, _] = first;
        assert!(!first.is_over());
        assert_eq!(leaders(&[first, rest[1].meet("phase 3"), supervisor.meet("phase 3")]), 1);
    }
}

#[test]
fn p4_who_leaves_while_it_waits_does_not_count() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(3, "");
    let (supervisor, rest) = court(&fleet, &members);
    let leaver = rest[0].meet("phase 2");
    leaver.arrived();
    rest[0].ask("leave").unwrap();
    refused(leaver.answer(), "Left");
    refused(rest[0].meet("phase 2").answer(), "Left");
    // It has said so, and the supervisor may be slow to hear it.
    expect_ended(&[supervisor.clone(), rest[1].clone()], &rest[0], "Left");
    refused(supervisor.meet("phase 2 within=300").answer(), "TimedOut");
    assert_eq!(leaders(&[supervisor.meet("phase 2"), rest[1].meet("phase 2")]), 1);
}

#[test]
fn p4_the_kill_of_the_supervisor_costs_those_who_wait_nothing() {
    let fleet = Fleet::with("limit=none");
    let mut members = fleet.members(6, "");
    for _ in 0..3 {
        let agreed = fleet.agree(&members);
        let supervisor = members.remove(agreed.supervisor);
        // All but one.
        let (last, first) = members.split_last().unwrap();
        let mut calls = arrive(first, &format!("phase {}", members.len()));
        assert_waiting(&calls);
        kill(&supervisor);
        expect_reign(&members, agreed.epoch);
        assert_waiting(&calls);
        calls.push(last.meet(&format!("phase {}", members.len())));
        assert_eq!(leaders(&calls), 1);
    }
}

#[test]
fn p4_a_supervisor_that_dies_waiting_does_not_count() {
    let fleet = Fleet::with("limit=none");
    let mut members = fleet.members(4, "");
    for _ in 0..3 {
        let agreed = fleet.agree(&members);
        let supervisor = members.remove(agreed.supervisor);
        let own = supervisor.meet("phase 4");
        let mut calls = arrive(&members[..2], "phase 4");
        own.arrived();
        assert_waiting(&calls);
        kill(&supervisor);
        expect_reign(&members, agreed.epoch);
        // With the dead one this would be the fourth.
        refused(members[2].meet("phase 4 within=300").answer(), "TimedOut");
        assert!(calls.iter().all(|call| !call.is_over()));
        members.push(fleet.member(""));
        calls.extend(arrive(&members[2..], "phase 4"));
        assert_eq!(leaders(&calls), 1);
    }
}

#[test]
fn p4_arrivals_in_an_open_window_count_when_it_closes() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(5, "");
    let (supervisor, mut rest) = court(&fleet, &members);
    let stopped = rest.pop().unwrap();
    let before = rest[0].meet("phase 3");
    before.arrived();
    let rest = hold_window_open(&members, &supervisor, &stopped);
    let winner = winner(&rest);
    let other = others(&others(&rest, &winner), &before.member).pop();
    refused(winner.meet("phase 3 within=20").answer(), "TimedOut");
    let mut calls = vec![winner.meet("phase 3")];
    calls.extend(other.map(|other| other.meet("phase 3")));
    rest.iter().for_each(|member| drop(member.status()));
    assert!(!before.is_over() && calls.iter().all(|call| !call.is_over()), "nobody passes in an open window");
    stopped.process.resume();
    calls.push(before);
    if calls.len() == 2 {
        // The winner was the one that had arrived: now it waits twice, and for one more.
        calls.push(stopped.meet("phase 3"));
    }
    assert_eq!(leaders(&calls), 1);
}

#[test]
fn p4_a_supervisor_killed_as_it_completes_leaves_nobody_behind() {
    let _load = Load::new();
    let fleet = Fleet::with("limit=none");
    let mut members = fleet.members(4, "");
    for round in 0..60 {
        let agreed = fleet.agree(&members);
        let supervisor = members.remove(agreed.supervisor);
        let calls = arrive(&members, "phase 3");
        dawdle(round * 7 % 60);
        kill(&supervisor);
        // Whether it got to the end of it or not: those who live are complete.
        assert_eq!(leaders(&calls), 1, "in round {round}");
        members.push(fleet.member(""));
    }
}

#[test]
fn p4_a_supervisor_that_dies_as_one_of_them_lets_all_pass_or_is_replaced() {
    let _load = Load::new();
    let fleet = Fleet::with("limit=none");
    let mut members = fleet.members(4, "");
    let (mut complete, mut replaced) = (0, 0);
    for round in 0..60 {
        let agreed = fleet.agree(&members);
        let supervisor = members.remove(agreed.supervisor);
        let name = format!("phase-{round}");
        let what = format!("{name} 4");
        // Last, so that it is complete in the process that dies.
        let calls = arrive(&members, &what);
        calls.iter().for_each(Call::arrived);
        let own = supervisor.meet(&what);
        if round % 4 == 0 {
            fleet::eventually("one of them has passed, or the supervisor", || {
                own.is_over() || calls.iter().any(Call::is_over)
            });
        }
        dawdle(round * 7 % 60);
        kill(&supervisor);
        let newcomer = fleet.member("");
        let late = newcomer.meet(&what);
        let leading = leaders(&calls) + usize::from(own.is_over() && own.done().text("leads") == "true");
        assert!(leading <= 1, "{leading} lead in round {round}");
        // Either all have passed without the newcomer, which then waits alone, or together with it.
        newcomer.ask("leave").unwrap();
        match late.answer() {
            Ok(_) => replaced += 1,
            Err(error) => {
                assert!(error.starts_with("Left"), "{error}");
                complete += 1;
            }
        }
        members.push(fleet.member(""));
    }
    assert!(complete > 0, "the supervisor got to the end of it {complete} times, and was replaced {replaced} times");
}
