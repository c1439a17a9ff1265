//! How frames reach a peer: put into an outbox in order, under whatever lock keeps the order, and written later without
//! that lock by whoever finds the outbox unattended.

use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{endpoint, lock};
use crate::wire::frame::Message;

/// The frames that wait to be written to one peer.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    /// Told when nobody writes any more.
    unattended: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    bytes: Vec<u8>,
    /// Frames put in so far.
    count: u64,
    /// Somebody is writing and will go on until nothing is left.
    attended: bool,
    /// Somebody wants to know when everything so far has reached the kernel.
    watched: bool,
    /// Shut the connection down for writing when everything is written.
    closing: bool,
    /// The peer does not take anything any more.
    dead: bool,
}

/// What became of a flush.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Nothing to report: somebody else writes, or nobody watches.
    Quiet,
    /// Everything up to this count of frames has reached the kernel and nothing is unsent.
    Written(u64),
    /// The peer did not take what there was within the write timeout, or the connection has ended.
    Failed,
}

impl Outbox {
    /// A peer that lets more than this wait is cut.
    pub(crate) const BACKLOG: usize = 8 * 1024 * 1024;
    /// How long one peer may keep a writer waiting before it is cut. It comes back when it runs again.
    pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_millis(200);

    /// Puts one frame in.
    pub(crate) fn push(&self, frame: &impl Message) {
        self.push_with(|bytes| frame.encode(bytes));
    }

    /// Puts in one frame that is encoded already.
    pub(crate) fn push_encoded(&self, frame: &[u8]) {
        self.push_with(|bytes| bytes.extend_from_slice(frame));
    }

    fn push_with(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut queue = lock(&self.queue);
        queue.count += 1;
        if !queue.dead {
            write(&mut queue.bytes);
            queue.dead = queue.bytes.len() > Self::BACKLOG;
        }
    }

    /// Asks for [`Flushed::Written`] once what was put in so far is written.
    pub(crate) fn watch(&self) {
        lock(&self.queue).watched = true;
    }

    /// Whether somebody asked and was not told yet.
    pub(crate) fn is_watched(&self) -> bool {
        lock(&self.queue).watched
    }

    /// Asks for the end of the connection once what was put in so far is written.
    pub(crate) fn close(&self) {
        lock(&self.queue).closing = true;
    }

    /// Whether the connection is to end, or has.
    pub(crate) fn is_closing(&self) -> bool {
        let queue = lock(&self.queue);
        queue.closing || queue.dead
    }

    /// Writes everything, or waits until whoever writes has done so: for the last words on a connection.
    pub(crate) fn finish(&self, stream: &TcpStream) {
        let until = Instant::now() + Self::WRITE_TIMEOUT;
        loop {
            self.flush(stream);
            let mut queue = lock(&self.queue);
            while queue.attended && Instant::now() < until {
                let left = until.saturating_duration_since(Instant::now());
                queue = self.unattended.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
            }
            if queue.dead || queue.bytes.is_empty() || Instant::now() >= until {
                return;
            }
        }
    }

    /// Writes everything, unless somebody else does so already. Blocks for at most the stream's write timeout, and as
    /// long again for what the kernel could not send on.
    pub(crate) fn flush(&self, stream: &TcpStream) -> Flushed {
        let mut written = None;
        let mut queue = lock(&self.queue);
        if queue.attended {
            return Flushed::Quiet;
        }
        queue.attended = true;
        let mut buffer = Vec::new();
        loop {
            if queue.dead {
                queue.attended = false;
                self.unattended.notify_all();
                return Flushed::Failed;
            }
            if queue.bytes.is_empty() && !queue.watched {
                queue.attended = false;
                self.unattended.notify_all();
                if queue.closing {
                    // The peer may still be sending. Closing for writing alone lets it read what was said last; a full
                    // close would answer its bytes with a reset that overtakes it.
                    let _ = stream.shutdown(Shutdown::Write);
                }
                return written.map_or(Flushed::Quiet, Flushed::Written);
            }
            buffer.clear();
            std::mem::swap(&mut buffer, &mut queue.bytes);
            let watched = std::mem::take(&mut queue.watched);
            let count = queue.count;
            drop(queue);
            let done = write_through(stream, &buffer, watched);
            queue = lock(&self.queue);
            match done {
                Ok(()) if watched => written = Some(count),
                Ok(()) => {}
                Err(error) => {
                    log::debug!("writing to a peer failed: {error}");
                    queue.dead = true;
                }
            }
        }
    }
}

fn write_through(mut stream: &TcpStream, bytes: &[u8], watched: bool) -> io::Result<()> {
    stream.write_all(bytes)?;
    if watched && !endpoint::wait_sent(stream, Outbox::WRITE_TIMEOUT)? {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(())
}
