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
//! | | refused, with the port in use for seconds | `Unusable(SourcePort)` |
//! | | refused, reset, timed out, self-connected, failed, while the port is left to others | a new round, `Connect` |
//! | | refused, reset, timed out, self-connected, failed | a new round, `Bind` |
//! | `Greet` | welcomed | `Follow` |
//! | | ended | a new round, `Connect` |
//! | | foreign, other group, refused | `Unusable`, with that reason |
//! | `Pause` | over | the step it delayed |
//!
//! The port is left to others by who has just resigned, or could not fill the office, for [`COURTESY`], and by who has
//! heard that its supervisor resigned in favour of another one, for [`RESERVED`]; by neither of them once those others are
//! gone. The heir itself binds first.
//!
//! A new round starts at once the first [`EAGER`] times and after a [`Step::Pause`] from then on.

use std::time::Duration;

pub use self::reports::{Bound, Connected, Greeted, Unusable};

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
/// it more often than this helps nobody, and that it does not answer never decides anything.
pub const LONGEST_TIMEOUT: Duration = Duration::from_millis(100);

/// How long a port may be in use while nobody listens on it, until a stranger's outgoing connection is blamed.
///
/// A dying supervisor looks the same for a moment, for hundreds of milliseconds if it was large and the machine is busy.
/// Hence seconds, and of these only the time in which this process itself ran.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// How long the port may take connections and end each of them without a word, until a foreign service is blamed.
///
/// Longer than [`PATIENCE`]: supervisors that start and die one after the other look the same.
pub const HANG_UP_PATIENCE: Duration = Duration::from_secs(10);

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

/// What has been seen without a break, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    /// The port is in use and connecting is refused.
    InUseRefused,
    /// Connections are made and end before the Welcome.
    HangUp,
    /// Nothing works.
    Failing,
}

impl Sight {
    /// How long until it becomes a verdict, and which.
    const fn verdict(self) -> (Duration, Unusable) {
        match self {
            Self::InUseRefused => (PATIENCE, Unusable::SourcePort),
            Self::HangUp => (HANG_UP_PATIENCE, Unusable::HangsUp),
            Self::Failing => (PATIENCE, Unusable::Failing),
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
    /// Rounds begun. Nothing resets it, so that no sequence of outcomes can spin.
    rounds: u32,
    timeout: Duration,
    /// How the bind of this round ended, if it had one.
    bound: Option<Bound>,
    /// What was seen, and what `ran` was when it was seen first.
    sight: Option<(Sight, Duration)>,
    courtesy: Option<Courtesy>,
    /// The time of the last report.
    now: Duration,
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

    const fn deferring(now: Duration, length: Duration) -> Self {
        Self::new(now, Opening::Connect, Some(Courtesy { length, since: None }))
    }

    const fn new(now: Duration, opening: Opening, courtesy: Option<Courtesy>) -> Self {
        let step = match opening {
            Opening::Bind => Step::Bind,
            Opening::Connect => Step::Connect { timeout: FIRST_TIMEOUT },
        };
        let (timeout, ran) = (FIRST_TIMEOUT, Duration::ZERO);
        Self { step, opening, rounds: 0, timeout, bound: None, sight: None, courtesy, now, ran }
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
        if outcome == Connected::Made {
            // Only what comes of it tells whether the port takes connections in vain; but somebody listens.
            self.sight = self.sight.filter(|(sight, _)| *sight == Sight::HangUp);
            self.step = Step::Greet;
            return self.step;
        }
        let sight = match (outcome, self.bound.take()) {
            (Connected::Refused, Some(Bound::InUse)) => Some(Sight::InUseRefused),
            (Connected::Refused, Some(Bound::Failed)) | (Connected::Failed, _) => Some(Sight::Failing),
            _ => None,
        };
        if let Some(verdict) = self.see(sight) {
            return self.end(verdict);
        }
        if outcome == Connected::Refused {
            self.wear();
        }
        let opening = if self.courtesy.is_some() { Opening::Connect } else { Opening::Bind };
        self.round(opening, chance)
    }

    /// Reports how [`Step::Greet`] ended, at the monotonic time `now`. `chance` is any random number.
    pub fn greeted(&mut self, outcome: Greeted, now: Duration, chance: u64) -> Step {
        if self.step != Step::Greet {
            return self.step;
        }
        self.pass(now);
        match outcome {
            Greeted::Welcomed => {
                self.step = Step::Follow;
                self.step
            }
            Greeted::Foreign => self.end(Unusable::Foreign),
            Greeted::OtherGroup => self.end(Unusable::OtherGroup),
            Greeted::Refused => self.end(Unusable::Refused),
            Greeted::Ended => match self.see(Some(Sight::HangUp)) {
                Some(verdict) => self.end(verdict),
                None => self.round(Opening::Connect, chance),
            },
        }
    }

    /// Reports that [`Step::Pause`] is over.
    pub const fn paused(&mut self) -> Step {
        if matches!(self.step, Step::Pause(_)) {
            self.open();
        }
        self.step
    }

    fn pass(&mut self, now: Duration) {
        self.ran += now.saturating_sub(self.now).min(SLICE);
        self.now = self.now.max(now);
    }

    /// Notes what this round showed. Anything else than before starts the count anew.
    fn see(&mut self, sight: Option<Sight>) -> Option<Unusable> {
        self.sight = match (sight, self.sight) {
            (Some(now), Some((before, since))) if now == before => Some((now, since)),
            (sight, _) => sight.map(|sight| (sight, self.ran)),
        };
        let (sight, since) = self.sight?;
        let (patience, verdict) = sight.verdict();
        (self.ran - since >= patience).then_some(verdict)
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
            Some(late) => self.step = Step::Pause(pause(late - 1, chance)),
        }
        self.step
    }
}

/// The pause before a late round: at most [`FIRST_PAUSE`] before the first, growing by half to [`LONGEST_PAUSE`].
///
/// At least half of that and otherwise random: instances that got in each other's way must not meet again.
fn pause(late: u32, chance: u64) -> Duration {
    // The twelfth is the first to reach the limit.
    let mut most = FIRST_PAUSE;
    for _ in 0..late.min(12) {
        most = (most * 3 / 2).min(LONGEST_PAUSE);
    }
    let half = most / 2;
    // A jitter with the 2^-32 steps that an integer product leaves: no division by zero, no bias worth a word.
    half + Duration::from_nanos(((half.as_nanos() as u64) * (chance >> 32)) >> 32)
}

#[cfg(test)]
mod tests;
