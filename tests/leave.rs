//! Leaving in order: whatever was begun is answered, the others know at once, and no election begins for the one that
//! leaves.

mod fleet;

use std::time::{Duration, Instant};

use fleet::control::reigning;
use fleet::locks::refused;
use fleet::sync::Call;
use fleet::{Fleet, Load, Member, eventually};

/// The most requests that a handler answers at one time.
const THREADS: usize = 64;

/// How long a subordinate that leaves waits for its supervisor.
const LEAVE: Duration = Duration::from_millis(200);

/// A way to end a reign in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Leave,
    Drop,
    Resign,
    HandOver,
}

/// Requests to one supervisor: its handler runs for as many as it can, and more wait.
struct Requests {
    begun: Vec<Call>,
    waiting: Vec<Call>,
}

impl Requests {
    /// Each of these has some of both.
    fn of(callers: &[&Member], supervisor: &Member) -> Self {
        let ask = |n: usize, word: &str| callers[n % callers.len()].requesting(&format!("{word}-{n}"));
        let begun: Vec<_> = (0..THREADS).map(|n| ask(n, "slow")).collect();
        for n in 0..THREADS {
            supervisor.expect(0, "handled", &[("bytes", &format!("slow-{n}"))]);
        }
        let waiting: Vec<_> = (0..20).map(|n| ask(n, "later")).collect();
        // What a member has said before it was answered something has been heard; `locks` asks the supervisor.
        for caller in callers {
            caller.ask("held-permits none").map_or_else(|_| (), drop);
        }
        Self { begun, waiting }
    }
}

/// Who has answered a call.
fn answered_by(call: &Call) -> String {
    let reply = call.done().text("reply");
    reply.split(':').next().map(str::to_owned).expect("a process number")
}

/// Waits until this one, which has the office, does not give it out any more: its reign is about to end.
fn expect_no_office(supervisor: &Member) {
    eventually("the office is not given out", || match supervisor.ask("office try") {
        Ok(_) => {
            supervisor.ask("unoffice").expect("a process answers");
            false
        }
        Err(_) => true,
    });
}

/// Ends the reign of a supervisor whose handlers run; lets them answer when it has begun to end.
fn end(fleet: &Fleet, how: End, supervisor: &Member, requests: &Requests) -> Vec<Member> {
    let mut newer = Vec::new();
    let ending = match how {
        End::Leave => Some(supervisor.call("leave")),
        End::Drop => Some(supervisor.call("drop")),
        End::Resign => Some(supervisor.call("resign")),
        End::HandOver => {
            newer.push(fleet.member("version=2"));
            None
        }
    };
    if how == End::Drop {
        eventually("the last handle is being dropped", || {
            supervisor.ask("dropped").is_ok_and(|line| line.text("dropped") == "true")
        });
    } else {
        expect_no_office(supervisor);
    }
    assert!(requests.begun.iter().all(|call| !call.is_over()), "{how:?}: the supervisor waits for its handlers");
    supervisor.unblock();
    ending.inspect(|ending| drop(ending.done()));
    newer
}

#[test]
fn a_reign_that_ends_in_order_loses_no_request() {
    for how in [End::Leave, End::Drop, End::Resign, End::HandOver] {
        let fleet = Fleet::with("handler=echo limit=none");
        let (supervisor, rest) = reigning(&fleet, "version=1", 2, "version=1");
        let observer = fleet.observer();
        let stays = matches!(how, End::Resign | End::HandOver);
        let mut callers = vec![&rest[0], &rest[1], &observer];
        if stays {
            callers.push(&supervisor);
        }
        let requests = Requests::of(&callers, &supervisor);
        end(&fleet, how, &supervisor, &requests);
        for call in &requests.begun {
            assert_eq!(answered_by(call), supervisor.process.pid.to_string(), "{how:?}: what was begun");
        }
        for call in &requests.waiting {
            assert_ne!(answered_by(call), supervisor.process.pid.to_string(), "{how:?}: what was not begun");
        }
    }
}

#[test]
fn a_handler_that_takes_too_long_is_not_waited_for() {
    for how in ["leave", "resign"] {
        let fleet = Fleet::with("handler=echo limit=none");
        let (supervisor, rest) = reigning(&fleet, "", 2, "");
        let requests = Requests::of(&[&rest[0], &rest[1]], &supervisor);
        supervisor.ask(how).unwrap();
        for call in &requests.begun {
            refused(call.answer(), "Interrupted");
        }
        for call in &requests.waiting {
            assert_ne!(answered_by(call), supervisor.process.pid.to_string());
        }
        supervisor.unblock();
    }
}

#[test]
fn a_supervisor_that_is_evicted_leaves_what_it_has_not_begun_to_the_next() {
    let fleet = Fleet::with("handler=echo limit=none stop=100");
    let (supervisor, rest) = reigning(&fleet, "", 2, "");
    let requests = Requests::of(&[&rest[0], &rest[1]], &supervisor);
    supervisor.command(&supervisor, "stop").unwrap();
    for call in &requests.begun {
        refused(call.answer(), "Interrupted");
    }
    for call in &requests.waiting {
        assert_ne!(answered_by(call), supervisor.process.pid.to_string());
    }
    supervisor.unblock();
}

#[test]
fn a_handler_that_leaves_does_not_wait_for_itself() {
    let fleet = Fleet::with("handler=echo limit=none");
    let (supervisor, rest) = reigning(&fleet, "", 1, "");
    let error = refused(rest[0].ask("request leave"), "Failed");
    assert!(error.contains("has left the group"), "{error:?}");
    assert!(rest[0].request("after").unwrap().starts_with(&rest[0].process.pid.to_string()));
    supervisor.event(0, "the end of its events", |event| (event.kind() == "closed").then_some(()));
}

#[test]
fn who_leaves_sees_its_events_end_and_no_election() {
    let fleet = Fleet::with("limit=none");
    for how in ["leave", "drop"] {
        let (supervisor, rest) = reigning(&fleet, "", 2, "");
        for member in [&rest[0], &supervisor, &rest[1]] {
            let is_last = member.id == rest[1].id;
            if is_last {
                member.event(0, "the end of the reign", |event| (event.kind() == "disconnected").then_some(()));
            }
            member.ask(how).unwrap();
            let closed = |member: &Member| {
                member.event(0, "the end of its events", |event| (event.kind() == "closed").then_some(()));
            };
            closed(member);
            assert_eq!(member.events(0, "disconnected").len(), usize::from(is_last), "{how} of {}", member.id);
        }
    }
}

#[test]
fn once_a_call_to_leave_has_returned_the_others_know() {
    let _load = Load::new();
    let fleet = Fleet::with("limit=none");
    let (supervisor, rest) = reigning(&fleet, "", 1, "");
    let epoch = supervisor.status().epoch;
    let visitors = fleet.process();
    for n in 0..40 {
        let visitor = fleet.joined(fleet.join_in(&visitors, ""));
        let began = Instant::now();
        visitor.ask(if n % 2 == 0 { "leave" } else { "drop" }).unwrap();
        let is_gone = || supervisor.status().registry.iter().all(|row| row.id != visitor.id);
        if began.elapsed() < LEAVE {
            assert!(is_gone(), "visitor {n}");
        } else {
            // The supervisor had no processor for so long that the call did not wait for it.
            eventually("the visitor is gone", is_gone);
        }
        for member in [&rest[0], &supervisor] {
            refused(member.send(&visitor, "text"), "Unreachable");
        }
    }
    assert_eq!(supervisor.status().epoch, epoch);
}

#[test]
fn once_the_supervisor_has_left_the_next_one_knows() {
    let fleet = Fleet::with("limit=none");
    for _ in 0..5 {
        let (supervisor, rest) = reigning(&fleet, "", 2, "");
        supervisor.ask("leave").unwrap();
        for member in &rest {
            refused(member.send(&supervisor, "text"), "Unreachable");
            assert!(member.status().registry.iter().all(|row| row.id != supervisor.id));
        }
        rest.iter().for_each(|member| drop(member.ask("leave").unwrap()));
    }
}

#[test]
fn a_supervisor_that_stands_still_keeps_nobody_from_leaving() {
    let fleet = Fleet::with("limit=none");
    let (supervisor, rest) = reigning(&fleet, "", 2, "");
    supervisor.process.stop();
    rest[0].ask("leave").unwrap();
    rest[1].ask("drop").unwrap();
    supervisor.process.resume();
    for member in &rest {
        supervisor.expect(0, "ended", &[("id", &member.id), ("reason", "Left")]);
    }
}
