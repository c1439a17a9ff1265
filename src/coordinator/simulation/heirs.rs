//! Succession by version: any order in which the office can go to newer instances. The time for which others leave the
//! port to an heir is no part of it: safety must not rest on that.

use super::world::{Action, World, owner};
use super::{Clock, Config, EVERYTHING, Fault, explore};
use crate::ident::InstanceId;
use crate::wire::message::{LeaveSort, ToMember};

impl World {
    /// The version of an instance: of the first three each is newer than the one before, and so on.
    pub(super) fn version(config: &Config, id: InstanceId) -> u32 {
        if config.succession { owner(id) as u32 % 3 } else { 0 }
    }

    /// Whether the office can be handed over, and nothing keeps it.
    pub(super) fn yields(&self, i: u8, actions: &mut Vec<Action>) {
        let instance = &self.instances[usize::from(i)];
        let heir = instance.supervisor.as_ref().and_then(|supervisor| supervisor.heir());
        if heir.is_some() && instance.retiring.is_none() {
            actions.push(Action::HandOver(i));
        }
    }

    /// What the runtime does when no office guard is left.
    pub(super) fn hand_over(&mut self, i: u8) {
        let Some(heir) = self.at(i).supervisor.as_ref().and_then(|supervisor| supervisor.heir()) else { return };
        self.note_heir(i, heir, true);
        self.at(i).session.resigned_for(heir);
        self.retire(i, LeaveSort::ResigningFor(heir));
    }

    /// A member of a reign hears in whose favour its supervisor resigns.
    pub(super) fn hear_of_heir(&mut self, i: u8, frame: &ToMember) {
        if let ToMember::Leave(LeaveSort::ResigningFor(heir)) = frame
            && self.at(i).session.is_settled()
        {
            self.note_heir(i, *heir, false);
        }
    }

    /// Nobody who has heard of a resignation, or resigned, does so for the same heir.
    fn note_heir(&mut self, i: u8, heir: InstanceId, resigns: bool) {
        if !self.heard_of.insert((i, heir)) && resigns {
            self.fail(format!("HEIR: {i} resigns once more in favour of {heir}"));
        }
    }
}

const VERSIONS: Config = Config { succession: true, members: 2, locks: 1, acquires: 4, puts: 2, ..EVERYTHING };

#[test]
fn newer_versions_come_and_go_while_everything_happens() {
    let faults = [(Fault::Start, 3), (Fault::Kill, 3), (Fault::Resign, 2)];
    explore("versions", VERSIONS.with(&faults), 25_000);
}

#[test]
fn newer_versions_take_over_while_the_clock_was_set_back_and_supervisors_fail() {
    let config = Config { clock: Clock::WasSetBack, members: 4, puts: 0, ..VERSIONS };
    let faults = [(Fault::Start, 1), (Fault::FailStop, 3), (Fault::Resign, 2), (Fault::GiveUp, 3)];
    explore("versions and failures", config.with(&faults), 15_000);
}
