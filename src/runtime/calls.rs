//! Calls that wait for the supervisor's answer.
//!
//! The session remembers what was asked for, across reigns; here is only who is to be woken by which answer. Every call
//! has its own condition variable, so that a thousand waiters of one process are not woken for the grant of one.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use super::bell::Bell;
use super::endpoint;
use super::peer::{Listen, Peer};
use super::shared::{Seat, Shared, State};
use crate::coordinator::session::Survey;
use crate::coordinator::supervisor::LinkId;
use crate::error::Error;
use crate::ident::{Request, Stamp};
use crate::wire::message::{Holding, ToSupervisor};

/// For how long a call may block.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience {
    /// Until it is done.
    Forever,
    /// For at most this long, not counting the round trip to the supervisor.
    For(Duration),
    /// Only until the supervisor has answered: not for other holders, nor for an election.
    Try,
}

impl Patience {
    /// What is left of the patience of a call that began then.
    pub(crate) fn left(self, began: Instant) -> Self {
        match self {
            Self::For(time) => Self::For(time.saturating_sub(began.elapsed())),
            patience => patience,
        }
    }
}

impl State {
    /// How long a call with this time may wait when the answer of the supervisor is all that it waits for. The time of a call
    /// is for others, and that of the round trip is not counted; but outside an open reign there is no supervisor to answer.
    pub(super) fn limit_for_an_answer(&self, time: Duration) -> Duration {
        if self.session.is_settled() { time.max(TRY) } else { time }
    }
}

/// How long a call that is not to wait for others waits for the supervisor.
pub(crate) const TRY: Duration = Duration::from_secs(1);

/// How a request ended.
#[derive(Debug)]
pub(super) enum Answer {
    /// It was refused.
    Denied(Box<str>),
    /// The write is done.
    Stored(Stamp),
    /// The write was refused: the key has this version.
    Conflict(Stamp),
    /// It is unknown whether it was done.
    Interrupted,
    /// The barrier has let it pass, as leader or not.
    Passed(bool),
    /// The arrival at the barrier was taken back.
    Withdrawn,
    /// Who holds what.
    Surveyed(Arc<Survey>),
    /// A message or a command has reached so many.
    Delivered(u32),
    /// The one that it was for is not there.
    Undelivered,
    /// What the handler answered.
    Replied(Arc<[u8]>),
    /// The handler has no answer, and why.
    Failed(Box<str>),
}

/// A place in a queue as it was told last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    /// How often a place was told.
    pub(super) told: u32,
    pub(super) ahead: u32,
    pub(super) holder: Option<Holding>,
}

/// The calls of one instance that wait.
#[derive(Debug, Default)]
pub(super) struct Calls(BTreeMap<Request, Call>);

#[derive(Debug, Default)]
struct Call {
    woken: Arc<Bell>,
    answer: Option<Answer>,
    place: Place,
    /// The ping whose answer the call waits for; 0: none.
    ping: u64,
}

impl Calls {
    /// A call that is to be woken by whatever is said about its request.
    pub(super) fn begin(&mut self, request: Request) -> Arc<Bell> {
        self.0.entry(request).or_default().woken.clone()
    }

    /// The call is over. If it read for the others, one of them goes on.
    pub(super) fn end(&mut self, request: Request) {
        self.0.remove(&request);
        self.hand_over();
    }

    /// Somebody who waits should see whether it can read.
    pub(super) fn hand_over(&self) {
        if let Some(call) = self.0.values().next() {
            call.woken.ring();
        }
    }

    /// Something has changed that the session knows.
    pub(super) fn wake(&self, request: Request) {
        if let Some(call) = self.0.get(&request) {
            call.woken.ring();
        }
    }

    /// Something has changed for everybody.
    pub(super) fn wake_all(&self) {
        self.0.values().for_each(|call| call.woken.ring());
    }

    pub(super) fn settle(&mut self, request: Request, answer: Answer) {
        if let Some(call) = self.0.get_mut(&request) {
            call.answer = Some(answer);
            call.woken.ring();
        }
    }

    pub(super) fn queued(&mut self, request: Request, ahead: u32, holder: Option<Holding>) {
        if let Some(call) = self.0.get_mut(&request) {
            call.place = Place { told: call.place.told + 1, ahead, holder };
            call.woken.ring();
        }
    }

    /// The call waits for the answer to this ping.
    pub(super) fn await_pong(&mut self, request: Request, ping: u64) {
        if let Some(call) = self.0.get_mut(&request) {
            call.ping = ping;
        }
    }

    /// This ping, and every one before it, was answered.
    pub(super) fn ponged(&self, ping: u64) {
        self.0.values().filter(|call| (1..=ping).contains(&call.ping)).for_each(|call| call.woken.ring());
    }

    pub(super) fn take_answer(&mut self, request: Request) -> Option<Answer> {
        self.0.get_mut(&request)?.answer.take()
    }

    /// The place of a request; told 0 times: none was told yet.
    pub(super) fn place(&self, request: Request) -> Place {
        self.0.get(&request).map_or(Place::default(), |call| call.place)
    }
}

impl Shared {
    /// Says something to the present supervisor, in the order in which the session decided it.
    pub(super) fn submit(&self, state: MutexGuard<'_, State>, frames: impl IntoIterator<Item = ToSupervisor>) {
        let mut frames = frames.into_iter().peekable();
        if frames.peek().is_none() {
            return;
        }
        match &state.seat {
            Seat::Subordinate(peer) => {
                let peer = peer.clone();
                frames.for_each(|frame| peer.outbox.push(&frame));
                drop(state);
                peer.flush();
            }
            Seat::Supervisor(reign) => {
                let reign = reign.clone();
                // The registry's lock comes before that of the state.
                drop(state);
                reign.step(|machine| frames.for_each(|frame| machine.frame(LinkId::LOCAL, frame)));
            }
            // The next hello says it, or has no need to.
            Seat::Electing | Seat::Left => {}
        }
    }

    /// Waits for the answer to a request that the supervisor answers without waiting for others, as far as it can know. It
    /// has the time of a round trip, however short that of the call is.
    pub(super) fn await_reply(
        &self,
        request: Request,
        woken: &Bell,
        began: Instant,
        patience: Patience,
    ) -> Result<Answer, Error> {
        self.await_within(request, woken, began, patience, State::limit_for_an_answer)
    }

    /// Waits for the answer to a request that has one answer.
    pub(super) fn await_answer(
        &self,
        request: Request,
        woken: &Bell,
        began: Instant,
        patience: Patience,
    ) -> Result<Answer, Error> {
        self.await_within(request, woken, began, patience, |_, limit| limit)
    }

    fn await_within(
        &self,
        request: Request,
        woken: &Bell,
        began: Instant,
        patience: Patience,
        limit: impl Fn(&State, Duration) -> Duration,
    ) -> Result<Answer, Error> {
        let mut state = self.state();
        loop {
            if let Some(answer) = state.calls.take_answer(request) {
                return Ok(answer);
            }
            if state.leaving {
                return Err(state.left());
            }
            let waited = began.elapsed();
            let left = match patience {
                Patience::Forever => None,
                Patience::For(time) => match limit(&state, time).checked_sub(waited) {
                    Some(left) if !left.is_zero() => Some(left),
                    _ => return Err(Error::timed_out(waited)),
                },
                Patience::Try if state.session.is_settled() && waited < TRY => Some(TRY - waited),
                Patience::Try => return Err(Error::WouldBlock { holder: None }),
            };
            state = self.wait_for_answer(state, woken, left);
        }
    }

    /// Asks who holds what, and who waits for it.
    pub(crate) fn survey(&self, patience: Patience) -> Result<Arc<Survey>, Error> {
        let began = Instant::now();
        let mut state = self.state();
        let (number, frame) = state.session.survey();
        let request = Request::new(number);
        let woken = state.calls.begin(request);
        self.submit(state, frame);
        let answer = self.await_reply(request, &woken, began, patience);
        let mut state = self.state();
        state.calls.end(request);
        state.session.forget_survey(number);
        match answer? {
            Answer::Surveyed(rows) => Ok(rows),
            _ => Ok(Arc::default()),
        }
    }

    /// Waits until something is said about a call, for at most this long. Whoever waits long wants to know whether the
    /// supervisor still answers.
    pub(super) fn wait_for_answer<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        woken: &Bell,
        left: Option<Duration>,
    ) -> MutexGuard<'a, State> {
        if let Some(peer) = self.inquire(&mut state) {
            drop(state);
            peer.flush();
            // What came meanwhile has found nobody waiting: the caller looks before it sleeps.
            return self.state();
        }
        let slice = left.map_or(Self::ANSWER, |left| left.min(Self::ANSWER));
        if endpoint::CAN_TELL_HANGUP
            && let Seat::Subordinate(peer) = &state.seat
        {
            let peer = peer.clone();
            match peer.listen() {
                Listen::Turn(turn) => {
                    drop(state);
                    peer.hear(turn, self, slice);
                    return self.state();
                }
                Listen::Soon => return woken.wait(state, slice.min(Peer::SOON)),
                Listen::Others => {}
            }
        }
        woken.wait(state, slice)
    }
}
