//! A pause outlives the supervisor that ordered it.

mod fleet;

use fleet::control::{expect_standing, standing_of};
use fleet::locks::{line_up, refused, served_in_order};
use fleet::schedules::{court, expect_ended, expect_reign, hold_window_open, kill, others, winner};
use fleet::{Fleet, Member, check_reigns};

/// Pauses a member, and waits until everybody knows.
fn pause(by: &Member, whom: &Member, all: &[Member]) {
    by.command(whom, "pause").unwrap();
    whom.obeys(0, "pause");
    expect_standing(&all.iter().collect::<Vec<_>>(), whom, "Paused");
}

/// Whoever of these reigns in the latest reign; the registry of one that is paused is as good as any.
fn reigns(members: &[Member]) -> Member {
    let mut found = None;
    fleet::eventually("one of them reigns", || {
        let reigning = |member: &&Member| member.status().role == "Supervisor";
        found = members.iter().find(reigning).cloned();
        found.is_some()
    });
    found.expect("one of them reigns")
}

#[test]
fn c4_a_paused_one_is_paused_in_the_next_reign_too() {
    for verb in ["kill", "resign", "leave"] {
        let fleet = Fleet::with("limit=none");
        let members = fleet.members(6, "");
        let (supervisor, rest) = court(&fleet, &members);
        let epoch = rest[0].status().epoch;
        let token = rest[4].lock("g", "mutex line").unwrap().number("token");
        let mut waiting = line_up(&[&rest[0], &rest[1], &rest[2]], "mutex line");
        rest[0].lock("kept", "mutex kept").unwrap();
        pause(&supervisor, &rest[0], &members);
        let put = rest[0].call("put theirs x");
        match verb {
            "kill" => kill(&supervisor),
            _ => drop(supervisor.ask(verb).unwrap()),
        }
        expect_reign(&rest, epoch);
        // Nobody ever sees it otherwise, itself included.
        for member in &rest {
            assert_eq!(standing_of(member, &rest[0]).as_deref(), Some("Paused"));
            assert!(
                member
                    .events(0, "changed")
                    .iter()
                    .all(|event| { event.get("id") != Some(&rest[0].id) || event.get("standing") != Some("Active") })
            );
        }
        rest[4].unlock("g").unwrap();
        let passed = waiting.remove(1).granted().number("token");
        assert!(passed > token && !waiting[0].is_over());
        assert!(rest[0].is_held("kept"));
        refused(rest[0].lock("x", "mutex unused try"), "WouldBlock");
        rest[0].ask("held-permits none").unwrap();
        assert!(!put.is_over() && rest[3].get("theirs").is_none());
        assert_eq!(rest[0].events(0, "command").len(), 1, "nobody said it again");

        let next = reigns(&rest);
        next.command(&rest[0], "resume").unwrap();
        rest[1].unlock("g").unwrap();
        served_in_order(&waiting, passed);
        put.done();
        expect_standing(&rest.iter().collect::<Vec<_>>(), &rest[0], "Active");
        // And what was resumed stays so.
        let epoch = rest[0].status().epoch;
        next.ask("resign").unwrap();
        expect_reign(&rest, epoch);
        rest[0].lock("again", "mutex line within=25000").unwrap();
        let present = if verb == "resign" { &members } else { &rest };
        fleet.agree(present);
        check_reigns(present);
    }
}

#[test]
fn c4_one_that_is_paused_can_reign_and_stays_paused() {
    let fleet = Fleet::with("limit=none handler=echo");
    let members = fleet.members(2, "");
    let (supervisor, rest) = court(&fleet, &members);
    let paused = &rest[0];
    let observer = fleet.observer();
    pause(&supervisor, paused, &members);
    let lock = paused.locking("g", "mutex line");
    let put = paused.call("put theirs x");
    let epoch = paused.status().epoch;
    kill(&supervisor);
    paused.reign_after(epoch);
    assert_eq!(paused.status().role, "Supervisor");
    assert_eq!(standing_of(paused, paused).as_deref(), Some("Paused"));
    refused(paused.lock("x", "mutex unused try"), "WouldBlock");
    refused(paused.lock("x", "mutex unused within=20"), "TimedOut");
    refused(paused.ask("request text within=20"), "TimedOut");
    // It serves the others as ever.
    let other = fleet.member("");
    other.lock("g", "mutex line within=25000").unwrap();
    other.put("other", "x");
    assert!(other.request("text").unwrap().starts_with(&paused.process.pid.to_string()));
    assert_eq!(standing_of(&other, paused).as_deref(), Some("Paused"));
    assert!(!lock.is_over() && !put.is_over());
    other.unlock("g").unwrap();
    other.lock("again", "mutex line within=25000").unwrap();
    assert!(!lock.is_over());
    other.unlock("again").unwrap();
    observer.command(paused, "resume").unwrap();
    lock.granted();
    put.done();
    expect_standing(&[&other, paused], paused, "Active");
}

#[test]
fn c4_a_paused_one_that_forfeits_comes_back_paused() {
    let fleet = Fleet::with("limit=300");
    let members = fleet.members(4, "");
    let (supervisor, rest) = court(&fleet, &members);
    let running = others(&rest, &rest[0]);
    let epoch = rest[0].status().epoch;
    rest[0].lock("kept", "mutex kept").unwrap();
    pause(&supervisor, &rest[0], &members);
    rest[0].process.stop();
    kill(&supervisor);
    expect_reign(&running, epoch);
    expect_ended(&running, &rest[0], "Evicted");
    running[0].lock("kept", "mutex kept within=25000").unwrap();
    rest[0].process.resume();
    let told = rest[0].expect(0, "forfeited", &[("old", rest[0].id.as_str())]);
    let back = Member { id: told.text("new"), ..rest[0].clone() };
    rest[0].expect(0, "lost", &[("name", "kept")]);
    let mut all = running.clone();
    all.push(back.clone());
    expect_standing(&all.iter().collect::<Vec<_>>(), &back, "Paused");
    refused(back.lock("x", "mutex unused try"), "WouldBlock");
    let waiting = back.locking("g", "mutex unused");
    running[1].lock("g", "mutex unused within=25000").unwrap();
    let next = reigns(&running);
    next.command(&back, "resume").unwrap();
    running[1].unlock("g").unwrap();
    waiting.granted();
}

#[test]
fn c4_whoever_is_paused_holds_a_window_open_like_any_other() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(4, "");
    let (supervisor, rest) = court(&fleet, &members);
    let paused = rest[0].clone();
    pause(&supervisor, &paused, &members);
    let waiting = paused.locking("g", "mutex line");
    let rest = hold_window_open(&members, &supervisor, &paused);
    let next = winner(&rest);
    refused(next.command(&paused, "resume"), "NotSupervisor");
    let passes = rest[1].locking("g", "mutex line");
    paused.process.resume();
    passes.granted();
    assert!(!waiting.is_over());
    rest[1].unlock("g").unwrap();
    expect_standing(&rest.iter().chain([&paused]).collect::<Vec<_>>(), &paused, "Paused");
    next.command(&paused, "resume").unwrap();
    waiting.granted();
}

#[test]
fn c4_pauses_survive_one_supervisor_after_the_other() {
    let fleet = Fleet::with("limit=none");
    let mut members = fleet.members(7, "");
    fleet.agree(&members);
    let observer = fleet.observer();
    let paused: Vec<_> = members.drain(..2).collect();
    let mut all: Vec<_> = members.iter().chain(&paused).cloned().collect();
    paused.iter().for_each(|paused| pause(&observer, paused, &all));
    let waiting: Vec<_> = paused.iter().map(|paused| paused.locking("g", "mutex line")).collect();
    for round in 0..4 {
        let supervisor = reigns(&all);
        if paused.iter().any(|paused| paused.id == supervisor.id) {
            // Nobody is killed who is to be looked at; the office goes on to somebody.
            let epoch = supervisor.status().epoch;
            supervisor.ask("resign").unwrap();
            expect_reign(&all, epoch);
        } else {
            let epoch = supervisor.status().epoch;
            kill(&supervisor);
            all = others(&all, &supervisor);
            members = others(&members, &supervisor);
            expect_reign(&all, epoch);
        }
        for paused in &paused {
            expect_standing(&all.iter().collect::<Vec<_>>(), paused, "Paused");
        }
        let running = &members[0];
        running.lock("g", "mutex line within=25000").unwrap();
        running.put("key", &round.to_string());
        running.unlock("g").unwrap();
        assert!(waiting.iter().all(|waiting| !waiting.is_over()), "in round {round}");
        all.push(fleet.member(""));
        members.push(all.last().cloned().expect("one has joined"));
    }
    for (paused, waiting) in paused.iter().zip(&waiting) {
        observer.command(paused, "resume").unwrap();
        waiting.granted();
        paused.unlock("g").unwrap();
    }
    fleet.agree(&all);
    check_reigns(&all);
}
