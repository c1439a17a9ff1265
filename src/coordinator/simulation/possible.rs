//! Which steps are possible: what the instances do of their own accord, and what is done to them.

use super::super::session::Claim;
use super::strangers::{FAKED, NOBODY};
use super::world::{Action, Instance, Phase, Pipe, World, owner};
use super::{Fault, SEMAPHORE};
use crate::wire::message::{Mode, ToSupervisor};

impl World {
    /// What the instances do of their own accord.
    pub(super) fn work(&self, actions: &mut Vec<Action>) {
        for (index, instance) in self.instances.iter().enumerate() {
            let i = index as u8;
            if instance.stopped {
                continue;
            }
            match instance.phase {
                Phase::Elect => actions.push(Action::Elect(i)),
                Phase::Joining | Phase::Member => {
                    let pipe = self.current(i).map(|k| &self.pipes[k]);
                    if instance.phase == Phase::Joining && !instance.greeted && pipe.is_some() {
                        actions.push(Action::Greet(i));
                    }
                    if pipe.is_some_and(|pipe| !pipe.down.is_empty() || !pipe.server_open) {
                        actions.push(Action::Receive(i));
                    }
                }
                Phase::Supervisor => {
                    self.supervisor_work(i, actions);
                    self.yields(i, actions);
                    if instance.retiring.is_none() {
                        self.answers(i, actions);
                        if instance.draining {
                            actions.push(Action::Resign(i));
                        }
                    }
                }
                Phase::Off | Phase::Left | Phase::Dead => {}
            }
            self.notices(i, actions);
        }
    }

    fn supervisor_work(&self, i: u8, actions: &mut Vec<Action>) {
        let instance = &self.instances[usize::from(i)];
        let frozen = instance.retiring.is_some();
        let mut flushed = true;
        for pipe in self.pipes.iter().filter(|pipe| pipe.server == i && pipe.server_open) {
            if !frozen && !pipe.closing && (!pipe.up.is_empty() || !pipe.client_open) {
                actions.push(Action::Read(pipe.client, pipe.attempt));
            }
            let full = pipe.client_open && pipe.down.len() >= self.config.capacity;
            if !pipe.out.is_empty() && !full {
                actions.push(Action::Write(pipe.client, pipe.attempt));
            }
            // A peer that does not drain costs no more than a write timeout.
            flushed &= pipe.out.is_empty() || full && self.instances[usize::from(pipe.client)].stopped;
        }
        if !frozen && instance.look.is_some() {
            actions.push(Action::Look(i));
        }
        if frozen && flushed {
            actions.push(Action::Finish(i));
        }
        if !frozen && instance.uncalled {
            actions.push(Action::Call(i));
        }
        let is_given_up = instance.supervisor.as_ref().is_some_and(|supervisor| supervisor.is_expiring(FAKED));
        if !frozen && !is_given_up && self.waited_for(i) == [NOBODY] && self.may_slice(i) {
            // Nobody makes a faked membership end but time.
            actions.push(Action::Slice(i));
        }
        let Some(supervisor) = &instance.supervisor else { return };
        if !frozen && supervisor.is_behind() {
            actions.push(Action::GoOn(i));
        }
        if !frozen
            && supervisor.is_waiting()
            && (supervisor.awaited().into_iter().any(|id| self.is_gone(id))
                || supervisor.unnamed().into_iter().any(|id| self.is_membership_gone(supervisor, id))
                || supervisor.awaits_stranger() && !self.is_somebody_else(i))
        {
            actions.push(Action::Probe(i));
        }
    }

    /// Everything that may happen next.
    pub(super) fn actions(&self, actions: &mut Vec<Action>) {
        self.work(actions);
        let left = |fault: Fault| self.used[fault as usize] < self.config.faults[fault as usize];
        for (index, instance) in self.instances.iter().enumerate() {
            let i = index as u8;
            match instance.phase {
                Phase::Off if left(Fault::Start) => actions.push(Action::Start(i)),
                Phase::Off | Phase::Left | Phase::Dead => continue,
                _ => {}
            }
            if !instance.is_alive() {
                continue;
            }
            if left(Fault::Kill) {
                actions.push(Action::Kill(i));
            }
            if instance.stopped {
                actions.push(Action::Continue(i));
                continue;
            }
            if left(Fault::Stop) {
                actions.push(Action::Stop(i));
            }
            for lock in self.config.locks() {
                if self.may_inquire(i, lock) {
                    actions.push(Action::Inquire(i, lock));
                }
                match instance.claim(lock) {
                    None if instance.acquired >= self.config.acquires || !self.may_ask(i, lock) => {}
                    None if lock == SEMAPHORE => actions.extend([1, 2].map(|count| Action::Permits(i, count))),
                    None => {
                        actions.push(Action::Acquire(i, lock));
                        if self.config.shared && lock + 1 == self.config.locks {
                            actions.push(Action::Share(i, lock));
                        }
                    }
                    Some((_, Claim::Holds(_, hold))) if hold.taken => {
                        actions.push(Action::Release(i, lock));
                        if left(Fault::Abandon) {
                            actions.push(Action::Abandon(i, lock));
                        }
                    }
                    Some((_, Claim::Holds(..))) => {
                        if instance.session.is_settled() || !self.config.rules.take_only_when_settled {
                            actions.push(Action::Take(i, lock));
                        }
                        if left(Fault::Cancel) {
                            actions.push(Action::Cancel(i, lock));
                        }
                    }
                    Some((_, Claim::Wants(..))) if left(Fault::Cancel) => actions.push(Action::Cancel(i, lock)),
                    _ => {}
                }
            }
            self.puts(i, actions);
            self.errands(i, actions);
            self.refusals(i, actions);
            if self.may_arrive(i) {
                actions.extend((0..self.config.barriers).map(|barrier| Action::Arrive(i, barrier)));
            }
            if left(Fault::TimeOut) && self.patient(i).is_some() {
                actions.push(Action::TimeOut(i));
            }
            if left(Fault::Leave)
                && (instance.phase == Phase::Member
                    || instance.phase == Phase::Supervisor && instance.retiring.is_none())
            {
                actions.push(Action::Leave(i));
            }
            let to_stopped = |k: usize| self.instances[usize::from(self.pipes[k].server)].stopped;
            if instance.phase == Phase::Joining && left(Fault::GiveUp) && self.current(i).is_some_and(to_stopped) {
                actions.push(Action::GiveUp(i));
            }
            if let Some(supervisor) = &instance.supervisor
                && instance.retiring.is_none()
            {
                if left(Fault::Resign) && supervisor.is_open() {
                    actions.push(Action::Resign(i));
                    if self.config.errands > 0 && !instance.draining {
                        actions.push(Action::Drain(i));
                    }
                }
                if left(Fault::Lack) && supervisor.is_window_open() {
                    actions.push(Action::Lack(i));
                }
                if left(Fault::Undelivered) && !instance.unsent.is_empty() {
                    actions.push(Action::Undelivered(i));
                }
                if left(Fault::FailStop) {
                    actions.push(Action::FailStop(i));
                }
                if left(Fault::Limit) && self.may_slice(i) {
                    actions.push(Action::Slice(i));
                }
                self.cuts(i, actions);
                if left(Fault::Foreign) && self.config.faked {
                    actions.push(Action::Foreign);
                }
                if left(Fault::Intrude) {
                    self.intrusions(actions);
                }
            }
        }
    }

    fn cuts(&self, i: u8, actions: &mut Vec<Action>) {
        for pipe in self.pipes.iter().filter(|pipe| pipe.server == i && pipe.server_open) {
            let client = &self.instances[usize::from(pipe.client)];
            if pipe.client_open && client.stopped && pipe.down.len() >= self.config.capacity && !pipe.out.is_empty() {
                actions.push(Action::Cut(pipe.client, pipe.attempt));
            }
            if !pipe.client_open && pipe.up.is_empty() && !pipe.closing && !client.is_alive() {
                actions.push(Action::ReadEarly(pipe.client, pipe.attempt));
            }
        }
    }

    /// What an application that lost its memory in a fail-stop still believes to hold it does not ask for.
    fn may_ask(&self, i: u8, lock: u8) -> bool {
        !self.ghost.believes(i, lock)
    }

    /// Who is waited for: all of it stopped, and silent on every connection.
    fn waited_for(&self, i: u8) -> Vec<usize> {
        let Some(supervisor) = &self.instances[usize::from(i)].supervisor else { return Vec::new() };
        let mut ids = supervisor.awaited();
        ids.extend(supervisor.unnamed());
        let mut slots: Vec<usize> = ids.into_iter().map(|id| if id == FAKED { NOBODY } else { owner(id) }).collect();
        if supervisor.awaits_stranger() {
            let strange = |(k, other): &(usize, &Instance)| {
                *k != usize::from(i) && other.membership.is_some_and(|id| supervisor.registry().get(id).is_none())
            };
            slots.extend(self.instances.iter().enumerate().filter(strange).map(|(k, _)| k));
        }
        slots
    }

    /// Whether unread bytes of a handshake lie at the supervisor.
    pub(super) fn is_drained(&self, i: u8) -> bool {
        let handshake = |pipe: &&Pipe| pipe.server == i && pipe.server_open && !pipe.closing;
        let owes = |frame: &ToSupervisor| {
            matches!(frame, ToSupervisor::Hello(_) | ToSupervisor::ClaimsEnd | ToSupervisor::StateEnd)
        };
        !self.pipes.iter().filter(handshake).any(|pipe| pipe.up.iter().any(owes))
    }

    /// Real time is long compared with work: nobody who runs is ever late, unless the supervisor itself slept.
    pub(super) fn may_slice(&self, i: u8) -> bool {
        let instance = &self.instances[usize::from(i)];
        if !instance.supervisor.as_ref().is_some_and(|supervisor| supervisor.is_timed()) {
            return false;
        }
        let waited_for = self.waited_for(i);
        if waited_for.is_empty() {
            return false;
        }
        let drained = self.is_drained(i);
        let naive = instance.slept && (!self.config.rules.limit_counts_drained_time || !drained);
        naive || drained && waited_for.iter().all(|k| self.is_silent(*k))
    }

    /// Whether everybody who is waited for is stopped.
    pub(super) fn is_late(&self, i: u8) -> bool {
        self.waited_for(i).iter().all(|k| self.is_silent(*k))
    }

    pub(super) fn mode(action: Action) -> Mode {
        if matches!(action, Action::Share(..)) { Mode::Shared } else { Mode::Exclusive }
    }
}
