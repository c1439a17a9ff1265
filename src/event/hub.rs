//! Hands events to everyone who asked for them, without ever waiting for anybody and within bounds.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};

use super::Event;
use crate::runtime::lock;

/// All receivers of one instance's events.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    outlets: Mutex<Outlets>,
    closed: AtomicBool,
}

#[derive(Debug, Default)]
struct Outlets {
    outlets: Vec<Outlet>,
    /// Somebody has subscribed.
    is_known: bool,
    /// Until then: messages and commands, for the first who does. They have no other way to the application, while of
    /// everything else it can read how it stands.
    kept: Option<(Outlet, Receiver<Event>)>,
}

#[derive(Debug)]
struct Outlet {
    sender: Sender<Event>,
    missed: u64,
    /// The bytes in the events that the receiver had not read when one was offered last, the oldest first.
    unread: VecDeque<Bytes>,
    unread_bytes: Bytes,
}

/// What an event keeps in memory beside itself. Values have a bound of their own: one that is missed can still be read,
/// and must not cost a message, which cannot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bytes {
    mail: usize,
    values: usize,
}

impl Hub {
    /// How many events a receiver may lag behind before it misses some.
    const CAPACITY: usize = 1024;
    /// How many bytes of messages and commands, and how many of values, a receiver may lag behind before it misses some
    /// of them.
    const BYTES: usize = 16 * 1024 * 1024;

    /// A new receiver of all events from now on. The first one has the messages that came before as well.
    pub(crate) fn subscribe(&self) -> Receiver<Event> {
        let mut outlets = self.outlets();
        outlets.is_known = true;
        let (outlet, receiver) = outlets.kept.take().unwrap_or_else(Outlet::new);
        // Asked under the lock: between the answer and the push the end could pass by unseen.
        if !self.closed.load(Ordering::Acquire) {
            outlets.outlets.push(outlet);
        }
        receiver
    }

    /// Hands an event to all receivers that have room; the others are told later how many they missed.
    pub(crate) fn emit(&self, event: &Event) {
        let mut outlets = self.outlets();
        if !outlets.is_known && event.mail().is_some() {
            outlets.kept.get_or_insert_with(Outlet::new).0.offer(event);
        }
        outlets.outlets.retain_mut(|outlet| outlet.offer(event));
    }

    /// The instance has left: receivers see the end of the channel after the events they have not read yet.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.outlets().outlets.clear();
    }

    fn outlets(&self) -> MutexGuard<'_, Outlets> {
        lock(&self.outlets)
    }
}

impl Outlet {
    fn new() -> (Self, Receiver<Event>) {
        let (sender, receiver) = bounded(Hub::CAPACITY);
        (Self { sender, missed: 0, unread: VecDeque::new(), unread_bytes: Bytes::default() }, receiver)
    }

    /// Whether the receiver still exists.
    fn offer(&mut self, event: &Event) -> bool {
        self.note_read();
        let size = Bytes { mail: event.mail().unwrap_or_default(), values: event.value() };
        if !size.fits(self.unread_bytes) {
            self.missed += 1;
            return true;
        }
        if self.missed > 0 {
            match self.push(Event::Missed(self.missed), Bytes::default()) {
                Ok(()) => self.missed = 0,
                Err(TrySendError::Full(_)) => {
                    self.missed += 1;
                    return true;
                }
                Err(TrySendError::Disconnected(_)) => return false,
            }
        }
        match self.push(event.clone(), size) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.missed = 1;
                true
            }
            Err(TrySendError::Disconnected(_)) => false,
        }
    }

    fn push(&mut self, event: Event, size: Bytes) -> Result<(), TrySendError<Event>> {
        self.sender.try_send(event)?;
        self.unread.push_back(size);
        self.unread_bytes.mail += size.mail;
        self.unread_bytes.values += size.values;
        Ok(())
    }

    /// Forgets the sizes of what the receiver has read since.
    fn note_read(&mut self) {
        let read = self.unread.len().saturating_sub(self.sender.len());
        for size in self.unread.drain(..read) {
            self.unread_bytes.mail -= size.mail;
            self.unread_bytes.values -= size.values;
        }
    }
}

impl Bytes {
    /// Whether there is room for it beside what is unread.
    fn fits(self, unread: Self) -> bool {
        let fits = |size: usize, unread: usize| size == 0 || unread + size <= Hub::BYTES;
        fits(self.mail, unread.mail) && fits(self.values, unread.values)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::control::Command;
    use crate::ident::{InstanceId, Name, Stamp, Version};

    fn event(n: u64) -> Event {
        Event::Missed(n)
    }

    fn message(size: usize) -> Event {
        Event::Message { from: InstanceId::new(1), bytes: vec![0; size].into() }
    }

    const LARGE: usize = 1024 * 1024;

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
    fn a_receiver_with_many_bytes_unread_misses_messages_and_nothing_else() {
        let hub = Hub::default();
        let (slow, fast) = (hub.subscribe(), hub.subscribe());
        let fits = Hub::BYTES / LARGE;
        for _ in 0..fits + 2 {
            hub.emit(&message(LARGE));
            assert_eq!(fast.try_recv(), Ok(message(LARGE)), "who reads misses nothing");
        }
        hub.emit(&event(5));
        hub.emit(&message(LARGE));
        assert_eq!(slow.len(), fits + 2, "the messages that fit, and what else there was");
        for _ in 0..fits {
            assert_eq!(slow.try_recv(), Ok(message(LARGE)));
        }
        assert_eq!(slow.try_iter().collect::<Vec<_>>(), [Event::Missed(2), event(5)]);
        hub.emit(&message(LARGE));
        assert_eq!(slow.try_iter().collect::<Vec<_>>(), [Event::Missed(1), message(LARGE)], "it has read");
        assert_eq!(fast.try_iter().count(), 3);
    }

    #[test]
    fn a_receiver_with_many_values_unread_misses_values_and_no_message() {
        let hub = Hub::default();
        let receiver = hub.subscribe();
        let value = || {
            let key = Name::new("config").expect("a short name");
            let version = Version::new(Stamp::default());
            Event::State { key, version, bytes: Some(vec![0; LARGE].into()) }
        };
        let fits = Hub::BYTES / LARGE;
        for _ in 0..fits + 2 {
            hub.emit(&value());
        }
        hub.emit(&message(LARGE));
        assert_eq!(receiver.try_iter().take(fits).filter(|event| *event == value()).count(), fits);
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [Event::Missed(2), message(LARGE)]);
        hub.emit(&value());
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [value()], "it has read");
    }

    #[test]
    fn as_much_as_was_read_may_come_again() {
        let hub = Hub::default();
        let receiver = hub.subscribe();
        let fits = Hub::BYTES / LARGE;
        for round in 0..10 {
            for _ in 0..fits {
                hub.emit(&message(LARGE));
            }
            assert_eq!(receiver.try_iter().count(), fits, "round {round}");
        }
        hub.emit(&message(LARGE));
        assert_eq!(lock(&hub.outlets).outlets[0].unread_bytes.mail, LARGE);
    }

    #[test]
    fn messages_and_commands_wait_for_the_first_receiver() {
        let hub = Hub::default();
        let command = Event::Command(Command::Custom([1].into()));
        let pause = Event::Command(Command::Pause);
        for event in [&event(1), &message(3), &command, &event(2), &pause] {
            hub.emit(event);
        }
        let first = hub.subscribe();
        let second = hub.subscribe();
        hub.emit(&event(3));
        assert_eq!(first.try_iter().collect::<Vec<_>>(), [message(3), command, pause, event(3)]);
        assert_eq!(second.try_iter().collect::<Vec<_>>(), [event(3)]);
        drop((first, second));
        hub.emit(&message(3));
        assert!(hub.subscribe().is_empty(), "there has been somebody who could read it");
    }

    #[test]
    fn what_waits_for_the_first_receiver_is_bounded_as_well() {
        let hub = Hub::default();
        let fits = Hub::BYTES / LARGE;
        for _ in 0..fits + 3 {
            hub.emit(&message(LARGE));
        }
        let receiver = hub.subscribe();
        assert_eq!(receiver.try_iter().count(), fits);
        hub.emit(&event(9));
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [Event::Missed(3), event(9)]);

        let hub = Hub::default();
        for _ in 0..Hub::CAPACITY + 2 {
            hub.emit(&message(0));
        }
        let receiver = hub.subscribe();
        assert_eq!(receiver.try_iter().count(), Hub::CAPACITY);
        hub.emit(&event(9));
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [Event::Missed(2), event(9)]);
    }

    #[test]
    fn all_receivers_share_the_bytes_of_a_message() {
        let hub = Hub::default();
        let receivers = [hub.subscribe(), hub.subscribe()];
        let bytes: Arc<[u8]> = [7].into();
        hub.emit(&Event::Message { from: InstanceId::new(1), bytes: bytes.clone() });
        assert_eq!(Arc::strong_count(&bytes), 1 + receivers.len());
        for receiver in &receivers {
            let Ok(Event::Message { bytes: heard, .. }) = receiver.try_recv() else { panic!("the message") };
            assert!(Arc::ptr_eq(&bytes, &heard));
        }
    }

    #[test]
    fn a_receiver_that_was_dropped_costs_nothing_more() {
        let hub = Hub::default();
        drop(hub.subscribe());
        hub.emit(&event(1));
        assert!(lock(&hub.outlets).outlets.is_empty());
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

        let hub = Hub::default();
        hub.emit(&message(1));
        hub.close();
        let receiver = hub.subscribe();
        assert_eq!(receiver.recv(), Ok(message(1)), "it waited for the first receiver");
        assert!(receiver.recv().is_err());
    }
}
