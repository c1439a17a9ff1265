//! Calls that write the state, and what is read of it without asking anybody.

use std::sync::{Arc, MutexGuard};
use std::time::Instant;

use super::calls::{Answer, Patience};
use super::shared::{Seat, Shared, State};
use crate::error::Error;
use crate::ident::Version;
use crate::ident::{Kind, Resource, Stamp};
use crate::wire::VALUE_LIMIT;
use crate::wire::message::Value;

impl Shared {
    /// Writes a value, or deletes it, and waits until everyone who is there has it.
    pub(crate) fn put(
        &self,
        key: Resource,
        expected: Option<Stamp>,
        bytes: Option<Arc<[u8]>>,
        patience: Patience,
    ) -> Result<Stamp, Error> {
        let size = bytes.as_ref().map_or(0, |bytes| bytes.len());
        if size > VALUE_LIMIT {
            return Err(Error::Option { option: "value", value: size as u64, limit: VALUE_LIMIT as u64 });
        }
        let began = Instant::now();
        let mut state = self.state();
        if state.leaving {
            return Err(state.left());
        }
        if matches!(patience, Patience::Try) && !state.session.is_settled() {
            return Err(Error::WouldBlock { holder: None });
        }
        let (request, frame) = state.session.put(key, expected, bytes);
        let woken = state.calls.begin(request);
        self.submit(state, frame);
        let answer = self.await_reply(request, &woken, began, patience);
        let mut state = self.state();
        state.calls.end(request);
        state.session.forget_put(request);
        match answer? {
            Answer::Stored(version) => Ok(version),
            Answer::Conflict(version) => Err(Error::Conflict { version: Version::new(version) }),
            Answer::Denied(reason) => Err(Error::Denied(reason.into())),
            _ => Err(Error::Interrupted),
        }
    }

    /// The state after everything that has come by now: what was acknowledged to its writer is in it.
    fn newest(&self) -> MutexGuard<'_, State> {
        let state = self.state();
        match &state.seat {
            // In a forked child the connection is the parent's.
            Seat::Subordinate(peer) if !self.is_forked() => {
                let peer = peer.clone();
                drop(state);
                peer.catch_up(self);
                self.state()
            }
            _ => state,
        }
    }

    /// A value as this instance has it; of a deleted one only the version.
    pub(crate) fn value(&self, key: &Resource) -> Option<Value> {
        self.newest().session.state().values().get(key).cloned()
    }

    /// A result of which this instance knows that everybody has it.
    pub(crate) fn known_result(&self, name: &Resource) -> Option<Arc<[u8]>> {
        let state = self.state();
        let known = state.results.get(name)?;
        // After a complete restart of the others there may be another one, or none.
        let value = state.session.state().values().get(name).filter(|value| value.version == *known)?;
        value.bytes.clone()
    }

    /// Everybody has the result with this version.
    pub(crate) fn note_result(&self, name: &Resource, version: Stamp) {
        self.state().results.insert(name.clone(), version);
    }

    /// The application's values as this instance has them.
    pub(crate) fn values(&self) -> Vec<Value> {
        let state = self.newest();
        let values = state.session.state().values().values();
        values.filter(|value| value.key.kind == Kind::Value).cloned().collect()
    }
}
