//! How frames reach a peer: put into an outbox in order, under whatever lock keeps the order, and written later without
//! that lock by whoever finds the outbox unattended.

use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::bell::Bell;
use super::{endpoint, lock};
use crate::wire::frame::Message;

/// The frames that wait to be written to one peer.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    /// Told when nobody writes any more.
    unattended: Bell,
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

/// What a peer has not taken at once. Its outbox stays attended until [`Outbox::write_rest`] was called with it.
#[derive(Debug)]
#[must_use = "nobody else writes to this peer any more"]
pub(crate) struct Rest(Vec<u8>);

/// How much time a peer is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Given {
    /// The write timeout. Whoever does not take everything within it is given up.
    Limited,
    /// As little as the stream's own time-out says.
    Little,
    /// As long as the connection stands.
    All,
}

impl Outbox {
    /// A peer that lets more than this wait while somebody writes to it already is cut. A whole view can be larger; it is
    /// put in before anybody writes.
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
            queue.dead = queue.attended && queue.bytes.len() > Self::BACKLOG;
        }
    }

    /// Asks for [`Flushed::Written`] once what was put in so far is written.
    pub(crate) fn watch(&self) {
        lock(&self.queue).watched = true;
    }

    /// How many bytes wait to be written.
    pub(crate) fn len(&self) -> usize {
        lock(&self.queue).bytes.len()
    }

    /// Whether somebody asked and was not told yet.
    pub(crate) fn is_watched(&self) -> bool {
        lock(&self.queue).watched
    }

    /// Asks for the end of the connection once what was put in so far is written.
    pub(crate) fn close(&self) {
        lock(&self.queue).closing = true;
    }

    /// Whether this side has ended the connection. One whose peer takes nothing any more is still to be read to its end:
    /// the peer may have said before that it leaves.
    pub(crate) fn is_closing(&self) -> bool {
        lock(&self.queue).closing
    }

    /// Whether the peer takes nothing any more.
    #[cfg(test)]
    fn is_dead(&self) -> bool {
        lock(&self.queue).dead
    }

    /// Writes everything, or waits until whoever writes has done so: for the last words on a connection.
    pub(crate) fn finish(&self, stream: &TcpStream) {
        let until = Instant::now() + Self::WRITE_TIMEOUT;
        loop {
            self.flush(stream);
            let mut queue = lock(&self.queue);
            while queue.attended && Instant::now() < until {
                let left = until.saturating_duration_since(Instant::now());
                queue = self.unattended.wait(queue, left);
            }
            if queue.dead || queue.bytes.is_empty() || Instant::now() >= until {
                return;
            }
        }
    }

    /// Writes everything, unless somebody else does so already. Blocks for at most the stream's write timeout, and as
    /// long again for what the kernel could not send on.
    pub(crate) fn flush(&self, stream: &TcpStream) -> Flushed {
        // Who is given limited time leaves no rest.
        if self.begin() {
            self.attend(stream, Vec::new(), Given::Limited).unwrap_or(Flushed::Failed)
        } else {
            Flushed::Quiet
        }
    }

    /// The same for a peer that is never given up for being slow. What it does not take soon, by the stream's write
    /// timeout, is returned to be written by whoever has the time.
    pub(crate) fn flush_soon(&self, stream: &TcpStream) -> Result<Flushed, Rest> {
        if self.begin() { self.attend(stream, Vec::new(), Given::Little) } else { Ok(Flushed::Quiet) }
    }

    /// Writes what [`Outbox::flush_soon`] has left, and all that is put in meanwhile, however long that takes.
    pub(crate) fn write_rest(&self, stream: &TcpStream, rest: Rest) -> Flushed {
        self.attend(stream, rest.0, Given::All).unwrap_or(Flushed::Failed)
    }

    /// Whether the caller is the one to write now.
    fn begin(&self) -> bool {
        !std::mem::replace(&mut lock(&self.queue).attended, true)
    }

    /// Writes this and then all that is put in.
    fn attend(&self, stream: &TcpStream, mut buffer: Vec<u8>, given: Given) -> Result<Flushed, Rest> {
        let mut written = None;
        let mut rest = !buffer.is_empty();
        let mut failure = None;
        let mut queue = lock(&self.queue);
        loop {
            if queue.dead {
                queue.attended = false;
                self.unattended.ring();
                drop(queue);
                // The end is not left to the caller: a logger may panic before it comes to that.
                let _ = stream.shutdown(Shutdown::Both);
                if let Some(error) = failure {
                    log::debug!("writing to a peer failed: {error}");
                }
                return Ok(Flushed::Failed);
            }
            if queue.bytes.is_empty() && !queue.watched && !rest {
                queue.attended = false;
                self.unattended.ring();
                if queue.closing {
                    // The peer may still be sending. Closing for writing alone lets it read what was said last; a full
                    // close would answer its bytes with a reset that overtakes it.
                    let _ = stream.shutdown(Shutdown::Write);
                }
                return Ok(written.map_or(Flushed::Quiet, Flushed::Written));
            }
            if !std::mem::take(&mut rest) {
                buffer.clear();
                std::mem::swap(&mut buffer, &mut queue.bytes);
            }
            let watched = std::mem::take(&mut queue.watched);
            let count = queue.count;
            drop(queue);
            let done = match given {
                Given::Limited => write_through(stream, &buffer, watched),
                Given::Little | Given::All => match write_some(stream, &buffer, given) {
                    Ok(count) if count < buffer.len() => {
                        buffer.drain(..count);
                        return Err(Rest(buffer));
                    }
                    other => other.map(drop),
                },
            };
            queue = lock(&self.queue);
            match done {
                Ok(()) if watched => written = Some(count),
                Ok(()) => {}
                Err(error) => {
                    failure = Some(error);
                    queue.dead = true;
                    queue.bytes = Vec::new();
                }
            }
        }
    }
}

/// Writes all of it. The stream's own time-out is for each piece that the kernel takes; a peer that reads a little now
/// and then must not keep the writer any longer than a slow reader of so many bytes needs.
fn write_through(mut stream: &TcpStream, mut bytes: &[u8], watched: bool) -> io::Result<()> {
    let until = Instant::now() + Outbox::WRITE_TIMEOUT + Duration::from_micros(bytes.len() as u64 / SLOW_READER);
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if !bytes.is_empty() && Instant::now() > until {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    if watched && !endpoint::wait_sent(stream, Outbox::WRITE_TIMEOUT)? {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(())
}

/// Writes all of it, or, with little time, as much as the peer takes; says how much that was.
fn write_some(mut stream: &TcpStream, bytes: &[u8], given: Given) -> io::Result<usize> {
    let until = Instant::now() + Outbox::WRITE_TIMEOUT;
    let mut done = 0;
    while done < bytes.len() {
        match stream.write(&bytes[done..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                if given == Given::Little {
                    break;
                }
                // Longer than the stream's time-out, which is for others. Where this cannot be told it returns at once.
                endpoint::wait_sent(stream, LONG)?;
            }
            Err(error) => return Err(error),
        }
        // A peer that takes a little now and then is as slow.
        if given == Given::Little && Instant::now() > until {
            break;
        }
    }
    Ok(done)
}

/// How long a wait for nothing in particular is: any time does.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);

/// Bytes per microsecond that a peer takes at least, if it runs.
const SLOW_READER: u64 = 10;

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::thread;

    use super::*;
    use crate::wire::frame::{Decoder, LIMIT_AFTER_TRUST};
    use crate::wire::message::ToMember;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (there, _) = listener.accept().unwrap();
        endpoint::prepare(&here).unwrap();
        here.set_write_timeout(Some(Outbox::WRITE_TIMEOUT)).unwrap();
        (here, there)
    }

    #[test]
    fn frames_arrive_in_the_order_in_which_they_were_put_in_whoever_writes_them() {
        let (here, mut there) = pair();
        let outbox = Arc::new(Outbox::default());
        let order = Arc::new(Mutex::new(0));
        let writers: Vec<_> = (0..4)
            .map(|_| {
                let (outbox, order, here) = (outbox.clone(), order.clone(), here.try_clone().unwrap());
                thread::spawn(move || {
                    for _ in 0..500 {
                        {
                            let mut next = lock(&order);
                            outbox.push(&ToMember::Ping(*next));
                            *next += 1;
                        }
                        outbox.flush(&here);
                    }
                })
            })
            .collect();
        let mut decoder = Decoder::new(LIMIT_AFTER_TRUST);
        let mut heard = 0;
        while heard < 2000 {
            let count = there.read(decoder.space()).unwrap();
            assert!(count > 0, "the end after {heard} frames");
            decoder.filled(count);
            while let Some(frame) = decoder.next::<ToMember>().unwrap() {
                assert_eq!(frame, ToMember::Ping(heard));
                heard += 1;
            }
        }
        writers.into_iter().for_each(|writer| writer.join().unwrap());
    }

    #[test]
    fn whoever_watches_is_told_the_count_once_and_nobody_else_is() {
        let (here, _there) = pair();
        let outbox = Outbox::default();
        outbox.push(&ToMember::Ping(1));
        assert_eq!(outbox.flush(&here), Flushed::Quiet);
        outbox.push(&ToMember::Ping(2));
        outbox.watch();
        assert_eq!(outbox.flush(&here), Flushed::Written(2));
        assert_eq!(outbox.flush(&here), Flushed::Quiet);
    }

    #[test]
    fn a_peer_that_does_not_read_is_given_up_after_one_write_timeout() {
        let (here, _there) = pair();
        let outbox = Outbox::default();
        let frame = vec![0; 1024 * 1024];
        // Far more than both kernels buffer, however they are set up.
        for _ in 0..64 {
            outbox.push_encoded(&frame);
        }
        assert!(!outbox.is_dead(), "what is put in before anybody writes is no backlog");
        assert_eq!(outbox.flush(&here), Flushed::Failed);
        outbox.push_encoded(&frame);
        assert_eq!(outbox.flush(&here), Flushed::Failed, "and stays given up");
        assert!(lock(&outbox.queue).bytes.is_empty(), "nothing is kept for it");
    }

    #[cfg(feature = "native")]
    #[test]
    fn what_the_kernel_has_not_sent_does_not_count_as_written() {
        let (here, _there) = pair();
        let outbox = Outbox::default();
        let frame = vec![0; 64 * 1024];
        let mut told = Flushed::Quiet;
        for _ in 0..10_000 {
            outbox.push_encoded(&frame);
            outbox.watch();
            told = outbox.flush(&here);
            if told == Flushed::Failed {
                break;
            }
        }
        assert_eq!(told, Flushed::Failed, "at some point the peer has no room");
    }

    #[test]
    fn closing_lets_the_peer_read_what_was_said_last() {
        let (here, mut there) = pair();
        let outbox = Outbox::default();
        outbox.push_encoded(b"last words");
        outbox.close();
        outbox.flush(&here);
        let mut words = String::new();
        there.read_to_string(&mut words).unwrap();
        assert_eq!(words, "last words");
    }
}
