//! Calls that wait at a barrier.

use std::time::Instant;

use super::bell::Bell;
use super::calls::{Answer, Patience, TRY};
use super::grant::Unwound;
use super::shared::Shared;
use crate::coordinator::session::{Session, Withdrawal};
use crate::error::Error;
use crate::ident::{Name, Request};

impl Shared {
    /// Waits until so many have arrived; says whether this one leads them.
    pub(crate) fn meet(&self, name: &Name, parties: u32, patience: Patience) -> Result<bool, Error> {
        let began = Instant::now();
        let mut state = self.state();
        if state.leaving {
            return Err(state.left());
        }
        let (request, frame) = state.session.arrive(name.clone(), parties);
        let woken = state.calls.begin(request);
        let give_up = |session: &mut Session, request| match session.withdraw(request) {
            Withdrawal::Asked(frame) => frame,
            Withdrawal::Done | Withdrawal::Decided => None,
        };
        let _unwound = Unwound { shared: self, request, give_up };
        self.submit(state, frame);
        let mut answer = self.await_answer(request, &woken, began, patience);
        if matches!(answer, Err(Error::TimedOut { .. })) {
            answer = self.take_back(request, &woken);
        }
        self.state().calls.end(request);
        match answer? {
            Answer::Passed(leads) => Ok(leads),
            Answer::Withdrawn => Err(Error::timed_out(began.elapsed())),
            Answer::Denied(reason) => Err(Error::Denied(reason.into())),
            _ => Err(Error::Interrupted),
        }
    }

    /// The time of a wait has passed: asks for the arrival to be taken back, and waits until it is known whether it was.
    ///
    /// When nobody says so for a second the caller is let go. The withdrawal goes on without it: the arrival does not stand
    /// for longer than it takes a supervisor to answer.
    fn take_back(&self, request: Request, woken: &Bell) -> Result<Answer, Error> {
        let began = Instant::now();
        let mut state = self.state();
        match state.session.withdraw(request) {
            Withdrawal::Done => return Ok(Answer::Withdrawn),
            Withdrawal::Decided => drop(state),
            Withdrawal::Asked(frame) => {
                self.submit(state, frame);
                match self.await_answer(request, woken, began, Patience::For(TRY)) {
                    Err(Error::TimedOut { .. }) => {}
                    answer => return answer,
                }
                if self.state().session.withdraw(request) != Withdrawal::Decided {
                    return Err(Error::Interrupted);
                }
            }
        }
        // The others may have passed because of this one. It is let go as soon as somebody reigns.
        self.await_answer(request, woken, began, Patience::Forever)
    }
}
