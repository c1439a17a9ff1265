//! The connection of a subordinate to its supervisor: what waits to be written, and who reads.
//!
//! One thread at a time waits for what comes: it has the [`Turn`]. That is the instance's own thread while nobody waits
//! for anything. A call that waits for an answer does so itself if it can, for itself and for everybody else; when it has
//! what it wanted, the next one that waits goes on.
//!
//! What has come is read with the [`Ear`], which nobody keeps while it waits. So a call that only looks can take in first
//! what is there: a write that was acknowledged to its writer is seen by whoever looks then, see [`Peer::catch_up`]. That
//! holds from the hello on: a reign that has this instance in it may have opened, and acknowledged a write, before the
//! instance's own thread has come to read its Welcome.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::bell::Bell;
use super::endpoint::inherit::Owned;
use super::follow::{self, Followed};
use super::outbox::{Flushed, Outbox};
use super::shared::Shared;
use super::{clock, endpoint, lock, spawn};
use crate::coordinator::session::Misplaced;
use crate::wire::DecodeError;
use crate::wire::frame::{Decoder, LIMIT_AFTER_TRUST};
use crate::wire::message::{ToMember, ToSupervisor};

/// The connection of a subordinate to its supervisor.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) stream: Owned<TcpStream>,
    pub(crate) outbox: Outbox,
    turn: Mutex<Turn>,
    ear: Mutex<Ear>,
    /// Rung when a call that waited has read.
    heard: Bell,
    /// The instance is part of an open reign: from then on calls that wait may read.
    shared: AtomicBool,
    /// It has been read to its end, which the instance's own thread may not have seen yet.
    over: AtomicBool,
    /// It was given up since there was no thread to write to it.
    lacks_threads: AtomicBool,
    /// When a call waited last, in nanoseconds of the monotonic clock.
    waited: AtomicU64,
}

impl Peer {
    /// How long after a call the reading is left to calls. In that time whatever is not an answer is read a little later
    /// if no call comes; the end of the connection is noticed at once.
    pub(super) const BUSY: Duration = Duration::from_millis(2);

    pub(crate) fn new(stream: Owned<TcpStream>) -> io::Result<Self> {
        endpoint::prepare(&stream)?;
        stream.set_write_timeout(Some(Self::TAKEN))?;
        let ear = Mutex::new(Ear {
            decoder: Decoder::new(LIMIT_AFTER_TRUST),
            welcomed: false,
            watch: Watch::new(),
            call_waits: false,
            ended: None,
        });
        Ok(Self {
            stream,
            outbox: Outbox::default(),
            turn: Mutex::new(Turn),
            ear,
            heard: Bell::default(),
            shared: AtomicBool::new(false),
            over: AtomicBool::new(false),
            lacks_threads: AtomicBool::new(false),
            waited: AtomicU64::new(0),
        })
    }

    /// Writes what waits to be written. A connection that cannot take it is given up: everything that matters is said
    /// again on the next one.
    ///
    /// A supervisor that stands still is no such thing, and whoever calls may have little time or keep others from
    /// reading. So what is not taken soon is written by a thread of its own.
    pub(crate) fn flush(self: &Arc<Self>) {
        let rest = match self.outbox.flush_soon(&self.stream) {
            Ok(flushed) => return self.flushed(&flushed),
            Err(rest) => rest,
        };
        let peer = self.clone();
        let write = move || {
            let flushed = peer.outbox.write_rest(&peer.stream, rest);
            peer.flushed(&flushed);
        };
        if let Err(error) = spawn("bw-writer", write) {
            self.lacks_threads.store(true, Ordering::Release);
            self.flushed(&Flushed::Failed);
            log::warn!("cannot start a thread to write to the supervisor: {error}");
        }
    }

    fn flushed(&self, flushed: &Flushed) {
        if *flushed == Flushed::Failed {
            let _ = self.stream.shutdown(Shutdown::Both);
        }
    }

    /// Whether it was given up since there was no thread to write to it.
    pub(super) fn lacks_threads(&self) -> bool {
        self.lacks_threads.load(Ordering::Acquire)
    }

    /// How long the supervisor may be silent in the handshake, twice.
    pub(super) fn set_patience(&self, patience: Duration) {
        lock(&self.ear).watch.patience = patience;
    }

    /// The running time in which the supervisor has said nothing lately, in a handshake that did not end otherwise.
    pub(super) fn silence(&self) -> Duration {
        lock(&self.ear).watch.counted
    }

    /// A call waits here, or has waited until now.
    pub(super) fn note_call(&self) {
        self.waited.store(nanoseconds(), Ordering::Relaxed);
    }

    /// Whether a call waited here not long ago, so that the next one is likely to come soon.
    pub(super) fn is_busy(&self) -> bool {
        let waited = self.waited.load(Ordering::Relaxed);
        endpoint::CAN_TELL_HANGUP && waited != 0 && nanoseconds().saturating_sub(waited) < Self::BUSY.as_nanos() as u64
    }

    /// The turn, for a call that waits and has just looked in vain. It holds the lock of the state, under which whatever
    /// comes is taken in, so that nothing can have been since it looked.
    pub(super) fn listen(&self) -> Listen<'_> {
        self.note_call();
        // What comes before the reign is open, and the end, are the business of the instance's own thread.
        if !self.is_shared() || self.over.load(Ordering::Acquire) {
            return Listen::Others;
        }
        let Ok(turn) = self.turn.try_lock() else { return Listen::Others };
        // What is being taken in at this moment may be the answer.
        let Ok(mut ear) = self.ear.try_lock() else { return Listen::Soon };
        ear.call_waits = true;
        Listen::Turn(turn)
    }

    /// The turn, for the instance's own thread.
    pub(super) fn take_turn(&self) -> MutexGuard<'_, Turn> {
        lock(&self.turn)
    }

    /// Reads what comes within this time.
    pub(super) fn hear(self: &Arc<Self>, _turn: MutexGuard<'_, Turn>, shared: &Shared, time: Duration) {
        let readable = endpoint::wait_readable(&self.stream, time);
        {
            let mut ear = lock(&self.ear);
            if readable && ear.ended.is_none() {
                ear.hear(shared, self);
            }
            ear.call_waits = false;
        }
        self.heard.ring();
        self.note_call();
    }

    /// Waits until something comes and reads it, for the instance's own thread; says how the connection ended if it has.
    pub(super) fn hear_or_end(self: &Arc<Self>, _turn: &MutexGuard<'_, Turn>, shared: &Shared) -> Option<Followed> {
        // Where it cannot be waited for without reading, the ear is kept meanwhile; then nobody else reads at all.
        let silent = endpoint::CAN_TELL_HANGUP && !self.wait_for_more(shared);
        if !self.is_shared() && shared.look_for_notice() {
            // Whatever else has come is for one that is no more.
            self.over.store(true, Ordering::Release);
            let _ = self.stream.shutdown(Shutdown::Both);
            return Some(Followed::Renamed);
        }
        let mut ear = lock(&self.ear);
        if ear.ended.is_none() && !silent {
            ear.hear(shared, self);
        }
        ear.ended.take()
    }

    /// Waits until something comes, without the ear; says whether it has. Outside an open reign not for long, since a
    /// notice may come another way; and in the handshake it matters whether the supervisor answers at all.
    fn wait_for_more(self: &Arc<Self>, shared: &Shared) -> bool {
        if self.is_shared() {
            return endpoint::wait_readable(&self.stream, Self::LONG);
        }
        let began = Instant::now();
        let comes = endpoint::wait_readable(&self.stream, Shared::LOOK);
        let waited = lock(&self.ear).watch.pass(began.elapsed(), self);
        if let Some(waited) = waited {
            shared.unresponsive(waited);
        }
        comes
    }

    /// Takes in what has come by now. It does not wait for more, only for whoever is at it.
    ///
    /// A call that waits for what comes is asleep in the kernel and would not be woken if somebody else took its answer
    /// away. It is awake by now, or will be in a moment.
    pub(super) fn catch_up(self: &Arc<Self>, shared: &Shared) {
        if !endpoint::CAN_TELL_HANGUP {
            return;
        }
        let mut ear = lock(&self.ear);
        // Somebody who writes without a pause must not keep anybody here.
        for _ in 0..Self::CATCH_UP {
            if ear.ended.is_some() || !endpoint::wait_readable(&self.stream, Duration::ZERO) {
                return;
            }
            if ear.call_waits {
                ear = self.heard.wait(ear, Self::SOON);
            } else {
                ear.hear(shared, self);
            }
        }
    }

    /// Whether calls may wait for what comes. Outside an open reign that is the business of the instance's own thread.
    pub(super) fn is_shared(&self) -> bool {
        self.shared.load(Ordering::Acquire)
    }

    /// How long whoever writes waits for the supervisor to take more.
    const TAKEN: Duration = Duration::from_millis(20);
    /// How long a wait for nothing in particular is: any time does.
    const LONG: Duration = Duration::from_secs(24 * 60 * 60);
    /// How long a thread that is about to do something may take, before one looks again.
    pub(super) const SOON: Duration = Duration::from_millis(1);
    /// More reads than a whole receive buffer takes.
    const CATCH_UP: u32 = 4096;
}

/// Who reads, for a call that waits.
pub(super) enum Listen<'a> {
    /// This call.
    Turn(MutexGuard<'a, Turn>),
    /// Another thread, which wakes this one.
    Others,
    /// Another thread at this moment, and maybe nobody in the next.
    Soon,
}

fn nanoseconds() -> u64 {
    u64::try_from(clock::monotonic().as_nanos()).unwrap_or(u64::MAX)
}

/// The right to wait for what comes.
#[derive(Debug)]
pub(super) struct Turn;

/// The reading end of a connection.
#[derive(Debug)]
struct Ear {
    decoder: Decoder,
    welcomed: bool,
    watch: Watch,
    /// A call waits in the kernel until something comes, and is the one to read it.
    call_waits: bool,
    /// How the connection ended, until the instance's own thread has seen it.
    ended: Option<Followed>,
}

impl Ear {
    /// Reads once and does what the supervisor says. Where it cannot be waited for without reading, it blocks until
    /// something comes.
    fn hear(&mut self, shared: &Shared, peer: &Arc<Peer>) {
        let read = catch_unwind(AssertUnwindSafe(|| self.read(shared, peer)));
        // Frames that a logger's panic leaves behind are taken in by nothing: the next connection begins anew.
        match read {
            Ok(Some(ended)) => self.finish(peer, ended),
            Ok(None) => {}
            Err(panic) => {
                self.finish(peer, self.end());
                resume_unwind(panic);
            }
        }
    }

    fn finish(&mut self, peer: &Peer, ended: Followed) {
        self.ended = Some(ended);
        peer.over.store(true, Ordering::Release);
        // The instance's own thread may only look out for the end.
        let _ = peer.stream.shutdown(Shutdown::Both);
    }

    fn read(&mut self, shared: &Shared, peer: &Arc<Peer>) -> Option<Followed> {
        let space = self.decoder.space();
        match endpoint::read_now(&peer.stream, space) {
            Ok(0) => return Some(self.end()),
            Ok(count) => self.decoder.filled(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return None,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                // Elsewhere somebody else was here first, and whoever waits for something to read notices silence.
                if !endpoint::CAN_TELL_HANGUP
                    && let Some(waited) = self.watch.pass(Watch::SLICE, peer)
                {
                    shared.unresponsive(waited);
                }
                return None;
            }
            // Everything that came before a reset has been read by now.
            Err(_) => return Some(self.end()),
        }
        loop {
            match self.decoder.next::<ToMember>() {
                Ok(Some(frame)) => {
                    if let Some(ended) = self.take(shared, peer, frame) {
                        return Some(ended);
                    }
                }
                Ok(None) => return None,
                Err(error) => return Some(self.undecodable(error)),
            }
        }
    }

    fn take(&mut self, shared: &Shared, peer: &Arc<Peer>, frame: ToMember) -> Option<Followed> {
        log::trace!("hears {frame}");
        self.watch.heard();
        match frame {
            ToMember::Refused(refusal) => {
                shared.state().session.turned_away(&refusal);
                return Some(Followed::Refused(refusal));
            }
            ToMember::Forfeited => {
                let _ = shared.receive(ToMember::Forfeited);
                return Some(Followed::Renamed);
            }
            _ => {}
        }
        let settles = match &frame {
            ToMember::Welcome(welcome) => welcome.view.is_some(),
            ToMember::Opened(_) => true,
            _ => false,
        };
        let (welcome, evicted) = (matches!(frame, ToMember::Welcome(_)), frame == ToMember::Evicted);
        if settles {
            // Before anybody is woken by it: whoever looks at the state then has to take in what came behind it. Until
            // this frame is done with, that one waits for the ear.
            peer.shared.store(true, Ordering::Release);
        }
        match shared.receive_on(&peer.outbox, frame) {
            Ok(true) if evicted => return Some(Followed::Ended),
            Ok(true) => peer.flush(),
            Ok(false) => return Some(Followed::Starved),
            Err(Misplaced(why)) => {
                log::warn!("the supervisor broke the protocol: {why}");
                return Some(if self.welcomed { Followed::Disconnected } else { Followed::Foreign });
            }
        }
        if welcome {
            self.welcomed = true;
            self.watch.stop(peer);
        }
        None
    }

    const fn end(&self) -> Followed {
        if self.welcomed { Followed::Disconnected } else { Followed::Ended }
    }

    fn undecodable(&self, error: DecodeError) -> Followed {
        log::warn!("the supervisor's bytes make no sense: {error}");
        if self.welcomed { Followed::Disconnected } else { Followed::Foreign }
    }
}

/// Notices a supervisor that says nothing. It only reports: nothing is closed, and nobody is taken for dead.
#[derive(Debug)]
pub(super) struct Watch {
    began: Instant,
    /// How long each of two silences lasts that are reported.
    patience: Duration,
    /// A ping was sent and nothing was heard since.
    asked: bool,
    waits: bool,
    /// The own running time since the last frame, or since the ping.
    silent: Duration,
    /// The own running time since the last frame.
    counted: Duration,
}

impl Watch {
    /// A process that was stopped meanwhile has not waited in that time, so it waits for no longer at once.
    pub(super) const SLICE: Duration = Duration::from_millis(250);

    fn new() -> Self {
        let zero = Duration::ZERO;
        Self { began: Instant::now(), patience: follow::ANSWER, asked: false, waits: true, silent: zero, counted: zero }
    }

    /// So much time has passed without a whole frame. Says for how long all in all, if that is to be reported.
    fn pass(&mut self, time: Duration, peer: &Arc<Peer>) -> Option<Duration> {
        if !self.waits {
            return None;
        }
        let time = time.min(Self::SLICE * 2);
        self.silent += time;
        self.counted += time;
        if self.silent < self.patience {
            return None;
        }
        if !self.asked {
            // The window may be open for long; a living supervisor answers meanwhile. Only a second silence, which
            // began after this thread ran again, is reported.
            self.asked = true;
            self.silent = Duration::ZERO;
            peer.outbox.push(&ToSupervisor::Ping(0));
            peer.flush();
            return None;
        }
        self.stop(peer);
        Some(self.began.elapsed())
    }

    fn heard(&mut self) {
        self.asked = false;
        self.silent = Duration::ZERO;
        self.counted = Duration::ZERO;
    }

    /// From here on nothing wakes the thread but the supervisor.
    fn stop(&mut self, peer: &Peer) {
        self.counted = Duration::ZERO;
        if std::mem::replace(&mut self.waits, false) {
            let _ = peer.stream.set_read_timeout(None);
        }
    }
}

#[cfg(test)]
mod tests;
