//! What the policy denies has no effect, and what it takes its time for delays nobody else.

mod fleet;

use fleet::control::{denied, labelled, reigning};
use fleet::locks::{Waiting, refused};
use fleet::{Fleet, Line, Load, Member};

/// Every operation of an instance under this name, and what the policy is asked about first.
fn operations(name: &str, to: &Member) -> Vec<(String, &'static str)> {
    let locks = ["mutex", "read", "write"].map(|kind| format!("lock g {kind} {name}"));
    let permits = format!("lock g permits {name} limit=2 count=1");
    let ways = |what: String| [what.clone(), format!("{what} try"), format!("{what} within=25000")];
    let mut all: Vec<_> = locks.into_iter().flat_map(ways).map(|what| (what, "acquire")).collect();
    // Whoever is the first to use a semaphore writes its limit.
    all.extend(ways(permits).map(|what| (what, "write")));
    for how in ["", " try", " within=25000"] {
        all.push((format!("once {name} bytes=x{how}"), "acquire"));
        all.push((format!("send {} {name}{how}", to.id), "send"));
        all.push((format!("broadcast {name}{how}"), "broadcast"));
        all.push((format!("request {name}{how}"), "request"));
    }
    for what in [format!("meet {name} 1"), format!("meet {name} 1 within=25000"), format!("meet {name} 2")] {
        all.push((what, "arrive"));
    }
    for what in [
        format!("put {name} x"),
        format!("put {name} x within=25000"),
        format!("put {name} x if=none"),
        format!("delete {name}"),
        format!("resize {name} 3"),
    ] {
        all.push((what, "write"));
    }
    all
}

/// What the policy was asked about this name: who, as what, and what for.
fn judged(supervisor: &Member, name: &str) -> Vec<(String, String, String)> {
    let own = |event: &Line| event.get("name") == Some(name);
    let tell = |event: Line| (event.text("who"), event.text("role"), event.text("what"));
    supervisor.caught_up().events(0, "judged").into_iter().filter(own).map(tell).collect()
}

/// That nothing came of anything that was asked for under this name.
fn assert_no_trace(supervisor: &Member, others: &[Member], name: &str) {
    for member in others.iter().chain([supervisor]) {
        assert!(!member.sees_lock(name), "somebody has or waits for {name}");
        assert_eq!(member.get(name), None);
        assert_eq!(member.ask(&format!("limit {name}")).unwrap().text("limit"), "none");
        assert!(member.heard().iter().all(|(_, text)| text != name), "{} was told", member.id);
        let named = |event: &Line| [event.get("key"), event.get("name")].contains(&Some(name));
        assert!(!member.events(0, "state").iter().any(named) && !member.events(0, "runs").iter().any(named));
    }
    assert!(supervisor.caught_up().events(0, "handled").iter().all(|event| event.get("bytes") != Some(name)));
}

#[test]
fn c4_a_key_that_is_written_and_deleted_while_the_policy_thinks_has_no_value() {
    let fleet = Fleet::new();
    let supervisor = fleet.member("policy=block:write:key:late");
    let [late, other] = &labelled(&fleet, &["late", "other"], "")[..] else { panic!("two members") };
    other.put("key", "before");
    other.ask("delete key").unwrap();
    let asked = |from: usize| supervisor.expect(from, "judged", &[("who", &late.id), ("name", "key")]);
    let put = late.call("put key new if=none");
    asked(0);
    // It has asked for what has the version of the first deletion, and gets what has that of the second one.
    other.put("key", "between");
    other.ask("delete key").unwrap();
    let mark = supervisor.process.mark();
    supervisor.unblock();
    asked(mark);
    supervisor.unblock();
    let version = put.done().text("version");
    assert_eq!(other.get("key"), Some(("new".to_owned(), version)));
    // One that has a value has one.
    let mark = supervisor.process.mark();
    let put = late.call("put key newer if=none");
    asked(mark);
    supervisor.unblock();
    refused(put.answer(), "Conflict");
}

#[test]
fn c4_what_is_denied_has_no_effect_and_says_why() {
    let fleet = Fleet::new();
    let options = "policy=deny:any:bad handler=echo";
    let (supervisor, rest) = reigning(&fleet, options, 2, "");
    for (member, role) in [(&supervisor, "Supervisor"), (&rest[0], "Subordinate")] {
        let before = judged(&supervisor, "bad").len();
        let asked = operations("bad", &rest[1]);
        for (what, kind) in &asked {
            denied(member.ask(what), &format!("no-{kind}"));
        }
        // Each was asked about once, in its turn, and by its name.
        let told = |(_, kind): &(String, &str)| (member.id.clone(), role.to_owned(), (*kind).to_owned());
        let told: Vec<_> = asked.iter().map(told).collect();
        assert_eq!(judged(&supervisor, "bad")[before..], told);
        // Whatever had got through would have been there before this.
        member.broadcast(&format!("fence-{}", member.id)).unwrap();
        rest[1].hears(&format!("fence-{}", member.id));
        assert_no_trace(&supervisor, &rest, "bad");
    }
}

#[test]
fn c4_what_is_allowed_happens() {
    let fleet = Fleet::new();
    let (supervisor, rest) = reigning(&fleet, "policy=deny:any:bad handler=echo", 2, "");
    for member in [&supervisor, &rest[0]] {
        let before = judged(&supervisor, &member.id).len();
        for (what, _) in operations(&member.id, &rest[1]) {
            // A barrier for two is no barrier for one; nobody else comes.
            if what.starts_with("meet") && what.ends_with(" 2") {
                continue;
            }
            let done = member.ask(&what);
            let conflict = what.contains("if=none") && done.as_ref().is_err_and(|error| error.starts_with("Conflict"));
            assert!(done.is_ok() || conflict, "{what}: {done:?}");
            if what.starts_with("lock") {
                member.unlock("g").unwrap();
            }
        }
        assert!(judged(&supervisor, &member.id).len() > before);
        rest[1].hears(&member.id);
    }
}

#[test]
fn c4_a_supervisor_alone_is_asked_like_everybody() {
    let fleet = Fleet::new();
    let alone = fleet.member("policy=deny:any:bad handler=echo");
    for (what, kind) in operations("bad", &alone) {
        denied(alone.ask(&what), &format!("no-{kind}"));
    }
    assert_no_trace(&alone, &[], "bad");
    alone.lock("g", "mutex good").unwrap();
    alone.put("good", "x");
    alone.meet("good 1").done();
    alone.send(&alone, "good").unwrap();
    alone.hears("good");
    assert_eq!(alone.broadcast("good").unwrap(), 0);
    alone.request("good").unwrap();
}

#[test]
fn c4_what_a_call_does_in_several_steps_is_asked_about_step_by_step() {
    let fleet = Fleet::new();
    let options = "policy=deny:write:work+deny:write:closed+deny:acquire:seats";
    let (supervisor, rest) = reigning(&fleet, options, 2, "");
    for member in [&rest[0], &supervisor, &rest[1]] {
        // The work is run, and its result is not for everybody.
        denied(member.once("work bytes=x").answer(), "no-write");
        denied(member.lock("g", "permits closed limit=3 count=1"), "no-write");
        denied(member.ask("resize closed 9"), "no-write");
        // The first one makes the limit, and nobody gets a permit.
        denied(member.lock("g", "permits seats limit=3 count=1"), "no-acquire");
    }
    assert!(!supervisor.sees_lock("work"), "nobody runs it, and nobody waits for it");
    assert_eq!(rest[0].ask("limit closed").unwrap().text("limit"), "none");
    assert_eq!(rest[0].ask("limit seats").unwrap().text("limit"), "3");
}

#[test]
fn c4_the_result_of_what_was_done_once_is_told_without_asking() {
    let fleet = Fleet::new();
    let (supervisor, others) = reigning(&fleet, "policy=deny:acquire:any:visitor+deny:write:any:visitor", 2, "");
    let visitor = labelled(&fleet, &["visitor"], "").remove(0);
    denied(visitor.ask("once work bytes=mine"), "no-acquire");
    others[0].once("work bytes=x").done();
    let early = judged(&supervisor, "work").len();
    // Also to who is paused: it only hears what others have done.
    supervisor.command(&others[1], "pause").unwrap();
    for member in [&visitor, &others[1]] {
        let call = member.once("work bytes=other").done();
        assert_eq!((call.text("result"), call.text("ran")), ("x".to_owned(), "false".to_owned()));
    }
    assert_eq!(judged(&supervisor, "work").len(), early);
}

#[test]
fn c4_an_observer_is_asked_about_too() {
    let fleet = Fleet::new();
    let options = "policy=deny:any:bad+deny:command:stop handler=echo";
    let (supervisor, rest) = reigning(&fleet, options, 2, "");
    let observer = fleet.observer();
    let to = &rest[0];
    denied(observer.ask("put bad x"), "no-write");
    denied(observer.ask("delete bad"), "no-write");
    denied(observer.send(to, "bad"), "no-send");
    denied(observer.ask("broadcast bad"), "no-broadcast");
    denied(observer.ask("request bad"), "no-request");
    denied(observer.command(to, "stop"), "no-command");
    denied(observer.ask("command all stop"), "no-command");
    let whos = judged(&supervisor, "bad").into_iter().chain(judged(&supervisor, "stop"));
    let whos: Vec<_> = whos.map(|(who, _, _)| who).collect();
    assert_eq!(whos.len(), 7);
    assert!(whos.iter().all(|who| *who == whos[0] && rest.iter().all(|member| member.id != *who)));

    observer.put("good", "x");
    observer.send(to, "good").unwrap();
    assert_eq!(observer.broadcast("good-all").unwrap(), 3);
    assert!(observer.request("good").unwrap().ends_with(":good"));
    observer.command(to, "good-command").unwrap();
    to.expect(0, "command", &[("bytes", "good-command")]);
    to.hears("good-all");
    assert_no_trace(&supervisor, &[], "bad");
    let said: Vec<_> = to.heard().into_iter().map(|(_, text)| text).collect();
    assert_eq!(said, ["good", "good-all"]);
    assert!(to.events(0, "command").iter().all(|event| event.get("what") != Some("stop")));
}

#[test]
fn c4_the_policy_of_a_supervisor_is_not_asked_about_its_own_commands() {
    let fleet = Fleet::new();
    let (supervisor, rest) = reigning(&fleet, "policy=deny:command", 1, "");
    supervisor.command(&rest[0], "text").unwrap();
    rest[0].obeys(0, "custom");
    assert!(supervisor.caught_up().events(0, "judged").is_empty());
}

#[test]
fn c4_a_barrier_does_not_count_who_was_denied() {
    let fleet = Fleet::new();
    let supervisor = fleet.member("policy=deny:arrive:phase:mute");
    let members = labelled(&fleet, &["mute", "a", "b"], "");
    let waiting = members[1].meet("phase 2");
    waiting.arrived();
    for _ in 0..3 {
        denied(members[0].meet("phase 2").answer(), "no-arrive");
    }
    members[1].ask("held-permits none").unwrap();
    assert!(!waiting.is_over());
    members[2].meet("phase 2").done();
    waiting.done();
    assert_eq!(judged(&supervisor, "phase").len(), 5);
}

#[test]
fn c4_two_with_different_answers_side_by_side() {
    let _load = Load::new();
    let fleet = Fleet::new();
    let supervisor = fleet.member("policy=deny:any:any:mute handler=echo");
    let members = labelled(&fleet, &["mute", "loud"], "");
    let [mute, loud] = &members[..] else { unreachable!() };
    let talking = |member: &Member, word: &str| {
        [
            member.call(&format!("chatter {} 60 {word}", supervisor.id)),
            member.call(&format!("chatter all 60 {word}-all")),
            member.call(&format!("inquire 60 {word}-asks")),
        ]
    };
    let calls: Vec<_> = talking(mute, "mute").into_iter().chain(talking(loud, "loud")).collect();
    for n in 0..40 {
        denied(mute.lock("g", "mutex line"), "no-acquire");
        denied(mute.ask("put key mute"), "no-write");
        loud.lock("g", "mutex line within=25000").unwrap();
        loud.put("key", &n.to_string());
        loud.unlock("g").unwrap();
    }
    calls.iter().for_each(|call| drop(call.done()));
    for (member, denied) in [(mute, true), (loud, false)] {
        let all: Vec<_> = member.events(0, "said").into_iter().chain(member.events(0, "asked")).collect();
        assert_eq!(all.len(), 180);
        assert!(all.iter().all(|event| event.get("error") == denied.then_some("Denied")), "{all:?}");
    }
    assert!(supervisor.heard_from(mute).is_empty());
    supervisor.hears("loud-60");
    supervisor.hears("loud-all-60");
    assert_eq!(supervisor.heard_from(loud).len(), 120);
    assert_eq!(supervisor.get("key").unwrap().0, "39");
}

// -------------------------------------------------------------------------------------------- a policy that misbehaves

#[test]
fn c4_a_policy_that_panics_denies_and_the_supervisor_lives() {
    let fleet = Fleet::new();
    let options = "policy=panic:any:bad handler=echo";
    let (supervisor, rest) = reigning(&fleet, options, 2, "");
    let epoch = rest[0].status().epoch;
    for member in [&rest[0], &supervisor] {
        for (what, _) in operations("bad", &rest[1]) {
            denied(member.ask(&what), "");
        }
        member.lock("g", "mutex good").unwrap();
        member.unlock("g").unwrap();
        member.put("good", "x");
        member.send(&rest[1], "good").unwrap();
    }
    assert!(!supervisor.sees_lock("bad") && supervisor.get("bad").is_none());
    assert!(rest[1].heard().iter().all(|(_, text)| text == "good"));
    assert_eq!(rest[1].status().epoch, epoch, "nobody else reigns");
}

#[test]
fn c4_a_policy_that_calls_its_own_instance_is_told_so() {
    let fleet = Fleet::new();
    let (supervisor, rest) = reigning(&fleet, "policy=call:acquire:bad", 1, "");
    for member in [&rest[0], &supervisor] {
        let error = refused(member.lock("g", "mutex bad"), "Denied");
        assert!(error.contains("InCallback/InCallback/InCallback/InCallback"), "{error:?}");
    }
    assert!(!supervisor.sees_lock("callback") && supervisor.get("callback").is_none());
    supervisor.lock("g", "mutex callback").unwrap();
}

#[test]
fn c4_a_policy_that_takes_its_time_for_one_delays_nobody_else() {
    let fleet = Fleet::new();
    let options = "policy=block:any:slow:victim+block:any:slow-too:boss label=boss handler=echo";
    let supervisor = fleet.member(options);
    let rest = labelled(&fleet, &["victim", "a", "b"], "");
    for (victim, name) in [(&rest[0], "slow"), (&supervisor, "slow-too")] {
        let what = format!("mutex {name}");
        let others: Vec<_> = rest[1..].iter().chain((victim.id != supervisor.id).then_some(&supervisor)).collect();
        victim.lock("held", "mutex held").unwrap();
        let waiting = rest[1].queue("w", "mutex held", 0);
        let mark = supervisor.process.mark();
        let slow = victim.locking("slow", &what);
        supervisor.judges(mark, "acquire", name);
        // What the others do.
        for other in &others {
            other.lock("g", &format!("{what} within=25000")).unwrap();
            other.unlock("g").unwrap();
            other.put("key", "x");
            other.send(victim, &format!("to-{}-from-{}", victim.id, other.id)).unwrap();
            other.broadcast("news").unwrap();
            other.request("question").unwrap();
            victim.hears(&format!("to-{}-from-{}", victim.id, other.id));
        }
        rest[1].meet("phase 2");
        rest[2].meet("phase 2").done();
        // What the victim does that nobody has to be asked about.
        victim.unlock("held").unwrap();
        waiting.granted();
        rest[1].unlock("w").unwrap();
        victim.ask("held-permits none").unwrap();
        if victim.id != supervisor.id {
            refused(victim.ask("office 300"), "TimedOut");
        }
        // What it asks for now waits behind the question.
        let behind = victim.call("put behind x");
        let newcomer = fleet.member("");
        newcomer.lock("g", "mutex held within=25000").unwrap();
        newcomer.ask("leave").unwrap();
        assert!(!slow.is_over() && !behind.is_over());
        assert_eq!(rest[1].get("behind"), None);
        supervisor.unblock();
        slow.granted();
        behind.done();
        victim.unlock("slow").unwrap();
        victim.ask("delete behind").unwrap();
    }
    assert!(rest.iter().chain([&supervisor]).all(|member| member.events(0, "hung").is_empty()));
}

#[test]
fn c4_questions_that_block_for_several_delay_none_of_the_rest() {
    let fleet = Fleet::new();
    let supervisor = fleet.member("policy=block:any:slow");
    let rest = fleet.members(4, "");
    let mut slow: Vec<_> = rest[1..]
        .iter()
        .map(|member| {
            let mark = supervisor.process.mark();
            let call = member.locking("slow", "mutex slow");
            supervisor.judges(mark, "acquire", "slow");
            call
        })
        .collect();
    rest[0].lock("g", "mutex good").unwrap();
    rest[0].send(&rest[1], "good").unwrap();
    supervisor.put("good", "x");
    assert!(slow.iter().all(|slow| !slow.is_over()));
    supervisor.unblock();
    // Allowed at the same moment, granted one after the other.
    while !slow.is_empty() {
        fleet::eventually("one of them has it", || slow.iter().any(Waiting::is_over));
        let owner = slow.remove(slow.iter().position(Waiting::is_over).expect("one of them has it"));
        owner.granted();
        assert!(!slow.iter().any(Waiting::is_over), "two have it");
        owner.member.unlock("slow").unwrap();
    }
}
