//! One connection at the supervisor: one thread that reads it, and an outbox that anybody may flush.

use std::io::{self, Read};
use std::net::{Shutdown, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::endpoint;
use super::endpoint::inherit::Owned;
use super::outbox::Outbox;
use super::reign::Reign;
use crate::coordinator::handshakes::Backlog;
use crate::coordinator::state::State;
use crate::coordinator::supervisor::LinkId;
use crate::wire::frame::{Decoder, LIMIT_AFTER_TRUST, LIMIT_BEFORE_ACCEPTANCE, LIMIT_BEFORE_TRUST};
use crate::wire::message::{Refusal, ToSupervisor};
use crate::wire::{DecodeError, WIRE_VERSION};

/// A connection that was accepted.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: LinkId,
    pub(crate) stream: Owned<TcpStream>,
    pub(crate) outbox: Outbox,
    /// The last slice of time in which a read that began within it left nothing behind.
    pub(crate) proved: AtomicU64,
}

impl Link {
    /// How long the copy of the state that is owed may take, in time that the supervisor ran, and how much longer for each
    /// value of it.
    const COPY: Duration = Duration::from_secs(5);
    const PER_VALUE: Duration = Duration::from_millis(1);
    /// How long a read waits while that is owed, so that it can prove that there is nothing to read.
    const LOOK: Duration = Duration::from_millis(25);
    /// How long the peer of a connection that is being closed may go on sending.
    pub(super) const LINGER: Duration = Duration::from_secs(1);

    pub(crate) fn new(id: LinkId, stream: Owned<TcpStream>) -> io::Result<Self> {
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
    ///
    /// A panic, most likely in the application's logger, takes nothing but this connection with it.
    pub(crate) fn serve(self: &Arc<Self>, reign: &Arc<Reign>, reader: Reader, waiting: Vec<Arc<Self>>) {
        let served = catch_unwind(AssertUnwindSafe(|| {
            reign.flush(waiting);
            if let Err(refusal) = self.read(reign, reader) {
                log::warn!("connection {} is refused: {refusal}", self.id.0);
                reign.step(|machine| machine.refuse(self.id, refusal));
                self.linger();
            }
        }));
        self.cut();
        reign.ended(self.id);
        if let Err(panic) = served {
            resume_unwind(panic);
        }
    }

    fn read(&self, reign: &Arc<Reign>, mut reader: Reader) -> Result<(), Refusal> {
        let mut timed = true;
        let mut left = Self::COPY;
        let mut values = 0;
        let mut backlog = Backlog::default();
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
            let drained = match reader.read(&self.stream) {
                Ok((0, _)) => return Ok(()),
                Ok((count, room)) => backlog.read(slice, count, room, || self.kept_back()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => false,
                // The kernel says so after it has looked: nothing had arrived by then.
                Err(error) if is_timeout(&error) => true,
                // A reset is an end like any other; what was sent before it has been read.
                Err(_) => return Ok(()),
            };
            let frames = reader.frames(self.id)?;
            let is_value = |frame: &&ToSupervisor| matches!(frame, ToSupervisor::Value(_));
            let brought = frames.iter().filter(is_value).count().min(State::KEY_LIMIT - values);
            if !frames.is_empty() {
                reader.owes = reign.take(self.id, frames);
            }
            if drained {
                // The read took all there was, and nothing of it is left to be looked at.
                self.proved.fetch_max(slice, Ordering::AcqRel);
            }
            if reader.owes {
                values += brought;
                left += Self::PER_VALUE * brought as u32;
                // Also while bytes come, or whoever sends them slowly enough would never be done.
                left = left.saturating_sub(began.elapsed().min(Self::LOOK * 4));
                if left.is_zero() {
                    return Err(Refusal::Slow);
                }
            }
        }
    }

    /// The most bytes that can lie in the kernel unread.
    pub(super) fn kept_back(&self) -> usize {
        /// One segment more than the buffer's size is let in.
        const SEGMENT: usize = 128 * 1024;
        SockRef::from(&*self.stream).recv_buffer_size().map_or(usize::MAX, |size| size + SEGMENT)
    }

    /// Reads and forgets what the peer still sends, for a while, so that it can read why it is refused.
    fn linger(&self) {
        let until = Instant::now() + Self::LINGER;
        let _ = self.stream.set_read_timeout(Some(Self::LOOK));
        let mut rest = [0; 4096];
        while Instant::now() < until {
            match (&*self.stream).read(&mut rest) {
                Ok(0) => return,
                Err(error) if !is_timeout(&error) => return,
                _ => {}
            }
        }
    }
}

/// The frames of one connection as they come in.
#[derive(Debug)]
pub(crate) struct Reader {
    decoder: Decoder,
    /// The peer is awaited and has not said all that it owes.
    owes: bool,
}

impl Reader {
    pub(crate) fn new() -> Self {
        Self { decoder: Decoder::new(LIMIT_BEFORE_TRUST), owes: true }
    }

    /// The handshake is accepted.
    pub(crate) fn accepted(&mut self, owes: bool) {
        self.owes = owes;
        self.decoder.set_limit(LIMIT_AFTER_TRUST);
    }

    /// How many bytes are allocated for a frame that is not complete.
    pub(crate) fn buffered(&self) -> usize {
        self.decoder.allocated()
    }

    /// Takes bytes of a handshake: the frames that they complete.
    pub(crate) fn take(&mut self, link: LinkId, mut bytes: &[u8]) -> Result<Vec<ToSupervisor>, Refusal> {
        let mut frames = Vec::new();
        while !bytes.is_empty() {
            let taken = self.decoder.feed(bytes);
            bytes = &bytes[taken..];
            let more = self.frames_with(link, |decoder| {
                // The first frame is all that a stranger may say; a peer that got so far is trusted with larger ones.
                decoder.set_limit(LIMIT_BEFORE_ACCEPTANCE);
            })?;
            frames.extend(more);
            if frames.last().is_some_and(is_foreign) {
                break;
            }
        }
        self.decoder.release();
        Ok(frames)
    }

    /// Reads once; how many bytes, and how many there was room for.
    fn read(&mut self, mut stream: &TcpStream) -> io::Result<(usize, usize)> {
        let space = self.decoder.space();
        let room = space.len();
        let count = stream.read(space)?;
        self.decoder.filled(count);
        Ok((count, room))
    }

    fn frames(&mut self, link: LinkId) -> Result<Vec<ToSupervisor>, Refusal> {
        self.frames_with(link, |_| ())
    }

    fn frames_with(&mut self, link: LinkId, each: impl Fn(&mut Decoder)) -> Result<Vec<ToSupervisor>, Refusal> {
        let decoder = &mut self.decoder;
        let decode = AssertUnwindSafe(|| {
            let mut frames = Vec::new();
            while let Some(frame) = decoder.next::<ToSupervisor>()? {
                each(decoder);
                let is_last = is_foreign(&frame);
                frames.push(frame);
                if is_last {
                    break;
                }
            }
            Ok(frames)
        });
        // Also on the accepting thread: what one peer sends ends no connection but its own.
        let broken = |_| Refusal::Protocol("frame that cannot be decoded".into());
        let frames = catch_unwind(decode).map_err(broken)?.map_err(refusal)?;
        frames.iter().for_each(|frame| log::trace!("connection {} says {frame}", link.0));
        Ok(frames)
    }
}

pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Whether what follows this frame is in another version of the protocol, and so cannot be decoded: the frame itself can,
/// and its answer is the two versions.
fn is_foreign(frame: &ToSupervisor) -> bool {
    matches!(frame, ToSupervisor::Hello(hello) if hello.wire != WIRE_VERSION)
}

/// What a peer is told whose bytes make no sense.
fn refusal(error: DecodeError) -> Refusal {
    match error {
        DecodeError::ForeignWire(client) => Refusal::Wire { supervisor: WIRE_VERSION, client },
        error => Refusal::Protocol(error.to_string().into()),
    }
}
