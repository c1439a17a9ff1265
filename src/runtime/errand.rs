//! Calls that send a message, ask the supervisor's handler, or command.

use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use super::calls::{Answer, Patience};
use super::shared::{Shared, State};
use crate::error::Error;
use crate::ident::{InstanceId, Request};
use crate::text::Plain;
use crate::wire::VALUE_LIMIT;
use crate::wire::message::{Order, Purpose, ToSupervisor};

impl Shared {
    /// Sends a message to one, or to all others, and waits until the kernels of those who are there have it: how many.
    pub(crate) fn send(&self, to: Option<InstanceId>, bytes: Arc<[u8]>, patience: Patience) -> Result<u32, Error> {
        within_limit("message", bytes.len())?;
        let began = Instant::now();
        let mut state = self.willing(patience)?;
        let said = state.session.post(to, bytes);
        let answer = self.await_errand(state, said, began, patience)?;
        delivered(answer, to)
    }

    /// Asks the supervisor's handler and waits for what it answers.
    pub(crate) fn ask(&self, bytes: Arc<[u8]>, patience: Patience) -> Result<Arc<[u8]>, Error> {
        within_limit("request", bytes.len())?;
        let began = Instant::now();
        let mut state = self.willing(patience)?;
        let said = state.session.ask(bytes);
        match self.await_errand(state, said, began, patience)? {
            Answer::Replied(bytes) => Ok(bytes),
            Answer::Failed(reason) => Err(Error::Failed(Plain(&reason).to_string().into())),
            other => Err(failure(other)),
        }
    }

    /// Commands one, or all others, and waits until the kernels of those who are there have it: how many. Of the
    /// instances of a group only the supervisor can do that, at once or not at all. An observer waits for somebody who
    /// reigns.
    pub(crate) fn command(&self, to: Option<InstanceId>, order: Order, patience: Patience) -> Result<u32, Error> {
        if let Order::Custom(bytes) = &order {
            within_limit("command", bytes.len())?;
        }
        let began = Instant::now();
        let mut state = self.willing(Patience::Forever)?;
        while !state.session.is_settled() && self.settings.purpose == Purpose::Observer && !state.leaving {
            state = self.wait_within(state, began, patience.limit())?;
        }
        if state.leaving {
            return Err(state.left());
        }
        let may = self.settings.purpose == Purpose::Observer || state.reigning().is_some();
        let said = if may { state.session.command(to, order) } else { None };
        let (request, frame) = said.ok_or(Error::NotSupervisor)?;
        let answer = self.await_errand(state, (request, Some(frame)), began, patience)?;
        delivered(answer, to)
    }

    /// The state, if a call with this patience may begin.
    fn willing(&self, patience: Patience) -> Result<MutexGuard<'_, State>, Error> {
        let state = self.state();
        match patience {
            _ if state.leaving => Err(state.left()),
            Patience::Try if !state.session.is_settled() => Err(Error::WouldBlock { holder: None }),
            _ => Ok(state),
        }
    }

    /// Says what the session has decided to say, and waits for the answer.
    fn await_errand(
        &self,
        mut state: MutexGuard<'_, State>,
        (request, frame): (Request, Option<ToSupervisor>),
        began: Instant,
        patience: Patience,
    ) -> Result<Answer, Error> {
        let woken = state.calls.begin(request);
        self.submit(state, frame);
        // There was an open reign when it began. If that ends, so does the wait: nothing is said twice.
        let answer = self.await_reply(request, &woken, began, patience);
        let mut state = self.state();
        state.calls.end(request);
        let frames = state.session.forget_errand(request);
        self.submit(state, frames);
        answer
    }
}

impl Patience {
    /// For how long it lets an answer be waited for that was asked for.
    const fn limit(self) -> Option<Duration> {
        match self {
            Self::For(limit) => Some(limit),
            Self::Forever | Self::Try => None,
        }
    }
}

fn within_limit(option: &'static str, size: usize) -> Result<(), Error> {
    if size <= VALUE_LIMIT {
        return Ok(());
    }
    Err(Error::Option { option, value: size as u64, limit: VALUE_LIMIT as u64 })
}

fn delivered(answer: Answer, to: Option<InstanceId>) -> Result<u32, Error> {
    match (answer, to) {
        (Answer::Delivered(count), _) => Ok(count),
        (Answer::Undelivered, Some(id)) => Err(Error::Unreachable { id }),
        (Answer::Undelivered, None) => Ok(0),
        (other, _) => Err(failure(other)),
    }
}

fn failure(answer: Answer) -> Error {
    match answer {
        Answer::Denied(reason) => Error::Denied(reason.into()),
        _ => Error::Interrupted,
    }
}

#[cfg(test)]
mod tests;
