//! A panic in one of the library's threads, as it comes out of a logger of the application: it takes the connection of that
//! thread with it, or the instance, and nothing else.

mod fleet;

use fleet::locks::{Waiting, refused};
use fleet::schedules::{court, expect_ended, expect_reign, hold_window_open, kill, others};
use fleet::{Fleet, Member};

/// Lets the logger of this process panic in threads of this name.
fn rage(member: &Member, thread: &str) {
    member.process.ask(&format!("rage {thread}")).unwrap();
}

/// The instance has told its application, and is out of the group.
fn assert_crashed(member: &Member) {
    member.expect(0, "crashed", &[]);
    refused(member.lock("late", "mutex late"), "Crashed");
}

/// These have a new supervisor; the lock is held as before, and granted once to the one that waits.
fn assert_goes_on(fleet: &Fleet, rest: &[Member], epoch: u64, waiting: &Waiting) {
    expect_reign(rest, epoch);
    let holder = &rest[0];
    assert!(holder.is_held("g") && !waiting.is_over());
    let token = holder.guard("g").number("token");
    holder.unlock("g").unwrap();
    assert!(waiting.granted().number("token") > token);
    refused(holder.lock("again", "mutex line try"), "WouldBlock");
    // The port is answered on.
    fleet.member("").ask("leave").unwrap();
}

#[test]
fn a_supervisor_whose_accepting_thread_panics_leaves_and_the_others_elect() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(4, "");
    let epoch = fleet.agree(&members).epoch;
    let (supervisor, rest) = court(&fleet, &members);
    rest[0].lock("g", "mutex line").unwrap();
    let waiting = rest[1].queue("w", "mutex line", 0);
    rage(&supervisor, "bellwether");
    // Its hello is the first that is logged there.
    let newcomer = fleet.member("");
    assert!(newcomer.epoch > epoch);
    assert_crashed(&supervisor);
    expect_ended(&rest, &supervisor, "Failed");
    assert_goes_on(&fleet, &rest, epoch, &waiting);
}

#[test]
fn a_supervisor_whose_warden_panics_leaves_and_the_others_elect() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(5, "");
    let (supervisor, rest) = court(&fleet, &members);
    let stopped = rest[3].clone();
    let own = |member: &Member| format!("mutex {}", member.id);
    rest.iter().for_each(|member| drop(member.lock("g", &own(member)).unwrap()));
    let rest = hold_window_open(&members, &supervisor, &stopped);
    let role = |member: &&Member| member.status().role == "Supervisor";
    let winner = rest.iter().find(role).expect("one of them has won").clone();
    rage(&winner, "bw-warden");
    // Only the warden sees that it is gone, so that the window closes there.
    kill(&stopped);
    assert_crashed(&winner);
    let left = others(&rest, &winner);
    fleet.agree(&left);
    for (holder, other) in left.iter().zip(left.iter().rev()) {
        assert!(holder.is_held("g"));
        refused(other.lock("x", &format!("{} try", own(holder))), "WouldBlock");
    }
    // What the dead held is free, and the port is answered on.
    left[0].lock("late", &own(&winner)).unwrap();
    fleet.member("").ask("leave").unwrap();
}

#[test]
fn a_supervisor_whose_threads_of_connections_panic_loses_nothing_but_these() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(4, "");
    let epoch = fleet.agree(&members).epoch;
    let (supervisor, rest) = court(&fleet, &members);
    rest[0].lock("g", "mutex line").unwrap();
    let waiting = rest[1].queue("w", "mutex line", 0);
    rage(&supervisor, "bw-link 5");
    // Whatever any of them says costs its connection, and is said again on the next one.
    rest[2].lock("h", "mutex other").unwrap();
    rest[0].unlock("g").unwrap();
    waiting.granted();
    refused(rest[2].lock("again", "mutex line within=100"), "TimedOut");
    fleet.member("").ask("leave").unwrap();
    assert_eq!(fleet.agree(&members).epoch, epoch, "the reign goes on");
}

#[test]
fn a_subordinate_whose_thread_panics_leaves_and_its_locks_are_free() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(4, "");
    let epoch = fleet.agree(&members).epoch;
    let (_, rest) = court(&fleet, &members);
    rest[0].lock("g", "mutex line").unwrap();
    let waiting = rest[1].queue("w", "mutex line", 0);
    rage(&rest[0], "bellwether");
    // Something for it to hear of.
    let newcomer = fleet.member("");
    assert_eq!(waiting.granted().text("abandoned"), format!("Died:{}", rest[0].id));
    assert_crashed(&rest[0]);
    let living: Vec<_> = others(&members, &rest[0]).into_iter().chain([newcomer]).collect();
    assert_eq!(fleet.agree(&living).epoch, epoch);
}

#[test]
fn a_call_that_panics_at_a_barrier_is_not_counted_there() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(3, "");
    let (_, rest) = court(&fleet, &members);
    let (caller, other) = (&rest[0], &rest[1]);
    let call = caller.call("meet-in-thread phase 2");
    caller.expect(0, "meets", &[("name", "phase")]);
    caller.process.ask("rage caller 1").unwrap();
    // The call reads what the supervisor sends, such as that a member has joined, unless another thread reads just then.
    fleet::eventually("the call panics", || {
        fleet.member("").ask("leave").unwrap();
        call.is_over()
    });
    assert_eq!(call.done().text("panicked"), "true");
    // Behind the withdrawal of its arrival, whatever connection that went over.
    caller.lock("g", "mutex order").unwrap();
    refused(other.meet("phase 2 within=0").answer(), "TimedOut");
    let [one, two] = [caller, other].map(|member| member.meet("phase 2"));
    assert!(one.answer().is_ok() && two.answer().is_ok());
}

#[test]
fn an_observer_whose_thread_panics_ends() {
    let fleet = Fleet::new();
    fleet.member("");
    let observer = fleet.observer();
    rage(&observer, "bw-observer");
    fleet.member("");
    observer.expect(0, "crashed", &[]);
    observer.expect(0, "closed", &[]);

    // Before it has seen a reign it is the call that fails.
    let process = fleet.process();
    process.ask("rage bw-observer").unwrap();
    let refused = process.ask(&format!("observe o group={} port={}", fleet.group, fleet.port)).unwrap_err();
    assert!(refused.starts_with("Crashed"), "{refused}");
}
