//! The machine of one reign: it takes what the connections say and what the kernel shows, and decides what is written
//! to whom. It ties together the window, the registry, the grants, the barriers and the state.
//!
//! Inputs are methods; outputs are collected and drained with [`Supervisor::take_outputs`], in order. The supervisor's
//! own instance is a member like any other, on [`LinkId::LOCAL`], whose writes are done at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub use self::links::Handshake;
pub use self::scarcity::Lack;
use self::writes::Writes;
use super::barriers::Barriers;
use super::grants::Grants;
use super::registry::{Place, Registry};
use super::rules::Rules;
use super::submission::Submission;
use super::window::Window;
use crate::ident::{Attempt, Epoch, InstanceId, Name, Nonce, Stamp, Tag, Token};
use crate::wire::message::{Entry, Forfeit, Profile, ToMember, ToSupervisor, ViewHead};
use crate::wire::{WIRE_VERSION, chunk_entries, chunk_forfeits};

mod asks;
mod base;
mod commands;
mod ending;
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod handshake;
mod identity;
mod kernel;
mod links;
mod looks;
mod mail;
mod meeting;
mod members;
mod opening;
mod scarcity;
mod succession;
mod survey;
mod view;
mod writes;
mod yielding;

/// One connection at the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

impl LinkId {
    /// The supervisor's own instance.
    pub const LOCAL: Self = Self(0);
}

/// What is to be done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Write this to one connection. Every `Send` and `Cast` counts as one frame of each connection it names; see
    /// [`Supervisor::written`].
    Send(LinkId, ToMember),
    /// Write this to several connections.
    Cast(Vec<LinkId>, ToMember),
    /// Tell when what was written to these connections so far has reached their kernels.
    Watch(Vec<LinkId>),
    /// Close this connection once everything was written to it.
    Close(LinkId),
    /// Close this connection at once; another one has taken its place.
    Cut(LinkId),
    /// Put a notice into the mailboxes of this member and report with [`Supervisor::notified`], also if it could not be
    /// delivered. They are those of the memberships with these tags; no tags: of every membership that it shows now. A
    /// member that finds the notice has lost everything; `evicted`: it is out of the group.
    Notify {
        /// The member.
        id: InstanceId,
        /// The tags that the roll call showed.
        tags: Vec<Tag>,
        /// It was told to stop and has not.
        evicted: bool,
    },
    /// Leave the office to a member: close the listener, then the connections, and elect again.
    StepDown(StepDown),
    /// Ask the application's policy whether this one may do this, and report with [`Supervisor::judged`]. It may take any
    /// time, and this one is asked about nothing else before.
    Judge(u64, Entry, ToSupervisor),
    /// Let the application's handler answer this one, and report with [`Supervisor::handled`]. It may take any time.
    Handle(u64, Entry, Arc<[u8]>),
    /// Ask the kernel whether the presences of these members are closed, and report with [`Supervisor::looked`]. Not more
    /// than one of these is under way.
    Look(Vec<InstanceId>),
    /// Resign in favour of this member as soon as the application lets the office go, if it is still
    /// [`Supervisor::heir`] then.
    HandOver(InstanceId),
}

/// Why a supervisor gives its office up of its own accord.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepDown {
    /// It had forfeited everything itself, and learns it from those it was to supervise.
    Forfeited,
    /// It must refuse a living member of the reign before, with this membership: the office belongs to one who need not.
    MustRefuse(Forfeit),
    /// It was told to stop and did not in time: it leaves the group.
    Stopped,
    /// It has too little of this to take in those who are awaited.
    Lacks(Lack),
}

/// What a supervisor is, apart from what it will learn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The group.
    pub group: Name,
    /// The supervisor's own id.
    pub me: InstanceId,
    /// Its process.
    pub pid: u32,
    /// How long a window waits for the claims of a silent, living member; `None`: for ever.
    pub window_limit: Option<Duration>,
    /// How long a living member may be without a connection in an open reign before its entry ends; `None`: for ever.
    pub aside_limit: Option<Duration>,
    /// The most members it bears.
    pub member_limit: u32,
    /// How it controls what the members do.
    pub control: Control,
}

/// How a supervisor controls what the members do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// The application has a policy: nothing takes effect before it was asked.
    pub judges: bool,
    /// The application has a handler for what members ask.
    pub answers: bool,
    /// How long a member that was told to stop may take; `None`: for ever.
    pub stop_limit: Option<Duration>,
    /// The office is left to a newer version of the program.
    pub yields: bool,
    /// In whose favour somebody has resigned before: nobody does so twice.
    pub heirs: BTreeSet<InstanceId>,
    /// For which memberships, which it had to refuse, a winner has left the office before: nobody does so twice.
    pub yielded: BTreeSet<Forfeit>,
    /// The highest number that its own member half knows, and whether that has had a closed view.
    pub known: u64,
    pub is_member: bool,
}

/// The supervisor's state. It never outlives the reign.
#[derive(Clone, Debug, PartialEq)]
pub struct Supervisor {
    settings: Settings,
    rules: Rules,
    phase: Phase,
    registry: Registry,
    grants: Grants,
    writes: Writes,
    barriers: Barriers,
    /// Which completions of barriers have not reached their waiters yet.
    unwritten: meeting::Sent,
    unread: meeting::Sent,
    head: ViewHead,
    /// Who had forfeited when the window closed: a part of every view of the reign.
    forfeits: Vec<Forfeit>,
    links: BTreeMap<LinkId, Link>,
    /// Members that forfeited as the window closed, and the connections on which that is written to them.
    forfeiting: BTreeMap<LinkId, InstanceId>,
    /// Those of them whose connection ended before, until they have been sent a notice.
    noticing: BTreeMap<InstanceId, LinkId>,
    /// The last handshake that was accepted in this reign under every id.
    claimants: BTreeMap<InstanceId, Claimant>,
    /// The connections of observers, and the ids that they write under.
    watchers: BTreeMap<LinkId, InstanceId>,
    round: Option<Awaiting>,
    /// A higher token base, and who has to be written it before tokens above the old one are given.
    base_round: Option<(Token, Awaiting)>,
    /// The connections that asked for all locks and were not answered yet.
    surveys: BTreeMap<LinkId, survey::Survey>,
    /// Who asked how a request stands and was not answered yet.
    looks: looks::Looks,
    succession: succession::Succession,
    /// The last number of a question to the application.
    questions: u64,
    gate: gate::Gate,
    mail: mail::Mail,
    asks: asks::Asks,
    stops: commands::Stops,
    /// Which awaited instances had to be refused before the kernel has answered the roll call.
    unfit: BTreeSet<InstanceId>,
    /// The time, in nanoseconds since 1970.
    clock: u64,
    scarcity: scarcity::Scarcity,
    /// The reign is about to end: see [`Supervisor::drain`].
    draining: bool,
    outputs: Vec<Output>,
}

#[derive(Clone, Debug, PartialEq)]
enum Phase {
    /// Claims are collected; nothing is decided.
    Window(Box<Window>),
    /// The window is closed; nothing is granted before these have been written `Opened`.
    Opening(Awaiting),
    /// Grants are made.
    Open,
    /// Nothing is taken any more.
    Frozen,
}

/// An accepted handshake: by which connection its owner speaks, and what the next one has to lie above and to prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Claimant {
    attempt: Attempt,
    nonce: Nonce,
    link: LinkId,
}

/// Connections, each with the count of frames that must have been written to it.
type Awaiting = BTreeMap<LinkId, u64>;

#[derive(Clone, Debug, PartialEq)]
struct Link {
    /// Frames sent to it so far.
    sent: u64,
    /// How many of them are known to have reached the kernel of the other side.
    written: u64,
    state: LinkState,
}

#[derive(Clone, Debug, PartialEq)]
enum LinkState {
    /// Has said nothing yet.
    Silent,
    /// Has said Hello and is saying the rest.
    Gathering(Box<Submission>),
    /// Is a member's.
    Member(InstanceId),
    /// Is an observer's, which writes under this id and tells this of itself; the flag: it has been welcomed.
    Observer { id: InstanceId, profile: Box<Profile>, welcomed: bool },
    /// Will be closed.
    Closing,
}

impl Supervisor {
    /// The longest slice of time that counts at once towards a limit.
    pub const SLICE: Duration = Duration::from_millis(100);

    /// A supervisor that has just won the port. Its own member half says its hello over [`LinkId::LOCAL`], and the kernel
    /// is to be asked who is there: [`Supervisor::called`].
    pub fn new(settings: Settings) -> Self {
        Self::with_rules(settings, Rules::ALL)
    }

    pub(crate) fn with_rules(settings: Settings, rules: Rules) -> Self {
        let window = Window::new(settings.me, rules);
        Self {
            settings,
            rules,
            phase: Phase::Window(Box::new(window)),
            registry: Registry::default(),
            grants: Grants::new().with_rules(rules),
            writes: Writes::default(),
            barriers: Barriers::new(rules),
            unwritten: meeting::Sent::new(),
            unread: meeting::Sent::new(),
            head: ViewHead { stamp: Stamp::default(), base: Token::default(), written: 0, whole: true },
            forfeits: Vec::new(),
            links: BTreeMap::from([(LinkId::LOCAL, Link { sent: 0, written: 0, state: LinkState::Silent })]),
            forfeiting: BTreeMap::new(),
            noticing: BTreeMap::new(),
            claimants: BTreeMap::new(),
            watchers: BTreeMap::new(),
            round: None,
            base_round: None,
            surveys: BTreeMap::new(),
            looks: looks::Looks::default(),
            succession: succession::Succession::default(),
            questions: 0,
            gate: gate::Gate::default(),
            mail: mail::Mail::default(),
            asks: asks::Asks::default(),
            stops: commands::Stops::default(),
            unfit: BTreeSet::new(),
            clock: 0,
            scarcity: scarcity::Scarcity::default(),
            draining: false,
            outputs: Vec::new(),
        }
    }

    /// What is to be done since the last call.
    pub fn take_outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    /// The registry.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The grants.
    pub fn grants(&self) -> &Grants {
        &self.grants
    }

    /// The barriers.
    pub fn barriers(&self) -> &Barriers {
        &self.barriers
    }

    /// The reign's epoch; `None` while the window is open.
    pub fn epoch(&self) -> Option<Epoch> {
        (!self.is_window_open()).then_some(self.head.stamp.epoch)
    }

    /// Whether claims are still collected.
    pub fn is_window_open(&self) -> bool {
        matches!(self.phase, Phase::Window(_))
    }

    /// Whether grants are made.
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// Waits for nobody, as if a resignation had handed everything over.
    #[cfg(test)]
    pub(crate) fn trust_the_resigner(&mut self) {
        if let Phase::Window(window) = &mut self.phase {
            window.wait_for_nobody();
        }
    }

    /// Whom the window waits for by name: proof of the end is a presence that can be bound.
    pub fn awaited(&self) -> Vec<InstanceId> {
        match &self.phase {
            Phase::Window(window) => window.awaited().filter(|id| *id != self.settings.me).collect(),
            _ => self.aside(),
        }
    }

    /// Whom the window waits for because the roll call named them: proof of the end is that every membership that it
    /// showed can be bound; see [`Supervisor::shown`].
    pub fn unnamed(&self) -> Vec<InstanceId> {
        match &self.phase {
            Phase::Window(window) => window.unnamed().filter(|id| *id != self.settings.me).collect(),
            _ => Vec::new(),
        }
    }

    /// The tags of the memberships that the roll call showed of this instance.
    pub fn shown(&self, id: InstanceId) -> Vec<Tag> {
        match &self.phase {
            Phase::Window(window) => window.shown(id).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether this member was missing when the limit of the window passed.
    #[cfg(test)]
    pub(crate) fn is_expiring(&self, id: InstanceId) -> bool {
        matches!(&self.phase, Phase::Window(window) if window.is_expiring(id))
    }

    /// Whether it waits until the kernel says that nobody else is there; see [`Supervisor::nobody_else`].
    pub fn awaits_stranger(&self) -> bool {
        matches!(&self.phase, Phase::Window(window) if window.awaits_stranger())
    }

    /// Whether everyone known is accounted for, so that only the kernel's answer to the roll call is missing.
    pub fn lacks_only_the_call(&self) -> bool {
        matches!(&self.phase, Phase::Window(window) if window.lacks_only_the_call())
    }

    /// Whether there is anybody whose time is to be counted, and whose presence is to be looked at.
    pub fn is_waiting(&self) -> bool {
        match &self.phase {
            Phase::Window(_) => true,
            Phase::Frozen => false,
            Phase::Opening(_) | Phase::Open => self.registry.is_anybody_aside() || self.are_stops_counted(),
        }
    }

    /// Whether the time that passes decides anything.
    pub fn is_timed(&self) -> bool {
        match &self.phase {
            Phase::Window(_) => self.settings.window_limit.is_some(),
            Phase::Frozen => false,
            Phase::Opening(_) | Phase::Open => {
                self.are_stops_counted() || self.aside_limit().is_some() && self.registry.is_anybody_aside()
            }
        }
    }

    /// The supervisor of an open reign knows what its members hold, so nobody needs their claims back. The limit is for
    /// presences by which a dead member cannot be told from a living one.
    fn aside_limit(&self) -> Option<Duration> {
        if self.rules.aside_keeps_claims { self.settings.aside_limit } else { self.settings.window_limit }
    }

    fn aside(&self) -> Vec<InstanceId> {
        self.registry.in_place(|place| matches!(place, Place::Aside(_)))
    }
}
