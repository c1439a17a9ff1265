//! What a process of a fleet does with locks.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::time::{Duration, SystemTime};

use bellwether::sync::Guard;
use bellwether::{Abandoned, Error, Holder, Instance};

use super::{Desk, lock, millis, option};

impl Desk {
    /// The verbs of this file. `lock KEY GUARD mutex|read|write NAME [try|within=MS]` or
    /// `lock KEY GUARD permits NAME limit=N count=N [try|within=MS]`, `unlock KEY GUARD`, `release KEY
    /// GUARD` (drops the guard), `panic KEY GUARD` (drops it in a panic), `unwind KEY mutex NAME` (takes and drops one while
    /// it panics already), `guard KEY GUARD`, `kinds KEY NAME` (every call once), and `toil`, see [`Toil`].
    pub(super) fn obey_lock(&self, verb: &str, key: &str, rest: &[String]) -> Result<String, Error> {
        let guard = (key.to_owned(), rest.first().cloned().unwrap_or_default());
        match verb {
            "lock" => {
                let taken = take(&self.instance(key)?, &rest[1..])?;
                let answer = facts(&taken);
                lock(&self.guards).insert(guard, taken);
                Ok(answer)
            }
            "guard" => Ok(lock(&self.guards).get(&guard).map(facts).expect("a guard of this name")),
            "unlock" => {
                let taken = lock(&self.guards).remove(&guard);
                taken.expect("a guard of this name").unlock()?;
                Ok(String::new())
            }
            "release" => {
                let taken = lock(&self.guards).remove(&guard);
                drop(taken.expect("a guard of this name"));
                Ok(String::new())
            }
            "panic" => {
                let taken = lock(&self.guards).remove(&guard).expect("a guard of this name");
                panic_with(taken);
                Ok(String::new())
            }
            "unwind" => {
                panic_with(Late(self.instance(key)?, rest.to_vec()));
                Ok(String::new())
            }
            "kinds" => {
                let instance = self.instance(key)?;
                let name = option(rest, "name").unwrap_or_default().replace('_', " ");
                let (mutex, rwlock, time) = (instance.mutex(&name), instance.rwlock(&name), Duration::from_secs(25));
                let calls: [&dyn Fn() -> Result<Guard, Error>; 9] = [
                    &|| mutex.lock(),
                    &|| mutex.try_lock(),
                    &|| mutex.lock_timeout(time),
                    &|| rwlock.read(),
                    &|| rwlock.try_read(),
                    &|| rwlock.read_timeout(time),
                    &|| rwlock.write(),
                    &|| rwlock.try_write(),
                    &|| rwlock.write_timeout(time),
                ];
                let tell = |call: Result<Guard, Error>| call.map_or_else(|error| format!("{error:?}"), |_| "ok".into());
                Ok(calls.into_iter().map(|call| tell(call())).collect::<Vec<_>>().join(";"))
            }
            "toil" => Toil::new(self.instance(key)?, rest).run(),
            other => panic!("no such command: {other}"),
        }
    }
}

/// A thread panics while it has this. Without the noise of a panic: it is meant.
fn panic_with<T: Send + 'static>(this: T) {
    let panicking = std::thread::spawn(move || {
        let _this = this;
        std::panic::resume_unwind(Box::new("meant"))
    });
    panicking.join().expect_err("it panics");
}

/// Takes a lock only when it is dropped.
struct Late(Instance, Vec<String>);

impl Drop for Late {
    fn drop(&mut self) {
        drop(take(&self.0, &self.1).expect("a lock that nobody else wants"));
    }
}

/// `mutex|read|write NAME [try|within=MS]`.
fn take(instance: &Instance, words: &[String]) -> Result<Guard, Error> {
    let (sort, name) = (words[0].as_str(), words[1].as_str());
    let within = option(words, "within").map(millis);
    let once = words.iter().any(|word| word == "try");
    match (sort, within) {
        ("mutex", None) if once => instance.mutex(name).try_lock(),
        ("mutex", None) => instance.mutex(name).lock(),
        ("mutex", Some(time)) => instance.mutex(name).lock_timeout(time),
        ("read", None) if once => instance.rwlock(name).try_read(),
        ("read", None) => instance.rwlock(name).read(),
        ("read", Some(time)) => instance.rwlock(name).read_timeout(time),
        ("write", None) if once => instance.rwlock(name).try_write(),
        ("write", None) => instance.rwlock(name).write(),
        ("write", Some(time)) => instance.rwlock(name).write_timeout(time),
        ("permits", within) => {
            let number = |name| option(words, name).expect("an option of permits").parse().expect("a number");
            let (semaphore, count) = (instance.semaphore(name, number("limit")), number("count"));
            match within {
                None if once => semaphore.try_acquire(count),
                None => semaphore.acquire(count),
                Some(time) => semaphore.acquire_timeout(count, time),
            }
        }
        other => panic!("no such lock: {other:?}"),
    }
}

fn facts(guard: &Guard) -> String {
    let abandoned = match guard.abandoned() {
        Abandoned::Died { who } => format!("Died:{who}"),
        other => format!("{other:?}"),
    };
    let (token, since, held) = (guard.token(), since(guard.since()), guard.is_held());
    format!("token={token} abandoned={abandoned} since={since} held={held}")
}

/// What an error says about the holder and the queue, as fields.
pub(super) fn tell_error(error: &Error) -> String {
    let (holder, position) = match error {
        Error::WouldBlock { holder } => (holder.as_ref(), None),
        Error::TimedOut { holder, position, .. } => (holder.as_ref(), *position),
        _ => (None, None),
    };
    let holder = holder.map_or(String::new(), |Holder { id, pid, label, since: at, .. }| {
        format!(" holder={id} pid={pid} label={label} since={}", since(*at))
    });
    let position = position.map_or(String::new(), |position| format!(" position={position}"));
    format!("{error:?} | {error} |{holder}{position}")
}

fn since(time: SystemTime) -> u128 {
    time.duration_since(SystemTime::UNIX_EPOCH).expect("later than 1970").as_millis()
}

/// `toil KEY threads=N rounds=N in=DIRECTORY name=NAME [hurry=MICROSECONDS]`: so many threads take the lock so many times
/// and do work that goes wrong if two do it at once, or if somebody who died in the middle of it is not told of.
///
/// With `hurry` every wait is given a time of at most so much, and may end without the lock.
struct Toil {
    instance: Instance,
    name: String,
    directory: String,
    threads: u32,
    rounds: u32,
    hurry: Option<u64>,
}

impl Toil {
    fn new(instance: Instance, rest: &[String]) -> Self {
        let text = |name| option(rest, name).expect("an option of toil").to_owned();
        let number = |name| text(name).parse().expect("a number");
        let hurry = option(rest, "hurry").map(|limit| limit.parse().expect("microseconds"));
        let (threads, rounds) = (number("threads"), number("rounds"));
        Self { instance, name: text("name"), directory: text("in"), threads, rounds, hurry }
    }

    fn run(&self) -> Result<String, Error> {
        let sums: Vec<Result<(u32, u32), Error>> = std::thread::scope(|scope| {
            let small = || std::thread::Builder::new().stack_size(128 * 1024);
            let start = |n| small().spawn_scoped(scope, move || self.thread(n)).expect("a thread");
            let threads: Vec<_> = (0..self.threads).map(start).collect();
            threads.into_iter().map(|thread| thread.join().expect("no thread of toil panics")).collect()
        });
        let (mut done, mut missed) = (0, 0);
        for sum in sums {
            let (d, m) = sum?;
            done += d;
            missed += m;
        }
        Ok(format!("done={done} missed={missed}"))
    }

    fn thread(&self, seed: u32) -> Result<(u32, u32), Error> {
        let mutex = self.instance.mutex(&self.name);
        let mut chance = u64::from(seed + 1) * u64::from(std::process::id());
        let (mut done, mut missed) = (0, 0);
        for _ in 0..self.rounds {
            let Some(hurry) = self.hurry else {
                self.work(mutex.lock()?);
                done += 1;
                continue;
            };
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            match mutex.lock_timeout(Duration::from_micros((chance >> 33) % hurry)) {
                Ok(guard) => {
                    self.work(guard);
                    done += 1;
                }
                Err(Error::TimedOut { .. }) => missed += 1,
                Err(error) => return Err(error),
            }
        }
        Ok((done, missed))
    }

    /// A file that only one may have, a number that only grows, and a count that loses nothing.
    fn work(&self, guard: Guard) {
        let path = |name: &str| Path::new(&self.directory).join(name);
        let alone = path("alone");
        let mut create = OpenOptions::new();
        create.write(true).create_new(true);
        if create.open(&alone).is_err() {
            // Either two hold the lock, or one died in the middle; of the second this owner must have been told.
            if guard.abandoned() == Abandoned::Clean {
                complain(&path("wrong"), "somebody was in the middle of it, and nobody told");
            }
            let _ = std::fs::remove_file(&alone);
            if create.open(&alone).is_err() {
                complain(&path("wrong"), "two hold the lock");
            }
        }
        let read = |name| std::fs::read_to_string(path(name)).ok().and_then(|text| text.parse::<u64>().ok());
        let token = guard.token().number();
        if read("token").is_some_and(|last| last >= token) {
            complain(&path("wrong"), "a token that did not rise");
        }
        // Whole or not at all, also when this process is killed meanwhile.
        replace(&path("token"), token);
        let count = read("count").unwrap_or(0);
        std::thread::yield_now();
        replace(&path("count"), count + 1);
        if std::fs::remove_file(&alone).is_err() {
            complain(&path("wrong"), "somebody else ended the work");
        }
        if !guard.is_held() {
            complain(&path("wrong"), "lost though nobody stood still");
        }
        drop(guard);
    }
}

fn replace(path: &Path, number: u64) {
    let new = path.with_extension(std::process::id().to_string());
    let written = std::fs::write(&new, number.to_string()).and_then(|()| std::fs::rename(&new, path));
    written.expect("the directory of the test takes a file");
}

pub(super) fn complain(path: &Path, what: &str) {
    use std::io::Write;
    let file: std::io::Result<File> = OpenOptions::new().create(true).append(true).open(path);
    let said = file.and_then(|mut file| writeln!(file, "process {}: {what}", std::process::id()));
    said.expect("the directory of the test takes a file");
}
