//! What is done once: who does it, what everybody gets, and what happens when whoever does it dies.

mod fleet;

use fleet::locks::{Squatter, refused};
use fleet::schedules::{court, expect_ended, expect_reign, hold_window_open, kill, others};
use fleet::sync::{Call, dawdle};
use fleet::{Fleet, Load, Member};

fn result(call: &Call) -> String {
    call.done().text("result")
}

/// That all these got this.
fn assert_all_got(calls: &[Call], bytes: &str) {
    calls.iter().for_each(|call| assert_eq!(result(call), bytes, "of {}", call.member.id));
}

#[test]
fn p4_one_runs_it_and_all_get_its_bytes() {
    let fleet = Fleet::new();
    let members = fleet.members(5, "");
    let mut calls: Vec<_> = members.iter().map(|member| member.once("migrate")).collect();
    let runner = Member::runner(&members, "migrate");
    assert!(calls.iter().all(|call| !call.is_over()));
    runner.finish("migrate", "schema-7");
    // Who comes later, and who was not even there, and threads of whoever ran it.
    calls.extend([runner.once("migrate"), fleet.member("").once("migrate bytes=other")]);
    assert_all_got(&calls, "schema-7");
    assert_eq!(calls.iter().filter(|call| call.done().text("ran") == "true").count(), 1);
    // Other names are other work.
    assert_eq!(result(&members[0].once("other bytes=mine")), "mine");
    assert_eq!(result(&members[1].once("other try bytes=yours")), "mine");
}

#[test]
fn p4_many_at_once_run_it_once() {
    let fleet = Fleet::new();
    let members = fleet.members(5, "");
    for round in 0..60 {
        let call = |member: &Member| member.once(&format!("work-{round} bytes={}", member.id));
        // Two threads of each.
        let calls: Vec<_> = members.iter().chain(&members).map(call).collect();
        let ran: Vec<_> = calls.iter().filter(|call| call.done().text("ran") == "true").collect();
        let [ran] = ran[..] else { panic!("{} have run it", ran.len()) };
        assert_all_got(&calls, &ran.member.id);
    }
}

#[test]
fn p4_when_the_runner_dies_the_next_in_line_runs_it() {
    let fleet = Fleet::with("limit=none");
    for runner_reigns in [false, true] {
        let members = fleet.members(4, "");
        let (supervisor, mut rest) = court(&fleet, &members);
        let runner = if runner_reigns { supervisor } else { rest.remove(0) };
        let rest = others(&members, &runner);
        runner.once("migrate");
        runner.runs(0, "migrate");
        let calls: Vec<_> = rest.iter().map(|member| member.once("migrate")).collect();
        assert!(calls.iter().all(|call| !call.is_over()));
        kill(&runner);
        let next = Member::runner(&rest, "migrate");
        assert!(calls.iter().all(|call| !call.is_over()));
        // And once more.
        kill(&next);
        let left = others(&rest, &next);
        let last = Member::runner(&left, "migrate");
        last.finish("migrate", "done");
        let calls: Vec<_> = calls.into_iter().filter(|call| call.member.id != next.id).collect();
        assert_all_got(&calls, "done");
        left.iter().for_each(|member| drop(member.ask("leave").unwrap()));
    }
}

#[test]
fn p4_when_it_fails_the_caller_is_told_and_the_next_in_line_runs_it() {
    let fleet = Fleet::new();
    let members = fleet.members(3, "");
    let (supervisor, rest) = court(&fleet, &members);
    for (n, (first, second)) in [(&rest[0], &supervisor), (&supervisor, &rest[1])].into_iter().enumerate() {
        let name = format!("migrate-{n}");
        let failing = first.once(&name);
        first.runs(0, &name);
        let next = second.once(&name);
        first.finish(&name, "fail");
        let error = refused(failing.answer(), "Failed");
        assert!(error.contains("the work failed: it was told to"), "{error:?}");
        second.runs(0, &name);
        assert!(!next.is_over());
        second.finish(&name, "done");
        assert_eq!((result(&next), result(&first.once(&name))), ("done".to_owned(), "done".to_owned()));
    }
}

#[test]
fn p4_try_and_a_time_name_whoever_runs_it() {
    let fleet = Fleet::new();
    let members = fleet.members(3, "");
    let (supervisor, rest) = court(&fleet, &members);
    for (n, (runner, asker)) in
        [(&rest[0], &supervisor), (&supervisor, &rest[1]), (&rest[1], &rest[0])].into_iter().enumerate()
    {
        let name = format!("migrate-{n}");
        let running = runner.once(&format!("{name} try"));
        runner.runs(0, &name);
        for (how, sort) in [("try", "WouldBlock"), ("within=1", "TimedOut")] {
            let error = refused(asker.once(&format!("{name} {how} bytes=x")).answer(), sort);
            assert_eq!((error.text("holder"), error.number("pid")), (runner.id.clone(), u64::from(runner.process.pid)));
        }
        runner.finish(&name, "done");
        assert_eq!(result(&running), "done");
        // The own time does not end the own work, and a result is there at once.
        assert_eq!(result(&asker.once(&format!("{name} within=0 bytes=x"))), "done");
        assert_eq!(result(&asker.once(&format!("{name} try bytes=x"))), "done");
    }
}

#[test]
fn p4_while_the_window_is_open_nobody_runs_anything() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(4, "");
    let (supervisor, mut rest) = court(&fleet, &members);
    let stopped = rest.remove(0);
    assert_eq!(result(&rest[0].once("old bytes=before")), "before");
    let rest = hold_window_open(&members, &supervisor, &stopped);
    assert_eq!(refused(rest[0].once("new try bytes=x").answer(), "WouldBlock").get("holder"), None);
    assert_eq!(refused(rest[1].once("new within=20 bytes=x").answer(), "TimedOut").get("holder"), None);
    let waiting: Vec<_> = rest.iter().map(|member| member.once(&format!("new bytes={}", member.id))).collect();
    // Of what is done nobody is asked.
    assert_eq!(result(&rest[0].once("old bytes=x")), "before");
    assert!(waiting.iter().all(|call| !call.is_over()));
    stopped.process.resume();
    let first = result(&waiting[0]);
    assert_all_got(&waiting, &first);
    assert_eq!(result(&stopped.once("new bytes=x")), first);
}

#[test]
fn p4_the_second_call_asks_nobody() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(3, "");
    let (supervisor, rest) = court(&fleet, &members);
    assert_eq!(result(&rest[0].once("migrate bytes=done")), "done");
    assert_eq!(result(&rest[1].once("migrate bytes=other")), "done");
    rest.iter().for_each(|member| member.process.stop());
    kill(&supervisor);
    let squatter = Squatter::new(fleet.port);
    rest.iter().for_each(|member| member.process.resume());
    for member in &rest {
        member.event(0, "the end of the reign", |event| (event.kind() == "disconnected").then_some(()));
        assert_eq!(result(&member.once("migrate bytes=x")), "done");
        assert_eq!(result(&member.once("migrate try bytes=x")), "done");
        refused(member.once("new try bytes=x").answer(), "WouldBlock");
    }
    drop(squatter);
    assert_eq!(result(&rest[0].once("new bytes=late")), "late");
}

#[test]
fn p4_the_result_outlives_the_supervisor_and_whoever_ran_it() {
    let fleet = Fleet::with("limit=none");
    let mut members = fleet.members(4, "");
    let runner = members.remove(0);
    assert_eq!(result(&runner.once("migrate bytes=done")), "done");
    kill(&runner);
    for _ in 0..4 {
        members.push(fleet.member(""));
        let agreed = fleet.agree(&members);
        let supervisor = members.remove(agreed.supervisor);
        kill(&supervisor);
        expect_reign(&members[..2], agreed.epoch);
        let calls: Vec<_> = members.iter().map(|member| member.once("migrate bytes=again")).collect();
        assert_all_got(&calls, "done");
        assert!(calls.iter().all(|call| call.done().text("ran") == "false"));
    }
}

#[test]
fn p4_runner_and_supervisor_killed_after_the_write_leave_one_result() {
    let _load = Load::new();
    let fleet = Fleet::with("limit=none");
    let mut members = fleet.members(5, "");
    let (mut kept, mut run_again) = (0, 0);
    for round in 0..50 {
        let agreed = fleet.agree(&members);
        let supervisor = members.remove(agreed.supervisor);
        // In turn the supervisor runs it itself.
        let runner = if round % 5 == 4 { supervisor.clone() } else { members.remove(0) };
        let name = format!("work-{round}");
        let own = runner.once(&name);
        runner.runs(0, &name);
        let calls: Vec<_> = members.iter().map(|member| member.once(&format!("{name} bytes={}", member.id))).collect();
        runner.process.say(&format!("finish {} {name} first", runner.key));
        if round % 3 == 0 {
            fleet::eventually("somebody has it", || own.is_over() || calls.iter().any(Call::is_over));
        } else {
            dawdle(round * 13 % 60);
        }
        supervisor.process.kill();
        runner.process.kill();
        supervisor.process.reap();
        runner.process.reap();
        let got = result(&calls[0]);
        assert_all_got(&calls, &got);
        // What was returned before the end counts, too.
        if own.is_over()
            && let Ok(own) = own.answer()
        {
            assert_eq!(own.text("result"), got);
        }
        assert!(got == "first" || calls.iter().any(|call| call.member.id == got));
        if got == "first" {
            kept += 1;
        } else {
            run_again += 1;
        }
        expect_ended(&members, &runner, "Failed");
        while members.len() < 5 {
            members.push(fleet.member(""));
        }
        assert_eq!(result(&members[4].once(&format!("{name} bytes=late"))), got);
    }
    assert!(kept > 0, "the result was kept {kept} times and made again {run_again} times");
}

#[test]
fn p4_a_result_that_is_too_large_is_none() {
    let fleet = Fleet::new();
    let members = fleet.members(2, "");
    let error = refused(members[0].once("migrate size=1048577").answer(), "Option");
    assert!(error.contains("value of 1048577 exceeds 1048576"), "{error:?}");
    assert_eq!(result(&members[1].once("migrate bytes=small")), "small");
    assert_eq!(result(&members[0].once("migrate bytes=x")), "small");
}
