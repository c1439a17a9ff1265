//! Permits that several processes share: what is counted, who waits, and what becomes of the limit.

mod fleet;

use fleet::locks::{Workshop, line_up, refused};
use fleet::schedules::{assert_ids_kept, court, expect_ended, expect_reign, hold_window_open, kill, others};
use fleet::{Fleet, Line, Load, Member, check_reigns};

fn permits(limit: u32, count: u32) -> String {
    format!("permits seats limit={limit} count={count}")
}

/// Takes so many at once, or says that this would have to wait.
fn try_take(member: &Member, guard: &str, count: u32) -> Result<Line, String> {
    member.lock(guard, &format!("{} try", permits(1, count)))
}

fn limit_of(member: &Member, name: &str) -> String {
    member.ask(&format!("limit {name}")).unwrap().text("limit")
}

/// Permits in use, calls that wait and the limit, as the supervisor counts them.
fn counted(member: &Member) -> (u64, u64, u64) {
    let counts = member.ask("held-permits seats").unwrap();
    (counts.number("held"), counts.number("waiting"), counts.get("limit").map_or(0, |_| counts.number("limit")))
}

/// That the supervisor comes to count this. What others have said a moment ago, and be it that a probe waits no more, may
/// still be on its way.
fn expect_counted(member: &Member, counts: (u64, u64, u64)) {
    fleet::eventually(&format!("{counts:?} are counted"), || counted(member) == counts);
}

#[test]
fn p3_permits_of_all_processes_add_up() {
    let fleet = Fleet::new();
    let members = fleet.members(3, "");
    let (supervisor, rest) = court(&fleet, &members);
    let first = supervisor.lock("a", &permits(5, 2)).unwrap().number("token");
    // What others bring as the limit does not count, more or less.
    let second = rest[0].lock("b", &permits(99, 2)).unwrap().number("token");
    assert!(second > first, "each grant has its own token");
    expect_counted(&rest[1], (4, 0, 5));
    let error = refused(try_take(&rest[1], "c", 2), "WouldBlock");
    assert_eq!(error.text("holder"), supervisor.id, "who has had some for longest");
    let third = try_take(&rest[1], "c", 1).unwrap().number("token");
    assert!(third > second);
    refused(try_take(&supervisor, "d", 1), "WouldBlock");
    refused(rest[0].lock("d", &format!("{} within=1", permits(1, 1))), "TimedOut");
    expect_counted(&rest[1], (5, 0, 5));
    // Each guard gives back its own, by whatever way.
    rest[0].unlock("b").unwrap();
    supervisor.lock("d", &format!("{} within=25000", permits(3, 2))).unwrap();
    rest[1].ask("release c").unwrap();
    rest[0].lock("b", &format!("{} within=25000", permits(3, 1))).unwrap();
    refused(try_take(&rest[1], "c", 1), "WouldBlock");
    assert!(supervisor.is_held("a") && supervisor.is_held("d") && rest[0].is_held("b"));
    for (member, guard) in [(&supervisor, "a"), (&supervisor, "d"), (&rest[0], "b")] {
        member.unlock(guard).unwrap();
    }
    rest[1].lock("all", &format!("{} within=25000", permits(1, 5))).unwrap();
    expect_counted(&supervisor, (5, 0, 5));
}

#[test]
fn p3_the_first_number_is_the_limit_for_everybody() {
    let fleet = Fleet::new();
    let members = fleet.members(5, "");
    for round in 0..10 {
        // All at once, each with another number.
        let name = format!("seats-{round}");
        assert!(members.iter().all(|member| limit_of(member, &name) == "none"));
        let asks =
            |(n, member): (usize, &Member)| member.locking(&name, &format!("permits {name} limit={} count=1", n + 5));
        let asking: Vec<_> = members.iter().enumerate().map(asks).collect();
        asking.iter().for_each(|asking| drop(asking.granted()));
        let limit = limit_of(&members[0], &name);
        assert!((5..10).any(|brought| brought.to_string() == limit), "{limit}");
        // Five are in use; the rest of them can be had, and no more.
        let left = limit.parse::<u32>().unwrap() - 5;
        for member in &members {
            assert_eq!(limit_of(member, &name), limit);
            refused(member.lock("x", &format!("permits {name} limit=50 count={} try", left + 1)), "WouldBlock");
        }
        if left > 0 {
            members[round % 5].lock("rest", &format!("permits {name} limit=1 count={left} within=25000")).unwrap();
        }
    }
}

#[test]
fn p3_whoever_gives_no_time_can_be_the_first_all_the_same() {
    let fleet = Fleet::new();
    let members = fleet.members(2, "");
    let (_, rest) = court(&fleet, &members);
    // Each is a new name. The machine may be too busy for one or the other.
    let is_first = |n: &u32| rest[0].lock(&format!("g{n}"), &format!("permits {n} limit=2 count=1 within=0")).is_ok();
    let first = (0..20).filter(is_first).count();
    assert!(first > 10, "{first} of 20");
}

#[test]
fn p3_permits_come_back_when_whoever_had_them_is_killed() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(4, "");
    let (supervisor, rest) = court(&fleet, &members);
    rest[0].lock("g", &permits(6, 1)).unwrap();
    rest[1].lock("g", &permits(6, 3)).unwrap();
    supervisor.lock("g", &permits(6, 2)).unwrap();
    let waiting = line_up_for(&rest[2], 2);
    kill(&rest[1]);
    waiting.granted();
    expect_counted(&rest[0], (5, 0, 6)); // one of three is left over
    // A supervisor takes its permits with it, and nobody else's.
    let waiting = line_up_for(&rest[0], 2);
    assert!(!waiting.is_over());
    kill(&supervisor);
    waiting.granted();
    expect_counted(&rest[2], (5, 0, 6));
    assert!(rest[0].is_held("g") && rest[0].is_held("waits") && rest[2].is_held("waits"));
    refused(try_take(&rest[2], "x", 2), "WouldBlock");
    try_take(&rest[2], "x", 1).unwrap();
    // Who leaves gives back, too.
    rest[0].ask("leave").unwrap();
    rest[2].lock("last", &format!("{} within=25000", permits(1, 3))).unwrap();
    expect_counted(&rest[2], (6, 0, 6));
}

/// Waits for so many permits; somebody has too many of them.
fn line_up_for(member: &Member, count: u32) -> fleet::locks::Waiting {
    member.queue("waits", &permits(1, count), 0)
}

#[test]
fn p10_who_wants_many_is_not_passed_by_those_who_want_few() {
    let fleet = Fleet::new();
    let members = fleet.members(5, "");
    let (supervisor, rest) = court(&fleet, &members);
    for (holder, big) in [(&rest[0], &rest[1]), (&supervisor, &rest[1]), (&rest[0], &supervisor)] {
        holder.lock("g", &permits(5, 2)).unwrap();
        let many = big.queue("many", &permits(5, 4), 0);
        // Three are free, and it waits for four.
        let few = [rest[2].queue("few", &permits(5, 1), 1), rest[3].queue("few", &permits(5, 1), 2)];
        refused(try_take(holder, "x", 1), "WouldBlock");
        assert!(!many.is_over() && few.iter().all(|few| !few.is_over()));
        expect_counted(holder, (2, 3, 5));
        holder.unlock("g").unwrap();
        let token = many.granted().number("token");
        assert!(few[0].granted().number("token") > token);
        holder.await_queue(&permits(5, 1), 1);
        assert!(!few[1].is_over(), "five are in use");
        big.unlock("many").unwrap();
        few[1].granted();
        rest[2].unlock("few").unwrap();
        rest[3].unlock("few").unwrap();
        // The other order: who waits for few has them first.
        holder.lock("g", &format!("{} within=25000", permits(5, 5))).unwrap();
        let line = line_up(&[&rest[2], big, &rest[3]], &permits(5, 1));
        holder.unlock("g").unwrap();
        for waiting in &line {
            waiting.granted();
            waiting.member.unlock("g").unwrap();
        }
        holder.lock("all", &format!("{} within=25000", permits(5, 5))).unwrap();
        holder.unlock("all").unwrap();
    }
}

#[test]
fn p3_more_than_the_limit_is_refused_and_nothing_is_no_request() {
    let fleet = Fleet::new();
    let members = fleet.members(3, "");
    let (supervisor, rest) = court(&fleet, &members);
    rest[0].lock("g", &permits(3, 1)).unwrap();
    for member in [&supervisor, &rest[0], &rest[1]] {
        for how in ["", " try", " within=25000"] {
            let error = refused(member.lock("x", &format!("{}{how}", permits(50, 4))), "Denied");
            assert!(error.contains("4") && error.contains("3"), "{error:?}");
            refused(member.lock("x", &format!("{}{how}", permits(50, 0))), "Option");
        }
        // Also of a name that nobody has used: it gets the limit, and the request is refused all the same.
        let unused = format!("permits unused-{} limit=2 count=3", member.process.pid);
        refused(member.lock("x", &unused), "Denied");
    }
    expect_counted(&rest[1], (1, 0, 3)); // none of them waits
    try_take(&rest[1], "all", 2).unwrap();
}

#[test]
fn p3_more_permits_let_those_go_that_wait() {
    let fleet = Fleet::new();
    let members = fleet.members(4, "");
    let (supervisor, rest) = court(&fleet, &members);
    rest[0].lock("g", &permits(2, 2)).unwrap();
    let first = rest[1].queue("w", &permits(2, 1), 0);
    let second = supervisor.queue("w", &permits(2, 2), 1);
    let third = rest[2].queue("w", &permits(2, 1), 2);
    rest[2].ask("resize seats 3").unwrap();
    first.granted();
    rest[0].await_queue(&permits(1, 1), 2);
    supervisor.ask("resize seats 6").unwrap();
    second.granted();
    third.granted();
    expect_counted(&rest[1], (6, 0, 6));
    assert!(members.iter().all(|member| limit_of(member, "seats") == "6"));
    refused(try_take(&rest[1], "x", 1), "WouldBlock");
}

#[test]
fn p3_fewer_permits_than_are_held_take_none_away() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(4, "");
    let (supervisor, rest) = court(&fleet, &members);
    rest[0].lock("g", &permits(5, 3)).unwrap();
    rest[1].lock("g", &permits(5, 2)).unwrap();
    let impossible = rest[2].queue("w", &permits(5, 4), 0);
    let possible = supervisor.queue("w", &permits(5, 2), 1);
    rest[1].ask("resize seats 2").unwrap();
    // It could never be granted any more, and the others are not to wait behind it.
    let error = refused(impossible.answer(), "Denied");
    assert!(error.contains("2"), "{error:?}");
    rest[2].await_queue(&permits(5, 1), 1);
    assert!(rest[0].is_held("g") && rest[1].is_held("g") && !possible.is_over());
    expect_counted(&rest[2], (5, 1, 2));
    // Three give way to none, two to two.
    rest[0].unlock("g").unwrap();
    rest[2].await_queue(&permits(5, 1), 1);
    assert!(!possible.is_over(), "two are still in use");
    refused(try_take(&rest[2], "x", 3), "Denied");
    rest[1].unlock("g").unwrap();
    possible.granted();
    refused(try_take(&rest[2], "x", 1), "WouldBlock");

    // With none at all nobody gets any, and who has some keeps them, also across a reign.
    let last = rest[2].queue("last", &permits(5, 1), 0);
    rest[0].ask("resize seats 0").unwrap();
    refused(last.answer(), "Denied");
    for member in &members {
        refused(member.lock("x", &permits(5, 1)), "Denied");
    }
    assert!(supervisor.is_held("w"));
    rest[0].ask("resize seats 1").unwrap();
    let last = rest[2].queue("last", &permits(5, 1), 0);
    rest[0].ask("resize seats 0").unwrap();
    refused(last.answer(), "Denied");
    kill(&supervisor);
    refused(rest[2].lock("x", &permits(5, 1)), "Denied");
    rest[1].ask("resize seats 1").unwrap();
    rest[2].lock("x", &format!("{} within=25000", permits(5, 1))).unwrap();
}

#[test]
fn p3_holders_keep_more_than_the_limit_across_a_reign() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(4, "");
    let (supervisor, rest) = court(&fleet, &members);
    let epoch = fleet.agree(&members).epoch;
    rest[0].lock("g", &permits(4, 2)).unwrap();
    rest[1].lock("g", &permits(4, 2)).unwrap();
    let waiting = rest[2].queue("w", &permits(4, 1), 0);
    rest[2].ask("resize seats 1").unwrap();
    kill(&supervisor);
    expect_reign(&rest, epoch);
    assert!(rest[0].is_held("g") && rest[1].is_held("g"));
    expect_counted(&rest[2], (4, 1, 1));
    rest[0].unlock("g").unwrap();
    rest[0].await_queue(&permits(4, 1), 1);
    assert!(!waiting.is_over());
    rest[1].unlock("g").unwrap();
    waiting.granted();
    assert!(rest.iter().all(|member| member.events(0, "lost").is_empty()));
}

#[test]
fn p3_the_limit_outlives_the_supervisor_however_young_it_is() {
    let fleet = Fleet::with("limit=none");
    let mut members = fleet.members(4, "");
    for round in 0..12 {
        let agreed = fleet.agree(&members);
        let supervisor = members.remove(agreed.supervisor);
        let name = format!("seats-{round}");
        let what = |limit: u32, count: u32| format!("permits {name} limit={limit} count={count}");
        let first = members[0].locking(&name, &what(2, 1));
        // In turn it has just been created, or is about to be; sometimes by two.
        let second = (round % 4 > 1).then(|| members[1].locking(&name, &what(3, 1)));
        if round % 2 == 0 {
            first.granted();
        }
        kill(&supervisor);
        first.granted();
        second.iter().for_each(|second| drop(second.granted()));
        // Who has not come back yet sees what was before the election.
        fleet.agree(&members);
        let limit = limit_of(&members[2], &name);
        assert!(limit == "2" || second.is_some() && limit == "3", "{limit}");
        assert!(members.iter().all(|member| limit_of(member, &name) == limit));
        let left = limit.parse::<u32>().unwrap() - 1 - u32::from(second.is_some());
        refused(members[2].lock("x", &format!("{} try", what(90, left + 1))), "WouldBlock");
        if left > 0 {
            members[2].lock("rest", &what(90, left)).unwrap();
        }
        members.push(fleet.member(""));
        assert_eq!(limit_of(&members[3], &name), limit, "a newcomer has it with its welcome");
    }
}

#[test]
fn p3_a_limit_that_was_changed_outlives_the_supervisor() {
    let fleet = Fleet::with("limit=none");
    let mut members = fleet.members(4, "");
    fleet.agree(&members);
    members[0].lock("g", &permits(2, 1)).unwrap();
    let holder = members.remove(0);
    for limit in 3..9 {
        let all: Vec<_> = members.iter().chain([&holder]).cloned().collect();
        let agreed = fleet.agree(&all);
        let Some(supervisor) = members.get(agreed.supervisor).cloned() else {
            // The holder reigns; it hands the office over.
            holder.ask("resign").unwrap();
            continue;
        };
        let rest = others(&members, &supervisor);
        rest[0].ask(&format!("resize seats {limit}")).unwrap();
        kill(&supervisor);
        let all_but_one = format!("{} within=25000", permits(1, limit - 1));
        rest[1].lock("most", &all_but_one).unwrap();
        refused(try_take(&rest[0], "x", 1), "WouldBlock");
        assert_eq!(limit_of(&holder, "seats"), limit.to_string());
        rest[1].unlock("most").unwrap();
        members = rest;
        members.push(fleet.member(""));
    }
    assert!(holder.is_held("g"));
}

#[test]
fn p3_a_request_waits_in_an_open_window_and_the_limit_of_before_counts() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(4, "");
    let (supervisor, mut rest) = court(&fleet, &members);
    let stopped = rest.remove(0);
    stopped.lock("g", &permits(3, 2)).unwrap();
    let rest = hold_window_open(&members, &supervisor, &stopped);
    // A name that was never used gets no limit, and one that was goes on with its own.
    refused(rest[0].lock("x", "permits unused limit=2 count=1 try"), "WouldBlock");
    refused(rest[0].lock("x", "permits unused limit=2 count=1 within=20"), "TimedOut");
    refused(rest[1].lock("x", &format!("{} try", permits(9, 1))), "WouldBlock");
    refused(rest[1].lock("x", &format!("{} within=20", permits(9, 1))), "TimedOut");
    let new = rest[0].locking("new", "permits new limit=2 count=2");
    let old = rest[1].locking("old", &permits(9, 2));
    rest.iter().for_each(|member| drop(member.status()));
    assert!(!new.is_over() && !old.is_over(), "nothing is granted in an open window");
    stopped.process.resume();
    new.granted();
    // The one permit that is free goes to whoever asks for one before the request for two has come.
    rest[1].await_queue_or_end(&permits(9, 1), 1, &old);
    assert!(!old.is_over(), "two of three are in use");
    stopped.unlock("g").unwrap();
    old.granted();
}

#[test]
fn c10_a_holder_that_stands_still_keeps_its_permits() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(4, "");
    let (supervisor, rest) = court(&fleet, &members);
    rest[0].lock("g", &permits(2, 2)).unwrap();
    let waiting = line_up_for(&rest[1], 1);
    hold_window_open(&members, &supervisor, &rest[0]);
    refused(rest[2].lock("x", &format!("{} within=600", permits(2, 1))), "TimedOut");
    assert!(!waiting.is_over());
    rest[0].process.resume();
    rest[1].await_queue(&permits(2, 1), 1);
    assert!(rest[0].is_held("g") && !waiting.is_over());
    rest[0].unlock("g").unwrap();
    waiting.granted();
}

#[test]
fn c10_never_are_more_in_use_than_allowed_while_supervisors_and_holders_are_killed() {
    const LIMIT: u32 = 3;
    let _load = Load::new();
    let fleet = Fleet::with("limit=none");
    let workshop = Workshop::new(&fleet);
    let share = |rounds: u32, brings: usize| {
        let place = workshop.0.display();
        format!("share threads=3 rounds={rounds} in={place} name=seats limit={LIMIT} brings={brings}")
    };
    let mut members = fleet.members(5, "");
    members[0].lock("g", &permits(LIMIT, 1)).unwrap();
    members[0].unlock("g").unwrap();
    let mut all = members.clone();
    let mut sharing: Vec<_> = members.iter().enumerate().map(|(n, member)| member.say(&share(1_000_000, n))).collect();
    let done = || std::fs::read(workshop.0.join("done")).unwrap_or_default().len();
    for round in 0..12 {
        let agreed = fleet.agree(&members);
        // In turn the supervisor, somebody else, and both at once.
        let other = (agreed.supervisor + 1) % members.len();
        let mut victims = [vec![agreed.supervisor], vec![other], vec![agreed.supervisor, other]][round % 3].clone();
        victims.sort_unstable();
        let victims: Vec<_> = victims.into_iter().rev().map(|n| (sharing.remove(n), members.remove(n)).1).collect();
        victims.iter().for_each(|victim| victim.process.kill());
        for victim in &victims {
            victim.process.reap();
            expect_ended(&members, victim, "Failed");
        }
        while members.len() < 5 {
            let next = fleet.member("");
            sharing.push(next.say(&share(1_000_000, round)));
            all.push(next.clone());
            members.push(next);
        }
        let before = done();
        fleet::eventually("the permits go round", || workshop.check() == 0 && done() > before + 30);
    }
    assert_ids_kept(&members);
    check_reigns(&all);
    workshop.check();
    // Whoever leaves in the middle of it has no permits any more, whatever its threads are at.
    let last = fleet.member("");
    members.iter().for_each(|member| drop(member.ask("leave").unwrap()));
    for (member, sharing) in members.iter().zip(sharing) {
        refused(member.process.answer(sharing), "Left");
    }
    last.lock("all", &format!("{} within=25000", permits(1, LIMIT))).unwrap();
}
