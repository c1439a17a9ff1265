//! The state that all instances share: what is written is everywhere, in one order, whoever dies meanwhile.

mod fleet;

use std::collections::BTreeSet;
use std::time::Duration;

use bellwether::{Error, Group};
use fleet::locks::refused;
use fleet::schedules::{
    assert_ids_kept, court, expect_ended, expect_reign, hold_window_open, kill, open_window, others, winner,
};
use fleet::sync::{Call, dawdle};
use fleet::{Fleet, Line, Load, Member, check_reigns};

/// Waits until all of these have the same values; returns them.
fn agreed(members: &[Member]) -> String {
    let mut seen = BTreeSet::new();
    fleet::eventually("all have the same values", || {
        seen = members.iter().map(Member::snapshot).collect();
        seen.len() == 1
    });
    seen.pop_first().expect("somebody was asked")
}

/// The writes that a member has heard of, in its order: version and bytes, of one key.
fn heard(member: &Member, key: &str) -> Vec<(String, String)> {
    let own = |event: &Line| event.get("key") == Some(key);
    let tell = |event: Line| (event.text("version"), event.text("bytes"));
    member.events(0, "state").into_iter().filter(own).map(tell).collect()
}

/// Waits until a member has heard of this version.
fn hears(member: &Member, version: &str) {
    member.expect(0, "state", &[("version", version)]);
}

fn writer(members: &[Member], verb: &str) -> Vec<Call> {
    members.iter().map(|member| member.call(verb)).collect()
}

#[test]
fn p7_what_was_written_can_be_read_everywhere_when_the_call_returns() {
    let fleet = Fleet::new();
    let members = fleet.members(4, "");
    for round in 0..200 {
        let writer = &members[round % members.len()];
        let version = writer.put("config", &format!("value-{round}"));
        // At all others at once.
        let reads: Vec<_> = members.iter().map(|member| (member, member.say("get config"))).collect();
        for (member, read) in reads {
            let value = member.process.answer(read).unwrap();
            let read = (value.text("bytes"), value.text("version"));
            assert_eq!(read, (format!("value-{round}"), version.clone()), "in round {round}");
        }
    }
    let last = members[0].snapshot();
    assert_eq!(last.matches(':').count(), 2, "one key: {last}");
    assert!(members.iter().all(|member| member.snapshot() == last));
}

#[test]
fn p7_versions_decide_who_writes() {
    let fleet = Fleet::new();
    let members = fleet.members(3, "");
    let (supervisor, rest) = court(&fleet, &members);
    for (n, (first, second)) in [(&rest[0], &supervisor), (&supervisor, &rest[1])].into_iter().enumerate() {
        let key = format!("key-{n}");
        assert_eq!((first.get(&key), second.get(&key)), (None, None));
        let made = first.ask(&format!("put {key} one if=none")).unwrap().text("version");
        let late = refused(second.ask(&format!("put {key} two if=none")), "Conflict");
        assert!(late.contains(&format!("the key has version {made}")), "{late:?}");
        // Both have seen the same, and one was faster.
        assert_eq!(first.get(&key), second.get(&key));
        let next = first.ask(&format!("put {key} two if=seen")).unwrap().text("version");
        refused(second.ask(&format!("put {key} three if=seen")), "Conflict");
        assert_eq!(second.get(&key), Some(("two".to_owned(), next.clone())));
        assert_ne!(made, next);
        second.ask(&format!("put {key} three if=seen within=25000")).unwrap();
        // A deleted key has no value, but who has seen the old one is told all the same.
        first.get(&key);
        second.ask(&format!("delete {key}")).unwrap();
        assert_eq!((first.get(&key), second.get(&key)), (None, None));
        assert!(!first.snapshot().contains(&key));
        first.ask(&format!("put {key} four if=seen")).unwrap();
        assert_eq!(second.get(&key).unwrap().0, "four");
        first.put(&key, "five");
        refused(second.ask(&format!("delete {key} if=seen within=25000")), "Conflict");
        second.get(&key);
        second.ask(&format!("delete {key} if=seen within=25000")).unwrap();
        second.ask(&format!("delete {key} within=25000")).unwrap();
        second.ask("delete never-there").unwrap();
    }
}

#[test]
fn p7_events_tell_of_every_write_in_one_order() {
    let fleet = Fleet::new();
    let members = fleet.members(4, "");
    let watcher = fleet.process();
    watcher.ask(&format!("observe o group={} port={}", fleet.group, fleet.port)).unwrap();
    let watcher = Member { process: watcher, key: "o".to_owned(), id: String::new(), epoch: 0 };
    for call in writer(&members, "scribble busy 50") {
        call.done();
    }
    let last = members[1].ask("delete busy").unwrap().text("version");
    let all: Vec<_> = members.iter().chain([&watcher]).collect();
    all.iter().for_each(|member| hears(member, &last));
    let first = heard(all[0], "busy");
    assert_eq!(first.len(), 201);
    assert_eq!(first[200], (last, "deleted".to_owned()));
    assert_eq!(first.iter().map(|(version, _)| version).collect::<BTreeSet<_>>().len(), 201, "no version twice");
    for member in &all {
        assert_eq!(heard(member, "busy"), first, "another order at {}", member.id);
    }
    // And everybody was told the version under which all know its write.
    for member in &members {
        let own = member.events(0, "scribbled");
        assert_eq!(own.len(), 50);
        let places = own.iter().map(|event| {
            let write = (event.text("version"), event.text("number"));
            first.iter().position(|heard| *heard == write).expect("an acknowledged write is in the order")
        });
        assert!(places.collect::<Vec<_>>().is_sorted());
    }
}

#[test]
fn p7_an_observer_reads_writes_and_watches() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(3, "");
    members[0].put("before", "one");
    let watcher = fleet.process();
    watcher.ask(&format!("observe o group={} port={}", fleet.group, fleet.port)).unwrap();
    let watcher = Member { process: watcher, key: "o".to_owned(), id: String::new(), epoch: 0 };
    assert_eq!(watcher.get("before").unwrap().0, "one");
    let version = watcher.put("theirs", "two");
    assert!(members.iter().all(|member| member.get("theirs") == Some(("two".to_owned(), version.clone()))));
    let version = members[1].put("before", "three");
    hears(&watcher, &version);
    assert_eq!(watcher.get("before"), Some(("three".to_owned(), version)));
    // Across a reign.
    let (supervisor, rest) = court(&fleet, &members);
    kill(&supervisor);
    let version = rest[0].put("after", "four");
    hears(&watcher, &version);
    assert_eq!(watcher.snapshot(), rest[0].snapshot());
}

#[test]
fn p7_a_newcomer_has_everything_when_it_has_joined() {
    let fleet = Fleet::with("limit=none");
    let mut members = fleet.members(2, "");
    for n in 0..200 {
        members[n % 2].put(&format!("key-{n}"), &n.to_string());
    }
    members[0].ask("delete key-7").unwrap();
    members[1].ask("put large x size=1048576").unwrap();
    let before = members[0].snapshot();
    assert_eq!(before.split(',').count(), 200);
    for _ in 0..2 {
        let newcomer = fleet.member("");
        assert_eq!(newcomer.snapshot(), before);
        members.push(newcomer);
        let agreed = fleet.agree(&members);
        kill(&members.remove(agreed.supervisor));
        expect_reign(&members, agreed.epoch);
    }
    assert_eq!(fleet.member("").snapshot(), before);
    assert!(members.iter().all(|member| member.snapshot() == before));
}

#[test]
fn p7_a_stopped_member_holds_nobody_up_for_long_and_has_it_when_it_runs_again() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(3, "");
    let (supervisor, rest) = court(&fleet, &members);
    let (stopped, writer) = (&rest[0], &rest[1]);
    stopped.process.stop();
    // A small one that its kernel takes, and so much that nothing would ever take it.
    let mut version = writer.put("small", "one");
    for _ in 0..12 {
        version = writer.ask("put large x size=1048576").unwrap().text("version");
    }
    supervisor.expect(0, "changed", &[("id", stopped.id.as_str()), ("standing", "Aside")]);
    // Nobody waits for it any more.
    writer.ask("delete large").unwrap();
    let last = supervisor.put("small", "two");
    assert_ne!(version, last);
    stopped.process.resume();
    hears(stopped, &last);
    assert_eq!(agreed(&members), writer.snapshot());
    assert_eq!(stopped.get("small"), Some(("two".to_owned(), last)));
    assert_eq!(stopped.get("large"), None);
    assert_ids_kept(&members);
}

#[test]
fn p7_counting_up_by_versions_loses_nothing_while_supervisors_are_killed() {
    const ROUNDS: usize = 150;
    let fleet = Fleet::with("limit=none");
    let mut members = fleet.members(5, "");
    let mut all = members.clone();
    let mut calls = writer(&members, &format!("tally count {ROUNDS}"));
    let done = |member: &Member| member.events(0, "tallied").len();
    let mut killed = 0;
    while calls.iter().any(|call| !call.is_over()) && killed < 12 {
        let before: usize = all.iter().map(done).sum();
        fleet::eventually("the count goes on", || {
            all.iter().map(done).sum::<usize>() > before + 20 || calls.iter().all(Call::is_over)
        });
        let agreed = fleet.agree(&members);
        kill(&members.remove(agreed.supervisor));
        calls.remove(agreed.supervisor);
        killed += 1;
        let next = fleet.member("");
        calls.push(next.call(&format!("tally count {ROUNDS}")));
        all.push(next.clone());
        members.push(next);
    }
    calls.iter().for_each(|call| drop(call.done()));
    let unknown: usize = all.iter().map(|member| member.events(0, "unsure").len()).sum();
    let told: usize = all.iter().map(done).sum();
    let count: usize = members[0].get("count").unwrap().0.parse().unwrap();
    // Who was killed may have had one more that it could not tell of any more.
    assert!(killed > 3 && count >= told, "{count} of {told} are left");
    assert!(count <= told + unknown + killed, "{count} is more than {told}, {unknown} and {killed}");
    // No two were ever told the same number.
    let numbers = all.iter().flat_map(|member| member.events(0, "tallied"));
    let numbers: BTreeSet<_> = numbers.map(|event| event.number("to")).collect();
    assert_eq!(numbers.len(), told);
    agreed(&members);
}

#[test]
fn p7_conditional_writes_and_limits_end_with_their_time() {
    let fleet = Fleet::with("limit=none");
    let supervisor = fleet.member("");
    let own = Group::new(fleet.group.clone()).unwrap().port(fleet.port).window_limit(None).join().unwrap();
    let (state, permits, long) = (own.state(), own.semaphore("permits", 3), Duration::from_secs(60));
    let first = state.put_if_timeout("key", None, "one", long).unwrap();
    assert!(
        matches!(state.put_if_timeout("key", None, "two", long), Err(Error::Conflict { version }) if version == first)
    );
    permits.resize_timeout(2, long).unwrap();
    assert_eq!(permits.limit().unwrap(), Some(2));

    supervisor.process.stop();
    let short = Duration::from_millis(1);
    let timed_out = |outcome: Result<(), Error>| assert!(matches!(outcome, Err(Error::TimedOut { .. })), "{outcome:?}");
    timed_out(state.put_if_timeout("other", None, "never said to be done", short).map(drop));
    timed_out(permits.resize_timeout(1, short));
    timed_out(state.delete_if_timeout("key", first, short).map(drop));
    supervisor.process.resume();

    // What was said in time is done all the same, in its order.
    let late = state.delete_if_timeout("key", first, long);
    assert!(matches!(late, Err(Error::Conflict { .. })), "{late:?}");
    assert_eq!((state.get("key"), permits.limit().unwrap()), (None, Some(1)));
    assert!(state.get("other").is_some());
}

#[test]
fn c9_what_was_acknowledged_outlives_every_supervisor_and_all_agree() {
    let _load = Load::new();
    let fleet = Fleet::with("limit=none");
    let mut members = fleet.members(5, "");
    let mut all = members.clone();
    let scribble = |n: usize| format!("scribble key-{n} 100000");
    let mut calls: Vec<_> = members.iter().enumerate().map(|(n, member)| member.call(&scribble(n))).collect();
    let mut keys = members.len();
    for round in 0..12 {
        let now = fleet.agree(&members);
        dawdle(round * 11 % 60);
        let supervisor = members.remove(now.supervisor);
        calls.remove(now.supervisor);
        if round % 3 == 2 {
            // Together with somebody else.
            members[0].process.kill();
            supervisor.process.kill();
            members.remove(0).process.reap();
            calls.remove(0);
        } else {
            supervisor.process.kill();
        }
        supervisor.process.reap();
        expect_ended(&members, &supervisor, "Failed");
        while members.len() < 5 {
            let next = fleet.member("");
            calls.push(next.call(&scribble(keys)));
            keys += 1;
            all.push(next.clone());
            members.push(next);
        }
        let written = |member: &Member| member.events(0, "scribbled").len();
        let before: Vec<_> = members.iter().map(written).collect();
        fleet::eventually("everybody writes on", || {
            members.iter().zip(&before).all(|(member, before)| written(member) > *before)
        });
    }
    // The last one that reigns is killed while all write; then nobody does.
    let now = fleet.agree(&members);
    kill(&members.remove(now.supervisor));
    calls.remove(now.supervisor);
    members.iter().for_each(|member| drop(member.reign_after(now.epoch)));
    let reader = fleet.member("");
    for (member, call) in members.iter().zip(&calls) {
        member.ask("leave").unwrap();
        refused(call.answer(), "Left");
    }
    let left = reader.snapshot();
    let value = |key: usize| {
        let row = left.split(',').find_map(|row| row.strip_prefix(&format!("key-{key}:")));
        row.and_then(|row| row.rsplit(':').next()).map_or(0, |text| text.parse::<u64>().unwrap())
    };
    for (key, member) in all.iter().enumerate() {
        // One that was never acknowledged may have been done.
        let told = member.events(0, "scribbled").last().map_or(0, |event| event.number("number"));
        let kept = value(key);
        assert!(kept == told || kept == told + 1, "key-{key} has {kept}, and {told} was acknowledged");
    }
    check_reigns(&all);
}

#[test]
fn c9_all_agree_after_supervisors_were_killed_in_mid_write() {
    let fleet = Fleet::with("limit=none");
    let mut members = fleet.members(5, "");
    for round in 0..15 {
        let now = fleet.agree(&members);
        let supervisor = members.remove(now.supervisor);
        // Large ones take their time: some have got them, others have not.
        let size = [10, 100_000, 1_000_000][round % 3];
        let calls: Vec<_> =
            members.iter().enumerate().map(|(n, m)| m.call(&format!("put key-{n} x size={}", size + round))).collect();
        dawdle((round * 17 % 60) as u32);
        kill(&supervisor);
        for call in &calls {
            call.done();
        }
        let values = agreed(&members);
        let expected = if size + round > 64 { format!("{}-bytes", size + round) } else { "x".repeat(size + round) };
        assert_eq!(values.matches(&expected).count(), 4, "{values}");
        members.push(fleet.member(""));
    }
}

#[test]
fn p7_a_write_in_an_open_window_waits_until_it_is_closed() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(4, "");
    let (supervisor, mut rest) = court(&fleet, &members);
    let stopped = rest.remove(0);
    let before = rest[0].put("config", "before");
    let rest = hold_window_open(&members, &supervisor, &stopped);
    // Reading asks nobody.
    assert!(rest.iter().all(|member| member.get("config") == Some(("before".to_owned(), before.clone()))));
    let winner = winner(&rest);
    let other = others(&rest, &winner).remove(0);
    for member in [&winner, &other] {
        refused(member.ask("put config brief within=20"), "TimedOut");
        assert_eq!(member.get("config").unwrap().0, "before");
    }
    let calls = [winner.call("put config mine"), other.call("put other theirs")];
    rest.iter().for_each(|member| drop(member.status()));
    assert!(calls.iter().all(|call| !call.is_over()), "nothing is written in an open window");
    stopped.process.resume();
    let version = calls[0].done().text("version");
    calls[1].done();
    assert_ne!(version, before);
    let all = [winner, other, stopped];
    let values = agreed(&all);
    assert!(values.contains(&format!("config:{version}:mine")) && values.contains(":theirs"), "{values}");
    assert!(all.iter().all(|m| heard(m, "config").iter().all(|(_, bytes)| bytes != "brief")), "given up is given up");
}

#[test]
fn p7_a_write_given_up_in_an_open_window_is_not_done() {
    let fleet = Fleet::with("limit=none");
    let (rest, stopped, _) = open_window(&fleet, 2);
    refused(rest[0].ask("put config brief within=0"), "TimedOut");
    stopped.process.resume();
    let version = rest[1].put("config", "long");
    hears(&stopped, &version);
    assert_eq!(heard(&stopped, "config"), [(version, "long".to_owned())]);
}

#[test]
fn p7_what_is_too_much_is_refused_and_changes_nothing() {
    let fleet = Fleet::new();
    let members = fleet.members(2, "");
    let (supervisor, rest) = court(&fleet, &members);
    for member in [&supervisor, &rest[0]] {
        let error = refused(member.ask("put large x size=1048577"), "Option");
        assert!(error.contains("value of 1048577 exceeds 1048576"), "{error:?}");
        for key in ["_x", &"k".repeat(129)] {
            refused(member.ask(&format!("put {key} x")), "Name");
            refused(member.ask(&format!("delete {key}")), "Name");
            assert_eq!(member.get(key), None);
        }
    }
    assert_eq!(supervisor.snapshot(), "");
    // Four of the largest are more than all of it.
    for n in 0..4 {
        rest[0].ask(&format!("put large-{n} x size={}", 1_048_576 - 300)).unwrap();
    }
    let full = supervisor.snapshot();
    for member in [&supervisor, &rest[0]] {
        let error = refused(member.ask("put one-more x size=5000"), "Denied");
        assert!(error.contains("keys and values would exceed 4194304 bytes"), "{error:?}");
        assert_eq!(member.snapshot(), full);
    }
    // What makes it smaller is done, and then there is room.
    rest[0].ask("put large-0 small").unwrap();
    supervisor.ask("put one-more x size=5000").unwrap();
    assert_eq!(agreed(&members), rest[0].snapshot());
}

#[test]
fn p7_the_time_of_a_write_passes_behind_a_stopped_supervisor() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(2, "");
    let (supervisor, rest) = court(&fleet, &members);
    let before = rest[0].put("small", "one");
    supervisor.process.stop();
    // Far more than the connection takes while nobody reads it.
    for n in 0..3 {
        refused(rest[0].ask(&format!("put large-{n} x size=1048576 within=20")), "TimedOut");
    }
    for what in ["put small x if=seen within=20", "delete small if=seen within=20", "delete other within=20"] {
        refused(rest[0].ask(what), "TimedOut");
    }
    refused(rest[0].ask("resize seats 3 within=20"), "TimedOut");
    // Nor is anybody else kept by what waits to be written.
    assert_eq!(rest[0].get("small"), Some(("one".to_owned(), before)));
    refused(rest[0].lock("g", "mutex catalog within=20"), "TimedOut");
    supervisor.process.resume();
    // All of it arrives, in its order, on the same connection.
    rest[0].put("other", "two");
    assert!(agreed(&members).contains("large-0"), "what was said before is done before");
    assert_eq!(rest[0].events(0, "disconnected").len(), 0);
    rest[0].expect_free("mutex catalog");
}
