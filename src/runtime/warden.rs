//! Who looks after those that are missing: asks the kernel whether they are gone, and counts the time that may be counted.
//!
//! The thread sleeps while nobody is missing.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::endpoint;
use super::presence;
use super::reign::{Core, Reign};
use crate::coordinator::supervisor::Lack;
use crate::coordinator::window::RollCall;
use crate::ident::{InstanceId, Tag};

/// The first look is taken after this: a dead supervisor's presence is closed a moment before or after its connections.
const FIRST_LOOK: Duration = Duration::from_micros(200);
/// From this on the looks are for everybody who is missing. Those who live need about as long to come by themselves, and
/// asking the kernel after each of them meanwhile would only be in their way.
const LOOK_FOR_ALL: Duration = Duration::from_millis(3);
/// Looks are never further apart than this while a window is open or time is counted.
const LAST_LOOK: Duration = Duration::from_millis(20);
/// Nor than this while members of an open reign are without a connection, which may last for days.
const LONG_LOOK: Duration = Duration::from_millis(250);

/// A slice of counted time is no shorter than this: each costs a connection. So no window is closed by its limit sooner,
/// whatever the limit is.
pub(super) const LEAST_SLICE: Duration = Duration::from_millis(50);
/// Whoever is turned away at the door is back within this, if it lives.
const TURNED_AWAY: Duration = Duration::from_secs(1);

/// Who is missing at one moment.
struct Missing {
    awaited: Vec<InstanceId>,
    unnamed: Vec<(InstanceId, Vec<Tag>)>,
    stranger: bool,
}

impl Missing {
    fn only(&mut self, id: Option<InstanceId>) {
        self.awaited.retain(|awaited| Some(*awaited) == id);
        self.unnamed.clear();
        self.stranger = false;
    }
}

/// Watches over a reign until it ends.
pub(crate) fn watch(reign: &Arc<Reign>) {
    let mut called = false;
    let mut core = reign.core();
    while core.ended.is_none() {
        if !core.machine.is_waiting() {
            core = reign.wait(core, None);
            continue;
        }
        drop(core);
        attend(reign, &mut called);
        core = reign.core();
    }
}

/// Stays as long as anybody is missing.
///
/// The kernel is asked who is there when everyone known is, or when that takes long: reading its list takes the time in
/// which several members are welcomed.
fn attend(reign: &Arc<Reign>, called: &mut bool) {
    let mut look = FIRST_LOOK;
    let mut slice: Option<Slice> = None;
    let mut aside = 0;
    loop {
        {
            let core = reign.core();
            let core = if *called || !core.machine.lacks_only_the_call() { reign.wait(core, Some(look)) } else { core };
            if core.ended.is_some() || !core.machine.is_waiting() {
                // The port of the last knock may be anybody's from here on.
                reign.knocker.store(0, Ordering::Release);
                return;
            }
        }
        let mut missing = missing(&reign.core());
        let before = std::mem::replace(&mut aside, missing.awaited.len());
        if look > LAST_LOOK && aside > before {
            look = FIRST_LOOK;
            continue;
        }
        if look >= LAST_LOOK && missing.awaited.iter().any(|id| !reign.shared().can_ask(*id)) {
            // A newcomer that won. Those who named the missing one to it know where to ask; it never will.
            reign.step_down();
            log::debug!("the office is left to a member that can tell who is gone");
            continue;
        }
        if look >= LAST_LOOK && reign.core().machine.is_window_open() && endpoint::are_sockets_scarce() {
            // Also if the door has the last descriptor: without one nobody can be looked for, and no time be counted.
            reign.lacks(Lack::Descriptors, None);
        }
        if look < LOOK_FOR_ALL {
            missing.only(reign.predecessor);
        }
        seek(reign, &missing);
        if !*called && (look >= LOOK_FOR_ALL || reign.core().machine.lacks_only_the_call()) {
            *called = true;
            reign.call_roll();
            continue;
        }
        let (is_timed, is_window_open) = {
            let core = reign.core();
            (core.machine.is_timed(), core.machine.is_window_open())
        };
        look = if look >= LAST_LOOK && !is_timed && !is_window_open {
            (look * 9 / 8).min(LONG_LOOK)
        } else {
            (look * 2).min(LAST_LOOK)
        };
        if !is_timed {
            slice = None;
            reign.knocker.store(0, Ordering::Release);
            continue;
        }
        let Some(present) = &mut slice else {
            slice = Some(Slice::begin(reign));
            continue;
        };
        present.wake(reign);
        let elapsed = present.began.elapsed();
        if elapsed >= LEAST_SLICE && is_drained(reign) {
            reign.step(|machine| machine.time(elapsed, true));
            slice = Some(Slice::begin(reign));
        }
    }
}

fn missing(core: &Core) -> Missing {
    Missing {
        awaited: core.machine.awaited(),
        unnamed: core.machine.unnamed().into_iter().map(|id| (id, core.machine.shown(id))).collect(),
        stranger: core.machine.awaits_stranger(),
    }
}

/// Asks the kernel after everyone who is missing.
fn seek(reign: &Reign, missing: &Missing) {
    let shared = reign.shared();
    let (mechanism, port) = (shared.settings.mechanism, shared.settings.port);
    let gone: Vec<_> = missing.awaited.iter().copied().filter(|id| shared.is_gone(*id)).collect();
    let is_over = |(id, tags): &&(InstanceId, Vec<Tag>)| presence::membership_gone(mechanism, port, *id, tags);
    let unnamed: Vec<_> = missing.unnamed.iter().filter(is_over).map(|(id, _)| *id).collect();
    // Also for those who can be named: there may have been no descriptor for the question.
    let roll = missing.stranger.then(|| reign.roll()).flatten().filter(|roll| *roll != RollCall::Somebody(true));
    if gone.is_empty() && unnamed.is_empty() && roll.is_none() {
        return;
    }
    reign.step(|machine| {
        gone.into_iter().for_each(|id| machine.gone(id));
        unnamed.into_iter().for_each(|id| machine.membership_gone(id));
        match roll {
            Some(RollCall::Somebody(_)) => machine.nobody_else(),
            Some(roll) => machine.called(roll),
            None => {}
        }
    });
}

/// A slice of time, of which no more than [`Supervisor::SLICE`](crate::coordinator::supervisor::Supervisor::SLICE) counts, and that if it is proved that all had been taken in that came before it: the accepting thread does so
/// whenever it runs.
struct Slice {
    began: Instant,
    /// The accepting thread was woken: it may have nothing else to do.
    woken: bool,
}

impl Slice {
    fn begin(reign: &Reign) -> Self {
        let began = Instant::now();
        reign.slice.fetch_add(1, Ordering::AcqRel);
        let mut slice = Self { began, woken: false };
        slice.wake(reign);
        slice
    }

    /// Wakes the accepting thread by a connection. If the queue of connections is full, or there is no descriptor, it is
    /// tried again; a thread that has so much to do needs not be woken.
    fn wake(&mut self, reign: &Reign) {
        if self.woken || reign.drained.load(Ordering::Acquire) == reign.slice.load(Ordering::Acquire) {
            return;
        }
        let announce = |source| reign.knocker.store(source, Ordering::Release);
        let knocked = endpoint::knock(reign.shared().settings.port, LEAST_SLICE, announce);
        self.woken = knocked.is_ok();
        if let Err(error) = knocked {
            log::debug!("connecting to the own port failed: {error}");
        }
    }
}

/// Whether everything that had arrived when the slice began has been taken: the accept queue, and every connection that
/// still owes its handshake, or its copy of the state.
fn is_drained(reign: &Reign) -> bool {
    let slice = reign.slice.load(Ordering::Acquire);
    let accepted = reign.drained.load(Ordering::Acquire) == slice;
    let core = reign.core();
    let silent = |id| core.links.get(id).is_none_or(|link| link.proved.load(Ordering::Acquire) >= slice);
    accepted && !reign.was_crowded_within(TURNED_AWAY) && core.unfinished.iter().all(silent)
}
