//! The supervisor's door: accepting connections and taking their handshakes. A connection gets a thread of its own when its
//! handshake is accepted; until then all of them are this thread's, so that a crowd of strangers costs descriptors and
//! little else.

use std::collections::{BTreeMap, VecDeque};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::endpoint::inherit::Owned;
use super::endpoint::poll::{self, Arrival, Woken};
use super::link::{Link, Reader, is_timeout};
use super::outbox::Flushed;
use super::reign::Reign;
use super::{endpoint, spawn};
use crate::coordinator::handshakes::{Backlog, Handshakes, Heard};
use crate::coordinator::submission::Weight;
use crate::coordinator::supervisor::{Handshake, Lack, LinkId};
use crate::wire::message::{Refusal, ToMember, ToSupervisor};

impl Reign {
    /// Accepts until the reign ends. A connection that has already sent its hello is answered at once; threads are started
    /// when no connection waits, since in an election all members come at the same time and starting a thread takes longer
    /// than an answer.
    pub(super) fn accept(self: &Arc<Self>, listener: &TcpListener) {
        if let Err(error) = listener.set_nonblocking(true) {
            log::error!("cannot set the listener up: {error}");
            self.lacks(Lack::Descriptors, None);
        }
        let mut door = Door {
            reign: self,
            listener,
            handshakes: Handshakes::default(),
            unaccepted: BTreeMap::new(),
            parting: VecDeque::new(),
            accepted: Vec::new(),
            buffer: vec![0; BUFFER].into(),
            last: 0,
            ran: Instant::now(),
            idle: 0,
            queue: Queue::default(),
            pause: FIRST_PAUSE,
        };
        while self.core().ended.is_none() {
            door.round();
        }
    }
}

/// What the accepting thread has.
struct Door<'a> {
    reign: &'a Arc<Reign>,
    listener: &'a TcpListener,
    handshakes: Handshakes,
    unaccepted: BTreeMap<LinkId, Unaccepted>,
    /// Connections that were refused, and until when they may read why.
    parting: VecDeque<(Instant, Arc<Link>)>,
    /// Those whose handshake is accepted and that have no thread yet.
    accepted: Vec<Visitor>,
    buffer: Box<[u8]>,
    /// The number of the last connection.
    last: u64,
    /// When the running time was counted last.
    ran: Instant,
    /// How many rounds in a row have brought nothing.
    idle: u32,
    queue: Queue,
    /// How long nothing is accepted after the next failure.
    pause: Duration,
}

/// A connection whose handshake is not accepted yet.
struct Unaccepted {
    link: Arc<Link>,
    reader: Reader,
    /// The machine knows of it: it has sent a whole frame.
    known: bool,
    /// What it has brought so far.
    weight: Weight,
    backlog: Backlog,
}

/// A connection whose handshake is accepted and that has no thread yet.
struct Visitor {
    link: Arc<Link>,
    reader: Reader,
    /// What its frames put into outboxes.
    waiting: Vec<Arc<Link>>,
}

/// How much of the kernel's queue of connections was accepted within the present slice of counted time.
#[derive(Default)]
struct Queue {
    slice: u64,
    accepted: usize,
    /// It was seen empty, or so many were accepted that all that waited when the slice began are among them.
    emptied: bool,
}

impl Door<'_> {
    /// Waits until there is something to do, and does it.
    fn round(&mut self) {
        // What had arrived by now is found below; what comes later does not matter for this slice.
        let slice = self.reign.slice.load(Ordering::Acquire);
        if self.queue.slice != slice {
            self.queue = Queue { slice, ..Queue::default() };
        }
        let (first, readable) = self.wait();
        self.handshakes.pass(std::mem::replace(&mut self.ran, Instant::now()).elapsed());
        let before = self.last;
        let mut progress = self.accept_all(first);
        let mut drained = true;
        let is_any_readable = !readable.is_empty();
        for id in readable.into_iter().chain((before + 1..=self.last).map(LinkId)) {
            let (read, brought) = self.read(id, slice);
            drained &= read;
            progress |= brought;
        }
        self.dismiss();
        self.idle = if progress || !is_any_readable { 0 } else { self.idle.saturating_add(1) };
        if self.queue.emptied && drained {
            self.reign.drained.store(slice, Ordering::Release);
        }
        let reign = self.reign;
        self.accepted.drain(..).for_each(|visitor| visitor.serve(reign));
    }

    /// Waits for something to accept or to read: what was accepted meanwhile, and which connections may be read.
    fn wait(&mut self) -> (Option<std::io::Result<Arrival>>, Vec<LinkId>) {
        if self.idle > PATIENT_ROUNDS {
            // Whoever writes without bringing anything is read rarely. A member brings something with nearly every read.
            let pause = Duration::from_millis(1 << (self.idle - PATIENT_ROUNDS).min(4));
            poll::wait_for_any(self.listener, std::iter::empty(), Some(pause));
        }
        // A slice that has just begun is proved by a look that begins after it.
        let is_asked = self.reign.drained.load(Ordering::Acquire) != self.reign.slice.load(Ordering::Acquire);
        let is_timed = !self.unaccepted.is_empty() || !self.parting.is_empty();
        let time = if is_asked { Some(Duration::ZERO) } else { is_timed.then_some(TICK) };
        let streams = self.unaccepted.values().map(|one| &*one.link.stream);
        match poll::wait_for_any(self.listener, streams, time) {
            Woken::Ready(ready) => {
                let readable = self.unaccepted.keys().zip(ready).filter(|(_, ready)| *ready);
                (None, readable.map(|(id, _)| *id).collect())
            }
            Woken::Accepted(arrival) => (Some(arrival), Vec::new()),
        }
    }

    /// Accepts what waits, up to a number; says whether there was anything.
    fn accept_all(&mut self, mut first: Option<std::io::Result<Arrival>>) -> bool {
        let before = self.queue.accepted;
        for _ in 0..BURST {
            match first.take().map_or_else(|| poll::accept_waiting(self.listener), |first| first.map(Some)) {
                Ok(Some((stream, peer))) => {
                    self.pause = FIRST_PAUSE;
                    self.queue.accepted += 1;
                    self.admit(stream, peer);
                }
                Ok(None) => {
                    self.queue.emptied = true;
                    break;
                }
                Err(error) => {
                    self.failed(&error);
                    break;
                }
            }
        }
        self.queue.emptied |= self.queue.accepted > endpoint::BACKLOG as usize;
        self.queue.accepted > before
    }

    /// Accepting has failed.
    fn failed(&mut self, error: &std::io::Error) {
        if self.reign.core().ended.is_some() {
            return;
        }
        if endpoint::is_scarcity(error) && self.drop_oldest_silent() {
            return;
        }
        // Without a descriptor it fails even when no connection waits, for as long as that lasts.
        let level = if self.pause == FIRST_PAUSE { log::Level::Warn } else { log::Level::Trace };
        log::log!(level, "accepting a connection failed: {error}");
        self.reign.note_crowd();
        if endpoint::is_scarcity(error) {
            self.reign.lacks(Lack::Descriptors, None);
        }
        // No descriptor is left, or the peer has hung up already. Bounded, or this would spin.
        let core = self.reign.core();
        if core.ended.is_none() {
            drop(self.reign.wait(core, Some(self.pause)));
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    /// Takes a connection in.
    fn admit(&mut self, stream: Owned<TcpStream>, peer: SocketAddr) {
        if !peer.ip().is_loopback() {
            log::warn!("connection from {peer}, which is not this machine, is dropped");
            return;
        }
        if peer.port() == self.reign.knocker.load(Ordering::Acquire) {
            // The warden's, which only wakes this thread.
            return;
        }
        match Link::new(LinkId(self.last + 1), stream) {
            Ok(link) => {
                self.last += 1;
                self.handshakes.begin(link.id);
                let (link, reader, backlog) = (Arc::new(link), Reader::new(), Backlog::default());
                self.unaccepted
                    .insert(link.id, Unaccepted { link, reader, known: false, weight: Weight::default(), backlog });
                self.make_room();
            }
            Err(error) => {
                log::warn!("connection from {peer} cannot be served: {error}");
                self.reign.note_crowd();
            }
        }
    }

    /// Drops connections while there are too many, or they cost too much.
    fn make_room(&mut self) {
        while let Some(excess) = self.handshakes.excess() {
            if self.unaccepted.get(&excess.link).is_some_and(|one| !one.known) {
                // What it has to say may have come since.
                self.read(excess.link, self.queue.slice);
                if self.handshakes.excess() != Some(excess) {
                    continue;
                }
            }
            if excess.may_be_a_member {
                self.reign.note_crowd();
            }
            self.drop_at_once(excess.link);
        }
    }

    /// Drops the connection that has been silent for longest, so that its descriptor is free; says whether there was one.
    fn drop_oldest_silent(&mut self) -> bool {
        while let Some(link) = self.handshakes.oldest_silent() {
            self.read(link, self.queue.slice);
            if self.handshakes.oldest_silent() == Some(link) {
                self.drop_at_once(link);
                return true;
            }
        }
        false
    }

    /// Ends a connection without waiting until its peer has read why.
    fn drop_at_once(&mut self, id: LinkId) {
        log::debug!("connection {} is dropped to make room for others", id.0);
        self.refuse(id, Refusal::Busy);
        self.parting.pop_back();
    }

    /// Reads what has arrived on a connection, within bounds. Says whether all has been read that had arrived when the
    /// slice of time began, and whether it brought anything.
    fn read(&mut self, id: LinkId, slice: u64) -> (bool, bool) {
        let Some(one) = self.unaccepted.get_mut(&id) else { return (true, false) };
        let count = match poll::read_waiting(&one.link.stream, &mut self.buffer) {
            Ok(0) => {
                self.over(id);
                return (true, false);
            }
            Ok(count) => count,
            Err(error) if is_timeout(&error) => return (true, false),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return (false, false),
            // A reset is an end like any other; what was sent before it has been read.
            Err(_) => {
                self.over(id);
                return (true, false);
            }
        };
        let drained = one.backlog.read(slice, count, self.buffer.len(), || one.link.kept_back());
        match one.reader.take(id, &self.buffer[..count]) {
            Ok(frames) => (drained, self.heard(id, count, frames)),
            Err(refusal) => {
                log::warn!("connection {} is refused: {refusal}", id.0);
                self.refuse(id, refusal);
                (drained, false)
            }
        }
    }

    /// Takes what came on a connection; says whether it brought anything.
    fn heard(&mut self, id: LinkId, received: usize, frames: Vec<ToSupervisor>) -> bool {
        let Some(one) = self.unaccepted.get_mut(&id) else { return false };
        let count = frames.len();
        let before = one.weight;
        let mut brought = false;
        if count > 0 {
            brought = !one.known;
            let link = one.link.clone();
            if !std::mem::replace(&mut one.known, true) && !self.reign.know(&link) {
                return true;
            }
            let Some((touched, stage)) = self.reign.decide_handshake(id, frames) else { return true };
            let others = answer(self.reign, &link, touched);
            match stage {
                Handshake::Unaccepted(weight) => {
                    one.weight = weight;
                    self.elsewhere(others);
                }
                Handshake::Accepted { owes } => {
                    self.handshakes.end(id);
                    if let Some(Unaccepted { link, mut reader, .. }) = self.unaccepted.remove(&id) {
                        reader.accepted(owes);
                        self.accepted.push(Visitor { link, reader, waiting: others });
                    }
                    return true;
                }
                Handshake::Over => {
                    self.elsewhere(others);
                    self.over(id);
                    if link.outbox.is_closing() {
                        self.part(link);
                    }
                    return true;
                }
            }
        }
        let Some(one) = self.unaccepted.get(&id) else { return brought };
        let heard = Heard { received, frames: count, buffered: one.reader.buffered(), weight: one.weight };
        brought |= one.weight.items > before.items;
        if let Err(why) = self.handshakes.heard(id, heard) {
            log::warn!("connection {} is refused: {why}", id.0);
            self.refuse(id, Refusal::Protocol(why.into()));
        }
        brought
    }

    /// Refuses a connection, which may read for a while why.
    fn refuse(&mut self, id: LinkId, refusal: Refusal) {
        let Some(one) = self.unaccepted.get(&id) else { return };
        let link = one.link.clone();
        if one.known {
            if let Some((touched, ())) = self.reign.decide(|machine| machine.refuse(id, refusal), |_| ()) {
                let others = answer(self.reign, &link, touched);
                self.elsewhere(others);
            }
        } else {
            link.outbox.push(&ToMember::Refused(refusal));
            link.outbox.close();
            link.outbox.flush(&link.stream);
        }
        self.over(id);
        self.part(link);
    }

    /// A connection has ended, as far as its handshake is concerned.
    fn over(&mut self, id: LinkId) {
        self.handshakes.end(id);
        if self.unaccepted.remove(&id).is_some_and(|one| one.known) {
            self.reign.ended(id);
        }
    }

    fn part(&mut self, link: Arc<Link>) {
        self.parting.push_back((Instant::now() + Link::LINGER, link));
        while self.parting.len() > PARTING {
            self.parting.pop_front();
        }
    }

    /// Sends away those that have taken too long or cost too much, and forgets those that have read why they were.
    fn dismiss(&mut self) {
        while let Some(link) = self.handshakes.overdue() {
            log::warn!("connection {} is refused: {}", link.0, Refusal::Slow);
            self.refuse(link, Refusal::Slow);
        }
        self.make_room();
        let now = Instant::now();
        let buffer = &mut self.buffer;
        self.parting.retain(|(until, link)| *until > now && stands(link, buffer));
    }

    /// Writes what handshakes put into the outboxes of others. That can take as long as these like.
    fn elsewhere(&self, others: Vec<Arc<Link>>) {
        if others.is_empty() {
            return;
        }
        let (reign, waiting) = (self.reign.clone(), others.clone());
        if let Err(error) = spawn("bw-link", move || reign.flush(waiting)) {
            log::warn!("cannot start a thread to write to others: {error}");
            self.reign.flush(others);
        }
    }
}

/// Reads and forgets what a refused peer still sends, so that the end of the connection does not overtake the reason. Says
/// whether the peer has not ended the connection.
fn stands(link: &Link, buffer: &mut [u8]) -> bool {
    for _ in 0..READS {
        match poll::read_waiting(&link.stream, buffer) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return is_timeout(&error),
        }
    }
    true
}

/// Writes what there is for a connection that was just heard, but for no other. An answer whose being written is waited
/// for, or that is long, is left to others as well, since that can take as long as the peer likes.
fn answer(reign: &Reign, link: &Arc<Link>, mut touched: Vec<Arc<Link>>) -> Vec<Arc<Link>> {
    let own = touched.iter().position(|other| other.id == link.id);
    if let Some(own) = own.filter(|_| !link.outbox.is_watched() && link.outbox.len() <= AT_ONCE) {
        touched.swap_remove(own);
        match link.outbox.flush(&link.stream) {
            // A new connection takes this much without waiting.
            Flushed::Quiet => {}
            // Another thread began to wait for it meanwhile.
            Flushed::Written(count) => {
                let next = reign.decide(|machine| machine.written(link.id, count), |_| ());
                touched.extend(next.into_iter().flat_map(|(next, ())| next));
            }
            Flushed::Failed => link.cut(),
        }
    }
    touched
}

impl Visitor {
    fn serve(self, reign: &Arc<Reign>) {
        let Self { link, reader, waiting } = self;
        let serve = {
            let (reign, link) = (reign.clone(), link.clone());
            move || link.serve(&reign, reader, waiting)
        };
        if let Err(error) = spawn("bw-link", serve) {
            reign.note_crowd();
            let who = reign.core().machine.behind(link.id);
            link.outbox.push(&ToMember::Refused(Refusal::Busy));
            link.outbox.flush(&link.stream);
            link.cut();
            reign.ended(link.id);
            reign.lacks(Lack::Threads, who);
            log::warn!("cannot start a thread for a connection: {error}");
        }
    }
}

/// How often the accepting thread looks at the time while a handshake is not accepted yet.
const TICK: Duration = Duration::from_millis(50);

/// The most bytes that a new connection takes without being read.
const AT_ONCE: usize = 16 * 1024;

/// How many rounds in a row may bring nothing before the next is put off.
const PATIENT_ROUNDS: u32 = 8;

/// How long nothing is accepted after a failure, and at most after many.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// The most connections that are accepted at once, and wait for their threads.
const BURST: usize = 128;

/// The most connections that may read why they were refused.
const PARTING: usize = 128;

/// The most that is read of a connection at once.
const BUFFER: usize = 64 * 1024;

/// How many reads of a refused connection are made at once.
const READS: usize = 16;
