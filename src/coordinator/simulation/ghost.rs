//! What an all-knowing observer notes of a world, to judge it by: nobody in the world can see any of it.

use std::collections::{BTreeMap, BTreeSet};

use super::super::session::{Claim, Hold, Notice};
use super::super::supervisor::Supervisor;
use super::control;
use super::inquiries::Questions;
use super::meetings::Meetings;
use super::state;
use super::world::{Instance, World, lock_name, lock_of, owner};
use super::{Clock, Fault};
use crate::ident::{Epoch, InstanceId, Request, Stamp, Ticket, Token};
use crate::wire::message::{Abandoned, Mode, ToMember};

/// The observer's notes.
#[derive(Clone, Debug)]
pub(super) struct Ghost {
    pub(super) locks: [Seen; 3],
    pub(super) slots: Vec<Notes>,
    pub(super) state: state::Seen,
    pub(super) meetings: Meetings,
    pub(super) control: control::Seen,
    pub(super) questions: Questions,
    /// With which view each id became a member.
    born: BTreeMap<InstanceId, Stamp>,
    /// Ids that a supervisor has given up.
    given_up: BTreeSet<InstanceId>,
    /// Ids that were given up and were sent a notice that has arrived, and those to which none was sent or arrived.
    pub(super) notified: BTreeSet<InstanceId>,
    pub(super) unnotified: BTreeSet<InstanceId>,
    /// The epoch of the last reign that opened, and whose it was.
    opened: Option<(Epoch, InstanceId)>,
    /// What happens from here on no rule can help.
    pub(super) beyond: bool,
    /// The kernel showed the last winner nobody: after a complete restart nothing is remembered, by anybody.
    pub(super) restarted: bool,
}

/// What was seen of one lock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// The highest token of all grants, and of the exclusive ones.
    any: Option<Witness>,
    exclusive: Option<Witness>,
    /// An exclusive holder died, and nobody repaired what it left.
    died: bool,
    /// The instances that ever asked for more than to read, one bit each: only these can leave something half done.
    writers: u8,
}

#[derive(Clone, Copy, Debug)]
struct Witness {
    token: Token,
    who: InstanceId,
    /// The reign that gave it; zero: it may be one of which its holder has no view.
    epoch: Epoch,
}

/// What is known of one instance.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes {
    /// Per lock: up to this token it is over the limit, and only the token protects what it believes to hold.
    pub(super) excused: [Token; 3],
    /// Locks of which a reign that it has not heard of yet confirmed its claim, though it had been over the limit.
    unheard: BTreeSet<u8>,
    /// Locks that it released while over the limit.
    released: Vec<u8>,
    /// What an application believes to hold that its session has forgotten.
    pub(super) believes: Vec<(u8, Token, Mode)>,
    /// Requests to which no order is promised any more, because their owner was set aside.
    void: BTreeSet<Request>,
    /// Reigns in which it was set aside, so that it may not know how high their tokens are.
    aside: BTreeSet<Epoch>,
    /// Members whose end it has seen.
    ended: BTreeSet<InstanceId>,
}

/// What an instance had before it took a frame.
#[derive(Clone, Debug, Default)]
pub(super) struct Before {
    ticket: Option<Ticket>,
    held: Vec<(Request, u8, Token)>,
}

impl Ghost {
    pub(super) fn new(slots: usize) -> Self {
        Self {
            locks: [Seen::default(); 3],
            slots: vec![Notes::default(); slots],
            state: state::Seen::new(slots),
            meetings: Meetings::default(),
            control: control::Seen::new(slots),
            questions: Questions::new(),
            born: BTreeMap::new(),
            given_up: BTreeSet::new(),
            notified: BTreeSet::new(),
            unnotified: BTreeSet::new(),
            opened: None,
            restarted: false,
            beyond: false,
        }
    }

    pub(super) fn believes(&self, i: u8, lock: u8) -> bool {
        self.slots[usize::from(i)].believes.iter().any(|(believed, ..)| *believed == lock)
    }
}

impl Seen {
    /// The latest grant that contradicts one of this mode.
    fn against(&self, mode: Mode) -> Option<Witness> {
        // Shares and permits may be taken in another order than they were granted.
        if mode == Mode::Exclusive { self.any } else { self.exclusive }
    }

    fn note(&mut self, mode: Mode, witness: Witness) {
        let later = |seen: &Option<Witness>| seen.is_none_or(|seen| seen.token < witness.token);
        if later(&self.any) {
            self.any = Some(witness);
        }
        if mode == Mode::Exclusive && later(&self.exclusive) {
            self.exclusive = Some(witness);
        }
    }
}

/// Whether the application knows that it holds this.
pub(super) fn is_taken(claim: &Claim) -> bool {
    matches!(claim, Claim::Holds(_, hold) if hold.taken)
}

impl World {
    fn notes(&mut self, i: u8) -> &mut Notes {
        &mut self.ghost.slots[usize::from(i)]
    }

    fn excused(&self, i: usize, lock: u8) -> Token {
        self.ghost.slots[i].excused[usize::from(lock)]
    }

    /// What of it matters for judging this frame.
    pub(super) fn ghost_before(&self, i: u8, frame: &ToMember) -> Before {
        let claims = self.instances[usize::from(i)].session.claims();
        let holds = || {
            claims.iter().filter_map(|(request, claim)| match claim {
                Claim::Holds(_, hold) => Some((*request, lock_of(claim), hold.token)),
                Claim::Wants(..) => None,
            })
        };
        match frame {
            ToMember::Grant(grant) => Before {
                ticket: match claims.get(&grant.request) {
                    Some(Claim::Wants(_, ticket)) => *ticket,
                    _ => None,
                },
                held: Vec::new(),
            },
            ToMember::Forfeited | ToMember::Lost(_) => Before { ticket: None, held: holds().collect() },
            _ => Before::default(),
        }
    }

    /// The application hears something.
    pub(super) fn heard(&mut self, i: u8, notice: Notice, before: &Before) {
        let (id, stamp) = {
            let session = &self.at(i).session;
            (session.id(), session.stamp())
        };
        match notice {
            Notice::Granted(request) => {
                self.check_order(i, request, before.ticket);
                if !self.config.takes_late {
                    self.take_grant(i, request);
                }
            }
            Notice::Raised(request, token) => {
                let claims = self.at(i).session.claims();
                let Some(claim) = claims.get(&request).filter(|claim| is_taken(claim)) else { return };
                let (lock, mode) = (lock_of(claim), claim.want().mode);
                let epoch = Epoch::default();
                self.ghost.locks[usize::from(lock)].note(mode, Witness { token, who: id, epoch });
            }
            Notice::Lost(request, ..) => {
                for (_, lock, token) in before.held.iter().filter(|(held, ..)| *held == request) {
                    let unheard = self.ghost.slots[usize::from(i)].unheard.contains(lock);
                    if *token > self.excused(usize::from(i), *lock) && !unheard {
                        self.fail(format!("LOST WITHOUT REASON: {i} was never late, and loses {lock} #{token}"));
                    }
                }
            }
            Notice::Passed(request, leads) => self.ghost_passed(i, request, leads),
            Notice::Withdrawn(request) => self.ghost_timed_out(i, request),
            Notice::Denied(request, _) if self.ghost.control.was_denied(i, request) => {}
            Notice::Denied(request, why) => self.fail(format!("DENIED: {request} of {i}: {why}")),
            Notice::Forfeited => self.ghost_excuse_waits(i),
            Notice::Reign(..) => {
                self.ghost.born.entry(id).or_insert(stamp);
                self.notes(i).unheard.clear();
            }
            Notice::Ended(entry, ..) if self.ghost.born.get(&entry.id).is_some_and(|born| *born < stamp) => {
                self.notes(i).ended.insert(entry.id);
            }
            Notice::Joined(entry) => {
                // What a dead one had written and nobody had read may still show it for a moment.
                let lives = self.instances[owner(entry.id)].presence == Some(entry.id);
                // And a stranger may speak under an id that a supervisor has given up.
                let given_up = self.used[Fault::Intrude as usize] > 0 && self.ghost.given_up.contains(&entry.id);
                if lives && !given_up && self.notes(i).ended.contains(&entry.id) {
                    self.fail(format!("CAME BACK: {i} sees {} again, whose end it had seen", entry.id));
                }
            }
            _ => {}
        }
    }

    /// The application has what it waited for.
    pub(super) fn take_grant(&mut self, i: u8, request: Request) {
        let Some(Hold { token, abandoned, .. }) = self.at(i).session.take(request) else { return };
        let Some(claim) = self.at(i).session.claims().get(&request) else { return };
        let (lock, mode) = (lock_of(claim), claim.want().mode);
        if token <= self.excused(usize::from(i), lock) {
            self.check_late_take(i, lock, mode);
            return;
        }
        let seen = &mut self.ghost.locks[usize::from(lock)];
        let (latest, died) = (seen.against(mode), seen.died);
        let blamed = match abandoned {
            Abandoned::Died { who } => Some(who).filter(|who| seen.writers & 1 << owner(*who) == 0),
            Abandoned::Clean | Abandoned::Unknown => None,
        };
        let session = &self.instances[usize::from(i)].session;
        seen.note(mode, Witness { token, who: session.id(), epoch: session.stamp().epoch });
        if latest.is_some_and(|latest| token <= latest.token) {
            self.fail(format!("TOKEN NOT RISING: {i} gets {lock} #{token} after {latest:?} was seen"));
        }
        if died && abandoned == Abandoned::Clean {
            self.fail(format!(
                "ABANDONED MISSED: {i} gets {lock} as clean, but the work of its last owner was cut short"
            ));
        }
        if let Some(who) = blamed {
            self.fail(format!("READER BLAMED: {i} gets {lock} as left by {who}, which never asked to write"));
        }
    }

    /// It was over the limit, and takes what it was granted before. Who has read the end of the connection since can know.
    fn check_late_take(&mut self, i: u8, lock: u8, mode: Mode) {
        if self.instances[usize::from(i)].session.is_settled() || mode != Mode::Exclusive {
            return;
        }
        let mut others =
            self.instances.iter().enumerate().filter(|(k, other)| *k != usize::from(i) && other.is_alive());
        let holds = |(_, other): &(usize, &Instance)| other.claim(lock).is_some_and(|(_, claim)| is_taken(claim));
        if let Some((k, _)) = others.find(holds) {
            self.fail(format!("STALE TAKE: {i} takes {lock}, which {k} was granted since"));
        }
    }

    /// First come, first served, of those that were told their places.
    fn check_order(&mut self, i: u8, request: Request, ticket: Option<Ticket>) {
        let Some(claim) = self.at(i).session.claims().get(&request) else { return };
        let Claim::Holds(want, Hold { token, .. }) = claim else { return };
        let (lock, mode, token) = (lock_of(claim), want.mode, *token);
        if token <= self.excused(usize::from(i), lock) {
            return;
        }
        // Who waits for a verdict is passed over as well, and which waits that are is the policy's affair.
        if self.config.judges {
            return;
        }
        let void = |k: usize, request: Request| {
            self.ghost.slots[k].void.contains(&request) || self.ghost.control.was_passed_over(k)
        };
        let Some(ticket) = ticket.filter(|_| !void(usize::from(i), request)) else { return };
        let mut passed = None;
        for (k, other) in
            self.instances.iter().enumerate().filter(|(k, other)| *k != usize::from(i) && other.is_alive())
        {
            if let Some((theirs, Claim::Wants(want, Some(earlier)))) = other.claim(lock)
                && *earlier < ticket
                && !void(k, theirs)
                && (want.mode == Mode::Exclusive || mode == Mode::Exclusive)
            {
                passed = Some(format!("FIFO BROKEN: {i} ({ticket}) gets {lock} before {k} ({earlier})"));
            }
        }
        if let Some(passed) = passed {
            self.fail(passed);
        }
    }

    /// It asks for a lock.
    pub(super) fn ghost_asks(&mut self, i: u8, lock: u8, mode: Mode) {
        if mode != Mode::Shared {
            self.ghost.locks[usize::from(lock)].writers |= 1 << i;
        }
    }

    /// A clean end of a critical section.
    pub(super) fn ghost_release(&mut self, i: u8, lock: u8) {
        let Some((_, Claim::Holds(want, hold))) = self.instances[usize::from(i)].claim(lock) else { return };
        let latest = self.ghost.locks[usize::from(lock)].any.is_none_or(|seen| seen.token <= hold.token);
        if want.mode == Mode::Exclusive && (latest || hold.token > self.excused(usize::from(i), lock)) {
            self.ghost.locks[usize::from(lock)].died = false;
        } else if want.mode == Mode::Exclusive {
            self.notes(i).released.push(lock);
        }
    }

    /// An unclean one.
    pub(super) fn ghost_death(&mut self, i: u8) {
        self.config.locks().for_each(|lock| self.ghost_abandon(i, lock));
    }

    /// The work is cut short.
    pub(super) fn ghost_abandon(&mut self, i: u8, lock: u8) {
        if let Some((_, Claim::Holds(want, hold))) = self.instances[usize::from(i)].claim(lock)
            && want.mode == Mode::Exclusive
            && hold.taken
            && hold.token > self.excused(usize::from(i), lock)
        {
            self.ghost.locks[usize::from(lock)].died = true;
        }
    }

    pub(super) fn ghost_vanished(&mut self, i: u8) {
        // Not what it released: that may still lie in a buffer, together with the claim.
        self.notes(i).believes.clear();
    }

    /// What it knew went with the old id.
    pub(super) fn ghost_renamed(&mut self, i: u8) {
        self.notes(i).ended.clear();
        self.notes(i).released.clear();
    }

    /// The session is replaced, the application is not.
    pub(super) fn ghost_amnesia(&mut self, i: u8) {
        let claims = self.at(i).session.claims().values();
        let held = claims.filter_map(|claim| match claim {
            Claim::Holds(want, hold) if hold.taken => Some((lock_of(claim), hold.token, want.mode)),
            Claim::Holds(..) | Claim::Wants(..) => None,
        });
        let held: Vec<_> = held.collect();
        self.notes(i).believes.extend(held);
    }

    /// It was set aside: the order among waiters is promised to those who are connected.
    pub(super) fn void_promises(&mut self, i: u8) {
        let waits = self.instances[usize::from(i)].session.claims().iter();
        let waits: Vec<_> = waits.filter(|(_, c)| matches!(c, Claim::Wants(..))).map(|(request, _)| *request).collect();
        self.notes(i).void.extend(waits);
        // The view of the reign that set it aside may still lie unread in its buffer.
        let reigns = self.port.and_then(|port| self.instances[usize::from(port)].supervisor.as_ref()?.epoch());
        self.notes(i).aside.extend(reigns);
    }

    /// A supervisor gives an instance up. If it was silent, only the token protects what it holds from here on.
    pub(super) fn excuse(&mut self, id: InstanceId) {
        let i = owner(id) as u8;
        let instance = &self.instances[usize::from(i)];
        if !instance.stopped {
            return;
        }
        self.ghost.given_up.insert(id);
        let mut over = Vec::new();
        for claim in instance.session.claims().values() {
            if let Claim::Holds(_, hold) = claim {
                over.push((lock_of(claim), hold.token));
            }
        }
        // What lies unread in its buffers counts as well.
        for frame in self.pipes.iter().filter(|pipe| pipe.client == i).flat_map(|pipe| &pipe.down) {
            let (request, token) = match frame {
                ToMember::Grant(grant) => (grant.request, grant.token),
                ToMember::Token(request, token) => (*request, *token),
                _ => continue,
            };
            if let Some(claim) = instance.session.claims().get(&request) {
                over.push((lock_of(claim), token));
            }
        }
        // Residual R3: nobody who is there has heard of its reign, and the clock was set back. The new epoch may be lower
        // than the old one, and no rule tells any more which of the two is stale.
        let heard_of = self.port.map_or(Token::default(), |port| self.heard_of(port));
        self.ghost.beyond |=
            self.config.clock == Clock::WasSetBack && self.instances[usize::from(i)].session.base() > heard_of;
        for (lock, token) in over {
            let excused = &mut self.notes(i).excused[usize::from(lock)];
            *excused = token.max(*excused);
        }
        self.void_promises(i);
    }

    /// A window has closed: the claims it confirmed, and the numbers it chose.
    pub(super) fn ghost_close(&mut self, supervisor: &Supervisor) {
        if self.config.clock == Clock::WasSetBack {
            // Nobody who is there was part of the other reigns to their end: no rule can make tokens rise above theirs.
            let known = self.heard_by(supervisor);
            let there = supervisor.registry().iter().map(|(id, _)| owner(id));
            let seen: BTreeSet<Epoch> = there
                .map(|i| (i, self.instances[i].session.stamp().epoch))
                .filter(|(i, epoch)| *epoch != Epoch::default() && !self.ghost.slots[*i].aside.contains(epoch))
                .map(|(_, epoch)| epoch)
                .collect();
            let is_known = |witness: &Witness| witness.token <= known || seen.contains(&witness.epoch);
            for seen in &mut self.ghost.locks {
                seen.any = seen.any.filter(is_known);
                seen.exclusive = seen.exclusive.filter(is_known);
            }
        }
        if self.ghost.restarted {
            self.ghost.locks.iter_mut().for_each(|seen| seen.died = false);
        }
        // Residual R1: it was over the limit, and nobody who knew that is left; so its claim and its release count.
        for (i, notes) in self.ghost.slots.iter_mut().enumerate() {
            let released = std::mem::take(&mut notes.released);
            if supervisor.registry().get(self.instances[i].session.id()).is_some() {
                released.into_iter().for_each(|lock| self.ghost.locks[usize::from(lock)].died = false);
            }
        }
        for lock in self.config.locks() {
            for holder in supervisor.grants().holders(&lock_name(lock)) {
                self.confirmed(holder.who, lock, holder.request);
            }
        }
    }

    /// The highest token that anybody has heard of who is there.
    fn heard_by(&self, supervisor: &Supervisor) -> Token {
        let there = supervisor.registry().iter().map(|(id, _)| self.instances[owner(id)].session.base());
        there.max().unwrap_or_default()
    }

    fn heard_of(&self, port: u8) -> Token {
        self.instances[usize::from(port)].supervisor.as_ref().map_or(Token::default(), |s| self.heard_by(s))
    }

    fn confirmed(&mut self, id: InstanceId, lock: u8, request: Request) {
        let i = owner(id);
        let Some(Claim::Holds(want, hold)) = self.instances[i].session.claims().get(&request) else { return };
        let (mode, token) = (want.mode, hold.token);
        let over = self.excused(i, lock) >= token;
        let seen = self.ghost.locks[usize::from(lock)];
        if let Some(later) = seen.against(mode).filter(|later| later.token > token && owner(later.who) != i) {
            let witness = &self.instances[owner(later.who)];
            // A witness that was given up itself, or is no more, cannot speak.
            let speaks = witness.is_alive()
                && witness.session.id() == later.who
                && !self.ghost.given_up.contains(&later.who)
                && self.excused(owner(later.who), lock) < later.token;
            if speaks && self.instances[i].is_alive() {
                self.fail(format!("STALE CLAIM CONFIRMED: {lock} #{token} of {i}, but {later:?} was granted since"));
            }
        }
        if over {
            if self.ghost.notified.contains(&id) && self.instances[i].is_alive() {
                self.fail(format!("CONFIRMED THOUGH NOTIFIED: {lock} #{token} of {i}"));
            }
            // Residual R1: it was not notified, and whoever could have spoken against it is dead, or was over the limit itself.
            let writers = self.ghost.locks[usize::from(lock)].writers;
            self.ghost.locks[usize::from(lock)] = Seen { writers, ..Seen::default() };
            self.notes(i as u8).excused[usize::from(lock)] = Token::default();
            self.notes(i as u8).unheard.insert(lock);
        }
    }

    /// A reign may have opened.
    pub(super) fn ghost_opened(&mut self, supervisor: &Supervisor, me: InstanceId) {
        let Some(epoch) = supervisor.epoch().filter(|_| supervisor.is_open()) else { return };
        match self.ghost.opened {
            Some(opened) if opened == (epoch, me) => return,
            Some((before, _)) if before >= epoch && self.config.clock == Clock::Rises => {
                self.fail(format!("EPOCH NOT RISING: {epoch} after {before}"));
            }
            _ => {}
        }
        self.ghost.opened = Some((epoch, me));
    }
}
