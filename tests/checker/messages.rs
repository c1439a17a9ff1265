//! What can be proved of messages: who sent them, that each comes once, in its order, and that none is lost in silence.

use std::collections::{BTreeMap, BTreeSet};

use super::check::{Forfeits, Rules};
use super::history::{History, Message, Process, Sent};
use super::journal::{Label, Why};

/// All messages of a history, and who received them.
pub(super) struct Messages<'a> {
    history: &'a History,
    rules: &'a Rules,
    /// By the ids that they had.
    ids: BTreeMap<&'a str, &'a Process>,
    sent: BTreeMap<Label, (&'a Process, &'a Message)>,
    received: BTreeMap<&'a Label, BTreeSet<&'a str>>,
}

impl<'a> Messages<'a> {
    pub(super) fn of(history: &'a History, rules: &'a Rules) -> Self {
        let (mut ids, mut sent) = (BTreeMap::new(), BTreeMap::new());
        let mut received = BTreeMap::<_, BTreeSet<_>>::new();
        for process in &history.processes {
            ids.extend(process.ids.iter().map(|id| (id.as_str(), process)));
            for (number, message) in &process.messages {
                sent.insert(Label { process: process.name.clone(), number: *number }, (process, message));
            }
            for receipt in &process.receipts {
                received.entry(&receipt.message).or_default().insert(process.name.as_str());
            }
        }
        Self { history, rules, ids, sent, received }
    }

    /// Whether the ids that it ever had are known.
    fn is_known(&self, process: &Process) -> bool {
        self.rules.forfeits == Forfeits::Never || process.stops.is_empty()
    }

    /// What is received has been sent, by whom it says, to whom it has reached, and was not refused.
    pub(super) fn origin(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for process in &self.history.processes {
            for receipt in &process.receipts {
                let what = format!("{} received {} from {}", process.name, receipt.message, receipt.from);
                let Some((sender, message)) = self.sent.get(&receipt.message) else {
                    wrong.push(format!("{what}, which nobody sent"));
                    continue;
                };
                if receipt.at < message.began {
                    wrong.push(format!("{what} before it was sent"));
                }
                if self.is_known(sender) && !sender.ids.contains(&receipt.from) {
                    wrong.push(format!("{what}, who is somebody else"));
                }
                match &message.to {
                    Some(to) if self.is_known(process) && !process.ids.contains(to) => {
                        wrong.push(format!("{what}, which is for {to}"));
                    }
                    None if sender.name == process.name => wrong.push(format!("{what}, which is for all others")),
                    _ => {}
                }
                if let Sent::Not { why: why @ (Why::Blocked | Why::Refused), .. } = message.outcome {
                    wrong.push(format!("{what}, which was {why}"));
                }
            }
        }
        wrong
    }

    /// Nobody receives a message twice, and of two messages of one process of which the second was begun when the first
    /// was over, whatever came of it, everybody receives the first one first.
    pub(super) fn sequence(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for process in &self.history.processes {
            let mut seen = BTreeSet::new();
            // Of each sender: what was begun last of all that has come so far.
            let mut latest: BTreeMap<&str, (u64, &Label)> = BTreeMap::new();
            for receipt in &process.receipts {
                let label = &receipt.message;
                if !seen.insert(label) {
                    wrong.push(format!("{} received {label} twice", process.name));
                    continue;
                }
                let Some((_, message)) = self.sent.get(label) else { continue };
                let over = match message.outcome {
                    Sent::Open => u64::MAX,
                    Sent::Done { at, .. } | Sent::Not { at, .. } => at,
                };
                let last = latest.entry(&label.process).or_insert((message.began, label));
                if over < last.0 {
                    wrong.push(format!("{} received {label} after {}, which was sent later", process.name, last.1));
                }
                *last = (*last).max((message.began, label));
            }
        }
        wrong
    }

    /// What was sent with success is received by whom it has reached, if that one lives, listens and misses nothing.
    pub(super) fn delivery(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (label, (sender, message)) in &self.sent {
            let Sent::Done { at, count } = message.outcome else { continue };
            let received = self.received.get(label);
            let has = |process: &Process| received.is_some_and(|all| all.contains(process.name.as_str()));
            match &message.to {
                Some(to) => {
                    let receiver = self.ids.get(to.as_str()).filter(|receiver| !has(receiver));
                    if let Some(receiver) = receiver.filter(|receiver| self.would_say(receiver, message, at)) {
                        wrong.push(format!("{label} has reached {}, which did not receive it", receiver.name));
                    }
                }
                None => {
                    let others = || self.history.processes.iter().filter(|process| process.name != sender.name);
                    let able = others().filter(|process| has(process) || self.may_have(process, message, at)).count();
                    if (able as u64) < count {
                        let got = received.map_or(0, BTreeSet::len);
                        wrong.push(format!(
                            "{label} has reached {count}, and {got} received it; {able} may have had it"
                        ));
                    }
                }
            }
        }
        wrong
    }

    /// Whether it certainly would have written down that it received the message, which was delivered at this time.
    fn would_say(&self, process: &Process, message: &Message, at: u64) -> bool {
        process.ended.is_some() && !self.may_have(process, message, at)
    }

    /// Whether the message may have reached it without its writing that down.
    fn may_have(&self, process: &Process, message: &Message, at: u64) -> bool {
        let was_there = process.dead.or(process.ended).is_none_or(|end| end >= message.began);
        let missed = process.missed.iter().any(|missed| *missed >= message.began);
        // Who is about to leave does not listen until its end.
        let went = process.left.is_some_and(|left| left <= at);
        was_there && (!process.lived() || missed || went || !self.is_known(process))
    }
}
