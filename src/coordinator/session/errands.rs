//! Messages, questions and commands: what this instance sends and has not had an answer to, and what it is sent.
//!
//! None is ever done twice. When the connection ends, what was said on it and not answered is done or not, and nobody will
//! find out: it is over at once. A supervisor that leaves its office answers first what it has begun, so that a message or a
//! question which is unanswered then was not done, and is said again to the next one. What was not said yet waits for the
//! next reign. A command does not: it is the present supervisor's word, or an observer's to the present supervisor, and is
//! said at once or not at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::pace::Pace;
use super::{Effect, Misplaced, Notice, Session};
use crate::ident::{InstanceId, Request};
use crate::wire::message::{Ask, Command, Order, Post, Purpose, ToSupervisor};

/// Messages, questions and commands that were not answered yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Errands {
    /// Messages and questions that were not said yet, with their sizes. While the instance is part of a reign the first
    /// of them has no room.
    unsaid: BTreeMap<Request, (usize, ToSupervisor)>,
    /// What was said on this connection and somebody waits for. A message or a question is kept, to be said again if the
    /// supervisor leaves its office without having begun with it.
    waiting: BTreeMap<Request, Option<(usize, ToSupervisor)>>,
    /// Messages and questions that take room on this connection. Commands take none: they must not wait behind messages
    /// to the one that is to be stopped.
    said: Pace,
    /// Those of them that were given up, by the ping behind their cancel. Who has answered that has read them.
    cancelled: BTreeMap<u64, Request>,
    /// The supervisor has left its office and hears nothing any more: what is to be said is said to the next one.
    over: bool,
}

impl Errands {
    /// The next one that is to be said, if there is room for it.
    fn next(&mut self) -> Option<ToSupervisor> {
        if self.over {
            return None;
        }
        let first = self.unsaid.first_entry()?;
        let request = *first.key();
        if !self.said.begin(request, first.get().0) {
            return None;
        }
        let (size, frame) = first.remove();
        self.waiting.insert(request, Some((size, frame.clone())));
        Some(frame)
    }

    /// It was answered; says whether somebody waits for the answer.
    fn answered(&mut self, request: Request) -> bool {
        self.said.end(request);
        self.waiting.remove(&request).is_some()
    }
}

impl Session {
    /// Sends a message to one, or with `None` to all others. The answer is a [`Notice`]: `Delivered`, `Undelivered`,
    /// `Interrupted` or `Denied`. What is to be written, if there is anybody to write to and not too much under way:
    /// otherwise it is said when a reign is open, or when others are answered.
    pub fn post(&mut self, to: Option<InstanceId>, bytes: Arc<[u8]>) -> (Request, Option<ToSupervisor>) {
        let (request, size) = (self.next_request(), bytes.len());
        self.errand(request, size, ToSupervisor::Post(Post { request, to, bytes }))
    }

    /// Asks the supervisor's handler. The answer is a [`Notice`]: `Replied`, `Failed`, `Interrupted` or `Denied`.
    /// Otherwise as [`Session::post`].
    pub fn ask(&mut self, bytes: Arc<[u8]>) -> (Request, Option<ToSupervisor>) {
        let (request, size) = (self.next_request(), bytes.len());
        self.errand(request, size, ToSupervisor::Ask(Ask { request, bytes }))
    }

    /// Commands one, or with `None` all others. The answer is a [`Notice`]: `Delivered`, `Undelivered`, `Interrupted` or
    /// `Denied`. Outside an open reign there is nobody to say it to, and nothing happens.
    pub fn command(&mut self, to: Option<InstanceId>, order: Order) -> Option<(Request, ToSupervisor)> {
        if !self.is_settled() {
            return None;
        }
        let request = self.next_request();
        self.errands.waiting.insert(request, None);
        Some((request, ToSupervisor::Command(Command { request, to, order })))
    }

    /// Nobody waits for the answer to this message, question or command any more, and what is to be written. It may have
    /// been done, or still be done if it was said.
    pub fn forget_errand(&mut self, request: Request) -> Vec<ToSupervisor> {
        self.errands.unsaid.remove(&request);
        let mut frames = Vec::new();
        if self.errands.waiting.remove(&request).is_some() && self.errands.said.holds(request) {
            // Whoever hears the cancel in time drops it without an answer. Its room is free when that is sure to have
            // been heard, or calls that do not wait long would fill the connection to a supervisor that reads nothing.
            let ping = self.ping();
            self.errands.cancelled.insert(ping, request);
            frames.extend([ToSupervisor::Cancel(request), ToSupervisor::Ping(ping)]);
        }
        frames.extend(std::iter::from_fn(|| self.say_errand()));
        frames
    }

    /// Messages, questions and commands that wait for an answer, and those that were not even said yet.
    pub fn errands(&self) -> impl Iterator<Item = Request> {
        self.errands.waiting.keys().chain(self.errands.unsaid.keys()).copied()
    }

    fn errand(&mut self, request: Request, size: usize, frame: ToSupervisor) -> (Request, Option<ToSupervisor>) {
        self.errands.unsaid.insert(request, (size, frame));
        // If there are others before it they have no room, and it is not said either.
        (request, self.say_errand())
    }

    fn say_errand(&mut self) -> Option<ToSupervisor> {
        if self.is_settled() { self.errands.next() } else { None }
    }

    /// Says what is still to be said, as far as there is room.
    pub(super) fn say_errands(&mut self, effects: &mut Vec<Effect>) {
        effects.extend(std::iter::from_fn(|| self.say_errand()).map(Effect::Send));
    }

    /// The supervisor leaves its office, and has answered all that it had begun with. The rest is for the next one.
    pub(super) fn hold_errands(&mut self) {
        let errands = &mut self.errands;
        errands.over = true;
        let kept = std::mem::take(&mut errands.waiting).into_iter();
        for (request, frame) in kept {
            match frame {
                Some(frame) => drop(errands.unsaid.insert(request, frame)),
                None => drop(errands.waiting.insert(request, None)),
            }
        }
    }

    /// The connection has ended: of what was said on it nobody will learn whether it was done.
    pub(super) fn interrupt_errands(&mut self) -> Vec<Effect> {
        let unsaid = std::mem::take(&mut self.errands.unsaid);
        let over = std::mem::replace(&mut self.errands, Errands { unsaid, ..Errands::default() });
        over.waiting.into_keys().map(|request| Effect::Tell(Notice::Interrupted(request))).collect()
    }

    /// The answer to a message, a question or a command. One that nobody waits for any more has crossed the cancel.
    pub(super) fn errand_answered(
        &mut self,
        request: Request,
        notice: Notice,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Misplaced> {
        if !self.is_settled() {
            return Err(Misplaced("answer outside an open reign"));
        }
        self.errand_done(request, notice, effects);
        Ok(())
    }

    /// A request ended that may have been one of these.
    pub(super) fn errand_done(&mut self, request: Request, notice: Notice, effects: &mut Vec<Effect>) {
        if self.errands.answered(request) {
            effects.push(Effect::Tell(notice));
        }
        self.say_errands(effects);
    }

    /// A request was refused that may have been one of these.
    pub(super) fn errand_refused(&mut self, request: Request, effects: &mut Vec<Effect>) {
        self.errands.answered(request);
        self.say_errands(effects);
    }

    /// The supervisor has read everything up to this ping.
    pub(super) fn ponged(&mut self, ping: u64, effects: &mut Vec<Effect>) {
        let later = self.errands.cancelled.split_off(&ping.saturating_add(1));
        for request in std::mem::replace(&mut self.errands.cancelled, later).into_values() {
            self.errands.said.end(request);
        }
        self.say_errands(effects);
    }

    /// Somebody sends this instance a message, or the supervisor a command.
    pub(super) fn addressed(&self, notice: Notice, effects: &mut Vec<Effect>) -> Result<(), Misplaced> {
        self.expect_member()?;
        effects.push(Effect::Tell(notice));
        Ok(())
    }

    /// It is over: what was held is lost, and nothing is waited for any more. Who was evicted while it had no connection
    /// learns it in place of a Welcome.
    pub(super) fn evicted(&mut self, effects: &mut Vec<Effect>) -> Result<(), Misplaced> {
        if self.is_fresh() || self.purpose == Purpose::Observer {
            return Err(Misplaced("eviction of somebody who is not there"));
        }
        self.lose_all(effects);
        self.claims.clear();
        self.surveys = Default::default();
        self.puts = Default::default();
        self.arrivals = Default::default();
        self.errands = Default::default();
        effects.extend([Effect::Tell(Notice::Evicted), Effect::End]);
        Ok(())
    }

    /// Only who is part of a reign is spoken to, and to an observer nobody speaks.
    fn expect_member(&self) -> Result<(), Misplaced> {
        match (self.purpose, self.is_settled()) {
            (Purpose::Member, true) => Ok(()),
            (Purpose::Member, false) => Err(Misplaced("message outside an open reign")),
            (Purpose::Observer, _) => Err(Misplaced("message to an observer")),
        }
    }
}

#[cfg(test)]
mod tests;
