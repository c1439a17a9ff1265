//! What can be proved of holds: which exclude each other, how many there may be, how their tokens rise.

use std::collections::BTreeMap;

use super::check::{Forfeits, Rules};
use super::history::{Ask, History, Outcome, Process};
use super::journal::{Abandoned, Mode};

/// A grant that was taken, and the time for which it was certainly held.
#[derive(Debug)]
pub(super) struct Hold<'a> {
    pub process: &'a Process,
    pub number: u64,
    pub ask: &'a Ask,
    pub token: u64,
    pub abandoned: Abandoned,
    pub granted: u64,
    /// It was certainly held from `granted` until just before this; never before `granted`.
    pub until: u64,
    start: u64,
}

impl Hold<'_> {
    /// In words, for the evidence.
    pub(super) fn words(&self) -> String {
        let time = |at: u64| format!("{:.3}", (at - self.start) as f64 / 1e6);
        format!(
            "{}#{} ({}, token {}, asked {} ms, held {} to {} ms)",
            self.process.name,
            self.number,
            self.ask.mode,
            self.token,
            time(self.ask.asked),
            time(self.granted),
            time(self.until)
        )
    }
}

/// All holds, by the time at which they were certain to be held.
pub(super) fn holds<'a>(history: &'a History, rules: &Rules) -> Vec<Hold<'a>> {
    let mut holds = Vec::new();
    for process in &history.processes {
        for (number, ask) in &process.asks {
            let Outcome::Granted { at, token, abandoned } = ask.outcome else { continue };
            // A dead process held until it died. That was not before the parent was about to kill it. One that says
            // no more, and nobody knows why, lived at least until it said its last.
            let by_itself = ask.releasing.or(process.killed).or(process.ended).unwrap_or(process.last);
            let until = match (rules.forfeits, ask.lost) {
                // The loss itself is the violation; how long it was held then, nobody knows.
                (Forfeits::Never, Some(_)) => at,
                (Forfeits::Never, None) => by_itself,
                // Whoever was stopped may have lost it then, whether it was told already or not.
                (Forfeits::WhenStopped, lost) => {
                    let stopped = process.first_stop(ask.asked).map(|stop| stop.from);
                    let lost = lost.map(|_| at).filter(|_| stopped.is_none());
                    by_itself.min(stopped.unwrap_or(u64::MAX)).min(lost.unwrap_or(u64::MAX))
                }
            };
            let until = until.max(at);
            let (number, start) = (*number, history.start);
            holds.push(Hold { process, number, ask, token, abandoned, granted: at, until, start });
        }
    }
    holds.sort_by_key(|hold| (hold.granted, hold.token));
    holds
}

/// The holds of each name, in their order.
pub(super) fn by_name<'h, 'a>(holds: &'h [Hold<'a>]) -> BTreeMap<&'a str, Vec<&'h Hold<'a>>> {
    let mut names: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for hold in holds {
        names.entry(hold.ask.name.as_str()).or_default().push(hold);
    }
    names
}

/// All pairs of one name that were held at the same time.
fn overlaps<'h, 'a>(holds: &'h [Hold<'a>]) -> Vec<(&'h Hold<'a>, &'h Hold<'a>)> {
    let mut pairs = Vec::new();
    for holds in by_name(holds).into_values() {
        let mut active: Vec<&Hold<'_>> = Vec::new();
        for hold in holds.into_iter().filter(|hold| hold.until > hold.granted) {
            active.retain(|earlier| earlier.until > hold.granted);
            pairs.extend(active.iter().map(|earlier| (*earlier, hold)));
            active.push(hold);
        }
    }
    pairs
}

fn among(holds: &[Hold<'_>], wrong: impl Fn(Mode, Mode) -> bool) -> Vec<String> {
    let pairs = overlaps(holds).into_iter().filter(|(one, other)| wrong(one.ask.mode, other.ask.mode));
    pairs.map(|(one, other)| format!("{}: {} and {}", one.ask.name, one.words(), other.words())).collect()
}

/// No two exclusive holds overlap.
pub(super) fn exclusion(holds: &[Hold<'_>]) -> Vec<String> {
    among(holds, |one, other| one == Mode::Exclusive && other == Mode::Exclusive)
}

/// No shared hold overlaps an exclusive one.
pub(super) fn sharing(holds: &[Hold<'_>]) -> Vec<String> {
    among(holds, |one, other| one != other && (one == Mode::Exclusive || other == Mode::Exclusive))
}

/// Permits never exceed the limit. A semaphore without a limit in the rules has none.
pub(super) fn permits(holds: &[Hold<'_>], rules: &Rules) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, holds) in by_name(holds) {
        let Some(limit) = rules.limits.get(name) else { continue };
        let mut active: Vec<(&Hold<'_>, u64)> = Vec::new();
        for hold in holds.into_iter().filter(|hold| hold.until > hold.granted) {
            let Mode::Permits(count) = hold.ask.mode else { continue };
            active.retain(|(earlier, _)| earlier.until > hold.granted);
            active.push((hold, u64::from(count)));
            let used: u64 = active.iter().map(|(_, count)| count).sum();
            if used > u64::from(*limit) {
                let who: Vec<_> = active.iter().map(|(hold, _)| hold.words()).collect();
                wrong.push(format!("{name}: {used} permits of {limit} at once: {}", who.join(", ")));
            }
        }
    }
    wrong
}

/// Tokens rise: no two grants of the group have one, a grant that was asked for when another had been given has the
/// higher one, and of two holds of a name that exclude each other the later one has.
pub(super) fn tokens(holds: &[Hold<'_>], rules: &Rules) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut tokens: BTreeMap<u64, &Hold<'_>> = BTreeMap::new();
    for hold in holds {
        if let Some(other) = tokens.insert(hold.token, hold) {
            wrong.push(format!(
                "one token twice: {} has {}, {} has {}",
                other.ask.name,
                other.words(),
                hold.ask.name,
                hold.words()
            ));
        }
    }
    // Over all names: there is one counter.
    let mut asked: Vec<_> = holds.iter().collect();
    asked.sort_by_key(|hold| hold.ask.asked);
    let mut given = holds.iter().peekable();
    let mut highest: Option<&Hold<'_>> = None;
    for hold in asked {
        while let Some(earlier) = given.next_if(|earlier| earlier.granted < hold.ask.asked) {
            highest = highest.filter(|highest| highest.token > earlier.token).or(Some(earlier));
        }
        if let Some(highest) = highest.filter(|highest| highest.token > hold.token) {
            wrong.push(format!(
                "{} was granted before {} was asked for, and has the higher token: {} and {}",
                highest.ask.name,
                hold.ask.name,
                highest.words(),
                hold.words()
            ));
        }
    }
    for holds in by_name(holds).into_values() {
        let (mut highest, mut exclusive): (Option<&Hold<'_>>, Option<&Hold<'_>>) = (None, None);
        for hold in holds {
            // One that was stopped between the grant and the line of it may have lost it in between: somebody else's
            // line, with the higher token, is then the earlier one.
            let doubtful =
                rules.forfeits == Forfeits::WhenStopped && hold.process.stood_still(hold.ask.asked, hold.granted);
            let before = match hold.ask.mode {
                Mode::Exclusive => highest,
                Mode::Shared => exclusive,
                Mode::Permits(_) => None,
            };
            if let Some(before) = before.filter(|before| before.token > hold.token && !doubtful) {
                wrong.push(format!("{}: {} before {}", hold.ask.name, before.words(), hold.words()));
            }
            highest = highest.filter(|highest| highest.token > hold.token).or(Some(hold));
            if hold.ask.mode == Mode::Exclusive {
                exclusive = exclusive.filter(|exclusive| exclusive.token > hold.token).or(Some(hold));
            }
        }
    }
    wrong
}
