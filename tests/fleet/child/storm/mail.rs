//! Requests and messages in a storm.

use std::panic::resume_unwind;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use bellwether::{Error, InstanceId, Request};

use super::{Book, LARGE, Storm, lock, patience, pause};
use crate::fleet::chance::Chance;
use crate::fleet::journal::{Label, Patience, What, Why};

/// The last of its own messages that an instance has received.
#[derive(Default)]
pub(super) struct Heard {
    last: Mutex<Option<u64>>,
    changed: Condvar,
}

impl Book {
    /// Bytes that begin with these words; some are too many to be on their way in a moment.
    fn bytes(&self, words: &str, chance: &mut Chance) -> Vec<u8> {
        let padding = if chance.percent(10) { chance.below(LARGE) as usize } else { 0 };
        format!("{words} {}", "-".repeat(padding)).into_bytes()
    }

    /// What nobody else says.
    fn label(&self, number: u64) -> Label {
        Label { process: self.name.clone(), number }
    }

    /// What this process does when it is asked as the supervisor: it writes down that it was, and then answers with what
    /// nobody else can answer.
    pub(super) fn handler(self: &Arc<Self>, chance: Chance) -> impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static {
        let (book, chance) = (self.clone(), Mutex::new(chance));
        move |request| {
            let asked = label(&request.bytes, 0);
            let run = book.number();
            book.journal.note(What::Ran { run, asked: asked.clone() });
            let mut chance = Chance::new(lock(&chance).next());
            match chance.below(20) {
                0 => resume_unwind(Box::new("a handler that panics without a word")),
                1..4 => pause(chance.below(30_000)),
                _ => {}
            }
            book.bytes(&format!("{} {asked}", book.label(run)), &mut chance)
        }
    }
}

impl Storm {
    /// Asks whoever is supervisor.
    pub(super) fn inquire(&self, chance: &mut Chance) {
        let (request, patience) = (self.book.number(), patience(chance));
        let bytes = self.book.bytes(&self.book.label(request).to_string(), chance);
        self.note(What::Requesting { request, patience });
        let reply = match patience {
            Patience::Endless => self.instance.request(bytes),
            Patience::None => self.instance.try_request(bytes),
            Patience::For(time) => self.instance.request_timeout(bytes, Duration::from_nanos(time)),
        };
        self.note(match reply {
            Ok(bytes) => What::Answered { request, run: label(&bytes, 0), asked: label(&bytes, 1) },
            Err(error) => What::Unanswered { request, why: why(&error) },
        });
    }

    /// Sends a message to somebody, or to all others.
    pub(super) fn send(&self, chance: &mut Chance) {
        let all: Vec<_> = self.instance.registry().iter().map(|entry| entry.id).collect();
        let to = if chance.percent(40) { None } else { chance.pick(&all).copied() };
        let patience = patience(chance);
        self.post(to, patience, chance);
    }

    /// Sends a message; returns its number if it has arrived.
    fn post(&self, to: Option<InstanceId>, patience: Patience, chance: &mut Chance) -> Option<u64> {
        let message = self.book.number();
        let bytes = self.book.bytes(&self.book.label(message).to_string(), chance);
        self.note(What::Sending { message, to: to.map(|to| to.to_string()), patience });
        let time = match patience {
            Patience::For(time) => Duration::from_nanos(time),
            Patience::Endless | Patience::None => Duration::ZERO,
        };
        let sent = match (to, patience) {
            (Some(to), Patience::Endless) => self.instance.send(to, bytes).map(|()| 1),
            (Some(to), Patience::None) => self.instance.try_send(to, bytes).map(|()| 1),
            (Some(to), Patience::For(_)) => self.instance.send_timeout(to, bytes, time).map(|()| 1),
            (None, Patience::Endless) => self.instance.broadcast(bytes),
            (None, Patience::None) => self.instance.try_broadcast(bytes),
            (None, Patience::For(_)) => self.instance.broadcast_timeout(bytes, time),
        };
        let sent = sent.map_err(|error| why(&error));
        self.note(match sent {
            Ok(count) => What::Sent { message, count: count as u64 },
            Err(why) => What::Unsent { message, why },
        });
        sent.ok().map(|_| message)
    }

    /// Writes down what has come.
    pub(super) fn receive(&self, from: InstanceId, bytes: &[u8]) {
        let message = label(bytes, 0);
        let own = (message.process == self.book.name).then_some(message.number);
        self.note(What::Received { from: from.to_string(), message });
        if own.is_some() {
            *lock(&self.heard.last) = own;
            self.heard.changed.notify_all();
        }
    }

    /// Waits until it has written down all that it was sent so far: what it says to itself comes behind that.
    pub(super) fn hear_all(&self) {
        let mut chance = Chance::new(0);
        let post = || self.post(Some(self.instance.id()), Patience::Endless, &mut chance);
        let last = std::iter::repeat_with(post).flatten().next();
        let mut heard = lock(&self.heard.last);
        while *heard < last {
            heard = self.heard.changed.wait(heard).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A word at the beginning of what somebody said.
fn label(bytes: &[u8], at: usize) -> Label {
    let word = bytes.split(|byte| *byte == b' ').nth(at).unwrap_or_default();
    String::from_utf8_lossy(word).parse().expect("what is said begins with who says it")
}

fn why(error: &Error) -> Why {
    match error {
        Error::Interrupted => Why::Interrupted,
        Error::TimedOut { .. } => Why::TimedOut,
        Error::WouldBlock { .. } => Why::Blocked,
        Error::Denied(_) | Error::Unreachable { .. } => Why::Refused,
        Error::Failed(_) => Why::Failed,
        other => panic!("a request or a message ended with: {other}"),
    }
}
