//! Locks while the supervisor lives: who gets them, who waits, and what everybody is told.

mod fleet;

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use bellwether::Group;
use fleet::Fleet;
use fleet::locks::{Workshop, facts, line_up, refused, served_in_order};
use fleet::schedules::{court, kill};

#[test]
fn p1_one_holds_at_a_time_whoever_asks_and_however() {
    let fleet = Fleet::new();
    let members = fleet.members(3, "");
    let (supervisor, rest) = court(&fleet, &members);
    let mut token = 0;
    // The supervisor and subordinates, each against each, and against itself.
    for what in ["mutex catalog", "write index"] {
        for (holder, asker) in [(0, 1), (1, 0), (1, 2), (0, 0), (1, 1)] {
            let all = [&supervisor, &rest[0], &rest[1]];
            let (holder, asker) = (all[holder], all[asker]);
            let first = holder.lock("a", what).unwrap();
            assert!(first.number("token") > token, "{first:?}");
            assert_eq!((first.text("held"), first.text("abandoned")), ("true".to_owned(), "Clean".to_owned()));
            refused(asker.lock("b", &format!("{what} try")), "WouldBlock");
            refused(asker.lock("b", &format!("{what} within=1")), "TimedOut");
            // Nobody else is in its way.
            asker.lock("other", &format!("{what}-of-{} try", token)).unwrap();
            let waiting = asker.queue("b", what, 0);
            assert!(holder.is_held("a") && !waiting.is_over());
            holder.unlock("a").unwrap();
            let second = waiting.granted();
            assert!(second.number("token") > first.number("token"));
            token = second.number("token");
            refused(holder.lock("c", &format!("{what} try")), "WouldBlock");
            // Dropping the guard, in whatever thread, releases like `unlock`.
            asker.ask("release b").unwrap();
            asker.unlock("other").unwrap();
            let third = holder.lock("c", &format!("{what} within=25000")).unwrap();
            assert!(third.number("token") > token && third.text("abandoned") == "Clean");
            token = third.number("token");
            holder.unlock("c").unwrap();
        }
    }
    supervisor.expect_free("mutex catalog");
    supervisor.expect_free("write index");
}

#[test]
fn p1_names_of_different_kinds_are_different_locks() {
    let fleet = Fleet::new();
    let members = fleet.members(2, "");
    members[0].lock("mutex", "mutex catalog").unwrap();
    members[1].lock("rwlock", "write catalog try").unwrap();
    assert!(members[0].is_held("mutex") && members[1].is_held("rwlock"));
}

#[test]
fn p1_names_that_are_none_are_refused_by_every_call() {
    let fleet = Fleet::new();
    let members = fleet.members(2, "");
    for member in &members {
        for name in ["", "_x", "x_", &"n".repeat(129)] {
            let answer = member.ask(&format!("kinds name={name}")).unwrap();

            assert_eq!(answer.count("Name("), 9, "{name:?}: {answer:?}");
        }
        assert_eq!(member.ask("kinds name=fine").unwrap().count("ok"), 9);
    }
}

#[test]
fn p1_a_thousand_wait_for_one_name() {
    let fleet = Fleet::new();
    let members = fleet.members(4, "");
    let workshop = Workshop::new(&fleet);
    let (supervisor, _) = court(&fleet, &members);
    supervisor.lock("first", "mutex workshop").unwrap();
    let toiling: Vec<_> = members.iter().map(|member| member.say(&workshop.toil(250, 1, ""))).collect();
    supervisor.await_queue("mutex workshop", 1000);
    assert_eq!(workshop.check(), 0, "nobody is in while it is held");
    supervisor.unlock("first").unwrap();
    workshop.await_done(1000);
    for (member, toiling) in members.iter().zip(toiling) {
        assert_eq!(member.process.answer(toiling).unwrap().number("done"), 250);
    }
    assert_eq!(workshop.check(), 1000);
    supervisor.expect_free("mutex workshop");
}

#[test]
fn p9_threads_of_all_members_work_alone_under_tokens_that_rise() {
    let fleet = Fleet::new();
    let members = fleet.members(4, "");
    let workshop = Workshop::new(&fleet);
    let toiling: Vec<_> = members.iter().map(|member| member.say(&workshop.toil(5, 40, ""))).collect();
    workshop.await_done(800);
    for (member, toiling) in members.iter().zip(toiling) {
        assert_eq!(member.process.answer(toiling).unwrap().number("done"), 200);
    }
    assert_eq!(workshop.check(), 800);
}

#[test]
fn p1_waits_that_end_just_as_the_grant_comes_leave_nothing_behind() {
    let fleet = Fleet::new();
    let members = fleet.members(4, "");
    let workshop = Workshop::new(&fleet);
    // Times of the order of what a grant takes: many of them cross the end of the wait.
    let command = workshop.toil(4, 200, "hurry=600");
    let toiling: Vec<_> = members.iter().map(|member| member.say(&command)).collect();
    let mut sums = (0, 0);
    for (member, toiling) in members.iter().zip(toiling) {
        let answer = member.process.answer(toiling).unwrap();
        sums = (sums.0 + answer.number("done"), sums.1 + answer.number("missed"));
    }
    assert_eq!(workshop.check(), sums.0);
    assert!(sums.0 > 0 && sums.1 > 0, "both ends happen: {sums:?}");
    members[0].expect_free("mutex workshop");
}

#[test]
fn p2_any_number_share_and_one_writes_alone() {
    let fleet = Fleet::new();
    let members = fleet.members(4, "");
    let (supervisor, rest) = court(&fleet, &members);
    for member in [&rest[0], &supervisor, &rest[1]] {
        member.lock("r", "read index").unwrap();
    }
    rest[0].lock("again", "read index try").unwrap();
    refused(rest[2].lock("w", "write index try"), "WouldBlock");
    let writer = rest[2].queue("w", "write index", 0);
    // A writer that waits is not starved: whoever comes later to read waits behind it.
    refused(supervisor.lock("late", "read index try"), "WouldBlock");
    let readers = [supervisor.queue("late", "read index", 1), rest[0].queue("late", "read index", 2)];
    for (member, guard) in [(&rest[0], "again"), (&rest[0], "r"), (&supervisor, "r")] {
        member.unlock(guard).unwrap();
    }
    refused(rest[0].lock("x", "read index within=1"), "TimedOut");
    assert!(!writer.is_over(), "one still reads");
    rest[1].unlock("r").unwrap();
    let written = writer.granted().number("token");
    refused(rest[1].lock("x", "read index within=1"), "TimedOut");
    assert!(readers.iter().all(|reader| !reader.is_over()), "one writes");
    rest[2].unlock("w").unwrap();
    // Both at once.
    for reader in &readers {
        assert!(reader.granted().number("token") > written);
    }
    assert!(supervisor.is_held("late") && rest[0].is_held("late"));
}

#[test]
fn p10_grants_come_in_the_order_of_the_requests() {
    let fleet = Fleet::new();
    let members = fleet.members(5, "");
    let (supervisor, rest) = court(&fleet, &members);
    for holder in [&supervisor, &rest[0]] {
        let token = holder.lock("first", "mutex line").unwrap().number("token");
        let order = [&rest[2], &supervisor, &rest[1], &rest[0], &rest[3]];
        let waiting = line_up(&order, "mutex line");
        holder.unlock("first").unwrap();
        served_in_order(&waiting, token);
    }
}

#[test]
fn p10_who_gives_up_or_dies_in_the_queue_costs_the_others_nothing() {
    let fleet = Fleet::new();
    let members = fleet.members(6, "");
    let (supervisor, rest) = court(&fleet, &members);
    let token = supervisor.lock("first", "mutex line").unwrap().number("token");
    let mut waiting = line_up(&[&rest[0], &rest[1], &rest[2], &rest[3]], "mutex line");
    let leaver = waiting.remove(2);
    let victim = waiting.remove(1);
    kill(&victim.member);
    leaver.member.ask("leave").unwrap();
    assert!(leaver.answer().unwrap_err().starts_with("Left"));
    rest[4].await_queue("mutex line", 2);
    supervisor.unlock("first").unwrap();
    served_in_order(&waiting, token);
}

#[test]
fn p12_who_would_have_to_wait_is_told_who_holds_it_and_since_when() {
    let fleet = Fleet::new();
    let mut members: Vec<_> = (0..3).map(|n| fleet.member(&format!("label=copy-{n}"))).collect();
    fleet.agree(&members);
    members.swap(0, 1);
    for (holder, askers) in [(0, [1, 2]), (1, [0, 2])] {
        let holder = &members[holder];
        let since = holder.lock("g", "mutex catalog").unwrap().text("since");
        assert_ne!(since, "0");
        let label = fleet.agree(&members).registry.into_iter().find(|row| row.id == holder.id).unwrap().label;
        for asker in askers {
            for (how, sort) in [("try", "WouldBlock"), ("within=1", "TimedOut")] {
                let error = refused(members[asker].lock("x", &format!("mutex catalog {how}")), sort);
                assert_eq!(
                    (error.text("holder"), error.number("pid"), error.text("label"), error.text("since")),
                    (holder.id.clone(), u64::from(holder.process.pid), label.clone(), since.clone())
                );
                assert!(error.contains(&format!("held by process {} ({label}) for ", holder.process.pid)));
            }
        }
        holder.unlock("g").unwrap();
    }
}

#[test]
fn p12_who_has_waited_too_long_is_told_its_place() {
    let fleet = Fleet::new();
    let members = fleet.members(4, "");
    let (supervisor, rest) = court(&fleet, &members);
    for asker in [&supervisor, &rest[2]] {
        rest[0].lock("g", "write index").unwrap();
        // Nobody but the asker has asked, so that nothing of others is on its way.
        assert_eq!(refused(asker.lock("x", "write index within=1"), "TimedOut").number("position"), 0);
        let waiting = rest[1].queue("g", "write index", 0);
        // Behind one, as the asker has seen itself, and then behind itself as well.
        asker.await_queue("write index", 1);
        assert_eq!(refused(asker.lock("x", "write index within=1"), "TimedOut").number("position"), 1);
        let own = asker.queue("own", "write index", 1);
        let error = refused(asker.lock("x", "read index within=1"), "TimedOut");
        assert_eq!((error.number("position"), error.text("holder")), (2, rest[0].id.clone()));
        rest[0].unlock("g").unwrap();
        waiting.granted();
        rest[1].unlock("g").unwrap();
        own.granted();
        asker.unlock("own").unwrap();
    }
}

#[test]
fn p12_a_lock_that_is_free_again_is_nobodys() {
    let fleet = Fleet::new();
    let members = fleet.members(2, "");
    members[0].lock("g", "mutex catalog").unwrap();
    members[0].unlock("g").unwrap();
    members[0].expect_free("mutex catalog");
    // What was said after the lock was free is said about the next holder.
    members[1].lock("g", "mutex catalog").unwrap();
    let error = refused(members[0].lock("x", "mutex catalog try"), "WouldBlock");
    assert_eq!(error.text("holder"), members[1].id);
}

#[test]
fn b6_the_next_owner_is_told_what_became_of_the_one_before() {
    let fleet = Fleet::with("limit=none");
    for what in ["mutex catalog", "write index"] {
        let members = fleet.members(4, "");
        let (supervisor, mut rest) = court(&fleet, &members);
        let abandoned = |grant: &fleet::Line| grant.text("abandoned");
        for member in [&rest[0], &supervisor, &rest[1]] {
            assert_eq!(abandoned(&member.lock("g", what).unwrap()), "Clean");
            member.unlock("g").unwrap();
        }
        // One waits already, one comes later.
        let victim = rest.remove(2);
        victim.lock("g", what).unwrap();
        let waiting = rest[0].queue("g", what, 0);
        kill(&victim);
        let died = format!("Died:{}", victim.id);
        assert_eq!(abandoned(&waiting.granted()), died);
        // Who only gives up waiting repairs nothing, but who had it and releases it does.
        refused(rest[1].lock("x", &format!("{what} within=1")), "TimedOut");
        rest[0].unlock("g").unwrap();
        assert_eq!(abandoned(&supervisor.lock("g", what).unwrap()), "Clean");
        supervisor.unlock("g").unwrap();
        let victim = rest.remove(1);
        victim.lock("g", what).unwrap();
        kill(&victim);
        supervisor.expect(0, "ended", &[("id", victim.id.as_str()), ("reason", "Failed")]);
        let late = supervisor.lock("g", what).unwrap();
        assert_eq!(abandoned(&late), format!("Died:{}", victim.id));
        // Who leaves while it holds may have stopped in the middle.
        supervisor.unlock("g").unwrap();
        rest[0].lock("g", what).unwrap();
        rest[0].ask("leave").unwrap();
        assert_eq!(abandoned(&supervisor.lock("g", &format!("{what} within=25000")).unwrap()), "Unknown");
        supervisor.ask("leave").unwrap();
    }
}

#[test]
fn b6_a_panic_with_a_guard_in_hand_is_told_to_the_next_owner() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(3, "");
    let (supervisor, rest) = court(&fleet, &members);
    for what in ["mutex catalog", "write index", "permits seats limit=2 count=2"] {
        for (unlucky, next) in [(&rest[0], &supervisor), (&supervisor, &rest[0]), (&rest[0], &rest[1])] {
            let abandoned = |member: &fleet::Member| {
                let grant = member.lock("g", &format!("{what} within=25000")).unwrap();
                grant.text("abandoned")
            };
            assert_eq!(abandoned(unlucky), "Clean", "{what}");
            let waiting = next.queue("g", what, 0);
            unlucky.ask("panic g").unwrap();
            assert_eq!(waiting.granted().text("abandoned"), "Unknown", "{what}");
            // Who was told and releases has seen to it.
            next.unlock("g").unwrap();
            assert_eq!(abandoned(unlucky), "Clean", "{what}");
            unlucky.unlock("g").unwrap();
        }
    }
    // Who only looks breaks nothing, and who panicked before it had the lock was not cut short in its work.
    rest[0].lock("g", "read index").unwrap();
    rest[0].ask("panic g").unwrap();
    rest[0].ask("unwind write index").unwrap();
    assert_eq!(rest[0].lock("g", "write index").unwrap().text("abandoned"), "Clean");
}

#[test]
fn b6_a_reader_that_is_killed_or_leaves_changes_nothing_for_the_next_owner() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(6, "");
    let (supervisor, rest) = court(&fleet, &members);
    let [first, second, third, writer, last] = &rest[..] else { panic!("five others") };
    let abandoned = |grant: fleet::Line| grant.text("abandoned");
    // Clean it was, for a reader beside it, a writer that waits already and one that comes later.
    first.lock("g", "read index").unwrap();
    let waiting = last.queue("g", "write index", 0);
    kill(first);
    assert_eq!(abandoned(waiting.granted()), "Clean");
    last.unlock("g").unwrap();
    second.lock("g", "read index").unwrap();
    supervisor.lock("g", "read index").unwrap();
    second.ask("leave").unwrap();
    supervisor.expect(0, "ended", &[("id", second.id.as_str()), ("reason", "Left")]);
    assert_eq!(abandoned(last.lock("g", "read index").unwrap()), "Clean");
    last.unlock("g").unwrap();
    supervisor.unlock("g").unwrap();
    // A writer has died, and the reader after it has repaired nothing.
    writer.lock("g", "write index").unwrap();
    let waiting = third.queue("g", "read index", 0);
    kill(writer);
    let died = format!("Died:{}", writer.id);
    assert_eq!(abandoned(waiting.granted()), died);
    let waiting = last.queue("g", "write index", 0);
    kill(third);
    assert_eq!(abandoned(waiting.granted()), died, "of the writer, not of the reader");
}

/// More than the supervisor frees at a time, so that most of it is done by and by, in a thread of its own.
#[test]
fn b1_b6_a_killed_member_with_very_many_locks_leaves_each_of_them_to_the_next_owner() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(3, "");
    let (supervisor, rest) = court(&fleet, &members);
    let [victim, next] = &rest[..] else { panic!("two others") };
    let name = |n: u32| format!("many-{n}");
    let what = |n: u32| format!("permits {} limit=1 count=1", name(n));
    for n in 0..1300 {
        victim.lock(&name(n), &what(n)).unwrap();
    }
    assert!(supervisor.sees_lock("many-1298"));
    let waiting = next.queue("last", &what(1299), 0);
    kill(victim);
    let died = format!("Died:{}", victim.id);
    assert_eq!(waiting.granted().text("abandoned"), died);
    fleet::eventually("nobody has to ask for a lock to be freed", || !supervisor.sees_lock("many-1298"));
    for n in (0..1299).step_by(100) {
        assert_eq!(next.lock(&name(n), &format!("{} try", what(n))).unwrap().text("abandoned"), died);
    }
}

#[test]
fn p11_after_leaving_nothing_is_held_and_nothing_is_waited_for() {
    let fleet = Fleet::with("limit=none");
    for leaver_reigns in [false, true] {
        let members = fleet.members(3, "");
        let (supervisor, rest) = court(&fleet, &members);
        let (leaver, other) = if leaver_reigns { (&supervisor, &rest[0]) } else { (&rest[0], &supervisor) };
        leaver.lock("kept", "mutex kept").unwrap();
        leaver.lock("dropped", "mutex dropped").unwrap();
        other.lock("theirs", "mutex theirs").unwrap();
        let waiting = leaver.queue("mine", "mutex theirs", 0);
        let next = rest[1].queue("next", "mutex kept", 0);
        leaver.ask("leave").unwrap();
        assert!(waiting.answer().unwrap_err().starts_with("Left"));
        assert!(!leaver.is_held("kept") && !leaver.is_held("dropped"));
        next.granted();
        refused(leaver.unlock("kept"), "Lost");
        leaver.ask("release dropped").unwrap();
        for how in ["", " try", " within=1"] {
            let error = leaver.lock("x", &format!("mutex kept{how}")).unwrap_err();
            assert!(error.starts_with("Left"), "{error}");
        }
        assert!(rest[1].is_held("next"), "what the dead guard did is nobody's business");
        rest[1].lock("x", "mutex dropped within=25000").unwrap();
        assert!(other.is_held("theirs"));
        other.unlock("theirs").unwrap();
        other.expect_free("mutex theirs");
        for member in [other, &rest[1]] {
            member.ask("leave").unwrap();
        }
    }
}

#[test]
fn p1_a_call_says_what_it_waited_for_in_words() {
    let fleet = Fleet::new();
    let member = fleet.member("label=worker");
    member.lock("g", "mutex catalog").unwrap();
    let error = member.lock("x", "mutex catalog within=1").unwrap_err();
    let pid = member.process.pid;
    assert!(error.contains("timed out after") && error.contains(&format!("held by process {pid} (worker)")), "{error}");
    assert!(error.contains(", 0 ahead"), "{error}");
    assert_eq!(facts(&error).text("holder"), member.id);
}

/// Whoever reads the state takes in what has come, and with it perhaps what another thread waits for in the kernel.
#[test]
fn p1_whoever_reads_the_state_takes_no_answer_away_from_a_call_that_waits() {
    const ROUNDS: u32 = 300;

    let group = Group::new("readers").unwrap().port(fleet::free_port());
    let one = group.clone().join().unwrap();
    let other = group.join().unwrap();
    let done = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while done.load(Ordering::Relaxed) < ROUNDS {
                    assert_eq!(other.state().get("nothing"), None);
                }
            });
        }
        scope.spawn(|| {
            while done.load(Ordering::Relaxed) < ROUNDS {
                let held = one.mutex("catalog").lock().unwrap();
                let waiting = scope.spawn(|| drop(other.mutex("catalog").lock().unwrap()));
                let is_queued = || one.locks().unwrap().iter().any(|lock| !lock.waiters.is_empty());
                fleet::eventually("the other one waits", is_queued);
                drop(held);
                waiting.join().unwrap();
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
        fleet::eventually("nobody waits for what was taken away", || done.load(Ordering::Relaxed) == ROUNDS);
    });
}
