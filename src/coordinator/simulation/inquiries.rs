//! Exact answers in the simulation: whoever is refused because of somebody in the way is refused because of one that lived
//! when it asked.

use std::collections::{BTreeMap, BTreeSet};

use super::super::session::Claim;
use super::super::supervisor::Supervisor;
use super::script::Script;
use super::world::Action::{Acquire, Inquire, Kill, Look, Read, Release};
use super::world::{World, id_of, lock_name, lock_of, owner};
use super::{Config, EVERYTHING, Fault, Rules, explore};
use crate::ident::{InstanceId, Request};
use crate::wire::message::{Abandoned, ToMember};

/// The questions that were not answered yet, and who was gone when each was asked.
pub(super) type Questions = BTreeMap<(u8, Request), BTreeSet<InstanceId>>;

impl World {
    /// Whether a call that waits for this lock may ask how it stands: it was told a place, and has not asked.
    pub(super) fn may_inquire(&self, i: u8, lock: u8) -> bool {
        let instance = &self.instances[usize::from(i)];
        self.config.inquires
            && instance.session.is_settled()
            && instance.claim(lock).is_some_and(|(request, claim)| {
                matches!(claim, Claim::Wants(_, Some(_))) && !self.ghost.questions.contains_key(&(i, request))
            })
    }

    pub(super) fn inquire(&mut self, i: u8, lock: u8) {
        let Some((request, _)) = self.at(i).claim(lock) else { return };
        let everybody = self.instances.iter().enumerate().flat_map(|(k, instance)| {
            // Under whichever id it was there.
            (0..=instance.generation).map(move |generation| id_of(k, generation))
        });
        let gone = everybody.filter(|id| self.is_gone(*id)).collect();
        let frame = self.at(i).session.inquire(request);
        self.ghost.questions.insert((i, request), gone);
        self.say(i, frame);
    }

    /// The supervisor asks the kernel after those it was asked about.
    pub(super) fn look(&mut self, i: u8) {
        let Some(mut ids) = self.at(i).look.take() else { return };
        ids.retain(|id| self.is_gone(*id));
        self.supervise(i, |supervisor| supervisor.looked(&ids));
    }

    /// A supervisor says something: it may be an answer.
    pub(super) fn answered(&mut self, supervisor: &Supervisor, to: InstanceId, frame: &ToMember) {
        let (request, refused) = match frame {
            ToMember::Queued(queued) => (queued.request, true),
            ToMember::Grant(grant) => (grant.request, false),
            _ => return,
        };
        let Some(gone) = self.ghost.questions.remove(&(owner(to) as u8, request)) else { return };
        let blocks = |lock: u8| {
            let (grants, name) = (supervisor.grants(), lock_name(lock));
            // Who waits behind it is not in its way.
            let ahead = grants.waiters(&name).take_while(|waiter| (waiter.who, waiter.request) != (to, request));
            let ahead = ahead.map(|waiter| waiter.who);
            grants.holders(&name).map(|holder| holder.who).chain(ahead).any(|other| !gone.contains(&other))
        };
        let lock = self.instances[owner(to)].session.claims().get(&request).map(lock_of);
        if refused && lock.is_some_and(|lock| !blocks(lock)) {
            self.fail(format!("REFUSED BY THE DEAD: {to} with {request}"));
        }
    }

    /// What was asked on a connection that has ended is not answered.
    pub(super) fn forget_questions(&mut self, i: u8) {
        self.ghost.questions.retain(|(asker, _), _| *asker != i);
    }

    pub(super) fn unanswered(&self) -> Option<String> {
        let waits = |(i, request): &&(u8, Request)| {
            let instance = &self.instances[usize::from(*i)];
            instance.is_alive() && matches!(instance.session.claims().get(request), Some(Claim::Wants(..)))
        };
        self.ghost.questions.keys().find(waits).map(|(i, request)| format!("NO ANSWER: {i} asked how {request} stands"))
    }
}

const INQUIRES: Config = Config {
    inquires: true,
    slots: 4,
    members: 4,
    puts: 0,
    shared: false,
    permits: false,
    locks: 1,
    acquires: 12,
    ..EVERYTHING
};

#[test]
fn whoever_asks_is_refused_only_because_of_the_living() {
    explore("inquiries", INQUIRES, 40_000);
}

#[test]
fn whoever_asks_again_and_again_is_answered_though_nobody_dies() {
    let config = Config { capacity: 99, length: 120, ..INQUIRES }.with(&[
        (Fault::Kill, 1),
        (Fault::Stop, 0),
        (Fault::Limit, 0),
        (Fault::GiveUp, 0),
        (Fault::FailStop, 0),
        (Fault::Resign, 0),
    ]);
    explore("answers", config, 20_000);
}

/// 1 holds the lock and dies; its end was not read when 2 asks.
fn dead_holder(rules: Rules) -> Script {
    let config = Config { rules, slots: 3, members: 3, held: Some(1), takes_late: false, ..INQUIRES };
    let mut script = Script::new(config);
    script.act(Acquire(2, 0));
    script.read(2, 1).deliver(2);
    script
}

#[test]
fn a_holder_that_is_gone_does_not_keep_anybody_out() {
    let schedule = |script: &mut Script| {
        script.all(&[Kill(1), Inquire(2, 0)]).read(2, 1).act(Look(0));
        script.deliver(2).act(Read(1, 1));
        script.deliver(2);
    };
    let mut without = Rules::ALL;
    without.refusals_are_exact = false;
    let mut script = dead_holder(without);
    schedule(&mut script);
    let bad = script.world.bad.unwrap_or_default();
    assert!(bad.starts_with("REFUSED BY THE DEAD"), "without the rule: {bad}");

    let mut script = dead_holder(Rules::ALL);
    schedule(&mut script);
    script.rest();
    assert_eq!(script.world.bad, None);
    assert!(matches!(script.world.instances[2].claim(0), Some((_, Claim::Holds(..)))));
}

#[test]
fn what_a_holder_said_before_its_death_counts() {
    let mut script = dead_holder(Rules::ALL);
    // The release is on its way: the lock is not found with anybody who died.
    script.all(&[Release(1, 0), Kill(1), Inquire(2, 0)]).read(2, 1).act(Look(0));
    script.read(1, 1).deliver(2);
    let Some((_, Claim::Holds(_, hold))) = script.world.instances[2].claim(0) else { panic!("it is granted") };
    assert_eq!(hold.abandoned, Abandoned::Clean);
    script.rest();
    assert_eq!(script.world.bad, None);
}

#[test]
fn one_look_answers_all_who_asked_before_it() {
    let config = Config { slots: 4, members: 4, held: Some(1), takes_late: false, ..INQUIRES };
    let mut script = Script::new(config);
    script.all(&[Acquire(2, 0), Acquire(3, 0)]).read(2, 1).read(3, 1).deliver(2).deliver(3);
    script.all(&[Inquire(2, 0), Inquire(3, 0)]).read(2, 1);
    assert_eq!(script.world.instances[0].look, Some(vec![id_of(1, 0)]));
    script.read(3, 1);
    // The look under way began before 3 asked.
    script.act(Look(0));
    assert_eq!(script.world.ghost.questions.len(), 1, "2 is answered");
    assert!(script.act(Look(0)) && script.world.ghost.questions.is_empty());
    script.rest();
    assert_eq!(script.world.bad, None);
}
