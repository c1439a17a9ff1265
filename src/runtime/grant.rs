//! A call that waits for a grant.

use std::panic::{AssertUnwindSafe, catch_unwind};
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

/// How long a call that has run out of time still waits for the supervisor's last word, at least. The supervisor has
/// [`TRY`] in all, as in a call that does not wait.
const LAST_WORD: Duration = Duration::from_millis(100);

impl Shared {
    /// Asks for a grant and waits for it.
    pub(crate) fn acquire(&self, name: &Resource, mode: Mode, patience: Patience) -> Result<(Request, Hold), Error> {
        let began = Instant::now();
        let mut state = self.state();
        if state.leaving {
            return Err(state.left());
        }
        if matches!(patience, Patience::Try) && !state.session.is_settled() {
            return Err(Error::WouldBlock { holder: None });
        }
        let (request, frame) = state.session.acquire(name.clone(), mode);
        let woken = state.calls.begin(request);
        let _unwound = Unwound { shared: self, request, give_up: Session::cancel };
        self.submit(state, frame);
        let granted =
            Waiting { shared: self, request, began, patience, woken, late: None, asked: None, ping: None }.wait();
        let mut state = self.state();
        state.calls.end(request);
        if granted.is_err() {
            // Also what came in the last moment: nobody waits for it any more.
            let frame = state.session.cancel(request);
            self.submit(state, frame);
        }
        granted.map(|hold| (request, hold))
    }

    /// Ends a grant, without waiting until the supervisor has taken that in.
    pub(crate) fn release(&self, request: Request) {
        self.give_back(request, Session::release);
    }

    /// Ends a grant in the middle of the work.
    pub(crate) fn abandon(&self, request: Request) {
        self.give_back(request, Session::abandon);
    }

    fn give_back(&self, request: Request, how: impl FnOnce(&mut Session, Request) -> Option<ToSupervisor>) {
        let mut state = self.state();
        let frame = how(&mut state.session, request);
        self.submit(state, frame);
    }

    /// Ends a grant and waits until the supervisor has taken that in.
    ///
    /// The supervisor takes the frames of a connection in their order, so that the answer to a ping behind the release
    /// proves it. What is released is in no later claim: a member that is part of the next reign holds it no more.
    pub(crate) fn release_confirmed(&self, request: Request) -> Result<(), Error> {
        let began = Instant::now();
        let mut state = self.state();
        // With the instance all that it held has gone, whatever its own table still says.
        let held = state.session.held(request).is_some() && !state.leaving;
        let release = state.session.release(request);
        if !held {
            self.submit(state, release);
            return Err(Error::Lost);
        }
        let woken = state.calls.begin(request);
        let sent = release.is_some().then(|| (state.connection, state.session.ping()));
        if let Some((_, ping)) = sent {
            state.calls.await_pong(request, ping);
        }
        self.submit(state, release.into_iter().chain(sent.map(|(_, ping)| ToSupervisor::Ping(ping))));
        let mut state = self.state();
        let confirmed = loop {
            let ping = sent.filter(|(connection, _)| *connection == state.connection).map(|(_, ping)| ping);
            if ping.map_or_else(|| state.session.is_settled(), |ping| state.ponged >= ping) {
                break Ok(());
            }
            let left = TRY.saturating_sub(began.elapsed());
            if state.leaving || left.is_zero() {
                break Err(Error::Interrupted);
            }
            state = match ping {
                Some(_) => self.wait_for_answer(state, &woken, Some(left)),
                None => self.wait(state, left),
            };
        };
        state.calls.end(request);
        confirmed
    }

    /// How a request is held, if it is.
    pub(crate) fn held(&self, request: Request) -> Option<Hold> {
        let state = self.state();
        state.session.held(request).filter(|_| !state.leaving)
    }
}

/// Gives a request up if the call panics, most likely in the application's logger: otherwise a grant would be kept that no
/// call takes, or a party counted at a barrier that does not wait there.
pub(super) struct Unwound<'a> {
    pub(super) shared: &'a Shared,
    pub(super) request: Request,
    /// Gives it up in the session, and returns what to send.
    pub(super) give_up: fn(&mut Session, Request) -> Option<ToSupervisor>,
}

impl Drop for Unwound<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = catch_unwind(AssertUnwindSafe(|| {
                let mut state = self.shared.state();
                state.calls.end(self.request);
                let frame = (self.give_up)(&mut state.session, self.request);
                self.shared.submit(state, frame);
            }));
        }
    }
}

struct Waiting<'a> {
    shared: &'a Shared,
    request: Request,
    began: Instant,
    patience: Patience,
    woken: Arc<Bell>,
    /// The call does not wait any longer: until when the supervisor may still answer.
    late: Option<Instant>,
    /// The supervisor was asked how the request stands, and so often had it said so before.
    asked: Option<u32>,
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
            return Next::Done(Err(state.left()));
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
        let waited = self.began.elapsed();
        match self.patience {
            Patience::Forever => Next::Sleep(None),
            Patience::For(limit) if waited < limit => Next::Sleep(Some(limit - waited)),
            Patience::For(_) | Patience::Try => self.late(state),
        }
    }

    /// The call waits no longer for others. It gives up only when it has an exact answer, for which the supervisor asks the
    /// kernel whether those in the way live: what it says of its own accord can be about one that has just died.
    ///
    /// The question follows the first answer, since a policy may come before that.
    fn late(&mut self, state: &State) -> Next {
        let now = Instant::now();
        let last_word = match self.patience {
            // The round trip is not counted: the supervisor has a second in all.
            Patience::For(limit) => LAST_WORD.max(TRY.saturating_sub(limit)),
            _ => TRY,
        };
        let until = *self.late.get_or_insert(now + last_word);
        let place = state.calls.place(self.request);
        let exact = self.asked.is_some_and(|told| place.told > told);
        if exact || !state.session.is_settled() || now >= until {
            return Next::Done(Err(self.missed(state, place, exact)));
        }
        if self.asked.is_none()
            && place.told > 0
            && let Some(question) = state.session.inquire(self.request)
        {
            self.asked = Some(place.told);
            return Next::Say(question);
        }
        Next::Sleep(Some(until - now))
    }

    fn missed(&self, state: &State, place: Place, exact: bool) -> Error {
        let holder = || place.holder.and_then(|holder| state.holder(holder));
        match self.patience {
            Patience::Try => Error::WouldBlock { holder: holder().filter(|_| exact) },
            _ => Error::TimedOut {
                waited: self.began.elapsed(),
                holder: holder(),
                position: (place.told > 0).then_some(place.ahead),
            },
        }
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
                state.calls.await_pong(self.request, ping);
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
