//! Frames: where one message ends and the next begins.
//!
//! Owns the length field, the bounds on it, and the buffer in which frames arrive in pieces. Never reads or writes a
//! socket: a runtime reads into [`Decoder::space`] and writes what [`Message::encode`] has appended.

use std::fmt;

use byteorder::{BigEndian, ByteOrder};

use super::codec::Writer;
use super::error::DecodeError;

/// The highest length field from a peer that has not said Hello yet.
///
/// Every connection that has not said Hello can make the supervisor hold this much memory. A Hello takes 35 bytes today, the
/// kind included; the rest is room for a later proof of who the client is.
pub const LIMIT_BEFORE_TRUST: usize = 4 * 1024;

/// The highest length field from a peer that has said Hello and whose handshake is not accepted yet.
///
/// Large enough for the largest single thing that a member brings, a generation of a barrier with 4096 waiters: 65 536 bytes
/// for them and at most 151 for the rest. Longer lists come in several frames.
pub const LIMIT_BEFORE_ACCEPTANCE: usize = 68 * 1024;

/// The highest length field from a trusted peer.
///
/// Large enough for a state value or a message of 1 MiB with its name and its numbers, and for a view of 200 entries with full payloads, so that most
/// views are one frame; small enough that a thousand peers in the middle of one each are no danger to the machine.
pub const LIMIT_AFTER_TRUST: usize = 1024 * 1024 + 4096;

/// A message of one direction: its frames, written and read.
pub trait Message: Sized {
    /// Appends the whole frame.
    ///
    /// Reasons and labels beyond their limits are cut short. Other bounds are the business of who makes the message:
    /// the peer refuses a frame that breaks one.
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads the body of a frame of this kind.
    ///
    /// What it accepts, [`Message::encode`] gives back byte by byte.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if the kind is of no message of this direction, or the body not exactly what the kind asks for.
    fn decode(kind: u8, body: &[u8]) -> Result<Self, DecodeError>;
}

/// Appends a frame of this kind; the length is filled in when the body is there.
pub(super) fn append(out: &mut Vec<u8>, kind: u8, body: impl FnOnce(&mut Writer<'_>)) {
    let start = out.len();
    out.extend_from_slice(&[0; LENGTH]);
    out.push(kind);
    body(&mut Writer::new(out));
    let len = out.len() - start - LENGTH;
    BigEndian::write_u32(&mut out[start..], u32::try_from(len).unwrap_or(u32::MAX));
}

/// Makes messages from bytes that arrive in pieces of any size.
///
/// The loop of a runtime is: take every message out with [`next`](Self::next), then read into [`space`](Self::space)
/// and report the count to [`filled`](Self::filled).
///
/// ```
/// use bellwether::wire::frame::{Decoder, LIMIT_BEFORE_TRUST, Message};
/// use bellwether::wire::message::ToSupervisor;
///
/// let mut frame = Vec::new();
/// ToSupervisor::Ping(7).encode(&mut frame);
///
/// let mut decoder = Decoder::new(LIMIT_BEFORE_TRUST);
/// assert_eq!(decoder.feed(&frame[..5]), 5);
/// assert_eq!(decoder.next::<ToSupervisor>(), Ok(None));
/// assert_eq!(decoder.feed(&frame[5..]), 8);
/// assert_eq!(decoder.next(), Ok(Some(ToSupervisor::Ping(7))));
/// ```
pub struct Decoder {
    /// All of it initialised, so that a socket can read into it. The bytes at `start..end` have arrived and are not
    /// used.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    limit: usize,
    /// Set once and for all: behind a broken frame nothing tells where the next one begins.
    broken: Option<DecodeError>,
}

impl Decoder {
    /// A decoder without bytes that refuses frames whose length field is above `limit`.
    ///
    /// It allocates nothing before it is asked for space, and never more than the limit and [`SLACK`].
    pub const fn new(limit: usize) -> Self {
        Self { buffer: Vec::new(), start: 0, end: 0, limit, broken: None }
    }

    /// Changes the limit, for every frame that [`next`](Self::next) has not returned yet.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Room for bytes to be read into. Follow it with [`filled`](Self::filled).
    ///
    /// Never empty after [`next`](Self::next) returned `Ok(None)`. Whoever leaves complete frames in the decoder gets
    /// less and less and in the end none, which is how the memory stays bounded.
    pub fn space(&mut self) -> &mut [u8] {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            if self.buffer.len() > KEPT {
                // A single large frame must not cost its size for the rest of the connection.
                self.buffer = Vec::new();
            }
        }
        if self.end == self.buffer.len() {
            self.make_room();
        }
        &mut self.buffer[self.end..]
    }

    /// Says that the first `count` bytes of the [`space`](Self::space) were filled. More than there was is as much as
    /// there was.
    pub fn filled(&mut self, count: usize) {
        self.end = self.end.saturating_add(count).min(self.buffer.len());
    }

    /// Copies bytes in, as many as there is room for, and says how many that was.
    ///
    /// All of them unless complete frames were left in the decoder: then call [`next`](Self::next) and feed the rest.
    pub fn feed(&mut self, bytes: &[u8]) -> usize {
        let mut used = 0;
        while used < bytes.len() {
            let space = self.space();
            let count = space.len().min(bytes.len() - used);
            if count == 0 {
                break;
            }
            space[..count].copy_from_slice(&bytes[used..used + count]);
            self.filled(count);
            used += count;
        }
        used
    }

    /// The next message, or `None` if its frame has not arrived in full.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if the bytes are no frame within the limit or no message of this direction. The length is judged
    /// as soon as its four bytes are there. An error is for good: every later call returns the same.
    #[allow(
        clippy::should_implement_trait,
        reason = "no iterator: an error does not end it, a call names its messages"
    )]
    pub fn next<M: Message>(&mut self) -> Result<Option<M>, DecodeError> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        let outcome = self.take();
        if let Err(error) = outcome {
            self.broken = Some(error);
        }
        outcome
    }

    /// Whether bytes of an unfinished frame are waiting: after `Ok(None)`, an end of the connection now would cut a
    /// frame.
    pub fn is_mid_frame(&self) -> bool {
        self.start != self.end
    }

    /// Gives the memory back if no bytes of an unfinished frame are waiting.
    pub fn release(&mut self) {
        if self.start == self.end {
            (self.buffer, self.start, self.end) = (Vec::new(), 0, 0);
        }
    }

    /// How many bytes are allocated.
    pub fn allocated(&self) -> usize {
        self.buffer.capacity()
    }

    fn take<M: Message>(&mut self) -> Result<Option<M>, DecodeError> {
        let arrived = &self.buffer[self.start..self.end];
        let Some((length, rest)) = arrived.split_at_checked(LENGTH) else {
            return Ok(None);
        };
        let len = BigEndian::read_u32(length);
        if len as usize > self.limit {
            return Err(DecodeError::Oversized { len, limit: u32::try_from(self.limit).unwrap_or(u32::MAX) });
        }
        if len == 0 {
            return Err(DecodeError::Empty);
        }
        let Some((&kind, body)) = rest.get(..len as usize).and_then(<[u8]>::split_first) else {
            return Ok(None);
        };
        let message = M::decode(kind, body)?;
        self.start += LENGTH + len as usize;
        Ok(Some(message))
    }

    /// Moves what is waiting to the front, or into a larger buffer, when the buffer is full to its end.
    ///
    /// At most half a buffer is moved, and at least half a buffer has arrived since the last move, unless the buffer is
    /// as large as it may be; so a byte is moved about once, and never once per frame. The buffer grows with what has
    /// arrived and not with what a length field promises.
    fn make_room(&mut self) {
        let most = self.limit.saturating_add(SLACK);
        let waiting = self.end - self.start;
        if waiting > self.buffer.len() / 2 || self.buffer.is_empty() {
            let size = (self.buffer.len() * 2).max(FIRST).min(most);
            if size > self.buffer.len() {
                let mut larger = Vec::new();
                larger.reserve_exact(size);
                larger.extend_from_slice(&self.buffer[self.start..self.end]);
                larger.resize(size, 0);
                self.buffer = larger;
                self.start = 0;
                self.end = waiting;
                return;
            }
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.start = 0;
        self.end = waiting;
    }
}

impl fmt::Debug for Decoder {
    /// Without the bytes: they are the application's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("waiting", &(self.end - self.start))
            .field("limit", &self.limit)
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}

/// How much a [`Decoder`] may allocate beyond its limit: the length field, and room to read past the end of the largest
/// frame, so that the start of the next one costs no read of its own.
pub const SLACK: usize = 4 * 1024;

/// The first buffer, enough for everything but views and large values. No larger than [`SLACK`].
const FIRST: usize = 4 * 1024;

/// The largest buffer that is kept once it is empty: a message of 64 KiB fits, so that a stream of them needs no new buffer
/// for each, whose fresh pages would cost more than everything else about it.
const KEPT: usize = 128 * 1024;

/// The bytes of the length field.
const LENGTH: usize = 4;
