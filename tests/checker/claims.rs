//! What can be proved of single requests: that they were answered, and rightly.

use super::check::{Forfeits, Rules};
use super::history::{History, Outcome, Process, Reply, Sent, Written};
use super::journal::{Abandoned, Mode, Patience, Why};
use super::locks::{Hold, by_name};

/// Every waiter that lived got its turn, and nobody gave up before its time. The storm must have ended with everybody
/// continued and everything released.
pub(super) fn turns(history: &History, rules: &Rules) -> Vec<String> {
    let mut wrong = Vec::new();
    for process in &history.processes {
        let name = &process.name;
        if process.lived() && process.ended.is_none() {
            wrong.push(format!("{name} ended by itself, or was never done"));
        }
        for (number, ask) in &process.asks {
            let what = format!("{name}#{number} asked for {} ({})", ask.name, ask.mode);
            match (&ask.outcome, ask.patience) {
                (Outcome::Open, _) if process.lived() => wrong.push(format!("{what} and was never answered")),
                (Outcome::GaveUp { .. }, Patience::Endless) => wrong.push(format!("{what} without end and gave up")),
                (Outcome::GaveUp { at }, Patience::For(time)) if at - ask.asked < time => {
                    wrong.push(format!("{what} for {time} ns and gave up after {}", at - ask.asked));
                }
                (Outcome::Failed { reason, .. }, _) => {
                    let forfeited = rules.forfeits == Forfeits::WhenStopped && reason.starts_with("Lost");
                    if !forfeited {
                        wrong.push(format!("{what} and was told {reason}"));
                    }
                }
                _ => {}
            }
        }
        for (number, put) in &process.puts {
            if put.outcome == Written::Open && process.lived() {
                wrong.push(format!("{name}#{number} wrote {} and was never answered", put.key));
            }
        }
        for (number, request) in &process.requests {
            let end = match request.outcome {
                Reply::Open => None,
                Reply::Answered { at, .. } => Some((at, None)),
                Reply::None { at, why } => Some((at, Some(why))),
            };
            let what = format!("{name}#{number} asked the handler");
            wrong
                .extend(untimely(process, request.patience, request.began, end).map(|how| format!("{what} and {how}")));
        }
        for (number, message) in &process.messages {
            let end = match message.outcome {
                Sent::Open => None,
                Sent::Done { at, .. } => Some((at, None)),
                Sent::Not { at, why } => Some((at, Some(why))),
            };
            let what = format!("{name}#{number} sent a message");
            wrong
                .extend(untimely(process, message.patience, message.began, end).map(|how| format!("{what} and {how}")));
        }
    }
    wrong
}

/// What is wrong with when, or whether, a call ended.
fn untimely(process: &Process, patience: Patience, began: u64, end: Option<(u64, Option<Why>)>) -> Option<String> {
    match (end, patience) {
        (None, _) => process.lived().then(|| "was never answered".to_owned()),
        (Some((at, Some(Why::TimedOut))), Patience::For(time)) if at - began >= time => None,
        (Some((at, Some(Why::TimedOut))), _) => {
            Some(format!("gave up after {} ns, its patience was {patience}", at - began))
        }
        (Some((_, Some(Why::Blocked))), Patience::Endless | Patience::For(_)) => {
            Some(format!("did not wait, its patience was {patience}"))
        }
        _ => None,
    }
}

/// Nobody lost what it held without having been stopped while it held or waited for it.
pub(super) fn losses(history: &History, rules: &Rules) -> Vec<String> {
    let mut wrong = Vec::new();
    for process in &history.processes {
        for (number, ask) in &process.asks {
            let Some(lost) = ask.lost else { continue };
            if rules.forfeits == Forfeits::Never || !process.stood_still(ask.asked, lost) {
                wrong.push(format!("{}#{number} held {} ({}) and lost it", process.name, ask.name, ask.mode));
            }
        }
    }
    wrong
}

/// Who gets what a dead process held is not told that all is well, until somebody who held it alone has released it.
///
/// Whoever held it in between without a word in its journal died as well, or never took it: neither makes it well.
pub(super) fn abandoned(holds: &[Hold<'_>], rules: &Rules) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, mut holds) in by_name(holds) {
        holds.sort_by_key(|hold| hold.token);
        let mut died: Option<&Hold<'_>> = None;
        for hold in holds {
            // Permits are made well by whoever was told of the harm; several are told at once. And who forfeited has
            // nothing that its death could make worse.
            if matches!(hold.ask.mode, Mode::Permits(_)) || rules.forfeits != Forfeits::Never {
                continue;
            }
            if let Some(dead) = died.filter(|_| hold.abandoned == Abandoned::Clean) {
                wrong.push(format!("{name}: {} died, and {} was told nothing", dead.words(), hold.words()));
            }
            if hold.ask.mode == Mode::Exclusive {
                died = None;
                // The grant was in its hands: the process was alive to write it down, and was killed without having
                // begun to release it.
                if !hold.process.lived() && hold.ask.releasing.is_none() {
                    died = Some(hold);
                }
            }
        }
    }
    wrong
}
