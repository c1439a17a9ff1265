//! What a forked child may do with the instance of its parent: nothing but let go of it, and its parent does not even notice.

mod fleet;
#[cfg(feature = "native")]
#[path = "fork/survivors.rs"]
mod survivors;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bellwether::{Command, Error, Event, Group, Instance, InstanceId, Observer, Office, Role};
use crossbeam::channel::Receiver;
use fleet::locks::refused;
use fleet::{Fleet, Member, eventually};

/// A forked child of this process. It ends with its work, or is killed.
struct Child {
    pid: libc::pid_t,
    words: UnixStream,
}

impl Child {
    /// Forks. The child does this work, says how it went, and ends without running anything else of this process.
    fn fork(work: impl FnOnce(&mut UnixStream) -> Result<(), String>) -> Self {
        let (words, mut own) = UnixStream::pair().unwrap();
        // SAFETY: the child has only this thread. It calls the library, which takes no lock in a forked child before it
        // knows that it is one, and the allocator, which the C library makes usable after a fork; and it leaves with
        // `_exit`, so that no destructor, test harness or buffer of the parent runs twice.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "{}", std::io::Error::last_os_error());
        if pid > 0 {
            return Self { pid, words };
        }
        drop(words);
        let said = catch_unwind(AssertUnwindSafe(|| work(&mut own))).unwrap_or_else(|_| Err("it panicked".to_owned()));
        let _ = own.write_all(said.err().unwrap_or_default().as_bytes());
        // SAFETY: ends the process, and returns to nobody.
        unsafe { libc::_exit(0) }
    }

    /// Waits for its end, and that it had nothing to complain about.
    fn finish(mut self) {
        // Only a child that hangs, in a test that has failed, takes so long.
        self.words.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut complaint = String::new();
        let read = self.words.read_to_string(&mut complaint);
        assert!(read.is_ok(), "the child hangs: {read:?}");
        assert_eq!(complaint, "");
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // SAFETY: the number is that of an own child which nobody else waits for, so it cannot be another process's.
        unsafe {
            libc::kill(self.pid, libc::SIGKILL);
            libc::waitpid(self.pid, std::ptr::null_mut(), 0);
        }
    }
}

/// A fleet in which this process has an instance as well.
struct Mixed {
    /// An option, so that a forked child can drop its copy of it.
    own: Option<Instance>,
    events: Receiver<Event>,
    members: Vec<Member>,
    fleet: Fleet,
}

impl Mixed {
    /// With three others; the own instance has this role.
    fn new(role: Role) -> Self {
        let fleet = Fleet::with("limit=none");
        let group = || Group::new(fleet.group.clone()).unwrap().port(fleet.port).window_limit(None);
        let mut members = Vec::new();
        if role == Role::Subordinate {
            members.push(fleet.member(""));
        }
        let own = group().join().unwrap();
        let events = own.events();
        while members.len() < 3 {
            members.push(fleet.member(""));
        }
        let mixed = Self { own: Some(own), events, members, fleet };
        assert_eq!(mixed.own().role(), role);
        mixed.settle(4);
        mixed
    }

    fn own(&self) -> &Instance {
        self.own.as_ref().unwrap()
    }

    /// Waits until everybody, this process included, has the same registry of so many.
    fn settle(&self, total: usize) {
        eventually("all have the same registry", || {
            let own: Vec<_> = self.own().registry().iter().map(|entry| entry.id.to_string()).collect();
            let same = |member: &Member| {
                let status = member.status();
                status.epoch == self.own().epoch().number() && status.registry.iter().map(|row| &row.id).eq(&own)
            };
            own.len() == total && self.members.iter().all(same)
        });
    }

    /// That since the last call nothing has ended, and that one can still come and go.
    fn assert_undisturbed(&self, epoch: u64) {
        let visitor = self.fleet.member("");
        self.settle(5);
        visitor.ask("leave").unwrap();
        self.settle(4);
        assert_eq!(self.own().epoch().number(), epoch);
        for event in self.events.try_iter() {
            let visit = match &event {
                Event::Joined(entry) | Event::Ended { entry, .. } => entry.id.to_string() == visitor.id,
                _ => false,
            };
            assert!(visit || matches!(event, Event::Joined(_)), "{event:?}");
        }
        for member in &self.members {
            for kind in ["disconnected", "hung", "forfeited"] {
                assert_eq!(member.events(0, kind).len(), 0, "{kind} at {}", member.id);
            }
        }
    }
}

/// That a call has ended in `Forked` and nothing else.
fn forked<T: std::fmt::Debug>(call: &str, outcome: Result<T, Error>) -> Result<(), String> {
    match outcome {
        Err(Error::Forked) => Ok(()),
        other => Err(format!("{call}: {other:?}")),
    }
}

/// Everything that a child can try with an instance, up to dropping it.
fn misuse(instance: &mut Option<Instance>, own_id: InstanceId) -> Result<(), String> {
    let own = instance.take().ok_or("no instance")?;
    let shown = (own.id(), own.role(), own.epoch().number(), own.registry().len(), own.events().iter().count());
    if shown != (own_id, Role::Subordinate, 0, 0, 0) {
        return Err(format!("it shows {shown:?}"));
    }
    forked("office", own.office())?;
    forked("try_office", own.try_office())?;
    forked("office_timeout", own.office_timeout(Duration::from_secs(60)))?;
    forked("resign", own.resign())?;
    forked("resign_timeout", own.resign_timeout(Duration::from_secs(60)))?;
    let (mutex, rwlock) = (own.mutex("forked"), own.rwlock("forked"));
    forked("lock", mutex.lock())?;
    forked("try_lock", mutex.try_lock())?;
    forked("lock_timeout", mutex.lock_timeout(Duration::from_secs(60)))?;
    forked("read", rwlock.read())?;
    forked("try_write", rwlock.try_write())?;
    drop((mutex, rwlock));
    let (semaphore, state) = (own.semaphore("forked", 1), own.state());
    forked("acquire", semaphore.acquire(1))?;
    forked("resize", semaphore.resize(2))?;
    forked("limit", semaphore.limit())?;
    forked("wait", own.barrier("forked", 1).wait())?;
    forked("run", own.once("forked").run(|| Ok(Vec::new())))?;
    forked("put", state.put("forked", "value"))?;
    forked("put_if", state.put_if("forked", None, "value"))?;
    forked("delete", state.delete("forked"))?;
    forked("locks", own.locks())?;
    forked("send", own.send(own_id, *b"forked"))?;
    forked("broadcast", own.broadcast(*b"forked"))?;
    forked("request", own.request(*b"forked"))?;
    forked("command", own.command(own_id, Command::Resume))?;
    forked("command_all", own.command_all(Command::Resume))?;
    if state.get("forked").is_some() || !state.snapshot().is_empty() {
        return Err("the child reads the parent's copy of the state".to_owned());
    }
    // It waits for no lock, or this child would hang.
    let debug = format!("{own:?} {semaphore:?} {state:?} {:?}", own.mutex("forked"));
    if !debug.contains(&own_id.to_string()) {
        return Err(format!("it shows itself as {debug}"));
    }
    drop(semaphore);
    drop(own.clone());
    own.leave();
    forked("office after leave", own.office())?;
    drop(own);
    Ok(())
}

#[test]
fn a_forked_child_is_told_so_and_its_parent_is_undisturbed() {
    for role in [Role::Supervisor, Role::Subordinate] {
        let mut mixed = Mixed::new(role);
        let epoch = mixed.own().epoch().number();
        for _ in 0..3 {
            let id = mixed.own().id();
            Child::fork(|_| misuse(&mut mixed.own, id)).finish();
            mixed.assert_undisturbed(epoch);
        }
        // The parent's own calls are what they were.
        match role {
            Role::Supervisor => drop(mixed.own().try_office().unwrap()),
            Role::Subordinate => assert!(matches!(mixed.own().try_office(), Err(Error::WouldBlock { .. }))),
        }
        mixed.own().leave();
        for member in &mixed.members {
            member.event(0, "the end of the parent", |event| {
                (event.kind() == "ended" && event.get("reason") == Some("Left")).then_some(())
            });
        }
    }
}

#[test]
#[cfg(feature = "native")]
fn a_forked_child_that_joins_is_a_member_of_its_own() {
    for role in [Role::Supervisor, Role::Subordinate] {
        let mut mixed = Mixed::new(role);
        let epoch = mixed.own().epoch().number();
        let parent = mixed.own().id();
        let group = Group::new(mixed.fleet.group.clone()).unwrap().port(mixed.fleet.port).label("child");
        let child = Child::fork(|_| {
            drop(mixed.own.take());
            let own = group.join().map_err(|error| error.to_string())?;
            let registry = own.registry();
            let entry = registry.iter().find(|entry| entry.id == own.id()).ok_or("it is not in its registry")?;
            if registry.len() != 5 || own.role() != Role::Subordinate || own.id() == parent {
                return Err(format!("{own:?}"));
            }
            if entry.pid != std::process::id() || entry.label != "child" {
                return Err(format!("{entry:?}"));
            }
            own.leave();
            Ok(())
        });
        let pid = child.pid.unsigned_abs();
        child.finish();
        for member in &mixed.members {
            let fields = [("pid", pid.to_string()), ("reason", "Left".to_owned())];
            member.expect(0, "ended", &fields.each_ref().map(|(name, value)| (*name, value.as_str())));
        }
        mixed.settle(4);
        assert_eq!(mixed.own().epoch().number(), epoch);
    }
}

#[test]
fn an_observer_stays_with_the_parent() {
    let fleet = Fleet::with("limit=none");
    let members = fleet.members(2, "");
    let agreed = fleet.agree(&members);
    members[0].ask("put key value").unwrap();
    let long = Duration::from_secs(60);
    let mut observer = Some(Group::new(fleet.group.clone()).unwrap().port(fleet.port).observe().unwrap());
    let supervisor = observer.as_ref().and_then(Observer::supervisor).unwrap();
    Child::fork(|_| {
        let own = observer.take().ok_or("no observer")?;
        let shown = (own.epoch().number(), own.supervisor(), own.registry().len(), own.events().iter().count());
        if shown != (0, None, 0, 0) {
            return Err(format!("it shows {shown:?}"));
        }
        forked("locks_timeout", own.locks_timeout(long))?;
        forked("send_timeout", own.send_timeout(supervisor, *b"forked", long))?;
        forked("broadcast_timeout", own.broadcast_timeout(*b"forked", long))?;
        forked("request_timeout", own.request_timeout(*b"forked", long))?;
        forked("command_timeout", own.command_timeout(supervisor, Command::Resume, long))?;
        forked("command_all_timeout", own.command_all_timeout(Command::Resume, long))?;
        forked("put_if", own.state().put_if("key", None, "other"))?;
        match own.state().get("key") {
            None => Ok(()),
            value => Err(format!("{value:?}")),
        }
    })
    .finish();
    // The parent's has noticed nothing of it.
    let observer = observer.unwrap();
    assert_eq!(observer.locks_timeout(long).unwrap(), []);
    assert_eq!((observer.epoch().number(), observer.registry().len()), (agreed.epoch, 2));
    assert!(observer.state().get("key").is_some_and(|value| &*value.bytes == b"value"));
}

#[test]
fn an_office_stays_with_the_parent() {
    let mixed = Mixed::new(Role::Supervisor);
    let epoch = mixed.own().epoch().number();
    let mut office: Option<Office> = Some(mixed.own().office().unwrap());
    Child::fork(|_| {
        let office = office.take().ok_or("no office")?;
        if office.is_held() {
            return Err("the child has the office as well".to_owned());
        }
        drop(office);
        Ok(())
    })
    .finish();
    let office = office.unwrap();
    assert!(office.is_held());
    assert!(matches!(mixed.own().resign_timeout(Duration::from_millis(50)), Err(Error::TimedOut { .. })));
    drop(office);
    mixed.assert_undisturbed(epoch);
    mixed.own().resign().unwrap();
    assert_eq!(mixed.own().role(), Role::Subordinate);
}

#[test]
fn p8_a_guard_stays_with_the_parent() {
    for role in [Role::Supervisor, Role::Subordinate] {
        let mixed = Mixed::new(role);
        let epoch = mixed.own().epoch().number();
        let mut dropped = Some(mixed.own().mutex("dropped").lock().unwrap());
        let mut unlocked = Some(mixed.own().rwlock("unlocked").read().unwrap());
        Child::fork(|_| {
            let (dropped, unlocked) = (dropped.take().ok_or("no guard")?, unlocked.take().ok_or("no guard")?);
            if dropped.is_held() || unlocked.is_held() {
                return Err("the child holds as well".to_owned());
            }
            drop(dropped);
            forked("unlock", unlocked.unlock())
        })
        .finish();
        let (dropped, unlocked) = (dropped.unwrap(), unlocked.unwrap());
        assert!(dropped.is_held() && unlocked.is_held());
        let other = &mixed.members[0];
        let error = refused(other.lock("x", "mutex dropped try"), "WouldBlock");
        assert_eq!(error.text("holder"), mixed.own().id().to_string());
        refused(other.lock("x", "write unlocked try"), "WouldBlock");
        mixed.assert_undisturbed(epoch);
        drop(dropped);
        unlocked.unlock().unwrap();
        other.expect_free("mutex dropped");
        other.expect_free("write unlocked");
    }
}

#[test]
fn a_child_that_was_forked_in_the_middle_of_something_does_not_hang() {
    let mut mixed = Mixed::new(Role::Supervisor);
    let epoch = mixed.own().epoch().number();
    let id = mixed.own().id();
    let mut office = Some(mixed.own().office().unwrap());
    let crowd = mixed.fleet.process();
    for _ in 0..40 {
        let joining: Vec<_> = (0..10).map(|_| mixed.fleet.join_in(&crowd, "")).collect();
        // The locks of the library are taken again and again by its threads, and a child finds them as they were.
        for _ in 0..3 {
            Child::fork(|_| {
                drop(office.take());
                misuse(&mut mixed.own, id)
            })
            .finish();
        }
        let joined: Vec<_> = joining.into_iter().map(|joining| mixed.fleet.joined(joining)).collect();
        let leaving: Vec<_> = joined.iter().map(|member| member.say("leave")).collect();
        leaving.into_iter().for_each(|leaving| drop(crowd.answer(leaving).unwrap()));
    }
    assert!(office.take().is_some_and(|office| office.is_held()));
    mixed.settle(4);
    assert_eq!(mixed.own().epoch().number(), epoch);
}

#[test]
#[cfg(not(feature = "native"))]
fn a_forked_child_that_cannot_close_what_is_its_parents_cannot_join() {
    let mut mixed = Mixed::new(Role::Supervisor);
    let epoch = mixed.own().epoch().number();
    let group = Group::new(mixed.fleet.group.clone()).unwrap().port(mixed.fleet.port);
    Child::fork(|_| {
        drop(mixed.own.take());
        forked("join", group.clone().join())?;
        forked("observe", group.observe())
    })
    .finish();
    mixed.assert_undisturbed(epoch);
}
