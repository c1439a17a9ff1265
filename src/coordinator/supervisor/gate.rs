//! What somebody asks for, before it takes effect.

use super::super::registry::Place;
use super::{LinkId, Supervisor};
use crate::ident::InstanceId;
use crate::wire::message::{Entry, Profile, ToSupervisor};

impl Supervisor {
    /// Somebody asks for something that needs coordination: an Acquire, an Arrive, a Put, a Post, an Ask or a Command.
    pub(super) fn admit(&mut self, link: LinkId, id: InstanceId, frame: ToSupervisor) {
        self.carry_out(link, id, frame);
    }

    /// Nothing keeps this from taking effect any more.
    pub(super) fn carry_out(&mut self, link: LinkId, id: InstanceId, frame: ToSupervisor) {
        match frame {
            ToSupervisor::Acquire(want) => self.grants.acquire(id, want),
            ToSupervisor::Arrive(arrive) => self.barriers.arrive(id, arrive),
            ToSupervisor::Put(put) => self.put(link, id, put),
            ToSupervisor::Post(post) => self.post(link, id, post),
            ToSupervisor::Ask(ask) => self.ask(link, id, ask),
            ToSupervisor::Command(command) => self.command(link, id, command),
            _ => {}
        }
    }

    /// Whether grants can go to this one now, and barriers let it pass: it is connected and not paused.
    pub(super) fn refresh_ready(&mut self, id: InstanceId) {
        let ready = self.registry.get(id).is_some_and(|member| {
            let here = matches!(member.place, Place::Here(link) if self.is_open_link(link));
            here && !member.profile.paused
        });
        self.grants.set_ready(id, ready);
        self.barriers.set_ready(id, ready);
    }

    /// Pauses this one, or lets it go on, and tells everyone.
    pub(super) fn set_paused(&mut self, id: InstanceId, paused: bool) {
        let Some(member) = self.registry.get(id).filter(|member| member.profile.paused != paused) else { return };
        let profile = Profile { paused, ..member.profile.clone() };
        let place = member.place;
        self.registry.put(id, profile, place);
        self.refresh_ready(id);
        self.announce(&[id], Vec::new(), None);
    }

    /// The number of the next question to the policy or the handler.
    pub(super) fn next_question(&mut self) -> u64 {
        self.questions += 1;
        self.questions
    }

    /// Who this is, as the policy and the handler see it.
    pub(super) fn entry_of(&self, _link: LinkId, id: InstanceId) -> Option<Entry> {
        self.registry.entry(id)
    }

    /// What the policy says to a question: [`super::Output::Judge`]. A question that means nothing any more is ignored.
    pub fn judged(&mut self, _question: u64, _verdict: Result<(), Box<str>>) {
        self.progress();
    }
}
