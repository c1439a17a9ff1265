//! What happens in a group, as it reaches the application.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};

use crate::control::Command;
use crate::entry::{Entry, Role};
use crate::ident::Version;
use crate::ident::{Epoch, InstanceId, Kind, Name, Token};
use crate::runtime::lock;
use crate::wire::message::EndReason;

/// Something that happened in the group.
///
/// ```
/// use bellwether::{Event, Role};
///
/// fn tell(event: &Event) -> String {
///     match event {
///         Event::Reign { role: Role::Supervisor, .. } => "this copy leads".to_owned(),
///         Event::Reign { supervisor, .. } => format!("{supervisor} leads"),
///         Event::Disconnected { supervisor, .. } => format!("{supervisor} is gone; the election is on"),
///         Event::Ended { entry, reason } => format!("process {} has ended: {reason:?}", entry.pid),
///         other => format!("{other:?}"), // more may come
///     }
/// }
/// # assert_eq!(tell(&Event::Missed(3)), "Missed(3)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The instance won the port, or a supervisor completed the handshake with it. The window may still be open.
    Welcomed {
        /// Who reigns.
        supervisor: InstanceId,
        /// What this instance is now.
        role: Role,
    },
    /// The instance is part of an open reign.
    Reign {
        /// Which.
        epoch: Epoch,
        /// Who reigns.
        supervisor: InstanceId,
        /// What this instance is now.
        role: Role,
    },
    /// The connection to the supervisor, or the own reign, has ended; the election has begun.
    Disconnected {
        /// Who reigned.
        supervisor: InstanceId,
        /// When the end was noticed. The event itself follows once the election has got its first tries done: those
        /// that wake up for it would only be in its way.
        at: Instant,
    },
    /// An instance has joined.
    Joined(Entry),
    /// An entry has changed: its standing, its label or its payload.
    Changed(Entry),
    /// An entry has ended.
    Ended {
        /// What the entry was.
        entry: Entry,
        /// How it ended.
        reason: EndReason,
    },
    /// The supervisor has not answered for some seconds although somebody waited for it. It is not dead.
    Hung {
        /// Who reigns, if this instance had been welcomed.
        supervisor: Option<InstanceId>,
    },
    /// This instance was silent beyond the window limit and has lost everything it held; it goes on under a new id.
    Forfeited {
        /// The id that ended.
        old: InstanceId,
        /// The id from now on.
        new: InstanceId,
    },
    /// A value of the state was written, by whomever; of a deleted one there are no bytes.
    State {
        /// The key.
        key: Name,
        /// The version from now on.
        version: Version,
        /// The bytes.
        bytes: Option<Arc<[u8]>>,
    },
    /// A grant was revoked: this instance was silent beyond the window limit during an election, and somebody else may
    /// hold the lock by now. Whoever works under it has to stop.
    LockLost {
        /// What kind of lock.
        kind: Kind,
        /// Its name.
        name: Name,
        /// The token under which it was held.
        token: Token,
    },
    /// A message of another instance, or of an observer, for this one or for all. See [`crate::Instance::send`].
    Message {
        /// Who sent it.
        from: InstanceId,
        /// What it says.
        bytes: Arc<[u8]>,
    },
    /// The supervisor commands something. [`Command::Pause`] and [`Command::Resume`] are in force already; after
    /// [`Command::Stop`] the application should end its work and [leave](crate::Instance::leave).
    Command(Command),
    /// This instance was told to stop and has not left in time: it has lost all it held and is out of the group.
    Evicted,
    /// The supervisor port cannot be used at the moment; the election goes on.
    PortUnusable(crate::PortReason),
    /// The receiver was too slow; this many events were dropped before this one.
    Missed(u64),
}

/// Hands events to everyone who asked for them, without ever waiting for anybody.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    receivers: Mutex<Vec<Outlet>>,
    closed: AtomicBool,
}

#[derive(Debug)]
struct Outlet {
    sender: Sender<Event>,
    missed: u64,
}

impl Hub {
    /// How many events a receiver may lag behind before it misses some.
    const CAPACITY: usize = 1024;

    /// A new receiver of all events from now on.
    pub(crate) fn subscribe(&self) -> Receiver<Event> {
        let (sender, receiver) = bounded(Self::CAPACITY);
        // Asked under the lock: between the answer and the push the end could pass by unseen.
        let mut receivers = lock(&self.receivers);
        if !self.closed.load(Ordering::Acquire) {
            receivers.push(Outlet { sender, missed: 0 });
        }
        receiver
    }

    /// Hands an event to all receivers that have room; the others are told later how many they missed.
    pub(crate) fn emit(&self, event: &Event) {
        lock(&self.receivers).retain_mut(|outlet| outlet.offer(event));
    }

    /// The instance has left: receivers see the end of the channel after the events they have not read yet.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        lock(&self.receivers).clear();
    }
}

impl Outlet {
    /// Whether the receiver still exists.
    fn offer(&mut self, event: &Event) -> bool {
        if self.missed > 0 {
            match self.sender.try_send(Event::Missed(self.missed)) {
                Ok(()) => self.missed = 0,
                Err(TrySendError::Full(_)) => {
                    self.missed += 1;
                    return true;
                }
                Err(TrySendError::Disconnected(_)) => return false,
            }
        }
        match self.sender.try_send(event.clone()) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.missed = 1;
                true
            }
            Err(TrySendError::Disconnected(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(n: u64) -> Event {
        Event::Missed(n)
    }

    #[test]
    fn a_receiver_that_lags_is_told_how_much_it_missed() {
        let hub = Hub::default();
        let receiver = hub.subscribe();
        let capacity = Hub::CAPACITY as u64;
        for n in 0..capacity + 7 {
            hub.emit(&event(n));
        }
        for n in 0..capacity {
            assert_eq!(receiver.try_recv(), Ok(event(n)));
        }
        hub.emit(&event(9999));
        assert_eq!(receiver.try_recv(), Ok(Event::Missed(7)));
        assert_eq!(receiver.try_recv(), Ok(event(9999)));
        assert!(receiver.is_empty());
    }

    #[test]
    fn a_receiver_that_was_dropped_costs_nothing_more() {
        let hub = Hub::default();
        drop(hub.subscribe());
        hub.emit(&event(1));
        assert!(lock(&hub.receivers).is_empty());
    }

    #[test]
    fn the_end_of_the_instance_ends_the_channel_after_what_was_not_read() {
        let hub = Hub::default();
        let receiver = hub.subscribe();
        hub.emit(&event(1));
        hub.close();
        assert_eq!(receiver.recv(), Ok(event(1)));
        assert!(receiver.recv().is_err());
        assert!(hub.subscribe().recv().is_err(), "a late receiver sees the end at once");
    }
}
