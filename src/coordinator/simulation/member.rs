//! What a member does: the client half of the runtime.

use super::super::session::{Effect, Notice};
use super::super::supervisor::LinkId;
use super::world::{Phase, Pipe, World, id_of, nonce_of};
use crate::ident::Tag;
use crate::wire::message::{LeaveSort, Refusal, ToMember, ToSupervisor};

impl World {
    pub(super) fn receive(&mut self, i: u8) {
        let Some(k) = self.current(i) else { return };
        if !self.pipes[k].down.is_empty() {
            self.at(i).cut_off = 0;
        }
        let Some(frame) = self.pipes[k].down.pop_front() else {
            self.pipes[k].shut_client();
            return self.elect_again(i);
        };
        for answer in self.take(i, frame) {
            self.say(i, Some(answer));
        }
        if std::mem::take(&mut self.at(i).must_rename) {
            if let Some(k) = self.current(i) {
                self.pipes[k].shut_client();
            }
            self.elect_again(i);
            self.rename(i);
        }
    }

    /// The member half takes a frame: its answers.
    pub(super) fn take(&mut self, i: u8, frame: ToMember) -> Vec<ToSupervisor> {
        if let ToMember::Refused(refusal @ (Refusal::Leaving | Refusal::Attempt { .. } | Refusal::Taken)) = &frame {
            self.at(i).session.turned_away(refusal);
            return Vec::new();
        }
        let before = self.ghost_before(i, &frame);
        self.hear_of_heir(i, &frame);
        let effects = match self.at(i).session.receive(frame) {
            Ok(effects) => effects,
            Err(why) => {
                self.fail(format!("MISPLACED: {i} cannot take a frame: {}", why.0));
                return Vec::new();
            }
        };
        let mut answers = Vec::new();
        for effect in effects {
            match effect {
                Effect::ShowMembership => self.show_membership(i),
                Effect::Send(frame) => answers.push(frame),
                Effect::Rename => self.at(i).must_rename = true,
                Effect::End => self.fail(format!("EVICTED: {i}, and nobody has told it to stop")),
                Effect::Tell(notice) => {
                    let instance = self.at(i);
                    if matches!(notice, Notice::Welcomed(_)) && instance.phase == Phase::Joining {
                        instance.phase = Phase::Member;
                    }
                    self.state_heard(i, &notice);
                    self.control_heard(i, &notice);
                    self.heard(i, notice, &before);
                }
            }
        }
        answers
    }

    /// Shows a membership with a new tag, beside that of the last reign it was part of.
    pub(super) fn show_another(&mut self, i: u8) {
        self.tags += 1;
        let tag = Tag::new(self.tags);
        let instance = self.at(i);
        instance.tags.truncate(usize::from(instance.membership.is_some()));
        instance.tags.push(tag);
        instance.membership = instance.presence;
    }

    /// It is part of a reign: the membership of the last one goes.
    fn show_membership(&mut self, i: u8) {
        if !self.config.rules.new_tag_before_hello || self.at(i).membership.is_none() {
            self.show_another(i);
        }
        let tags = &mut self.at(i).tags;
        tags.drain(..tags.len() - 1);
    }

    pub(super) fn say(&mut self, i: u8, frame: Option<ToSupervisor>) {
        let Some(frame) = frame else { return };
        if self.at(i).supervisor.is_some() {
            self.supervise(i, |supervisor| supervisor.frame(LinkId::LOCAL, frame));
        } else if let Some(k) = self.current(i)
            && self.pipes[k].server_open
        {
            self.pipes[k].up.push_back(frame);
        }
    }

    /// The presence of the new id is there before the old sockets go.
    pub(super) fn rename(&mut self, i: u8) {
        let keeps = !self.config.rules.new_id;
        let instance = self.at(i);
        if !keeps {
            instance.generation += 1;
            let id = id_of(usize::from(i), instance.generation);
            instance.session.rename(id, nonce_of(id));
        }
        instance.presence = Some(instance.session.id());
        instance.membership = None;
        self.ghost_renamed(i);
    }

    pub(super) fn leave(&mut self, i: u8) {
        if self.at(i).supervisor.is_some() {
            return self.retire(i, LeaveSort::Leaving);
        }
        self.say(i, Some(ToSupervisor::Leave));
        self.vanish(i, Phase::Left);
    }

    /// The kernel closes everything that the instance had.
    pub(super) fn vanish(&mut self, i: u8, phase: Phase) {
        self.close_office(i);
        self.pipes.iter_mut().filter(|pipe| pipe.client == i).for_each(Pipe::shut_client);
        let instance = self.at(i);
        instance.phase = phase;
        instance.stopped = false;
        instance.retiring = None;
        instance.presence = None;
        instance.membership = None;
        instance.unsent.clear();
        self.ghost_vanished(i);
    }
}
