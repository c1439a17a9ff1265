//! Locks from the outside: what a test says to members about them, and how it knows who waits.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Fleet, Line, Member, eventually};

/// What an error says, as fields.
pub fn facts(error: &str) -> Line {
    Line(error.to_owned())
}

/// That an answer is an error of this sort; returns what it says.
pub fn refused(answer: Result<Line, String>, sort: &str) -> Line {
    match answer {
        Err(error) if error.starts_with(sort) => facts(&error),
        other => panic!("{sort} expected: {other:?}"),
    }
}

/// A call that waits for a lock.
pub struct Waiting {
    pub member: Member,
    pub guard: String,
    command: u64,
}

impl Waiting {
    /// How it ended.
    pub fn answer(&self) -> Result<Line, String> {
        self.member.process.answer(self.command)
    }

    /// The grant that it got.
    pub fn granted(&self) -> Line {
        self.answer().unwrap_or_else(|error| panic!("{} got no {}: {error}", self.member.id, self.guard))
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.member.process.has_answered(self.command)
    }
}

impl Member {
    /// Begins to wait: `mutex|read|write NAME [try|within=MS]`; the guard will be known by this name.
    pub fn locking(&self, guard: &str, what: &str) -> Waiting {
        Waiting { command: self.say(&format!("lock {guard} {what}")), member: self.clone(), guard: guard.to_owned() }
    }

    pub fn lock(&self, guard: &str, what: &str) -> Result<Line, String> {
        self.locking(guard, what).answer()
    }

    pub fn unlock(&self, guard: &str) -> Result<Line, String> {
        self.ask(&format!("unlock {guard}"))
    }

    /// What a guard says now.
    pub fn guard(&self, guard: &str) -> Line {
        self.ask(&format!("guard {guard}")).expect("a guard answers")
    }

    pub fn is_held(&self, guard: &str) -> bool {
        self.guard(guard).text("held") == "true"
    }

    /// Waits until so many wait for a lock that somebody holds.
    ///
    /// Its own place at the end of the queue is the proof. Whoever asks is in the queue for a moment; what it says next
    /// comes behind that moment, and what others say may not.
    pub fn await_queue(&self, what: &str, count: u64) {
        eventually(&format!("{count} wait for {what}"), || {
            let error = refused(self.lock("probe", &format!("{what} within=0")), "TimedOut");
            error.get("position").is_some_and(|position| position.parse() == Ok(count))
        });
    }

    /// The same, unless this call, which is one of them, ends meanwhile.
    pub fn await_queue_or_end(&self, what: &str, count: u64, waiting: &Waiting) {
        let probe = || match self.lock("probe", &format!("{what} within=0")) {
            Ok(_) => {
                self.unlock("probe").unwrap();
                false
            }
            Err(error) => facts(&error).get("position").is_some_and(|position| position.parse() == Ok(count)),
        };
        eventually(&format!("{count} wait for {what}"), || probe() || waiting.is_over());
    }

    /// Waits in the queue behind so many others, which is certain when this returns.
    pub fn queue(&self, guard: &str, what: &str, ahead: u64) -> Waiting {
        self.await_queue(what, ahead);
        let waiting = self.locking(guard, what);
        self.await_queue(what, ahead + 1);
        waiting
    }

    /// Waits until this one has the lock, as another sees it.
    pub fn await_holder(&self, what: &str, holder: &Self) {
        eventually(&format!("{} holds {what}", holder.id), || {
            let error = refused(self.lock("probe", &format!("{what} try")), "WouldBlock");
            error.get("holder") == Some(&holder.id)
        });
    }

    /// That nobody holds the lock and nobody waits for it: it can be had, and then nobody is in the queue. What others
    /// released a moment ago may still be on its way, so this may have to wait.
    pub fn expect_free(&self, what: &str) {
        let guard = self.lock("free", &format!("{what} within=25000"));
        guard.unwrap_or_else(|error| panic!("{what} is not free: {error}"));
        self.await_queue(what, 0);
        self.unlock("free").unwrap();
    }
}

/// Lets each of these wait in turn, and is sure of the order. Somebody else holds the lock.
pub fn line_up(members: &[&Member], what: &str) -> Vec<Waiting> {
    let place = |(n, member): (usize, &&Member)| member.queue("g", what, n as u64);
    members.iter().enumerate().map(place).collect()
}

/// That these get the lock one after the other, in this order, each under a higher token than the one before; whoever has
/// it gives it back. Says what each was told.
pub fn served_in_order(waiting: &[Waiting], mut token: u64) -> Vec<Line> {
    let mut told = Vec::new();
    for (n, first) in waiting.iter().enumerate() {
        let grant = first.granted();
        assert!(grant.number("token") > token, "the token of number {n} did not rise: {grant:?}");
        token = grant.number("token");
        assert!(waiting[n + 1..].iter().all(|later| !later.is_over()), "somebody else has it as well");
        assert!(first.member.is_held(&first.guard));
        first.member.unlock(&first.guard).unwrap();
        told.push(grant);
    }
    told
}

/// A directory for what several processes do under one lock; removed at the end.
pub struct Workshop(pub PathBuf);

impl Workshop {
    pub fn new(fleet: &Fleet) -> Self {
        let path = std::env::temp_dir().join(&fleet.group);
        std::fs::create_dir(&path).expect("a new directory");
        Self(path)
    }

    /// The command that lets the threads of a member work in it.
    pub fn toil(&self, threads: u32, rounds: u32, more: &str) -> String {
        format!("toil threads={threads} rounds={rounds} in={} name=workshop {more}", self.0.display())
    }

    /// Waits until so much was done, for as long as it goes on at all.
    pub fn await_done(&self, count: u64) {
        let mut done = self.check();
        while done < count {
            eventually(&format!("more than {done} of {count} is done"), || self.check() > done);
            done = self.check();
        }
    }

    /// That nothing has gone wrong in it; returns how much was done.
    pub fn check(&self) -> u64 {
        let wrong = std::fs::read_to_string(self.0.join("wrong")).unwrap_or_default();
        assert_eq!(wrong, "", "what was done under the lock went wrong");
        let count = std::fs::read_to_string(self.0.join("count")).unwrap_or_default();
        count.parse().unwrap_or(0)
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Somebody who listens on the port while there is no supervisor, and hangs up on everybody: for as long as it exists no
/// member has anybody to speak to.
pub struct Squatter {
    port: u16,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Squatter {
    /// The port must be free: all members that live stand still.
    pub fn new(port: u16) -> Self {
        let listener = std::net::TcpListener::bind(("127.0.0.1", port)).expect("nobody else has the port");
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = stop.clone();
        let hang_up = move || while listener.accept().is_ok() && !stopping.load(Ordering::SeqCst) {};
        Self { port, stop, thread: Some(std::thread::spawn(hang_up)) }
    }
}

impl Drop for Squatter {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = std::net::TcpStream::connect(("127.0.0.1", self.port));
        self.thread.take().map(std::thread::JoinHandle::join);
    }
}
