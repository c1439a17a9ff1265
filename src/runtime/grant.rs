//! A call that waits for a grant.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::bell::Bell;
use super::calls::{Answer, Patience, Place, TRY};
use super::shared::{Seat, Shared, State};
use super::warden::LEAST_SLICE;
use crate::coordinator::session::{Hold, Session};
use crate::error::Error;
use crate::ident::{Request, Resource};
use crate::wire::message::{Mode, ToSupervisor};

/// How long a call that has run out of time still waits to be told who holds what it wanted.
const LAST_WORD: Duration = Duration::from_millis(100);

impl Shared {
    /// Asks for a grant and waits for it.
    pub(crate) fn acquire(&self, name: &Resource, mode: Mode, patience: Patience) -> Result<(Request, Hold), Error> {
        let began = Instant::now();
        let mut state = self.state();
        if state.leaving {
            return Err(Error::Left);
        }
        if matches!(patience, Patience::Try) && !state.session.is_settled() {
            return Err(Error::WouldBlock { holder: None });
        }
        let (request, frame) = state.session.acquire(name.clone(), mode);
        let woken = state.calls.begin(request);
        self.submit(state, frame);
        let granted = Waiting { shared: self, request, began, patience, woken, asked: None, ping: None }.wait();
        let mut state = self.state();
        state.calls.end(request);
        if granted.is_err() {
            // Also what came in the last moment: nobody waits for it any more.
            let frame = state.session.cancel(request);
            self.submit(state, frame);
        }
        granted.map(|hold| (request, hold))
    }

    /// Ends a grant; says whether it was held until now.
    pub(crate) fn release(&self, request: Request) -> bool {
        self.give_back(request, Session::release)
    }

    /// Ends a grant in the middle of the work.
    pub(crate) fn abandon(&self, request: Request) {
        self.give_back(request, Session::abandon);
    }

    fn give_back(&self, request: Request, how: impl FnOnce(&mut Session, Request) -> Option<ToSupervisor>) -> bool {
        let mut state = self.state();
        // With the instance all that it held has gone, whatever its own table still says.
        let held = state.session.held(request).is_some() && !state.leaving;
        let frame = how(&mut state.session, request);
        self.submit(state, frame);
        held
    }

    /// How a request is held, if it is.
    pub(crate) fn held(&self, request: Request) -> Option<Hold> {
        let state = self.state();
        state.session.held(request).filter(|_| !state.leaving)
    }
}

struct Waiting<'a> {
    shared: &'a Shared,
    request: Request,
    began: Instant,
    patience: Patience,
    woken: Arc<Bell>,
    /// The time has passed and the supervisor was asked for the place: until when it may answer, and how often a place
    /// had been told before.
    asked: Option<(Instant, u32)>,
    /// The ping whose answer proves that a grant still stands, and the connection on which it was sent.
    ping: Option<(u64, u64)>,
}

/// What a look at the state leads to.
enum Next {
    Done(Result<Hold, Error>),
    Say(ToSupervisor),
    Sleep(Option<Duration>),
}

impl Waiting<'_> {
    fn wait(mut self) -> Result<Hold, Error> {
        let mut state = self.shared.state();
        loop {
            match self.look(&mut state) {
                Next::Done(granted) => return granted,
                Next::Say(frame) => {
                    self.shared.submit(state, Some(frame));
                    state = self.shared.state();
                }
                Next::Sleep(left) => state = self.shared.wait_for_answer(state, &self.woken, left),
            }
        }
    }

    fn look(&mut self, state: &mut State) -> Next {
        if state.leaving {
            return Next::Done(Err(Error::Left));
        }
        if let Some(Answer::Denied(reason)) = state.calls.take_answer(self.request) {
            return Next::Done(Err(Error::Denied(reason.into())));
        }
        if state.session.is_takeable(self.request) {
            match self.doubt(state) {
                Doubt::Ask(ping) => return Next::Say(ToSupervisor::Ping(ping)),
                Doubt::Open => {}
                Doubt::None => {
                    if let Some(hold) = state.session.take(self.request) {
                        return Next::Done(Ok(hold));
                    }
                }
            }
        }
        let place = state.calls.place(self.request);
        let waited = self.began.elapsed();
        match self.patience {
            Patience::Forever => Next::Sleep(None),
            Patience::For(limit) if waited < limit => Next::Sleep(Some(limit - waited)),
            Patience::For(_) => self.late(state, place),
            Patience::Try if place.told > 0 || !state.session.is_settled() || waited >= TRY => {
                Next::Done(Err(Error::WouldBlock { holder: place.holder.and_then(|holder| state.holder(holder)) }))
            }
            Patience::Try => Next::Sleep(Some(TRY - waited)),
        }
    }

    /// The time has passed. Who holds it now is worth a moment; whoever held it when the request came may be long gone.
    fn late(&mut self, state: &State, place: Place) -> Next {
        let settled = state.session.is_settled();
        match self.asked {
            None => {
                self.asked = Some((Instant::now() + LAST_WORD, place.told));
                if let Some(question) = state.session.inquire(self.request) {
                    return Next::Say(question);
                }
            }
            Some((until, told)) if settled && place.told == told && Instant::now() < until => {
                return Next::Sleep(Some(until.saturating_duration_since(Instant::now())));
            }
            _ => {}
        }
        Next::Done(Err(Error::TimedOut {
            waited: self.began.elapsed(),
            holder: place.holder.and_then(|holder| state.holder(holder)),
            position: (place.told > 0).then_some(place.ahead),
        }))
    }

    /// A grant that is read long after it was asked for may have been given up since: this process may have been stopped
    /// with the grant in its buffer, and behind it the end of the connection. The answer to a ping that is sent now comes
    /// only if the connection still stands.
    ///
    /// Long is what is long for the shortest window: which limit counts is said by whoever reigns, not by this instance.
    fn doubt(&mut self, state: &mut State) -> Doubt {
        let soon = self.began.elapsed() < LEAST_SLICE / 2;
        if soon || matches!(state.seat, Seat::Supervisor(_)) {
            return Doubt::None;
        }
        match self.ping {
            Some((connection, ping)) if connection == state.connection => {
                if state.ponged < ping {
                    Doubt::Open
                } else {
                    Doubt::None
                }
            }
            _ => {
                let ping = state.session.ping();
                self.ping = Some((state.connection, ping));
                Doubt::Ask(ping)
            }
        }
    }
}

/// Whether it is certain that a grant still stands.
enum Doubt {
    None,
    /// Ask with this ping.
    Ask(u64),
    /// The answer has not come.
    Open,
}
