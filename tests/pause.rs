//! Whoever is paused keeps what it has and gets nothing more until it is resumed, whoever reigns.

mod fleet;

use fleet::control::{denied, expect_standing, reigning, standing_of};
use fleet::locks::{line_up, refused, served_in_order};
use fleet::schedules::{court, expect_ended, kill};
use fleet::sync::Call;
use fleet::{Fleet, Member, eventually};

/// Lets this one be paused, or go on, by whoever may say so, and waits until everybody knows.
fn tell(by: &Member, whom: &Member, what: &str, all: &[Member]) {
    let mark = whom.process.mark();
    by.command(whom, what).unwrap();
    whom.obeys(mark, what);
    let standing = if what == "pause" { "Paused" } else { "Active" };
    expect_standing(&all.iter().collect::<Vec<_>>(), whom, standing);
}

/// Everything that can be asked for, so that each of it is done in the end.
fn ask_for_everything(member: &Member, to: &Member) -> Vec<Call> {
    let text = &member.id;
    [
        "lock everything mutex everything".to_owned(),
        "lock shared read shared".to_owned(),
        "lock seat permits seats limit=3 count=1".to_owned(),
        format!("once work-{text} bytes=x"),
        format!("put {text} x"),
        "delete deleted".to_owned(),
        format!("resize size-of-{text} 7"),
        format!("send {} {text}", to.id),
        format!("broadcast {text}"),
        format!("request {text}"),
        "meet alone 1".to_owned(),
    ]
    .iter()
    .map(|what| member.call(what))
    .collect()
}

#[test]
fn c4_whoever_is_paused_is_passed_over_and_keeps_its_place() {
    let fleet = Fleet::new();
    let members = fleet.members(5, "");
    let (supervisor, rest) = court(&fleet, &members);
    let observer = fleet.observer();
    // A subordinate, and the supervisor's own instance.
    for (paused, second, third) in [(&rest[0], &rest[1], &supervisor), (&supervisor, &rest[0], &rest[1])] {
        for what in ["mutex line", "write index", "permits seats limit=1 count=1"] {
            paused.lock("kept", "mutex kept").unwrap();
            let token = rest[3].lock("g", what).unwrap().number("token");
            let mut waiting = line_up(&[paused, second], what);
            tell(&observer, paused, "pause", &members);
            rest[3].unlock("g").unwrap();
            let passed = waiting[1].granted().number("token");
            assert!(passed > token && !waiting[0].is_over());
            waiting[1] = third.queue("g", what, 1);
            assert!(paused.is_held("kept"));
            assert_eq!(refused(rest[3].lock("x", "mutex kept try"), "WouldBlock").text("holder"), paused.id);
            tell(&observer, paused, "resume", &members);
            assert!(waiting.iter().all(|waiting| !waiting.is_over()), "somebody else has it");
            second.unlock("g").unwrap();
            served_in_order(&waiting, passed);
            // Whatever it has, it can give back while it is paused.
            tell(&observer, paused, "pause", &members);
            let next = rest[3].locking("kept", "mutex kept");
            paused.unlock("kept").unwrap();
            next.granted();
            rest[3].unlock("kept").unwrap();
            tell(&observer, paused, "resume", &members);
        }
    }
}

#[test]
fn c4_readers_pass_a_paused_writer_and_go_on_together() {
    let fleet = Fleet::new();
    let members = fleet.members(4, "");
    let (supervisor, rest) = court(&fleet, &members);
    rest[1].lock("r", "read index").unwrap();
    let writer = rest[0].queue("w", "write index", 0);
    let reader = rest[2].queue("r", "read index", 1);
    tell(&supervisor, &rest[0], "pause", &members);
    reader.granted();
    supervisor.lock("r", "read index within=25000").unwrap();
    assert!(!writer.is_over());
    tell(&supervisor, &rest[0], "resume", &members);
    refused(supervisor.lock("late", "read index try"), "WouldBlock");
    for member in [&rest[1], &rest[2], &supervisor] {
        assert!(!writer.is_over());
        member.unlock("r").unwrap();
    }
    writer.granted();
}

#[test]
fn c4_whatever_a_paused_one_asks_for_waits_for_the_resume() {
    let fleet = Fleet::with("handler=echo");
    let members = fleet.members(4, "");
    let (supervisor, rest) = court(&fleet, &members);
    let observer = fleet.observer();
    for (paused, free) in [(&rest[0], &rest[1]), (&supervisor, &rest[2])] {
        tell(&observer, paused, "pause", &members);
        let calls = ask_for_everything(paused, free);
        // What is free is not for it, and it is told so at once if it does not want to wait.
        refused(paused.lock("x", "mutex unused try"), "WouldBlock");
        refused(paused.lock("x", "mutex unused within=20"), "TimedOut");
        refused(paused.meet("unused 1 within=20").answer(), "TimedOut");
        refused(paused.ask(&format!("send {} given-up within=20", free.id)), "TimedOut");
        refused(paused.ask("broadcast given-up within=20"), "TimedOut");
        refused(paused.ask("request given-up within=20"), "TimedOut");
        paused.ask("held-permits none").unwrap();
        assert!(calls.iter().all(|call| !call.is_over()), "something was done while it was paused");
        // Nobody else waits, not even for the same.
        ask_for_everything(free, &rest[2]).iter().for_each(|call| drop(call.done()));
        assert_eq!(free.get(&paused.id), None);
        assert!(free.heard_from(paused).is_empty());
        for guard in ["everything", "shared", "seat"] {
            free.unlock(guard).unwrap();
        }
        free.lock("g", "mutex unused").unwrap();
        free.unlock("g").unwrap();
        tell(&observer, paused, "resume", &members);
        calls.iter().for_each(|call| drop(call.done()));
        assert_eq!(free.get(&paused.id).unwrap().0, "x");
        // What it said while it was paused is there before what it says now.
        let fence = format!("fence-{}", paused.id);
        paused.broadcast(&fence).unwrap();
        free.hears(&fence);
        assert_eq!(free.heard_from(paused), [paused.id.clone(), paused.id.clone(), fence]);
        assert!(supervisor.caught_up().events(0, "handled").iter().all(|event| event.get("bytes") != Some("given-up")));
        for guard in ["everything", "shared", "seat"] {
            paused.unlock(guard).unwrap();
        }
    }
}

#[test]
fn c4_what_a_pause_holds_is_done_in_its_order_and_was_judged_before() {
    let fleet = Fleet::new();
    let (supervisor, rest) = reigning(&fleet, "policy=deny:any:bad handler=echo", 2, "");
    let observer = fleet.observer();
    let all = [supervisor.clone(), rest[0].clone(), rest[1].clone()];
    for paused in [&rest[0], &supervisor] {
        tell(&observer, paused, "pause", &all);
        // What is not allowed need not wait to hear so.
        for what in ["put bad x", "broadcast bad", "request bad", "lock g mutex bad"] {
            denied(paused.ask(what), "no-");
        }
        // Each is at the supervisor before the next one is said.
        let mut calls = Vec::new();
        for n in 0..10 {
            let (text, mark) = (format!("{n}-{}", paused.id), supervisor.process.mark());
            let (what, said) = match n % 3 {
                0 => ("write", paused.call(&format!("put key {text}"))),
                1 => ("broadcast", paused.call(&format!("broadcast {text}"))),
                _ => ("send", paused.sending(&rest[1], &text)),
            };
            let name = if what == "write" { "key" } else { &text };
            supervisor.judges(mark, what, name);
            calls.push(said);
        }
        paused.ask("held-permits none").unwrap();
        assert!(calls.iter().all(|call| !call.is_over()));
        let judged = supervisor.caught_up().events(0, "judged").len();
        tell(&observer, paused, "resume", &all);
        calls.iter().for_each(|call| drop(call.done()));
        rest[1].put(&format!("fence-{}", paused.id), "x");
        let said: Vec<_> = [1, 2, 4, 5, 7, 8].iter().map(|n| format!("{n}-{}", paused.id)).collect();
        eventually("all is heard", || rest[1].heard_from(paused).len() == said.len());
        assert_eq!(rest[1].heard_from(paused), said);
        assert_eq!(rest[1].get("key").unwrap().0, format!("9-{}", paused.id));
        // The command of the observer and the fence, and nothing twice.
        assert_eq!(supervisor.caught_up().events(0, "judged").len(), judged + 2);
    }
}

#[test]
fn c4_a_barrier_does_not_complete_without_a_paused_one() {
    let fleet = Fleet::new();
    let members = fleet.members(3, "");
    let (supervisor, rest) = court(&fleet, &members);
    let calls = [rest[0].meet("phase 3"), rest[1].meet("phase 3")];
    calls.iter().for_each(Call::arrived);
    tell(&supervisor, &rest[0], "pause", &members);
    let last = supervisor.meet("phase 3");
    last.arrived();
    rest[1].ask("held-permits none").unwrap();
    assert!(!calls[0].is_over() && !calls[1].is_over() && !last.is_over());
    tell(&supervisor, &rest[0], "resume", &members);
    calls.iter().for_each(|call| drop(call.done()));
    last.done();
}

#[test]
fn c4_what_a_paused_one_waits_for_ends_with_it() {
    let fleet = Fleet::with("handler=echo");
    for verb in ["leave", "kill"] {
        let members = fleet.members(3, "");
        let (supervisor, rest) = court(&fleet, &members);
        let (paused, other) = (&rest[0], &rest[1]);
        paused.lock("kept", "mutex kept").unwrap();
        tell(&supervisor, paused, "pause", &members);
        let calls = ask_for_everything(paused, other);
        paused.ask("held-permits none").unwrap();
        match verb {
            "kill" => kill(paused),
            _ => drop(paused.ask("leave").unwrap()),
        }
        if verb == "leave" {
            let ends = calls.iter().map(|call| call.answer().unwrap_err());
            ends.for_each(|error| assert!(error.starts_with("Left") || error.starts_with("Interrupted"), "{error}"));
        }
        other.lock("kept", "mutex kept within=25000").unwrap();
        for what in ["mutex everything", "write shared"] {
            other.expect_free(what);
        }
        assert_eq!(other.get(&paused.id), None);
        assert!(other.heard_from(paused).is_empty() && supervisor.caught_up().events(0, "handled").is_empty());
        [other, &supervisor].iter().for_each(|member| drop(member.ask("leave").unwrap()));
    }
}

#[test]
fn c4_who_may_pause_whom() {
    let fleet = Fleet::new();
    let members = fleet.members(4, "");
    let (supervisor, rest) = court(&fleet, &members);
    let observer = fleet.observer();
    for what in ["pause", "resume", "stop", "text"] {
        refused(rest[0].command(&rest[1], what), "NotSupervisor");
        refused(rest[0].command(&rest[0], what), "NotSupervisor");
        refused(rest[0].ask(&format!("command all {what}")), "NotSupervisor");
    }
    let gone = fleet.member("");
    gone.ask("leave").unwrap();
    expect_ended(&members, &gone, "Left");
    for by in [&supervisor, &observer] {
        for what in ["pause", "resume", "stop", "text"] {
            assert!(refused(by.command(&gone, what), "Unreachable").contains(&gone.id));
        }
    }
    assert!(members.iter().all(|member| member.caught_up().events(0, "command").is_empty()));

    // All others, and from an observer everybody.
    for (by, count) in [(&supervisor, 3), (&observer, 4)] {
        let marks: Vec<_> = members.iter().map(|member| member.process.mark()).collect();
        let all = members.iter().collect::<Vec<_>>();
        assert_eq!(by.command_all("pause").unwrap(), count);
        for (member, mark) in members.iter().zip(&marks) {
            if count == 4 || member.id != supervisor.id {
                member.obeys(*mark, "pause");
                expect_standing(&all, member, "Paused");
            }
        }
        if count == 3 {
            assert_eq!(standing_of(&rest[0], &supervisor).as_deref(), Some("Active"));
        }
        let asked = rest[0].locking("g", "mutex line");
        refused(rest[1].lock("x", "mutex line within=20"), "TimedOut");
        // Twice the same changes nothing.
        by.command_all("pause").unwrap();
        assert_eq!(by.command_all("resume").unwrap(), count);
        asked.granted();
        rest[0].unlock("g").unwrap();
        members.iter().for_each(|member| expect_standing(&all, member, "Active"));
    }
}

#[test]
fn c4_one_that_stands_still_can_be_paused() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(3, "");
    let (supervisor, rest) = court(&fleet, &members);
    rest[1].lock("g", "mutex line").unwrap();
    let waiting = line_up(&[&rest[0], &supervisor], "mutex line");
    rest[0].process.stop();
    supervisor.command(&rest[0], "pause").unwrap();
    expect_standing(&[&supervisor, &rest[1]], &rest[0], "Paused");
    rest[1].unlock("g").unwrap();
    waiting[1].granted();
    rest[0].process.resume();
    rest[0].obeys(0, "pause");
    supervisor.unlock("g").unwrap();
    rest[0].ask("held-permits none").unwrap();
    assert!(!waiting[0].is_over());
    supervisor.command(&rest[0], "resume").unwrap();
    waiting[0].granted();
}
