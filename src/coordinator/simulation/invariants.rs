//! What must hold after every step, and what must hold when nothing is left to do.

use std::collections::BTreeSet;

use super::super::session::Claim;
use super::control::is_paused;
use super::world::{Phase, World, lock_name};
use super::{PERMITS, SEMAPHORE};
use crate::ident::{InstanceId, Request, Token};
use crate::wire::message::{Mode, ToMember};

impl World {
    /// After every step.
    pub(super) fn check(&mut self) {
        if self.bad.is_some() {
            return;
        }
        let supervisors = self.instances.iter().filter(|instance| instance.phase == Phase::Supervisor).count();
        if supervisors != usize::from(self.port.is_some()) {
            return self.fail(format!("LISTENERS: {supervisors} supervisors, port of {:?}", self.port));
        }
        for lock in self.config.locks() {
            self.check_holders(lock);
        }
    }

    /// Two holders exclude each other unless one was silent beyond the limit; then their tokens tell them apart.
    fn check_holders(&mut self, lock: u8) {
        let mut holders = Vec::new();
        for (i, instance) in self.instances.iter().enumerate().filter(|(_, instance)| instance.is_alive()) {
            if let Some((request, Claim::Holds(want, hold))) = instance.claim(lock)
                && hold.taken
                && !self.is_told_of_its_end(i)
            {
                holders.push((i, Some(request), hold.token, want.mode));
            }
            let believed = self.ghost.slots[i].believes.iter().filter(|(believed, ..)| *believed == lock);
            holders.extend(believed.map(|(_, token, mode)| (i, None, *token, *mode)));
        }
        if holders.len() < 2 {
            return;
        }
        for holder in &mut holders {
            holder.2 = self.raised(holder.0, holder.1, holder.2);
        }
        let excused = |(i, _, token, _): &(usize, Option<Request>, Token, Mode)| {
            *token <= self.ghost.slots[*i].excused[usize::from(lock)]
        };
        if lock == SEMAPHORE {
            let count = |holder: &&(usize, Option<Request>, Token, Mode)| match holder.3 {
                Mode::Permits { count, .. } if !excused(holder) => count,
                _ => 0,
            };
            let used: u32 = holders.iter().map(|holder| count(&holder)).sum();
            if used > PERMITS {
                self.fail(format!("TOO MANY PERMITS: {holders:?}"));
            }
            return;
        }
        let mut bad = None;
        for (k, one) in holders.iter().enumerate() {
            for two in holders.iter().skip(k + 1).filter(|two| (one.3, two.3) != (Mode::Shared, Mode::Shared)) {
                let (late, firm) = match (excused(one), excused(two)) {
                    (false, false) => {
                        bad = Some(format!("TWO HOLDERS of {lock}: {} #{} and {} #{}", one.0, one.2, two.0, two.2));
                        continue;
                    }
                    (true, false) => (one, two),
                    (false, true) => (two, one),
                    (true, true) => continue,
                };
                if late.1.is_some() && !self.can_know(late.0) {
                    bad =
                        Some(format!("NOT NOTIFIED: {} has {lock} #{} now, and {} is to know", firm.0, firm.2, late.0));
                }
                if late.2 >= firm.2 {
                    bad = Some(format!(
                        "TOKEN ORDER: {} over the limit has {lock} #{}, {} #{}",
                        late.0, late.2, firm.0, firm.2
                    ));
                }
            }
        }
        if let Some(bad) = bad {
            self.fail(bad);
        }
    }

    /// Whether a `Forfeited` lies in its buffer: when it runs it reads it.
    fn is_told_of_its_end(&self, i: usize) -> bool {
        let mut pipes = self.pipes.iter().filter(|pipe| usize::from(pipe.client) == i && pipe.client_open);
        pipes.any(|pipe| pipe.down.contains(&ToMember::Forfeited))
    }

    /// The token of a holding, with those on their way to it.
    fn raised(&self, i: usize, request: Option<Request>, token: Token) -> Token {
        let pipes = self.pipes.iter().filter(|pipe| usize::from(pipe.client) == i);
        pipes.flat_map(|pipe| pipe.out.iter().chain(&pipe.down)).fold(token, |highest, frame| match frame {
            ToMember::Token(about, token) if Some(*about) == request => highest.max(*token),
            _ => highest,
        })
    }

    /// When only the application or a fault can act and nobody is stopped, everything has come to rest properly.
    pub(super) fn check_at_rest(&mut self) {
        if self.bad.is_some() || self.instances.iter().any(|instance| instance.stopped) {
            return;
        }
        if let Some(bad) = self.unrest() {
            self.fail(bad);
        }
    }

    fn unrest(&self) -> Option<String> {
        let living: Vec<_> = self.instances.iter().enumerate().filter(|(_, instance)| instance.is_alive()).collect();
        if living.is_empty() {
            return None;
        }
        let Some(port) = self.port else { return Some("REST WITHOUT A SUPERVISOR".into()) };
        let supervisor = self.instances[usize::from(port)].supervisor.as_ref()?;
        if !supervisor.is_open() {
            return Some(format!("WINDOW NOT CLOSED: waits for {:?} {:?}", supervisor.awaited(), supervisor.unnamed()));
        }
        supervisor.grants().check_invariants();
        supervisor.check_invariants();
        if let Some(bad) = self.control_unrest(supervisor) {
            return Some(bad);
        }
        if let Some(bad) = self.unanswered() {
            return Some(bad);
        }
        if let Some(bad) = self.state_unrest(supervisor) {
            return Some(bad);
        }
        let ids: BTreeSet<InstanceId> = living.iter().map(|(_, instance)| instance.session.id()).collect();
        let there: BTreeSet<InstanceId> = supervisor.registry().iter().map(|(id, _)| id).collect();
        if ids != there {
            return Some(format!("REGISTRY WRONG: {there:?}, alive {ids:?}"));
        }
        if let Some(bad) = self.unrest_at_barriers(supervisor) {
            return Some(bad);
        }
        let view = supervisor.registry().view();
        for (i, instance) in living {
            let session = &instance.session;
            if !matches!(instance.phase, Phase::Member | Phase::Supervisor) || !session.is_settled() {
                return Some(format!("STUCK: {i} rests in {:?}", instance.phase));
            }
            if self.has_notice(i as u8) {
                return Some(format!("NOTICE TO A MEMBER: {i} finds it in the mailbox that the reign knows"));
            }
            if !session.view().values().eq(&view) || session.stamp() != supervisor.registry().stamp() {
                return Some(format!("VIEW DIFFERS: {i} has {:?}, the supervisor {view:?}", session.view()));
            }
            for lock in self.config.locks() {
                let name = lock_name(lock);
                let mut holders = supervisor.grants().holders(&name);
                let mut waiters = supervisor.grants().waiters(&name);
                let theirs = supervisor.grants().holders(&name).find(|holder| holder.who == session.id());
                match instance.claim(lock) {
                    Some((request, Claim::Holds(_, hold)))
                        if theirs.is_none_or(|holder| (holder.request, holder.token) != (request, hold.token)) =>
                    {
                        return Some(format!("HOLDER UNKNOWN: {i} holds {lock} #{}", hold.token));
                    }
                    Some((_, Claim::Holds(..))) => {}
                    Some((request, Claim::Wants(..))) => {
                        if !waiters.any(|waiter| (waiter.who, waiter.request) == (session.id(), request)) {
                            return Some(format!("WAITER LOST: {i} waits for {lock} in no queue"));
                        }
                        if holders.next().is_none() && !is_paused(supervisor, session.id()) {
                            return Some(format!("STARVED: {lock} is free and {i} waits"));
                        }
                    }
                    None if theirs.is_some() => return Some(format!("GRANTED TO NOBODY: {lock} to {i}")),
                    None => {}
                }
            }
        }
        None
    }
}
