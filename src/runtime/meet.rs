//! Calls that wait at a barrier.

use std::time::Instant;

use super::calls::{Answer, Patience};
use super::shared::Shared;
use crate::coordinator::session::GiveUp;
use crate::error::Error;
use crate::ident::Name;

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
                GiveUp::Done(frame) => self.submit(state, frame),
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
}
