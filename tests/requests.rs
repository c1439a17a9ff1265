//! Questions to the handler in whichever process reigns: each is answered once, or its asker is told that it is not.

mod fleet;

use std::collections::BTreeMap;

use fleet::control::{denied, reigning};
use fleet::locks::refused;
use fleet::schedules::{court, expect_reign, hold_window_open, kill, others, winner};
use fleet::sync::Call;
use fleet::{Fleet, Line, Load, Member, eventually};

/// The largest question, and the largest reply.
const LARGEST: usize = 1024 * 1024;

/// What the handler of this member answers.
fn answered(by: &Member, text: &str) -> String {
    format!("{}:{text}", by.process.pid)
}

/// What a call to the handler was answered.
fn reply(call: &Call) -> String {
    call.done().text("reply")
}

/// How often the handlers of these members have run for this question.
fn handled(members: &[Member], text: &str) -> usize {
    let own = |event: &Line| event.get("bytes") == Some(text);
    members.iter().map(|member| member.caught_up().events(0, "handled").into_iter().filter(own).count()).sum()
}

/// Waits until the handler of this member runs for this question.
fn runs(member: &Member, text: &str) {
    member.expect(0, "handled", &[("bytes", text)]);
}

#[test]
fn p6_the_handler_of_the_supervisor_answers_everybody() {
    let fleet = Fleet::with("handler=echo");
    let members = fleet.members(3, "");
    let (supervisor, rest) = court(&fleet, &members);
    let observer = fleet.observer();
    for member in [&rest[0], &rest[1], &supervisor, &observer] {
        for (n, how) in ["", " try", " within=25000"].into_iter().enumerate() {
            if member.id.is_empty() && how == " try" {
                continue;
            }
            let text = format!("question-{}-{n}", member.process.pid);
            assert_eq!(member.request(&format!("{text}{how}")).unwrap(), answered(&supervisor, &text));
            let from = supervisor.expect(0, "handled", &[("bytes", text.as_str())]).text("from");
            assert!(from == member.id || member.id.is_empty());
            assert_eq!(handled(&members, &text), 1);
        }
    }
    assert!(
        rest.iter().all(|member| member.caught_up().events(0, "handled").is_empty()),
        "only the supervisor is asked"
    );
    // An empty one, and the largest.
    assert_eq!(rest[0].request("empty size=0").unwrap(), answered(&supervisor, ""));
    for member in [&rest[0], &supervisor, &observer] {
        let error = refused(member.ask(&format!("request x size={}", LARGEST + 1)), "Option");
        assert!(error.contains("1048577 exceeds 1048576"), "{error:?}");
    }
}

#[test]
fn p6_the_largest_question_and_the_largest_reply() {
    let fleet = Fleet::with("handler=echo");
    let members = fleet.members(2, "");
    let (supervisor, rest) = court(&fleet, &members);
    // The echo has the process number before it.
    let most = LARGEST - supervisor.process.pid.to_string().len() - 1;
    for member in [&rest[0], &supervisor] {
        assert_eq!(member.request(&format!("x size={most}")).unwrap(), format!("{LARGEST}-bytes"));
        // A question that is fine, with an answer that is too large.
        for what in [format!("request x size={LARGEST}"), "request large".to_owned()] {
            let error = refused(member.ask(&what), "Failed");
            assert!(error.contains("1048576"), "{error:?}");
        }
        assert_eq!(member.request("after").unwrap(), answered(&supervisor, "after"));
    }
}

#[test]
fn p6_without_a_handler_a_request_is_denied() {
    let fleet = Fleet::with("limit=none");
    let (supervisor, rest) = reigning(&fleet, "", 2, "handler=echo");
    let observer = fleet.observer();
    for member in [&rest[0], &rest[1], &supervisor, &observer] {
        denied(member.ask("request text"), "no handler");
    }
    // The next one has one.
    let epoch = rest[0].status().epoch;
    kill(&supervisor);
    expect_reign(&rest, epoch);
    for member in &rest {
        assert!(member.request("text").unwrap().ends_with(":text"));
    }
    // It may not have noticed yet.
    eventually("the observer is answered", || match observer.request("text") {
        Ok(reply) => reply.ends_with(":text"),
        Err(error) => error.starts_with("Interrupted").then_some(false).expect("no other error"),
    });
}

#[test]
fn p6_a_handler_that_panics_fails_the_request_and_nothing_else() {
    let fleet = Fleet::with("handler=echo");
    let members = fleet.members(2, "");
    let (supervisor, rest) = court(&fleet, &members);
    let epoch = rest[0].status().epoch;
    for n in 0..20 {
        for member in [&rest[0], &supervisor] {
            refused(member.ask(&format!("request panic-{n}")), "Failed");
            assert_eq!(member.request("after").unwrap(), answered(&supervisor, "after"));
        }
    }
    assert_eq!(rest[0].status().epoch, epoch);
}

#[test]
fn p6_a_handler_that_calls_its_own_instance_is_told_so() {
    let fleet = Fleet::with("handler=echo");
    let members = fleet.members(2, "");
    let (supervisor, rest) = court(&fleet, &members);
    for member in [&rest[0], &supervisor] {
        assert_eq!(member.request("call").unwrap(), "InCallback/InCallback/InCallback/InCallback");
    }
    assert!(!supervisor.sees_lock("callback") && supervisor.get("callback").is_none());
}

#[test]
fn p6_many_at_once_get_each_its_own_answer() {
    const COUNT: usize = 100;
    let _load = Load::new();
    let fleet = Fleet::with("handler=echo");
    let members = fleet.members(4, "");
    let (supervisor, _) = court(&fleet, &members);
    let observer = fleet.observer();
    let askers: Vec<_> = members.iter().chain([&observer]).collect();
    let calls: Vec<_> = askers
        .iter()
        .flat_map(|member| (0..5).map(|n| member.call(&format!("inquire {COUNT} q{n}-{}", member.process.pid))))
        .collect();
    calls.iter().for_each(|call| drop(call.done()));
    for member in askers {
        let asked = member.events(0, "asked");
        assert_eq!(asked.len(), 5 * COUNT);
        for event in asked {
            assert_eq!(event.get("reply"), Some(answered(&supervisor, &event.text("word")).as_str()), "{event:?}");
        }
    }
    assert_eq!(supervisor.caught_up().events(0, "handled").len(), 5 * 5 * COUNT);
}

#[test]
fn p6_a_slow_handler_holds_up_nothing_else() {
    let fleet = Fleet::with("handler=echo");
    let members = fleet.members(4, "");
    let (supervisor, rest) = court(&fleet, &members);
    for asker in [&rest[0], &supervisor] {
        let text = format!("slow-{}", asker.id);
        let slow = asker.requesting(&text);
        runs(&supervisor, &text);
        for member in &members {
            member.lock("g", "mutex line within=25000").unwrap();
            member.unlock("g").unwrap();
            member.put("key", "x");
            member.broadcast("news").unwrap();
            assert_eq!(member.request("quick").unwrap(), answered(&supervisor, "quick"));
        }
        let newcomer = fleet.member("");
        newcomer.request("quick").unwrap();
        newcomer.ask("leave").unwrap();
        // Who has waited long enough goes on; what it asked runs to its end.
        let given_up = format!("slow-given-up-{}", asker.id);
        refused(asker.ask(&format!("request {given_up} within=50")), "TimedOut");
        assert!(!slow.is_over());
        supervisor.unblock();
        assert_eq!(reply(&slow), answered(&supervisor, &text));
        assert_eq!(asker.request("after").unwrap(), answered(&supervisor, "after"));
        assert!(handled(&members, &given_up) <= 1);
    }
    assert!(members.iter().all(|member| member.events(0, "hung").is_empty()));
}

#[test]
fn p6_whoever_only_tries_does_not_wait_for_a_supervisor_that_stands_still() {
    let fleet = Fleet::with("limit=none handler=echo");
    let members = fleet.members(3, "");
    let (supervisor, rest) = court(&fleet, &members);
    supervisor.process.stop();
    for n in 0..2 {
        refused(rest[0].ask(&format!("request tried-{n} try")), "WouldBlock");
    }
    supervisor.process.resume();
    assert_eq!(rest[0].request("after").unwrap(), answered(&supervisor, "after"));
    // What was tried may still be heard, once. Nor does it wait for a handler that takes long.
    refused(rest[0].ask("request slow try"), "WouldBlock");
    assert!(["tried-0", "tried-1", "slow"].iter().all(|text| handled(&members, text) <= 1));
    supervisor.unblock();
    assert_eq!(rest[0].request("after").unwrap(), answered(&supervisor, "after"));
}

#[test]
fn p6_whoever_asked_may_be_gone_before_the_answer() {
    let fleet = Fleet::with("handler=echo");
    let (supervisor, rest) = reigning(&fleet, "", 3, "");
    let calls = [rest[0].requesting("slow-killed"), rest[1].requesting("slow-left")];
    runs(&supervisor, "slow-killed");
    runs(&supervisor, "slow-left");
    kill(&rest[0]);
    rest[1].ask("leave").unwrap();
    let error = calls[1].answer().unwrap_err();
    assert!(error.starts_with("Left") || error.starts_with("Interrupted"), "{error}");
    fleet.agree(&[supervisor.clone(), rest[2].clone()]);
    supervisor.unblock();
    assert_eq!(rest[2].request("after").unwrap(), answered(&supervisor, "after"));
}

// ------------------------------------------------------------------------------------------------------ across a reign

#[test]
fn p6_a_request_that_runs_as_the_supervisor_dies_is_interrupted_and_the_next_one_is_served() {
    let fleet = Fleet::with("limit=none handler=echo");
    for verb in ["kill", "resign"] {
        let members = fleet.members(4, "");
        let (supervisor, rest) = court(&fleet, &members);
        let observer = fleet.observer();
        let epoch = rest[0].status().epoch;
        let slow: Vec<_> =
            rest.iter().chain([&observer]).enumerate().map(|(n, m)| m.requesting(&format!("slow-{n}"))).collect();
        (0..slow.len()).for_each(|n| runs(&supervisor, &format!("slow-{n}")));
        match verb {
            "kill" => kill(&supervisor),
            _ => drop(supervisor.ask("resign").unwrap()),
        }
        for call in &slow {
            refused(call.answer(), "Interrupted");
        }
        expect_reign(&rest, epoch);
        for member in &rest {
            let said = member.request("next").unwrap();
            assert!(rest.iter().any(|next| said == answered(next, "next")), "{said}");
        }
        assert!((0..slow.len()).all(|n| handled(&rest, &format!("slow-{n}")) == 0), "nothing is asked twice");
        if verb == "resign" {
            supervisor.unblock();
            supervisor.ask("leave").unwrap();
        }
        rest.iter().for_each(|member| drop(member.ask("leave").unwrap()));
    }
}

#[test]
fn p6_the_own_request_of_a_supervisor_that_resigns_ends_too() {
    let fleet = Fleet::with("limit=none handler=echo");
    let members = fleet.members(2, "");
    let (supervisor, rest) = court(&fleet, &members);
    let slow = supervisor.requesting("slow");
    runs(&supervisor, "slow");
    supervisor.ask("resign").unwrap();
    refused(slow.answer(), "Interrupted");
    assert_eq!(supervisor.request("next").unwrap(), answered(&rest[0], "next"));
    supervisor.unblock();
}

#[test]
fn p6_what_is_asked_in_an_open_window_is_answered_once_after_it() {
    let fleet = Fleet::with("limit=none handler=echo");
    let members = fleet.members(5, "");
    let (supervisor, rest) = court(&fleet, &members);
    let observer = fleet.observer();
    let stopped = rest[0].clone();
    let rest = hold_window_open(&members, &supervisor, &stopped);
    for member in &rest {
        refused(member.ask("request tried try"), "WouldBlock");
        refused(member.ask("request late within=20"), "TimedOut");
    }
    let asks = |member: &Member| {
        let text = format!("question-{}", member.process.pid);
        (member.requesting(&text), text)
    };
    let calls: Vec<_> = rest.iter().chain([&observer]).map(asks).collect();
    rest.iter().for_each(|member| drop(member.status()));
    assert!(calls.iter().all(|(call, _)| !call.is_over()), "nobody answers in an open window");
    let next = winner(&rest);
    stopped.process.resume();
    for (call, text) in &calls {
        assert_eq!(reply(call), answered(&next, text));
        assert_eq!(handled(&members, text), 1);
    }
    assert_eq!(stopped.request("own").unwrap(), answered(&next, "own"));
    assert_eq!(handled(&members, "tried") + handled(&members, "late"), 0);
}

#[test]
fn p6_no_question_is_heard_twice_while_supervisors_are_killed() {
    const COUNT: usize = 300;
    let _load = Load::new();
    let fleet = Fleet::with("limit=none handler=echo");
    let mut members = fleet.members(6, "");
    let mut all = members.clone();
    let askers = members[..3].to_vec();
    let calls: Vec<_> = askers
        .iter()
        .flat_map(|member| (0..3).map(|n| member.call(&format!("inquire {COUNT} q{n}-{}", member.process.pid))))
        .collect();
    for _ in 0..5 {
        let agreed = fleet.agree(&members);
        let supervisor = members[agreed.supervisor].clone();
        let asked = || askers.iter().map(|asker| asker.events(0, "asked").len()).sum::<usize>();
        let before = asked();
        eventually("they go on", || asked() > before + 50 || calls.iter().all(Call::is_over));
        if askers.iter().any(|asker| asker.id == supervisor.id) {
            supervisor.ask("resign").unwrap();
        } else {
            kill(&supervisor);
            members = others(&members, &supervisor);
            let next = fleet.member("");
            all.push(next.clone());
            members.push(next);
        }
        expect_reign(&members[..3], agreed.epoch);
    }
    calls.iter().for_each(|call| drop(call.done()));
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for event in all.iter().flat_map(|member| member.caught_up().events(0, "handled")) {
        *times.entry(event.text("bytes")).or_default() += 1;
    }
    assert!(times.values().all(|count| *count == 1), "something was asked twice");
    for asker in &askers {
        let asked = asker.events(0, "asked");
        assert_eq!(asked.len(), 3 * COUNT);
        for event in asked {
            let word = event.text("word");
            match event.get("reply") {
                Some(reply) => {
                    assert!(reply.ends_with(&format!(":{word}")), "{event:?}");
                    assert_eq!(times.get(&word), Some(&1));
                }
                None => assert_eq!(event.get("error"), Some("Interrupted"), "{event:?}"),
            }
        }
    }
}
