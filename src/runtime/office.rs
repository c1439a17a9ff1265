//! Who waits for the office, who has it, and how it is handed over; and the question that waiting raises, whether the
//! present supervisor still answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::peer::Peer;
use super::reign::Reign;
use super::shared::{Seat, Shared, State};
use crate::error::Error;
use crate::event::Event;
use crate::ident::Epoch;
use crate::wire::message::ToSupervisor;

/// A ping on the present connection. There is one at a time, whoever waits: to a supervisor that does not read, more of
/// them would fill the connection until writing the next one blocks.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) ping: u64,
    pub(super) answered: bool,
    /// The first time for an answer has passed. The second begins when a caller has run again, since a process that was
    /// stopped meanwhile, or a machine that slept, has proved nothing.
    doubted: bool,
    /// Since when this time runs.
    since: Instant,
}

impl Shared {
    /// Waits until this instance is the supervisor of an open reign of which everyone has been told, and keeps it from resigning from then on.
    /// `timeout` zero: does not wait.
    pub(crate) fn take_office(&self, timeout: Option<Duration>) -> Result<Epoch, Error> {
        let began = Instant::now();
        let mut state = self.state();
        loop {
            if state.leaving {
                return Err(state.left());
            }
            if let (Some(epoch), true, false) = (state.reigning(), state.is_open(), state.resigning) {
                state.offices += 1;
                return Ok(epoch);
            }
            if timeout.is_some_and(|timeout| timeout.is_zero()) {
                return Err(Error::WouldBlock { holder: None });
            }
            // Somebody waits for the supervisor's end, so somebody should notice if it only hangs.
            if let Some(peer) = self.inquire(&mut state) {
                drop(state);
                peer.flush();
                state = self.state();
                continue;
            }
            let left = timeout.map(|timeout| timeout.saturating_sub(began.elapsed()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(Error::timed_out(began.elapsed()));
            }
            let slice = left.map_or(Self::ANSWER, |left| left.min(Self::ANSWER));
            state = self.wait(state, slice);
        }
    }

    /// Looks after the question whether the supervisor answers, and says whose outbox is to be flushed for it.
    pub(super) fn inquire(&self, state: &mut State) -> Option<Arc<Peer>> {
        let Seat::Subordinate(peer) = &state.seat else { return None };
        if let Some(question) = &mut state.question {
            if question.since.elapsed() < Self::ANSWER {
                return None;
            }
            if !question.answered {
                question.since = Instant::now();
                let hung = std::mem::replace(&mut question.doubted, true);
                if hung && !std::mem::replace(&mut state.hung, true) {
                    self.hub.emit(&Event::Hung { supervisor: state.session.supervisor(), listener: None });
                }
                return None;
            }
        }
        let peer = peer.clone();
        let (ping, since) = (state.session.ping(), Instant::now());
        peer.outbox.push(&ToSupervisor::Ping(ping));
        state.question = Some(Question { ping, answered: false, doubted: false, since });
        Some(peer)
    }

    /// How long a supervisor has to answer a ping, twice.
    pub(super) const ANSWER: Duration = Duration::from_secs(2);

    /// Whether the reign in which an office was taken goes on.
    pub(crate) fn is_reigning(&self, epoch: Epoch) -> bool {
        self.state().reigning() == Some(epoch)
    }

    /// An office guard is dropped.
    pub(crate) fn leave_office(&self) {
        let mut state = self.state();
        state.offices = state.offices.saturating_sub(1);
        self.changed.notify_all();
    }

    /// Waits until no office guard is left and lets none be taken from then on. The time is that of the call, which
    /// began then.
    pub(crate) fn prepare_resignation(
        &self,
        began: Instant,
        timeout: Option<Duration>,
    ) -> Result<(Arc<Reign>, Epoch), Error> {
        let mut state = self.state();
        loop {
            if state.leaving {
                return Err(state.left());
            }
            let Some(epoch) = state.reigning().filter(|_| !state.resigning) else {
                return Err(Error::NotSupervisor);
            };
            let me = state.session.id();
            if !state.session.view().keys().any(|id| *id != me) {
                return Err(Error::NoHeir);
            }
            let Seat::Supervisor(reign) = &state.seat else { return Err(Error::NotSupervisor) };
            if state.offices == 0 {
                let reign = reign.clone();
                state.resigning = true;
                return Ok((reign, epoch));
            }
            state = self.wait_within(state, began, timeout)?;
        }
    }

    /// Waits until the instance is part of a later reign. The time is that of the call, which began then.
    pub(crate) fn wait_after(&self, epoch: Epoch, began: Instant, timeout: Option<Duration>) -> Result<(), Error> {
        let mut state = self.state();
        loop {
            if state.leaving {
                return Err(state.left());
            }
            if state.session.is_settled() && state.session.stamp().epoch > epoch {
                return Ok(());
            }
            state = self.wait_within(state, began, timeout)?;
        }
    }
}
