//! The application's code at the supervisor: its policy and its request handler, and who runs them.
//!
//! They run on threads of their own, never on one that reads a connection and never under a lock. Their answer goes to
//! the machine like any input; whether it still means something is decided there.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::ptr;
use std::sync::{Arc, Weak};

use super::pool::{Failure, Job, Pool};
use super::reign::Reign;
use super::shared::Shared;
use crate::control::{Operation, Request, Verdict};
use crate::entry::Entry;
use crate::error::Error;
use crate::wire::message::{self, ToSupervisor};

type Policy = dyn Fn(&Entry, &Operation) -> Verdict + Send + Sync;
type Handler = dyn Fn(&Request) -> Vec<u8> + Send + Sync;

/// What the application decides if this instance becomes supervisor.
#[derive(Clone, Default)]
pub(crate) struct Callbacks {
    pub(crate) policy: Option<Arc<Policy>>,
    pub(crate) handler: Option<Arc<Handler>>,
}

impl fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (policy, handler) = (self.policy.is_some(), self.handler.is_some());
        f.debug_struct("Callbacks").field("policy", &policy).field("handler", &handler).finish()
    }
}

/// The threads on which the callbacks of one reign run. Handlers that take long keep no policy waiting.
#[derive(Debug)]
pub(super) struct Callers {
    policy: Arc<Pool<Task>>,
    handler: Arc<Pool<Task>>,
}

impl Callers {
    pub(super) fn new() -> Self {
        Self { policy: Pool::new("bw-policy"), handler: Pool::new("bw-handler") }
    }

    /// Has this done, in this order. Not under a lock.
    pub(super) fn submit(&self, tasks: Vec<Task>) {
        for task in tasks {
            match &task.what {
                What::Judge(_) => self.policy.submit(task),
                What::Answer(_) => self.handler.submit(task),
            }
        }
    }

    /// The reign is over: nothing is begun any more.
    pub(super) fn end(&self) {
        self.policy.end();
        self.handler.end();
    }
}

/// A question of the machine to the application.
#[derive(Debug)]
pub(super) struct Task {
    /// Work that waits does not keep the reign.
    pub(super) reign: Weak<Reign>,
    /// Its number.
    pub(super) question: u64,
    /// Who wants something.
    pub(super) entry: message::Entry,
    pub(super) what: What,
}

/// What the application is to say.
#[derive(Debug)]
pub(super) enum What {
    /// Whether this may be done.
    Judge(ToSupervisor),
    /// What the answer to this is.
    Answer(Arc<[u8]>),
}

impl Job for Task {
    fn run(&self) {
        let Some(reign) = self.reign.upgrade() else { return };
        let from = Entry::from_wire(&self.entry, Some(reign.me()));
        // What nobody waits for any more needs no answer, and could cost the application some work.
        match &self.what {
            What::Judge(_) if !reign.is_wanted(self.question) => {}
            What::Answer(_) if !reign.begin(self.question) => {}
            What::Judge(frame) => {
                let verdict = judge(reign.shared(), &from, frame);
                reign.step(|machine| machine.judged(self.question, verdict));
            }
            What::Answer(bytes) => {
                let answer = answer(reign.shared(), self.question, &Request { from, bytes: bytes.clone() });
                reign.step(|machine| machine.handled(self.question, answer));
            }
        }
    }

    fn failed(self, why: Failure) {
        let Some(reign) = self.reign.upgrade() else { return };
        let question = self.question;
        let reason = |panicked: &str, no_thread: &str| match why {
            Failure::Panicked => panicked.into(),
            Failure::NoThread => no_thread.into(),
        };
        match self.what {
            What::Judge(_) => {
                let reason = reason("the policy panicked", "the supervisor has no thread for its policy");
                reign.step(|machine| machine.judged(question, Err(reason)));
            }
            What::Answer(_) => {
                let reason =
                    reason("the request handler panicked", "the supervisor has no thread for its request handler");
                reign.step(|machine| machine.handled(question, Err(reason)));
            }
        }
    }

    fn cost(&self) -> usize {
        let said = match &self.what {
            What::Judge(frame) => frame.said(),
            What::Answer(bytes) => bytes,
        };
        let profile = &self.entry.profile;
        size_of::<Self>() + said.len() + profile.label.len() + profile.payload.len()
    }

    fn sift(tasks: &mut VecDeque<Self>) {
        if let Some(reign) = tasks.front().and_then(|task| task.reign.upgrade()) {
            reign.keep_wanted(tasks, |task| task.question);
        }
    }
}

/// What the policy says.
fn judge(shared: &Shared, from: &Entry, frame: &ToSupervisor) -> Result<(), Box<str>> {
    let Some(policy) = &shared.settings.callbacks.policy else { return Ok(()) };
    let Some(operation) = Operation::from_wire(frame) else { return Err("no policy knows this operation".into()) };
    match inside(shared, None, || policy(from, &operation)) {
        Verdict::Allow => Ok(()),
        Verdict::Deny(reason) => Err(reason.into()),
    }
}

/// What the handler says.
fn answer(shared: &Shared, question: u64, request: &Request) -> Result<Arc<[u8]>, Box<str>> {
    let Some(handler) = &shared.settings.callbacks.handler else {
        return Err("the supervisor has no request handler".into());
    };
    Ok(inside(shared, Some(question), || handler(request)).into())
}

thread_local! {
    /// The instance of which this thread runs a callback, and the question that its handler answers here.
    static INSIDE: Cell<(*const Shared, Option<u64>)> = const { Cell::new((ptr::null(), None)) };
}

impl Shared {
    /// The instance, for a call that asks the supervisor for something, or waits. A callback of the instance may not: the
    /// supervisor could be waiting for that very callback.
    pub(crate) fn callable(&self) -> Result<&Self, Error> {
        let unforked = self.unforked()?;
        if ptr::eq(INSIDE.get().0, self) { Err(Error::InCallback) } else { Ok(unforked) }
    }

    /// The question that the caller is answering, if it is a handler of this instance.
    pub(super) fn own_question(&self) -> Option<u64> {
        let (instance, question) = INSIDE.get();
        question.filter(|_| ptr::eq(instance, self))
    }
}

/// Runs a callback of this instance.
fn inside<T>(shared: &Shared, question: Option<u64>, callback: impl FnOnce() -> T) -> T {
    /// Also if the callback panics.
    struct Outside;
    impl Drop for Outside {
        fn drop(&mut self) {
            INSIDE.set((ptr::null(), None));
        }
    }
    INSIDE.set((shared, question));
    let _outside = Outside;
    callback()
}

#[cfg(test)]
mod tests;
