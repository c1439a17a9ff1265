//! Every request that holds or waits, and how many of them each instance has.

use std::collections::btree_map::Entry;

use super::Grants;
use super::lock::{Key, Place};
use crate::ident::{InstanceId, Resource};

/// Where a request is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Live {
    pub(super) name: Resource,
    /// Its place in the queue; `None`: it holds.
    pub(super) place: Option<Place>,
}

impl Grants {
    /// How much one instance may hold and wait for. Whoever had more could not tell the next supervisor of it all: it
    /// would be refused again and again, and lose everything without being told.
    pub const CLAIM_LIMIT: usize = 131_072;

    /// Why the instance cannot have one more, if that is so.
    pub(super) fn has_too_much(&self, id: InstanceId) -> Option<String> {
        let count = self.counts.get(&id).copied().unwrap_or_default();
        (count >= Self::CLAIM_LIMIT)
            .then(|| format!("this instance holds or waits for {} things already", Self::CLAIM_LIMIT))
    }

    /// A request that holds or waits, of an instance that has not ended.
    pub(super) fn live_of(&self, key: Key) -> Option<&Live> {
        self.live.get(&key).filter(|_| !self.rest.has_ended(key.0))
    }

    /// A request holds or waits from now on.
    pub(super) fn enter(&mut self, key: Key, live: Live) {
        if self.live.insert(key, live).is_none() {
            *self.counts.entry(key.0).or_default() += 1;
        }
    }

    /// A request neither holds nor waits any more.
    pub(super) fn strike(&mut self, key: Key) -> Option<Live> {
        #[cfg(test)]
        self.count_touched();
        let live = self.live.remove(&key)?;
        if let Entry::Occupied(mut count) = self.counts.entry(key.0) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        Some(live)
    }
}
