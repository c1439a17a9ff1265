//! Who stands still: when that costs a lock, and that it is told; and frames that cross the end of somebody.

mod fleet;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::Command;

use fleet::control::{expect_standing, standing_of};
use fleet::locks::{Waiting, line_up, refused, served_in_order};
use fleet::schedules::{assert_ids_kept, court, expect_ended, expect_reign, hold_window_open, kill, others};
use fleet::{Fleet, Member, eventually, kernel};

/// A member under the id that it got after it had forfeited.
fn back(member: &Member) -> Member {
    let told = member.expect(0, "forfeited", &[("old", member.id.as_str())]);
    Member { id: told.text("new"), ..member.clone() }
}

// ------------------------------------------------------------------------------------------------------ standing still

#[test]
fn p11_b2_a_holder_that_is_silent_beyond_the_limit_loses_its_locks_and_is_told() {
    let fleet = Fleet::with("limit=300");
    let members = fleet.members(4, "");
    let epoch = fleet.agree(&members).epoch;
    let (supervisor, rest) = court(&fleet, &members);
    let (holder, running) = rest.split_first().unwrap();
    let old = holder.lock("g", "mutex line").unwrap().number("token");
    holder.lock("shared", "read index").unwrap();
    let waiting = line_up(&[&running[1], &running[0]], "mutex line");
    holder.process.stop();
    kill(&supervisor);
    expect_reign(running, epoch);
    expect_ended(running, holder, "Evicted");
    let next = waiting[0].granted();
    assert!(next.number("token") > old);
    assert!(["Unknown".to_owned(), format!("Died:{}", holder.id)].contains(&next.text("abandoned")), "{next:?}");
    running[0].lock("alone", "write index").unwrap();

    holder.process.resume();
    let own = back(holder);
    for (kind, name) in [("Mutex", "line"), ("RwLock", "index")] {
        holder.expect(0, "lost", &[("kind", kind), ("name", name)]);
    }
    assert_eq!(holder.expect(0, "lost", &[("name", "line")]).number("token"), old);
    assert!(!own.is_held("g") && !own.is_held("shared"));
    assert_eq!(own.guard("g").number("token"), old, "the storage knows by it that it comes too late");
    refused(own.unlock("g"), "Lost");
    own.ask("release shared").unwrap();
    // What the dead guards did has touched nobody else's.
    assert!(running[1].is_held("g") && running[0].is_held("alone"));
    own.await_queue("mutex line", 1);
    let again = own.locking("g", "mutex line");
    own.await_queue("mutex line", 2);
    let told = served_in_order(&waiting, old);
    assert!(again.granted().number("token") > told[1].number("token"));
    assert_ids_kept(running);
}

#[test]
fn p11_a_waiter_that_was_stopped_with_its_grant_unread_does_not_get_what_somebody_else_has_by_now() {
    // So many grants in its buffer that the waiting calls wake up long before the end of the connection is read.
    let names: Vec<_> = (0..80).map(|n| format!("line-{n}")).collect();
    let what = |name: &str| format!("mutex {name}");
    // The limit of the one who wins counts, whatever the waiter believes.
    for own_limit in ["limit=300", "limit=none"] {
        let fleet = Fleet::new();
        let supervisor = fleet.member("limit=300");
        let other = fleet.member("limit=300");
        let waiter = fleet.member(own_limit);
        let epoch = fleet.agree(&[supervisor.clone(), other.clone(), waiter.clone()]).epoch;
        let lock_all =
            || names.iter().map(|name| other.lock(name, &what(name)).unwrap().number("token")).max().unwrap();
        let first = lock_all();
        let waiting: Vec<_> = names.iter().map(|name| waiter.locking(name, &what(name))).collect();
        names.iter().for_each(|name| other.await_queue(&what(name), 1));
        waiter.process.stop();
        for name in &names {
            other.unlock(name).unwrap();
            other.await_holder(&what(name), &waiter);
        }
        kill(&supervisor);
        other.reign_after(epoch);
        expect_ended(std::slice::from_ref(&other), &waiter, "Evicted");
        let second = lock_all();
        assert!(second > first && names.iter().all(|name| other.guard(name).text("abandoned") != "Clean"));
        waiter.process.resume();
        let waiter = back(&waiter);
        // Whoever was fooled has said so by now. They wait, now as those that came last.
        waiter.status();
        let has_it = |waiting: &Waiting| assert!(!waiting.is_over(), "with {own_limit}: {:?}", waiting.answer());
        waiting.iter().for_each(has_it);
        names.iter().for_each(|name| other.await_queue(&what(name), 1));
        waiting.iter().for_each(has_it);
        assert!(waiter.events(0, "lost").is_empty(), "its application never held anything");
        assert!(names.iter().all(|name| other.is_held(name)));
        names.iter().for_each(|name| drop(other.unlock(name).unwrap()));
        for waiting in &waiting {
            let third = waiting.granted();
            assert!(third.number("token") > second && third.text("held") == "true");
        }
    }
}

#[test]
fn p11_a_waiter_that_was_stopped_with_its_grant_unread_has_it_if_nobody_lost_anything() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(3, "");
    let (supervisor, rest) = court(&fleet, &members);
    let (waiter, other) = (&rest[0], &rest[1]);
    let token = other.lock("g", "mutex line").unwrap().number("token");
    let waiting = waiter.queue("late", "mutex line", 0);
    waiter.process.stop();
    other.unlock("g").unwrap();
    other.await_holder("mutex line", waiter);
    // Somebody waits behind it in vain, as long as the window is open.
    hold_window_open(&members, &supervisor, waiter);
    refused(other.lock("x", "mutex line within=300"), "TimedOut");
    let behind = other.locking("behind", "mutex line");
    waiter.process.resume();
    let granted = waiting.granted();
    assert!(granted.number("token") > token);
    other.await_queue("mutex line", 1);
    assert!(!behind.is_over() && waiter.is_held("late"));
    waiter.unlock("late").unwrap();
    behind.granted();
}

#[test]
fn b2_without_a_limit_nobody_loses_a_lock() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(4, "");
    let (supervisor, rest) = court(&fleet, &members);
    let (holder, running) = rest.split_first().unwrap();
    let token = holder.lock("g", "mutex line").unwrap().number("token");
    let waiting = line_up(&[&running[1], &running[0]], "mutex line");
    hold_window_open(&members, &supervisor, holder);
    // As long as this takes, and that is three times the limit of the other tests.
    refused(running[0].lock("x", "mutex nobodys within=900"), "TimedOut");
    assert!(waiting.iter().all(|waiting| !waiting.is_over()));
    holder.process.resume();
    fleet.agree(&rest);
    assert!(holder.is_held("g"));
    assert_eq!(holder.guard("g").number("token"), token);
    holder.unlock("g").unwrap();
    served_in_order(&waiting, token);
    assert!(rest.iter().all(|member| member.events(0, "lost").is_empty()));
    assert_ids_kept(&rest);
}

#[test]
fn b2_a_holder_that_stands_still_under_a_living_supervisor_keeps_its_lock() {
    let fleet = Fleet::with("limit=200");
    let members = fleet.members(3, "");
    let (_, rest) = court(&fleet, &members);
    let token = rest[0].lock("g", "mutex line").unwrap().number("token");
    rest[0].process.stop();
    let error = refused(rest[1].lock("x", "mutex line within=1000"), "TimedOut");
    assert_eq!(error.text("holder"), rest[0].id);
    rest[0].process.resume();
    assert!(rest[0].is_held("g"));
    let waiting = line_up(&[&rest[1]], "mutex line");
    rest[0].unlock("g").unwrap();
    served_in_order(&waiting, token);
}

/// Stops a member and sends it more than its connection takes, so that the supervisor cuts that.
fn stop_and_flood(silent: &Member, sender: &Member) {
    silent.process.stop();
    for _ in 0..1000 {
        sender.ask("put noise x size=65536").unwrap();
        if standing_of(sender, silent).as_deref() == Some("Aside") {
            return;
        }
    }
    panic!("it still has its connection");
}

#[test]
fn b2_a_holder_that_stands_still_keeps_its_lock_however_much_the_others_send() {
    let fleet = Fleet::with("limit=50");
    let members = fleet.members(3, "");
    let (supervisor, rest) = court(&fleet, &members);
    let (holder, other) = (&rest[0], &rest[1]);
    let token = holder.lock("g", "mutex line").unwrap().number("token");
    holder.lock("shared", "read index").unwrap();
    stop_and_flood(holder, other);
    // Each of these lasts ten times as long as the window limit.
    let error = refused(other.lock("x", "mutex line within=500"), "TimedOut");
    assert_eq!(error.text("holder"), holder.id);
    refused(supervisor.lock("x", "write index within=500"), "TimedOut");
    let waiting = line_up(&[other, &supervisor], "mutex line");
    assert!(waiting.iter().all(|waiting| !waiting.is_over()));
    holder.process.resume();
    expect_standing(&[&supervisor, other, holder], holder, "Active");
    assert!(holder.is_held("g") && holder.is_held("shared"));
    assert_eq!(holder.guard("g").number("token"), token);
    assert!(waiting.iter().all(|waiting| !waiting.is_over()));
    for told in ["lost", "forfeited"] {
        assert!(holder.events(0, told).is_empty(), "{told}");
    }
    holder.unlock("g").unwrap();
    served_in_order(&waiting, token);
    holder.ask("release shared").unwrap();
    assert_ids_kept(&members);
}

#[test]
fn b2_the_end_of_a_holder_that_stood_still_without_a_connection_frees_its_lock() {
    let fleet = Fleet::with("limit=50");
    let members = fleet.members(4, "");
    let (supervisor, rest) = court(&fleet, &members);
    let (holder, other) = (&rest[0], &rest[1]);
    holder.lock("g", "mutex line").unwrap();
    stop_and_flood(holder, other);
    refused(other.lock("x", "mutex line within=500"), "TimedOut");
    let waiting = line_up(&[other], "mutex line");
    kill(holder);
    assert_eq!(waiting[0].granted().text("abandoned"), format!("Died:{}", holder.id));
    expect_ended(&[supervisor, other.clone(), rest[2].clone()], holder, "Failed");
}

#[test]
fn b5_p9_when_the_limit_took_locks_those_that_remain_have_higher_tokens() {
    let fleet = Fleet::with("limit=300");
    let members = fleet.members(4, "");
    let epoch = fleet.agree(&members).epoch;
    let (supervisor, rest) = court(&fleet, &members);
    let (silent, running) = rest.split_first().unwrap();
    let kept = running[0].lock("kept", "mutex kept").unwrap().number("token");
    let gone = silent.lock("gone", "mutex gone").unwrap().number("token");
    silent.process.stop();
    kill(&supervisor);
    expect_reign(running, epoch);
    // Nobody can tell any more who of two silent ones was confirmed first; above both tokens it is certain.
    let raised = running[0].guard("kept").number("token");
    assert!(raised > kept && raised > gone);
    assert!(running[0].is_held("kept"));
    let next = running[1].lock("next", "mutex gone").unwrap().number("token");
    assert!(next > raised);
    running[0].unlock("kept").unwrap();
    running[1].expect_free("mutex kept");
    silent.process.resume();
    back(silent);
    refused(silent.unlock("gone"), "Lost");
}

#[test]
fn p10_a_waiter_that_is_silent_beyond_the_limit_waits_on_behind_the_others() {
    let fleet = Fleet::with("limit=300");
    let members = fleet.members(4, "");
    let epoch = fleet.agree(&members).epoch;
    let (supervisor, rest) = court(&fleet, &members);
    let token = rest[0].lock("g", "mutex line").unwrap().number("token");
    let mut waiting = line_up(&[&rest[1], &rest[2]], "mutex line");
    let silent = waiting.remove(0);
    silent.member.process.stop();
    kill(&supervisor);
    expect_reign(&others(&rest, &silent.member), epoch);
    rest[0].await_queue("mutex line", 1);
    silent.member.process.resume();
    back(&silent.member);
    rest[0].await_queue("mutex line", 2);
    waiting.push(silent);
    rest[0].unlock("g").unwrap();
    served_in_order(&waiting, token);
}

// ------------------------------------------------------------------------- while nobody answers the one that was away

/// A group whose holder has been given up while it stood still, and stands still; the lock is another one's.
struct GivenUp {
    fleet: Fleet,
    holder: Member,
    /// The supervisor, and the one that has the lock.
    supervisor: Member,
    next: Member,
    token: u64,
}

impl GivenUp {
    fn new(members: usize) -> Self {
        let fleet = Fleet::with("limit=300");
        let members = fleet.members(members, "");
        let epoch = fleet.agree(&members).epoch;
        let (first, rest) = court(&fleet, &members);
        let (holder, running) = rest.split_first().unwrap();
        let token = holder.lock("g", "mutex line").unwrap().number("token");
        holder.process.stop();
        kill(&first);
        expect_reign(running, epoch);
        let is_supervisor = |member: &&Member| member.status().role == "Supervisor";
        let supervisor = running.iter().find(is_supervisor).unwrap().clone();
        // The one that reigns only if there is no other.
        let next = running.iter().find(|member| member.id != supervisor.id).unwrap_or(&supervisor).clone();
        next.lock("h", "mutex line").unwrap();
        Self { holder: holder.clone(), supervisor, next, token, fleet }
    }

    /// The holder runs again, and nobody answers it.
    fn expect_told(&self) {
        self.holder.process.resume();
        let told = self.holder.expect(0, "lost", &[("kind", "Mutex"), ("name", "line")]);
        assert_eq!(told.number("token"), self.token);
        assert!(!self.holder.is_held("g"));
        refused(self.holder.unlock("g"), "Lost");
        back(&self.holder);
    }

    /// Somebody answers again.
    fn expect_well(&self, others: &[&Member]) {
        let own = back(&self.holder);
        assert!(self.next.is_held("h"));
        let all: Vec<_> = others.iter().copied().cloned().chain([own.clone()]).collect();
        self.fleet.agree(&all);
        assert_eq!(own.events(0, "forfeited").len(), 1);
        self.next.unlock("h").unwrap();
        own.lock("again", "mutex line").unwrap();
    }
}

#[test]
fn p11_a_holder_that_was_away_is_told_while_the_supervisor_stands_still() {
    let given_up = GivenUp::new(3);
    given_up.supervisor.process.stop();
    given_up.expect_told();
    given_up.supervisor.process.resume();
    given_up.expect_well(&[&given_up.supervisor]);
}

#[test]
fn p11_a_holder_that_was_away_is_told_while_the_supervisor_has_no_descriptor_left() {
    let given_up = GivenUp::new(3);
    given_up.supervisor.process.ask("starve 0").unwrap();
    given_up.expect_told();
    assert!(given_up.supervisor.is_held("h"), "it cannot take anybody in, and goes on");
    kill(&given_up.supervisor);
    let own = back(&given_up.holder);
    own.lock("again", "mutex line").unwrap();
    assert_eq!(own.events(0, "forfeited").len(), 1);
}

#[test]
fn p11_a_holder_that_was_away_is_told_while_the_supervisor_refuses_it() {
    // As slow, and because it speaks wire version 9.
    for refusal in [&[0, 0, 0, 2, 64, 4][..], &[0, 0, 0, 6, 64, 0, 0, 9, 0, 1]] {
        let given_up = GivenUp::new(4);
        given_up.next.process.stop();
        kill(&given_up.supervisor);
        let mut listener = None;
        eventually("the port is free", || {
            listener = TcpListener::bind(("127.0.0.1", given_up.fleet.port)).ok();
            listener.is_some()
        });
        let listener = listener.unwrap();
        let refuse = move || {
            while let Ok((mut connection, _)) = listener.accept() {
                let mut hello = [0; 31];
                // The last one that comes says nothing.
                if connection.read_exact(&mut hello).is_err() {
                    return;
                }
                let _ = connection.write_all(refusal);
            }
        };
        let refusing = std::thread::spawn(refuse);
        given_up.expect_told();
        drop(std::net::TcpStream::connect(("127.0.0.1", given_up.fleet.port)));
        refusing.join().unwrap();
        given_up.next.process.resume();
        given_up.expect_well(&[&given_up.next]);
    }
}

/// What a supervisor sends to a member that it gives up, in hex.
fn notice(id: &str) -> String {
    format!("42454c4e000100{id}")
}

#[test]
fn p11_what_strangers_put_into_a_mailbox_has_no_effect() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(3, "");
    let agreed = fleet.agree(&members);
    let (supervisor, rest) = court(&fleet, &members);
    let (holder, other) = (&rest[0], &rest[1]);
    holder.lock("g", "mutex line").unwrap();
    let names = kernel::memberships(fleet.port, &holder.id);
    assert_eq!(names.len(), 1);
    let mut command = Command::new(std::env::current_exe().unwrap());
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        command.uid(20_000 + std::process::id() % 40_000);
    } else {
        println!("only a part: another user's processes cannot be started");
    }
    let stranger = fleet.start(&mut command);
    let wrong = [notice(&other.id), "00".into(), format!("{}00", notice(&holder.id))];
    for bytes in wrong.into_iter().chain(is_root.then(|| notice(&holder.id))) {
        stranger.ask(&format!("shout {} {bytes}", names[0])).unwrap();
    }
    kill(&supervisor);
    expect_reign(&rest, agreed.epoch);
    fleet.agree(&rest);
    assert!(holder.is_held("g"));
    assert!(holder.events(0, "lost").is_empty());
    assert_ids_kept(&rest);
    holder.unlock("g").unwrap();
}

#[test]
fn p11_a_full_mailbox_does_not_hold_the_window() {
    let fleet = Fleet::with("limit=300");
    let members = fleet.members(3, "");
    let epoch = fleet.agree(&members).epoch;
    let (supervisor, rest) = court(&fleet, &members);
    let (holder, other) = (&rest[0], &rest[1]);
    holder.lock("g", "mutex line").unwrap();
    holder.process.stop();
    for name in kernel::memberships(fleet.port, &holder.id) {
        while kernel::shout(&name, &[7]).is_ok() {}
    }
    kill(&supervisor);
    other.reign_after(epoch);
    other.lock("h", "mutex line").unwrap();
    holder.process.resume();
    holder.expect(0, "lost", &[("name", "line")]);
    back(holder);
    assert!(other.is_held("h"));
}

// ------------------------------------------------------------------------------------------------------------- crossing

#[test]
fn p8_a_release_that_the_dead_supervisor_never_read_counts() {
    for waits in [false, true] {
        let fleet = Fleet::with("limit=none");
        let members = fleet.members(4, "");
        let (supervisor, rest) = court(&fleet, &members);
        let token = rest[0].lock("g", "mutex line").unwrap().number("token");
        let waiting = if waits { line_up(&[&rest[2], &rest[1]], "mutex line") } else { Vec::new() };
        supervisor.process.stop();
        rest[0].ask("release g").unwrap();
        kill(&supervisor);
        served_in_order(&waiting, token);
        rest.iter().for_each(|member| member.expect_free("mutex line"));
    }
}

#[test]
fn p8_a_request_that_the_dead_supervisor_never_read_is_granted() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(4, "");
    let (supervisor, rest) = court(&fleet, &members);
    let token = rest[0].lock("g", "mutex line").unwrap().number("token");
    let early = rest[1].queue("early", "mutex line", 0);
    supervisor.process.stop();
    let late = rest[2].locking("late", "mutex line");
    let free = rest[2].locking("free", "mutex free");
    rest[2].status();
    kill(&supervisor);
    free.granted();
    rest[0].unlock("g").unwrap();
    // Who was told its place is before who was not.
    served_in_order(&[early, late], token);
}

#[test]
fn p1_a_grant_that_crosses_the_end_of_the_wait_is_given_back() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(4, "");
    let (supervisor, rest) = court(&fleet, &members);
    for _ in 0..10 {
        rest[0].lock("g", "mutex line").unwrap();
        rest[1].await_queue("mutex line", 0);
        let brief = rest[1].locking("brief", "mutex line within=60");
        rest[2].await_queue_or_end("mutex line", 1, &brief);
        let patient = rest[2].locking("patient", "mutex line");
        rest[2].status();
        supervisor.process.stop();
        // Release and cancel lie unread, in two connections that are read by two threads.
        rest[0].ask("release g").unwrap();
        let ended = brief.answer();
        supervisor.process.resume();
        if ended.is_ok() {
            // The grant came before the supervisor was stopped.
            rest[1].unlock("brief").unwrap();
        }
        patient.granted();
        assert!(rest[2].is_held("patient"));
        rest[2].unlock("patient").unwrap();
        rest[2].expect_free("mutex line");
    }
}

#[test]
fn p1_a_grant_that_is_read_after_the_time_has_passed_is_taken_or_given_back() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(3, "");
    let (_, rest) = court(&fleet, &members);
    for _ in 0..5 {
        rest[0].lock("g", "mutex line").unwrap();
        rest[1].await_queue("mutex line", 0);
        let brief = rest[1].locking("brief", "mutex line within=200");
        rest[0].await_queue_or_end("mutex line", 1, &brief);
        rest[1].process.stop();
        rest[0].unlock("g").unwrap();
        // Meanwhile its time passes, if it has not passed before the stop already.
        if rest[0].lock("x", "mutex line within=400").is_ok() {
            rest[0].unlock("x").unwrap();
        }
        rest[1].process.resume();
        match brief.answer() {
            Ok(_) => {
                assert!(rest[1].is_held("brief"));
                refused(rest[0].lock("x", "mutex line try"), "WouldBlock");
                rest[1].unlock("brief").unwrap();
            }
            Err(error) => assert!(error.starts_with("TimedOut"), "{error}"),
        }
        rest[0].expect_free("mutex line");
    }
}
