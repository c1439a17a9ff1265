//! The parent's side: a number of processes of one contender, one of them supervisor.
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

use crate::contender::{Contender, Milestone, PATIENCE, Role, Stamp, VARIABLE, now};

/// All processes of one contender on one port.
pub(crate) struct Fleet {
    contender: &'static Contender,
    port: u16,
    members: Vec<Member>,
    /// Which member is supervisor.
    supervisor: usize,
}

/// How long a fleet took from the supervisor's death, until its last survivor was there.
#[derive(Clone, Copy)]
pub(crate) struct Failover {
    /// Until everybody was welcomed.
    pub(crate) welcomed: Duration,
    /// Until everybody was part of the opened reign, for a contender that has such a thing.
    pub(crate) reign: Option<Duration>,
}

impl Fleet {
    /// Starts that many processes at once and waits until one is supervisor and it has welcomed the others.
    pub(crate) fn start(contender: &'static Contender, size: usize) -> Self {
        let mut fleet = Self { contender, port: free_port(), members: Vec::new(), supervisor: 0 };
        for _ in 0..size {
            fleet.members.push(Member::start(contender, fleet.port));
        }
        fleet.gather(Milestone::Welcomed, 0);
        fleet
    }

    /// Which way of electing its processes use.
    pub(crate) fn contender(&self) -> &'static Contender {
        self.contender
    }

    /// Has somebody join the supervisor and leave again: how long the joining took.
    pub(crate) fn join(&self) -> Duration {
        // The end of the previous connection is work for the supervisor as well, and not part of this join.
        thread::sleep(Duration::from_millis(1));
        (self.contender.join)(self.port)
    }

    /// Kills the supervisor, waits for the survivors, and fills the gap.
    pub(crate) fn failover(&mut self) -> Failover {
        self.rest();
        let mut victim = self.members.swap_remove(self.supervisor);
        let killed = now();
        victim.child.kill().expect("a process may kill its child");
        // Whoever asks now takes the processors from those who race. They keep their answers.
        self.rest();
        let since = |last: u64| Duration::from_nanos(last - killed);
        let welcomed = since(self.gather(Milestone::Welcomed, killed));
        let reign = self.contender.reigns.then(|| since(self.gather(Milestone::Reign, killed)));
        drop(victim);

        let mut newcomer = Member::start(self.contender, self.port);
        let stamp = newcomer.ask(Milestone::Welcomed, 0, Instant::now() + PATIENCE);
        assert_eq!(stamp.role, Role::Subordinate, "a newcomer took the port from a living supervisor");
        self.members.push(newcomer);
        Failover { welcomed, reign }
    }

    /// Waits until every member has reached the milestone after that point in time: when the last one did.
    fn gather(&mut self, milestone: Milestone, after: u64) -> u64 {
        let deadline = Instant::now() + PATIENCE;
        let stamps: Vec<Stamp> = self.members.iter_mut().map(|member| member.ask(milestone, after, deadline)).collect();
        let supervisors: Vec<usize> = (0..stamps.len()).filter(|&n| stamps[n].role == Role::Supervisor).collect();
        let name = self.contender.name;
        assert_eq!(supervisors.len(), 1, "{name}: one supervisor expected among {} processes", stamps.len());
        self.supervisor = supervisors[0];
        stamps.iter().map(|stamp| stamp.at).max().expect("a fleet is never empty")
    }

    /// Leaves the fleet alone until nothing is going on in it any more; generous, since it is not part of a figure.
    fn rest(&self) {
        let size = u32::try_from(self.members.len()).expect("a fleet of few processes");
        thread::sleep(Duration::from_millis(30) + size * Duration::from_millis(1));
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        // All before the first is reaped: the others need not elect one supervisor after the other on their way out.
        for member in &mut self.members {
            let _ = member.child.kill();
        }
    }
}

/// One child process. Ends with this value.
struct Member {
    child: Child,
    questions: ChildStdin,
    answers: ChildStdout,
}

impl Member {
    fn start(contender: &Contender, port: u16) -> Self {
        let program = env::current_exe().expect("a running program knows its file");
        let mut child = Command::new(program)
            .env(VARIABLE, format!("{} {port}", contender.name))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the benchmark can start itself");
        let questions = child.stdin.take().expect("stdin is piped");
        let answers = child.stdout.take().expect("stdout is piped");
        Self { child, questions, answers }
    }

    /// Asks when the milestone was first reached after that point in time, and waits until it is.
    fn ask(&mut self, milestone: Milestone, after: u64, deadline: Instant) -> Stamp {
        let pid = self.child.id();
        if let Err(error) = writeln!(self.questions, "{milestone} {after}") {
            panic!("process {pid} ended before it was asked for `{milestone}`: {error}");
        }
        let mut answer = String::new();
        while !answer.ends_with('\n') {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).expect("a short time");
            let mut ready = [PollFd::new(&self.answers, PollFlags::IN)];
            match poll(&mut ready, Some(&timeout)) {
                Ok(0) => panic!("process {pid} did not reach `{milestone}` within {PATIENCE:?}"),
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => panic!("waiting for process {pid} to reach `{milestone}`: {error}"),
            }
            let mut bytes = [0; 64];
            match self.answers.read(&mut bytes) {
                Ok(0) => panic!("process {pid} ended before it reached `{milestone}`"),
                Ok(count) => answer.push_str(&String::from_utf8_lossy(&bytes[..count])),
                Err(error) => panic!("process {pid}, asked for `{milestone}`: {error}"),
            }
        }
        let Ok(stamp) = answer.trim_end().parse() else { panic!("process {pid} answered {answer:?}") };
        stamp
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // Fails only for a process that has ended already, and that one is reaped below all the same.
        let _ = self.child.kill();
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

/// A port that nobody uses, below the range from which the system takes the source ports of connections.
fn free_port() -> u16 {
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
