//! What somebody asks for, before it takes effect.
//!
//! If the application has a policy, nothing takes effect before the policy was asked: of each connection one thing at a
//! time, in the order in which they were said, and different connections side by side. What a paused member asks for
//! waits, so far as it would reach others: its requests for locks and its arrivals are queued and passed over there, its
//! writes, messages and questions are held here until it is resumed.
//!
//! A lane belongs to a connection and ends with it. So a verdict that comes late finds nothing: whoever is back says
//! again what it still wants, and is asked about again.

use std::collections::BTreeMap;

use self::lane::{Asked, Lane};
use super::super::registry::Place;
use super::{LinkId, LinkState, Phase, Supervisor};
use crate::ident::{InstanceId, Kind, Nonce, Request, Stamp};
use crate::wire::message::{Entry, HeldClaim, Standing, ToMember, ToSupervisor, WantClaim};

mod lane;
#[cfg(test)]
mod tests;

/// Everything that was asked for and has not taken effect.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Gate {
    /// Of each connection that has anything here.
    lanes: BTreeMap<LinkId, Lane>,
    /// The questions to the policy that were not answered, each of one lane.
    asked: BTreeMap<u64, LinkId>,
    /// What waits in all lanes together, in bytes.
    bytes: usize,
}

impl Gate {
    /// The most that may wait in all lanes together, in bytes.
    const LIMIT: usize = 64 << 20;

    fn forget(&mut self, link: LinkId) {
        let Some(lane) = self.lanes.remove(&link) else { return };
        self.bytes -= lane.bytes();
        if let Some((question, _)) = lane.asked {
            self.asked.remove(&question);
        }
    }

    /// Changes a lane, which may be new, and counts what it has then. One without anything is none.
    fn change<T>(&mut self, link: LinkId, id: InstanceId, change: impl FnOnce(&mut Lane) -> T) -> T {
        let lane = self.lanes.entry(link).or_insert_with(|| Lane::new(id));
        let before = lane.bytes();
        let result = change(lane);
        self.bytes = self.bytes - before + lane.bytes();
        if lane.is_empty() {
            self.lanes.remove(&link);
        }
        result
    }
}

impl Supervisor {
    /// Somebody asks for something that needs coordination: an Acquire, an Arrive, a Put, a Post, an Ask or a Command.
    pub(super) fn admit(&mut self, link: LinkId, id: InstanceId, frame: ToSupervisor) {
        let is_behind = self.gate.lanes.get(&link).is_some_and(Lane::is_busy) && !self.is_own_command(link, &frame);
        if !is_behind && !self.is_judged(link, id, &frame) && !self.is_held(link, id, &frame) {
            return self.carry_out(link, id, frame);
        }
        let cost = lane::cost(&frame);
        let fits = self.gate.lanes.get(&link).is_none_or(|lane| lane.takes(cost));
        if !fits || self.gate.bytes + cost > Gate::LIMIT {
            let reason = "too much of what this instance asks for waits at the supervisor".into();
            return self.send(link, ToMember::Denied(lane::request(&frame), reason));
        }
        self.gate.change(link, id, |lane| lane.push(frame));
        self.advance(link);
    }

    /// Nothing keeps this from taking effect any more.
    fn carry_out(&mut self, link: LinkId, id: InstanceId, frame: ToSupervisor) {
        if self.is_left_to_the_next(&frame) {
            return;
        }
        match frame {
            ToSupervisor::Acquire(want) => self.grants.acquire(id, want),
            ToSupervisor::Arrive(arrive) => self.barriers.arrive(id, arrive),
            ToSupervisor::Put(put) => self.put(link, id, put),
            ToSupervisor::Post(post) => self.post(link, id, post),
            ToSupervisor::Ask(ask) => self.ask(link, ask),
            ToSupervisor::Command(command) => self.command(link, command),
            _ => {}
        }
    }

    /// Somebody waits no more for what it asked for here. Writes and commands are not given up.
    pub(super) fn withdraw(&mut self, link: LinkId, request: Request) {
        let Some(lane) = self.gate.lanes.get(&link) else { return };
        let id = lane.id;
        let checked = self.rules.verdicts_need_the_request;
        let was_last = self.gate.change(link, id, |lane| lane.withdraw(request, checked));
        if was_last {
            self.refresh_ready(id);
        }
    }

    pub(super) fn forget_lane(&mut self, link: LinkId) {
        if self.rules.verdicts_need_the_request {
            self.gate.forget(link);
        }
    }

    // ------------------------------------------------------------------------------------------------------- the policy

    /// What the policy says to a question: [`super::Output::Judge`]. A question that means nothing any more is ignored.
    pub fn judged(&mut self, question: u64, verdict: Result<(), Box<str>>) {
        if matches!(self.phase, Phase::Frozen) {
            return;
        }
        let Some(link) = self.gate.asked.remove(&question) else { return };
        let Some(id) = self.gate.lanes.get(&link).map(|lane| lane.id) else { return };
        match self.gate.change(link, id, |lane| lane.asked.take()) {
            Some((_, Asked::Claim(request))) => self.claim_judged(link, id, request, verdict),
            Some((_, Asked::Frame(frame))) => match verdict {
                Err(reason) if !self.is_decided(link, id, &frame) => self.deny(link, id, &frame, reason),
                _ => self.let_through(link, id, frame),
            },
            Some((_, Asked::Nothing)) | None => {}
        }
        self.advance(link);
        self.progress();
    }

    /// Whether the answer to a question, of the policy or of the handler, is still waited for.
    pub fn is_wanted(&self, question: u64) -> bool {
        self.gate.asked.contains_key(&question) || self.is_asked(question)
    }

    /// The number of a new question to the application.
    pub(super) const fn next_question(&mut self) -> u64 {
        self.questions += 1;
        self.questions
    }

    /// Lets through what may pass, and asks about the next thing that may not.
    fn advance(&mut self, link: LinkId) {
        while let Some(lane) = self.gate.lanes.get(&link).filter(|lane| lane.asked.is_none()) {
            let id = lane.id;
            if let Some((request, want)) = lane.claims.first_key_value() {
                let (request, frame) = (*request, ToSupervisor::Acquire(want.clone()));
                return self.judge(link, Asked::Claim(request), frame);
            }
            let Some(frame) = self.gate.change(link, id, Lane::pop) else { return };
            if self.is_judged(link, id, &frame) {
                // Not popped for good: it is part of the lane until the verdict.
                return self.judge(link, Asked::Frame(frame.clone()), frame);
            }
            self.let_through(link, id, frame);
        }
    }

    /// Who has this connection, as the policy and the handler see it. An observer has no entry but what it said of itself.
    pub(super) fn entry_of(&self, link: LinkId) -> Option<Entry> {
        match &self.links.get(&link)?.state {
            LinkState::Member(id) => self.registry.entry(*id),
            LinkState::Observer { id, profile, .. } => {
                Some(Entry { id: *id, profile: (**profile).clone(), standing: Standing::Active, nonce: Nonce::UNKNOWN })
            }
            _ => None,
        }
    }

    fn judge(&mut self, link: LinkId, asked: Asked, frame: ToSupervisor) {
        let entry = self.entry_of(link);
        // Whoever is nobody any more wants nothing.
        let Some(entry) = entry else { return self.gate.forget(link) };
        let question = self.next_question();
        self.gate.asked.insert(question, link);
        self.gate.change(link, entry.id, |lane| lane.asked = Some((question, asked)));
        self.outputs.push(super::Output::Judge(question, entry, frame));
    }

    /// Whether the policy has to be asked.
    fn is_judged(&self, link: LinkId, id: InstanceId, frame: &ToSupervisor) -> bool {
        self.settings.control.judges && !self.is_own_command(link, frame) && !self.is_decided(link, id, frame)
    }

    /// The application that has the policy commands, or somebody who may not, which is said where commands are.
    fn is_own_command(&self, link: LinkId, frame: &ToSupervisor) -> bool {
        matches!(frame, ToSupervisor::Command(_)) && self.is_member(link)
    }

    fn is_member(&self, link: LinkId) -> bool {
        matches!(self.links.get(&link).map(|found| &found.state), Some(LinkState::Member(_)))
    }

    /// Whether it is said again and was done before, or may have been: then a refusal would not be true. Or it asks for what
    /// has been done once already, and can only be told so.
    fn is_decided(&self, link: LinkId, id: InstanceId, frame: &ToSupervisor) -> bool {
        match frame {
            ToSupervisor::Put(put) => {
                let is_found_out = put.key.kind == Kind::Once && self.state().version(&put.key) != Stamp::default();
                is_found_out || put.again.is_some() && self.state().known(id, put).is_some()
            }
            ToSupervisor::Arrive(arrive) => self.is_member(link) && self.barriers.is_decided(id, arrive.request),
            _ => false,
        }
    }

    /// The policy refuses this, and nothing is left of it.
    fn deny(&mut self, link: LinkId, id: InstanceId, frame: &ToSupervisor, reason: Box<str>) {
        match frame {
            ToSupervisor::Acquire(want) => self.grants.cancel(id, want.request),
            // It may have been said on an earlier connection.
            ToSupervisor::Arrive(arrive) => self.barriers.refuse(id, arrive.request),
            _ => {}
        }
        self.send(link, ToMember::Denied(lane::request(frame), reason));
    }

    // ------------------------------------------------------------------------------------------------- what is brought

    /// A member brings what it holds and waits for. What it holds stays its own; what it waits for keeps its place, and
    /// the policy is asked about it again.
    pub(super) fn claims(&mut self, link: LinkId, id: InstanceId, held: Vec<HeldClaim>, wants: Vec<WantClaim>) {
        if !self.settings.control.judges || !self.rules.waits_are_judged_again {
            return self.grants.claim(id, held, wants);
        }
        // What is new to the reign has no place to keep.
        let all = self.is_window_open();
        let keeps = |claim: &WantClaim| all || self.grants.knows(id, claim.want.request);
        let (wants, new): (Vec<_>, Vec<_>) = wants.into_iter().partition(keeps);
        self.grants.claim(id, held, wants.clone());
        let waiting = wants.into_iter().map(|claim| claim.want).filter(|want| self.grants.waits(id, want.request));
        let waiting: Vec<_> = waiting.map(|want| (want.request, want)).collect();
        self.gate.change(link, id, |lane| lane.claims.extend(waiting));
        self.advance(link);
        new.into_iter().for_each(|claim| self.admit(link, id, ToSupervisor::Acquire(claim.want)));
    }

    fn claim_judged(&mut self, link: LinkId, id: InstanceId, request: Request, verdict: Result<(), Box<str>>) {
        let (claim, was_last) = self.gate.change(link, id, |lane| {
            let claim = lane.claims.remove(&request);
            (claim, lane.claims.is_empty())
        });
        // It may have been given up, or be one that can never be granted.
        if let (Some(want), Err(reason)) = (claim, verdict)
            && self.grants.waits(id, request)
        {
            self.deny(link, id, &ToSupervisor::Acquire(want), reason);
        }
        if was_last {
            self.refresh_ready(id);
        }
    }

    // -------------------------------------------------------------------------------------------------------- the pause

    /// Whether grants can go to this one now, and barriers count it: it is connected and not paused, and the policy has
    /// been asked about all that it brought. Of who was not welcomed yet there is nothing to say.
    pub(super) fn refresh_ready(&mut self, id: InstanceId) {
        let Some(member) = self.registry.get(id) else { return };
        let here = match member.place {
            // Not who is being evicted.
            Place::Here(link) => Some(link).filter(|link| self.is_open_link(*link)),
            Place::Aside(_) => None,
            Place::Parked(_) | Place::Named(_) => return,
        };
        if self.is_window_open() {
            return;
        }
        let paused = member.profile.paused && self.rules.paused_is_passed_over;
        let lane = here.and_then(|link| self.gate.lanes.get(&link));
        let unjudged = lane.is_some_and(|lane| !lane.claims.is_empty());
        // Who is paused is told of generations like any other, so to barriers it is connected.
        self.barriers.set_paused(id, paused);
        self.barriers.set_ready(id, here.is_some());
        self.grants.set_ready(id, here.is_some() && !paused && !unjudged);
    }

    /// Pauses a member, or ends its pause, and tells everybody.
    pub(super) fn set_paused(&mut self, id: InstanceId, paused: bool) {
        if !self.registry.set_paused(id, paused) {
            return;
        }
        self.refresh_ready(id);
        self.announce(&[id], Vec::new(), None);
        let Some(Place::Here(link)) = self.registry.get(id).map(|member| member.place) else { return };
        while let Some(frame) = self.next_held(link, id) {
            self.carry_out(link, id, frame);
        }
    }

    /// What was held first by a pause that is over.
    fn next_held(&mut self, link: LinkId, id: InstanceId) -> Option<ToSupervisor> {
        if self.is_paused(link, id) || !self.gate.lanes.contains_key(&link) {
            return None;
        }
        self.gate.change(link, id, Lane::release)
    }

    fn is_paused(&self, link: LinkId, id: InstanceId) -> bool {
        self.is_member(link) && self.registry.get(id).is_some_and(|member| member.profile.paused)
    }

    /// Whether a pause holds this here. What was done before changes nothing.
    fn is_held(&self, link: LinkId, id: InstanceId, frame: &ToSupervisor) -> bool {
        lane::is_held_by_a_pause(frame) && self.is_paused(link, id) && !self.is_decided(link, id, frame)
    }

    /// The policy has nothing against it.
    fn let_through(&mut self, link: LinkId, id: InstanceId, frame: ToSupervisor) {
        if self.is_held(link, id, &frame) {
            self.gate.change(link, id, |lane| lane.hold(frame));
        } else {
            self.carry_out(link, id, frame);
        }
    }

    /// Panics with a sentence if what waits here contradicts the rest.
    pub(super) fn check_lanes(&self) {
        let bytes = self.gate.lanes.values().map(Lane::bytes).sum::<usize>();
        assert_eq!(self.gate.bytes, bytes, "what waits is miscounted");
        let questions = self.gate.lanes.iter().filter_map(|(link, lane)| Some((lane.asked.as_ref()?.0, *link)));
        assert_eq!(self.gate.asked, questions.collect(), "a question belongs to no lane, or a lane's to nobody");
        for (link, lane) in &self.gate.lanes {
            lane.check_invariants();
            let owner = match self.links.get(link).map(|found| &found.state) {
                Some(LinkState::Member(id)) => {
                    let place = self.registry.get(*id).map(|member| member.place);
                    assert_eq!(place.and_then(Place::link), Some(*link), "something waits of an earlier connection");
                    *id
                }
                Some(LinkState::Observer { id, .. }) => *id,
                state => panic!("something waits of a connection that is {state:?}"),
            };
            assert_eq!(owner, lane.id, "a lane has another owner");
            assert!(lane.asked.is_none() || self.settings.control.judges, "nobody judges");
            assert!(!lane.holds() || self.is_paused(*link, lane.id), "something is held of one who is not paused");
            assert!(lane.claims.is_empty() || !self.grants.is_ready(lane.id), "grants go to one who is to be judged");
        }
    }
}
