//! What happens to the members of a fleet in several tests: steps, and whole schedules that hold for either mechanism of
//! presence.

use super::{Fleet, Member, check_reigns, eventually, kernel};

/// All but one of them.
pub fn others(members: &[Member], but: &Member) -> Vec<Member> {
    members.iter().filter(|member| member.id != but.id).cloned().collect()
}

pub fn kill(member: &Member) {
    member.process.kill();
    member.process.reap();
}

/// That all these still have the id under which they joined, and were never told otherwise.
pub fn assert_ids_kept(members: &[Member]) {
    for member in members {
        assert_eq!(member.events(0, "forfeited").len(), 0, "{} has forfeited", member.id);
        assert_eq!(member.status().id, member.id);
    }
}

/// Waits until each of these has been told that this instance ended in this way. One that has more to read than it can has
/// missed some of what it was told, maybe that; then its registry says so.
pub fn expect_ended(members: &[Member], ended: &Member, reason: &str) {
    for member in members {
        let has_missed = member.event(0, &format!("that {} ended: {reason}", ended.id), |event| match event.kind() {
            "ended" => {
                let is_it = event.get("id") == Some(&ended.id) && event.get("reason") == Some(reason);
                is_it.then_some(false)
            }
            "missed" => Some(true),
            _ => None,
        });
        if has_missed {
            eventually("it is in no registry", || member.status().registry.iter().all(|row| row.id != ended.id));
        }
    }
}

/// Waits until each of these is part of a reign after this epoch.
pub fn expect_reign(members: &[Member], after: u64) {
    for member in members {
        member.reign_after(after);
    }
}

/// Kills the supervisor while one of the others stands still and holds the window open; returns when the rest, which are
/// returned, have been welcomed in it.
pub fn hold_window_open(members: &[Member], supervisor: &Member, stopped: &Member) -> Vec<Member> {
    let rest = others(&others(members, supervisor), stopped);
    let marks: Vec<_> = rest.iter().map(|member| member.process.mark()).collect();
    stopped.process.stop();
    kill(supervisor);
    for (member, mark) in rest.iter().zip(marks) {
        member.event(mark, "the welcome in the open window", |event| {
            (event.kind() == "welcomed" && event.get("supervisor") != Some(&supervisor.id)).then_some(())
        });
    }
    rest
}

/// A fleet whose supervisor is dead and whose window is held open by a stopped member: the others, the stopped one, and
/// the epoch before.
pub fn open_window(fleet: &Fleet, count: usize) -> (Vec<Member>, Member, u64) {
    let members = fleet.members(count + 2, "");
    let agreed = fleet.agree(&members);
    let supervisor = members[agreed.supervisor].clone();
    let stopped = others(&members, &supervisor).swap_remove(0);
    (hold_window_open(&members, &supervisor, &stopped), stopped, agreed.epoch)
}

/// Who has won the port, by its own last words.
pub fn winner(members: &[Member]) -> Member {
    let won = |member: &&Member| member.status().role == "Supervisor";
    members.iter().find(won).cloned().expect("one of them has won")
}

/// The supervisor of a fleet, and the others.
pub fn court(fleet: &Fleet, members: &[Member]) -> (Member, Vec<Member>) {
    let supervisor = members[fleet.agree(members).supervisor].clone();
    let rest = others(members, &supervisor);
    (supervisor, rest)
}

// ------------------------------------------------------------------------------------------------------ whole schedules

/// A subordinate is killed: everybody hears of it, and nobody elects.
pub fn subordinate_killed(fleet: &Fleet) {
    let members = fleet.members(6, "");
    let agreed = fleet.agree(&members);
    let victim = &members[(agreed.supervisor + 1) % members.len()];
    kill(victim);
    let rest = others(&members, victim);
    expect_ended(&rest, victim, "Failed");
    assert_eq!(fleet.agree(&rest).epoch, agreed.epoch, "no election");
}

/// Supervisor and subordinate are killed in the same instant, so many times.
pub fn both_killed(fleet: &Fleet, times: u32) {
    let mut members = fleet.members(8, "");
    for _ in 0..times {
        let agreed = fleet.agree(&members);
        let supervisor = members.remove(agreed.supervisor);
        let subordinate = members.remove(0);
        subordinate.process.kill();
        supervisor.process.kill();
        subordinate.process.reap();
        supervisor.process.reap();
        expect_reign(&members, agreed.epoch);
        expect_ended(&members, &supervisor, "Failed");
        expect_ended(&members, &subordinate, "Failed");
        assert_ids_kept(&members);
    }
    fleet.agree(&members);
    check_reigns(&members);
}

/// Two supervisors are dead one after the other, and nobody reaps them.
pub fn zombies(fleet: &Fleet) {
    let mut members = fleet.members(4, "");
    for _ in 0..2 {
        let agreed = fleet.agree(&members);
        let zombie = members.remove(agreed.supervisor);
        zombie.process.kill();
        expect_reign(&members, agreed.epoch);
        expect_ended(&members, &zombie, "Failed");
    }
}

/// Once the supervisor, once a subordinate becomes another program. Both processes live on under the same number.
pub fn other_programs(fleet: &Fleet) {
    let mut members = fleet.members(5, "");
    let agreed = fleet.agree(&members);
    let supervisor = members.remove(agreed.supervisor);
    supervisor.process.say("exec");
    expect_reign(&members, agreed.epoch);
    expect_ended(&members, &supervisor, "Failed");
    let agreed = fleet.agree(&members);
    let subordinate = members.remove((agreed.supervisor + 1) % members.len());
    subordinate.process.say("exec");
    expect_ended(&members, &subordinate, "Failed");
    assert_eq!(fleet.agree(&members).epoch, agreed.epoch);
    let lives = |member: &Member| std::path::Path::new(&format!("/proc/{}", member.process.pid)).exists();
    assert!(lives(&supervisor) && lives(&subordinate));
}

/// A subordinate leaves, then the supervisor, and both are told apart from failures; the process can come again.
pub fn leaving(fleet: &Fleet, verb: &str) {
    let mut members = fleet.members(6, "");
    let agreed = fleet.agree(&members);
    let subordinate = members.remove((agreed.supervisor + 1) % members.len());
    subordinate.ask(verb).unwrap();
    subordinate.event(0, "the end of its events", |event| (event.kind() == "closed").then_some(()));
    expect_ended(&members, &subordinate, "Left");
    let agreed = fleet.agree(&members);

    let supervisor = members.remove(agreed.supervisor);
    supervisor.ask(verb).unwrap();
    expect_reign(&members, agreed.epoch);
    expect_ended(&members, &supervisor, "Left");
    assert_ids_kept(&members);
    fleet.agree(&members);
    let again = fleet.joined(fleet.join_in(&supervisor.process, ""));
    assert_ne!(again.id, supervisor.id);
    members.push(again);
    fleet.agree(&members);
}

/// Everybody leaves at once.
pub fn everybody_leaves(fleet: &Fleet) {
    let members = fleet.members(8, "");
    let leaving: Vec<_> = members.iter().map(|member| member.say("leave")).collect();
    for (member, leaving) in members.iter().zip(leaving) {
        member.process.answer(leaving).unwrap();
    }
}

/// Whoever reigns resigns, so many times, and nobody loses anything.
pub fn resigning(fleet: &Fleet, times: u32) {
    let members = fleet.members(6, "");
    let mut agreed = fleet.agree(&members);
    for _ in 0..times {
        let old = &members[agreed.supervisor];
        let status = old.ask("resign").unwrap();
        assert_eq!((status.text("role"), status.text("id")), ("Subordinate".to_owned(), old.id.clone()));
        let before = std::mem::replace(&mut agreed, fleet.agree(&members));
        assert!(agreed.epoch > before.epoch);
        assert_ne!(agreed.supervisor, before.supervisor, "the office stayed where it was");
    }
    assert_ids_kept(&members);
    check_reigns(&members);
    for member in &members {
        assert_eq!(member.events(0, "ended").len(), 0, "somebody was missing in between");
    }
}

/// The window waits for a stopped member; the fleet has no limit.
pub fn window_waits(fleet: &Fleet) {
    let (mut rest, stopped, epoch) = open_window(fleet, 2);
    for member in &rest {
        assert!(member.events(0, "reign").iter().all(|event| event.number("epoch") <= epoch));
    }
    stopped.process.resume();
    rest.push(stopped);
    expect_reign(&rest, epoch);
    fleet.agree(&rest);
    assert_ids_kept(&rest);
}

/// A newcomer wins while all members stand still, and waits for members that it has never heard of. Says whether it
/// reigns in the end.
pub fn newcomer_wins(fleet: &Fleet) -> bool {
    let members = fleet.members(5, "");
    let epoch = fleet.agree(&members).epoch;
    let (supervisor, rest) = court(fleet, &members);
    rest.iter().for_each(|member| member.process.stop());
    kill(&supervisor);
    let joining = fleet.joining("");
    eventually("the newcomer listens", || kernel::is_listened_on(fleet.port));
    // A second one is told nothing before the window closes, and finds the first one alive.
    let error = fleet.joining("within=1000").answer().unwrap_err();
    assert!(error.starts_with("TimedOut"), "{error}");
    rest.iter().for_each(|member| member.process.resume());
    let newcomer = fleet.joined(joining);
    assert!(newcomer.epoch > epoch);
    expect_reign(&rest, epoch);
    expect_ended(&rest, &supervisor, "Failed");
    assert_ids_kept(&rest);
    let all: Vec<_> = rest.iter().chain([&newcomer]).cloned().collect();
    let agreed = fleet.agree(&all);
    check_reigns(&all);
    all[agreed.supervisor].id == newcomer.id
}
