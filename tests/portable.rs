//! The presence of systems whose kernel cannot list names, here with real processes: the central rows hold with it too.

mod fleet;

use std::net::{TcpListener, UdpSocket};

use fleet::schedules::{self, assert_ids_kept, expect_ended, expect_reign, kill};
use fleet::{Fleet, Member, check_reigns};

/// Without a limit a window that waits for somebody who is gone would stay open for ever.
fn portable() -> Fleet {
    Fleet::with("portable=1 limit=none")
}

fn fleet_of(count: usize) -> (Fleet, Vec<Member>) {
    let fleet = portable();
    let members = fleet.members(count, "");
    (fleet, members)
}

#[test]
fn c5_the_kill_of_a_subordinate_reaches_everybody() {
    schedules::subordinate_killed(&portable());
}

#[test]
fn c7_ten_members_survive_eight_failovers() {
    let (fleet, mut members) = fleet_of(10);
    let all = members.clone();
    let first = fleet.agree(&members).epoch;
    for _ in 0..8 {
        let agreed = fleet.agree(&members);
        let supervisor = members.remove(agreed.supervisor);
        kill(&supervisor);
        expect_reign(&members, agreed.epoch);
        expect_ended(&members, &supervisor, "Failed");
        assert_ids_kept(&members);
    }
    fleet.agree(&members);
    assert_eq!(check_reigns(&all).range(first + 1..).count(), 8, "a reign that nobody was meant to win");
}

#[test]
fn c7_supervisor_and_subordinate_are_killed_in_the_same_instant() {
    schedules::both_killed(&portable(), 1);
}

#[test]
fn b3_a_supervisor_that_is_dead_but_not_reaped_holds_nobody_up() {
    schedules::zombies(&portable());
}

#[test]
fn b3_a_process_that_became_another_program_holds_nobody_up() {
    schedules::other_programs(&portable());
}

#[test]
fn b3_a_newcomer_that_wins_waits_for_members_it_has_never_heard_of() {
    // Whether it keeps the office is another matter: others can tell better who is gone.
    schedules::newcomer_wins(&portable());
}

#[test]
fn b3_a_window_waits_for_a_stopped_member() {
    schedules::window_waits(&portable());
}

#[test]
fn b2_a_member_that_has_forfeited_is_waited_for_under_its_new_id() {
    let fleet = Fleet::with("portable=1 limit=300");
    let mut members = fleet.members(3, "");
    let agreed = fleet.agree(&members);
    let supervisor = members.remove(agreed.supervisor);
    let silent = members.remove(0);
    silent.process.stop();
    kill(&supervisor);
    expect_reign(&members, agreed.epoch);
    expect_ended(&members, &silent, "Evicted");
    silent.process.resume();
    let told = silent.expect(0, "forfeited", &[("old", silent.id.as_str())]);
    let back = Member { id: told.text("new"), ..silent };
    // From here on whoever wins has no limit.
    let patient = fleet.members(2, "limit=none");
    members.push(back.clone());
    members.extend(patient.iter().cloned());
    let agreed = fleet.agree(&members);
    let supervisor = members.remove(agreed.supervisor);
    assert!(patient.iter().chain([&back]).all(|member| member.id != supervisor.id));
    back.process.stop();
    kill(&supervisor);
    // Its connection is still there, and so is it: nobody may take it for dead.
    for member in &patient {
        member.event(0, "the welcome in the open window", |event| {
            (event.kind() == "welcomed" && event.get("supervisor") != Some(&supervisor.id)).then_some(())
        });
    }
    // Meanwhile nobody is taken in, for as long as this takes.
    let error = fleet.joining("limit=none within=1000").answer().unwrap_err();
    assert!(error.starts_with("TimedOut"), "{error}");
    back.process.resume();
    expect_reign(&members, agreed.epoch);
    fleet.agree(&members);
    for member in &patient {
        assert!(member.events(0, "ended").iter().all(|event| event.text("id") != back.id), "it was taken for dead");
    }
    assert_eq!(back.status().id, back.id);
}

#[test]
fn p13_leaving_is_told_apart_from_failing() {
    schedules::leaving(&portable(), "leave");
}

#[test]
fn p13_resigning_hands_the_office_over_and_nobody_loses_anything() {
    schedules::resigning(&portable(), 5);
}

#[test]
fn p13_everybody_leaves_at_once_and_the_ports_are_free() {
    let fleet = portable();
    schedules::everybody_leaves(&fleet);
    TcpListener::bind(("127.0.0.1", fleet.port)).unwrap();
    UdpSocket::bind(("127.0.0.1", fleet.port)).unwrap();
}

#[test]
fn an_observer_waits_between_two_reigns_and_knows_when_there_is_nobody() {
    let (fleet, mut members) = fleet_of(3);
    let watcher = fleet.process();
    let observe = format!("observe o group={} port={} portable=1", fleet.group, fleet.port);
    let agreed = fleet.agree(&members);
    let supervisor = members.remove(agreed.supervisor);
    members.iter().for_each(|member| member.process.stop());
    kill(&supervisor);
    let observing = watcher.say(&observe);
    fleet::in_vain(&watcher, fleet.port);
    members.iter().for_each(|member| member.process.resume());
    watcher.answer(observing).unwrap();
    assert_eq!(watcher.ask("look o").unwrap().registry(), fleet.agree(&members).registry);
    members.iter().for_each(kill);
    let error = watcher.ask(&observe.replace("observe o", "observe p")).unwrap_err();
    assert!(error.starts_with("NoSupervisor"), "{error}");
}
