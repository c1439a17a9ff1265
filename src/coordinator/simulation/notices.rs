//! The mailboxes of memberships, which the kernel keeps: a notice in one outlives the supervisor that sent it.

use super::findings::{GROUP, holds, needs};
use super::script::Script;
use super::strangers::FAKED;
use super::world::Action::{
    Acquire, Elect, FailStop, Kill, Notified, Notify, Probe, Read, ReadMailbox, Receive, Slice, Start, Stop,
};
use super::world::{Action, Phase, World};
use super::{Config, EVERYTHING, Fault, explore};
use crate::ident::{InstanceId, Tag};
use crate::wire::message::ToMember;

impl World {
    /// Whether a notice lies in one of its mailboxes.
    pub(super) fn has_notice(&self, i: u8) -> bool {
        let instance = &self.instances[usize::from(i)];
        let found = |id| instance.tags.iter().any(|tag| self.mail.contains(&(id, *tag)));
        instance.membership.is_some_and(found)
    }

    /// What its threads do about notices of their own accord.
    pub(super) fn notices(&self, i: u8, actions: &mut Vec<Action>) {
        let instance = &self.instances[usize::from(i)];
        if !instance.unsent.is_empty() {
            actions.push(Action::Notify(i));
        }
        if !instance.unreported.is_empty() {
            actions.push(Action::Notified(i));
        }
        let waits = match instance.phase {
            Phase::Elect | Phase::Joining => true,
            Phase::Member => !instance.session.is_settled(),
            Phase::Supervisor | Phase::Off | Phase::Left | Phase::Dead => false,
        };
        if waits && self.has_notice(i) {
            actions.push(Action::ReadMailbox(i));
        }
    }

    /// Looks into its mailboxes; says whether a notice was there. Then it has lost everything and comes again as another.
    pub(super) fn read_mailbox(&mut self, i: u8) -> bool {
        if !self.has_notice(i) {
            return false;
        }
        self.take(i, ToMember::Forfeited);
        self.at(i).must_rename = false;
        if let Some(k) = self.current(i) {
            self.pipes[k].shut_client();
        }
        self.elect_again(i);
        self.rename(i);
        true
    }

    /// A notice is put into the mailboxes that it is for, those that still exist, or is lost.
    pub(super) fn notify(&mut self, i: u8, arrives: bool) {
        let Some(notice) = self.at(i).unsent.pop_front() else { return };
        if notice.id == FAKED {
            // Nobody reads what lies in its mailbox.
            return self.at(i).unreported.push_back(FAKED);
        }
        let owner = &self.instances[super::world::owner(notice.id)];
        let meant = |tag: &&Tag| notice.tags.is_empty() || notice.tags.contains(tag);
        let shown = owner.tags.iter().filter(|_| owner.membership == Some(notice.id)).filter(meant);
        let boxes: Vec<_> = shown.map(|tag| (notice.id, *tag)).collect();
        if !arrives {
            self.ghost.unnotified.insert(notice.id);
        } else {
            self.mail.extend(boxes);
        }
        if !notice.is_late {
            self.at(i).unreported.push_back(notice.id);
        }
    }

    /// The supervisor learns that it was sent: now others can have what the member held.
    pub(super) fn notified(&mut self, i: u8) {
        let Some(id) = self.at(i).unreported.pop_front() else { return };
        if !self.ghost.unnotified.contains(&id) {
            self.ghost.notified.insert(id);
        }
        self.supervise(i, |supervisor| supervisor.notified(id));
    }

    /// The reign has ended: what its threads are about to send they still do, and nobody takes their reports.
    pub(super) fn forget_notices(&mut self, i: u8) {
        let instance = self.at(i);
        instance.unreported.clear();
        instance.unsent.iter_mut().for_each(|notice| notice.is_late = true);
    }

    /// A supervisor gives this one up, in a reign that is open or before.
    pub(super) fn given_up(&mut self, id: InstanceId, was_open: bool) {
        if was_open || !self.config.listing {
            self.ghost.unnotified.insert(id);
        }
    }

    /// Whether it has learnt that it was given up, or will as soon as it runs and looks.
    pub(super) fn can_know(&self, i: usize) -> bool {
        self.has_notice(i as u8) || self.ghost.unnotified.contains(&self.instances[i].session.id())
    }
}

/// 1 holds the lock and is stopped; 2 has won, and the limit passes.
fn give_one_up(script: &mut Script) {
    script.all(&[Kill(0), Stop(1), Receive(2), Elect(2), Probe(2)]).alone(Slice(2));
}

/// The same, and it is sent the notice.
fn notify_one(script: &mut Script) -> &mut Script {
    give_one_up(script);
    script.all(&[Notify(2), Notified(2)])
}

#[test]
fn a_member_that_was_away_finds_out_whatever_becomes_of_the_supervisor() {
    needs(
        GROUP,
        |rules| rules.expired_are_notified = false,
        "NOT NOTIFIED",
        |script| {
            notify_one(script).all(&[Acquire(2, 0), Stop(2), Action::Continue(1), Receive(1)]);
        },
    );
}

#[test]
fn the_notice_is_there_before_anybody_else_has_the_lock() {
    needs(
        GROUP,
        |rules| rules.notice_before_expiry = false,
        "NOT NOTIFIED",
        |script| {
            give_one_up(script);
            script.act(Acquire(2, 0));
        },
    );
}

/// Nobody is left who knows that 1 was given up: it looks, or its claim is confirmed.
#[test]
fn a_member_looks_before_it_claims_anything() {
    needs(
        GROUP,
        |rules| rules.hello_follows_a_look = false,
        "CONFIRMED THOUGH NOTIFIED",
        |script| {
            notify_one(script).all(&[Acquire(2, 0), Kill(2), Start(3), Elect(3), Probe(3)]);
            script.all(&[Action::Continue(1), Receive(1), Elect(1)]).read(1, 2).deliver(1).read(1, 2).act(Probe(3));
        },
    );
}

#[test]
fn a_winner_looks_before_it_claims_anything() {
    needs(
        GROUP,
        |rules| rules.hello_follows_a_look = false,
        "CONFIRMED THOUGH NOTIFIED",
        |script| {
            notify_one(script).all(&[Acquire(2, 0), Kill(2), Action::Continue(1), Receive(1), Elect(1), Probe(1)]);
        },
    );
}

#[test]
fn a_member_whose_supervisor_stands_still_looks_while_it_waits() {
    let script = holds(GROUP, |script| {
        give_one_up(script);
        script.all(&[Action::Continue(1), Receive(1), Elect(1), Notify(2), Stop(2)]);
        assert!(script.world.instances[1].claim(0).is_some(), "the notice came after its hello");
        assert!(script.act(ReadMailbox(1)) && script.world.instances[1].claim(0).is_none());
    });
    assert_eq!(script.world.instances[1].generation, 1);
}

#[test]
fn a_hello_that_crosses_the_notice_claims_nothing() {
    let script = holds(GROUP, |script| {
        give_one_up(script);
        script.all(&[Action::Continue(1), Receive(1), Elect(1)]).read(1, 2);
        let is_open = |script: &Script| script.world.instances[2].supervisor.as_ref().is_some_and(|s| s.is_open());
        assert!(!is_open(script), "it waits until the notice is sent");
        script.act(Notify(2));
        assert!(!is_open(script));
        script.act(Notified(2));
        assert!(is_open(script));
    });
    assert_eq!(script.world.instances[1].generation, 1);
}

#[test]
fn a_notice_of_a_supervisor_that_has_resigned_meanwhile_frees_nothing() {
    holds(GROUP, |script| {
        give_one_up(script);
        script.all(&[FailStop(2), Start(3), Elect(3), Probe(3), Notify(2), Acquire(3, 0)]);
        assert!(script.world.instances[3].supervisor.as_ref().is_some_and(|s| s.is_window_open()));
        script.all(&[Elect(2), Read(2, 2)]);
    });
}

#[test]
fn notices_are_lost_and_supervisors_end_before_they_have_sent_them() {
    let config = Config { slots: 4, locks: 1, shared: false, permits: false, acquires: 8, slices: 1, ..EVERYTHING }
        .with(&[
            (Fault::Stop, 6),
            (Fault::Limit, 6),
            (Fault::Kill, 3),
            (Fault::FailStop, 3),
            (Fault::Lack, 2),
            (Fault::GiveUp, 3),
            (Fault::Undelivered, 2),
        ]);
    explore("notices", config, 40_000);
}
