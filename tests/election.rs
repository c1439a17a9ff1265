//! Who becomes supervisor, and what everybody knows about it.

mod fleet;

use std::collections::BTreeSet;

use fleet::kernel::{self, State};
use fleet::{Fleet, check_reigns};

#[test]
fn c1_of_twenty_processes_that_start_at_once_exactly_one_is_supervisor() {
    // Fifty rounds take most of a minute.
    let rounds = if fleet::long() { 50 } else { 8 };
    for _ in 0..rounds {
        let fleet = Fleet::new();
        let members = fleet.members(20, "");
        let agreed = fleet.agree(&members);
        assert_eq!(agreed.registry.iter().filter(|row| row.role == "Supervisor").count(), 1);
        // Nobody reigned before the one who reigns now.
        let reigns = check_reigns(&members);
        assert!(reigns.keys().all(|epoch| *epoch == agreed.epoch), "{reigns:?}");
        assert!(members.iter().all(|member| member.epoch == agreed.epoch));
    }
}

#[test]
fn c2_the_supervisor_is_the_process_that_listens_and_nobody_else_does() {
    let fleet = Fleet::new();
    let members = fleet.members(5, "");
    let agreed = fleet.agree(&members);
    let listening = kernel::connections(fleet.port).into_iter().filter(|c| c.state == State::Listening).count();
    assert_eq!(listening, 1);
    let supervisor = &members[agreed.supervisor];
    supervisor.process.kill();
    supervisor.process.reap();
    let rest: Vec<_> = members.iter().filter(|member| member.id != supervisor.id).cloned().collect();
    for member in &rest {
        member.reign_after(agreed.epoch);
    }
    assert!(kernel::is_listened_on(fleet.port));
}

#[test]
fn c3_every_subordinate_holds_one_connection() {
    let fleet = Fleet::new();
    let members = fleet.members(9, "");
    let agreed = fleet.agree(&members);
    let count = || {
        let own = |c: &kernel::Connection| c.state == State::Established && c.remote == fleet.port;
        kernel::connections(fleet.port).iter().filter(|c| own(c)).count()
    };
    assert_eq!(count(), 8);
    members[agreed.supervisor].process.kill();
    members[agreed.supervisor].process.reap();
    let rest: Vec<_> =
        members.iter().enumerate().filter(|(n, _)| *n != agreed.supervisor).map(|(_, m)| m.clone()).collect();
    fleet.agree(&rest);
    assert_eq!(count(), 7);
}

#[test]
fn c8_the_registry_is_the_same_everywhere_with_one_entry_for_every_instance() {
    let fleet = Fleet::new();
    let joining: Vec<_> =
        (0..8).map(|n| fleet.joining(&format!("label=worker{n} version={n} payload={}", n * 500))).collect();
    let members: Vec<_> = joining.into_iter().map(|joining| fleet.joined(joining)).collect();
    let agreed = fleet.agree(&members);
    let ids: BTreeSet<_> = agreed.registry.iter().map(|row| row.id.clone()).collect();
    assert_eq!(ids, members.iter().map(|member| member.id.clone()).collect());
    for (n, member) in members.iter().enumerate() {
        let row = agreed.registry.iter().find(|row| row.id == member.id).unwrap();
        assert_eq!(row.pid, member.process.pid);
        assert_eq!((row.label.clone(), row.version, row.payload), (format!("worker{n}"), n as u32, n * 500));
    }
}

#[test]
fn several_instances_of_one_process_are_several_members() {
    let fleet = Fleet::new();
    let (first, second) = (fleet.process(), fleet.process());
    let joining: Vec<_> = (0..8).map(|n| fleet.join_in(if n % 2 == 0 { &first } else { &second }, "")).collect();
    let members: Vec<_> = joining.into_iter().map(|joining| fleet.joined(joining)).collect();
    let agreed = fleet.agree(&members);
    // The office passes inside a process as it does between two.
    members[agreed.supervisor].ask("leave").unwrap();
    let rest: Vec<_> =
        members.iter().enumerate().filter(|(n, _)| *n != agreed.supervisor).map(|(_, m)| m.clone()).collect();
    let next = fleet.agree(&rest);
    assert!(next.epoch > agreed.epoch);
    let killed = rest[next.supervisor].process.clone();
    killed.kill();
    killed.reap();
    let rest: Vec<_> = rest.into_iter().filter(|member| member.process.pid != killed.pid).collect();
    assert!(fleet.agree(&rest).epoch > next.epoch);
    check_reigns(&rest);
}

#[test]
fn a_late_joiner_and_an_observer_see_everybody() {
    let fleet = Fleet::new();
    // With payloads like these the view takes more than one frame. In portions: three hundred such views at once are
    // more than a busy machine can write in the time that a join is prepared to wait in silence.
    let process = fleet.process();
    let mut members = Vec::new();
    for _ in 0..10 {
        let joining: Vec<_> = (0..30).map(|_| fleet.join_in(&process, "payload=4096")).collect();
        members.extend(joining.into_iter().map(|joining| fleet.joined(joining)));
    }
    let late = fleet.member("");
    assert_eq!(late.status().registry.len(), 301);
    members.push(late);
    let agreed = fleet.agree(&members);

    let watcher = fleet.process();
    watcher.ask(&format!("observe o group={} port={}", fleet.group, fleet.port)).unwrap();
    let seen = watcher.ask("look o").unwrap();
    assert_eq!(seen.registry(), agreed.registry);
    assert_eq!(seen.number("epoch"), agreed.epoch);
    assert_eq!(fleet.agree(&members).registry.len(), 301, "an observer is no entry");
}

#[test]
fn an_observer_follows_the_group_and_never_takes_the_office() {
    let fleet = Fleet::new();
    let watcher = fleet.process();
    let address = format!("group={} port={}", fleet.group, fleet.port);
    let refused = watcher.ask(&format!("observe none {address}")).unwrap_err();
    assert!(refused.starts_with("NoSupervisor"), "{refused}");

    let mut members = fleet.members(3, "");
    watcher.ask(&format!("observe o {address}")).unwrap();
    for _ in 0..2 {
        let before = fleet.agree(&members);
        let supervisor = members.remove(before.supervisor);
        supervisor.process.kill();
        supervisor.process.reap();
        let after = fleet.agree(&members);
        watcher.wait(0, "the next reign", |line| {
            (line.contains("event o reign") && line.number("epoch") == after.epoch).then_some(())
        });
        assert_eq!(watcher.ask("look o").unwrap().registry(), after.registry);
    }
    members[0].process.kill();
    members[0].process.reap();
    assert!(!kernel::is_listened_on(fleet.port));
    // A later group of this name is followed as well.
    let reborn = fleet.member("");
    watcher.wait(0, "the reign of the next group", |line| {
        (line.contains("event o reign") && line.number("epoch") == reborn.epoch).then_some(())
    });
}

#[test]
fn a_receiver_that_lags_is_told_how_many_events_it_missed() {
    let fleet = Fleet::new();
    let member = fleet.member("");
    member.ask("lag").unwrap();
    let visitors = fleet.process();
    let mut told = (0, 0);
    for round in 0..4 {
        // Every visit is two events.
        for batch in 0..10 {
            let joining: Vec<_> = (0..20).map(|_| fleet.join_in(&visitors, "")).collect();
            let visiting: Vec<_> = joining.into_iter().map(|joining| fleet.joined(joining)).collect();
            let from = member.process.mark();
            visiting.iter().map(|visitor| visitor.say("drop")).for_each(|said| drop(visitors.answer(said)));
            let last = fleet.agree(std::slice::from_ref(&member));
            assert_eq!(last.registry.len(), 1, "round {round} batch {batch} from {from}");
        }
        let drained = if round == 3 { member.ask("drain").unwrap() } else { continue };
        told = (drained.number("read"), drained.number("missed"));
    }
    // That something is missing comes without another event; how much is known when the next one comes.
    assert!(told.0 == 1024 && told.1 > 0, "{told:?}");
    let visitor = fleet.member("");
    let drained = member.ask("drain").unwrap();
    assert_eq!((drained.number("read"), told.1 + drained.number("missed")), (1, 1600 - 1024));
    drop(visitor);
}
