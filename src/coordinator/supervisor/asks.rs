//! What members and observers ask the application's handler, and what it answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::mail::Letter;
use super::{LinkId, Output, Supervisor};
use crate::ident::Request;
use crate::wire::VALUE_LIMIT;
use crate::wire::message::{Ask, ToMember};

/// The questions that the handler has not answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Asks {
    open: BTreeMap<u64, Asked>,
    /// The same questions, by who asks.
    askers: BTreeSet<(LinkId, Request, u64)>,
    bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Asked {
    link: LinkId,
    request: Request,
    cost: usize,
    /// The handler runs for it.
    is_begun: bool,
}

impl Asks {
    /// How many bytes of questions may be unanswered.
    const ROOM: usize = 64 << 20;
    /// What a question costs beside its bytes.
    const OVERHEAD: usize = 256;

    fn remove(&mut self, question: u64) -> Option<Asked> {
        let asked = self.open.remove(&question)?;
        self.askers.remove(&(asked.link, asked.request, question));
        self.bytes -= asked.cost;
        Some(asked)
    }

    fn remove_all(&mut self, link: LinkId, requests: std::ops::RangeInclusive<Request>) {
        let range = (link, *requests.start(), 0)..=(link, *requests.end(), u64::MAX);
        for (.., question) in self.askers.range(range).copied().collect::<Vec<_>>() {
            self.remove(question);
        }
    }

    /// The handler has not begun with these, and never will.
    pub(super) fn drop_unbegun(&mut self) {
        let unbegun = self.open.iter().filter(|(_, asked)| !asked.is_begun).map(|(question, _)| *question);
        for question in unbegun.collect::<Vec<_>>() {
            self.remove(question);
        }
    }

    /// Whether the handler runs for any of them.
    pub(super) fn is_any_begun(&self) -> bool {
        self.open.values().any(|asked| asked.is_begun)
    }

    /// The answers to those that the handler has begun with, when there is no time for its own.
    pub(super) fn last_answers(&self) -> Vec<(LinkId, ToMember)> {
        let begun = self.open.values().filter(|asked| asked.is_begun);
        begun.map(|asked| (asked.link, ToMember::Interrupted(asked.request))).collect()
    }

    /// Nobody waits for what this connection asked.
    pub(super) fn forget_link(&mut self, link: LinkId) {
        self.remove_all(link, Request::new(0)..=Request::new(u64::MAX));
    }

    /// The asker waits no more.
    pub(super) fn cancel(&mut self, link: LinkId, request: Request) {
        self.remove_all(link, request..=request);
    }
}

impl Supervisor {
    /// Somebody asks the handler.
    pub(super) fn ask(&mut self, link: LinkId, ask: Ask) {
        if self.is_too_early(link) {
            return;
        }
        let cost = ask.bytes.len() + Asks::OVERHEAD;
        let denied = match self.entry_of(link) {
            _ if !self.settings.control.answers => "the supervisor has no handler for requests",
            _ if self.asks.bytes + cost > Asks::ROOM => "too many requests wait for the handler",
            None => "nobody knows who asks",
            Some(entry) => {
                let question = self.next_question();
                self.asks.bytes += cost;
                self.asks.open.insert(question, Asked { link, request: ask.request, cost, is_begun: false });
                self.asks.askers.insert((link, ask.request, question));
                return self.outputs.push(Output::Handle(question, entry, ask.bytes));
            }
        };
        self.send(link, ToMember::Denied(ask.request, denied.into()));
    }

    /// The handler is to begin with a question. `false`: nobody waits for the answer, and it must not.
    pub fn begin(&mut self, question: u64) -> bool {
        self.asks.open.get_mut(&question).map(|asked| asked.is_begun = true).is_some()
    }

    /// What the handler says to a question, or why it says nothing: [`super::Output::Handle`]. The answer to a question
    /// that means nothing any more is ignored.
    pub fn handled(&mut self, question: u64, answer: Result<Arc<[u8]>, Box<str>>) {
        if let Some(Asked { link, request, .. }) = self.asks.remove(question) {
            let failed = match answer {
                Ok(bytes) if bytes.len() > VALUE_LIMIT => {
                    Some(format!("reply of {} bytes exceeds {VALUE_LIMIT}", bytes.len()).into())
                }
                Ok(bytes) => {
                    let reply = Letter::new(ToMember::Reply(request, bytes), None, None);
                    (!self.hand_out(reply, vec![link])).then(|| "too much waits to be delivered".into())
                }
                Err(why) => Some(why),
            };
            if let Some(why) = failed {
                self.send(link, ToMember::Failed(request, why));
            }
        }
        self.progress();
    }

    /// Whether anybody still waits for the handler's answer to a question.
    pub(super) fn is_asked(&self, question: u64) -> bool {
        self.asks.open.contains_key(&question)
    }

    /// Panics with a sentence if the questions contradict themselves.
    pub(super) fn check_asks(&self) {
        let asks = &self.asks;
        assert_eq!(asks.open.len(), asks.askers.len(), "a question is not found by who asks");
        assert_eq!(
            asks.bytes,
            asks.open.values().map(|asked| asked.cost).sum::<usize>(),
            "questions are counted wrong"
        );
        assert!(asks.bytes <= Asks::ROOM, "too many questions wait");
        for (question, asked) in &asks.open {
            assert!(asks.askers.contains(&(asked.link, asked.request, *question)), "a question has another asker");
            assert!(self.is_open_link(asked.link), "somebody who has gone is to be answered");
        }
    }
}

#[cfg(test)]
mod tests;
