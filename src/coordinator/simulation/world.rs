//! The world: one port, some instances, and connections of which every buffer is visible. [`World::step`] does one
//! [`Action`]; [`World::actions`] says which are possible.

use std::collections::{BTreeSet, VecDeque};

use super::super::session::{Claim, Session};
use super::super::supervisor::{LinkId, Supervisor};
use super::ghost::Ghost;
use super::strangers::{FAKED, Intrusion};
use super::{Config, Fault, SEMAPHORE};
use crate::ident::{InstanceId, Kind, Name, Nonce, Request, Resource, Tag};
use crate::wire::message::{Profile, ToMember, ToSupervisor};

/// One step. The numbers are an instance, then a lock or the attempt that made a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Start(u8),
    /// Binds the port if it is free, else connects and writes its hello.
    Elect(u8),
    /// The supervisor takes one frame, or the end, of this connection.
    Read(u8, u16),
    /// The end, with the presence of the other side seen a moment too early.
    ReadEarly(u8, u16),
    /// The supervisor's kernel takes one frame of this connection's outbox.
    Write(u8, u16),
    /// The client takes one frame, or the end, of its connection.
    Receive(u8),
    /// The supervisor does a part of the work that was too much for one input.
    GoOn(u8),
    /// The supervisor hears from the kernel who is there.
    Call(u8),
    /// Says hello on the connection that it has made.
    Greet(u8),
    /// Looks into its mailboxes.
    ReadMailbox(u8),
    /// A notice of the supervisor is put into the mailboxes that it is for.
    Notify(u8),
    /// It cannot be.
    Undelivered(u8),
    /// The supervisor learns that it was sent.
    Notified(u8),
    /// The supervisor looks at the presence of those it waits for.
    Probe(u8),
    /// A slice of time that nobody used passes at the supervisor.
    Slice(u8),
    /// The buffer of a stopped client is full: its connection is cut.
    Cut(u8, u16),
    Acquire(u8, u8),
    Share(u8, u8),
    /// Asks for so many permits.
    Permits(u8, u32),
    /// The call that waited for a grant returns.
    Take(u8, u8),
    Release(u8, u8),
    /// Ends what it holds in the middle of the work.
    Abandon(u8, u8),
    Cancel(u8, u8),
    /// Asks how its wait for this lock stands.
    Inquire(u8, u8),
    /// The supervisor looks whether those in the way live.
    Look(u8),
    Put(u8, u8),
    PutIf(u8, u8),
    Delete(u8, u8),
    /// Waits at a barrier.
    Arrive(u8, u8),
    /// Gives up the wait at a barrier that has lasted longest.
    TimeOut(u8),
    Kill(u8),
    Stop(u8),
    Continue(u8),
    GiveUp(u8),
    Leave(u8),
    Resign(u8),
    /// The supervisor begins nothing any more, and will resign.
    Drain(u8),
    /// The supervisor has written what it could and closes its listener, then its connections.
    Finish(u8),
    /// The supervisor has too little of something, and its window is open.
    Lack(u8),
    FailStop(u8),
    /// Nothing keeps the supervisor from resigning in favour of its heir.
    HandOver(u8),
    /// Sends a message to this one.
    Post(u8, u8),
    Ask(u8),
    /// The supervisor commands this one.
    Pause(u8, u8),
    Resume(u8, u8),
    /// The policy answers this one of the open questions.
    Judge(u8, bool),
    /// The handler answers this one of the open questions.
    Answer(u8),
    /// A stranger connects, speaks under the id of this one, and hangs up.
    Intrude(u8, Intrusion),
    /// A stranger says hello under the faked membership, in another wire version.
    Foreign,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Off,
    Elect,
    Joining,
    Member,
    Supervisor,
    Left,
    Dead,
}

#[derive(Clone, Debug)]
pub(super) struct Instance {
    pub(super) phase: Phase,
    pub(super) stopped: bool,
    pub(super) session: Session,
    pub(super) supervisor: Option<Box<Supervisor>>,
    /// At whom its supervisor is to look.
    pub(super) look: Option<Vec<InstanceId>>,
    /// The ids under which the kernel shows it, as sockets would.
    pub(super) presence: Option<InstanceId>,
    pub(super) membership: Option<InstanceId>,
    /// The tags of its memberships: that of the last reign it was part of, and that of its last hello.
    pub(super) tags: Vec<Tag>,
    pub(super) attempt: u16,
    pub(super) generation: u64,
    pub(super) acquired: u8,
    pub(super) arrived: u8,
    /// It was stopped while its window was open.
    pub(super) slept: bool,
    /// How many of its connections in a row were cut before it was told anything, since somebody else has its id.
    pub(super) cut_off: u8,
    /// The kernel was not asked yet who is there.
    pub(super) uncalled: bool,
    /// Frozen: it closes its listener when everything is written, and then leaves or elects again.
    pub(super) retiring: Option<Retiring>,
    pub(super) must_rename: bool,
    /// It has said hello on its present connection.
    pub(super) greeted: bool,
    pub(super) draining: bool,
    /// Notices that its threads are about to send, and those that they have sent and not reported.
    pub(super) unsent: VecDeque<Notice>,
    pub(super) unreported: VecDeque<InstanceId>,
}

#[derive(Clone, Debug)]
pub(super) struct Notice {
    pub(super) id: InstanceId,
    pub(super) tags: Vec<Tag>,
    /// The reign in which it was decided has ended.
    pub(super) is_late: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retiring {
    Leaves,
    Stays,
}

#[derive(Clone, Debug)]
pub(super) struct Pipe {
    pub(super) client: u8,
    pub(super) server: u8,
    pub(super) attempt: u16,
    pub(super) link: LinkId,
    pub(super) accepted: bool,
    pub(super) client_open: bool,
    pub(super) server_open: bool,
    /// The server closes it when its outbox is empty.
    pub(super) closing: bool,
    pub(super) up: VecDeque<ToSupervisor>,
    pub(super) out: VecDeque<ToMember>,
    pub(super) down: VecDeque<ToMember>,
    pub(super) written: u64,
}

#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) config: Config,
    pub(super) port: Option<u8>,
    pub(super) instances: Vec<Instance>,
    pub(super) pipes: Vec<Pipe>,
    /// In which mailboxes there is a notice. A tag that is shown no more is never shown again.
    pub(super) mail: BTreeSet<(InstanceId, Tag)>,
    pub(super) used: [u8; Fault::COUNT],
    pub(super) links: u64,
    pub(super) tags: u64,
    pub(super) reigns: u64,
    /// How often the office was left since a window has closed for members that had to be refused.
    pub(super) yields: usize,
    /// How the last reign ended: by a resignation.
    pub(super) resigned: bool,
    /// Who has heard of which heirs.
    pub(super) heard_of: BTreeSet<(u8, InstanceId)>,
    pub(super) ghost: Ghost,
    pub(super) bad: Option<String>,
}

/// Which instance an id belongs or belonged to.
pub(super) fn owner(id: InstanceId) -> usize {
    (id.number() / 1000) as usize - 1
}

pub(super) fn id_of(slot: usize, generation: u64) -> InstanceId {
    InstanceId::new((slot as u64 + 1) * 1000 + generation)
}

pub(super) fn lock_name(lock: u8) -> Resource {
    let kind = if lock == SEMAPHORE { Kind::Semaphore } else { Kind::RwLock };
    Resource::new(kind, Name::new(NAMES[usize::from(lock)]).expect("a short name"))
}

/// Which lock a claim is about.
pub(super) fn lock_of(claim: &Claim) -> u8 {
    NAMES.iter().position(|name| *name == claim.want().name.name.as_str()).map_or(0, |lock| lock as u8)
}

pub(super) const NAMES: [&str; 3] = ["a", "b", "c"];

pub(super) fn new_session(config: &Config, id: InstanceId) -> Session {
    let profile = Profile {
        pid: id.number() as u32,
        version: World::version(config, id),
        since: 0,
        presence: 0,
        paused: false,
        label: "".into(),
        payload: [].into(),
    };
    Session::new(id, nonce_of(id), lock_name(0).name, profile).with_rules(config.rules)
}

/// What the instance with this id proves itself by.
pub(super) fn nonce_of(id: InstanceId) -> Nonce {
    Nonce::new(id.number() << 20)
}

impl Instance {
    pub(super) fn is_alive(&self) -> bool {
        !matches!(self.phase, Phase::Off | Phase::Left | Phase::Dead)
    }

    /// Its claim of a lock; it never has two of one.
    pub(super) fn claim(&self, lock: u8) -> Option<(Request, &Claim)> {
        let mut claims = self.session.claims().iter();
        claims.find(|(_, claim)| lock_of(claim) == lock).map(|(r, c)| (*r, c))
    }
}

impl World {
    /// Nobody is there yet.
    pub(super) fn empty(config: Config) -> Self {
        let instance = |slot: usize| Instance {
            phase: Phase::Off,
            stopped: false,
            session: new_session(&config, id_of(slot, 0)),
            supervisor: None,
            look: None,
            presence: None,
            membership: None,
            tags: Vec::new(),
            attempt: 0,
            generation: 0,
            acquired: 0,
            arrived: 0,
            slept: false,
            cut_off: 0,
            uncalled: false,
            retiring: None,
            must_rename: false,
            greeted: false,
            unsent: VecDeque::new(),
            unreported: VecDeque::new(),
            draining: false,
        };
        Self {
            config,
            port: None,
            instances: (0..config.slots).map(instance).collect(),
            pipes: Vec::new(),
            mail: BTreeSet::new(),
            used: [0; Fault::COUNT],
            links: 0,
            tags: 0,
            reigns: 0,
            yields: 0,
            resigned: false,
            heard_of: BTreeSet::new(),
            ghost: Ghost::new(config.slots),
            bad: None,
        }
    }

    /// Instance 0 is supervisor, the next ones are welcomed, one may hold lock 0, and all is quiet.
    pub(super) fn at_rest(config: Config) -> Self {
        let mut world = Self::empty(config);
        for i in 0..config.members as u8 {
            world.step(Action::Start(i));
            world.settle();
        }
        if let Some(holder) = config.held {
            world.step(Action::Acquire(holder, 0));
            world.settle();
        }
        world.used = [0; Fault::COUNT];
        world.instances.iter_mut().for_each(|instance| instance.acquired = 0);
        world
    }

    /// Does what the instances do of their own accord until nothing is left to do.
    pub(super) fn settle(&mut self) {
        let mut actions = Vec::new();
        for _ in 0..2000 {
            actions.clear();
            self.work(&mut actions);
            match actions.first() {
                Some(action) if self.bad.is_none() => self.step(*action),
                _ => return,
            }
        }
        self.fail("LIVELOCK: work never ends".into());
    }

    pub(super) fn fail(&mut self, what: String) {
        if !self.ghost.beyond {
            self.bad.get_or_insert(what);
        }
    }

    pub(super) fn pipe(&self, client: u8, attempt: u16) -> Option<usize> {
        self.pipes.iter().position(|pipe| pipe.client == client && pipe.attempt == attempt)
    }

    /// The connection that the client uses.
    pub(super) fn current(&self, client: u8) -> Option<usize> {
        let attempt = self.instances[usize::from(client)].attempt;
        self.pipes.iter().position(|pipe| pipe.client == client && pipe.attempt == attempt && pipe.client_open)
    }

    /// The kernel has closed the presence of this id.
    pub(super) fn is_gone(&self, id: InstanceId) -> bool {
        id != FAKED && self.instances[owner(id)].presence != Some(id)
    }

    /// The kernel has closed every membership of this id that the supervisor knows of.
    pub(super) fn is_membership_gone(&self, supervisor: &Supervisor, id: InstanceId) -> bool {
        if id == FAKED {
            return false;
        }
        let owner = &self.instances[owner(id)];
        owner.membership != Some(id) || !supervisor.shown(id).iter().any(|tag| owner.tags.contains(tag))
    }

    /// Whether the kernel shows a member besides this one.
    pub(super) fn is_somebody_else(&self, me: u8) -> bool {
        self.instances.iter().enumerate().any(|(i, other)| i != usize::from(me) && other.membership.is_some())
    }
}
