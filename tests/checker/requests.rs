//! What can be proved of requests: that the handler runs at most once for each, and that an answer is what it said.

use std::collections::BTreeMap;

use super::history::{History, Process, Reply, Request, Run};
use super::journal::{Label, Why};

/// All requests of a history, and the runs of handlers.
pub(super) struct Requests<'a> {
    all: Vec<(Label, &'a Process, &'a Request)>,
    /// By what was asked: which runs there were.
    runs: BTreeMap<&'a Label, Vec<(Label, &'a Run)>>,
}

impl<'a> Requests<'a> {
    pub(super) fn of(history: &'a History) -> Self {
        let (mut all, mut runs) = (Vec::new(), BTreeMap::<_, Vec<_>>::new());
        for process in &history.processes {
            let label = |number: &u64| Label { process: process.name.clone(), number: *number };
            all.extend(process.requests.iter().map(|(number, request)| (label(number), process, request)));
            for (number, run) in &process.runs {
                runs.entry(&run.asked).or_default().push((label(number), run));
            }
        }
        Self { all, runs }
    }

    fn runs_of(&self, asked: &Label) -> &[(Label, &'a Run)] {
        self.runs.get(asked).map(Vec::as_slice).unwrap_or_default()
    }

    /// The handler runs at most once for a request, not before it is asked, and not at all if the asker was told that it
    /// would not.
    pub(super) fn at_most_once(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let known: BTreeMap<_, _> = self.all.iter().map(|(label, _, request)| (label, *request)).collect();
        for (asked, runs) in &self.runs {
            let Some(request) = known.get(asked) else {
                wrong.push(format!("{} ran for {asked}, which nobody asked", words(runs)));
                continue;
            };
            if runs.len() > 1 {
                wrong.push(format!("{} ran for {asked}", words(runs)));
            }
            if runs.iter().any(|(_, run)| run.at < request.began) {
                wrong.push(format!("{} ran for {asked} before it was asked", words(runs)));
            }
            if let Reply::None { why: why @ (Why::Blocked | Why::Refused), .. } = request.outcome {
                wrong.push(format!("{} ran for {asked}, which was {why}", words(runs)));
            }
        }
        wrong
    }

    /// Whoever has an answer, or was told that there is none, asked what ran before that; and the answer is that run's,
    /// to that request.
    pub(super) fn answers(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (label, _, request) in &self.all {
            let runs = self.runs_of(label);
            match &request.outcome {
                Reply::Answered { at, run, asked } => {
                    if asked != label {
                        wrong.push(format!("{label} was answered with what was said to {asked}"));
                    } else if !runs.iter().any(|(known, ran)| known == run && ran.at <= *at) {
                        wrong.push(format!("{label} was answered by {run}, and before there had run: {}", words(runs)));
                    }
                }
                Reply::None { at, why: Why::Failed } => {
                    if !runs.iter().any(|(_, ran)| ran.at <= *at) {
                        wrong.push(format!("{label} was told that the handler failed, which had not run"));
                    }
                }
                Reply::Open | Reply::None { .. } => {}
            }
        }
        wrong
    }
}

fn words(runs: &[(Label, &Run)]) -> String {
    let runs: Vec<_> = runs.iter().map(|(label, _)| label.to_string()).collect();
    if runs.is_empty() { "nothing".to_owned() } else { runs.join(" and ") }
}
