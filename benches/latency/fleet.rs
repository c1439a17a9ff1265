//! The parent's side: a number of processes of one contender, one of them supervisor.

use std::thread;
use std::time::{Duration, Instant};

use crate::common::process::{PATIENCE, Process, free_port, now};
use crate::contender::{Contender, Milestone, Role, Stamp};

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
        victim.process.kill();
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
            member.process.kill();
        }
    }
}

/// One process of a fleet.
struct Member {
    process: Process,
}

impl Member {
    fn start(contender: &Contender, port: u16) -> Self {
        Self { process: Process::start(&format!("{} {port}", contender.name)) }
    }

    /// Asks when the milestone was first reached after that point in time, and waits until it is.
    fn ask(&mut self, milestone: Milestone, after: u64, deadline: Instant) -> Stamp {
        self.process.tell(&format!("{milestone} {after}"));
        let answer = self.process.hear(&format!("when it reached `{milestone}`"), deadline);
        let Ok(stamp) = answer.parse() else { panic!("a process answered {answer:?}") };
        stamp
    }
}
