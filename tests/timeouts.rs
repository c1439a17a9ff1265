//! A time-out of zero means "do not wait for others": a call that needs nothing but the answer of the supervisor succeeds.

mod fleet;

use std::time::Duration;

use bellwether::{Command, Error, Group, Instance, InstanceId, Observer, Role};
use fleet::schedules::{hold_window_open, others};
use fleet::{Fleet, Member};

const ZERO: Duration = Duration::ZERO;

/// A call with a time-out of zero, for an own instance, another one, and a name that no other call has used.
type Call<I> = (&'static str, fn(&I, InstanceId, &str) -> Result<(), Error>);

/// Those that need an answer of the supervisor.
const ASKING: &[Call<Instance>] = &[
    ("lock", |own, _, name| own.mutex(name).lock_timeout(ZERO).map(drop)),
    ("read", |own, _, name| own.rwlock(name).read_timeout(ZERO).map(drop)),
    ("write", |own, _, name| own.rwlock(name).write_timeout(ZERO).map(drop)),
    ("acquire", |own, _, name| own.semaphore(name, 2).acquire_timeout(2, ZERO).map(drop)),
    ("resize", |own, _, name| own.semaphore(name, 2).resize_timeout(3, ZERO)),
    ("run", |own, _, name| own.once(name).run_timeout(ZERO, || Ok(vec![1])).map(drop)),
    ("put", |own, _, name| own.state().put_timeout(name, "1", ZERO).map(drop)),
    ("put_if", |own, _, name| own.state().put_if_timeout(&format!("{name}-new"), None, "1", ZERO).map(drop)),
    ("delete", |own, _, name| own.state().delete_timeout(name, ZERO).map(drop)),
    ("send", |own, other, _| own.send_timeout(other, *b"text", ZERO)),
    ("broadcast", |own, _, _| own.broadcast_timeout(*b"text", ZERO).map(drop)),
    ("request", |own, _, _| own.request_timeout(*b"text", ZERO).map(drop)),
    ("locks", |own, _, _| own.locks_timeout(ZERO).map(drop)),
];

/// The same for observers.
const OBSERVING: &[Call<Observer>] = &[
    ("put", |own, _, name| own.state().put_timeout(name, "1", ZERO).map(drop)),
    ("delete", |own, _, name| own.state().delete_timeout(name, ZERO).map(drop)),
    ("send", |own, other, _| own.send_timeout(other, *b"text", ZERO)),
    ("broadcast", |own, _, _| own.broadcast_timeout(*b"text", ZERO).map(drop)),
    ("request", |own, _, _| own.request_timeout(*b"text", ZERO).map(drop)),
    ("command", |own, other, _| own.command_timeout(other, Command::Resume, ZERO)),
    ("command_all", |own, _, _| own.command_all_timeout(Command::Resume, ZERO).map(drop)),
    ("locks", |own, _, _| own.locks_timeout(ZERO).map(drop)),
];

/// A fleet with an instance of this process in this role, and two others.
fn mixed(role: Role) -> (Fleet, Group, Instance, Vec<Member>) {
    let fleet = Fleet::with("limit=none handler=echo");
    let group = Group::new(fleet.group.clone()).unwrap().port(fleet.port).window_limit(None);
    let group = group.on_request(|request| request.bytes.to_vec());
    let mut members = Vec::new();
    if role == Role::Subordinate {
        members.push(fleet.member(""));
    }
    let own = group.clone().join_timeout(ZERO).unwrap();
    assert_eq!(own.role(), role);
    while members.len() < 2 {
        members.push(fleet.member(""));
    }
    (fleet, group, own, members)
}

fn id(member: &Member) -> InstanceId {
    member.id.parse().unwrap()
}

/// That a call has run out of time.
fn timed_out<T: std::fmt::Debug>(call: &str, outcome: Result<T, Error>) {
    assert!(matches!(outcome, Err(Error::TimedOut { .. })), "{call}: {outcome:?}");
}

/// That a call has run out of time, and that the error names this holder.
fn held_by<T: std::fmt::Debug>(call: &str, member: &Member, outcome: Result<T, Error>) {
    match outcome {
        Err(Error::TimedOut { holder: Some(holder), .. }) if holder.id == id(member) => {}
        other => panic!("{call}: {other:?}"),
    }
}

#[test]
fn without_time_every_call_succeeds_that_waits_for_nobody_else() {
    for role in [Role::Supervisor, Role::Subordinate] {
        let (_fleet, group, own, members) = mixed(role);
        let observer = group.clone().observe().unwrap();
        for n in 0..20 {
            for (call, make) in ASKING {
                make(&own, id(&members[0]), &format!("{call}-{n}")).unwrap_or_else(|error| panic!("{call}: {error:?}"));
            }
            for (call, make) in OBSERVING {
                let name = format!("observer-{call}-{n}");
                make(&observer, own.id(), &name).unwrap_or_else(|error| panic!("observer {call}: {error:?}"));
            }
            drop(group.clone().join_timeout(ZERO).unwrap());
        }
        if role == Role::Supervisor {
            drop(own.office_timeout(ZERO).unwrap());
            own.resign_timeout(ZERO).unwrap();
            assert_eq!(own.role(), Role::Subordinate);
        }
    }
}

#[test]
fn without_time_a_call_that_has_to_wait_for_others_fails() {
    for role in [Role::Supervisor, Role::Subordinate] {
        let (_fleet, _, own, members) = mixed(role);
        let holder = &members[1];
        for (guard, lock) in ["mutex m", "write w", "read r", "permits s limit=2 count=2"].into_iter().enumerate() {
            holder.lock(&format!("guard-{guard}"), lock).unwrap();
        }
        let running = holder.once("o");
        holder.runs(0, "o");
        held_by("lock", holder, own.mutex("m").lock_timeout(ZERO));
        held_by("read", holder, own.rwlock("w").read_timeout(ZERO));
        held_by("write", holder, own.rwlock("r").write_timeout(ZERO));
        held_by("acquire", holder, own.semaphore("s", 2).acquire_timeout(1, ZERO));
        held_by("run", holder, own.once("o").run_timeout(ZERO, || unreachable!("another one runs it")));
        holder.finish("o", "text");
        running.done();
        match role {
            Role::Supervisor => {
                let office = own.office_timeout(ZERO).unwrap();
                timed_out("resign", own.resign_timeout(ZERO));
                assert!(office.is_held());
            }
            _ => {
                timed_out("office", own.office_timeout(ZERO));
                assert!(matches!(own.resign_timeout(ZERO), Err(Error::NotSupervisor)));
                timed_out("request", own.request_timeout(*b"slow", ZERO));
                members[0].unblock();
                members[0].ask(&format!("command {} pause", own.id())).unwrap();
                timed_out("put", own.state().put_timeout("paused", "1", ZERO));
                timed_out("send", own.send_timeout(id(holder), *b"text", ZERO));
            }
        }
    }
}

#[test]
fn without_time_no_call_waits_for_an_election() {
    let (fleet, _, own, mut members) = mixed(Role::Subordinate);
    members.extend(fleet.members(2, ""));
    let supervisor = members[0].clone();
    let stopped = others(&members, &supervisor).swap_remove(0);
    hold_window_open(&members, &supervisor, &stopped);
    for (call, make) in ASKING {
        timed_out(call, make(&own, id(&stopped), &format!("{call}-0")));
    }
    timed_out("office", own.office_timeout(ZERO));
    stopped.process.resume();
}
