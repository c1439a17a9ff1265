//! Locks outlive the supervisor: holders hold on, waiters keep their places, and nobody is told that all is well when it
//! may not be.

mod fleet;

use fleet::locks::{Squatter, Workshop, line_up, refused, served_in_order};
use fleet::schedules::{assert_ids_kept, court, expect_ended, expect_reign, hold_window_open, kill, others, winner};
use fleet::{Fleet, Line, Load, Member, check_reigns};

fn abandoned(grant: &Line) -> String {
    grant.text("abandoned")
}

/// That a new owner was told that the one before may have died, and, if it says who, that it was this one.
fn assert_not_clean(grant: &Line, died: &Member) {
    let told = abandoned(grant);
    assert!(told == "Unknown" || told == format!("Died:{}", died.id), "{told}");
}

/// A holder of `mutex line` that is a subordinate, and four that wait in this order.
struct Line5 {
    members: Vec<Member>,
    supervisor: Member,
    holder: Member,
    waiting: Vec<fleet::locks::Waiting>,
    token: u64,
    epoch: u64,
}

/// Who waits in the third place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Third {
    Supervisor,
    Subordinate,
}

/// Six members of which one reigns, one holds and four wait.
fn queue_of_four(fleet: &Fleet, third_waiter: Third) -> Line5 {
    let members = fleet.members(6, "");
    let epoch = fleet.agree(&members).epoch;
    let (supervisor, rest) = court(fleet, &members);
    let token = rest[0].lock("g", "mutex line").unwrap().number("token");
    let third = if third_waiter == Third::Supervisor { &supervisor } else { &rest[4] };
    let waiting = line_up(&[&rest[2], &rest[1], third, &rest[3]], "mutex line");
    Line5 { holder: rest[0].clone(), members, supervisor, waiting, token, epoch }
}

#[test]
fn p8_b4_the_kill_of_the_supervisor_costs_nobody_a_lock_or_a_place() {
    let fleet = Fleet::with("limit=none");
    let Line5 { members, supervisor, holder, mut waiting, token, epoch } = queue_of_four(&fleet, Third::Supervisor);
    kill(&supervisor);
    let rest = others(&members, &supervisor);
    expect_reign(&rest, epoch);
    assert!(holder.is_held("g"));
    assert_eq!(holder.guard("g").number("token"), token);
    // Whoever comes now is behind those who waited.
    let late = holder.queue("late", "mutex line", 3);
    waiting.remove(2);
    waiting.push(late);
    assert!(waiting.iter().all(|waiting| !waiting.is_over()));
    holder.unlock("g").unwrap();
    let told = served_in_order(&waiting, token);
    // The first one was not told what had become of the owners before; it vouches for itself.
    assert_eq!(told.iter().map(abandoned).collect::<Vec<_>>()[1..], ["Clean", "Clean", "Clean"]);
    rest[1].expect_free("mutex line");
    assert_ids_kept(&rest);
}

#[test]
fn b5_tokens_rise_across_a_complete_restart_and_nothing_else_is_left() {
    let fleet = Fleet::with("limit=none");
    let (mut epoch, mut token) = (0, 0);
    for _ in 0..3 {
        let members = fleet.members(3, "");
        let agreed = fleet.agree(&members);
        assert!(agreed.epoch > epoch, "{} after {epoch}", agreed.epoch);
        epoch = agreed.epoch;
        assert_eq!(members[1].get("key"), None);
        let grant = members[1].lock("g", "mutex line").unwrap();
        assert!(grant.number("token") > token, "{grant:?} after {token}");
        members[2].put("key", "value");
        // The last token of the reign is one that nobody holds any more.
        members[1].unlock("g").unwrap();
        token = members[2].lock("g", "mutex line").unwrap().number("token");
        members.iter().for_each(|member| member.process.kill());
        members.iter().for_each(|member| member.process.reap());
    }
}

#[test]
fn p8_b5_every_lock_survives_one_supervisor_after_the_other() {
    let fleet = Fleet::with("limit=none");
    let mut members = fleet.members(6, "");
    let (_, rest) = court(&fleet, &members);
    let holder = rest[0].clone();
    let mut token = holder.lock("g", "mutex line").unwrap().number("token");
    holder.lock("shared", "read index").unwrap();
    rest[1].lock("shared", "read index").unwrap();
    // The holder itself may win; then nobody is killed any more.
    let mut killed = 0;
    while killed < 3 {
        let agreed = fleet.agree(&members);
        let supervisor = members[agreed.supervisor].clone();
        if supervisor.id == holder.id || supervisor.id == rest[1].id {
            break;
        }
        kill(&supervisor);
        killed += 1;
        members = others(&members, &supervisor);
        expect_reign(&members, agreed.epoch);
        assert!(holder.is_held("g") && holder.is_held("shared") && rest[1].is_held("shared"));
        let asker = others(&members, &holder).swap_remove(0);
        refused(asker.lock("x", "mutex line try"), "WouldBlock");
        refused(asker.lock("x", "write index try"), "WouldBlock");
        let other = asker.lock("y", &format!("mutex other-{killed}")).unwrap().number("token");
        assert!(other > token, "tokens rise across reigns");
        token = other;
        assert_eq!(abandoned(&asker.guard("y")), "Unknown", "the first grant of a name after a failure");
        asker.unlock("y").unwrap();
        assert_eq!(abandoned(&asker.lock("y", &format!("mutex other-{killed}")).unwrap()), "Clean");
    }
    assert!(killed > 0);
    let asker = others(&members, &holder).swap_remove(0);
    let waiting = asker.queue("next", "mutex line", 0);
    let writer = asker.queue("writer", "write index", 0);
    holder.unlock("g").unwrap();
    assert!(waiting.granted().number("token") > token);
    holder.unlock("shared").unwrap();
    rest[1].unlock("shared").unwrap();
    assert_eq!(abandoned(&writer.granted()), "Unknown", "readers cannot vouch for those before them");
}

#[test]
fn p8_p13_resigning_and_leaving_keep_every_lock_and_every_place() {
    for verb in ["resign", "leave"] {
        for third_waiter in [Third::Subordinate, Third::Supervisor] {
            let fleet = Fleet::with("limit=none");
            let Line5 { members, supervisor, holder, mut waiting, token, epoch } = queue_of_four(&fleet, third_waiter);
            supervisor.ask(verb).unwrap();
            let rest = others(&members, &supervisor);
            expect_reign(&rest, epoch);
            assert!(holder.is_held("g"));
            if verb == "leave" && third_waiter == Third::Supervisor {
                assert!(waiting.remove(2).answer().unwrap_err().starts_with("Left"));
            }
            // The name was held across the change, so that nobody who died can be missing.
            holder.unlock("g").unwrap();
            served_in_order(&waiting, token);
            assert_ids_kept(&rest);
        }
    }
}

#[test]
fn p8_a_supervisor_that_holds_and_resigns_holds_on() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(3, "");
    let (supervisor, rest) = court(&fleet, &members);
    let token = supervisor.lock("g", "mutex line").unwrap().number("token");
    let waiting = line_up(&[&rest[1], &rest[0]], "mutex line");
    supervisor.ask("resign").unwrap();
    fleet.agree(&members);
    assert!(supervisor.is_held("g"));
    let behind = supervisor.queue("again", "mutex line", 2);
    supervisor.unlock("g").unwrap();
    served_in_order(&waiting, token);
    behind.granted();
}

#[test]
fn b6_a_supervisor_that_dies_with_a_lock_is_not_passed_over_in_silence() {
    let fleet = Fleet::with("limit=none");
    for what in ["mutex line", "write index"] {
        let members = fleet.members(4, "");
        let (supervisor, rest) = court(&fleet, &members);
        let token = supervisor.lock("g", what).unwrap().number("token");
        let waiting = line_up(&[&rest[2], &rest[0]], what);
        kill(&supervisor);
        let told = served_in_order(&waiting, token);
        assert_not_clean(&told[0], &supervisor);
        assert_eq!(abandoned(&told[1]), "Clean");
        rest.iter().for_each(|member| drop(member.ask("leave").unwrap()));
    }
}

#[test]
fn b6_a_reader_that_dies_after_a_change_of_supervisor_is_not_blamed() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(5, "");
    let (supervisor, rest) = court(&fleet, &members);
    // The supervisor reads one alone, and another together with one that survives it.
    supervisor.lock("alone", "read alone").unwrap();
    supervisor.lock("shared", "read shared").unwrap();
    let epoch = fleet.agree(&members).epoch;
    // Neither of these may win: a stopped member does not race.
    let reader = rest[0].clone();
    reader.lock("shared", "read shared").unwrap();
    reader.process.stop();
    kill(&supervisor);
    let racing = others(&rest, &reader);
    for member in &racing {
        member.event(0, "the welcome in the open window", |event| {
            (event.kind() == "welcomed" && event.get("supervisor") != Some(&supervisor.id)).then_some(())
        });
    }
    reader.process.resume();
    expect_reign(&rest, epoch);
    // What a predecessor told the readers is not known any more, so neither name may be taken for clean.
    assert_eq!(abandoned(&racing[0].lock("alone", "write alone").unwrap()), "Unknown");
    let waiting = racing[1].queue("shared", "write shared", 0);
    kill(&reader);
    assert_eq!(abandoned(&waiting.granted()), "Unknown");
    racing[1].unlock("shared").unwrap();
    assert_eq!(abandoned(&racing[2].lock("shared", "read shared within=25000").unwrap()), "Clean");
}

#[test]
fn b6_holder_and_supervisor_killed_together_leave_the_next_owner_warned() {
    for holder_first in [true, false] {
        let fleet = Fleet::with("limit=none");
        let Line5 { supervisor, holder, waiting, token, .. } = queue_of_four(&fleet, Third::Subordinate);
        let both = if holder_first { [&holder, &supervisor] } else { [&supervisor, &holder] };
        both.iter().for_each(|member| member.process.kill());
        let told = served_in_order(&waiting, token);
        assert_not_clean(&told[0], &holder);
        // The supervisor may have lived to grant once more; then it is the first of the next reign that cannot know.
        let warned: Vec<_> = told[1..].iter().map(abandoned).filter(|told| told != "Clean").collect();
        assert!(warned.is_empty() || warned == ["Unknown"], "{told:?}");
        assert!(warned.is_empty() || abandoned(&told[0]) != "Unknown", "{told:?}");
    }
}

#[test]
fn p8_two_supervisors_killed_in_a_row_cost_nobody_a_place() {
    let fleet = Fleet::with("limit=none");
    let Line5 { members, supervisor, holder, waiting, token, epoch } = queue_of_four(&fleet, Third::Subordinate);
    // Somebody stands still, so that the second one dies before it has opened.
    let stopped = waiting[3].member.clone();
    let rest = hold_window_open(&members, &supervisor, &stopped);
    let first = winner(&rest);
    let waiting: Vec<_> = waiting.into_iter().filter(|waiting| waiting.member.id != first.id).collect();
    kill(&first);
    stopped.process.resume();
    expect_reign(&others(&others(&members, &supervisor), &first), epoch);
    if first.id != holder.id {
        assert!(holder.is_held("g"));
        holder.unlock("g").unwrap();
    }
    let told = served_in_order(&waiting, token);
    if first.id == holder.id {
        assert_not_clean(&told[0], &holder);
    }
}

#[test]
fn b6_a_holder_that_dies_in_the_window_is_told_of() {
    let fleet = Fleet::with("limit=none");
    let Line5 { members, supervisor, holder, waiting, token, .. } = queue_of_four(&fleet, Third::Subordinate);
    let stopped = waiting[3].member.clone();
    let rest = hold_window_open(&members, &supervisor, &stopped);
    kill(&holder);
    assert!(waiting.iter().all(|waiting| !waiting.is_over()), "nothing is granted before the window closes");
    stopped.process.resume();
    let rest = others(&rest, &holder);
    let told = served_in_order(&waiting, token);
    assert_not_clean(&told[0], &holder);
    expect_ended(&rest, &holder, "Failed");
}

#[test]
fn b3_b4_what_is_done_with_locks_while_the_window_is_open_counts_when_it_closes() {
    let fleet = Fleet::with("limit=none");
    let Line5 { members, supervisor, holder, waiting, token, .. } = queue_of_four(&fleet, Third::Subordinate);
    let stopped = waiting[3].member.clone();
    let rest = hold_window_open(&members, &supervisor, &stopped);
    let winner = winner(&rest);
    // Try: at once, and nobody knows who holds it.
    for asker in [&winner, &others(&rest, &winner)[0]] {
        for what in ["mutex line", "mutex nobodys"] {
            let error = refused(asker.lock("x", &format!("{what} try")), "WouldBlock");
            assert_eq!(error.get("holder"), None);
        }
        // A wait that is begun and given up.
        refused(asker.lock("x", "mutex line within=20"), "TimedOut");
        refused(asker.lock("x", "mutex nobodys within=20"), "TimedOut");
    }
    // Waits that are begun and go on.
    let late: Vec<_> = rest.iter().map(|member| member.locking("late", "mutex nobodys")).collect();
    assert!(holder.is_held("g"));
    holder.unlock("g").unwrap();
    for member in &rest {
        member.status();
    }
    assert!(waiting.iter().chain(&late).all(|waiting| !waiting.is_over()), "nothing is granted in an open window");
    stopped.process.resume();
    // Free: the first in line has it.
    served_in_order(&waiting, token);
    let mut left = late;
    while !left.is_empty() {
        let mut next = None;
        fleet::eventually("one of them has it", || {
            next = left.iter().position(|waiting| waiting.is_over());
            next.is_some()
        });
        let next = left.remove(next.unwrap());
        next.granted();
        assert!(left.iter().all(|waiting| !waiting.is_over()));
        next.member.unlock("late").unwrap();
    }
    winner.expect_free("mutex line");
    winner.expect_free("mutex nobodys");
}

#[test]
fn p8_waits_that_are_given_up_in_the_window_are_not_granted_afterwards() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(4, "");
    let (supervisor, mut rest) = court(&fleet, &members);
    let stopped = rest.remove(2);
    rest[0].lock("g", "mutex line").unwrap();
    // It has a place, and gives it up while nobody reigns: all this takes less than its time, or the test is just milder.
    rest[1].await_queue("mutex line", 0);
    let brief = rest[1].locking("brief", "mutex line within=1500");
    rest[0].await_queue_or_end("mutex line", 1, &brief);
    hold_window_open(&members, &supervisor, &stopped);
    refused(brief.answer(), "TimedOut");
    rest[0].unlock("g").unwrap();
    stopped.process.resume();
    stopped.expect_free("mutex line");
    rest[0].expect_free("mutex line");
}

#[test]
fn p8_a_lock_released_while_there_is_no_supervisor_is_free_afterwards() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(4, "");
    let (supervisor, rest) = court(&fleet, &members);
    let holder = &rest[0];
    let token = holder.lock("g", "mutex line").unwrap().number("token");
    holder.lock("kept", "mutex kept").unwrap();
    let waiting = line_up(&[&rest[1], &rest[2]], "mutex line");
    rest.iter().for_each(|member| member.process.stop());
    kill(&supervisor);
    let squatter = Squatter::new(fleet.port);
    holder.process.resume();
    holder.event(0, "the end of the reign", |event| (event.kind() == "disconnected").then_some(()));
    // It has nobody to speak to, and knows what it holds all the same.
    assert!(holder.is_held("g") && holder.is_held("kept"));
    holder.ask("release g").unwrap();
    assert_eq!(refused(holder.lock("x", "mutex line try"), "WouldBlock").get("holder"), None);
    assert_eq!(refused(holder.lock("x", "mutex line within=20"), "TimedOut").get("position"), None);
    let late = holder.locking("late", "mutex line");
    holder.status();
    assert!(!late.is_over());
    drop(squatter);
    rest[1..].iter().for_each(|member| member.process.resume());
    served_in_order(&waiting, token);
    late.granted();
    assert!(holder.is_held("kept"));
    refused(rest[1].lock("x", "mutex kept try"), "WouldBlock");
    assert_ids_kept(&rest);
}

#[test]
fn p8_b6_supervisors_and_holders_are_killed_in_the_middle_of_the_work() {
    let _load = Load::new();
    let fleet = Fleet::with("limit=none");
    let workshop = Workshop::new(&fleet);
    let mut members = fleet.members(5, "");
    let mut all = members.clone();
    let mut toiling: Vec<_> = members.iter().map(|member| member.say(&workshop.toil(3, 100_000, ""))).collect();
    let mut done = 0;
    for round in 0..12 {
        let agreed = fleet.agree(&members);
        // Whoever dies has three threads that work or wait; in turn the supervisor, another one, and both at once.
        let mut victims = vec![agreed.supervisor];
        if round % 3 > 0 {
            victims.push((agreed.supervisor + 1) % members.len());
        }
        if round % 3 == 1 {
            victims.remove(0);
        }
        victims.sort_unstable();
        for victim in victims.into_iter().rev() {
            toiling.remove(victim);
            let victim = members.remove(victim);
            kill(&victim);
            expect_ended(&members, &victim, "Failed");
        }
        while members.len() < 5 {
            let next = fleet.member("");
            toiling.push(next.say(&workshop.toil(3, 100_000, "")));
            all.push(next.clone());
            members.push(next);
        }
        fleet::eventually("the work goes on", || workshop.check() > done + 20);
        done = workshop.check();
    }
    assert_ids_kept(&members);
    check_reigns(&all);
    // Everybody leaves in the middle of it: every call ends, and what was held is free.
    let last = fleet.member("");
    members.iter().for_each(|member| drop(member.ask("leave").unwrap()));
    for (member, toiling) in members.iter().zip(toiling) {
        assert!(member.process.answer(toiling).unwrap_err().starts_with("Left"));
    }
    last.expect_free("mutex workshop");
}
