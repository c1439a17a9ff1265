//! Hands events to everyone who asked for them, without ever waiting for anybody and within bounds.
//!
//! # What a receiver that lags finds
//!
//! The first event that a receiver has no room for leaves [`Event::Missed`] in its place, at once, so that the receiver
//! finds it as soon as it has read what was kept. The hub does not see when a channel is read and cannot change what is in
//! it: the events that are dropped while the mark is unread are counted in the next one, which precedes the next event
//! that has room.
//!
//! # What a receiver that is dropped leaves behind
//!
//! A sender learns only by sending that its receiver is gone. While nothing happens nothing is sent, so that receivers
//! which are made and dropped meanwhile would pile up. From some number on the hub sends an [`Event::Missed`] of zero to
//! those that have nothing to read.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use crossbeam::channel::{Receiver, Sender, unbounded};

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
    /// How many outlets were left after the last look for receivers that were dropped.
    alive: usize,
    /// Somebody has subscribed.
    is_known: bool,
    /// Until then: messages and commands, for the first who does. They have no other way to the application, while of
    /// everything else it can read how it stands.
    kept: Option<(Outlet, Receiver<Event>)>,
}

#[derive(Debug)]
struct Outlet {
    /// Without a capacity, since a channel with one has memory for all of it from the start. [`Hub::CAPACITY`] bounds it.
    sender: Sender<Event>,
    /// Dropped, and in no [`Event::Missed`] yet.
    missed: u64,
    /// The last event that was put in is an [`Event::Missed`].
    is_marked: bool,
    /// The bytes in the events that the receiver had not read when one was offered last, the oldest first.
    unread: VecDeque<Bytes>,
    unread_bytes: Bytes,
}

/// The receiver was dropped.
#[derive(Debug)]
struct Gone;

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
    /// How many receivers there may be, dropped ones included, before any of them is asked for.
    const UNASKED: usize = 256;

    /// A new receiver of all events from now on. The first one has the messages that came before as well.
    pub(crate) fn subscribe(&self) -> Receiver<Event> {
        let mut outlets = self.outlets();
        outlets.forget_dropped();
        outlets.is_known = true;
        let (outlet, receiver) = outlets.kept.take().unwrap_or_else(Outlet::new);
        // Asked under the lock: between the answer and the push the end could pass by unseen.
        if !self.closed.load(Ordering::Acquire) {
            outlets.outlets.push(outlet);
        }
        receiver
    }

    /// Hands an event to all receivers that have room; the others find a mark in its place.
    pub(crate) fn emit(&self, event: &Event) {
        let mut outlets = self.outlets();
        if !outlets.is_known && event.mail().is_some() {
            // Its receiver is kept with it.
            let _ = outlets.kept.get_or_insert_with(Outlet::new).0.offer(event);
        }
        outlets.outlets.retain_mut(|outlet| outlet.offer(event).is_ok());
    }

    /// So many events have never reached this instance.
    pub(crate) fn skip(&self, count: u64) {
        self.outlets().outlets.retain_mut(|outlet| outlet.miss(count).is_ok());
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

impl Outlets {
    /// Looks for receivers that were dropped, once there are twice as many as were left the last time.
    fn forget_dropped(&mut self) {
        if self.outlets.len() >= Hub::UNASKED.max(2 * self.alive) {
            self.outlets.retain_mut(|outlet| outlet.ask().is_ok());
            self.alive = self.outlets.len();
        }
    }
}

impl Outlet {
    fn new() -> (Self, Receiver<Event>) {
        let (sender, receiver) = unbounded();
        let outlet =
            Self { sender, missed: 0, is_marked: false, unread: VecDeque::new(), unread_bytes: Bytes::default() };
        (outlet, receiver)
    }

    fn offer(&mut self, event: &Event) -> Result<(), Gone> {
        self.note_read();
        let size = Bytes { mail: event.mail().unwrap_or_default(), values: event.value() };
        if self.unread.len() >= Hub::CAPACITY || !size.fits(self.unread_bytes) {
            return self.miss(1);
        }
        if self.missed > 0 {
            self.mark()?;
        }
        self.push(event.clone(), size)?;
        self.is_marked = false;
        Ok(())
    }

    /// The receiver misses so many events here. One unread mark between two events is enough, so that the marks have a
    /// bound as the events have.
    fn miss(&mut self, count: u64) -> Result<(), Gone> {
        self.missed = self.missed.saturating_add(count);
        // Asked after the count: what is still there now is read after that.
        if self.is_marked && !self.sender.is_empty() { Ok(()) } else { self.mark() }
    }

    fn mark(&mut self) -> Result<(), Gone> {
        let missed = std::mem::take(&mut self.missed);
        self.is_marked = true;
        self.push(Event::Missed(missed), Bytes::default())
    }

    /// Finds out whether the receiver still exists.
    fn ask(&mut self) -> Result<(), Gone> {
        // With its last receiver a channel loses what is in it.
        if self.sender.is_empty() { self.mark() } else { Ok(()) }
    }

    fn push(&mut self, event: Event, size: Bytes) -> Result<(), Gone> {
        self.sender.send(event).map_err(|_| Gone)?;
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
        Event::Hung { supervisor: Some(InstanceId::new(n)), listener: None }
    }

    /// What lies in a channel.
    fn read(receiver: &Receiver<Event>) -> Vec<Event> {
        receiver.try_iter().collect()
    }

    /// How many events were missed, as far as these say.
    fn missed(events: &[Event]) -> u64 {
        events.iter().map(|event| if let Event::Missed(count) = event { *count } else { 0 }).sum()
    }

    fn message(size: usize) -> Event {
        Event::Message { from: InstanceId::new(1), bytes: vec![0; size].into() }
    }

    const LARGE: usize = 1024 * 1024;

    #[test]
    fn a_receiver_that_missed_the_last_events_finds_that_out_without_another_one() {
        for lost in [1, 2, 476, 5_000] {
            let hub = Hub::default();
            let receiver = hub.subscribe();
            let capacity = Hub::CAPACITY as u64;
            for n in 0..capacity + lost {
                hub.emit(&event(n));
            }
            let found = read(&receiver);
            assert!(found[..Hub::CAPACITY].iter().cloned().eq((0..capacity).map(event)), "{lost}");
            assert!(matches!(found[Hub::CAPACITY..], [Event::Missed(1..)]), "{lost}: {:?}", &found[Hub::CAPACITY..]);
            hub.emit(&event(9999));
            let after = read(&receiver);
            assert_eq!(after.last(), Some(&event(9999)));
            assert_eq!(missed(&found) + missed(&after), lost, "with the next event the count is complete");
        }
    }

    #[test]
    fn a_receiver_that_never_reads_costs_no_more_than_its_bound() {
        let hub = Hub::default();
        let receiver = hub.subscribe();
        for n in 0..100_000 {
            hub.emit(&event(n));
            hub.skip(1);
        }
        assert!(receiver.len() <= Hub::CAPACITY + 2, "{}", receiver.len());
        assert_eq!(lock(&hub.outlets).outlets[0].unread.len(), receiver.len());
    }

    #[test]
    fn every_event_is_read_or_missed_however_the_receiver_reads() {
        let hub = Arc::new(Hub::default());
        let receiver = hub.subscribe();
        let total = 200_000;
        let sender = std::thread::spawn({
            let hub = hub.clone();
            move || (0..total).for_each(|_| hub.emit(&message(LARGE / 64)))
        });
        let (mut heard, mut told, mut ends_marked) = (0, 0, false);
        while !sender.is_finished() || !receiver.is_empty() {
            match receiver.try_recv() {
                Ok(Event::Missed(count)) => {
                    assert!(count > 0);
                    (told, ends_marked) = (told + count, true);
                }
                Ok(_) => (heard, ends_marked) = (heard + 1, false),
                Err(_) => std::thread::yield_now(),
            }
        }
        sender.join().unwrap();
        let rest = lock(&hub.outlets).outlets[0].missed;
        assert_eq!(heard + told + rest, total);
        assert!(rest == 0 || ends_marked, "{rest} missed without a word");
    }

    #[test]
    fn what_was_skipped_comes_before_the_next_event() {
        let hub = Hub::default();
        let receiver = hub.subscribe();
        hub.skip(3);
        hub.emit(&event(1));
        hub.skip(2);
        assert_eq!(read(&receiver), [Event::Missed(3), event(1), Event::Missed(2)]);
        hub.skip(4);
        hub.skip(5);
        assert_eq!(read(&receiver), [Event::Missed(4)], "the mark before was read");
        hub.emit(&event(2));
        assert_eq!(read(&receiver), [Event::Missed(5), event(2)]);
    }

    #[test]
    fn a_receiver_with_many_bytes_unread_misses_messages_and_nothing_else() {
        let hub = Hub::default();
        let (slow, fast) = (hub.subscribe(), hub.subscribe());
        let fits = Hub::BYTES / LARGE;
        for _ in 0..fits + 3 {
            hub.emit(&message(LARGE));
            assert_eq!(fast.try_recv(), Ok(message(LARGE)), "who reads misses nothing");
        }
        hub.emit(&event(5));
        hub.emit(&message(LARGE));
        for _ in 0..fits {
            assert_eq!(slow.try_recv(), Ok(message(LARGE)));
        }
        assert_eq!(read(&slow), [Event::Missed(1), Event::Missed(2), event(5), Event::Missed(1)]);
        hub.emit(&message(LARGE));
        assert_eq!(read(&slow), [message(LARGE)], "it has read");
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
        assert_eq!(read(&receiver), [Event::Missed(1), Event::Missed(1), message(LARGE)]);
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
        assert_eq!(receiver.iter().take(fits).filter(|event| *event == message(LARGE)).count(), fits);
        hub.emit(&event(9));
        assert_eq!(read(&receiver), [Event::Missed(1), Event::Missed(2), event(9)]);

        let hub = Hub::default();
        for _ in 0..Hub::CAPACITY + 2 {
            hub.emit(&message(0));
        }
        let receiver = hub.subscribe();
        assert_eq!(receiver.iter().take(Hub::CAPACITY).filter(|event| *event == message(0)).count(), Hub::CAPACITY);
        assert_eq!(read(&receiver), [Event::Missed(1)]);
        hub.emit(&event(9));
        assert_eq!(read(&receiver), [Event::Missed(1), event(9)]);
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
    fn receivers_that_are_dropped_while_nothing_happens_are_forgotten() {
        let hub = Hub::default();
        let (kept, slow) = (hub.subscribe(), hub.subscribe());
        hub.emit(&event(1));
        assert_eq!(read(&kept), [event(1)]);
        for _ in 0..10_000 {
            drop(hub.subscribe());
            assert!(lock(&hub.outlets).outlets.len() <= Hub::UNASKED);
        }
        hub.emit(&event(2));
        assert_eq!(lock(&hub.outlets).outlets.len(), 2);
        assert_eq!(read(&slow), [event(1), event(2)], "it had something to read, so that it was not asked");
        let found = read(&kept);
        assert_eq!((&found[..], missed(&found)), (&[Event::Missed(0), event(2)][..], 0));

        // As many as there are may be there.
        let many: Vec<_> = (0..1_000).map(|_| hub.subscribe()).collect();
        hub.emit(&event(3));
        assert!(many.iter().all(|receiver| read(receiver).last() == Some(&event(3))));
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
