//! The supervisor's door: accepting connections, answering whoever has said hello already, and starting their threads.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::link::{Link, Reader};
use super::outbox::Flushed;
use super::reign::Reign;
use super::{endpoint, spawn};
use crate::coordinator::supervisor::{Lack, LinkId};
use crate::wire::message::{Refusal, ToMember, ToSupervisor};

/// Connections that owe their handshake; more are turned away, so that strangers cannot fill the memory.
const UNFINISHED: usize = 4096;

impl Reign {
    /// Accepts until the reign ends. Whoever has already said hello is answered at once; threads are started when
    /// nobody waits at the door, since in an election everyone comes at the same time and starting a thread takes longer
    /// than an answer.
    pub(super) fn accept(self: &Arc<Self>, listener: &TcpListener) {
        let mut admitted = Vec::new();
        let mut pause = FIRST_PAUSE;
        while self.core().ended.is_none() {
            let burst = !admitted.is_empty() && admitted.len() < BURST;
            let accepted = if burst { accept_waiting(listener) } else { listener.accept().map(Some) };
            match accepted {
                Ok(Some((stream, peer))) => {
                    pause = FIRST_PAUSE;
                    if !peer.ip().is_loopback() {
                        log::warn!("connection from {peer}, which is not this machine, is dropped");
                    } else if peer.port() == self.knocker.load(Ordering::Acquire) {
                        // Connections are accepted in their order: whoever came before the knock is inside.
                        self.knocked.store(self.slice.load(Ordering::Acquire), Ordering::Release);
                        self.stirred.notify_all();
                    } else {
                        match self.admit(stream) {
                            Ok(visitor) => admitted.extend(visitor),
                            Err(error) => {
                                log::warn!("connection from {peer} cannot be served: {error}");
                                self.note_crowd();
                            }
                        }
                    }
                    if admitted.len() < BURST {
                        continue;
                    }
                }
                Ok(None) => {}
                Err(_) if self.core().ended.is_some() => break,
                Err(error) => {
                    // Without a descriptor it fails even when nobody is at the door, for as long as that lasts.
                    let level = if pause == FIRST_PAUSE { log::Level::Warn } else { log::Level::Trace };
                    log::log!(level, "accepting a connection failed: {error}");
                    self.note_crowd();
                    if endpoint::is_scarcity(&error) {
                        self.lacks(Lack::Descriptors, None);
                    }
                    // No descriptor is left, or the peer has hung up already. Bounded, or this would spin.
                    let core = self.core();
                    if core.ended.is_none() {
                        drop(self.wait(core, Some(pause)));
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
            admitted.drain(..).for_each(|visitor| self.serve(visitor));
        }
    }

    /// Takes a connection in and, if it has said something already, answers it.
    fn admit(self: &Arc<Self>, stream: TcpStream) -> std::io::Result<Option<Visitor>> {
        let link = {
            let mut core = self.core();
            if core.ended.is_some() {
                // Nobody would ever answer it. Its end sends the peer on to the next supervisor.
                return Ok(None);
            }
            let link = Arc::new(Link::new(LinkId(core.next), stream)?);
            core.next += 1;
            if core.unfinished.len() >= UNFINISHED {
                drop(core);
                turn_away(&link);
                return Err(std::io::Error::other("too many handshakes are unfinished"));
            }
            core.links.insert(link.id, link.clone());
            core.unfinished.insert(link.id);
            core.machine.connected(link.id);
            link
        };
        let mut reader = Reader::new();
        let waiting = match reader.read_waiting(&link) {
            Ok(frames) if !frames.is_empty() => self.greet(&link, frames, &mut reader),
            // Its thread sees the same error, or the end, and tells of it.
            _ => Vec::new(),
        };
        Ok(Some(Visitor { link, reader, waiting }))
    }

    /// Takes what a connection has said at once and answers it, but nobody else: that is for its thread. So is an answer
    /// whose being written somebody waits for, since that can take as long as the peer likes.
    fn greet(&self, link: &Arc<Link>, frames: Vec<ToSupervisor>, reader: &mut Reader) -> Vec<Arc<Link>> {
        let Some((mut touched, owes)) = self.decide_frames(link.id, frames) else { return Vec::new() };
        reader.owes = owes;
        let own = touched.iter().position(|other| other.id == link.id);
        if let Some(own) = own.filter(|_| !link.outbox.is_watched()) {
            touched.swap_remove(own);
            match link.outbox.flush(&link.stream) {
                // A new connection takes this much without waiting.
                Flushed::Quiet => {}
                // Somebody began to wait for it meanwhile.
                Flushed::Written(count) => {
                    let next = self.decide(|machine| machine.written(link.id, count), |_| ());
                    touched.extend(next.into_iter().flat_map(|(next, ())| next));
                }
                Flushed::Failed => link.cut(),
            }
        }
        touched
    }

    fn serve(self: &Arc<Self>, visitor: Visitor) {
        let Visitor { link, reader, waiting } = visitor;
        let serve = {
            let (reign, link) = (self.clone(), link.clone());
            move || {
                reign.flush(waiting);
                link.serve(&reign, reader);
            }
        };
        if let Err(error) = spawn("bw-link", serve) {
            log::warn!("cannot start a thread for a connection: {error}");
            self.note_crowd();
            let who = self.core().machine.behind(link.id);
            turn_away(&link);
            self.ended(link.id);
            self.lacks(Lack::Threads, who);
        }
    }
}

/// A connection that was taken in and has no thread yet.
struct Visitor {
    link: Arc<Link>,
    reader: Reader,
    /// What its words put into other outboxes.
    waiting: Vec<Arc<Link>>,
}

/// How long nothing is accepted after a failure, and at most after many.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// The most connections that wait for their threads while others are answered.
const BURST: usize = 128;

/// A connection that waits to be accepted, if there is one.
fn accept_waiting(listener: &TcpListener) -> std::io::Result<Option<(TcpStream, SocketAddr)>> {
    listener.set_nonblocking(true)?;
    let accepted = listener.accept();
    listener.set_nonblocking(false)?;
    match accepted {
        Ok(accepted) => Ok(Some(accepted)),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

fn turn_away(link: &Link) {
    link.outbox.push(&ToMember::Refused(Refusal::Full { limit: UNFINISHED as u32 }));
    link.outbox.flush(&link.stream);
    link.cut();
}
