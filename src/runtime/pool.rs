//! Threads for work that may take any time: the application's code.
//!
//! A thread is started when there is more work than threads that look for some, and ends when enough others look. While
//! there is no work they sleep.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::Builder;

use super::lock;
use crate::text::Plain;

/// Something that is to be done once.
pub(super) trait Job: Send + 'static {
    /// Does it. It may panic.
    fn run(&self);

    /// It was not done to its end. On any thread that hands in work, or on one of the pool; it does not block for long.
    fn failed(self, why: Failure);

    /// What it costs to keep it, in bytes.
    fn cost(&self) -> usize;

    /// Drops those that nobody wants done any more. All of one pool; under the lock of the pool.
    fn sift(jobs: &mut VecDeque<Self>)
    where
        Self: Sized;
}

/// Why a job was not done to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It panicked.
    Panicked,
    /// There is no thread for it, and none can be started.
    NoThread,
}

/// Starts a thread of this name.
type Start = dyn Fn(&str, Box<dyn FnOnce() + Send>) -> io::Result<()> + Send + Sync;

/// Threads that do one kind of work.
pub(super) struct Pool<J> {
    name: &'static str,
    start: Box<Start>,
    staff: Mutex<Staff<J>>,
    /// Told when there is work, and at the end.
    stirred: Condvar,
}

/// The work that waits, and who is there to do it.
struct Staff<J> {
    waiting: VecDeque<J>,
    /// What that costs.
    bytes: usize,
    /// From how many bytes on it is looked which of it is still wanted.
    bound: usize,
    threads: usize,
    /// Those of them that will look for work next: they sleep, or have only just been started.
    looking: usize,
    /// Somebody is telling the work that waits that there is no thread for it.
    refusing: bool,
    ended: bool,
}

impl<J: Job> Staff<J> {
    fn push(&mut self, job: J) {
        self.bytes += job.cost();
        self.waiting.push_back(job);
        if self.bytes > self.bound {
            J::sift(&mut self.waiting);
            self.bytes = self.waiting.iter().map(J::cost).sum();
            // Only when as much has come again, so that what is wanted is not looked at with every job.
            self.bound = self.bytes * 2 + Pool::<J>::SLACK;
        }
    }

    fn pop(&mut self) -> Option<J> {
        let job = self.waiting.pop_front()?;
        self.bytes -= job.cost();
        Some(job)
    }
}

impl<J: Job> Pool<J> {
    /// The most jobs that run at one time.
    pub(super) const THREADS: usize = 64;
    /// How many threads sleep when there is nothing to do.
    const KEPT: usize = 4;
    /// How many bytes of work may wait that nobody wants any more, and as many again as are wanted. Whoever handed it in
    /// gives it up sooner than threads that take long come to it.
    const SLACK: usize = 16 << 20;

    pub(super) fn new(name: &'static str) -> Arc<Self> {
        // Not the small stack of this crate's own threads: who knows what the application's code needs.
        Self::starting_with(name, Box::new(|name, body| Builder::new().name(name.to_owned()).spawn(body).map(drop)))
    }

    fn starting_with(name: &'static str, start: Box<Start>) -> Arc<Self> {
        let staff = Staff {
            waiting: VecDeque::new(),
            bytes: 0,
            bound: Self::SLACK,
            threads: 0,
            looking: 0,
            refusing: false,
            ended: false,
        };
        Arc::new(Self { name, start, staff: Mutex::new(staff), stirred: Condvar::new() })
    }

    /// Hands in work, to be begun in this order. Starts threads, and so is not for a caller that holds a lock.
    pub(super) fn submit(self: &Arc<Self>, job: J) {
        let mut staff = lock(&self.staff);
        if staff.ended {
            return;
        }
        staff.push(job);
        self.stirred.notify_one();
        if staff.waiting.len() <= staff.looking || staff.threads == Self::THREADS {
            return;
        }
        staff.threads += 1;
        staff.looking += 1;
        drop(staff);
        let pool = self.clone();
        let Err(error) = (self.start)(self.name, Box::new(move || pool.work())) else { return };
        let mut staff = lock(&self.staff);
        staff.threads -= 1;
        staff.looking -= 1;
        drop(staff);
        self.refuse();
        log::warn!("cannot start a thread {}: {error}", self.name);
    }

    /// If no thread is there to do what waits, says so to all of it.
    ///
    /// The answer to one can lead to the next, handed in on this very thread. That one is left to the loop that is at it:
    /// there can be many, and the stack is small.
    fn refuse(&self) {
        let mut staff = lock(&self.staff);
        if staff.refusing {
            return;
        }
        while staff.threads == 0
            && let Some(job) = staff.pop()
        {
            staff.refusing = true;
            drop(staff);
            job.failed(Failure::NoThread);
            staff = lock(&self.staff);
            staff.refusing = false;
        }
    }

    /// What each of the threads does.
    fn work(&self) {
        let mut staff = lock(&self.staff);
        loop {
            if staff.ended {
                return;
            }
            if let Some(job) = staff.pop() {
                staff.looking -= 1;
                drop(staff);
                self.run(job);
                staff = lock(&self.staff);
                if staff.waiting.is_empty() && staff.looking >= Self::KEPT {
                    staff.threads -= 1;
                    return;
                }
                staff.looking += 1;
            } else {
                staff = self.stirred.wait(staff).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn run(&self, job: J) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| job.run())) {
            // The logger is the application's, and what was thrown as well. If either panics, this thread goes on.
            unless_it_panics(|| job.failed(Failure::Panicked));
            unless_it_panics(|| log::error!("{} panicked: {}", self.name, Plain(message(&*panic))));
            unless_it_panics(|| drop(panic));
        }
    }

    /// Nothing is begun any more. What runs goes on for as long as it likes, and nobody waits for it.
    pub(super) fn end(&self) {
        let waiting = {
            let mut staff = lock(&self.staff);
            staff.ended = true;
            staff.bytes = 0;
            std::mem::take(&mut staff.waiting)
        };
        self.stirred.notify_all();
        drop(waiting);
    }
}

impl<J> fmt::Debug for Pool<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let staff = lock(&self.staff);
        let (threads, waiting) = (staff.threads, staff.waiting.len());
        f.debug_struct("Pool").field("name", &self.name).field("threads", &threads).field("waiting", &waiting).finish()
    }
}

/// Does this, and forgets what it throws: that may panic in its turn when it is dropped.
fn unless_it_panics(act: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(act))
        && let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(panic)))
    {
        std::mem::forget(another);
    }
}

/// What a panic says.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests;
