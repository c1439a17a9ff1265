//! The machine of one reign: it takes what the connections say and what the kernel shows, and decides what is written
//! to whom. It ties together the window, the registry and the grants.
//!
//! Inputs are methods; outputs are collected and drained with [`Supervisor::take_outputs`], in order. The supervisor's
//! own instance is a member like any other, on [`LinkId::LOCAL`], whose writes are done at once.

use std::collections::BTreeMap;
use std::time::Duration;

use self::writes::Writes;
use super::barriers::Barriers;
use super::grants::Grants;
use super::registry::{Place, Registry};
use super::rules::Rules;
use super::submission::{Gathered, Submission};
use super::window::{RollCall, Window};
use crate::ident::{Attempt, Epoch, InstanceId, Name, Stamp, Tag, Token};
use crate::wire::message::{EndReason, Forfeit, LeaveSort, Refusal, ToMember, ToSupervisor, ViewHead};
use crate::wire::{WIRE_VERSION, chunk_entries, chunk_forfeits};

mod base;
mod handshake;
mod meeting;
mod opening;
mod survey;
mod view;
mod writes;

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
    /// Leave the office to a member: close the listener, then the connections, and elect again.
    StepDown(StepDown),
}

/// Why a supervisor gives its office up of its own accord.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepDown {
    /// It had forfeited everything itself, and learns it from those it was to supervise.
    Forfeited,
    /// It must refuse a living member of the reign before: the office belongs to one who need not.
    MustRefuse,
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
    /// How long a silent, living member's claims are waited for; `None`: for ever.
    pub window_limit: Option<Duration>,
    /// The most members it bears.
    pub member_limit: u32,
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
    unwritten: meeting::Unwritten,
    head: ViewHead,
    /// Who had forfeited when the window closed: a part of every view of the reign.
    forfeits: Vec<Forfeit>,
    links: BTreeMap<LinkId, Link>,
    /// The highest attempt of every id heard in this reign, and the connection that made it.
    claimants: BTreeMap<InstanceId, (Attempt, LinkId)>,
    round: Option<Awaiting>,
    /// A higher token base, and who has to be written it before tokens above the old one are given.
    base_round: Option<(Token, Awaiting)>,
    /// Who asked for all locks and was not answered yet: of each connection the last question.
    surveys: BTreeMap<LinkId, u64>,
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
    /// Is an observer's, which writes under this id; the flag: it has been welcomed.
    Observer { id: InstanceId, welcomed: bool },
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
            unwritten: meeting::Unwritten::new(),
            head: ViewHead { stamp: Stamp::default(), base: Token::default(), written: 0, whole: true },
            forfeits: Vec::new(),
            links: BTreeMap::from([(LinkId::LOCAL, Link { sent: 0, written: 0, state: LinkState::Silent })]),
            claimants: BTreeMap::new(),
            round: None,
            base_round: None,
            surveys: BTreeMap::new(),
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
            Phase::Opening(_) | Phase::Open => self.registry.is_anybody_aside(),
        }
    }

    fn aside(&self) -> Vec<InstanceId> {
        self.registry.in_place(|place| matches!(place, Place::Aside(_)))
    }

    // ------------------------------------------------------------------------------------------------- connections

    /// A connection was accepted.
    pub fn connected(&mut self, link: LinkId) {
        self.links.insert(link, Link { sent: 0, written: 0, state: LinkState::Silent });
    }

    /// Whether this connection still owes its handshake.
    pub fn is_unfinished(&self, link: LinkId) -> bool {
        let unfinished = |l: &Link| matches!(l.state, LinkState::Silent | LinkState::Gathering(_));
        self.links.get(&link).is_some_and(unfinished) || self.is_window_open() && self.writes.is_fetching(link)
    }

    /// Closes a connection that broke the protocol or took too long, with a reason that is written to it first.
    pub fn refuse(&mut self, link: LinkId, refusal: Refusal) {
        let Some(found) = self.links.get(&link) else { return };
        let member = match found.state {
            LinkState::Member(id) => Some(id),
            _ => None,
        };
        self.send(link, ToMember::Refused(refusal));
        self.close_link(link);
        // What this link says from now on, its end included, means nothing; so its member is set aside here.
        if let Some(id) = member
            && !matches!(self.phase, Phase::Frozen)
            && self.claimants.get(&id).is_some_and(|(_, current)| *current == link)
        {
            self.disconnected(id, false);
        }
        self.progress();
    }

    /// Takes one frame.
    pub fn frame(&mut self, link: LinkId, frame: ToSupervisor) {
        let Some(found) = self.links.get_mut(&link) else { return };
        if matches!(self.phase, Phase::Frozen) {
            return;
        }
        match &mut found.state {
            LinkState::Silent => match frame {
                ToSupervisor::Hello(hello) => self.hello(link, hello),
                _ => self.refuse(link, Refusal::Protocol("frame before hello".into())),
            },
            LinkState::Gathering(submission) => match frame {
                ToSupervisor::Leave => self.close_link(link),
                ToSupervisor::Ping(n) => self.send(link, ToMember::Pong(n)),
                frame => match submission.gather(frame) {
                    Gathered::More => self.check_group(link),
                    Gathered::Complete => self.submitted(link),
                    Gathered::Misplaced(why) => self.refuse(link, Refusal::Protocol(why.into())),
                },
            },
            LinkState::Member(id) => {
                let id = *id;
                if !self.rules.highest_attempt || self.claimants.get(&id).is_some_and(|(_, current)| *current == link) {
                    self.member_frame(link, id, frame);
                }
            }
            LinkState::Observer { id, welcomed } => match frame {
                ToSupervisor::Put(put) if *welcomed => {
                    let id = *id;
                    self.put(link, id, put);
                }
                ToSupervisor::Ping(n) => self.send(link, ToMember::Pong(n)),
                ToSupervisor::Survey(n) => self.survey(link, n),
                ToSupervisor::Leave => self.close_link(link),
                _ => self.refuse(link, Refusal::Protocol("request from an observer".into())),
            },
            LinkState::Closing => {}
        }
        self.progress();
    }

    /// A connection has ended, after everything readable was taken. `gone`: the kernel has closed the presence of the
    /// instance behind it ([`Supervisor::behind`]), so that this is its end and not only the connection's.
    pub fn ended(&mut self, link: LinkId, gone: bool) {
        let Some(Link { state, .. }) = self.links.remove(&link) else { return };
        self.forget_link(link);
        if let LinkState::Gathering(submission) = &state {
            self.forget_stranger(submission.hello.id, link);
        }
        let (LinkState::Member(id), false) = (&state, matches!(self.phase, Phase::Frozen)) else {
            return self.progress();
        };
        let current = self.claimants.get(id).is_some_and(|(_, current)| *current == link);
        if current || !self.rules.highest_attempt {
            self.disconnected(*id, gone || !self.rules.end_is_not_death);
        }
        self.progress();
    }

    /// Whose connection this is.
    pub fn behind(&self, link: LinkId) -> Option<InstanceId> {
        match self.links.get(&link)?.state {
            LinkState::Member(id) => Some(id),
            _ => None,
        }
    }

    /// The first `count` frames of a connection have reached its kernel: nothing of them is left unsent here.
    pub fn written(&mut self, link: LinkId, count: u64) {
        let outstanding = |awaiting: &mut Awaiting| {
            if awaiting.get(&link).is_some_and(|needed| *needed <= count) {
                awaiting.remove(&link);
            }
        };
        if let Phase::Opening(awaiting) = &mut self.phase {
            outstanding(awaiting);
        }
        self.round.as_mut().map(outstanding);
        if let Some((_, awaiting)) = &mut self.base_round {
            outstanding(awaiting);
        }
        self.writes.written(link, count);
        if let Some(found) = self.links.get_mut(&link) {
            found.written = found.written.max(count.min(found.sent));
        }
        self.completes_written(link, count);
        self.progress();
    }

    // ------------------------------------------------------------------------------------------ what the kernel shows

    /// The kernel has answered the roll call, which was asked for after the port was won.
    pub fn called(&mut self, roll: RollCall) {
        let roll = if self.rules.roll_call { roll } else { RollCall::Somebody(false) };
        if let Phase::Window(window) = &mut self.phase {
            window.called(self.settings.me, roll);
        }
    }

    /// The kernel has closed the presence of this instance.
    pub fn gone(&mut self, id: InstanceId) {
        match &mut self.phase {
            Phase::Window(window) => {
                let link = self.registry.get(id).and_then(|member| member.place.link());
                if let Some(link) = link.filter(|link| self.writes.is_fetching(*link)) {
                    // It died before it had said all of its copy, and the end of its connection was not read yet.
                    self.cut(link);
                    self.disconnected(id, true);
                } else {
                    window.ended(id, EndReason::Failed);
                }
            }
            Phase::Frozen => return,
            Phase::Opening(_) | Phase::Open => {
                if matches!(self.registry.get(id).map(|m| m.place), Some(Place::Aside(_))) {
                    self.end(id, EndReason::Failed);
                }
            }
        }
        self.progress();
    }

    /// The kernel has closed the membership of this instance.
    pub fn membership_gone(&mut self, id: InstanceId) {
        if let Phase::Window(window) = &mut self.phase {
            window.membership_ended(id);
        }
    }

    /// The kernel shows nobody else.
    pub fn nobody_else(&mut self) {
        if let Phase::Window(window) = &mut self.phase {
            window.nobody_else();
        }
    }

    /// Says what time it is, in milliseconds since 1970: what is granted from now on is granted then. Decides nothing, so
    /// that a clock that is set back does no harm.
    pub const fn set_time(&mut self, now: u64) {
        self.grants.set_time(now);
    }

    /// Some of the supervisor's own running time has passed. `drained`: in that time the accept queue and every
    /// connection that owes its handshake were found empty.
    pub fn time(&mut self, elapsed: Duration, drained: bool) {
        if !drained && self.rules.limit_counts_drained_time {
            return;
        }
        let slice = elapsed.min(Self::SLICE);
        let limit = self.settings.window_limit;
        match &mut self.phase {
            Phase::Window(window) => {
                if !window.is_complete() && window.wait(slice, limit) {
                    for id in window.expire() {
                        // Only who has not said all of its copy is missing and connected.
                        self.grants.forget(id);
                        if let Some(link) = self.registry.remove(id).and_then(|member| member.place.link()) {
                            self.forfeit(link, id);
                        }
                    }
                }
            }
            Phase::Frozen => {}
            Phase::Opening(_) | Phase::Open => {
                for id in self.aside() {
                    let Some(Place::Aside(waited)) = self.registry.get(id).map(|m| m.place) else { continue };
                    let waited = waited + slice;
                    if limit.is_some_and(|limit| waited >= limit) {
                        self.end(id, EndReason::Evicted);
                    } else {
                        self.registry.move_to(id, Place::Aside(waited));
                    }
                }
            }
        }
        self.progress();
    }

    /// Takes nothing more and tells everyone that the supervisor leaves its office.
    pub fn freeze(&mut self, sort: LeaveSort) {
        self.phase = Phase::Frozen;
        let links: Vec<_> = self.links.keys().copied().filter(|link| *link != LinkId::LOCAL).collect();
        for link in links {
            let unfinished = self.is_unfinished(link);
            self.send(link, if unfinished { ToMember::Refused(Refusal::Leaving) } else { ToMember::Leave(sort) });
        }
    }

    // ------------------------------------------------------------------------------------------------------ members

    fn member_frame(&mut self, link: LinkId, id: InstanceId, frame: ToSupervisor) {
        match frame {
            ToSupervisor::Acquire(want) => self.grants.acquire(id, want),
            ToSupervisor::Cancel(request) => {
                // Locks and barriers share the numbers of requests.
                self.grants.cancel(id, request);
                self.barriers.cancel(id, request);
            }
            ToSupervisor::Release(request) => self.grants.release(id, request),
            ToSupervisor::Decline(request) => self.grants.decline(id, request),
            ToSupervisor::Inquire(request) => self.grants.inquire(id, request),
            ToSupervisor::Survey(n) => self.survey(link, n),
            ToSupervisor::Leave => self.left(link, id),
            ToSupervisor::Ping(n) => self.send(link, ToMember::Pong(n)),
            ToSupervisor::Pong(_) => {}
            ToSupervisor::Put(put) => self.put(link, id, put),
            ToSupervisor::Value(value) => self.fetched_value(link, value),
            ToSupervisor::StateEnd => self.fetched(link, id),
            ToSupervisor::Arrive(arrive) => self.barriers.arrive(id, arrive),
            _ => self.refuse(link, Refusal::Protocol("handshake frame after the handshake".into())),
        }
    }

    fn left(&mut self, link: LinkId, id: InstanceId) {
        if let Phase::Window(window) = &mut self.phase {
            window.ended(id, EndReason::Left);
        }
        self.end(id, EndReason::Left);
        self.close_link(link);
    }

    /// The connection of a member is over. That alone frees nothing.
    fn disconnected(&mut self, id: InstanceId, gone: bool) {
        let Some(place) = self.registry.get(id).map(|member| member.place) else { return };
        if let Phase::Window(window) = &mut self.phase {
            // What it claimed it will say again; if it cannot, the kernel will show that.
            window.unaccount(id);
            if gone {
                window.ended(id, EndReason::Failed);
            }
            self.registry.remove(id);
            self.grants.forget(id);
            self.barriers.end(id);
            return;
        }
        match place {
            _ if gone => self.end(id, EndReason::Failed),
            // No view names it, and it has read no Welcome: it comes again as a newcomer.
            Place::Parked(_) => {
                self.forget_claimant(id);
                self.registry.remove(id);
                self.grants.forget(id);
                self.barriers.end(id);
            }
            Place::Named(_) => self.end(id, EndReason::Failed),
            Place::Here(_) => {
                self.registry.move_to(id, Place::Aside(Duration::ZERO));
                self.grants.set_ready(id, false);
                self.barriers.set_ready(id, false);
                self.announce(&[id], Vec::new(), None);
            }
            Place::Aside(_) => {}
        }
    }

    /// An entry ends, and with it everything it held.
    fn end(&mut self, id: InstanceId, reason: EndReason) {
        if reason != EndReason::Evicted {
            // Who was evicted lives: an older hello of it may still lie unread somewhere.
            self.forget_claimant(id);
        }
        let Some(member) = self.registry.remove(id) else { return };
        self.grants.end(id, reason != EndReason::Left);
        self.barriers.end(id);
        let named = !matches!(member.place, Place::Parked(_));
        if named && !self.is_window_open() {
            self.announce(&[], vec![(id, reason)], None);
        }
    }

    fn step_down(&mut self, why: StepDown) {
        self.freeze(LeaveSort::Resigning);
        self.outputs.push(Output::StepDown(why));
    }

    // ------------------------------------------------------------------------------------------------------ writing

    fn send(&mut self, link: LinkId, frame: ToMember) {
        if let Some(found) = self.links.get_mut(&link)
            && found.state != LinkState::Closing
        {
            found.sent += 1;
            self.outputs.push(Output::Send(link, frame));
        }
    }

    fn set_state(&mut self, link: LinkId, state: LinkState) {
        if let Some(found) = self.links.get_mut(&link) {
            found.state = state;
        }
    }

    fn close_link(&mut self, link: LinkId) {
        self.set_state(link, LinkState::Closing);
        self.forget_link(link);
        self.outputs.push(Output::Close(link));
    }

    fn cut(&mut self, link: LinkId) {
        if self.links.remove(&link).is_some() {
            self.forget_link(link);
            self.outputs.push(Output::Cut(link));
        }
    }

    /// A handshake came to nothing. Its attempt is remembered only for ids that mean something here, or strangers could
    /// fill the memory.
    fn forget_stranger(&mut self, id: InstanceId, link: LinkId) {
        let awaited = matches!(&self.phase, Phase::Window(window) if window.knows(id));
        if self.claimants.get(&id).is_some_and(|(_, current)| *current == link)
            && self.registry.get(id).is_none()
            && !awaited
        {
            self.claimants.remove(&id);
        }
    }

    /// The attempts of an id that has ended mean nothing any more, unless a newer one is on its way.
    fn forget_claimant(&mut self, id: InstanceId) {
        let Some((_, link)) = self.claimants.get(&id) else { return };
        if !matches!(self.links.get(link).map(|found| &found.state), Some(LinkState::Gathering(_))) {
            self.claimants.remove(&id);
        }
    }

    /// Nobody waits for writes to a connection that has ended: its owner will be told everything when it is back.
    fn forget_link(&mut self, link: LinkId) {
        if let Phase::Opening(awaiting) = &mut self.phase {
            awaiting.remove(&link);
        }
        if let Some(awaiting) = &mut self.round {
            awaiting.remove(&link);
        }
        if let Some((_, awaiting)) = &mut self.base_round {
            awaiting.remove(&link);
        }
        self.surveys.remove(&link);
        self.writes.forget_link(link);
        self.unwritten.remove(&link);
    }
}
