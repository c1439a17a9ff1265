//! The judgement: every property that a history must have, each a function of its own.

use std::collections::BTreeMap;
use std::fmt;

use super::history::{History, Outcome, Process, Reply, Sent};
use super::journal::Why;
use super::{claims, locks, messages, order, requests, writes};

/// What the storm was like, as far as the journals do not say it.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// How many permits each semaphore has.
    pub limits: BTreeMap<String, u32>,
    pub forfeits: Forfeits,
}

/// Whether a process that lives may lose what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Forfeits {
    /// There is no window limit, or none that a stop could reach.
    #[default]
    Never,
    /// Who was stopped may have lost all that it held and waited for, and is told so later. Until then only the tokens
    /// protect.
    WhenStopped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Property {
    /// No two exclusive holds overlap.
    Exclusion,
    /// No shared hold overlaps an exclusive one.
    Sharing,
    /// Permits in use never exceed the limit.
    Permits,
    /// Tokens rise.
    Tokens,
    /// Waiters that lived were served in the order in which they came.
    Order,
    /// Every waiter that lived got its turn, and nobody gave up before its time.
    Turns,
    /// Nobody lost what it held without having been stopped.
    Losses,
    /// Who gets what a dead process held is not told that all is well.
    Abandoned,
    /// One version is one write, and versions rise in the order of the writes.
    Versions,
    /// What was acknowledged is seen, and nobody's copy goes back.
    Visibility,
    /// What is read was written.
    Origin,
    /// In the end all copies are equal.
    Finals,
    /// A conditional write replaces just the version that it expected.
    Chain,
    /// The handler runs at most once for a request, and not at all if that was refused.
    Runs,
    /// An answer is what the one run said.
    Answers,
    /// What is received was sent, to whom it has reached.
    Receipts,
    /// The messages of one sender come in their order, and each once.
    Sequence,
    /// What was sent with success is received.
    Delivery,
}

/// A property that a history does not have, and what shows it.
#[derive(Clone, Debug)]
pub struct Violation {
    pub property: Property,
    pub evidence: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.property, self.evidence)
    }
}

/// Everything that is wrong with the history.
pub fn check(history: &History, rules: &Rules) -> Vec<Violation> {
    let holds = locks::holds(history, rules);
    let mut found = Vec::new();
    let mut say = |property, evidence: Vec<String>| {
        found.extend(evidence.into_iter().map(|evidence| Violation { property, evidence }));
    };
    say(Property::Exclusion, locks::exclusion(&holds));
    say(Property::Sharing, locks::sharing(&holds));
    say(Property::Permits, locks::permits(&holds, rules));
    say(Property::Tokens, locks::tokens(&holds, rules));
    say(Property::Abandoned, claims::abandoned(&holds, rules));
    say(Property::Losses, claims::losses(history, rules));
    say(Property::Turns, claims::turns(history, rules));
    say(Property::Order, order::order(history, &holds));
    let writes = writes::Writes::of(history);
    say(Property::Versions, writes.versions());
    say(Property::Origin, writes.origin(history));
    say(Property::Visibility, writes.visibility(history, rules));
    say(Property::Finals, writes.finals(history));
    say(Property::Chain, writes.chain());
    let requests = requests::Requests::of(history);
    say(Property::Runs, requests.at_most_once());
    say(Property::Answers, requests.answers());
    let messages = messages::Messages::of(history, rules);
    say(Property::Receipts, messages.origin());
    say(Property::Sequence, messages.sequence());
    say(Property::Delivery, messages.delivery());
    found
}

/// The first few of what is wrong, for a message.
pub fn sentences(violations: &[Violation]) -> String {
    let mut text = format!("{} violations", violations.len());
    for violation in violations.iter().take(12) {
        text.push_str(&format!("\n  {violation}"));
    }
    text
}

/// How much there was to judge.
#[derive(Clone, Copy, Debug)]
pub struct Weight {
    pub processes: usize,
    pub grants: usize,
    /// Of these the holder was killed.
    pub killed: usize,
    /// These were lost by holders that live.
    pub lost: usize,
    /// Waits that were given up.
    pub given_up: usize,
    /// Pairs of requests of which the history shows which one had to be served first.
    pub ordered: usize,
    pub writes: usize,
    pub reads: usize,
    pub requests: usize,
    pub answered: usize,
    /// These may have been heard or not.
    pub interrupted: usize,
    /// These were not.
    pub refused: usize,
    /// How often handlers ran.
    pub runs: usize,
    pub messages: usize,
    /// These have reached whom they were for.
    pub sent: usize,
    pub received: usize,
}

pub fn weigh(history: &History, rules: &Rules) -> Weight {
    let holds = locks::holds(history, rules);
    let asks = || history.processes.iter().flat_map(|process| process.asks.values());
    let sum = |count: fn(&Process) -> usize| history.processes.iter().map(count).sum();
    let requests = || history.processes.iter().flat_map(|process| process.requests.values()).map(|one| &one.outcome);
    let messages = || history.processes.iter().flat_map(|process| process.messages.values()).map(|one| &one.outcome);
    Weight {
        processes: history.processes.len(),
        grants: holds.len(),
        killed: holds.iter().filter(|hold| !hold.process.lived() && hold.ask.releasing.is_none()).count(),
        lost: asks().filter(|ask| ask.lost.is_some()).count(),
        given_up: asks().filter(|ask| matches!(ask.outcome, Outcome::GaveUp { .. })).count(),
        ordered: order::proofs(history, &holds),
        writes: sum(|process| process.puts.len()),
        reads: sum(|process| process.reads.len()),
        requests: requests().count(),
        answered: requests().filter(|outcome| matches!(outcome, Reply::Answered { .. })).count(),
        interrupted: requests().filter(|outcome| matches!(outcome, Reply::None { why: Why::Interrupted, .. })).count(),
        refused: requests().filter(|outcome| matches!(outcome, Reply::None { why: Why::Refused, .. })).count(),
        runs: sum(|process| process.runs.len()),
        messages: sum(|process| process.messages.len()),
        sent: messages().filter(|outcome| matches!(outcome, Sent::Done { .. })).count(),
        received: sum(|process| process.receipts.len()),
    }
}
