//! Who is there: one entry per instance, the supervisor's own included, and the numbered views of it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::supervisor::LinkId;
use crate::ident::{InstanceId, Nonce, Stamp};
use crate::wire::message::{Delta, EndReason, Entry, Profile, Standing};

/// The table. Every change of it makes a new view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registry {
    stamp: Stamp,
    members: BTreeMap<InstanceId, Member>,
    /// How many are parked, and how many aside: asked for with every frame.
    parked: usize,
    aside: usize,
    /// Who ended last, and how, each with the number of the first view without it: for whoever has missed that.
    ended: VecDeque<(u64, InstanceId, EndReason)>,
}

/// One instance as the supervisor sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// What it told of itself.
    pub profile: Profile,
    /// What its next Hello proves itself by.
    pub nonce: Nonce,
    /// Where it stands.
    pub place: Place,
}

/// Where an instance stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A newcomer that no view names yet.
    Parked(LinkId),
    /// A newcomer that is being named to those welcomed before.
    Named(LinkId),
    /// Welcomed and connected.
    Here(LinkId),
    /// Its connection has ended, it lives; for so long, as far as it counts.
    Aside(Duration),
}

impl Place {
    /// The connection, if there is one.
    pub fn link(self) -> Option<LinkId> {
        match self {
            Self::Parked(link) | Self::Named(link) | Self::Here(link) => Some(link),
            Self::Aside(_) => None,
        }
    }
}

impl Registry {
    /// Of so many that have ended it is known how. Of others whoever is back hears that they have failed.
    const MEMORY: usize = 1024;

    /// The number of the present view.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Sets the number with which a window closes, and who has ended since the reign before.
    pub fn begin(&mut self, stamp: Stamp, departed: &[(InstanceId, EndReason)]) {
        self.stamp = stamp;
        self.remember(departed);
    }

    fn remember(&mut self, ended: &[(InstanceId, EndReason)]) {
        self.ended.extend(ended.iter().map(|(id, reason)| (self.stamp.n, *id, *reason)));
        self.ended.drain(..self.ended.len().saturating_sub(Self::MEMORY));
    }

    /// Who has ended since this view, and how, as far as it is remembered.
    pub fn ended_since(&self, view: Stamp) -> Vec<(InstanceId, EndReason)> {
        let is_later = |n: u64| view.epoch != self.stamp.epoch || n > view.n;
        self.ended.iter().filter(|(n, ..)| is_later(*n)).map(|(_, id, reason)| (*id, *reason)).collect()
    }

    /// Whether this instance was given up while it lived, as far as it is remembered.
    pub fn was_evicted(&self, id: InstanceId) -> bool {
        self.ended.iter().any(|(_, ended, reason)| (*ended, *reason) == (id, EndReason::Evicted))
    }

    /// How many instances there are, in whatever place.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// One instance.
    pub fn get(&self, id: InstanceId) -> Option<&Member> {
        self.members.get(&id)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (InstanceId, &Member)> {
        self.members.iter().map(|(id, member)| (*id, member))
    }

    /// Puts an instance in a place; its profile replaces what was known.
    pub fn put(&mut self, id: InstanceId, nonce: Nonce, profile: Profile, place: Place) {
        self.count(place, 1);
        if let Some(before) = self.members.insert(id, Member { profile, nonce, place }) {
            self.count(before.place, -1);
        }
    }

    /// Moves an instance that is there.
    pub fn move_to(&mut self, id: InstanceId, place: Place) {
        if let Some(member) = self.members.get_mut(&id) {
            let before = std::mem::replace(&mut member.place, place);
            self.count(before, -1);
            self.count(place, 1);
        }
    }

    /// Notes whether an instance is paused, and says whether that is news.
    pub fn set_paused(&mut self, id: InstanceId, paused: bool) -> bool {
        let Some(member) = self.members.get_mut(&id) else { return false };
        std::mem::replace(&mut member.profile.paused, paused) != paused
    }

    /// The entry of an instance, in whatever place.
    pub fn entry(&self, id: InstanceId) -> Option<Entry> {
        self.members.get(&id).map(|member| entry(id, member))
    }

    /// Takes an instance out.
    pub fn remove(&mut self, id: InstanceId) -> Option<Member> {
        let member = self.members.remove(&id)?;
        self.count(member.place, -1);
        Some(member)
    }

    /// Whether there is a newcomer that no view names yet.
    pub fn is_anybody_parked(&self) -> bool {
        self.parked > 0
    }

    /// Whether there is somebody without a connection.
    pub fn is_anybody_aside(&self) -> bool {
        self.aside > 0
    }

    /// How many have no connection.
    pub fn count_aside(&self) -> usize {
        self.aside
    }

    fn count(&mut self, place: Place, change: isize) {
        let count = match place {
            Place::Parked(_) => &mut self.parked,
            Place::Aside(_) => &mut self.aside,
            Place::Named(_) | Place::Here(_) => return,
        };
        *count = count.saturating_add_signed(change);
    }

    /// The instances in one sort of place.
    pub fn in_place(&self, sort: impl Fn(Place) -> bool) -> Vec<InstanceId> {
        self.members.iter().filter(|(_, member)| sort(member.place)).map(|(id, _)| *id).collect()
    }

    /// The whole present view: everyone but newcomers that no view names yet.
    pub fn view(&self) -> Vec<Entry> {
        let named = self.members.iter().filter(|(_, member)| !matches!(member.place, Place::Parked(_)));
        named.map(|(id, member)| entry(*id, member)).collect()
    }

    /// A new view, as its difference to the one before.
    pub fn change(&mut self, changed: &[InstanceId], ended: Vec<(InstanceId, EndReason)>) -> Delta {
        self.stamp.n += 1;
        self.remember(&ended);
        let entries = changed.iter().filter_map(|id| self.members.get(id).map(|member| entry(*id, member))).collect();
        Delta { stamp: self.stamp, entries, ended }
    }
}

fn entry(id: InstanceId, member: &Member) -> Entry {
    let standing = match member.place {
        Place::Aside(_) => Standing::Aside,
        _ if member.profile.paused => Standing::Paused,
        _ => Standing::Active,
    };
    Entry { id, profile: member.profile.clone(), standing, nonce: member.nonce }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn profile(pid: u32) -> Profile {
        Profile { pid, version: 0, since: 0, presence: 0, paused: false, label: "".into(), payload: [].into() }
    }

    proptest! {
        /// The reference: whoever applies every change to the view before has the view.
        #[test]
        fn the_changes_lead_from_each_view_to_the_next(steps in prop::collection::vec((0..6_u64, 0..5_u8, any::<u32>()), 0..40)) {
            let mut registry = Registry::default();
            let mut copy: BTreeMap<InstanceId, Entry> = BTreeMap::new();
            for (number, what, pid) in steps {
                let id = InstanceId::new(number);
                let place = match what {
                    0 => Place::Named(LinkId(number)),
                    1 => Place::Here(LinkId(number)),
                    2 => Place::Aside(Duration::ZERO),
                    3 => Place::Parked(LinkId(number)),
                    _ => {
                        let ended: Vec<_> = registry.remove(id).map(|_| (id, EndReason::Left)).into_iter().collect();
                        let delta = registry.change(&[], ended);
                        delta.ended.iter().for_each(|(id, _)| { copy.remove(id); });
                        continue;
                    }
                };
                if matches!(place, Place::Parked(_)) && registry.get(id).is_some() {
                    continue;
                }
                let before = registry.stamp();
                prop_assert_eq!(registry.is_anybody_aside(), registry.iter().any(|(_, m)| matches!(m.place, Place::Aside(_))));
                prop_assert_eq!(registry.is_anybody_parked(), registry.iter().any(|(_, m)| matches!(m.place, Place::Parked(_))));
                registry.put(id, Nonce::new(number), profile(pid), place);
                if !matches!(place, Place::Parked(_)) {
                    let delta = registry.change(&[id], Vec::new());
                    prop_assert_eq!(delta.stamp, Stamp { n: before.n + 1, ..before });
                    copy.extend(delta.entries.into_iter().map(|entry| (entry.id, entry)));
                }
                prop_assert_eq!(registry.view(), copy.values().cloned().collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn how_the_last_ones_ended_is_remembered_for_whoever_has_missed_it() {
        let mut registry = Registry::default();
        let reign = |n: u64| Stamp { epoch: crate::ident::Epoch::new(7), n };
        let who = |number: u64| (InstanceId::new(number), EndReason::Left);
        registry.begin(reign(1), &[who(0)]);
        (1..=3).for_each(|number| drop(registry.change(&[], vec![who(number)])));
        assert_eq!(registry.ended_since(reign(1)), [who(1), who(2), who(3)]);
        assert_eq!(registry.ended_since(reign(4)), []);
        assert_eq!(registry.ended_since(Stamp::default()), [who(0), who(1), who(2), who(3)]);
        registry.change(&[], (4..4 + Registry::MEMORY as u64).map(who).collect());
        assert_eq!(registry.ended_since(reign(1)).first(), Some(&who(4)));
    }

    #[test]
    fn a_newcomer_that_nobody_was_told_of_is_in_no_view() {
        let mut registry = Registry::default();
        registry.put(InstanceId::new(1), Nonce::new(1), profile(1), Place::Parked(LinkId(1)));
        assert!(registry.view().is_empty() && registry.len() == 1);
    }

    #[test]
    fn a_member_without_connection_stands_aside_even_if_it_is_paused() {
        let mut registry = Registry::default();
        let paused = Profile { paused: true, ..profile(1) };
        registry.put(InstanceId::new(1), Nonce::new(1), paused, Place::Here(LinkId(1)));
        assert_eq!(registry.view()[0].standing, Standing::Paused);
        registry.move_to(InstanceId::new(1), Place::Aside(Duration::ZERO));
        assert_eq!(registry.view()[0].standing, Standing::Aside);
    }
}
