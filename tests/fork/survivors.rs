//! Forked children that outlive their parent, and those that join again: the library closes what they inherit.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bellwether::{Error, Event, Group, Instance, InstanceId, Role};

use super::Child;
use super::fleet::{Fleet, Load, eventually};

impl Child {
    /// The same for one whose own child lives on, and with it the other end of the words.
    fn finish_first(mut self) {
        let id = libc::id_t::try_from(self.pid).unwrap();
        eventually("it has ended", || {
            // SAFETY: a value of plain numbers, which the call fills in. The child stays to be waited for.
            unsafe {
                let mut how: libc::siginfo_t = std::mem::zeroed();
                let options = libc::WEXITED | libc::WNOWAIT | libc::WNOHANG;
                libc::waitid(libc::P_PID, id, &raw mut how, options) == 0 && how.si_pid() == self.pid
            }
        });
        self.words.set_nonblocking(true).unwrap();
        let mut complaint = Vec::new();
        let read = self.words.read_to_end(&mut complaint);
        assert!(read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));
        assert_eq!(String::from_utf8_lossy(&complaint), "");
    }
}

/// What a forked child does with the instance of its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Childhood {
    /// Drops it, and goes on without one.
    Drops,
    /// Drops it, and joins.
    DropsAndJoins,
    /// Joins, and never drops it.
    Joins,
}

/// How its parent ends then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Killed,
    /// Without a word, as a parent in `daemon` does.
    Exits,
    Leaves,
}

/// The inodes of all sockets of this process.
fn sockets() -> BTreeSet<String> {
    let links =
        std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    links.filter_map(|link| Some(link.to_str()?.strip_prefix("socket:")?.to_owned())).collect()
}

/// The next line on a stream; an error at its end.
fn next_line(stream: &mut BufReader<UnixStream>) -> Result<String, String> {
    let mut line = String::new();
    match stream.read_line(&mut line) {
        Ok(count) if count > 0 => Ok(line.trim_end().to_owned()),
        other => Err(format!("no line: {other:?}")),
    }
}

/// The parent of a child: it joins, holds a lock, forks when it is told to, and ends as it is told.
fn parent(group: &Group, childhood: Childhood, to_test: &UnixStream, to_child: &UnixStream) -> Result<(), String> {
    let text = |error: Error| error.to_string();
    let mut commands = BufReader::new(to_test);
    let mut command = || {
        let mut line = String::new();
        commands.read_line(&mut line).map(|_| line.trim_end().to_owned()).map_err(|error| error.to_string())
    };
    let before = sockets();
    let instance = group.clone().label("parent").join().map_err(text)?;
    let events = instance.events();
    let guard = instance.mutex("held").lock().map_err(text)?;
    writeln!(&mut &*to_test, "{}", instance.id()).map_err(|error| error.to_string())?;
    command()?;
    let own: BTreeSet<_> = sockets().difference(&before).cloned().collect();
    let mut inherited = Some((instance, guard, events));
    let child = Child::fork(|_| {
        if childhood != Childhood::Joins {
            drop(inherited.take());
            let (open, lost) = (sockets().intersection(&own).count(), before.difference(&sockets()).count());
            if (open, lost) != (0, 0) {
                return Err(format!("{open} sockets of the parent are open, and {lost} others are closed"));
            }
        }
        let outcome = forked_child(group, childhood, to_child);
        let said = outcome.unwrap_or_else(|error| format!("error {error}"));
        writeln!(&mut &*to_child, "{said}").map_err(|error| error.to_string())
    });
    let (instance, guard, events) = inherited.take().ok_or("no instance")?;
    let end = command()?;
    if !guard.is_held() {
        return Err("the parent does not hold its lock any more".to_owned());
    }
    if end == "leave" {
        instance.leave();
    }
    // It goes on without its parent, if there is nothing that it could complain of to it.
    std::mem::forget((child, instance, guard, events));
    Ok(())
}

/// Its child, up to the time after the end of its parent.
fn forked_child(group: &Group, childhood: Childhood, to_test: &UnixStream) -> Result<String, String> {
    let text = |error: Error| error.to_string();
    let said = |line: &str| writeln!(&mut &*to_test, "{line}").map_err(|error| error.to_string());
    let mut go_on = String::new();
    if childhood == Childhood::Drops {
        said("ready")?;
        // Lives until it is told to go on.
        return BufReader::new(to_test)
            .read_line(&mut go_on)
            .map(|_| "done".to_owned())
            .map_err(|error| error.to_string());
    }
    let own = group.clone().label("child").join().map_err(text)?;
    let entry = own.registry().into_iter().find(|entry| entry.pid == std::process::id());
    if own.role() != Role::Subordinate || entry.is_none_or(|entry| entry.label != "child") {
        return Err(format!("{:?} {:?}", own.role(), own.registry()));
    }
    said("ready")?;
    let guard = own.mutex("held").lock().map_err(text)?;
    BufReader::new(to_test).read_line(&mut go_on).map_err(|error| error.to_string())?;
    let abandoned = guard.abandoned();
    guard.unlock().map_err(text)?;
    own.leave();
    Ok(format!("{abandoned:?}"))
}

/// A parent with this role forks, and ends while its child lives.
fn survived_by_its_child(role: Option<Role>, childhood: Childhood, end: End) {
    let what = format!("{role:?} {childhood:?} {end:?}");
    let fleet = Fleet::with("limit=none");
    let group = Group::new(fleet.group.clone()).unwrap().port(fleet.port).window_limit(None);
    let mut members = if role == Some(Role::Subordinate) { fleet.members(2, "") } else { Vec::new() };
    let (to_parent, test_of_parent) = UnixStream::pair().unwrap();
    let (to_child, test_of_child) = UnixStream::pair().unwrap();
    let process = Child::fork(|_| parent(&group, childhood, &test_of_parent, &test_of_child));
    drop((test_of_parent, test_of_child));
    for stream in [&to_parent, &to_child] {
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    }
    let (mut parent_says, mut child_says) =
        (BufReader::new(to_parent.try_clone().unwrap()), BufReader::new(to_child.try_clone().unwrap()));
    let parent = next_line(&mut parent_says).unwrap();
    if role == Some(Role::Supervisor) {
        members.extend(fleet.members(2, ""));
    }
    writeln!(&mut &to_parent, "fork").unwrap();
    assert_eq!(next_line(&mut child_says).unwrap(), "ready", "{what}");
    let reason = match end {
        End::Killed => {
            drop(process);
            "Failed"
        }
        End::Exits => {
            writeln!(&mut &to_parent, "exit").unwrap();
            process.finish_first();
            "Failed"
        }
        End::Leaves => {
            writeln!(&mut &to_parent, "leave").unwrap();
            process.finish_first();
            "Left"
        }
    };
    for member in &members {
        member.expect(0, "ended", &[("id", parent.as_str()), ("reason", reason)]);
    }
    // What the parent held is free although the child lives, and the port if nobody else has it.
    let late = fleet.member("");
    if childhood == Childhood::Drops {
        late.expect_free("mutex held");
    }
    writeln!(&mut &to_child, "go on").unwrap();
    let said = next_line(&mut child_says).unwrap();
    // What became of the owner before is not always known after the end of a supervisor, or if it left with the lock.
    let expected = match (childhood, end) {
        (Childhood::Drops, _) => ["done", "done"],
        (_, End::Leaves) => ["Clean", "Unknown"],
        _ => ["Died", "Unknown"],
    };
    assert!(expected.iter().any(|expected| said.starts_with(expected)), "{what}: {said}");
    members.push(late);
    fleet.agree(&members);
}

#[test]
fn the_end_of_a_parent_is_noticed_although_its_child_lives() {
    for role in [Some(Role::Supervisor), Some(Role::Subordinate), None] {
        for end in [End::Killed, End::Exits, End::Leaves] {
            survived_by_its_child(role, Childhood::Drops, end);
        }
    }
}

#[test]
fn a_forked_child_that_joins_again_goes_on_when_its_parent_ends() {
    for role in [Some(Role::Supervisor), Some(Role::Subordinate), None] {
        for end in [End::Killed, End::Exits, End::Leaves] {
            for childhood in [Childhood::DropsAndJoins, Childhood::Joins] {
                survived_by_its_child(role, childhood, end);
            }
        }
    }
}

/// What a worker of a pre-fork server does.
fn work(group: &Group, inherited: Option<Instance>, number: u32, workers: u32) -> Result<(), String> {
    let text = |error: Error| error.to_string();
    drop(inherited);
    let own = group.clone().label(format!("worker-{number}")).join().map_err(text)?;
    let turn = own.mutex("turn");
    let passed = |name: &str| own.barrier(name, workers).wait_timeout(Duration::from_secs(25)).map(drop).map_err(text);
    let count = |times: u32| {
        for _ in 0..times {
            let guard = turn.lock().map_err(text)?;
            let value = own.state().get("turns").map_or(0, |value| value.bytes.len());
            own.state().put("turns", vec![0; value + 1]).map_err(text)?;
            drop(guard);
        }
        Ok::<_, String>(())
    };
    count(5)?;
    passed("all are there")?;
    own.send(parent_of(&own)?, *b"all are there").map_err(text)?;
    // Whoever reigns from then on, the parent or one of these.
    count(5)?;
    passed("all are done")?;
    let turns = own.state().get("turns").map_or(0, |value| value.bytes.len());
    if turns != 10 * workers as usize {
        return Err(format!("{turns} turns"));
    }
    passed("all have looked")?;
    own.leave();
    Ok(())
}

fn parent_of(own: &Instance) -> Result<InstanceId, String> {
    let entry = own.registry().into_iter().find(|entry| entry.label == "server");
    entry.map(|entry| entry.id).ok_or_else(|| "the parent is not there".to_owned())
}

#[test]
fn the_workers_of_a_pre_fork_server_join_each_for_itself() {
    const WORKERS: u32 = 4;
    let _load = Load::new();
    let fleet = Fleet::with("limit=none");
    let group = Group::new(fleet.group.clone()).unwrap().port(fleet.port).window_limit(None);
    let server = Child::fork(|_| {
        let instance = group.clone().label("server").join().map_err(|error| error.to_string())?;
        let events = instance.events();
        let mut inherited = Some(instance);
        let workers: Vec<_> =
            (0..WORKERS).map(|number| Child::fork(|_| work(&group, inherited.take(), number, WORKERS))).collect();
        let heard = events.iter().filter(|event| matches!(event, Event::Message { .. })).take(WORKERS as usize).count();
        // It reigns, and leaves in the middle of their work.
        drop(inherited);
        workers.into_iter().for_each(Child::finish);
        if heard == WORKERS as usize { Ok(()) } else { Err(format!("{heard} messages")) }
    });
    server.finish();
    fleet.member("");
}
