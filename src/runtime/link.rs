//! One connection at the supervisor: one thread that reads it, and an outbox that anybody may flush.

use std::io::{self, Read};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::endpoint;
use super::outbox::Outbox;
use super::reign::Reign;
use crate::coordinator::supervisor::LinkId;
use crate::wire::frame::{Decoder, LIMIT_AFTER_TRUST, LIMIT_BEFORE_TRUST};
use crate::wire::message::{Refusal, ToSupervisor};
use crate::wire::{DecodeError, WIRE_VERSION};

/// A connection that was accepted.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: LinkId,
    pub(crate) stream: TcpStream,
    pub(crate) outbox: Outbox,
    /// The last slice of time in which a read that began within it left nothing behind.
    pub(crate) proved: AtomicU64,
}

impl Link {
    /// How long a handshake may take, in time that the supervisor ran.
    const HANDSHAKE: Duration = Duration::from_secs(5);
    /// How long a read waits while the handshake is owed, so that it can prove that there is nothing to read.
    const LOOK: Duration = Duration::from_millis(25);
    /// How long the peer of a connection that is being closed may go on sending.
    const LINGER: Duration = Duration::from_secs(1);

    pub(crate) fn new(id: LinkId, stream: TcpStream) -> io::Result<Self> {
        endpoint::prepare(&stream)?;
        stream.set_write_timeout(Some(Outbox::WRITE_TIMEOUT))?;
        stream.set_read_timeout(Some(Self::LOOK))?;
        Ok(Self { id, stream, outbox: Outbox::default(), proved: AtomicU64::new(0) })
    }

    /// Ends the connection for both sides at once.
    pub(crate) fn cut(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Reads until the connection ends, and tells the reign everything.
    pub(crate) fn serve(self: &Arc<Self>, reign: &Arc<Reign>, reader: Reader) {
        let ended = Ending { link: self, reign };
        if let Err(refusal) = self.read(reign, reader) {
            log::warn!("connection {} is refused: {refusal}", self.id.0);
            reign.step(|machine| machine.refuse(self.id, refusal));
            self.linger();
        }
        drop(ended);
    }

    fn read(&self, reign: &Arc<Reign>, mut reader: Reader) -> Result<(), Refusal> {
        let mut timed = true;
        let mut waited = Duration::ZERO;
        // What was wrong with the first bytes is wrong for good.
        reader.frames(self.id)?;
        loop {
            if self.outbox.is_closing() {
                self.linger();
                return Ok(());
            }
            if timed && !reader.owes {
                timed = false;
                // From here on nothing wakes this thread but the peer.
                let _ = self.stream.set_read_timeout(None);
            }
            let slice = reign.slice.load(Ordering::Acquire);
            let began = Instant::now();
            let read = reader.read(&self.stream);
            if reader.owes {
                // Also while bytes come, or whoever sends them slowly enough would never be done.
                waited += began.elapsed().min(Self::LOOK * 2);
                if waited > Self::HANDSHAKE {
                    return Err(Refusal::Slow);
                }
            }
            let drained = match read {
                Ok(Filled::End) => return Ok(()),
                Ok(filled) => filled == Filled::Some,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // The kernel says so after it has looked: nothing had arrived by then.
                Err(error) if is_timeout(&error) => true,
                // A reset is an end like any other; what was sent before it has been read.
                Err(_) => return Ok(()),
            };
            let frames = reader.frames(self.id)?;
            if !frames.is_empty() {
                reader.owes = reign.take(self.id, frames);
            }
            if drained {
                // The read took all there was, and nothing of it is left to be looked at.
                self.proved.fetch_max(slice, Ordering::AcqRel);
            }
        }
    }

    /// Reads and forgets what the peer still sends, for a while, so that it can read why it is refused.
    fn linger(&self) {
        let until = Instant::now() + Self::LINGER;
        let _ = self.stream.set_read_timeout(Some(Self::LOOK));
        let mut rest = [0; 4096];
        while Instant::now() < until {
            match (&self.stream).read(&mut rest) {
                Ok(0) => return,
                Err(error) if !is_timeout(&error) => return,
                _ => {}
            }
        }
    }
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filled {
    /// The end of the connection.
    End,
    /// Less than there was room for, which is all that had arrived.
    Some,
    /// As much as there was room for; more may have arrived.
    All,
}

/// The frames of one connection as they come in.
#[derive(Debug)]
pub(crate) struct Reader {
    decoder: Decoder,
    /// The peer has not said all that a handshake takes.
    pub(crate) owes: bool,
}

impl Reader {
    pub(crate) fn new() -> Self {
        Self { decoder: Decoder::new(LIMIT_BEFORE_TRUST), owes: true }
    }

    /// Reads what has arrived, without waiting for more.
    pub(crate) fn read_waiting(&mut self, link: &Link) -> io::Result<Vec<ToSupervisor>> {
        link.stream.set_nonblocking(true)?;
        let read = self.read(&link.stream);
        link.stream.set_nonblocking(false)?;
        match read? {
            // The end is not lost: the thread of the connection reads it again.
            Filled::End => Ok(Vec::new()),
            _ => self.frames(link.id).map_err(|refusal| io::Error::other(refusal.to_string())),
        }
    }

    fn read(&mut self, mut stream: &TcpStream) -> io::Result<Filled> {
        let space = self.decoder.space();
        let room = space.len();
        let count = stream.read(space)?;
        self.decoder.filled(count);
        Ok(match count {
            0 => Filled::End,
            count if count < room => Filled::Some,
            _ => Filled::All,
        })
    }

    fn frames(&mut self, link: LinkId) -> Result<Vec<ToSupervisor>, Refusal> {
        let mut frames = Vec::new();
        while let Some(frame) = self.decoder.next::<ToSupervisor>().map_err(refusal)? {
            log::trace!("connection {} says {frame}", link.0);
            // The first frame is all that a stranger may say; a peer that got so far is trusted with larger ones.
            self.decoder.set_limit(LIMIT_AFTER_TRUST);
            frames.push(frame);
        }
        Ok(frames)
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// What a peer is told whose bytes make no sense.
fn refusal(error: DecodeError) -> Refusal {
    match error {
        DecodeError::ForeignWire(client) => Refusal::Wire { supervisor: WIRE_VERSION, client },
        error => Refusal::Protocol(error.to_string().into()),
    }
}

/// Tells the reign of the connection's end however its thread ends, a panic included.
struct Ending<'a> {
    link: &'a Arc<Link>,
    reign: &'a Arc<Reign>,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.link.cut();
        self.reign.ended(self.link.id);
    }
}
