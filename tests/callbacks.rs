//! The application's code at the supervisor: where it runs, whom it keeps waiting, and what it may call.

mod fleet;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use bellwether::{Command, Entry, Error, Group, Instance, Operation, Request, Role, Verdict};
use fleet::free_port;

fn group() -> Group {
    Group::new("callbacks").unwrap().port(free_port())
}

/// The name of a lock that somebody wants.
fn wanted(operation: &Operation) -> &str {
    match operation {
        Operation::Acquire { name, .. } => name.as_str(),
        _ => "",
    }
}

fn denied<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::Denied(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

/// A policy that stops at the lock `slow`: it says so, and goes on when it is told to.
fn slow_policy() -> (impl Fn(&Entry, &Operation) -> Verdict + Send + Sync, Receiver<Entry>, Sender<()>) {
    let (begun, begins) = channel();
    let (go, goes) = channel::<()>();
    let (begun, goes) = (Mutex::new(begun), Mutex::new(goes));
    let policy = move |who: &Entry, operation: &Operation| {
        if wanted(operation) == "slow" {
            begun.lock().unwrap().send(who.clone()).unwrap();
            let _ = goes.lock().unwrap().recv();
        }
        Verdict::Allow
    };
    (policy, begins, go)
}

/// Puts an instance where a callback of its group finds it.
type Slot = Arc<Mutex<Option<Instance>>>;

#[test]
fn a_policy_may_refuse_and_says_why() {
    let policy = |who: &Entry, operation: &Operation| match wanted(operation) {
        "catalog" if who.label == "visitor" => Verdict::Deny(format!("{:?}s only look", who.role)),
        _ => Verdict::Allow,
    };
    let group = group().policy(policy);
    let worker = group.clone().label("worker").join().unwrap();
    let visitor = group.clone().label("visitor").join().unwrap();
    drop(worker.mutex("catalog").lock().unwrap());
    assert_eq!(denied(visitor.mutex("catalog").lock()), "Subordinates only look");
    assert_eq!(denied(visitor.mutex("catalog").try_lock()), "Subordinates only look");
    drop(visitor.mutex("index").lock().unwrap());
    // The supervisor asks its policy about itself, too.
    worker.leave();
    drop(visitor.office().unwrap());
    assert_eq!(denied(visitor.mutex("catalog").lock()), "Supervisors only look");
}

#[test]
fn a_policy_that_takes_its_time_keeps_nobody_else_waiting() {
    let (policy, begins, go) = slow_policy();
    let group = group().policy(policy);
    let supervisor = group.clone().join().unwrap();
    let (slow, quick) = (group.clone().join().unwrap(), group.join().unwrap());
    let held = slow.mutex("held").lock().unwrap();
    thread::scope(|scope| {
        // However this ends, the policy goes on.
        let go = go;
        let waiting = scope.spawn(|| slow.mutex("slow").lock().map(drop));
        assert_eq!(begins.recv().unwrap().id, slow.id());
        drop(quick.mutex("quick").lock().unwrap());
        drop(supervisor.mutex("quick").lock().unwrap());
        // What it says that needs no verdict is heard.
        drop(held);
        drop(quick.mutex("held").lock().unwrap());
        slow.locks().unwrap();
        assert!(!waiting.is_finished());
        go.send(()).unwrap();
        waiting.join().unwrap().unwrap();
    });
}

#[test]
fn a_policy_that_panics_has_said_no() {
    let policy = |_: &Entry, operation: &Operation| match wanted(operation) {
        "trap" => panic!("of a test"),
        _ => Verdict::Allow,
    };
    let group = group().policy(policy);
    let (supervisor, other) = (group.clone().join().unwrap(), group.join().unwrap());
    for instance in [&supervisor, &other, &supervisor] {
        assert_eq!(denied(instance.mutex("trap").lock()), "the policy panicked");
        drop(instance.mutex("catalog").lock().unwrap());
    }
}

#[test]
fn every_question_has_a_thread_or_its_turn() {
    const MANY: usize = 100;
    let (policy, begins, go) = slow_policy();
    // Those who wait for their turn at the lock of the channel are in the policy as well.
    let group = group().policy(policy);
    let supervisor = group.clone().join().unwrap();
    let members: Vec<_> = (0..MANY).map(|_| group.clone().join().unwrap()).collect();
    thread::scope(|scope| {
        let go = go;
        let waiting: Vec<_> =
            members.iter().map(|member| scope.spawn(|| member.rwlock("slow").read().map(drop))).collect();
        begins.recv().unwrap();
        assert_eq!(waiting.iter().filter(|waiting| waiting.is_finished()).count(), 0);
        drop(go);
        waiting.into_iter().for_each(|waiting| waiting.join().unwrap().unwrap());
    });
    supervisor.leave();
}

#[test]
fn what_a_callback_says_after_its_reign_goes_nowhere() {
    let (policy, begins, go) = slow_policy();
    let group = group();
    let old = group.clone().policy(policy).join().unwrap();
    let (heir, asker) = (group.clone().join().unwrap(), group.join().unwrap());
    thread::scope(|scope| {
        let go = go;
        let waiting = scope.spawn(|| asker.mutex("slow").lock());
        begins.recv().unwrap();
        old.resign().unwrap();
        // The next supervisor has no policy.
        let guard = waiting.join().unwrap().unwrap();
        go.send(()).unwrap();
        assert!(guard.is_held());
        assert!(matches!(heir.mutex("slow").try_lock(), Err(Error::WouldBlock { .. })));
    });
}

#[test]
fn a_callback_reads_and_releases_but_asks_nothing_of_its_own_instance() {
    let own: Slot = Slot::default();
    let held = Arc::new(Mutex::new(None));
    let policy = {
        let (own, held) = (own.clone(), held.clone());
        move |_: &Entry, operation: &Operation| {
            let Some(own) = own.lock().unwrap().clone().filter(|_| wanted(operation) == "probe") else {
                return Verdict::Allow;
            };
            drop(held.lock().unwrap().take());
            Verdict::Deny(probe(&own))
        }
    };
    let group = group().policy(policy);
    let supervisor = group.clone().join().unwrap();
    let other = group.join().unwrap();
    supervisor.state().put("key", "value").unwrap();
    for asker in [&other, &supervisor] {
        *held.lock().unwrap() = Some(supervisor.mutex("held").lock().unwrap());
        *own.lock().unwrap() = Some(supervisor.clone());
        assert_eq!(denied(asker.mutex("probe").lock()), "");
        *own.lock().unwrap() = None;
        drop(other.mutex("held").try_lock().expect("the callback has released it"));
    }
}

/// What of this should not be so within a callback of this instance.
fn probe(own: &Instance) -> String {
    let long = Duration::from_secs(3600);
    let state = own.state();
    let version = state.get("key").map(|value| value.version);
    let asked = [
        ("lock", own.mutex("n").lock().err()),
        ("try_lock", own.mutex("n").try_lock().err()),
        ("lock_timeout", own.mutex("n").lock_timeout(long).err()),
        ("read", own.rwlock("n").read().err()),
        ("write", own.rwlock("n").write().err()),
        ("acquire", own.semaphore("n", 1).acquire(1).err()),
        ("resize", own.semaphore("n", 1).resize(2).err()),
        ("resize_timeout", own.semaphore("n", 1).resize_timeout(2, long).err()),
        ("wait", own.barrier("n", 1).wait().err()),
        ("wait_timeout", own.barrier("n", 1).wait_timeout(long).err()),
        ("run", own.once("n").run(|| Ok(Vec::new())).err()),
        ("try_run", own.once("n").try_run(|| Ok(Vec::new())).err()),
        ("put", state.put("key", "other").err()),
        ("put_if", state.put_if("key", version, "other").err()),
        ("put_timeout", state.put_timeout("key", "other", long).err()),
        ("put_if_timeout", state.put_if_timeout("key", version, "other", long).err()),
        ("delete", state.delete("key").err()),
        ("delete_timeout", state.delete_timeout("key", long).err()),
        ("delete_if", version.and_then(|version| state.delete_if("key", version).err())),
        ("delete_if_timeout", version.and_then(|version| state.delete_if_timeout("key", version, long).err())),
        ("locks", own.locks().err()),
        ("locks_timeout", own.locks_timeout(long).err()),
        ("office", own.office().err()),
        ("try_office", own.try_office().err()),
        ("office_timeout", own.office_timeout(long).err()),
        ("resign", own.resign().err()),
        ("resign_timeout", own.resign_timeout(long).err()),
        ("send", own.send(own.id(), *b"text").err()),
        ("try_send", own.try_send(own.id(), *b"text").err()),
        ("send_timeout", own.send_timeout(own.id(), *b"text", long).err()),
        ("broadcast", own.broadcast(*b"text").err()),
        ("request", own.request(*b"question").err()),
        ("try_request", own.try_request(*b"question").err()),
        ("command", own.command(own.id(), Command::Resume).err()),
        ("command_all", own.command_all(Command::Resume).err()),
    ];
    let mut wrong = String::new();
    for (call, error) in asked {
        if !matches!(error, Some(Error::InCallback)) {
            wrong += &format!("{call}: {error:?}; ");
        }
    }
    let read = own.role() == Role::Supervisor
        && own.registry().iter().any(|entry| entry.id == own.id())
        && state.get("key").is_some_and(|value| &*value.bytes == b"value")
        && own.semaphore("n", 1).limit().is_ok_and(|limit| limit.is_none())
        && own.events().is_empty();
    if !read {
        wrong += "it cannot read";
    }
    wrong
}

#[test]
fn a_callback_may_end_its_own_instance() {
    type End = fn(Instance);
    let ends: [(&str, End); 2] = [("dropped", drop), ("left", |own| own.leave())];
    for (how, end) in ends {
        let own: Slot = Slot::default();
        let policy = {
            let own = own.clone();
            move |_: &Entry, _: &Operation| {
                let own = own.lock().unwrap().take();
                own.map(end);
                Verdict::Allow
            }
        };
        let group = group().policy(policy);
        let supervisor = group.clone().join().unwrap();
        let other = group.join().unwrap();
        *own.lock().unwrap() = Some(supervisor);
        let guard = other.mutex("catalog").lock().unwrap_or_else(|error| panic!("{how}: {error}"));
        assert!(guard.is_held());
        assert_eq!((other.role(), other.registry().len()), (Role::Supervisor, 1), "{how}");
    }
}

#[test]
fn requests_that_were_given_up_do_not_pile_up_at_a_handler_that_is_busy() {
    let (begun, begins) = channel();
    let begun = Mutex::new(begun);
    let busy = Arc::new(Mutex::new(()));
    let handler = {
        let busy = busy.clone();
        move |_: &Request| {
            begun.lock().unwrap().send(()).unwrap();
            drop(busy.lock());
            Vec::new()
        }
    };
    let supervisor = group().on_request(handler).join().unwrap();
    let still = busy.lock().unwrap();
    thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| supervisor.request(*b"as many as run at one time").unwrap());
            begins.recv().unwrap();
        }
        // Not so large that it would wait for the others where it comes from.
        let question: Arc<[u8]> = vec![0; 1 << 19].into();
        for _ in 0..8 {
            // Each of them waits for a second, since the supervisor cannot know that the handler is busy.
            thread::scope(|at_once| {
                let ask = || {
                    let given_up = supervisor.request_timeout(question.clone(), Duration::ZERO);
                    assert!(matches!(given_up, Err(Error::TimedOut { .. })), "{given_up:?}");
                };
                (0..25).for_each(|_| drop(at_once.spawn(ask)));
            });
        }
        let kept = Arc::strong_count(&question) - 1;
        assert!(kept < 64, "{kept} of 200 are kept that nobody waits for");
        drop(still);
    });
}
