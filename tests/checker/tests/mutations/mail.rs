//! Changes to requests and messages.

use super::super::super::history::{Message, Reply, Sent};
use super::super::super::journal::{Label, Why};
use super::*;

/// A request that was answered: whose, which, when it was asked and answered, and by which run.
struct Answered {
    process: String,
    number: u64,
    began: u64,
    at: u64,
    run: Label,
}

impl Mutant<'_> {
    fn answered(&mut self) -> Vec<Answered> {
        let mut all = Vec::new();
        for process in &self.history.processes {
            for (number, request) in &process.requests {
                if let Reply::Answered { at, run, .. } = &request.outcome {
                    let (process, run) = (process.name.clone(), run.clone());
                    all.push(Answered { process, number: *number, began: request.began, at: *at, run });
                }
            }
        }
        all
    }

    fn one_answered(&mut self) -> Option<Answered> {
        let mut all = self.answered();
        let one = self.chance.below(all.len().max(1) as u64) as usize;
        (one < all.len()).then(|| all.swap_remove(one))
    }

    fn run(&mut self, label: &Label) -> Option<&mut Line> {
        let number = label.number;
        self.line(&label.process, |what| matches!(what, What::Ran { run, .. } if *run == number))
    }

    /// The messages that were sent with success to one that lived and received them, and to whom.
    fn delivered(&self) -> Vec<(Label, &Message, &Process)> {
        let mut all = Vec::new();
        for receiver in self.history.processes.iter().filter(|process| process.lived() && process.stops.is_empty()) {
            for receipt in &receiver.receipts {
                let label = &receipt.message;
                let sender = self.history.processes.iter().find(|process| process.name == label.process);
                let message = sender.and_then(|sender| sender.messages.get(&label.number));
                if let Some(message) = message.filter(|message| matches!(message.outcome, Sent::Done { .. })) {
                    all.push((label.clone(), message, receiver));
                }
            }
        }
        all
    }

    fn receipt(&mut self, receiver: &str, label: &Label) -> Option<&mut Line> {
        self.line(receiver, |what| matches!(what, What::Received { message, .. } if message == label))
    }
}

pub(super) fn run_again(m: &mut Mutant<'_>) -> Option<()> {
    let one = m.one_answered()?;
    let mut line = m.run(&one.run)?.clone();
    let What::Ran { run, .. } = &mut line.what else { return None };
    *run = 1_000_000;
    m.journals.get_mut(&one.run.process)?.push(line);
    Some(())
}

pub(super) fn run_refused(m: &mut Mutant<'_>) -> Option<()> {
    let one = m.one_answered()?;
    let number = one.number;
    let line = m.line(&one.process, |what| matches!(what, What::Answered { request, .. } if *request == number))?;
    line.what = What::Unanswered { request: number, why: Why::Refused };
    Some(())
}

pub(super) fn run_early(m: &mut Mutant<'_>) -> Option<()> {
    let one = m.one_answered()?;
    m.run(&one.run)?.at = one.began - 1;
    Some(())
}

pub(super) fn exchange_answers(m: &mut Mutant<'_>) -> Option<()> {
    let (one, other) = (m.one_answered()?, m.one_answered()?);
    if (&one.process, one.number) == (&other.process, other.number) {
        return None;
    }
    for (this, that) in [(&one, &other), (&other, &one)] {
        let number = this.number;
        let line =
            m.line(&this.process, |what| matches!(what, What::Answered { request, .. } if *request == number))?;
        let What::Answered { run, .. } = &mut line.what else { return None };
        *run = that.run.clone();
    }
    Some(())
}

pub(super) fn answer_early(m: &mut Mutant<'_>) -> Option<()> {
    let one = m.one_answered()?;
    m.run(&one.run)?.at = one.at + 1;
    Some(())
}

pub(super) fn drop_run(m: &mut Mutant<'_>) -> Option<()> {
    let one = m.one_answered()?;
    let number = one.run.number;
    let lines = m.journals.get_mut(&one.run.process)?;
    lines.retain(|line| !matches!(line.what, What::Ran { run, .. } if run == number));
    Some(())
}

pub(super) fn never_answer(m: &mut Mutant<'_>) -> Option<()> {
    let lived = |name: &str, m: &Mutant<'_>| m.history.processes.iter().any(|one| one.name == name && one.lived());
    let all: Vec<_> = m.answered().into_iter().filter(|one| lived(&one.process, m)).collect();
    let one = m.chance.pick(&all)?;
    let lines = m.journals.get_mut(&one.process)?;
    lines.retain(|line| !matches!(line.what, What::Answered { request, .. } if request == one.number));
    Some(())
}

pub(super) fn misdeliver(m: &mut Mutant<'_>) -> Option<()> {
    let one = |m: &Mutant<'_>| m.delivered().into_iter().find(|(_, message, _)| message.to.is_some()).map(|one| one.0);
    let label = one(m)?;
    let message = &m.history.processes.iter().find(|one| one.name == label.process)?.messages[&label.number];
    let others = m.history.processes.iter().filter(|one| !one.ids.contains(message.to.as_ref().unwrap_or(&one.name)));
    let others: Vec<_> = others.map(|one| one.name.clone()).collect();
    let at = message.began + 1;
    let from = m.history.processes.iter().find(|one| one.name == label.process)?.ids.first()?.clone();
    let other = m.chance.pick(&others)?.clone();
    m.journals.get_mut(&other)?.push(Line { at, what: What::Received { from, message: label } });
    Some(())
}

pub(super) fn receive_again(m: &mut Mutant<'_>) -> Option<()> {
    let all: Vec<_> = m.delivered().into_iter().map(|(label, _, receiver)| (label, receiver.name.clone())).collect();
    let (label, receiver) = m.chance.pick(&all)?.clone();
    let line = m.receipt(&receiver, &label)?.clone();
    m.journals.get_mut(&receiver)?.push(line);
    Some(())
}

pub(super) fn exchange_receipts(m: &mut Mutant<'_>) -> Option<()> {
    let over = |message: &Message| match message.outcome {
        Sent::Done { at, .. } => at,
        _ => u64::MAX,
    };
    let delivered = m.delivered();
    let mut all = Vec::new();
    for (one, first, receiver) in &delivered {
        let later = |(other, second, by): &&(Label, &Message, &Process)| {
            other.process == one.process && by.name == receiver.name && over(first) < second.began
        };
        all.extend(
            delivered.iter().filter(later).map(|(other, ..)| (one.clone(), other.clone(), receiver.name.clone())),
        );
    }
    let (one, other, receiver) = m.chance.pick(&all)?.clone();
    // Both at once: the first is looked for until it has the other's place.
    let lines = m.journals.get_mut(&receiver)?;
    for line in lines {
        if let What::Received { message, .. } = &mut line.what {
            if *message == one {
                *message = other.clone();
            } else if *message == other {
                *message = one.clone();
            }
        }
    }
    Some(())
}

pub(super) fn drop_receipt(m: &mut Mutant<'_>) -> Option<()> {
    let alone = |(label, message, receiver): (Label, &Message, &Process)| {
        let listened = receiver.joined.as_ref().is_some_and(|(at, _)| *at < message.began);
        (message.to.is_some() && listened).then(|| (label, receiver.name.clone()))
    };
    let all: Vec<_> = m.delivered().into_iter().filter_map(alone).collect();
    let (label, receiver) = m.chance.pick(&all)?.clone();
    let lines = m.journals.get_mut(&receiver)?;
    lines.retain(|line| !matches!(&line.what, What::Received { message, .. } if *message == label));
    Some(())
}
