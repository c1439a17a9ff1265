//! What the supervisor commands: it arrives, and who is told to stop and does not is evicted.

mod fleet;

use fleet::control::reigning;
use fleet::locks::{line_up, refused, served_in_order};
use fleet::schedules::{court, expect_ended, expect_reign, kill, others};
use fleet::{Fleet, Line, Member, check_reigns};

/// What a member was told so far.
fn told(member: &Member) -> Vec<String> {
    let tell = |event: Line| event.get("bytes").map_or_else(|| event.text("what"), str::to_owned);
    member.events(0, "command").into_iter().map(tell).collect()
}

/// Waits until an instance is out of its group, and has been told in this order: what it lost, that it is evicted, and
/// nothing more.
fn expect_evicted(member: &Member, lost: &[&str]) {
    member.expect(0, "closed", &[]);
    let kinds: Vec<_> = ["lost", "evicted", "closed"].iter().flat_map(|kind| member.events(0, kind)).collect();
    let lines = member.process.lines(0);
    let place = |what: &str| lines.iter().position(|line| line.contains(&format!("event {} {what}", member.key)));
    assert_eq!(kinds.len(), lost.len() + 2, "{kinds:?}");
    for name in lost {
        let event = member.expect(0, "lost", &[("name", *name)]);
        assert!(place(&format!("lost kind={} name={name}", event.text("kind"))) < place("evicted"), "{lines:?}");
    }
    assert!(place("evicted").is_some() && place("evicted") < place("closed"), "{lines:?}");
}

#[test]
fn what_the_application_commands_arrives_in_its_order() {
    let fleet = Fleet::new();
    let members = fleet.members(4, "");
    let (supervisor, rest) = court(&fleet, &members);
    let observer = fleet.observer();
    let mut expected = Vec::new();
    for n in 0..50 {
        supervisor.command(&rest[0], &format!("one-{n}")).unwrap();
        assert_eq!(supervisor.command_all(&format!("all-{n}")).unwrap(), 3);
        observer.command(&rest[0], &format!("observed-{n}")).unwrap();
        assert_eq!(observer.command_all(&format!("observed-all-{n}")).unwrap(), 4);
        expected.extend(["one", "all", "observed", "observed-all"].map(|word| format!("{word}-{n}")));
    }
    for member in &members {
        member.expect(0, "command", &[("bytes", "observed-all-49")]);
    }
    assert_eq!(told(&rest[0]), expected);
    expected.retain(|word| word.contains("all"));
    assert_eq!(told(&rest[1]), expected);
    assert_eq!(told(&rest[2]), expected);
    expected.retain(|word| word.starts_with("observed"));
    assert_eq!(told(&supervisor), expected);

    // Its own instance, and as much as it likes.
    supervisor.command(&supervisor, "itself").unwrap();
    supervisor.expect(0, "command", &[("bytes", "itself")]);
    for by in [&supervisor, &observer] {
        let large = |size: usize| by.ask(&format!("command {} x size={size}", rest[1].id));
        large(1024 * 1024).unwrap();
        assert!(refused(large(1024 * 1024 + 1), "Option").contains("1048577 exceeds 1048576"));
    }
    rest[1].expect(0, "command", &[("bytes", "1048576-bytes")]);
}

#[test]
fn nobody_is_told_what_a_killed_one_was_told() {
    let fleet = Fleet::new();
    let members = fleet.members(3, "");
    let (supervisor, rest) = court(&fleet, &members);
    kill(&rest[0]);
    expect_ended(std::slice::from_ref(&supervisor), &rest[0], "Failed");
    for what in ["text", "stop", "pause"] {
        refused(supervisor.command(&rest[0], what), "Unreachable");
    }
    assert_eq!(supervisor.command_all("text").unwrap(), 1);
    rest[1].obeys(0, "custom");
    assert_eq!(told(&rest[1]), ["text"]);
}

// ---------------------------------------------------------------------------------------------------------------- stop

#[test]
fn whoever_is_told_to_stop_and_leaves_has_left() {
    let fleet = Fleet::with("stop=none limit=none");
    let members = fleet.members(4, "");
    let (supervisor, rest) = court(&fleet, &members);
    let observer = fleet.observer();
    rest[0].lock("g", "mutex line").unwrap();
    let waiting = line_up(&[&rest[1], &rest[2]], "mutex line");
    supervisor.command(&rest[0], "stop").unwrap();
    rest[0].obeys(0, "stop");
    // It takes as long as it takes, and works on meanwhile.
    rest[0].put("last", "x");
    rest[0].send(&rest[1], "last").unwrap();
    assert!(rest[0].is_held("g") && !waiting[0].is_over());
    rest[0].ask("leave").unwrap();
    expect_ended(&others(&members, &rest[0]), &rest[0], "Left");
    waiting[0].granted();
    assert!(rest[0].events(0, "evicted").is_empty());
    // Everybody but the supervisor, who stays.
    observer.command(&rest[1], "stop").unwrap();
    rest[1].obeys(0, "stop");
    rest[1].ask("leave").unwrap();
    waiting[1].granted();
    assert_eq!(supervisor.command_all("stop").unwrap(), 1);
    rest[2].obeys(0, "stop");
    rest[2].ask("leave").unwrap();
    fleet.agree(std::slice::from_ref(&supervisor));
    assert!(told(&supervisor).is_empty());
}

#[test]
fn whoever_is_told_to_stop_and_does_not_is_evicted() {
    for by_observer in [false, true] {
        let fleet = Fleet::with("stop=100 limit=none");
        let members = fleet.members(4, "");
        let (supervisor, rest) = court(&fleet, &members);
        let by = if by_observer { fleet.observer() } else { supervisor.clone() };
        let evicted = &rest[0];
        let token = evicted.lock("g", "mutex line").unwrap().number("token");
        evicted.lock("r", "read index").unwrap();
        let waiting = line_up(&[&rest[1], &supervisor], "mutex line");
        rest[1].lock("held", "mutex held").unwrap();
        let calls = [
            evicted.call("lock held mutex held"),
            evicted.meet("phase 2"),
            evicted.call("office"),
            evicted.call("lock all permits seats limit=1 count=1"),
        ];
        calls[3].done();
        by.command(evicted, "stop").unwrap();
        evicted.obeys(0, "stop");
        expect_ended(&others(&members, evicted), evicted, "Evicted");
        let grant = waiting[0].granted();
        assert_eq!(grant.text("abandoned"), format!("Died:{}", evicted.id));
        assert!(grant.number("token") > token);
        rest[1].unlock("g").unwrap();
        served_in_order(&waiting[1..], grant.number("token"));
        rest[2].lock("w", "write index within=25000").unwrap();
        rest[2].lock("p", "permits seats limit=1 count=1 within=25000").unwrap();

        expect_evicted(evicted, &["line", "index", "seats"]);
        for call in &calls[..3] {
            refused(call.answer(), "Left");
        }
        for what in
            ["lock g mutex line", "put key x", "broadcast text", "request text", "meet alone 1", "once work bytes=x"]
        {
            refused(evicted.ask(what), "Left");
        }
        assert!(!evicted.is_held("g") && !evicted.is_held("r"));
        refused(evicted.unlock("g"), "Lost");
        // Nobody was waited for in vain, and the process can come again.
        assert!(rest[2].meet("phase 2 within=20").answer().is_err());
        let again = fleet.joined(fleet.join_in(&evicted.process, ""));
        assert_ne!(again.id, evicted.id);
        again.lock("g", "mutex line within=25000").unwrap();
        let mut all = others(&members, evicted);
        all.push(again);
        fleet.agree(&all);
    }
}

#[test]
fn a_process_that_stands_still_is_evicted_too() {
    let fleet = Fleet::with("stop=100 limit=none");
    let members = fleet.members(3, "");
    let (supervisor, rest) = court(&fleet, &members);
    rest[0].lock("g", "mutex line").unwrap();
    let waiting = line_up(&[&rest[1], &supervisor], "mutex line");
    rest[0].process.stop();
    supervisor.command(&rest[0], "stop").unwrap();
    expect_ended(&[supervisor.clone(), rest[1].clone()], &rest[0], "Evicted");
    assert_eq!(waiting[0].granted().text("abandoned"), format!("Died:{}", rest[0].id));
    rest[0].process.resume();
    rest[0].obeys(0, "stop");
    expect_evicted(&rest[0], &["line"]);
    assert!(rest[1].is_held("g"));
    refused(rest[0].unlock("g"), "Lost");
    refused(rest[0].lock("g", "mutex line"), "Left");
}

#[test]
fn without_a_limit_nobody_is_evicted() {
    let fleet = Fleet::new();
    // The limit of the one who reigns counts.
    let (supervisor, rest) = reigning(&fleet, "stop=none", 3, "stop=1");
    rest[0].lock("g", "mutex line").unwrap();
    let waiting = line_up(&[&rest[1]], "mutex line");
    supervisor.command(&rest[0], "stop").unwrap();
    rest[0].obeys(0, "stop");
    refused(rest[2].lock("x", "mutex line within=600"), "TimedOut");
    assert!(rest[0].is_held("g") && !waiting[0].is_over());
    rest[0].lock("more", "mutex more").unwrap();
    fleet.agree(&[supervisor, rest[0].clone(), rest[1].clone(), rest[2].clone()]);
    assert!(rest[1].events(0, "ended").is_empty());
}

#[test]
fn many_are_told_to_stop_and_each_goes_its_way() {
    let fleet = Fleet::with("stop=3000 limit=none");
    let members = fleet.members(6, "");
    let (supervisor, rest) = court(&fleet, &members);
    rest.iter().for_each(|member| drop(member.lock("g", &format!("mutex line-{}", member.id)).unwrap()));
    rest[1].process.stop();
    assert_eq!(supervisor.command_all("stop").unwrap(), 5);
    // One leaves, one stands still, one is killed, two go on.
    rest[0].obeys(0, "stop");
    rest[0].ask("leave").unwrap();
    kill(&rest[2]);
    let ends = [(0, "Left"), (1, "Evicted"), (2, "Failed"), (3, "Evicted"), (4, "Evicted")];
    let witness = std::slice::from_ref(&supervisor);
    for (n, reason) in ends {
        expect_ended(witness, &rest[n], reason);
        supervisor.lock("g", &format!("mutex line-{} within=25000", rest[n].id)).unwrap();
    }
    fleet.agree(witness);
    rest[1].process.resume();
    for n in [1, 3, 4] {
        expect_evicted(&rest[n], &[&format!("line-{}", rest[n].id)]);
    }
}

#[test]
fn a_supervisor_that_is_told_to_stop_hands_over() {
    for by_observer in [false, true] {
        for leaves in [true, false] {
            let fleet = Fleet::with(if leaves { "stop=none limit=none" } else { "stop=100 limit=none" });
            let members = fleet.members(4, "");
            let (supervisor, rest) = court(&fleet, &members);
            let by = if by_observer { fleet.observer() } else { supervisor.clone() };
            let epoch = rest[0].status().epoch;
            supervisor.lock("g", "mutex line").unwrap();
            rest[2].lock("kept", "mutex kept").unwrap();
            let waiting = line_up(&[&rest[1], &rest[0]], "mutex line");
            by.command(&supervisor, "stop").unwrap();
            supervisor.obeys(0, "stop");
            if leaves {
                supervisor.ask("leave").unwrap();
            }
            expect_reign(&rest, epoch);
            expect_ended(&rest, &supervisor, "Left");
            if leaves {
                supervisor.expect(0, "closed", &[]);
            } else {
                expect_evicted(&supervisor, &["line"]);
            }
            refused(supervisor.lock("x", "mutex line"), "Left");
            served_in_order(&waiting, 0);
            assert!(rest[2].is_held("kept"));
            fleet.agree(&rest);
            check_reigns(&rest);
        }
    }
}

#[test]
fn an_order_to_stop_outlives_the_supervisor_that_gave_it() {
    for verb in ["kill", "resign"] {
        let fleet = Fleet::with("limit=none");
        // The limit of whoever is supervisor applies: the first would wait for ever.
        let (supervisor, rest) = reigning(&fleet, "stop=none", 3, "stop=100");
        let epoch = rest[0].status().epoch;
        rest[0].lock("g", "mutex line").unwrap();
        rest[1].lock("kept", "mutex kept").unwrap();
        supervisor.command(&rest[0], "stop").unwrap();
        match verb {
            "kill" => kill(&supervisor),
            _ => drop(supervisor.ask("resign").unwrap()),
        }
        rest[0].obeys(0, "stop");
        expect_reign(&rest, epoch);
        // Whoever reigns now, and if it is that one itself.
        rest[2].lock("x", "mutex line within=25000").unwrap();
        expect_evicted(&rest[0], &["line"]);
        assert_eq!(told(&rest[0]), ["stop"], "it knew that already");
        assert!(rest[1].is_held("kept"));
        let mut left = rest[1..].to_vec();
        left.extend((verb == "resign").then_some(supervisor));
        fleet.agree(&left);
        assert!(left.iter().all(|member| member.events(0, "evicted").is_empty()));
    }
}

#[test]
fn a_supervisor_that_dies_while_it_evicts_somebody_leaves_no_lock_behind() {
    let fleet = Fleet::with("stop=1 limit=none");
    let mut members = fleet.members(6, "");
    for round in 0..12_u32 {
        let agreed = fleet.agree(&members);
        let supervisor = members.remove(agreed.supervisor);
        let victim = members.remove(0);
        victim.lock("g", "mutex line within=25000").unwrap();
        let waiting = line_up(&[&members[0]], "mutex line");
        supervisor.say(&format!("command {} stop", victim.id));
        // Somewhere between the order and the end of the eviction.
        match round % 3 {
            0 => victim.obeys(0, "stop"),
            1 => drop(victim.expect(0, "evicted", &[])),
            _ => fleet::sync::dawdle(round * 40),
        }
        kill(&supervisor);
        expect_reign(&members, agreed.epoch);
        let evicted = || !victim.events(0, "evicted").is_empty();
        fleet::eventually("the victim is either in or out", || evicted() || victim.status().epoch > agreed.epoch);
        if !evicted() {
            assert!(victim.is_held("g") && !waiting[0].is_over());
            victim.ask("leave").unwrap();
        }
        waiting[0].granted();
        members[0].unlock("g").unwrap();
        expect_ended(&members, &supervisor, "Failed");
        while members.len() < 6 {
            members.push(fleet.member(""));
        }
    }
    check_reigns(&members);
}
