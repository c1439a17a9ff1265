//! What the thread of an instance and its callers share: the session, the seat, and who is waiting for what.

use std::collections::BTreeMap;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam::channel::Receiver;

use super::callbacks::Callbacks;
use super::calls::Calls;
use super::office::Question;
use super::peer::Peer;
use super::presence::{self, Mechanism, Presence, RollCall};
use super::reign::Reign;
use super::{clock, endpoint, listener, lock};
use crate::coordinator::session::Session;
use crate::coordinator::supervisor::Lack;
use crate::entry::{Entry, Holder, Role};
use crate::error::Error;
use crate::event::{Event, Hub};
use crate::ident::{Epoch, InstanceId, Name, Nonce, Resource, Stamp, Tag};
use crate::wire::Notice;
use crate::wire::message::{Holding, Purpose, ToSupervisor};

/// What an instance was built with.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) group: Name,
    pub(crate) port: u16,
    pub(crate) purpose: Purpose,
    pub(crate) mechanism: Mechanism,
    pub(crate) window_limit: Option<Duration>,
    pub(crate) member_limit: u32,
    pub(crate) stop_limit: Option<Duration>,
    pub(crate) callbacks: Callbacks,
    /// As supervisor it leaves the office to a newer version of the program.
    pub(crate) succession: bool,
}

/// One instance, as all its threads see it.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) hub: Hub,
    /// The process that made it; any other one is a forked child.
    process: u32,
    /// The id of the session, for whoever may not lock the state: a forked child.
    id: AtomicU64,
    state: Mutex<State>,
    pub(super) changed: Condvar,
}

// As in `std`, whose locks can be used after a panic: no lock in here stays poisoned ([`lock`]), and the callbacks of the
// application run under `catch_unwind`, on threads of their own.
impl UnwindSafe for Shared {}
impl RefUnwindSafe for Shared {}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) session: Session,
    pub(crate) seat: Seat,
    pub(super) presence: Option<Presence>,
    /// What `join` waits for: the first open reign, or why there will be none.
    pub(super) joined: Option<Result<(), Error>>,
    pub(super) leaving: bool,
    /// It leaves because one of its threads has panicked.
    crashed: bool,
    /// Guards that keep the office from being handed over.
    pub(super) offices: usize,
    /// The office is being handed over: no new guard is given out.
    pub(super) resigning: bool,
    /// The highest ping that was answered.
    pub(super) ponged: u64,
    /// How many connections have ended.
    pub(super) connection: u64,
    /// Who waits for an answer.
    pub(super) calls: Calls,
    /// The results of what is done once of which this instance knows that everybody has them.
    pub(super) results: BTreeMap<Resource, Stamp>,
    /// The last question to the present supervisor whether it answers.
    pub(super) question: Option<Question>,
    pub(super) hung: bool,
    /// There was something in its sockets that is no notice.
    disturbed: bool,
    /// The application has been told of the obstacle in the way of the next reign.
    pub(super) obstructed: bool,
    /// What this instance lacks for a seat, as the application was told.
    pub(super) lacks: Option<Lack>,
    /// The end of a reign that the application has not been told yet.
    pub(super) untold: Option<(InstanceId, Instant)>,
    /// What is to be logged when the lock is free: a logger may ask this instance who it is.
    notes: Vec<(log::Level, String)>,
}

/// Where the instance sits.
#[derive(Debug)]
pub(crate) enum Seat {
    /// Nowhere: the election is on.
    Electing,
    /// At a supervisor's.
    Subordinate(Arc<Peer>),
    /// In the office.
    Supervisor(Arc<Reign>),
    /// It has left.
    Left,
}

impl Shared {
    pub(crate) fn new(settings: Settings, session: Session, presence: Option<Presence>) -> Self {
        let state = State {
            session,
            seat: Seat::Electing,
            presence,
            joined: None,
            leaving: false,
            crashed: false,
            offices: 0,
            resigning: false,
            ponged: 0,
            connection: 0,
            calls: Calls::default(),
            results: BTreeMap::new(),
            question: None,
            hung: false,
            disturbed: false,
            obstructed: false,
            lacks: None,
            untold: None,
            notes: Vec::new(),
        };
        Self {
            settings,
            hub: Hub::default(),
            process: std::process::id(),
            id: AtomicU64::new(state.session.id().number()),
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Gives the state back, and logs what was noted while it was held.
    pub(super) fn let_go(&self, mut state: MutexGuard<'_, State>) {
        let notes = std::mem::take(&mut state.notes);
        drop(state);
        for (level, text) in notes {
            log::log!(level, "{text}");
        }
    }

    /// Logs what was noted.
    pub(super) fn log_notes(&self) {
        self.let_go(self.state());
    }

    /// Whether this process is a forked child of the one that joined.
    pub(crate) fn is_forked(&self) -> bool {
        self.process != std::process::id()
    }

    /// The instance, unless this is a forked child: there everything of it is the parent's.
    pub(crate) fn unforked(&self) -> Result<&Self, Error> {
        if self.is_forked() { Err(Error::Forked) } else { Ok(self) }
    }

    /// The state, for whoever only looks; `None` in a forked child, where its lock may be in the hands of a thread that
    /// does not exist there.
    pub(crate) fn look(&self) -> Option<MutexGuard<'_, State>> {
        (!self.is_forked()).then(|| self.state())
    }

    /// The id of this instance; in a forked child that of the parent's.
    pub(crate) fn id(&self) -> InstanceId {
        InstanceId::new(self.id.load(Ordering::Acquire))
    }

    /// The instance has a new id.
    pub(super) fn note_id(&self, id: InstanceId) {
        self.id.store(id.number(), Ordering::Release);
    }

    /// What happens from now on; in a forked child nothing does.
    pub(crate) fn subscribe(&self) -> Receiver<Event> {
        if self.is_forked() { crossbeam::channel::bounded(0).1 } else { self.hub.subscribe() }
    }

    // ------------------------------------------------------------------------------------------ what the driver says

    /// How long the instance's own thread waits outside an open reign before it looks for a notice.
    pub(super) const LOOK: Duration = Duration::from_millis(50);

    /// Waits, unless the instance is to leave meanwhile. Looks for notices all the same.
    pub(crate) fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut state = self.state();
        self.tell_end(&mut state);
        while !state.leaving {
            let now = Instant::now();
            let left = until.saturating_duration_since(now);
            if left.is_zero() {
                return;
            }
            // Whatever wakes it, it looks no more often than it has to.
            let look = now + left.min(Self::LOOK);
            while !state.leaving && Instant::now() < look {
                state = self.wait(state, look.saturating_duration_since(Instant::now()));
            }
            drop(state);
            self.look_for_notice();
            state = self.state();
        }
    }

    /// Whether the instance is to leave.
    pub(crate) fn is_leaving(&self) -> bool {
        self.state().leaving
    }

    /// Shows the kernel that this instance is a member, one that has said hello to no supervisor but itself. Only while it has
    /// the port: as no other instance looks then, it shows one membership alone, and has a descriptor for its next hello.
    pub(crate) fn show_as_winner(&self) {
        let mut state = self.state();
        if let Some(presence) = &mut state.presence
            && let Err(error) = presence.show_another().and_then(|()| presence.join())
        {
            // The name that it shows may be known as that of one who holds nothing: the socket is given back first.
            presence.leave();
            state.note(log::Level::Warn, format!("cannot show another membership: {error}"));
            state.show();
        }
        self.let_go(state);
    }

    /// Moves the sockets of the presence to high descriptors, in the background. It matters when this process dies, not
    /// before.
    pub(crate) fn raise_later(self: &Arc<Self>) {
        let shared = self.clone();
        let raise = move || {
            endpoint::raise::grow();
            let mut state = shared.state();
            state.presence = state.presence.take().map(Presence::raise);
        };
        if let Err(error) = super::spawn("bw-raise", raise) {
            log::debug!("the presence stays on a low descriptor: {error}");
        }
    }

    /// Everyone has been told of the own reign: the office can be taken.
    pub(crate) fn opened(&self) {
        let _state = self.state();
        self.changed.notify_all();
    }

    /// The connection, or the reign, has ended.
    pub(crate) fn stand_up(&self) {
        let mut state = self.state();
        // For an instance that leaves no election begins: its events just end.
        let supervisor = state.session.supervisor().filter(|_| !state.leaving);
        let effects = state.session.disconnected();
        self.carry_out(&mut state, effects);
        if let Some(supervisor) = supervisor {
            self.tell_end(&mut state);
            state.untold = Some((supervisor, Instant::now()));
        }
        let is_member = state.presence.as_ref().is_none_or(Presence::is_member);
        if state.session.is_fresh() {
            // A winner that never reigned shows itself as a member, and is none.
            if let Some(presence) = &mut state.presence {
                presence.leave();
            }
        } else if !is_member {
            // A winner that had no descriptor to spare: now there are those of the listener and of the connections.
            state.show();
        }
        state.seat = Seat::Electing;
        state.resigning = false;
        // It dies with its connection; the next supervisor has not heard it.
        state.question = None;
        if supervisor.is_some() {
            // Until a supervisor has welcomed this instance, one that does not answer is the same as before.
            state.hung = false;
        }
        state.connection += 1;
        self.changed.notify_all();
        state.calls.wake_all();
        self.let_go(state);
    }

    /// Closes the sockets that show the kernel that this instance is there. Before its connections end, so that their
    /// ends are taken for what they are.
    pub(crate) fn vanish(&self) {
        self.state().presence = None;
    }

    /// Looks for a notice that this instance has lost everything, which a supervisor has sent that is no more, or cannot
    /// answer; says whether there was one. Then the present connection, if there is one, is of no use. Only outside an open
    /// reign: within it nothing happens that only a notice tells.
    pub(super) fn look_for_notice(&self) -> bool {
        let mut state = self.state();
        let (found, others) = state.presence.as_ref().map_or((None, 0), Presence::take_notice);
        if others > 0 && !std::mem::replace(&mut state.disturbed, true) {
            let why = "datagrams that are no notices of this user lie in the sockets of this instance: ignored";
            state.note(log::Level::Warn, why.to_owned());
        }
        if let Some(notice) = found {
            state.note(log::Level::Warn, "a supervisor has given this instance up while it was silent".to_owned());
            self.lose_all(&mut state, notice.evicted);
        }
        self.let_go(state);
        found.is_some()
    }

    /// Sends a notice to the memberships of another member with these tags; without tags, to all that it has. Not under the
    /// registry's mutex.
    pub(super) fn notify(&self, tags: &[Tag], notice: &Notice) {
        let tags = match tags {
            // Read before the state is locked: on a machine with many sockets the list is long.
            [] => presence::tags_of(self.settings.mechanism, self.settings.port, notice.id),
            _ => Ok(tags.to_vec()),
        };
        let mut state = self.state();
        let sent = state.presence.as_ref().map(|presence| tags.and_then(|tags| presence.notify(&tags, notice)));
        if let Some(Err(error)) = sent {
            let why = format!("{} has lost everything, and cannot be sent a notice of it: {error}", notice.id);
            state.note(log::Level::Warn, why);
        }
    }

    /// A thread without which the instance cannot be has panicked. Closes all that would keep others waiting: the presence
    /// first, so that the ends of the connections are taken for its own.
    pub(crate) fn crash(&self) {
        let mut state = self.state();
        state.crashed = true;
        state.leaving = true;
        state.presence = None;
        let seat = std::mem::replace(&mut state.seat, Seat::Electing);
        drop(state);
        match seat {
            Seat::Subordinate(peer) => drop(peer.stream.shutdown(std::net::Shutdown::Both)),
            Seat::Supervisor(reign) => reign.abandon(),
            Seat::Electing | Seat::Left => {}
        }
        self.hub.emit(&Event::Crashed);
    }

    /// The instance has left, or never came to be.
    pub(crate) fn end(&self) {
        let mut state = self.state();
        self.tell_end(&mut state);
        state.leaving = true;
        state.presence = None;
        state.seat = Seat::Left;
        if state.joined.is_none() {
            state.joined = Some(Err(state.left()));
        }
        self.changed.notify_all();
        state.calls.wake_all();
        drop(state);
        self.hub.close();
    }

    /// There will be no seat for now. Whether that is the end: it is for an instance that was never part of an open reign.
    /// Every other one tells its application once, until the next reign.
    pub(crate) fn hopeless(&self, error: Error) -> bool {
        let mut state = self.state();
        if state.joined.is_none() {
            state.joined = Some(Err(error));
            state.leaving = true;
            self.changed.notify_all();
            return true;
        }
        self.tell_end(&mut state);
        let text = error.to_string();
        let event = match error {
            Error::PortUnusable { port, reason, listener } => {
                let told = std::mem::replace(&mut state.obstructed, true);
                (!told).then_some(Event::PortUnusable { port, reason, listener })
            }
            Error::SupervisorUnresponsive { listener, .. } => {
                let told = std::mem::replace(&mut state.hung, true);
                (!told).then_some(Event::Hung { supervisor: None, listener })
            }
            _ => None,
        };
        if let Some(event) = event {
            state.note(log::Level::Warn, text);
            self.hub.emit(&event);
        }
        self.let_go(state);
        false
    }

    /// The supervisor has not answered.
    pub(crate) fn unresponsive(&self, waited: Duration) {
        let port = self.settings.port;
        let listener = listener::find(port);
        let mut state = self.state();
        if state.joined.is_none() {
            state.joined = Some(Err(Error::SupervisorUnresponsive { port, waited, listener: listener.clone() }));
            self.changed.notify_all();
        }
        self.tell_end(&mut state);
        if !std::mem::replace(&mut state.hung, true) {
            self.hub.emit(&Event::Hung { supervisor: state.session.supervisor(), listener });
        }
    }

    /// This process has too little of this for a seat. The application is told once, until the next reign.
    pub(crate) fn starves(&self, lack: Lack) {
        let mut state = self.state();
        self.tell_end(&mut state);
        if state.lacks.replace(lack) != Some(lack) {
            let what = match lack {
                Lack::Descriptors => "descriptors",
                Lack::Threads => "threads",
            };
            state.note(
                log::Level::Warn,
                format!("this process has no {what} to spare; trying again more and more slowly"),
            );
            self.hub.emit(&Event::Starved { lacks: lack });
        }
        self.let_go(state);
    }

    /// Whether the instance was ever part of an open reign.
    pub(crate) fn has_joined(&self) -> bool {
        matches!(self.state().joined, Some(Ok(())))
    }

    // ---------------------------------------------------------------------------------------------- what callers want

    /// Waits until the instance is part of an open reign for the first time.
    pub(crate) fn wait_joined(&self, timeout: Option<Duration>) -> Result<(), Error> {
        let began = Instant::now();
        let mut state = self.state();
        loop {
            match &state.joined {
                Some(Ok(())) => return Ok(()),
                Some(Err(_)) => {
                    let left = Err(state.left());
                    return state.joined.replace(Err(Error::Left)).unwrap_or(left);
                }
                None => state = self.wait_within(state, began, timeout)?,
            }
        }
    }

    /// Marks the instance as leaving and says where it sat. Only the first call is told.
    pub(crate) fn begin_leaving(&self) -> Option<Seat> {
        let mut state = self.state();
        if state.leaving {
            return None;
        }
        state.leaving = true;
        self.changed.notify_all();
        state.calls.wake_all();
        Some(std::mem::replace(&mut state.seat, Seat::Electing))
    }

    /// Waits until the instance has left: the supervisor has ended the connection, and its own thread has seen that.
    pub(crate) fn wait_left(&self, until: Instant) {
        let mut state = self.state();
        while !matches!(state.seat, Seat::Left) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.wait(state, left);
        }
    }

    /// Asks the kernel who is there.
    pub(crate) fn roll_call(&self) -> RollCall {
        let mut state = self.state();
        let roll = presence::roll_call(self.settings.mechanism, self.settings.port, state.presence.as_mut());
        drop(state);
        roll.unwrap_or_else(|why| {
            log::warn!("{why}");
            RollCall::Unknown
        })
    }

    /// Whether the kernel has closed the presence of this instance. Of one that this instance has never heard of that
    /// cannot be told where presences have no names: it counts as there.
    pub(crate) fn is_gone(&self, id: InstanceId) -> bool {
        let udp = self.state().session.view().get(&id).map_or(0, |entry| entry.profile.presence);
        presence::presence_gone(self.settings.mechanism, self.settings.port, id, udp)
    }

    /// Whether [`Shared::is_gone`] can tell of this instance.
    pub(crate) fn can_ask(&self, id: InstanceId) -> bool {
        let known = |state: &State| state.session.view().contains_key(&id);
        self.settings.mechanism != Mechanism::Datagram || known(&self.state())
    }

    /// Whether anybody but this instance, of those it knows, is there to take the office.
    pub(crate) fn is_anybody_there(&self) -> bool {
        let state = self.state();
        let me = state.session.id();
        let others: Vec<_> = state.session.view().keys().copied().filter(|id| *id != me).collect();
        drop(state);
        others.into_iter().any(|id| !self.is_gone(id))
    }

    /// The registry as this instance knows it; empty in a forked child.
    pub(crate) fn registry(&self) -> Vec<Entry> {
        let Some(state) = self.look() else { return Vec::new() };
        let supervisor = state.session.supervisor();
        state.session.view().values().map(|entry| Entry::from_wire(entry, supervisor)).collect()
    }

    pub(super) fn wait<'a>(&self, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
    }

    pub(super) fn wait_within<'a>(
        &self,
        state: MutexGuard<'a, State>,
        began: Instant,
        timeout: Option<Duration>,
    ) -> Result<MutexGuard<'a, State>, Error> {
        let Some(timeout) = timeout else {
            return Ok(self.changed.wait(state).unwrap_or_else(PoisonError::into_inner));
        };
        let left = timeout.saturating_sub(began.elapsed());
        if left.is_zero() {
            return Err(Error::timed_out(began.elapsed()));
        }
        Ok(self.wait(state, left))
    }
}

impl State {
    /// Logs this when the lock is free: see [`Shared::let_go`].
    pub(super) fn note(&mut self, level: log::Level, text: String) {
        self.notes.push((level, text));
    }

    /// What calls on an instance that has left end with.
    pub(super) fn left(&self) -> Error {
        if self.crashed { Error::Crashed } else { Error::Left }
    }

    /// Shows the kernel that this instance is a member.
    pub(super) fn show(&mut self) {
        if let Some(presence) = &mut self.presence
            && let Err(error) = presence.join()
        {
            // The next supervisor would not see this instance by itself: it may ask for nothing, see `receive_on`.
            self.note(log::Level::Error, format!("cannot show membership to the kernel: {error}"));
        }
    }

    /// Shows another membership before a hello leaves, so that nobody takes this instance for one who has said none
    /// since it forfeited. Says whether that was done; if not, no hello may leave. Nor may one leave that is followed by a
    /// Welcome for which no membership could be shown.
    pub(crate) fn show_another(&mut self) -> bool {
        let Some(presence) = self.presence.as_mut() else { return true };
        if !presence.is_member() {
            return !endpoint::are_sockets_scarce();
        }
        let shown = presence.show_another();
        if let Err(error) = &shown {
            self.note(log::Level::Warn, format!("cannot show another membership, and so not say hello: {error}"));
        }
        shown.is_ok()
    }

    /// Takes a seat, unless the instance is to leave.
    pub(crate) fn sit(&mut self, seat: Seat) -> bool {
        if !self.leaving {
            self.seat = seat;
        }
        !self.leaving
    }

    /// What a new connection begins with.
    pub(crate) fn hello(&mut self) -> Vec<ToSupervisor> {
        let mut frames = self.session.hello();
        // Who forfeited has another presence than the one it began with.
        if let (Some(presence), Some(ToSupervisor::Join(join))) = (&self.presence, frames.get_mut(1)) {
            join.profile.presence = presence.udp_port();
        }
        frames
    }

    /// What the instance is now.
    pub(crate) fn role(&self) -> Role {
        if matches!(self.seat, Seat::Supervisor(_)) { Role::Supervisor } else { Role::Subordinate }
    }

    /// Who that is who holds something, if the registry knows it.
    pub(super) fn holder(&self, holding: Holding) -> Option<Holder> {
        let entry = self.session.view().get(&holding.who)?;
        Some(Holder::from_wire(entry, holding.since))
    }

    /// Whether everyone has been told of the own reign.
    pub(super) fn is_open(&self) -> bool {
        matches!(&self.seat, Seat::Supervisor(reign) if reign.is_open())
    }

    /// The epoch of the open reign in which this instance is the supervisor.
    pub(super) fn reigning(&self) -> Option<Epoch> {
        // Who was evicted has no office any more, even if its reign is still being closed.
        let open = matches!(self.seat, Seat::Supervisor(_)) && self.session.is_settled() && !self.leaving;
        open.then_some(self.session.stamp().epoch)
    }
}

/// A new nonce.
pub(crate) fn new_nonce() -> Nonce {
    // Zero means that it is not known.
    Nonce::new(clock::chance().max(1))
}

/// A new id whose presence nobody else has.
pub(crate) fn new_presence(settings: &Settings) -> Result<(InstanceId, Presence), Error> {
    for _ in 0..8 {
        let id = InstanceId::new(clock::chance());
        match Presence::bind(settings.mechanism, settings.port, id) {
            Ok(presence) => return Ok((id, presence)),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
            Err(source) => return Err(Error::no_presence(source)),
        }
    }
    Err(Error::PresenceTaken)
}
