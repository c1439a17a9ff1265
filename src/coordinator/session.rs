//! The member half that every instance has, the supervisor's own included: who it is, what it knows, what it claims.
//!
//! It survives reigns: the supervisor's state never does. It decides nothing for others and does nothing itself; what is
//! to be done comes out as [`Effect`]s, to be done in their order.

use std::collections::{BTreeMap, BTreeSet};

use self::arrivals::Arrivals;
pub use self::arrivals::Withdrawal;
use self::bounds::Cost;
pub use self::claims::{Claim, Hold};
use self::errands::Errands;
pub use self::notice::{Effect, Misplaced, Notice};
use self::replica::Puts;
pub use self::replica::Replica;
pub use self::survey::Survey;
use self::survey::Surveys;
use super::numbers;
use super::rules::Rules;
use crate::ident::{Attempt, Epoch, InstanceId, Name, Nonce, Request, Stamp, Token};
use crate::wire::message::{
    EndReason, Entry, Forfeit, Hello, Join, NameSort, Order, Profile, Purpose, Refusal, ToMember, ToSupervisor, Trust,
};
use crate::wire::{WIRE_VERSION, chunk_forfeits, chunk_names};

mod arrivals;
mod bounds;
mod claims;
mod errands;
mod heirs;
mod notice;
mod pace;
mod replica;
mod survey;
mod views;

/// One instance as a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    id: InstanceId,
    /// Proves that the id is its own. It changes with the id.
    nonce: Nonce,
    group: Name,
    profile: Profile,
    purpose: Purpose,
    attempt: Attempt,
    /// The highest epoch heard of.
    epoch: Epoch,
    /// The highest token base or token heard of.
    base: Token,
    /// The last closed view. Only this counts as knowledge; the zero stamp: never had one.
    stamp: Stamp,
    view: BTreeMap<InstanceId, Entry>,
    view_cost: Cost,
    /// Who had forfeited and was still there when the view was closed: a part of it.
    forfeits: Vec<Forfeit>,
    /// Names heard during an open window: they only add to who is awaited.
    heard: BTreeSet<InstanceId>,
    /// Ends of the present reign's that the next supervisor could not learn from the kernel.
    departed: BTreeMap<InstanceId, EndReason>,
    heirs: heirs::Heirs,
    /// A supervisor has told it to stop, which the next one has to know.
    stopping: bool,
    supervisor: Option<InstanceId>,
    predecessor: Option<InstanceId>,
    standing: Connection,
    /// Parts of a whole view, until the frame comes that uses them.
    parts: Vec<Entry>,
    parts_cost: Cost,
    forfeit_parts: Vec<Forfeit>,
    /// The claim table: the truth about what this instance holds and waits for.
    claims: BTreeMap<Request, Claim>,
    surveys: Surveys,
    /// The own copy of the state. Its stamp is of the same reign as that of the view.
    replica: Replica,
    /// Writes that were not answered yet.
    puts: Puts,
    /// The same for barriers.
    arrivals: Arrivals,
    /// The same for messages, questions and commands.
    errands: Errands,
    requests: u64,
    pings: u64,
    rules: Rules,
    /// The claims when the last connection ended: what must not be brought.
    #[cfg(test)]
    snapshot: BTreeMap<Request, Claim>,
}

/// How far the present connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Connection {
    /// There is none.
    Apart,
    /// Hello and claims were written.
    Greeted,
    /// Welcomed in an open window.
    Welcomed,
    /// Part of an open reign.
    Settled,
}

impl Session {
    /// An instance that has not joined yet. The id and the nonce are random.
    pub fn new(id: InstanceId, nonce: Nonce, group: Name, profile: Profile) -> Self {
        Self {
            id,
            nonce,
            group,
            profile,
            purpose: Purpose::Member,
            attempt: Attempt::default(),
            epoch: Epoch::default(),
            base: Token::default(),
            stamp: Stamp::default(),
            view: BTreeMap::new(),
            view_cost: Cost::default(),
            forfeits: Vec::new(),
            heard: BTreeSet::new(),
            departed: BTreeMap::new(),
            heirs: heirs::Heirs::default(),
            stopping: false,
            supervisor: None,
            predecessor: None,
            standing: Connection::Apart,
            parts: Vec::new(),
            parts_cost: Cost::default(),
            forfeit_parts: Vec::new(),
            claims: BTreeMap::new(),
            surveys: Surveys::default(),
            replica: Replica::default(),
            puts: Puts::default(),
            arrivals: Arrivals::default(),
            errands: Errands::default(),
            requests: 0,
            pings: 0,
            rules: Rules::ALL,
            #[cfg(test)]
            snapshot: BTreeMap::new(),
        }
    }

    /// The same as an observer, which claims nothing and has no entry.
    pub fn observing(mut self) -> Self {
        self.purpose = Purpose::Observer;
        self
    }

    /// The same with some rules switched off.
    #[cfg(test)]
    pub(crate) fn with_rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// Its id.
    pub fn id(&self) -> InstanceId {
        self.id
    }

    /// Its group.
    pub fn group(&self) -> &Name {
        &self.group
    }

    /// What it tells of itself.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The number of its last closed view; zero if it never had one.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Its last closed view.
    pub fn view(&self) -> &BTreeMap<InstanceId, Entry> {
        &self.view
    }

    /// Who reigns, as far as it knows; `None` between two reigns.
    pub fn supervisor(&self) -> Option<InstanceId> {
        self.supervisor
    }

    /// Who reigned last.
    pub fn predecessor(&self) -> Option<InstanceId> {
        self.predecessor
    }

    /// Whether it never had a closed view, so that it holds nothing and comes as a newcomer.
    pub fn is_fresh(&self) -> bool {
        self.stamp == Stamp::default()
    }

    /// Whether it is part of an open reign at this moment.
    pub fn is_settled(&self) -> bool {
        self.standing == Connection::Settled
    }

    /// The number of its last connection.
    #[cfg(test)]
    pub(crate) fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// The highest token base or token it has heard of.
    #[cfg(test)]
    pub(crate) fn base(&self) -> Token {
        self.base
    }

    /// The highest number of a reign that it knows.
    pub fn highest(&self) -> u64 {
        self.epoch.number().max(self.base.number())
    }

    /// What it claims.
    pub fn claims(&self) -> &BTreeMap<Request, Claim> {
        &self.claims
    }

    /// Everything a new connection begins with. The claims are built here and the connection is switched in the same
    /// step, so that no release can fall between the two.
    ///
    /// Whoever shows a membership has to show one with a new tag before any of this leaves, and after the connection is
    /// made or the port won. Then a membership that still has a tag under which its owner forfeited proves that its owner
    /// has said hello to no later supervisor, so that none can have confirmed what it claims.
    pub fn hello(&mut self) -> Vec<ToSupervisor> {
        self.attempt = self.attempt.next();
        self.standing = Connection::Greeted;
        let mut frames = vec![
            ToSupervisor::Hello(Hello {
                wire: WIRE_VERSION,
                purpose: self.purpose,
                trust: Trust::Open,
                id: self.id,
                attempt: self.attempt,
                nonce: self.nonce,
            }),
            ToSupervisor::Join(Join {
                group: self.group.clone(),
                stamp: self.stamp,
                epoch: self.epoch,
                base: if self.rules.token_base { self.base } else { Token::default() },
                state: self.replica.stamp(),
                stopping: self.stopping,
                profile: self.profile.clone(),
            }),
        ];
        if !self.is_fresh() {
            let known: Vec<_> = self.view.values().map(|entry| (entry.id, entry.nonce)).collect();
            let heard: Vec<_> = self.heard.iter().map(|id| (*id, Nonce::UNKNOWN)).collect();
            for (sort, names) in [(NameSort::Known, known), (NameSort::Heard, heard)] {
                frames.extend(chunk_names(&names).into_iter().map(|names| ToSupervisor::Names(sort, names)));
            }
            frames.extend(chunk_forfeits(&self.forfeits).into_iter().map(ToSupervisor::Forfeits));
            frames.extend(self.departed.iter().map(|(id, reason)| ToSupervisor::Departed(*id, *reason)));
            frames.extend(self.brought().values().map(Claim::frame));
        }
        if self.rules.completed_is_claimed {
            // Also of a newcomer that was somebody else before.
            frames.extend(self.arrivals.claims());
        }
        frames.push(ToSupervisor::ClaimsEnd);
        frames
    }

    /// The claims that the hello names.
    fn brought(&self) -> &BTreeMap<Request, Claim> {
        #[cfg(test)]
        if !self.rules.claims_are_the_table {
            return &self.snapshot;
        }
        &self.claims
    }

    /// The number of the next ping.
    pub fn ping(&mut self) -> u64 {
        self.pings += 1;
        self.pings
    }

    fn next_request(&mut self) -> Request {
        self.requests += 1;
        Request::new(self.requests)
    }

    /// The connection has ended, after everything readable was read.
    pub fn disconnected(&mut self) -> Vec<Effect> {
        self.standing = Connection::Apart;
        #[cfg(test)]
        self.snapshot.clone_from(&self.claims);
        self.predecessor = self.supervisor.take().or(self.predecessor);
        self.parts.clear();
        self.parts_cost = Cost::default();
        self.forfeit_parts.clear();
        self.drop_answer();
        self.forget_parts();
        if self.is_fresh() {
            self.heard.clear();
        }
        self.interrupt_errands()
    }

    /// Takes a new id and its nonce, after [`Effect::Rename`].
    pub fn rename(&mut self, id: InstanceId, nonce: Nonce) {
        self.arrivals.rename(self.id, id);
        self.id = id;
        self.nonce = nonce;
    }

    /// The supervisor has refused the handshake. If it has accepted a higher attempt of this instance, the next one lies
    /// above that; not further above than a supervisor would accept, or one that lies could use the numbers up.
    pub fn turned_away(&mut self, refusal: &Refusal) {
        if let Refusal::Attempt { last } = *refusal
            && last.may_follow(self.attempt)
        {
            self.attempt = last;
        }
    }

    /// Takes one frame of the supervisor.
    ///
    /// # Errors
    ///
    /// [`Misplaced`] if no supervisor says that at this point; nothing was changed.
    pub fn receive(&mut self, frame: ToMember) -> Result<Vec<Effect>, Misplaced> {
        if !numbers::is_credible(&frame) {
            return Err(Misplaced("number beyond all that a reign can have"));
        }
        let mut effects = Vec::new();
        match frame {
            ToMember::Refused(_) => return Err(Misplaced("refused after the handshake")),
            ToMember::Forfeited => self.forfeit(&mut effects),
            ToMember::Entries(entries) => {
                self.parts_cost = self.parts_cost.and(Cost::of_entries(&entries)).of_a_view()?;
                self.parts.extend(entries);
            }
            ToMember::Forfeits(forfeits) => {
                bounds::check_forfeits(self.forfeit_parts.len(), &forfeits)?;
                self.forfeit_parts.extend(forfeits);
            }
            ToMember::Names(NameSort::Heard, ids) => {
                bounds::check_names(self.heard.len(), ids.iter().filter(|id| !self.heard.contains(id)))?;
                self.heard.extend(ids);
            }
            ToMember::Names(NameSort::Known, _) => {
                return Err(Misplaced("names that a supervisor does not send"));
            }
            ToMember::Welcome(welcome) => self.welcomed(&welcome, &mut effects)?,
            ToMember::Opened(opened) => self.opened(opened, &mut effects)?,
            ToMember::Delta(delta) => self.changed(delta, &mut effects)?,
            ToMember::Queued(queued) => {
                if let Some(Claim::Wants(_, ticket)) = self.claims.get_mut(&queued.request) {
                    *ticket = Some(queued.ticket);
                    effects.push(Effect::Tell(Notice::Queued(queued.request, queued.ahead, queued.holder)));
                }
            }
            ToMember::Grant(grant) => self.granted(&grant, &mut effects),
            ToMember::Token(request, token) => self.raised(request, token, &mut effects),
            ToMember::Base(base) => self.rebased(base)?,
            ToMember::Lost(request) => self.lost(request, &mut effects),
            ToMember::Denied(request, reason) => {
                if matches!(self.claims.get(&request), Some(Claim::Wants(..))) {
                    self.claims.remove(&request);
                }
                self.refused(request);
                effects.push(Effect::Tell(Notice::Denied(request, reason)));
                self.put_refused(request, &mut effects);
                self.errand_refused(request, &mut effects);
            }
            ToMember::Complete(generation) => self.completed(generation)?,
            ToMember::Go(request, leads) => self.passed(request, leads, &mut effects)?,
            ToMember::Withdrawn(request) => self.taken_back(request, &mut effects)?,
            ToMember::Leave(sort) => self.office_left(sort),
            ToMember::Ping(n) => effects.push(Effect::Send(ToSupervisor::Pong(n))),
            ToMember::Pong(n) => {
                self.ponged(n, &mut effects);
                effects.push(Effect::Tell(Notice::Pong(n)));
            }
            ToMember::Locks(rows) => self.locks(rows)?,
            ToMember::Barriers(rows) => self.barriers(rows)?,
            ToMember::Surveyed(number) => self.surveyed(number, &mut effects)?,
            ToMember::Value(value) => self.value(value, &mut effects)?,
            ToMember::Fetch => self.fetched(&mut effects)?,
            ToMember::Stored(request, version) => {
                self.answered(request, Notice::Stored(request, version), &mut effects);
            }
            ToMember::Conflict(request, version) => {
                self.answered(request, Notice::Conflict(request, version), &mut effects);
            }
            ToMember::Interrupted(request) => {
                self.answered(request, Notice::Interrupted(request), &mut effects);
                self.errand_done(request, Notice::Interrupted(request), &mut effects);
            }
            ToMember::Message(from, bytes) => self.addressed(Notice::Message(from, bytes), &mut effects)?,
            ToMember::Command(order) => {
                let stops = order == Order::Stop;
                self.addressed(Notice::Commanded(order), &mut effects)?;
                // Not before it was told so: who is to stop has to know it.
                self.stopping |= stops;
            }
            ToMember::Evicted => self.evicted(&mut effects)?,
            ToMember::Delivered(request, count) => {
                self.errand_answered(request, Notice::Delivered(request, count), &mut effects)?;
            }
            ToMember::Undelivered(request) => {
                self.errand_answered(request, Notice::Undelivered(request), &mut effects)?;
            }
            ToMember::Reply(request, bytes) => {
                self.errand_answered(request, Notice::Replied(request, bytes), &mut effects)?;
            }
            ToMember::Failed(request, reason) => {
                self.errand_answered(request, Notice::Failed(request, reason), &mut effects)?;
            }
        }
        Ok(effects)
    }
}

#[cfg(test)]
mod tests;
