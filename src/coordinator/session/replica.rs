//! The own copy of the state, and the writes that were not answered yet.
//!
//! The copy counts from the Welcome or Opened that completes it, and then takes one write after the other. It survives
//! reigns: the next supervisor adopts the best copy that anybody has. See [`crate::coordinator::state`] for why that is
//! safe.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::state::{self, State};
use super::pace::Pace;
use super::{Connection, Effect, Misplaced, Notice, Session};
use crate::ident::{Request, Resource, Stamp};
use crate::wire::message::{Purpose, Put, ToSupervisor, Value, ViewHead};

/// A copy of the state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replica {
    stamp: Stamp,
    values: BTreeMap<Resource, Value>,
    /// Values of a copy that is not complete yet.
    parts: Vec<Value>,
    /// What the values cost, and what the parts cost.
    size: usize,
    parts_size: usize,
}

impl Replica {
    /// How far it goes: the reign, and the last write of it; zero: what it has counts for nothing.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Every key that was ever written; a deleted one has no bytes.
    pub fn values(&self) -> &BTreeMap<Resource, Value> {
        &self.values
    }

    /// The version of a key, also of a deleted one; zero if it was never written.
    pub fn version(&self, key: &Resource) -> Stamp {
        self.values.get(key).map_or_else(Stamp::default, |value| value.version)
    }

    /// Whether a view with this head can be used: of a copy that does not count nothing can be kept.
    pub(super) fn check(&self, head: &ViewHead) -> Result<(), Misplaced> {
        if head.whole {
            return Ok(());
        }
        if self.stamp == Stamp::default() {
            return Err(Misplaced("part of a state"));
        }
        let before: BTreeMap<_, _> =
            self.parts.iter().filter_map(|part| self.values.get_key_value(&part.key)).collect();
        let size = self.size - before.values().map(|value| state::cost(value)).sum::<usize>();
        check(self.values.len() - before.len() + self.parts.len(), size + self.parts_size)
    }

    /// The parts are complete: which values are others now, and how many writes are known to lie between without having
    /// left a value.
    fn adopt(&mut self, head: &ViewHead) -> (Vec<Value>, u64) {
        let from = std::mem::replace(&mut self.stamp, Stamp { epoch: head.stamp.epoch, n: head.written });
        let is_first = from == Stamp::default() && self.values.is_empty();
        let mut changed = Vec::new();
        let mut old = if head.whole { std::mem::take(&mut self.values) } else { BTreeMap::new() };
        self.parts_size = 0;
        for value in std::mem::take(&mut self.parts) {
            let before = old.remove(&value.key);
            let before = self.values.insert(value.key.clone(), value.clone()).or(before);
            if before.is_none_or(|before| before.version != value.version) {
                changed.push(value);
            }
        }
        self.size = self.values.values().map(state::cost).sum();
        let skipped = if is_first { 0 } else { skipped(from, self.stamp, &changed) };
        // Of what the group has forgotten, or never agreed on, nothing is left, not even a version.
        changed.extend(old.into_values().map(|value| Value { version: Stamp::default(), bytes: None, ..value }));
        (changed, skipped)
    }
}

/// How many writes lie between two copies without having left a value, if these values are all that differ; at least 1
/// if it is unknown whether there are any.
///
/// A reign numbers its writes, and the last of them is the value of its key until a later reign writes that. So the
/// numbers of one reign are known as far as it is the last that wrote.
fn skipped(from: Stamp, to: Stamp, changed: &[Value]) -> u64 {
    if changed.is_empty() {
        return 0;
    }
    let mut last = BTreeMap::from([(to.epoch, to.n)]);
    for value in changed {
        let n = last.entry(value.version.epoch).or_default();
        *n = value.version.n.max(*n);
    }
    // Of the first reign only what came after the old copy.
    let writes = last.iter().map(|(epoch, n)| if *epoch == from.epoch { n.saturating_sub(from.n) } else { *n });
    let known = writes.fold(0, u64::saturating_add).saturating_sub(changed.len() as u64);
    match from {
        // The old copy has not counted for a while.
        from if from == Stamp::default() => 1,
        from if last.iter().all(|(epoch, n)| *epoch == from.epoch || *n == 0) => known,
        _ => known.max(1),
    }
}

/// Whether a state can have so many keys and cost so much.
fn check(count: usize, size: usize) -> Result<(), Misplaced> {
    if count <= State::KEY_LIMIT && size <= State::SIZE_LIMIT {
        Ok(())
    } else {
        Err(Misplaced("larger state than any group can have"))
    }
}

/// The writes that were not answered yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Puts {
    waiting: BTreeMap<Request, Put>,
    /// Those that are to be said on this connection.
    unsaid: BTreeSet<Request>,
    /// Those that were said on this connection; also those that nobody waits for any more.
    said: Pace,
}

impl Puts {
    /// A connection on which nothing was said.
    fn begin(&mut self) {
        self.unsaid = self.waiting.keys().copied().collect();
        self.said = Pace::default();
    }

    /// The next one that is to be said, if it may be.
    fn next(&mut self) -> Option<&mut Put> {
        let request = *self.unsaid.first()?;
        let size = self.waiting.get(&request)?.bytes.as_ref().map_or(0, |bytes| bytes.len());
        if !self.said.begin(request, size) {
            return None;
        }
        self.unsaid.remove(&request);
        self.waiting.get_mut(&request)
    }

    /// Nobody waits for it any more.
    fn forget(&mut self, request: Request) -> bool {
        self.unsaid.remove(&request);
        self.waiting.remove(&request).is_some()
    }

    /// It was answered; says whether somebody waits for the answer.
    fn answered(&mut self, request: Request) -> bool {
        self.said.end(request);
        self.forget(request)
    }
}

impl Session {
    /// The own copy of the state.
    pub fn state(&self) -> &Replica {
        &self.replica
    }

    /// Writes a key, or with `None` deletes it; with `expected` only if the key has that version then. The answer is a
    /// [`Notice`]: `Stored`, `Conflict`, `Interrupted` or `Denied`. What is to be written, if there is anybody to write
    /// to and not too much under way: otherwise it is said when a reign is open, or when others are answered.
    pub fn put(
        &mut self,
        key: Resource,
        expected: Option<Stamp>,
        bytes: Option<Arc<[u8]>>,
    ) -> (Request, Option<ToSupervisor>) {
        let request = self.next_request();
        self.puts.waiting.insert(request, Put { request, key, expected, again: None, bytes });
        self.puts.unsaid.insert(request);
        // Those before it have been said, or it is not said either.
        (request, self.say_put())
    }

    /// Nobody waits for the answer to this write any more. It may have been done, or still be done.
    pub fn forget_put(&mut self, request: Request) {
        self.puts.forget(request);
    }

    /// The writes that were not answered yet, as they are said the next time.
    pub fn puts(&self) -> &BTreeMap<Request, Put> {
        &self.puts.waiting
    }

    /// The next write, if it is to be said now.
    fn say_put(&mut self) -> Option<ToSupervisor> {
        if !self.is_settled() {
            return None;
        }
        let put = self.puts.next()?;
        let frame = ToSupervisor::Put(put.clone());
        put.again.get_or_insert(self.replica.version(&put.key));
        Some(frame)
    }

    fn say_puts(&mut self, effects: &mut Vec<Effect>) {
        while let Some(frame) = self.say_put() {
            effects.push(Effect::Send(frame));
        }
    }

    /// Part of a reign, with its copy of the state: what changed is told, and what was not answered is said again.
    pub(super) fn settle_state(&mut self, head: &ViewHead, effects: &mut Vec<Effect>) {
        let (changed, skipped) = self.replica.adopt(head);
        if skipped > 0 {
            effects.push(Effect::Tell(Notice::Skipped(skipped)));
        }
        effects.extend(changed.into_iter().map(|value| Effect::Tell(Notice::Written(value))));
        if self.purpose == Purpose::Observer {
            // Its connections are not told apart, so that what it said on the last one may still be done after this.
            self.interrupt_puts(effects);
        }
        self.puts.begin();
        self.say_puts(effects);
    }

    /// What was said under the old id, or on the old connection, is not known to be done. What was not is still to be.
    pub(super) fn interrupt_puts(&mut self, effects: &mut Vec<Effect>) {
        let said = self.puts.waiting.iter().filter(|(_, put)| put.again.is_some());
        let said: Vec<_> = said.map(|(request, _)| *request).collect();
        for request in said {
            self.puts.forget(request);
            effects.push(Effect::Tell(Notice::Interrupted(request)));
        }
    }

    /// The values stay to be read; nobody adopts them any more.
    pub(super) fn forget_state(&mut self, effects: &mut Vec<Effect>) {
        self.replica.stamp = Stamp::default();
        self.forget_parts();
        self.interrupt_puts(effects);
    }

    pub(super) fn forget_parts(&mut self) {
        self.replica.parts.clear();
        self.replica.parts_size = 0;
    }

    /// A part of a copy, or the next write.
    pub(super) fn value(&mut self, value: Value, effects: &mut Vec<Effect>) -> Result<(), Misplaced> {
        if self.standing != Connection::Settled {
            let size = self.replica.parts_size + state::cost(&value);
            check(self.replica.parts.len() + 1, size)?;
            self.replica.parts_size = size;
            self.replica.parts.push(value);
            return Ok(());
        }
        let last = self.replica.stamp;
        if last.n.checked_add(1).is_none_or(|n| value.version != Stamp { n, ..last }) {
            return Err(Misplaced("value out of order"));
        }
        let before = self.replica.values.get(&value.key);
        let count = self.replica.values.len() + usize::from(before.is_none());
        let size = self.replica.size - before.map_or(0, state::cost) + state::cost(&value);
        check(count, size)?;
        self.replica.size = size;
        self.replica.stamp = value.version;
        self.replica.values.insert(value.key.clone(), value.clone());
        effects.push(Effect::Tell(Notice::Written(value)));
        Ok(())
    }

    /// The new supervisor wants the copy.
    pub(super) fn fetched(&self, effects: &mut Vec<Effect>) -> Result<(), Misplaced> {
        if self.standing != Connection::Welcomed {
            return Err(Misplaced("fetch outside a window"));
        }
        let values = self.replica.values.values().cloned().map(ToSupervisor::Value);
        effects.extend(values.chain([ToSupervisor::StateEnd]).map(Effect::Send));
        Ok(())
    }

    /// A write was answered. The answer to one that nobody waits for any more is none.
    pub(super) fn answered(&mut self, request: Request, notice: Notice, effects: &mut Vec<Effect>) {
        if self.puts.answered(request) {
            effects.push(Effect::Tell(notice));
        }
        self.say_puts(effects);
    }

    /// A request was refused that may have been a write.
    pub(super) fn put_refused(&mut self, request: Request, effects: &mut Vec<Effect>) {
        self.puts.answered(request);
        self.say_puts(effects);
    }
}

#[cfg(test)]
mod tests;
