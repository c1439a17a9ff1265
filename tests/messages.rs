//! Messages: to one, to all, in the order of their sender, and never twice.

mod fleet;

use std::collections::BTreeSet;

use fleet::control::reigning;
use fleet::locks::refused;
use fleet::schedules::{assert_ids_kept, court, expect_ended, expect_reign, hold_window_open, kill, others};
use fleet::{Fleet, Line, Load, Member, eventually};

/// The largest message.
const LARGEST: usize = 1024 * 1024;

/// The words `WORD-1`, `WORD-2`, … in their order.
fn words(word: &str, count: u64) -> Vec<String> {
    (1..=count).map(|n| format!("{word}-{n}")).collect()
}

/// The messages that began with this word, in the order in which they were heard.
fn heard_of(member: &Member, word: &str) -> Vec<String> {
    let own = |(_, text): (String, String)| text.rsplit_once('-').is_some_and(|(w, _)| w == word).then_some(text);
    member.heard().into_iter().filter_map(own).collect()
}

/// The number at the end of a word.
fn number(word: &str) -> u64 {
    word.rsplit_once('-').and_then(|(_, number)| number.parse().ok()).expect("a word with a number")
}

/// What became of each word that a member said: `ok`, or the error.
fn outcomes(member: &Member) -> Vec<(String, String)> {
    let tell = |event: Line| (event.text("word"), event.get("error").unwrap_or("ok").to_owned());
    member.events(0, "said").into_iter().map(tell).collect()
}

#[test]
fn p6_a_message_reaches_the_one_that_it_is_for() {
    let fleet = Fleet::new();
    let members = fleet.members(3, "");
    let (supervisor, rest) = court(&fleet, &members);
    let all = [&supervisor, &rest[0], &rest[1]];
    for from in all {
        // Also to itself.
        for to in all {
            let text = format!("{}-to-{}", from.id, to.id);
            from.send(to, &text).unwrap();
            assert_eq!(to.hears(&text).text("from"), from.id);
            for how in ["try", "within=25000"] {
                from.send(to, &format!("{text}-{how} {how}")).unwrap();
                to.hears(&format!("{text}-{how}"));
            }
        }
    }
    let observer = fleet.observer();
    observer.send(&rest[0], "observed").unwrap();
    let from = rest[0].hears("observed").text("from");
    assert!(all.iter().all(|member| member.id != from));
    for member in all {
        let own = member.heard().into_iter().filter(|(_, text)| text != "observed");
        let own: Vec<_> = own.collect();
        assert_eq!(own.len(), 9, "{own:?}");
        assert!(own.iter().all(|(from, text)| text.starts_with(&format!("{from}-to-{}", member.id))));
    }
}

#[test]
fn p6_a_message_for_all_reaches_all_others() {
    let fleet = Fleet::new();
    let members = fleet.members(4, "");
    let (supervisor, _) = court(&fleet, &members);
    let observer = fleet.observer();
    for from in members.iter().chain([&observer]) {
        let text = format!("from-{}", from.process.pid);
        let count = if from.id.is_empty() { 4 } else { 3 };
        for how in ["", " try", " within=25000"] {
            if from.id.is_empty() && how == " try" {
                continue;
            }
            assert_eq!(from.broadcast(&format!("{text}{how}")).unwrap(), count);
        }
        for to in members.iter().filter(|to| to.id != from.id) {
            to.hears(&text);
        }
        assert!(from.heard().iter().all(|(_, heard)| *heard != text), "{} talks to itself", from.id);
    }
    // Nobody is left out or counted who has gone.
    kill(&members.iter().find(|member| member.id != supervisor.id).cloned().unwrap());
    eventually("three are there", || supervisor.status().registry.len() == 3);
    assert_eq!(supervisor.broadcast("rest").unwrap(), 2);
}

#[test]
fn p6_who_is_not_there_cannot_be_reached() {
    let fleet = Fleet::new();
    let members = fleet.members(3, "");
    let (supervisor, rest) = court(&fleet, &members);
    let observer = fleet.observer();
    let (left, killed) = (fleet.member(""), fleet.member(""));
    left.ask("leave").unwrap();
    kill(&killed);
    expect_ended(&members, &left, "Left");
    expect_ended(&members, &killed, "Failed");
    for from in [&supervisor, &rest[0], &observer] {
        for gone in [&left, &killed] {
            for how in ["", " try", " within=25000"] {
                if from.id.is_empty() && how == " try" {
                    continue;
                }
                let error = refused(from.send(gone, &format!("text{how}")), "Unreachable");
                assert!(error.contains(&gone.id), "{error:?}");
            }
        }
    }
    assert!(members.iter().all(|member| member.heard().is_empty()));
    // Nor can one who has gone send anything.
    refused(left.send(&rest[0], "text"), "Left");
    refused(left.ask("broadcast text"), "Left");
}

#[test]
fn p6_a_message_has_at_most_a_mebibyte() {
    let fleet = Fleet::new();
    let members = fleet.members(3, "");
    let (supervisor, rest) = court(&fleet, &members);
    let observer = fleet.observer();
    let froms = [&supervisor, &rest[0], &observer];
    for from in froms {
        for what in [format!("send {} x", rest[1].id), "broadcast x".to_owned()] {
            from.ask(&format!("{what} size={LARGEST}")).unwrap();
            let error = refused(from.ask(&format!("{what} size={}", LARGEST + 1)), "Option");
            assert!(error.contains("1048577 exceeds 1048576"), "{error:?}");
        }
        from.send(&rest[1], "empty size=0").unwrap();
        from.send(&rest[1], &format!("fence-{}", from.process.pid)).unwrap();
        rest[1].hears(&format!("fence-{}", from.process.pid));
    }
    let heard = rest[1].heard();
    assert_eq!(heard.iter().filter(|(_, text)| *text == format!("{LARGEST}-bytes")).count(), 6);
    assert_eq!(heard.iter().filter(|(_, text)| text.is_empty()).count(), 3);
    assert_eq!(heard.len(), 12);
}

#[test]
fn p6_each_sender_is_heard_in_its_order() {
    // Altogether fewer than a receiver may lag behind.
    const COUNT: u64 = 100;
    let _load = Load::new();
    let fleet = Fleet::new();
    let members = fleet.members(4, "");
    let (supervisor, rest) = court(&fleet, &members);
    let observer = fleet.observer();
    let senders = [&supervisor, &rest[0], &rest[1], &observer];
    let to = &rest[2];
    // Two threads of each: one speaks to one and one to all.
    let calls: Vec<_> = senders
        .iter()
        .enumerate()
        .flat_map(|(n, sender)| {
            [
                sender.call(&format!("chatter {} {COUNT} one-{n}", to.id)),
                sender.call(&format!("chatter all {COUNT} all-{n}")),
            ]
        })
        .collect();
    calls.iter().for_each(|call| drop(call.done()));
    for (n, sender) in senders.iter().enumerate() {
        assert!(outcomes(sender).iter().all(|(_, outcome)| outcome == "ok"));
        to.hears(&format!("one-{n}-{COUNT}"));
        to.hears(&format!("all-{n}-{COUNT}"));
        assert_eq!(heard_of(to, &format!("one-{n}")), words(&format!("one-{n}"), COUNT));
        for member in &members {
            let expected = if member.id == sender.id { vec![] } else { words(&format!("all-{n}"), COUNT) };
            eventually("all is heard", || heard_of(member, &format!("all-{n}")).len() == expected.len());
            assert_eq!(heard_of(member, &format!("all-{n}")), expected, "at {}", member.id);
        }
    }
}

#[test]
fn p6_messages_wait_for_the_first_who_wants_to_hear_them() {
    let fleet = Fleet::new();
    let (supervisor, rest) = reigning(&fleet, "deaf=1", 2, "deaf=1");
    for n in 1..=20 {
        rest[0].send(&rest[1], &format!("early-{n}")).unwrap();
        rest[0].send(&supervisor, &format!("early-{n}")).unwrap();
    }
    for member in [&rest[1], &supervisor] {
        member.ask("hear").unwrap();
        rest[0].send(member, "late-1").unwrap();
        member.hears("late-1");
        let mut expected = words("early", 20);
        expected.extend(words("late", 1));
        assert_eq!(member.heard_from(&rest[0]), expected);
    }
}

#[test]
fn p6_one_that_does_not_read_its_events_is_told_how_much_it_missed() {
    const COUNT: u64 = 1500;
    let fleet = Fleet::new();
    let (supervisor, rest) = reigning(&fleet, "", 2, "");
    let lazy = fleet.member("deaf=1");
    lazy.ask("lag").unwrap();
    rest[0].call(&format!("chatter {} {COUNT} word", lazy.id)).done();
    supervisor.call(&format!("chatter all {COUNT} news")).done();
    assert!(outcomes(&rest[0]).iter().chain(&outcomes(&supervisor)).all(|(_, outcome)| outcome == "ok"));
    // Another receiver of the same instance hears of the end of it.
    lazy.ask("hear").unwrap();
    rest[0].send(&lazy, "fence").unwrap();
    lazy.hears("fence");
    let drained = lazy.ask("drain").unwrap();
    let (read, missed) = (drained.number("read"), drained.number("missed"));
    assert!(read > 0 && read <= 1025 && missed > 0, "{drained:?}");
    // How many there were is known when the next one comes.
    rest[0].send(&lazy, "next").unwrap();
    lazy.hears("next");
    let drained = lazy.ask("drain").unwrap();
    assert_eq!(drained.number("read"), 1, "{drained:?}");
    assert!(read + missed + drained.number("missed") > 2 * COUNT, "{drained:?} after {read} and {missed}");
}

#[test]
fn p6_large_messages_that_nobody_reads_do_not_pile_up() {
    let fleet = Fleet::new();
    let members = fleet.members(2, "");
    let (supervisor, rest) = court(&fleet, &members);
    let lazy = fleet.member("deaf=1");
    for receivers in 0..2 {
        if receivers > 0 {
            lazy.ask("lag").unwrap();
            lazy.ask("drain").unwrap();
        }
        for n in 0..30 {
            let from = if n % 2 == 0 { &supervisor } else { &rest[0] };
            from.ask(&format!("send {} x size={LARGEST}", lazy.id)).unwrap();
        }
        // What was written to it is handled before what it asks for now is answered.
        lazy.ask("held-permits none").unwrap();
        if receivers == 0 {
            lazy.ask("lag").unwrap();
        }
        let drained = lazy.ask("drain").unwrap();
        let (kept, missed) = (drained.number("read"), drained.number("missed"));
        assert!((10..=16).contains(&kept) && missed > 0, "{kept} mebibytes are kept, {missed} missed");
        rest[0].send(&lazy, &format!("small-{receivers}")).unwrap();
        lazy.ask("held-permits none").unwrap();
        let rest = lazy.ask("drain").unwrap();
        assert_eq!((rest.number("read"), missed + rest.number("missed")), (1, 30 - kept));
    }
}

// ----------------------------------------------------------------------------------------- one that does not take them

#[test]
fn p6_a_recipient_that_stands_still_holds_up_nobody_else() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(4, "");
    let (supervisor, rest) = court(&fleet, &members);
    let (stopped, sender, other) = (&rest[0], &rest[1], &rest[2]);
    for from in [sender, &supervisor] {
        stopped.process.stop();
        // Far more than its kernel takes.
        let flood: Vec<_> =
            (0..24).map(|_| from.call(&format!("send {} x size={LARGEST} within=25000", stopped.id))).collect();
        for n in 1..=20 {
            from.send(other, &format!("from-{}-{n}", from.id)).unwrap();
            other.send(from, &format!("back-{n}")).unwrap();
            from.lock("g", "mutex line within=25000").unwrap();
            from.unlock("g").unwrap();
            other.put("key", &n.to_string());
        }
        other.hears(&format!("from-{}-20", from.id));
        let all = other.broadcast("news").unwrap();
        assert!((2..=3).contains(&all), "{all}");
        stopped.process.resume();
        let told: Vec<_> = flood.iter().map(fleet::sync::Call::answer).collect();
        let done = told.iter().filter(|answer| answer.is_ok()).count();
        for error in told.into_iter().filter_map(Result::err) {
            let known = ["Unreachable", "Interrupted", "TimedOut"];
            assert!(known.iter().any(|known| error.starts_with(known)), "{error}");
        }
        // It is there, or there again.
        let fence = format!("fence-{}", from.id);
        eventually("it is reached", || from.send(stopped, &fence).is_ok());
        stopped.hears(&fence);
        let large = stopped.heard_from(from).iter().filter(|text| *text == &format!("{LARGEST}-bytes")).count();
        assert!(large >= done, "{large} of {done} have arrived");
        fleet.agree(&members);
        assert_ids_kept(&members);
    }
}

#[test]
fn p6_what_a_slow_recipient_got_is_a_part_from_the_beginning() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(3, "");
    let (_, rest) = court(&fleet, &members);
    let (stopped, sender) = (&rest[0], &rest[1]);
    stopped.process.stop();
    let chatter = sender.call(&format!("chatter {} 60 word pad=200000", stopped.id));
    sender.lock("g", "mutex line").unwrap();
    stopped.process.resume();
    chatter.done();
    eventually("it is reached", || sender.send(stopped, "fence").is_ok());
    stopped.hears("fence");
    let heard = heard_of(stopped, "word");
    let said = outcomes(sender);
    assert_eq!(said.len(), 60);
    // Nothing is twice, nothing out of its order, and what was acknowledged is there.
    assert!(heard.is_sorted_by_key(|word| number(word)) && heard.iter().collect::<BTreeSet<_>>().len() == heard.len());
    for (word, outcome) in said {
        match outcome.as_str() {
            "ok" => assert!(heard.contains(&word), "{word} was delivered and not heard"),
            "Unreachable" => assert!(!heard.contains(&word), "{word} was not sent and is heard"),
            _ => assert_eq!(outcome, "Interrupted"),
        }
    }
}

#[test]
fn p6_who_is_killed_with_messages_under_way_leaves_the_sender_informed() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(3, "");
    let (supervisor, rest) = court(&fleet, &members);
    let sender = &rest[1];
    let mut victims = vec![rest[0].clone()];
    for from in [sender, &supervisor] {
        let victim = victims.pop().unwrap_or_else(|| fleet.member(""));
        victim.process.stop();
        let flood: Vec<_> = (0..12).map(|_| from.call(&format!("send {} x size={LARGEST}", victim.id))).collect();
        // Some of it is under way.
        flood[0].member.lock("g", "mutex line").unwrap();
        kill(&victim);
        for call in &flood {
            match call.answer() {
                Ok(_) => {}
                Err(error) => {
                    assert!(error.starts_with("Interrupted") || error.starts_with("Unreachable"), "{error}");
                }
            }
        }
        from.unlock("g").unwrap();
        refused(from.send(&victim, "text"), "Unreachable");
    }
}

#[test]
fn p6_whoever_only_tries_does_not_wait_for_a_supervisor_that_stands_still() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(3, "");
    let (supervisor, rest) = court(&fleet, &members);
    supervisor.process.stop();
    // Several, so that none waits for what became of the one before.
    for n in 1..=2 {
        refused(rest[0].send(&rest[1], &format!("one-{n} try")), "WouldBlock");
        refused(rest[0].ask(&format!("broadcast all-{n} try")), "WouldBlock");
    }
    supervisor.process.resume();
    rest[0].send(&rest[1], "fence").unwrap();
    rest[1].hears("fence");
    // What was tried may still have arrived: in its order, and once.
    for word in ["one", "all"] {
        let heard: Vec<_> = heard_of(&rest[1], word).iter().map(|word| number(word)).collect();
        assert!(heard.is_sorted_by(|before, after| before < after), "{heard:?}");
    }
    fleet.agree(&members);
    assert_ids_kept(&members);
}

// ----------------------------------------------------------------------------------------------------- across a reign

#[test]
fn p6_what_is_said_in_an_open_window_is_delivered_after_it() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(5, "");
    let (supervisor, rest) = court(&fleet, &members);
    let observer = fleet.observer();
    let stopped = rest[0].clone();
    let rest = hold_window_open(&members, &supervisor, &stopped);
    for member in &rest {
        refused(member.send(&stopped, "tried try"), "WouldBlock");
        refused(member.ask("broadcast tried try"), "WouldBlock");
        refused(member.send(&stopped, "late within=20"), "TimedOut");
        refused(member.ask("broadcast late within=20"), "TimedOut");
    }
    let to_one: Vec<_> = rest.iter().map(|member| member.sending(&stopped, &format!("one-{}", member.id))).collect();
    let to_all: Vec<_> = rest.iter().map(|member| member.call(&format!("broadcast all-{}", member.id))).collect();
    let observed = observer.call("broadcast observed");
    let gone = rest[0].sending(&supervisor, "nobody");
    rest.iter().for_each(|member| drop(member.status()));
    assert!(to_one.iter().chain(&to_all).all(|call| !call.is_over()), "nothing is delivered in an open window");
    stopped.process.resume();
    to_one.iter().for_each(|call| drop(call.done()));
    to_all.iter().for_each(|call| assert_eq!(call.done().number("count"), 3));
    refused(gone.answer(), "Unreachable");
    assert_eq!(observed.done().number("count"), 4);
    for member in rest.iter().chain([&stopped]) {
        rest[0].send(member, "fence").unwrap();
        member.hears("fence");
        member.hears("observed");
        for other in rest.iter().filter(|other| other.id != member.id) {
            member.hears(&format!("all-{}", other.id));
        }
        let texts: Vec<_> = member.heard().into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts.iter().collect::<BTreeSet<_>>().len(), texts.len(), "something is there twice: {texts:?}");
        assert!(texts.iter().all(|text| !["tried", "late", "nobody"].contains(&text.as_str())));
    }
}

#[test]
fn p6_messages_under_way_at_a_kill_are_delivered_or_interrupted_and_never_twice() {
    // Altogether fewer than a receiver may lag behind.
    const COUNT: u64 = 200;
    let _load = Load::new();
    let fleet = Fleet::with("limit=none");
    let mut members = fleet.members(6, "");
    // Two speak and two listen, who are never killed.
    let (talkers, listeners) = (members[..2].to_vec(), members[2..4].to_vec());
    let stay: Vec<_> = talkers.iter().chain(&listeners).map(|member| member.id.clone()).collect();
    let calls: Vec<_> = talkers
        .iter()
        .enumerate()
        .flat_map(|(n, talker)| {
            [
                talker.call(&format!("chatter {} {COUNT} one-{n}", listeners[0].id)),
                talker.call(&format!("chatter all {COUNT} all-{n}")),
            ]
        })
        .collect();
    for _ in 0..5 {
        let agreed = fleet.agree(&members);
        let supervisor = members[agreed.supervisor].clone();
        let said = || talkers.iter().map(|talker| talker.events(0, "said").len()).sum::<usize>();
        let before = said();
        eventually("they go on", || said() > before + 30 || calls.iter().all(fleet::sync::Call::is_over));
        if stay.contains(&supervisor.id) {
            supervisor.ask("resign").unwrap();
        } else {
            kill(&supervisor);
            members = others(&members, &supervisor);
            members.push(fleet.member(""));
        }
        expect_reign(&members[..4], agreed.epoch);
    }
    calls.iter().for_each(|call| drop(call.done()));
    fleet.agree(&members);
    for (n, talker) in talkers.iter().enumerate() {
        for listener in &listeners {
            talker.send(listener, &format!("fence-{n}")).unwrap();
            listener.hears(&format!("fence-{n}"));
        }
        for (word, whom) in [(format!("one-{n}"), &listeners[..1]), (format!("all-{n}"), &listeners[..])] {
            let said = outcomes(talker).into_iter().filter(|(text, _)| text.rsplit_once('-').unwrap().0 == word);
            let said: Vec<_> = said.collect();
            assert_eq!(said.len() as u64, COUNT);
            for listener in whom {
                let heard = heard_of(listener, &word);
                assert!(heard.is_sorted_by_key(|word| number(word)), "out of order: {heard:?}");
                assert_eq!(heard.iter().collect::<BTreeSet<_>>().len(), heard.len(), "twice");
                for (text, outcome) in &said {
                    match outcome.as_str() {
                        "ok" => {
                            assert!(heard.contains(text), "{text} was delivered and {} has not heard it", listener.id)
                        }
                        _ => assert_eq!(outcome, "Interrupted", "{text}"),
                    }
                }
            }
        }
    }
}
