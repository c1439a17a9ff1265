//! The processes of a benchmark: the same program, started again with [`VARIABLE`] in its environment.
//!
//! Starts, asks, kills and reaps them. It ends only processes that it started itself, and each of them with the
//! [`Child`] in hand, so a number that has been given to somebody else is never hit.

use std::env;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::time::{ClockId, clock_gettime};

/// In a child's environment: what it is to do, in words that only the benchmark itself understands.
pub(crate) const VARIABLE: &str = "BELLWETHER_BENCH_CHILD";

/// How long anything may take before the benchmark gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// One child process. Ends with this value.
pub(crate) struct Process {
    child: Child,
    questions: ChildStdin,
    answers: ChildStdout,
}

impl Process {
    /// Starts this program again, to do this.
    pub(crate) fn start(task: &str) -> Self {
        let program = env::current_exe().expect("a running program knows its file");
        let mut child = Command::new(program)
            .env(VARIABLE, task)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the benchmark can start itself");
        let questions = child.stdin.take().expect("stdin is piped");
        let answers = child.stdout.take().expect("stdout is piped");
        Self { child, questions, answers }
    }

    /// Says a line to it.
    #[allow(dead_code, reason = "the processes of some benchmarks know what to do when they start")]
    pub(crate) fn tell(&mut self, line: &str) {
        if let Err(error) = writeln!(self.questions, "{line}") {
            panic!("process {} ended before it was told `{line}`: {error}", self.child.id());
        }
    }

    /// Waits for the next line that it says. `what` is for the message if there is none.
    pub(crate) fn hear(&mut self, what: &str, deadline: Instant) -> String {
        let pid = self.child.id();
        let mut answer = String::new();
        while !answer.ends_with('\n') {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).expect("a short time");
            let mut ready = [PollFd::new(&self.answers, PollFlags::IN)];
            match poll(&mut ready, Some(&timeout)) {
                Ok(0) => panic!("process {pid} did not say in time: {what}"),
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => panic!("waiting for process {pid} to say: {what}: {error}"),
            }
            let mut bytes = [0; 64];
            match self.answers.read(&mut bytes) {
                Ok(0) => panic!("process {pid} ended before it said: {what}"),
                Ok(count) => answer.push_str(&String::from_utf8_lossy(&bytes[..count])),
                Err(error) => panic!("process {pid}, asked for: {what}: {error}"),
            }
        }
        answer.truncate(answer.trim_end().len());
        answer
    }

    /// Kills it, without waiting for its end.
    pub(crate) fn kill(&mut self) {
        // Fails only for a process that has ended already.
        let _ = self.child.kill();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        let deadline = Instant::now() + PATIENCE;
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() > deadline {
                eprintln!("process {} has not ended {PATIENCE:?} after SIGKILL", self.child.id());
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Nanoseconds on the clock that all processes of this machine share.
pub(crate) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let time = Duration::try_from(time).expect("a monotonic clock is never negative");
    u64::try_from(time.as_nanos()).expect("uptimes stay below five centuries")
}

/// A port that nobody uses, below the range from which the system takes the source ports of connections.
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 10_240;
    const LAST: u16 = 32_767;
    // Two benchmarks on one machine start their search in different places.
    let start = now() / 1_000;
    let span = u64::from(LAST - FIRST) + 1;
    (0..1_000)
        .map(|n| FIRST + u16::try_from((start + n) % span).expect("below the span, which is an u16"))
        .find(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
        .expect("one of 1000 ports is free")
}
