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

#[test]
fn p4_times_that_pass_as_it_completes_leave_nobody_behind() {
    let _load = Load::new();
    let fleet = Fleet::new();
    let members = fleet.members(2, "");
    let (mut passed, mut late) = (0, 0);
    for round in 0..300 {
        let what = format!("phase-{round} 2");
        let brief = members[0].meet(&format!("{what} within={}", round % 2));
        dawdle(round % 50);
        let patient = members[1].meet(&what);
        match brief.answer() {
            Ok(_) => {
                patient.done();
                passed += 1;
            }
            Err(error) => {
                assert!(error.starts_with("TimedOut"), "{error}");
                late += 1;
                // The other one may have passed all the same, and then this one needs another.
                let again = members[0].meet(&what);
                patient.done();
                fleet::eventually("both pass", || {
                    again.is_over() || members[1].meet(&format!("{what} within=20")).answer().is_ok()
                });
                again.done();
            }
        }
    }
    assert!(passed > 0 && late > 0, "both happen: {passed} and {late}");
}

#[test]
fn p4_times_that_pass_as_it_completes_leave_nobody_without_a_leader() {
    let _load = Load::new();
    let fleet = Fleet::new();
    let members = fleet.members(3, "");
    let (supervisor, rest) = court(&fleet, &members);
    let (mut passed, mut late) = (0, 0);
    for round in 0..400 {
        let what = format!("phase-{round} 2");
        let brief = if round % 4 == 3 { &supervisor } else { &rest[0] };
        let brief = brief.meet(&format!("{what} within=1"));
        dawdle(round % 100 * 40);
        let patient = rest[1].meet(&format!("{what} within=20"));
        let leads = |call: &Call| call.answer().ok().map(|line| line.text("leads") == "true");
        match (leads(&brief), leads(&patient)) {
            (Some(first), Some(second)) => {
                assert!(first != second, "one of them leads");
                passed += 1;
            }
            // The time of one had passed, on a busy machine that of the other: who passed without it leads.
            (first, second) => {
                assert_ne!(first.or(second), Some(false), "round {round}: nobody leads");
                late += 1;
            }
        }
    }
    assert!(passed > 0 && late > 0, "both happen: {passed} and {late}");
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
