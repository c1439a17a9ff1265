//! Strangers on the port: they know every id and every number but the nonces, speak under the ids of others, and hang up.

use super::super::supervisor::{LinkId, StepDown};
use super::world::{Action, World, lock_name, nonce_of};
use super::{Config, EVERYTHING, Fault, explore};
use crate::ident::{Attempt, InstanceId, Nonce, Tag, Token};
use crate::wire::WIRE_VERSION;
use crate::wire::message::{Forfeit, Hello, Join, NameSort, Purpose, ToSupervisor, Trust};

/// The id of a membership that a stranger has faked, and the slot that stands for it.
pub(super) const FAKED: InstanceId = InstanceId::new(u64::MAX);
pub(super) const NOBODY: usize = usize::MAX;

/// What a stranger says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Intrusion {
    pub(super) attempt: Number,
    pub(super) says: Says,
}

/// Which attempt it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    /// One that the owner has named before.
    Old,
    /// The owner's next one.
    Next,
    /// The highest that there is.
    Highest,
}

/// How much it says before it hangs up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// Hello, and that with the right nonce: a connection of the owner that came to nothing looks the same.
    OwnersHello,
    Hello,
    /// All that a newcomer says.
    Newcomer,
    /// All that a survivor says which holds nothing, with the owner's view.
    Survivor,
}

impl World {
    pub(super) fn intrusions(&self, actions: &mut Vec<Action>) {
        for i in (0..self.instances.len() as u8).filter(|i| self.instances[usize::from(*i)].is_alive()) {
            for attempt in [Number::Old, Number::Next, Number::Highest] {
                for says in [Says::OwnersHello, Says::Hello, Says::Newcomer, Says::Survivor] {
                    if says == Says::Survivor && !self.is_known_to_the_supervisor(i) {
                        continue;
                    }
                    actions.push(Action::Intrude(i, Intrusion { attempt, says }));
                }
            }
        }
    }

    /// A winner that knows nobody believes the first client that says all that a survivor says, until another survivor
    /// contradicts it: that no rule can help.
    fn is_known_to_the_supervisor(&self, i: u8) -> bool {
        let Some(server) = self.port else { return false };
        let server = &self.instances[usize::from(server)];
        let id = self.instances[usize::from(i)].session.id();
        let is_open = server.supervisor.as_ref().is_some_and(|supervisor| !supervisor.is_window_open());
        // The view of one that has forfeited is kept for a comparison, and is no knowledge any more.
        is_open || !server.session.is_fresh() && server.session.view().contains_key(&id)
    }

    /// Nothing is read of anybody else meanwhile: what comes between two frames of a stranger comes before or after it in
    /// another schedule.
    pub(super) fn intrude(&mut self, i: u8, how: Intrusion) {
        let Some(server) = self.port else { return };
        if self.at(server).retiring.is_some() || self.at(server).supervisor.is_none() {
            return;
        }
        let session = &self.instances[usize::from(i)].session;
        let last = session.attempt().number();
        let id = session.id();
        let hello = Hello {
            wire: WIRE_VERSION,
            purpose: Purpose::Member,
            trust: Trust::Open,
            id,
            attempt: Attempt::new(match how.attempt {
                Number::Old => last,
                Number::Next => last + 1,
                Number::Highest => u64::MAX,
            }),
            nonce: if how.says == Says::OwnersHello { nonce_of(id) } else { Nonce::new(7) },
        };
        let is_survivor = how.says == Says::Survivor;
        let stamp = if is_survivor { session.stamp() } else { Default::default() };
        let join = Join {
            group: lock_name(0).name,
            stamp,
            epoch: stamp.epoch,
            base: Token::default(),
            state: Default::default(),
            stopping: false,
            profile: session.profile().clone(),
        };
        let names = session.view().keys().map(|known| (*known, Nonce::UNKNOWN)).collect();
        let mut frames = vec![ToSupervisor::Hello(hello)];
        if matches!(how.says, Says::Newcomer | Says::Survivor) {
            frames.push(ToSupervisor::Join(join));
            frames.extend(is_survivor.then_some(ToSupervisor::Names(NameSort::Known, names)));
            frames.push(ToSupervisor::ClaimsEnd);
        }
        self.links += 1;
        let link = LinkId(self.links);
        self.supervise(server, |supervisor| {
            supervisor.connected(link);
            frames.into_iter().for_each(|frame| supervisor.frame(link, frame));
        });
        self.supervise(server, |supervisor| supervisor.ended(link, false));
    }

    /// The membership that nobody has.
    pub(super) fn faked(&self) -> Option<Forfeit> {
        self.config.faked.then_some((FAKED, Tag::new(7)))
    }

    pub(super) fn foreign_hello(&mut self) {
        let Some(server) = self.port else { return };
        let hello = Hello {
            wire: WIRE_VERSION + 1,
            purpose: Purpose::Member,
            trust: Trust::Open,
            id: FAKED,
            attempt: Attempt::new(1),
            nonce: Nonce::new(7),
        };
        self.links += 1;
        let link = LinkId(self.links);
        self.supervise(server, |supervisor| {
            supervisor.connected(link);
            supervisor.frame(link, ToSupervisor::Hello(hello));
            supervisor.ended(link, false);
        });
    }

    /// The office is left. For one membership nobody does so twice, so that each does so once at most before a window closes.
    pub(super) fn note_yield(&mut self, i: u8, why: StepDown) {
        let StepDown::MustRefuse(membership) = why else { return };
        self.at(i).session.yielded_for(membership);
        self.yields += 1;
        if self.yields > self.config.slots {
            self.fail(format!("YIELDS AGAIN: the office was left {} times for one membership", self.yields));
        }
    }

    /// The supervisor cuts a connection: if it is the one that its owner uses, somebody else has the owner's id.
    pub(super) fn note_cut(&mut self, link: LinkId) {
        let Some(k) = self.pipes.iter().position(|pipe| pipe.link == link) else { return };
        let client = self.pipes[k].client;
        if self.current(client) == Some(k) {
            let cut_off = &mut self.at(client).cut_off;
            *cut_off = cut_off.saturating_add(1);
        }
    }

    /// Whether nothing of this one reaches the supervisor, however long that lasts.
    pub(super) fn is_silent(&self, k: usize) -> bool {
        k == NOBODY || self.instances[k].stopped || self.instances[k].cut_off >= 3
    }
}

const STRANGERS: Config = Config { slots: 4, locks: 1, ..EVERYTHING }.with(&[(Fault::Intrude, 6), (Fault::Kill, 4)]);

#[test]
fn strangers_speak_under_the_ids_of_others_while_everything_happens() {
    explore("strangers", STRANGERS, 25_000);
}

#[test]
fn strangers_speak_under_the_ids_of_others_where_the_kernel_cannot_list_who_is_there() {
    let config = Config { listing: false, capacity: 99, ..STRANGERS }.with(&[
        (Fault::Start, 0),
        (Fault::Stop, 0),
        (Fault::Limit, 0),
        (Fault::GiveUp, 0),
    ]);
    explore("strangers, portable", config, 15_000);
}

const FOREIGN: Config = Config { slots: 4, locks: 1, faked: true, late_call: true, ..EVERYTHING }
    .with(&[(Fault::Foreign, 40), (Fault::Kill, 4)]);

#[test]
fn a_stranger_of_another_wire_version_says_hello_all_the_time_while_everything_happens() {
    explore("foreign", FOREIGN, 15_000);
}

#[test]
fn without_a_memory_the_office_is_left_again_and_again() {
    let mut config = FOREIGN;
    config.rules.yields_once = false;
    let found = super::walk::find(config, 1, 20_000).expect("a violation");
    assert!(found.what.starts_with("YIELDS AGAIN"), "{}", found.what);
}
