//! Calls that wait at a barrier.

use std::time::Instant;

use super::bell::Bell;
use super::calls::{Answer, Patience, TRY};
use super::shared::{Seat, Shared};
use crate::coordinator::session::GiveUp;
use crate::error::Error;
use crate::ident::{Name, Request};
use crate::wire::message::ToSupervisor;

impl Shared {
    /// Waits until so many have arrived; says whether this one leads them.
    pub(crate) fn meet(&self, name: &Name, parties: u32, patience: Patience) -> Result<bool, Error> {
        let began = Instant::now();
        let mut state = self.state();
        if state.leaving {
            return Err(Error::Left);
        }
        let (request, frame) = state.session.arrive(name.clone(), parties);
        let woken = state.calls.begin(request);
        self.submit(state, frame);
        let mut answer = self.await_answer(request, &woken, began, patience);
        if answer.is_err() {
            let mut state = self.state();
            match state.session.give_up(request) {
                GiveUp::Done(frame) => {
                    let connection = frame.is_some().then_some(state.connection);
                    self.submit(state, frame);
                    if let Some(connection) = connection {
                        self.await_hearing(request, connection, &woken);
                    }
                    let mut state = self.state();
                    state.session.forget_arrival(request);
                    // The supervisor had let it pass before it heard, and the others count on it: it may lead them.
                    if let Some(passed @ Answer::Passed(_)) = state.calls.take_answer(request) {
                        answer = Ok(passed);
                    }
                }
                GiveUp::TooLate => {
                    drop(state);
                    // The others may have passed because of this one. It is let go as soon as somebody reigns.
                    answer = self.await_answer(request, &woken, began, Patience::Forever);
                }
            }
        }
        self.state().calls.end(request);
        match answer? {
            Answer::Passed(leads) => Ok(leads),
            Answer::Denied(reason) => Err(Error::Denied(reason.into())),
            _ => Err(Error::Interrupted),
        }
    }

    /// Waits, but not for long, until the supervisor has heard everything that was said on this connection. Whoever begins
    /// to wait after this call has returned must not be counted together with it.
    fn await_hearing(&self, request: Request, connection: u64, woken: &Bell) {
        let began = Instant::now();
        let mut state = self.state();
        // The own half of the machine has heard it already.
        if state.connection != connection || !matches!(state.seat, Seat::Subordinate(_)) {
            return;
        }
        let ping = state.session.ping();
        state.calls.await_pong(request, ping);
        self.submit(state, Some(ToSupervisor::Ping(ping)));
        let mut state = self.state();
        while state.connection == connection && state.ponged < ping && !state.leaving && began.elapsed() < TRY {
            let left = TRY.saturating_sub(began.elapsed());
            state = self.wait_for_answer(state, woken, Some(left));
        }
    }
}
