//! Copies of a newer version join while the program runs, and the office goes to them.

mod fleet;

use fleet::schedules::{assert_ids_kept, expect_ended, expect_reign, kill, others};
use fleet::{Agreed, Fleet, Member, check_reigns, eventually};

/// What an instance asks for has come back twice: its supervisor has read everything that it wrote before, and it has
/// read and answered everything that its supervisor had written.
fn converse(member: &Member) {
    for _ in 0..2 {
        let name = member.id.as_str();
        member.lock("word", &format!("mutex {name}")).unwrap();
        member.unlock("word").unwrap();
    }
}

/// Waits until all agree, and everybody who was there before has reported that reign.
fn agree(fleet: &Fleet, members: &[Member]) -> Agreed {
    let agreed = fleet.agree(members);
    for member in members.iter().filter(|member| member.epoch < agreed.epoch) {
        member.expect(0, "reign", &[("epoch", agreed.epoch.to_string().as_str())]);
    }
    agreed
}

/// Waits until this one reigns, after this epoch, and everybody agrees on it.
fn await_supervisor(fleet: &Fleet, members: &[Member], heir: &Member, before: u64) -> Agreed {
    // In its window it has the office, and still the epoch before, which may be of a reign after the one that is known here.
    // Whoever was there before is told of the reign when it is one.
    let is_told = |member: &Member| {
        let reigns = member.events(0, "reign");
        reigns.iter().any(|reign| reign.text("supervisor") == heir.id && reign.number("epoch") > before)
    };
    eventually(&format!("{} reigns", heir.id), || members.iter().any(is_told));
    let agreed = agree(fleet, members);
    assert_eq!(members[agreed.supervisor].id, heir.id);
    agreed
}

/// That these still belong to the reign of this epoch, and that the supervisor has had every cause to end it that there
/// was.
fn expect_no_change(fleet: &Fleet, members: &[Member], epoch: u64) {
    members.iter().for_each(converse);
    assert_eq!(agree(fleet, members).epoch, epoch);
}

/// Old members, of which the first reigns and keeps the office for now, and a newer one that has proved that it runs.
fn office_kept(fleet: &Fleet, old: usize) -> (Vec<Member>, Member) {
    let mut members = vec![fleet.member("version=1")];
    members.extend(fleet.members(old - 1, "version=1"));
    members[0].ask("office").unwrap();
    let newer = fleet.member("version=2");
    converse(&newer);
    (members, newer)
}

/// How many reigns these have seen after this epoch.
fn reigns_after(members: &[Member], epoch: u64) -> usize {
    check_reigns(members).range(epoch + 1..).count()
}

fn with(members: &[Member], one: &Member) -> Vec<Member> {
    members.iter().chain([one]).cloned().collect()
}

#[test]
fn b9_a_newer_version_reigns_and_nobody_loses_anything() {
    for options in ["limit=none", "limit=none portable=1"] {
        let fleet = Fleet::with(options);
        let first = fleet.member("version=1");
        let old = with(&fleet.members(3, "version=1"), &first);
        let before = agree(&fleet, &old);
        old[0].lock("held", "mutex a").unwrap();
        first.lock("own", "mutex b").unwrap();
        let waiting = [old[1].queue("a", "mutex a", 0), first.queue("a", "mutex a", 1)];
        let newer = fleet.member("version=2");
        let all = with(&old, &newer);
        await_supervisor(&fleet, &all, &newer, before.epoch);
        assert_ids_kept(&all);
        assert!(old[0].is_held("held") && first.is_held("own"));
        assert!(waiting.iter().all(|waiting| !waiting.is_over()));
        old[0].unlock("held").unwrap();
        waiting[0].granted();
        old[1].unlock("a").unwrap();
        waiting[1].granted();
        assert_eq!(reigns_after(&all, before.epoch), 1);
        assert!(all.iter().all(|member| member.events(0, "ended").is_empty()));
    }
}

#[test]
fn b9_every_newer_version_reigns_in_its_turn() {
    let fleet = Fleet::with("limit=none");
    let mut members = vec![fleet.member("version=1")];
    let mut epoch = members[0].epoch;
    for version in 2..7 {
        let newer = fleet.member(&format!("version={version}"));
        members.push(newer.clone());
        epoch = await_supervisor(&fleet, &members, &newer, epoch).epoch;
    }
    assert_ids_kept(&members);
    assert_eq!(reigns_after(&members, members[0].epoch), 5);
}

#[test]
fn b9_one_newer_version_among_ten_old_ones_costs_one_election_or_two() {
    let fleet = Fleet::with("limit=none");
    let old = fleet.members(10, "version=1");
    let before = agree(&fleet, &old);
    let newer = fleet.member("version=2");
    let all = with(&old, &newer);
    await_supervisor(&fleet, &all, &newer, before.epoch);
    assert_ids_kept(&all);
    assert!(reigns_after(&all, before.epoch) <= 2, "{:?}", check_reigns(&all));
}

#[test]
fn b9_of_two_newer_versions_that_come_at_once_the_newest_reigns_in_the_end() {
    let fleet = Fleet::with("limit=none");
    let old = fleet.members(3, "version=1");
    let before = agree(&fleet, &old);
    let joining = [fleet.joining("version=2"), fleet.joining("version=3")];
    let [newer, newest] = joining.map(|joining| fleet.joined(joining));
    let all = with(&with(&old, &newer), &newest);
    let agreed = await_supervisor(&fleet, &all, &newest, before.epoch);
    expect_no_change(&fleet, &all, agreed.epoch);
    assert_ids_kept(&all);
    assert!(reigns_after(&all, before.epoch) <= 3, "{:?}", check_reigns(&all));
}

#[test]
fn b9_when_the_supervisor_is_killed_the_newest_of_the_others_reigns_in_the_end() {
    let fleet = Fleet::with("limit=none succession=off");
    let supervisor = fleet.member("version=1");
    let old: Vec<_> = (0..3).map(|_| fleet.member("version=1 succession=on")).collect();
    let newer = fleet.member("version=2 succession=on");
    let rest = with(&old, &newer);
    kill(&supervisor);
    await_supervisor(&fleet, &rest, &newer, supervisor.epoch);
    assert_ids_kept(&rest);
}

#[test]
fn b9_versions_that_are_not_newer_change_nothing() {
    let fleet = Fleet::with("limit=none");
    let mut members = vec![fleet.member("version=3")];
    let epoch = agree(&fleet, &members).epoch;
    members.extend(["version=3", "version=2", ""].map(|options| fleet.member(options)));
    expect_no_change(&fleet, &members, epoch);
    assert_eq!(reigns_after(&members, epoch), 0);
}

#[test]
fn b9_who_wants_no_succession_keeps_the_office_and_can_still_resign() {
    let fleet = Fleet::with("limit=none");
    let mut members = vec![fleet.member("version=1 succession=off")];
    let epoch = agree(&fleet, &members).epoch;
    members.push(fleet.member("version=2"));
    expect_no_change(&fleet, &members, epoch);
    members[0].ask("resign").unwrap();
    await_supervisor(&fleet, &members, &members[1], epoch);
}

#[test]
fn b9_the_work_that_only_the_supervisor_does_comes_to_its_end_first() {
    let fleet = Fleet::with("limit=none");
    let (old, newer) = office_kept(&fleet, 3);
    let all = with(&old, &newer);
    let epoch = old[0].status().epoch;
    expect_no_change(&fleet, &all, epoch);
    // Another guard can be had while the heir waits; the first is dropped then.
    old[0].ask("office try").unwrap();
    assert_eq!(old[0].ask("held").unwrap().text("held"), "true");
    expect_no_change(&fleet, &all, epoch);
    let waiting = newer.say("office");
    old[0].ask("unoffice").unwrap();
    newer.process.answer(waiting).unwrap();
    await_supervisor(&fleet, &all, &newer, epoch);
    assert_ids_kept(&all);
}

#[test]
fn p13_who_resigns_while_an_heir_waits_for_the_office_leaves_it_to_the_heir() {
    for _ in 0..5 {
        let fleet = Fleet::with("limit=none");
        let (old, newer) = office_kept(&fleet, 2);
        let all = with(&old, &newer);
        let resigning = old[0].say("resign");
        // What it says comes after the call has begun, or nearly so: either order has to do.
        converse(&old[0]);
        old[0].ask("unoffice").unwrap();
        if let Err(error) = old[0].process.answer(resigning) {
            assert!(error.starts_with("NotSupervisor"), "{error}");
        }
        await_supervisor(&fleet, &all, &newer, old[0].epoch);
        assert_ids_kept(&all);
        // One more, if it resigned while the heir was asked once more whether it runs: then anybody could win.
        assert!(reigns_after(&all, old[0].epoch) <= 2, "{:?}", check_reigns(&all));
    }
}

#[test]
fn b9_an_heir_that_ends_before_it_gets_the_office_changes_nothing() {
    let fleet = Fleet::with("limit=none");
    for how in ["kill", "leave"] {
        let (old, newer) = office_kept(&fleet, 2);
        let epoch = old[0].status().epoch;
        if how == "kill" {
            kill(&newer);
        } else {
            newer.ask("leave").unwrap();
        }
        expect_ended(&old, &newer, if how == "kill" { "Failed" } else { "Left" });
        old[0].ask("unoffice").unwrap();
        expect_no_change(&fleet, &old, epoch);
        // It is free, and can be had again; the next one that is newer gets it all the same.
        old[0].ask("office try").unwrap();
        let next = fleet.member("version=2");
        converse(&next);
        old[0].ask("unoffice").unwrap();
        let all = with(&old, &next);
        await_supervisor(&fleet, &all, &next, epoch);
        assert_eq!(reigns_after(&all, epoch), 1);
        for member in &all {
            member.ask("leave").unwrap();
        }
    }
}

#[test]
fn b9_an_heir_that_stands_still_when_the_office_is_free_does_not_get_it_before_it_runs_again() {
    let fleet = Fleet::with("limit=none");
    let (old, newer) = office_kept(&fleet, 3);
    let before = old[0].status().epoch;
    newer.lock("held", "mutex held").unwrap();
    newer.process.stop();
    old[0].ask("unoffice").unwrap();
    // It has shown that it runs, but that was before. If it got the office all would wait for it.
    for member in &old {
        converse(member);
        assert_eq!(member.status().epoch, before);
    }
    old[0].ask("office try").unwrap();
    old[0].ask("unoffice").unwrap();
    newer.process.resume();
    let all = with(&old, &newer);
    await_supervisor(&fleet, &all, &newer, before);
    assert_ids_kept(&all);
    assert!(newer.is_held("held"));
    assert_eq!(reigns_after(&all, before), 1);
}

#[test]
fn b9_an_heir_that_gives_the_office_up_is_not_offered_it_again() {
    let fleet = Fleet::with("limit=none");
    let old = fleet.members(3, "version=1");
    let before = agree(&fleet, &old).epoch;
    let newer = fleet.member("version=2");
    let all = with(&old, &newer);
    let epoch = await_supervisor(&fleet, &all, &newer, before).epoch;
    newer.ask("resign").unwrap();
    expect_reign(&all, epoch);
    let agreed = agree(&fleet, &all);
    assert!(agreed.supervisor < old.len());
    // It runs and would answer; but nobody asks again, nor does whoever reigns next.
    expect_no_change(&fleet, &all, agreed.epoch);
    let supervisor = all[agreed.supervisor].clone();
    kill(&supervisor);
    let rest = others(&all, &supervisor);
    expect_reign(&rest, agreed.epoch);
    let after = agree(&fleet, &rest);
    expect_no_change(&fleet, &rest, after.epoch);
    assert_ids_kept(&rest);
    assert_eq!(reigns_after(&rest, agreed.epoch), 1);
}

#[test]
fn b9_heirs_that_are_killed_at_any_moment_hold_nobody_up() {
    for options in ["limit=none", "limit=none portable=1"] {
        let fleet = Fleet::with(options);
        let old = fleet.members(4, "version=1");
        let mut epoch = agree(&fleet, &old).epoch;
        let mut all = old.clone();
        for round in 0..12 {
            let mark = old[0].process.mark();
            let joining = fleet.joining("version=2");
            let heir = joining.member();
            // When the others hear of it, when it hears of them, or when the hand-over is under way.
            match round % 3 {
                0 => _ = old[0].expect(mark, "joined", &[]),
                1 => _ = joining.answer().unwrap(),
                _ => _ = old[0].expect(mark, "disconnected", &[]),
            }
            kill(&heir);
            all.push(heir);
            epoch = agree(&fleet, &old).epoch;
            expect_no_change(&fleet, &old, epoch);
            assert_ids_kept(&old);
        }
        check_reigns(&all);
        let last = fleet.member("version=3");
        let now = with(&old, &last);
        await_supervisor(&fleet, &now, &last, epoch);
        assert_ids_kept(&now);
    }
}
