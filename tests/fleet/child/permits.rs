//! What a process of a fleet does with the permits of a semaphore.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use bellwether::sync::Mode;
use bellwether::{Error, Instance};

use super::locks::complain;
use super::{Desk, millis, option};

impl Desk {
    /// `limit KEY NAME` (as this instance knows it), `resize KEY NAME N [within=MS]`, `held-permits KEY NAME` (as the supervisor sees
    /// it), and `share`, see [`Share`].
    pub(super) fn obey_permits(&self, verb: &str, key: &str, rest: &[String]) -> Result<String, Error> {
        let instance = self.instance(key)?;
        match verb {
            "share" => Share::new(instance, rest).run(),
            "resize" => {
                let limit = rest[1].parse().expect("a limit");
                let semaphore = instance.semaphore(&rest[0], 1);
                match option(rest, "within").map(millis) {
                    Some(time) => semaphore.resize_timeout(limit, time)?,
                    None => semaphore.resize(limit)?,
                }
                Ok(String::new())
            }
            "held-permits" => {
                let locks = instance.locks()?;
                let Some(lock) = locks.iter().find(|lock| lock.name.as_str() == rest[0]) else {
                    return Ok("held=0 waiting=0".to_owned());
                };
                let permits = |mode: &Mode| if let Mode::Permits(count) = mode { *count } else { 0 };
                let held: u32 = lock.holders.iter().map(|held| permits(&held.mode)).sum();
                let limit = lock.limit.unwrap_or(0);
                Ok(format!("held={held} waiting={} limit={limit}", lock.waiters.len()))
            }
            _ => {
                let limit = instance.semaphore(&rest[0], 1).limit()?;
                Ok(format!("limit={}", limit.map_or("none".to_owned(), |limit| limit.to_string())))
            }
        }
    }
}

/// `share KEY threads=N rounds=N in=DIRECTORY name=NAME limit=N brings=N`: so many threads take permits so many times, and
/// look whether all together have more than the limit. What they bring as the limit is another number.
///
/// Who has permits says so by a file. A file counts only if it is there before and after the look, and if its process has
/// not begun to end: then all that were counted had their permits at one and the same moment between the two.
struct Share {
    instance: Instance,
    name: String,
    directory: PathBuf,
    threads: u32,
    rounds: u32,
    limit: u32,
    brings: u32,
    files: AtomicU32,
}

impl Share {
    fn new(instance: Instance, rest: &[String]) -> Self {
        let text = |name| option(rest, name).expect("an option of share").to_owned();
        let number = |name| text(name).parse().expect("a number");
        Self {
            instance,
            name: text("name"),
            directory: text("in").into(),
            threads: number("threads"),
            rounds: number("rounds"),
            limit: number("limit"),
            brings: number("brings"),
            files: AtomicU32::new(0),
        }
    }

    fn run(&self) -> Result<String, Error> {
        let sums: Result<Vec<u32>, Error> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.threads).map(|n| scope.spawn(move || self.thread(n))).collect();
            threads.into_iter().map(|thread| thread.join().expect("no thread of share panics")).collect()
        });
        Ok(format!("done={}", sums?.iter().sum::<u32>()))
    }

    fn thread(&self, seed: u32) -> Result<u32, Error> {
        let semaphore = self.instance.semaphore(&self.name, self.brings);
        for round in 0..self.rounds {
            let count = 1 + (seed + round) % self.limit;
            let guard = semaphore.acquire(count)?;
            self.work(count);
            if !guard.is_held() {
                complain(&self.directory.join("wrong"), "lost though nobody stood still");
            }
        }
        Ok(self.rounds)
    }

    fn work(&self, count: u32) {
        let number = self.files.fetch_add(1, Ordering::Relaxed);
        let own = self.directory.join(format!("has-{}-{number}-{count}", std::process::id()));
        std::fs::write(&own, "").expect("the directory of the test takes a file");
        let used = self.in_use();
        if used > self.limit {
            complain(&self.directory.join("wrong"), &format!("{used} permits of {} are in use", self.limit));
        }
        std::thread::yield_now();
        let done = OpenOptions::new().create(true).append(true).open(self.directory.join("done"));
        done.and_then(|mut file| file.write_all(b".")).expect("the directory of the test takes a file");
        std::fs::remove_file(&own).expect("the own file is there");
    }

    fn in_use(&self) -> u32 {
        let found = std::fs::read_dir(&self.directory).expect("the directory of the test");
        let found: Vec<PathBuf> = found.flatten().map(|entry| entry.path()).collect();
        found.iter().filter_map(|path| permits(path)).sum()
    }
}

/// How many permits a file of a living process stands for, if it is still there.
fn permits(path: &Path) -> Option<u32> {
    let mut words = path.file_name()?.to_str()?.strip_prefix("has-")?.split('-');
    let (pid, count) = (words.next()?, words.nth(1)?.parse().ok()?);
    (!is_ending(pid) && path.exists()).then_some(count)
}

/// Whether a process has begun to end: from then on no instruction of it runs any more. It is so before any of its sockets
/// is closed.
fn is_ending(pid: &str) -> bool {
    const EXITING: u64 = 4;
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return true };
    let flags = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(6)?.parse::<u64>().ok());
    flags.is_none_or(|flags| flags & EXITING != 0)
}
