//! What happens to the members of a fleet in several tests.

use super::{Fleet, Member};

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

/// Waits until each of these has been told that this instance ended in this way.
pub fn expect_ended(members: &[Member], ended: &Member, reason: &str) {
    for member in members {
        member.expect(0, "ended", &[("id", ended.id.as_str()), ("reason", reason)]);
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
