//! Being the supervisor: the listener, the connections, and the one mutex that guards the registry.
//!
//! Inputs go through [`Reign::step`]: under the lock the machine decides and its outputs are put into the outboxes, so
//! that their order is the order of the decisions; the writing happens after the lock is released. No socket is touched
//! and no code of the application runs under it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::TcpListener;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use self::outputs::Settled;
use super::callbacks::Callers;
use super::endpoint::inherit::Owned;
use super::link::Link;
use super::looks::Look;
use super::pool::Pool;
use super::presence::{self, Mechanism};
use super::shared::{Seat, Shared};
use super::{clock, endpoint, heir, lock, rest, spawn, warden};
use crate::coordinator::supervisor::{self, Control, Handshake, Lack, LinkId, Supervisor};
use crate::coordinator::window;
use crate::error::Error;
use crate::ident::{InstanceId, Tag};
use crate::wire::Notice;
use crate::wire::message::{LeaveSort, ToSupervisor};

mod outputs;

/// How many frames of one connection are taken before the others get their turn.
const FRAMES: usize = 256;

/// How a reign ended for the one who reigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It handed the office over and stays.
    Resigned,
    /// It left the group.
    Left,
    /// Its state could not be trusted any more.
    FailStop,
    /// It saw that the office belongs to another.
    SteppedDown,
    /// It had too little of something to fill the office.
    Lacking,
    /// One of its threads has panicked.
    Crashed,
}

/// One reign, as its threads share it.
#[derive(Debug)]
pub(crate) struct Reign {
    shared: Arc<Shared>,
    /// The registry and all that hangs on it.
    core: Mutex<Core>,
    /// Told when the warden may have something to do, and at the end.
    pub(super) stirred: Condvar,
    /// The number of the present slice of counted time.
    pub(super) slice: AtomicU64,
    /// The source port of the warden's own connection, by which the accept thread knows it.
    pub(super) knocker: AtomicU16,
    /// The last slice in which all connections were accepted, and all that they said in a handshake was read, that had
    /// come before it began.
    pub(super) drained: AtomicU64,
    /// Everyone accounted for has been written that the reign is open. Until then a successor could begin one that
    /// counts the same.
    open: AtomicBool,
    /// When a connection had to be turned away last: somebody who is waited for may have been behind it.
    crowded: Mutex<Option<Instant>>,
    /// Who reigned before: most likely gone, and the first to be asked after.
    pub(super) predecessor: Option<InstanceId>,
    listener: Mutex<Option<Arc<Owned<TcpListener>>>>,
    /// Who runs the application's callbacks, and what they find the reign by.
    callers: Callers,
    /// Who looks whether members live.
    looks: Arc<Pool<Look>>,
    own: Weak<Self>,
    /// The id under which this instance reigns.
    me: InstanceId,
}

#[derive(Debug)]
pub(super) struct Core {
    pub(super) machine: Supervisor,
    pub(super) links: BTreeMap<LinkId, Arc<Link>>,
    /// Connections with a thread that are awaited and have not said all that they owe.
    pub(super) unfinished: BTreeSet<LinkId>,
    /// Whether somebody was missing after the last step, whether only the roll call was, and how many members of an open
    /// reign were without a connection.
    needs: (bool, bool, usize),
    /// Whether somebody newer waits for the office.
    pub(super) heir_waits: heir::Waits,
    /// Whether somebody does the work that was too much for one input.
    pub(super) has_rest: bool,
    pub(super) ended: Option<Ended>,
    /// A thread waits until the machine is drained: see [`Reign::drain`].
    draining: bool,
    /// The last words were written, or could not be: nobody needs the listener and the connections any more.
    closed: bool,
}

/// Reigns until the reign ends, on the thread of the caller.
pub(crate) fn preside(shared: &Arc<Shared>, listener: Owned<TcpListener>) -> Ended {
    let listener = Arc::new(listener);
    let reign = Arc::new_cyclic(|own| Reign::new(shared, &listener, own));
    {
        let mut state = shared.state();
        if !state.sit(Seat::Supervisor(reign.clone())) {
            return Ended::Left;
        }
    }
    // This thread goes to the door at once, where the others arrive; whatever else is to be done is the warden's.
    let warden = {
        let reign = reign.clone();
        spawn("bw-warden", move || {
            let watch = AssertUnwindSafe(|| {
                reign.move_in();
                warden::watch(&reign);
            });
            if catch_unwind(watch).is_err() {
                reign.crash();
            }
        })
    };
    let warden = match warden {
        Ok(warden) => {
            if catch_unwind(AssertUnwindSafe(|| reign.accept(&listener))).is_err() {
                reign.crash();
            }
            Some(warden)
        }
        Err(source) => {
            let why = format!("cannot start a thread: {source}");
            // One that had a seat before tries again; `join` has waited for nothing else.
            shared.hopeless(Error::System { attempted: "start a thread", source });
            reign.stop(Ended::Lacking, Duration::ZERO);
            log::error!("{why}");
            None
        }
    };
    // The order matters: an instance that leaves is gone for the kernel before its connections end, and the port is
    // free before anybody is told to elect.
    let ended = reign.closed();
    if matches!(ended, Ended::Left | Ended::Crashed) {
        shared.vanish();
    }
    // A callback that runs may take any time; nobody waits for it.
    reign.callers.end();
    reign.looks.end();
    lock(&reign.listener).take();
    drop(listener);
    let links = std::mem::take(&mut reign.core().links);
    for link in links.values() {
        link.cut();
    }
    // It speaks for this instance's member half, which is to speak to another supervisor now.
    if let Some(warden) = warden {
        let _ = warden.join();
    }
    shared.stand_up();
    ended
}

impl Reign {
    fn new(shared: &Arc<Shared>, listener: &Arc<Owned<TcpListener>>, own: &Weak<Self>) -> Self {
        let settings = &shared.settings;
        let (me, pid, predecessor, heirs, yielded, known, is_member) = {
            let state = shared.state();
            (
                state.session.id(),
                state.session.profile().pid,
                state.session.predecessor().filter(|id| *id != state.session.id()),
                state.session.heirs().clone(),
                state.session.yielded().clone(),
                state.session.highest(),
                !state.session.is_fresh(),
            )
        };
        let machine = Supervisor::new(supervisor::Settings {
            group: settings.group.clone(),
            me,
            pid,
            window_limit: settings.window_limit,
            // A stranger's socket can look like that of a dead member where presences have no names.
            aside_limit: settings.window_limit.filter(|_| settings.mechanism == Mechanism::Datagram),
            member_limit: settings.member_limit,
            control: Control {
                judges: settings.callbacks.policy.is_some(),
                answers: settings.callbacks.handler.is_some(),
                stop_limit: settings.stop_limit,
                yields: settings.succession,
                heirs,
                yielded,
                known,
                is_member,
            },
        });
        let core = Core {
            machine,
            links: BTreeMap::new(),
            unfinished: BTreeSet::new(),
            needs: (false, false, 0),
            heir_waits: heir::Waits::Nobody,
            has_rest: false,
            ended: None,
            draining: false,
            closed: false,
        };
        Self {
            shared: shared.clone(),
            core: Mutex::new(core),
            stirred: Condvar::new(),
            slice: AtomicU64::new(0),
            knocker: AtomicU16::new(0),
            drained: AtomicU64::new(0),
            open: AtomicBool::new(false),
            crowded: Mutex::new(None),
            predecessor,
            listener: Mutex::new(Some(listener.clone())),
            callers: Callers::new(),
            looks: Pool::new("bw-look"),
            own: own.clone(),
            me,
        }
    }

    /// Says the own instance's hello, and notes the end of the one who reigned before: if the kernel has closed its
    /// presence by now, which is likely, nobody has to look for it again.
    fn move_in(&self) {
        // Before the roll call, so that whoever asks after this one finds it.
        self.shared.show_as_winner();
        let gone = self.predecessor.filter(|id| self.shared.is_gone(*id));
        self.step(|machine| {
            if let Some(id) = gone {
                machine.gone(id);
            }
            // Under the registry's lock: a call of the application that asks for something after this hello was built
            // must not be heard before it.
            for frame in self.shared.state().hello() {
                machine.frame(LinkId::LOCAL, frame);
            }
        });
    }

    /// Asks the kernel who is there. The window stays open until it has answered.
    pub(super) fn call_roll(&self) {
        let roll = self.roll().unwrap_or_else(|| {
            log::warn!("it cannot be told who lives; asking again");
            window::RollCall::Somebody(true)
        });
        self.step(|machine| machine.called(roll));
    }

    /// The kernel's answer; `None`: there is none at this moment.
    pub(super) fn roll(&self) -> Option<window::RollCall> {
        match self.shared.roll_call() {
            presence::RollCall::Everyone(shown) => Some(window::RollCall::Everyone(shown.into_iter().collect())),
            presence::RollCall::Somebody(somebody) => Some(window::RollCall::Somebody(somebody)),
            presence::RollCall::Unknown => None,
        }
    }

    /// Whether everyone has been told of the reign.
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn me(&self) -> InstanceId {
        self.me
    }

    /// Whether anybody waits for the answer to a question that the machine had.
    pub(super) fn is_wanted(&self, question: u64) -> bool {
        let core = self.core();
        core.ended.is_none() && core.machine.is_wanted(question)
    }

    /// Whether the handler is to answer this question; if so, it begins with it.
    pub(super) fn begin(&self, question: u64) -> bool {
        let mut core = self.core();
        core.ended.is_none() && core.machine.begin(question)
    }

    /// Drops what hangs on questions whose answers nobody waits for.
    pub(super) fn keep_wanted<T>(&self, all: &mut VecDeque<T>, question: impl Fn(&T) -> u64) {
        let core = self.core();
        all.retain(|one| core.ended.is_none() && core.machine.is_wanted(question(one)));
    }

    /// The registry. A panic under this lock ends the reign, see [`Reign::step`], so its poison says nothing new.
    pub(super) fn core(&self) -> MutexGuard<'_, Core> {
        lock(&self.core)
    }

    pub(super) fn wait<'a>(&self, core: MutexGuard<'a, Core>, time: Option<Duration>) -> MutexGuard<'a, Core> {
        match time {
            None => self.stirred.wait(core).unwrap_or_else(PoisonError::into_inner),
            Some(time) => self.stirred.wait_timeout(core, time).unwrap_or_else(PoisonError::into_inner).0,
        }
    }

    /// Lets the machine take an input, and does what it decides.
    pub(crate) fn step(&self, input: impl FnOnce(&mut Supervisor)) {
        if let Some((touched, ())) = self.decide(input, |_| ()) {
            self.flush(touched);
        }
    }

    /// The part under the lock. Nothing more is decided once the reign has ended.
    pub(super) fn decide<T>(
        &self,
        input: impl FnOnce(&mut Supervisor),
        look: impl FnOnce(&mut Core) -> T,
    ) -> Option<(Vec<Arc<Link>>, T)> {
        let mut core = self.core();
        if core.ended.is_some() {
            return None;
        }
        // A machine that panics half way through a change cannot be trusted with anybody's lock. The instance keeps
        // its own knowledge, which lives elsewhere, and everyone elects again.
        let decided = catch_unwind(AssertUnwindSafe(|| {
            core.machine.set_time(clock::milliseconds());
            input(&mut core.machine);
            let settled = self.settle(&mut core);
            (settled, look(&mut core))
        }));
        if decided.is_err() {
            core.ended = Some(Ended::FailStop);
        }
        let ended = core.ended.is_some();
        // The warden sleeps as long as nobody is missing; once awake it looks by its own clock.
        let machine = &core.machine;
        let needs = (machine.is_waiting(), machine.lacks_only_the_call(), machine.registry().count_aside());
        let woken = std::mem::replace(&mut core.needs, needs) != needs;
        let heir_came = core.heir_waits.begin();
        let rest_came = !ended && core.machine.is_behind() && !std::mem::replace(&mut core.has_rest, true);
        let drained = core.draining && core.machine.is_drained();
        drop(core);
        if woken || drained {
            self.stirred.notify_all();
        }
        let broken =
            (log::Level::Error, "the supervisor's state cannot be trusted any more; leaving the office".into());
        let (Settled { mut touched, asked, notices, look, notes }, seen) = match decided {
            Ok((settled, seen)) => (settled, Some(seen)),
            Err(_) => (Settled { notes: vec![broken], ..Settled::default() }, None),
        };
        if ended {
            // Whatever was said last is still written, before the connections end.
            self.close(&touched);
        }
        // All that may call the application's logger, which may panic: what was decided is written all the same.
        let told = catch_unwind(AssertUnwindSafe(|| {
            if !ended {
                touched.extend(self.notify(notices));
                self.callers.submit(asked);
                look.into_iter().for_each(|look| self.looks.submit(look));
            }
            if heir_came {
                heir::attend(self);
            }
            if rest_came && let Some(own) = self.own.upgrade() {
                rest::begin(&own);
            }
            notes.iter().for_each(|(level, text)| log::log!(*level, "{text}"));
            self.shared.log_notes();
        }));
        if let Err(panic) = told {
            if !ended {
                self.flush(touched);
            }
            resume_unwind(panic);
        }
        seen.filter(|_| !ended).map(|seen| (touched, seen))
    }

    /// Writes the last words of the reign and closes the office, also if a logger panics meanwhile.
    fn close(&self, touched: &[Arc<Link>]) {
        let closing = Closing(self);
        for link in touched {
            // At most one write timeout for each peer that does not take it; the office is closed then all the same.
            link.outbox.finish(&link.stream);
        }
        drop(closing);
    }

    /// Ends the reign because one of its threads has panicked, most likely in the application's logger. It may panic again.
    pub(super) fn crash(&self) {
        // Each by itself, so that a panic in the first does not keep the reign from its end.
        let _ = catch_unwind(AssertUnwindSafe(|| self.drain(Ended::Crashed, Duration::ZERO)));
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let core = self.core();
            if core.ended.is_none() {
                self.end(core, Ended::Crashed);
            }
        }));
    }

    /// The same, when nothing else looks after the connections any more.
    pub(super) fn abandon(&self) {
        self.crash();
        let links = std::mem::take(&mut self.core().links);
        links.values().for_each(|link| link.cut());
    }

    /// Sends these notices; then the machine goes on.
    fn notify(&self, notices: Vec<(Notice, Vec<Tag>)>) -> Vec<Arc<Link>> {
        if notices.is_empty() {
            return Vec::new();
        }
        notices.iter().for_each(|(notice, tags)| self.shared.notify(tags, notice));
        let sent = |machine: &mut Supervisor| notices.iter().for_each(|(notice, _)| machine.notified(notice.id));
        self.decide(sent, |_| ()).map_or_else(Vec::new, |(touched, ())| touched)
    }

    /// Takes the frames of one connection; says whether it still owes its handshake.
    pub(super) fn take(&self, link: LinkId, mut frames: Vec<ToSupervisor>) -> bool {
        loop {
            // A peer that says much at a time does not keep the mutex from the others for all of it.
            let rest = frames.split_off(frames.len().min(FRAMES));
            let taken = self.decide(
                |machine| frames.into_iter().for_each(|frame| machine.frame(link, frame)),
                |core| {
                    let owes = core.machine.is_unfinished(link);
                    if !owes {
                        core.unfinished.remove(&link);
                    }
                    owes
                },
            );
            let Some((touched, owes)) = taken else { return true };
            self.flush(touched);
            if rest.is_empty() {
                return owes;
            }
            frames = rest;
        }
    }

    /// Makes a connection known to the machine; says whether there is anything left to be decided.
    pub(super) fn know(&self, link: &Arc<Link>) -> bool {
        let mut core = self.core();
        if core.ended.is_none() {
            core.links.insert(link.id, link.clone());
            core.machine.connected(link.id);
        }
        core.ended.is_none()
    }

    /// Takes the frames of a connection whose handshake is not accepted yet, and says how far it is then.
    pub(super) fn decide_handshake(
        &self,
        link: LinkId,
        frames: Vec<ToSupervisor>,
    ) -> Option<(Vec<Arc<Link>>, Handshake)> {
        self.decide(
            |machine| frames.into_iter().for_each(|frame| machine.frame(link, frame)),
            |core| {
                let stage = core.machine.handshake(link);
                if stage == (Handshake::Accepted { owes: true }) {
                    core.unfinished.insert(link);
                }
                stage
            },
        )
    }

    /// A connection has ended.
    pub(super) fn ended(&self, link: LinkId) {
        let behind = {
            let mut core = self.core();
            core.links.remove(&link);
            core.unfinished.remove(&link);
            core.machine.behind(link)
        };
        // The kernel closes a dead process's presence before its connections, so this is nearly always the answer.
        let gone = behind.is_some_and(|id| self.shared.is_gone(id));
        self.step(|machine| machine.ended(link, gone));
    }

    /// How long a reign that is to end waits for the handlers that run, and for messages that are on their way.
    pub(crate) const DRAIN: Duration = Duration::from_secs(1);

    /// Waits until everything that was begun for a member is answered, for at most this long. Nothing is begun meanwhile, and
    /// what arrives is left to the next supervisor: the reign has to be ended afterwards.
    pub(super) fn drain(&self, how: Ended, time: Duration) {
        let until = Instant::now() + time;
        // A handler that leaves cannot wait for itself.
        let own = self.shared.own_question();
        let begun = self.decide(
            |machine| {
                if let Some(question) = own {
                    machine.handled(question, Err("the request handler has left the group".into()));
                }
                machine.drain(how == Ended::Left);
            },
            |core| core.draining = true,
        );
        let Some((touched, ())) = begun else { return };
        self.flush(touched);
        let mut core = self.core();
        while core.ended.is_none() && !core.machine.is_drained() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            core = self.wait(core, Some(left));
        }
    }

    /// Ends the reign in an orderly way: what was begun is answered, for at most this long, everyone is told, then the office
    /// is closed.
    pub(crate) fn stop(&self, how: Ended, time: Duration) {
        self.drain(how, time);
        let core = self.core();
        if core.ended.is_none() {
            self.end(core, how);
        }
    }

    /// The same, for who has the lock already.
    pub(super) fn end(&self, mut core: MutexGuard<'_, Core>, how: Ended) {
        // Also if it was to resign first, and leaves meanwhile.
        let how = if self.shared.is_leaving() { Ended::Left } else { how };
        let sort = match (how, core.machine.heir()) {
            (Ended::Left, _) => LeaveSort::Leaving,
            (_, None) => LeaveSort::Resigning,
            (_, Some(heir)) => {
                self.shared.state().session.resigned_for(heir);
                LeaveSort::ResigningFor(heir)
            }
        };
        core.machine.freeze(sort);
        let Settled { touched, notes, .. } = self.settle(&mut core);
        core.ended = Some(how);
        drop(core);
        self.close(&touched);
        notes.iter().for_each(|(level, text)| log::log!(*level, "{text}"));
        self.shared.log_notes();
    }

    /// Waits until whoever ended the reign has written its last words, and says how it ended.
    fn closed(&self) -> Ended {
        let mut core = self.core();
        while !core.closed {
            core = self.wait(core, None);
        }
        core.ended.unwrap_or(Ended::FailStop)
    }

    /// Leaves the office to somebody who knows more, if the window is still open: nothing was promised to anybody yet.
    pub(super) fn step_down(&self) {
        let mut core = self.core();
        if core.ended.is_some() || !core.machine.is_window_open() {
            return;
        }
        core.ended = Some(Ended::SteppedDown);
        drop(core);
        self.close_office();
    }

    /// Somebody could not be taken in, or looked for, since this process has no more of this; `who`, if that is known.
    pub(super) fn lacks(&self, what: Lack, who: Option<InstanceId>) {
        let (mut gives_up, mut is_open) = (false, false);
        self.step(|machine| {
            gives_up = machine.lacks(who, clock::monotonic());
            is_open = !machine.is_window_open();
            if gives_up && !is_open {
                machine.give_up(what);
            }
        });
        // In an open reign, not while somebody does what only the supervisor does: the next time will do as well.
        if gives_up && is_open && self.shared.begin_resigning() {
            self.drain(Ended::Lacking, Self::DRAIN);
            self.step(|machine| machine.give_up(what));
        }
    }

    pub(super) fn note_crowd(&self) {
        *lock(&self.crowded) = Some(Instant::now());
    }

    /// Whether a connection was turned away not longer ago than this.
    pub(super) fn was_crowded_within(&self, time: Duration) -> bool {
        lock(&self.crowded).is_some_and(|at| at.elapsed() < time)
    }

    /// Closes the listener, so that the accept thread ends and the port is free.
    fn close_office(&self) {
        self.core().closed = true;
        self.stirred.notify_all();
        if let Some(listener) = lock(&self.listener).take() {
            endpoint::wake(&listener, self.shared.settings.port);
        }
    }
}

/// Closes the office when it is dropped.
struct Closing<'a>(&'a Reign);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close_office();
    }
}
