//! The election of one instance: what to try next, given how the last try ended.
//!
//! Owns no socket and no clock: the runtime does what [`Election::step`] says and reports how it ended, together with
//! the time and a random number. Whoever binds *and* listens on the port leads; nothing here can decide otherwise, it
//! only decides when to look again and when to stop looking. The table:
//!
//! | step | outcome | next |
//! |---|---|---|
//! | `Bind` | won | `Lead` |
//! | | in use, failed to listen, failed | `Connect` |
//! | | denied | `Unusable(Reserved)` |
//! | `Connect` | made | `Greet` |
//! | | refused, reset, timed out, self-connected, failed, while the port is left to others | a new round, `Connect` |
//! | | refused, reset, timed out, self-connected, failed | a new round, `Bind` |
//! | `Greet` | welcomed | `Follow` |
//! | | ended, put off, starved | a new round, `Connect` |
//! | | foreign, other group, refused | `Unusable`, with that reason |
//! | `Pause` | over | the step it delayed |
//! | each of them | the same obstacle for [`PATIENCE`], or any obstacles for [`LIMIT`] | `Unusable`, with the reason that took the longest |
//!
//! No sequence of outcomes goes on for longer than [`LIMIT`] of the own running time: every outcome that is no end counts
//! towards it. What an instance makes of the verdict is its own affair: one that was never in an open reign gives up, every
//! other one begins again, since a supervisor that does not answer is not dead.
//!
//! The port is left to others by who has just resigned, or could not fill the office, for [`COURTESY`], and by who has
//! heard that its supervisor resigned in favour of another one, for [`RESERVED`]; by neither of them once those others are
//! gone. The heir itself binds first.
//!
//! A new round starts at once the first [`EAGER`] times and after a [`Step::Pause`] from then on.

use std::time::Duration;

pub use self::backoff::Backoff;
pub use self::reports::{Bound, Connected, Greeted, Unusable};

mod backoff;
mod reports;

/// Rounds that follow each other without a pause. The port of a killed supervisor is free a few system calls after its
/// connections end, so that the first retries should not wait at all.
pub const EAGER: u32 = 12;

/// The first pause is at most this.
pub const FIRST_PAUSE: Duration = Duration::from_micros(50);

/// No pause is longer than this: it is added to the time without a supervisor.
pub const LONGEST_PAUSE: Duration = Duration::from_millis(5);

/// The first connect may take this long. A request to connect that meets a listener in the act of closing is dropped
/// without an answer, and the kernel itself would repeat it only after a second.
pub const FIRST_TIMEOUT: Duration = Duration::from_millis(4);

/// No connect may take longer than this. A stopped supervisor whose queue of connections is full answers nobody: asking
/// it more often than this helps nobody.
pub const LONGEST_TIMEOUT: Duration = Duration::from_millis(100);

/// How long a port may be in use while nobody listens on it, until a stranger's outgoing connection is blamed.
///
/// A dying supervisor looks the same for a moment, for hundreds of milliseconds if it was large and the machine is busy.
/// Hence seconds, and of these only the time in which this process itself ran.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// How long an election goes on at most, whatever it sees, in time in which this process itself ran and no supervisor
/// was heard. With the last greeting that is less than five seconds.
///
/// Longer than [`PATIENCE`] for what changes: supervisors that start and die one after the other end connections without a
/// word, as a foreign service does.
pub const LIMIT: Duration = Duration::from_millis(4250);

/// However little is left, a supervisor has so long to say a word.
pub const GREETING: Duration = Duration::from_millis(500);

/// Connections that may end before the Welcome until the pauses grow beyond [`LONGEST_PAUSE`], to [`LONGEST_TIMEOUT`]:
/// each is work for the one who takes it.
pub const GREETINGS: u32 = 16;

/// How long an instance that resigned leaves the port to the others, counted from the first refusal.
pub const COURTESY: Duration = Duration::from_secs(1);

/// How long everybody else leaves the port to the heir in whose favour a supervisor has resigned, counted in the same way.
pub const RESERVED: Duration = Duration::from_millis(100);

/// The longest piece of time that one round can add to a count. A process that was stopped meanwhile, or a machine that
/// was suspended, has not tried anything in that time and may not conclude anything from it.
const SLICE: Duration = Duration::from_millis(100);

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Bind and listen, back to back; report with [`Election::bound`].
    Bind,
    /// Connect; report with [`Election::connected`].
    Connect {
        /// Give up after this long.
        timeout: Duration,
    },
    /// Say Hello on the connection just made and read the answer, however long that takes: a supervisor that does not
    /// answer is silent, not gone. Report with [`Election::greeted`].
    Greet,
    /// Wait this long; report with [`Election::paused`].
    Pause(Duration),
    /// The end: this instance listens, so it leads.
    Lead,
    /// The end: this instance was welcomed, so it follows.
    Follow,
    /// The end: nobody of the group can use this port, or not this instance, and why.
    Unusable(Unusable),
}

/// What kept a round from getting anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Obstacle {
    /// The port is in use and nobody listens.
    Stray,
    /// Connecting is answered by nobody.
    Unanswered,
    /// Connections are made and end before the Welcome.
    HangUp,
    /// A supervisor of this group takes nobody in for now.
    PutOff,
    /// Nothing works here.
    Failing,
    /// Nobody listens, and this instance may not bind the port.
    Absent,
}

impl Obstacle {
    const COUNT: usize = Self::Absent as usize + 1;
    const ALL: [Self; Self::COUNT] =
        [Self::Stray, Self::Unanswered, Self::HangUp, Self::PutOff, Self::Failing, Self::Absent];

    /// How long it may last without a break, and what it means then.
    const fn verdict(self) -> (Duration, Unusable) {
        match self {
            Self::Stray => (PATIENCE, Unusable::SourcePort),
            Self::Unanswered => (PATIENCE, Unusable::Unresponsive),
            Self::HangUp => (LIMIT, Unusable::HangsUp),
            Self::PutOff => (LIMIT, Unusable::Refused),
            Self::Failing => (PATIENCE, Unusable::Failing),
            Self::Absent => (LIMIT, Unusable::Nobody),
        }
    }
}

/// The step that starts a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opening {
    Bind,
    Connect,
}

/// The election of one instance, from its start to [`Step::Lead`], [`Step::Follow`] or [`Step::Unusable`].
///
/// A report that does not belong to the current step changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Election {
    step: Step,
    /// What follows a pause.
    opening: Opening,
    /// Whether this instance may lead at all.
    binds: bool,
    /// Rounds begun. Nothing resets it, so that no sequence of outcomes can spin.
    rounds: u32,
    /// How many greetings have come to nothing.
    greetings: u32,
    timeout: Duration,
    /// How the bind of this round ended, if it had one.
    bound: Option<Bound>,
    /// The last obstacle, and what `ran` was when it was met first without another in between.
    obstacle: Option<(Obstacle, Duration)>,
    /// How much of `ran` each obstacle has cost, and up to where that is counted.
    cost: [Duration; Obstacle::COUNT],
    counted: Duration,
    courtesy: Option<Courtesy>,
    /// The time of the last report.
    now: Duration,
    /// The length of the pause since then, if there was one.
    paused: Duration,
    /// The own running time up to then, by which alone anything is judged.
    ran: Duration,
}

/// Leave the port to others until it has been refused for this long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Courtesy {
    length: Duration,
    /// What `ran` was at the first refusal.
    since: Option<Duration>,
}

impl Election {
    /// The election of an instance that starts: bind first, most programs are alone. Also that of an heir, to whom the
    /// others leave the port.
    pub const fn first(now: Duration) -> Self {
        Self::new(now, Opening::Bind, None)
    }

    /// The election after the end of a connection to a supervisor: connect first and bind only when refused.
    ///
    /// All others were told at the same time; most will find that one of them listens already, and those that do not
    /// bind do not get in the way of those that do. Measured with bare sockets this is 1.1 to 1.3 times as fast.
    pub const fn again(now: Duration) -> Self {
        Self::new(now, Opening::Connect, None)
    }

    /// The election of an instance that has just resigned: as [`again`](Self::again), but it does not bind until
    /// [`others_gone`](Self::others_gone) is called or nobody has listened for [`COURTESY`].
    ///
    /// That is manners, so that the office really goes to another. No safety rests on it: whoever listens leads.
    pub const fn resigned(now: Duration) -> Self {
        Self::deferring(now, COURTESY)
    }

    /// The election of an instance that has heard that its supervisor resigned in favour of another one: the same, for
    /// [`RESERVED`], so that the heir need not race with everybody. [`others_gone`](Self::others_gone) is to be called
    /// when the heir is.
    pub const fn reserved(now: Duration) -> Self {
        Self::deferring(now, RESERVED)
    }

    /// The election of an observer: it only connects, and never leads. Nobody waits for it, so that it need not hurry.
    pub const fn observing(now: Duration) -> Self {
        Self { binds: false, rounds: EAGER, ..Self::new(now, Opening::Connect, None) }
    }

    const fn deferring(now: Duration, length: Duration) -> Self {
        Self::new(now, Opening::Connect, Some(Courtesy { length, since: None }))
    }

    const fn new(now: Duration, opening: Opening, courtesy: Option<Courtesy>) -> Self {
        let step = match opening {
            Opening::Bind => Step::Bind,
            Opening::Connect => Step::Connect { timeout: FIRST_TIMEOUT },
        };
        Self {
            step,
            opening,
            binds: true,
            rounds: 0,
            greetings: 0,
            timeout: FIRST_TIMEOUT,
            bound: None,
            obstacle: None,
            cost: [Duration::ZERO; Obstacle::COUNT],
            counted: Duration::ZERO,
            courtesy,
            now,
            paused: Duration::ZERO,
            ran: Duration::ZERO,
        }
    }

    /// How long to wait for the first word of a supervisor that is greeted now: for what is left, but at least for
    /// [`GREETING`].
    pub fn patience(&self) -> Duration {
        LIMIT.saturating_sub(self.ran).max(GREETING)
    }

    /// There is nobody left to leave the port to: the next refusal leads to a bind.
    pub const fn others_gone(&mut self) {
        self.courtesy = None;
    }

    /// Whether it leaves the port to others at the moment.
    pub const fn is_deferring(&self) -> bool {
        self.courtesy.is_some()
    }

    /// What to do now.
    pub const fn step(&self) -> Step {
        self.step
    }

    /// How long it has lasted, in time that counts.
    pub const fn ran(&self) -> Duration {
        self.ran
    }

    /// Reports how [`Step::Bind`] ended, at the monotonic time `now`.
    pub fn bound(&mut self, outcome: Bound, now: Duration) -> Step {
        if self.step != Step::Bind {
            return self.step;
        }
        self.pass(now);
        self.bound = Some(outcome);
        self.step = match outcome {
            Bound::Won => Step::Lead,
            Bound::Denied => Step::Unusable(Unusable::Reserved),
            // Also when binding failed for lack of something: a supervisor may be there all the same.
            Bound::InUse | Bound::ListenFailed | Bound::Failed => Step::Connect { timeout: self.timeout },
        };
        self.step
    }

    /// Reports how [`Step::Connect`] ended, at the monotonic time `now`. `chance` is any random number.
    pub fn connected(&mut self, outcome: Connected, now: Duration, chance: u64) -> Step {
        if !matches!(self.step, Step::Connect { .. }) {
            return self.step;
        }
        self.pass(now);
        self.timeout = match outcome {
            Connected::TimedOut => (self.timeout * 2).min(LONGEST_TIMEOUT),
            _ => FIRST_TIMEOUT,
        };
        let bound = self.bound.take();
        let obstacle = match (outcome, bound) {
            (Connected::Made, _) => {
                // Only what comes of it tells whether the port takes connections in vain.
                self.step = Step::Greet;
                return self.step;
            }
            (Connected::Refused, None) => (!self.binds).then_some(Obstacle::Absent),
            (Connected::Refused, Some(Bound::Failed)) | (Connected::Failed, _) => Some(Obstacle::Failing),
            (Connected::Refused, Some(_)) | (Connected::SelfConnected, _) => Some(Obstacle::Stray),
            (Connected::Reset, _) => Some(Obstacle::HangUp),
            (Connected::TimedOut, _) => Some(Obstacle::Unanswered),
        };
        if let Some(verdict) = obstacle.and_then(|obstacle| self.meet(obstacle)) {
            return self.end(verdict);
        }
        if outcome == Connected::Refused {
            self.wear();
        }
        let opening = if self.courtesy.is_some() || !self.binds { Opening::Connect } else { Opening::Bind };
        self.round(opening, chance)
    }

    /// Reports how [`Step::Greet`] ended, at the monotonic time `now`, and for how long of its own running time this
    /// instance has waited for a word of the supervisor in vain. `chance` is any random number.
    pub fn greeted(&mut self, outcome: Greeted, silent: Duration, now: Duration, chance: u64) -> Step {
        if self.step != Step::Greet {
            return self.step;
        }
        // A supervisor that is heard may keep this instance waiting for as long as its window is open.
        self.ran += silent;
        self.now = self.now.max(now);
        let obstacle = match outcome {
            Greeted::Welcomed => {
                self.step = Step::Follow;
                return self.step;
            }
            Greeted::Foreign => return self.end(Unusable::Foreign),
            Greeted::OtherGroup => return self.end(Unusable::OtherGroup),
            Greeted::Refused => return self.end(Unusable::Refused),
            Greeted::Ended => Obstacle::HangUp,
            Greeted::PutOff => Obstacle::PutOff,
            Greeted::Starved => Obstacle::Failing,
        };
        self.greetings = self.greetings.saturating_add(1);
        match self.meet(obstacle) {
            Some(verdict) => self.end(verdict),
            None => self.round(Opening::Connect, chance),
        }
    }

    /// Reports that [`Step::Pause`] is over.
    pub const fn paused(&mut self) -> Step {
        if let Step::Pause(pause) = self.step {
            self.paused = pause;
            self.open();
        }
        self.step
    }

    fn pass(&mut self, now: Duration) {
        let longest = SLICE + std::mem::take(&mut self.paused);
        self.ran += now.saturating_sub(self.now).min(longest);
        self.now = self.now.max(now);
    }

    /// Notes what this round has met, and says whether that is enough.
    fn meet(&mut self, obstacle: Obstacle) -> Option<Unusable> {
        self.cost[obstacle as usize] += self.ran - self.counted;
        self.counted = self.ran;
        let since = match self.obstacle {
            Some((before, since)) if before == obstacle => since,
            _ => self.ran,
        };
        self.obstacle = Some((obstacle, since));
        let (patience, verdict) = obstacle.verdict();
        if self.ran - since >= patience {
            return Some(verdict);
        }
        let longest = || Obstacle::ALL.into_iter().max_by_key(|obstacle| self.cost[*obstacle as usize]);
        (self.ran >= LIMIT).then(|| longest().map_or(verdict, |obstacle| obstacle.verdict().1))
    }

    /// A refusal uses up courtesy.
    fn wear(&mut self) {
        if let Some(courtesy) = &mut self.courtesy {
            let since = *courtesy.since.get_or_insert(self.ran);
            if self.ran - since >= courtesy.length {
                self.courtesy = None;
            }
        }
    }

    const fn end(&mut self, reason: Unusable) -> Step {
        self.step = Step::Unusable(reason);
        self.step
    }

    const fn open(&mut self) {
        self.step = match self.opening {
            Opening::Bind => Step::Bind,
            Opening::Connect => Step::Connect { timeout: self.timeout },
        };
    }

    fn round(&mut self, opening: Opening, chance: u64) -> Step {
        self.opening = opening;
        self.rounds = self.rounds.saturating_add(1);
        match self.rounds.checked_sub(EAGER) {
            None | Some(0) => self.open(),
            Some(late) => {
                let longest = if self.greetings > GREETINGS { LONGEST_TIMEOUT } else { LONGEST_PAUSE };
                self.step = Step::Pause(pause(late - 1, longest, chance));
            }
        }
        self.step
    }
}

/// The pause before a late round: at most [`FIRST_PAUSE`] before the first, growing by half to the longest.
///
/// At least half of that and otherwise random: instances that got in each other's way must not meet again.
fn pause(late: u32, longest: Duration, chance: u64) -> Duration {
    // The nineteenth is the first to reach the longest of all.
    let mut most = FIRST_PAUSE;
    for _ in 0..late.min(19) {
        most = (most * 3 / 2).min(longest);
    }
    jittered(most, chance)
}

/// At least half of this time and at most all of it.
fn jittered(most: Duration, chance: u64) -> Duration {
    let half = most / 2;
    // A jitter with the 2^-32 steps that an integer product leaves: no division by zero, no bias worth a word.
    half + Duration::from_nanos(((half.as_nanos() as u64) * (chance >> 32)) >> 32)
}

#[cfg(test)]
mod tests;
