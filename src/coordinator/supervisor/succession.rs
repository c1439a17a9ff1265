//! Leaving the office to a newer version of the program.
//!
//! Whoever is of the newest version, and newer than this instance, is asked whether it runs; the first who answers is the
//! heir, as long as it is connected and not paused. Nobody is asked in whose favour somebody has resigned before: it did
//! not take the office then, or lost it, and would most likely do so again.

use std::collections::BTreeMap;

use super::super::registry::Place;
use super::{LinkId, Output, Phase, Supervisor};
use crate::ident::{InstanceId, Stamp};
use crate::wire::message::ToMember;

/// Who may have the office instead of this instance.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Succession {
    /// The view in which it was looked last for somebody newer: nobody becomes newer without another one.
    looked: Stamp,
    pings: u64,
    /// Those of the newest version, each with its connection and the ping that it has to answer.
    asked: BTreeMap<InstanceId, (LinkId, u64)>,
    /// Who has answered first.
    heir: Option<InstanceId>,
}

impl Succession {
    /// Something has changed that decides who is asked, and the view with it or not: somebody was welcomed of whom it told
    /// before, or somebody was told to stop.
    pub(super) fn look_again(&mut self) {
        self.looked = Stamp::default();
    }
}

impl Supervisor {
    /// Who should have the office: somebody newer, who is there and has shown in this reign that it runs.
    pub fn heir(&self) -> Option<InstanceId> {
        self.succession.heir
    }

    /// The office could not be handed over until now, and whoever showed that it runs may have been stopped meanwhile: all
    /// have to show it again.
    pub fn ask_heirs_again(&mut self) {
        self.succession.heir = None;
        self.succession.asked.clear();
        self.succession.look_again();
        self.progress();
    }

    /// Whether somebody should have the office instead of this instance.
    pub(super) fn look_for_heir(&mut self) {
        let view = self.registry.stamp();
        let sought = self.settings.control.yields && matches!(self.phase, Phase::Open);
        if !sought || std::mem::replace(&mut self.succession.looked, view) == view {
            return;
        }
        let newest = self.newest();
        let Succession { asked, heir, .. } = &mut self.succession;
        asked.retain(|id, (link, _)| newest.get(id) == Some(link));
        if heir.is_some_and(|heir| !asked.contains_key(&heir)) {
            // The others have to say once more that they run: that was not noted while there was an heir.
            *heir = None;
            asked.clear();
        }
        let unasked: Vec<_> = newest.into_iter().filter(|(id, _)| !asked.contains_key(id)).collect();
        for (id, link) in unasked {
            let ping = self.ping(link);
            self.succession.asked.insert(id, (link, ping));
        }
    }

    /// Asks a member for proof that it runs, and has read all that was sent before.
    pub(super) fn ping(&mut self, link: LinkId) -> u64 {
        self.succession.pings += 1;
        let ping = self.succession.pings;
        self.send(link, ToMember::Ping(ping));
        ping
    }

    /// A member answers a ping: one who is to have the office has proved that it runs.
    pub(super) fn ponged(&mut self, link: LinkId, id: InstanceId, number: u64) {
        let Succession { asked, heir, .. } = &mut self.succession;
        if heir.is_none() && asked.get(&id) == Some(&(link, number)) {
            *heir = Some(id);
            self.outputs.push(Output::HandOver(id));
        }
    }

    /// Those of the newest version, if that is newer than the own one, who could take the office.
    fn newest(&self) -> BTreeMap<InstanceId, LinkId> {
        let mut version = self.registry.get(self.settings.me).map_or(u32::MAX, |own| own.profile.version);
        let mut newest = BTreeMap::new();
        for (id, member) in self.registry.iter().filter(|(id, _)| *id != self.settings.me) {
            let Place::Here(link) = member.place else { continue };
            let profile = &member.profile;
            // One that is paused would get nothing done for the others either, and one that is to stop will be gone.
            if profile.paused || self.stops.is_told(id) || self.settings.control.heirs.contains(&id) {
                continue;
            }
            if profile.version < version {
                continue;
            }
            if profile.version > version {
                version = profile.version;
                newest.clear();
            } else if newest.is_empty() {
                // As old as this instance.
                continue;
            }
            newest.insert(id, link);
        }
        newest
    }
}

#[cfg(test)]
mod tests;
