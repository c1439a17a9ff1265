//! Whose policy counts when the office changes hands, and what becomes of a question while the one who asked is gone.

mod fleet;

use fleet::control::{denied, labelled, reigning};
use fleet::locks::{Waiting, line_up, refused, served_in_order};
use fleet::schedules::{assert_ids_kept, expect_ended, expect_reign, hold_window_open, kill, others, winner};
use fleet::{Fleet, Member};

/// The policies of all these were asked by nobody with this id.
fn assert_never_judged(members: &[Member], who: &Member) {
    for member in members {
        let judged = member.caught_up().events(0, "judged");
        assert!(judged.iter().all(|event| event.get("who") != Some(&who.id)), "{} was asked about", who.id);
    }
}

#[test]
fn c4_after_a_kill_the_policy_of_the_next_supervisor_counts() {
    for (old, new) in [("", "policy=deny:any"), ("policy=deny:any", ""), ("policy=deny:write", "policy=deny:acquire")] {
        let fleet = Fleet::with("limit=none handler=echo");
        let (supervisor, rest) = reigning(&fleet, old, 3, new);
        let ask = |rules: &str| {
            for member in &rest {
                let may = |what: &str| !rules.ends_with("any") && !rules.ends_with(what);
                let answers = [
                    (member.lock("g", "mutex line").and_then(|_| member.unlock("g")), "acquire"),
                    (member.ask("put key x"), "write"),
                    (member.send(&rest[0], "text"), "send"),
                    (member.ask("broadcast text"), "broadcast"),
                    (member.ask("request text"), "request"),
                    (member.meet("alone 1").answer(), "arrive"),
                ];
                for (answer, what) in answers {
                    match may(what) {
                        true => drop(answer.unwrap()),
                        false => denied(answer, &format!("no-{what}")),
                    }
                }
            }
        };
        ask(old);
        kill(&supervisor);
        ask(new);
        assert_ids_kept(&rest);
    }
}

#[test]
fn c4_whoever_resigns_obeys_the_policy_of_the_next_one() {
    let fleet = Fleet::with("limit=none");
    let (supervisor, rest) = reigning(&fleet, "", 2, "policy=deny:acquire:line");
    supervisor.lock("held", "mutex line").unwrap();
    supervisor.ask("resign").unwrap();
    assert!(supervisor.is_held("held"));
    for member in rest.iter().chain([&supervisor]) {
        denied(member.lock("g", "mutex line"), "no-acquire");
        member.lock("other", "mutex other within=25000").unwrap();
        member.unlock("other").unwrap();
    }
}

#[test]
fn c4_waits_are_asked_about_again_and_the_others_keep_their_places() {
    let fleet = Fleet::with("limit=none");
    let rules = "policy=deny:acquire:line:bad+deny:acquire:any:holder+deny:acquire:any:reads";
    for verb in ["kill", "resign"] {
        let supervisor = fleet.member("");
        let members = labelled(&fleet, &["holder", "a", "bad", "b", "bad", "c", "reads"], rules);
        let all: Vec<_> = members.iter().chain([&supervisor]).cloned().collect();
        let epoch = fleet.agree(&all).epoch;
        let [holder, waiters @ .., reads] = &members[..] else { unreachable!() };
        let token = holder.lock("g", "mutex line").unwrap().number("token");
        reads.lock("g", "read index").unwrap();
        let waiting = line_up(&waiters.iter().collect::<Vec<_>>(), "mutex line");
        match verb {
            "kill" => kill(&supervisor),
            _ => drop(supervisor.ask("resign").unwrap()),
        }
        expect_reign(&members, epoch);
        let (bad, good): (Vec<_>, Vec<_>) = waiting.into_iter().enumerate().partition(|(n, _)| n % 2 == 1);
        for (_, bad) in bad {
            denied(bad.answer(), "no-acquire");
        }
        let mut good: Vec<_> = good.into_iter().map(|(_, waiting)| waiting).collect();
        assert!(holder.is_held("g") && reads.is_held("g"));
        // What somebody has is nobody's to allow again.
        assert_never_judged(&members, holder);
        assert_never_judged(&members, reads);
        good.push(members[1].queue("late", "mutex line", 3));
        holder.unlock("g").unwrap();
        served_in_order(&good, token);
        denied(holder.lock("g", "mutex line"), "no-acquire");
        reads.unlock("g").unwrap();
        others(&all, &supervisor).iter().for_each(|member| drop(member.ask("leave").unwrap()));
        if verb == "resign" {
            supervisor.ask("leave").unwrap();
        }
    }
}

#[test]
fn c4_nothing_is_granted_to_a_wait_before_it_was_asked_about_again() {
    let fleet = Fleet::with("limit=none");
    let supervisor = fleet.member("");
    let members = labelled(&fleet, &["holder", "slow", "b", "c"], "policy=block:acquire:line:slow");
    let all: Vec<_> = members.iter().chain([&supervisor]).cloned().collect();
    let epoch = fleet.agree(&all).epoch;
    let token = members[0].lock("g", "mutex line").unwrap().number("token");
    let [slow, second, third] =
        line_up(&[&members[1], &members[2], &members[3]], "mutex line").try_into().ok().unwrap();
    kill(&supervisor);
    expect_reign(&members, epoch);
    let next = winner(&members);
    next.expect(0, "judged", &[("who", slow.member.id.as_str()), ("name", "line")]);
    // What the second asks for now is asked about after its wait.
    second.member.lock("fence", "mutex other").unwrap();
    // The first is passed over, like one that is not there, and keeps its place.
    members[0].unlock("g").unwrap();
    let passed = second.granted().number("token");
    assert!(passed > token && !slow.is_over());
    next.unblock();
    // What it asks for now is asked about after that, so that this place is the first again.
    slow.member.lock("fence", "mutex fence").unwrap();
    second.member.unlock(&second.guard).unwrap();
    served_in_order(&[slow, third], passed);
}

#[test]
fn c4_waits_at_a_barrier_are_asked_about_again() {
    let fleet = Fleet::with("limit=none");
    let supervisor = fleet.member("");
    let members = labelled(&fleet, &["a", "bad", "b"], "policy=deny:arrive:phase:bad");
    let calls: Vec<_> = members[..2].iter().map(|member| member.meet("phase 3")).collect();
    calls.iter().for_each(fleet::sync::Call::arrived);
    kill(&supervisor);
    denied(calls[1].answer(), "no-arrive");
    // Two are there then; the one that was denied is not.
    let second = members[2].meet("phase 3");
    second.arrived();
    assert!(!calls[0].is_over() && !second.is_over());
    fleet.member("").meet("phase 3").done();
    calls[0].done();
    second.done();
}

#[test]
fn c4_what_is_said_in_an_open_window_is_asked_of_the_next_one() {
    let fleet = Fleet::with("limit=none handler=echo");
    for (old, new) in [("", "policy=deny:any:bad"), ("policy=deny:any:bad", "")] {
        let supervisor = fleet.member(old);
        let members = fleet.members(4, new);
        let all: Vec<_> = members.iter().chain([&supervisor]).cloned().collect();
        fleet.agree(&all);
        let stopped = members[0].clone();
        let rest = hold_window_open(&all, &supervisor, &stopped);
        let asks = |member: &Member| {
            ["lock g read bad", "put bad x", "broadcast bad", "request bad", "meet bad 1"].map(|what| member.call(what))
        };
        let calls: Vec<_> = rest.iter().flat_map(asks).collect();
        rest.iter().for_each(|member| drop(member.status()));
        let ends = calls.iter().filter(|call| call.is_over()).map(|call| call.answer());
        ends.for_each(|end| drop(refused(end, "Denied")));
        stopped.process.resume();
        for call in calls {
            match new {
                "" => drop(call.done()),
                _ => denied(call.answer(), "no-"),
            }
        }
        assert_eq!(stopped.get("bad").is_some(), new.is_empty());
        assert!(!new.is_empty() || rest.iter().any(|member| member.sees_lock("bad")));
        others(&all, &supervisor).iter().for_each(|member| drop(member.ask("leave").unwrap()));
    }
}

// ------------------------------------------------------------------------------- whoever asked is gone before the answer

/// One that reigns and whose policy takes its time for a member, which is returned second; then two others.
fn with_victim(fleet: &Fleet) -> (Member, Member, Vec<Member>) {
    let supervisor = fleet.member("policy=block:any:slow:victim handler=echo");
    let mut rest = labelled(fleet, &["victim", "a", "b"], "");
    (supervisor, rest.remove(0), rest)
}

/// Waits for a lock that the policy does not say anything about yet.
fn unjudged(supervisor: &Member, victim: &Member) -> Waiting {
    let mark = supervisor.process.mark();
    let waiting = victim.locking("slow", "mutex slow");
    supervisor.judges(mark, "acquire", "slow");
    waiting
}

#[test]
fn c4_nothing_is_granted_to_one_that_is_gone_when_the_policy_says_yes() {
    let fleet = Fleet::with("limit=none");
    for (verb, reason) in [("kill", "Failed"), ("leave", "Left")] {
        let (supervisor, victim, rest) = with_victim(&fleet);
        let slow = unjudged(&supervisor, &victim);
        match verb {
            "kill" => kill(&victim),
            _ => drop(victim.ask("leave").unwrap()),
        }
        expect_ended(&rest, &victim, reason);
        if verb == "leave" {
            refused(slow.answer(), "Left");
        }
        supervisor.unblock();
        for member in &rest {
            member.expect_free("mutex slow");
        }
        // Another one with this label, which is told nothing that was for the first.
        let next = fleet.member("label=victim");
        let slow = unjudged(&supervisor, &next);
        rest[0].expect_free("mutex slow");
        assert!(!slow.is_over());
        supervisor.unblock();
        slow.granted();
        assert!(supervisor.events(0, "disconnected").is_empty());
        kill(&supervisor);
        rest.iter().chain([&next]).for_each(|member| drop(member.ask("leave").unwrap()));
    }
}

#[test]
fn c4_nothing_comes_of_what_was_given_up_before_the_policy_said_yes() {
    let fleet = Fleet::new();
    let (supervisor, victim, rest) = with_victim(&fleet);
    for what in
        ["lock g mutex slow within=20", "meet slow 2 within=20", "broadcast slow within=20", "request slow within=20"]
    {
        let mark = supervisor.process.mark();
        refused(victim.ask(what), "TimedOut");
        // That it was given up has been heard before this was.
        victim.ask("held-permits none").unwrap();
        supervisor.expect(mark, "judged", &[("name", "slow")]);
        supervisor.unblock();
        // What it asks for next is asked about after that.
        victim.lock("fence", "mutex fence").unwrap();
        victim.broadcast("fence").unwrap();
        victim.unlock("fence").unwrap();
        rest[0].expect_free("mutex slow");
        let waiting = rest[0].meet("slow 2");
        waiting.arrived();
        assert!(!waiting.is_over(), "the one that gave up is counted");
        rest[1].meet("slow 2").done();
        waiting.done();
    }
    rest[0].hears("fence");
    assert!(rest[0].heard_from(&victim).iter().all(|text| text == "fence"));
    assert!(supervisor.caught_up().events(0, "handled").is_empty());
}

#[test]
fn c4_a_question_ends_with_the_reign_of_the_supervisor_that_asked_it() {
    for verb in ["kill", "resign"] {
        let fleet = Fleet::with("limit=none");
        let (supervisor, victim, rest) = with_victim(&fleet);
        let slow = unjudged(&supervisor, &victim);
        let epoch = supervisor.status().epoch;
        match verb {
            "kill" => kill(&supervisor),
            _ => drop(supervisor.ask("resign").unwrap()),
        }
        // The next one has no policy.
        expect_reign(&rest, epoch);
        slow.granted();
        if verb == "resign" {
            supervisor.unblock();
            refused(supervisor.lock("x", "mutex slow try"), "WouldBlock");
        }
        refused(rest[1].lock("x", "mutex slow try"), "WouldBlock");
        assert!(victim.is_held("slow"));
    }
}
