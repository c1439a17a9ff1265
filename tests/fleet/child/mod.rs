//! What runs in the processes of a fleet: it does what the lines on its standard input say and reports on standard
//! output, one numbered line each.

mod control;
mod locks;
mod meetings;
mod permits;
mod results;
pub mod storm;
mod values;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, Write};
use std::os::unix::process::CommandExt;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bellwether::sync::Guard;
use bellwether::{Command, Entry, Error, Event, Group, Instance, Observer, Office, Role, Version};
use crossbeam::channel::{Receiver, Sender};

use self::control::Gate;
use self::storm::Storm;

/// Everything that the commands of one process share.
#[derive(Default)]
struct Desk {
    instances: Mutex<BTreeMap<String, Instance>>,
    observers: Mutex<BTreeMap<String, Arc<Observer>>>,
    offices: Mutex<BTreeMap<String, Office>>,
    /// By the key of the instance and the name of the guard.
    guards: Mutex<BTreeMap<(String, String), Guard>>,
    /// The versions that were read last, by the key of the instance and that of the state.
    seen: Mutex<BTreeMap<(String, String), Option<Version>>>,
    /// The ends of work that is done once, by the key of the instance and the name.
    works: Mutex<BTreeMap<(String, String), Sender<String>>>,
    /// Receivers that nobody reads for now.
    unread: Mutex<BTreeMap<String, Receiver<Event>>>,
    /// What keeps this process from opening more.
    hoard: Mutex<Vec<File>>,
    storms: Mutex<BTreeMap<String, Arc<Storm>>>,
    /// What blocks until it is told to go on.
    gates: Mutex<BTreeMap<String, Gate>>,
    /// The storms are to come to their ends.
    calm: AtomicBool,
    written: Mutex<u64>,
    /// Stop the whole process as soon as an instance of it has won the port.
    freeze: AtomicBool,
}

/// Writes what the library logs to standard error, for whoever looks for the cause of a failure.
struct Stderr;

impl log::Log for Stderr {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or_default();
        eprintln!("{} {name} {:?} {}: {}", std::process::id(), thread.id(), record.level(), record.args());
    }

    fn flush(&self) {}
}

/// A logger that panics in threads of this name, so many times.
struct Rage;

static RAGE: Mutex<(String, u32)> = Mutex::new((String::new(), 0));

impl log::Log for Rage {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let mut rage = lock(&RAGE);
        if std::thread::current().name() == Some(&*rage.0) && rage.1 > 0 {
            rage.1 -= 1;
            drop(rage);
            panic!("the logger cannot bear {}", record.args());
        }
    }

    fn flush(&self) {}
}

/// Serves until the parent is gone.
pub(super) fn run() {
    if let Some(level) = std::env::var("BELLWETHER_LOG").ok().and_then(|level| level.parse().ok()) {
        log::set_max_level(level);
        let _ = log::set_logger(&Stderr);
    }
    let desk = Arc::new(Desk::default());
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let mut words = line.split(' ');
        let number = words.next().unwrap_or_default().to_owned();
        let verb = words.next().unwrap_or_default().to_owned();
        let key = words.next().unwrap_or_default().to_owned();
        let rest: Vec<String> = words.map(str::to_owned).collect();
        let desk = desk.clone();
        let work = move || {
            let answer = match desk.obey(&verb, &key, &rest) {
                Ok(answer) => format!("reply {number} ok {answer}"),
                Err(error) => format!("reply {number} error {}", locks::tell_error(&error)),
            };
            desk.report(&answer);
        };
        // Calls that can block must not keep the next command from being read.
        if matches!(
            line.split(' ').nth(1),
            Some(
                "join"
                    | "visit"
                    | "observe"
                    | "leave"
                    | "drop"
                    | "resign"
                    | "office"
                    | "pester"
                    | "lock"
                    | "unwind"
                    | "toil"
                    | "storm"
                    | "aftermath"
                    | "depart"
                    | "share"
                    | "resize"
                    | "meet"
                    | "meet-in-thread"
                    | "once"
                    | "put"
                    | "delete"
                    | "tally"
                    | "scribble"
                    | "send"
                    | "broadcast"
                    | "request"
                    | "command"
                    | "chatter"
                    | "inquire"
            )
        ) {
            std::thread::spawn(work);
        } else {
            work();
        }
    }
    process::exit(0);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The value of an option given as `name=value`.
fn option<'a>(rest: &'a [String], name: &str) -> Option<&'a str> {
    rest.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

fn millis(text: &str) -> Duration {
    Duration::from_millis(text.parse().expect("a number of milliseconds"))
}

fn group(rest: &[String]) -> Result<Group, Error> {
    let mut group = Group::new(option(rest, "group").unwrap_or_default())?;
    for word in rest {
        group = match word.split_once('=') {
            Some(("port", port)) => group.port(port.parse().expect("a port")),
            Some(("label", label)) => group.label(label),
            Some(("payload", bytes)) => group.payload(vec![7; bytes.parse().expect("a size")]),
            Some(("version", version)) => group.version(version.parse().expect("a version")),
            Some(("limit", "none")) => group.window_limit(None),
            Some(("limit", limit)) => group.window_limit(millis(limit)),
            Some(("members", limit)) => group.member_limit(limit.parse().expect("a count")),
            Some(("stop", "none")) => group.stop_limit(None),
            Some(("stop", limit)) => group.stop_limit(millis(limit)),
            Some(("succession", choice)) => group.succession(choice == "on"),
            Some(("portable", _)) => group.portable_presence(),
            _ => group,
        };
    }
    Ok(group)
}

impl Desk {
    fn report(&self, text: &str) {
        let mut written = lock(&self.written);
        let line = format!("{} {text}\n", *written);
        *written += 1;
        let mut out = std::io::stdout().lock();
        // The parent is gone if this fails, and then so is the reason to go on.
        if out.write_all(line.as_bytes()).and_then(|()| out.flush()).is_err() {
            process::exit(0);
        }
    }

    fn instance(&self, key: &str) -> Result<Instance, Error> {
        lock(&self.instances).get(key).cloned().ok_or(Error::Left)
    }

    fn obey(self: &Arc<Self>, verb: &str, key: &str, rest: &[String]) -> Result<String, Error> {
        match verb {
            "join" => {
                let group = self.control(group(rest)?, key, rest);
                let instance = match option(rest, "within") {
                    Some(limit) => group.join_timeout(millis(limit))?,
                    None => group.join()?,
                };
                if option(rest, "deaf").is_none() {
                    // Receiving first and looking afterwards: nothing can fall between the two.
                    self.forward(key, instance.events());
                }
                let answer = status(&instance);
                lock(&self.instances).insert(key.to_owned(), instance);
                Ok(answer)
            }
            "visit" => {
                group(rest)?.join()?;
                Ok(String::new())
            }
            "observe" => {
                let observer = group(rest)?.observe()?;
                self.forward(key, observer.events());
                lock(&self.observers).insert(key.to_owned(), Arc::new(observer));
                Ok(String::new())
            }
            "look" => {
                let observers = lock(&self.observers);
                let observer = observers.get(key).ok_or(Error::Left)?;
                let supervisor = observer.supervisor().map_or("none".to_owned(), |id| id.to_string());
                Ok(format!(
                    "epoch={} supervisor={supervisor} registry={}",
                    observer.epoch(),
                    registry(&observer.registry())
                ))
            }
            "unobserve" => {
                lock(&self.observers).remove(key);
                Ok(String::new())
            }
            "status" => Ok(status(&self.instance(key)?)),
            // Without a clone of the instance, which could be the last one and then leaves.
            "dropped" => Ok(format!("dropped={}", !lock(&self.instances).contains_key(key))),
            "leave" => {
                self.instance(key)?.leave();
                Ok(String::new())
            }
            "drop" => {
                let last = lock(&self.instances).remove(key);
                drop(last);
                Ok(String::new())
            }
            "resign" => {
                let instance = self.instance(key)?;
                match rest.first() {
                    Some(limit) => instance.resign_timeout(millis(limit))?,
                    None => instance.resign()?,
                }
                Ok(status(&instance))
            }
            "office" => {
                let instance = self.instance(key)?;
                let office = match rest.first().map(String::as_str) {
                    None => instance.office()?,
                    Some("try") => instance.try_office()?,
                    Some(limit) => instance.office_timeout(millis(limit))?,
                };
                let token = office.token();
                lock(&self.offices).insert(key.to_owned(), office);
                Ok(format!("token={token}"))
            }
            "pester" => {
                let instance = self.instance(key)?;
                let times = rest.first().and_then(|times| times.parse().ok()).unwrap_or(0);
                let timed_out =
                    |_: &u32| matches!(instance.office_timeout(Duration::ZERO), Err(Error::TimedOut { .. }));
                Ok(format!("timed_out={}", (0..times).filter(timed_out).count()))
            }
            "held" => Ok(format!("held={}", lock(&self.offices).get(key).is_some_and(Office::is_held))),
            "unoffice" => {
                let guard = lock(&self.offices).remove(key);
                drop(guard);
                Ok(String::new())
            }
            "hear" => {
                self.forward(key, self.instance(key)?.events());
                Ok(String::new())
            }
            "lag" => {
                let receiver = self.instance(key)?.events();
                lock(&self.unread).insert(key.to_owned(), receiver);
                Ok(String::new())
            }
            "drain" => {
                let unread = lock(&self.unread);
                let (mut read, mut missed) = (0, 0);
                for event in unread.get(key).into_iter().flat_map(Receiver::try_iter) {
                    match event {
                        Event::Missed(count) => missed += count,
                        _ => read += 1,
                    }
                }
                Ok(format!("read={read} missed={missed}"))
            }
            "busy" => {
                for _ in 0..key.parse().unwrap_or(0_u32) {
                    std::thread::spawn(|| {
                        loop {
                            std::hint::black_box((0..10_000_u64).sum::<u64>());
                        }
                    });
                }
                Ok(String::new())
            }
            "starve" => {
                // So many descriptors are left, and those that the library has set apart count: one that it gives back can
                // be had again.
                let resource = rustix::process::Resource::Nofile;
                let most = rustix::process::getrlimit(resource).maximum.map_or(4200, |most| most.min(4200));
                let limit = rustix::process::Rlimit { current: Some(most), maximum: Some(most) };
                rustix::process::setrlimit(resource, limit).expect("a lower limit");
                let mut hoard: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
                hoard.truncate(hoard.len() - key.parse::<usize>().expect("a count"));
                *lock(&self.hoard) = hoard;
                Ok(String::new())
            }
            "shout" => {
                // A datagram to a socket with an abstract name; the bytes are in hex.
                let byte = |at: usize| u8::from_str_radix(&rest[0][at..at + 2], 16).expect("two digits");
                let bytes: Vec<_> = (0..rest[0].len()).step_by(2).map(byte).collect();
                super::kernel::shout(key, &bytes).expect("there is room");
                Ok(String::new())
            }
            "rage" => {
                let times = rest.first().map_or(u32::MAX, |times| times.parse().expect("a number"));
                *lock(&RAGE) = (key.to_owned(), times);
                log::set_max_level(log::LevelFilter::Trace);
                let _ = log::set_logger(&Rage);
                Ok(String::new())
            }
            "freeze" => {
                self.freeze.store(true, Ordering::SeqCst);
                Ok(String::new())
            }
            "nurse" => {
                // A child started in the usual way, which outlives this process.
                let nursed = process::Command::new("/bin/sleep").arg("600").spawn();
                Ok(format!("pid={}", nursed.expect("sleep starts").id()))
            }
            "exec" => {
                self.report("turns into another program");
                let failed = process::Command::new("/bin/sleep").arg("600").exec();
                panic!("exec failed: {failed}");
            }
            "storm" | "calm" | "aftermath" | "depart" => self.obey_storm(verb, key, rest),
            "exit" => process::exit(0),
            "share" | "resize" | "limit" | "held-permits" => self.obey_permits(verb, key, rest),
            "meet" => self.meet(key, rest),
            "meet-in-thread" => self.meet_in_thread(key, rest),
            "send" | "broadcast" | "request" | "command" | "chatter" | "inquire" | "unblock" => {
                self.obey_control(verb, key, rest)
            }
            "once" | "finish" => self.obey_once(verb, key, rest),
            "get" | "put" | "delete" | "snapshot" | "tally" | "scribble" => self.obey_state(verb, key, rest),
            other => self.obey_lock(other, key, rest),
        }
    }

    fn forward(self: &Arc<Self>, key: &str, events: Receiver<Event>) {
        let (desk, key) = (self.clone(), key.to_owned());
        std::thread::spawn(move || {
            for event in &events {
                let won = matches!(event, Event::Welcomed { role: Role::Supervisor, .. });
                if won && desk.freeze.swap(false, Ordering::SeqCst) {
                    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP);
                }
                desk.report(&format!("event {key} {}", tell(&event)));
            }
            desk.report(&format!("event {key} closed"));
        });
    }
}

fn status(instance: &Instance) -> String {
    let entries = instance.registry();
    let supervisor = entries.iter().find(|entry| entry.role == Role::Supervisor);
    format!(
        "id={} role={:?} epoch={} supervisor={} registry={}",
        instance.id(),
        instance.role(),
        instance.epoch(),
        supervisor.map_or("none".to_owned(), |entry| entry.id.to_string()),
        registry(&entries)
    )
}

/// `id:pid:role:standing:label:version:payload`, separated by commas.
fn registry(entries: &[Entry]) -> String {
    let row = |e: &Entry| {
        format!("{}:{}:{:?}:{:?}:{}:{}:{}", e.id, e.pid, e.role, e.standing, e.label, e.version, e.payload.len())
    };
    entries.iter().map(row).collect::<Vec<_>>().join(",")
}

fn tell(event: &Event) -> String {
    let row =
        |what: &str, e: &Entry| format!("{what} id={} pid={} standing={:?} label={}", e.id, e.pid, e.standing, e.label);
    match event {
        Event::Welcomed { supervisor, role } => format!("welcomed supervisor={supervisor} role={role:?}"),
        Event::Reign { epoch, supervisor, role } => {
            format!("reign epoch={epoch} supervisor={supervisor} role={role:?}")
        }
        Event::Disconnected { supervisor, .. } => format!("disconnected supervisor={supervisor}"),
        Event::Joined(entry) => row("joined", entry),
        Event::Changed(entry) => row("changed", entry),
        Event::Ended { entry, reason } => format!("{} reason={reason:?}", row("ended", entry)),
        Event::Hung { supervisor, .. } => {
            format!("hung supervisor={}", supervisor.map_or("none".to_owned(), |id| id.to_string()))
        }
        Event::Starved { lacks } => format!("starved lacks={lacks:?}"),
        Event::Forfeited { old, new } => format!("forfeited old={old} new={new}"),
        Event::State { key, version, bytes } => {
            format!("state key={key} version={version} bytes={}", values::tell_bytes(bytes.as_deref()))
        }
        Event::LockLost { kind, name, token } => format!("lost kind={kind:?} name={name} token={token}"),
        Event::Message { from, bytes } => format!("message from={from} bytes={}", control::tell_message(bytes)),
        Event::Command(command) => match command {
            Command::Custom(bytes) => format!("command what=custom bytes={}", values::tell_bytes(Some(bytes))),
            command => format!("command what={command}"),
        },
        Event::Evicted => "evicted".to_owned(),
        Event::Crashed => "crashed".to_owned(),
        Event::PortUnusable { reason, .. } => format!("unusable {reason:?}"),
        Event::Missed(count) => format!("missed count={count}"),
        other => format!("other {other:?}"),
    }
}
