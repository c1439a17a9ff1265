//! Waiting for several sockets at once.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use super::inherit::Owned;

/// A connection that was accepted, and where it comes from.
pub(crate) type Arrival = (Owned<TcpStream>, SocketAddr);

/// What a wait has ended with.
#[derive(Debug)]
pub(crate) enum Woken {
    /// Whether each of the streams may have something to read, in their order. The listener may have as well.
    Ready(Vec<bool>),
    /// This was accepted meanwhile.
    #[cfg_attr(all(feature = "native", unix), expect(dead_code, reason = "only where nothing else can be waited for"))]
    Accepted(io::Result<Arrival>),
}

/// Waits until a connection can be accepted or one of the streams can be read, the end included, for at most this long.
/// The listener does not block afterwards.
#[cfg(all(feature = "native", unix))]
pub(crate) fn wait_for_any<'a>(
    listener: &TcpListener,
    streams: impl Iterator<Item = &'a TcpStream>,
    time: Option<Duration>,
) -> Woken {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let mut wanted: Vec<_> = streams.map(|stream| PollFd::new(stream, PollFlags::IN)).collect();
    wanted.push(PollFd::new(listener, PollFlags::IN));
    let time = time.map(|time| Timespec { tv_sec: time.as_secs() as _, tv_nsec: time.subsec_nanos() as _ });
    let waited = poll(&mut wanted, time.as_ref());
    wanted.pop();
    match waited {
        Ok(_) => Woken::Ready(wanted.iter().map(|one| !one.revents().is_empty()).collect()),
        // Interrupted, or the kernel has no memory for it: each is tried.
        Err(_) => Woken::Ready(vec![true; wanted.len()]),
    }
}

/// The same where only a single socket can be waited for: without a stream and a bound on the time it accepts, otherwise
/// it waits for a moment, and everything may be ready then.
#[cfg(not(all(feature = "native", unix)))]
pub(crate) fn wait_for_any<'a>(
    listener: &TcpListener,
    streams: impl Iterator<Item = &'a TcpStream>,
    time: Option<Duration>,
) -> Woken {
    let count = streams.count();
    if count > 0 || time.is_some() {
        std::thread::sleep(time.map_or(MOMENT, |time| time.min(MOMENT)));
        return Woken::Ready(vec![true; count]);
    }
    let blocking = |on: bool| listener.set_nonblocking(!on);
    let accepted = blocking(true).and_then(|()| accept(listener));
    Woken::Accepted(blocking(false).and(accepted))
}

/// How long the last connection that waits to be read may be kept waiting.
#[cfg(not(all(feature = "native", unix)))]
const MOMENT: Duration = Duration::from_millis(1);

fn accept(listener: &TcpListener) -> io::Result<Arrival> {
    listener.accept().map(|(stream, peer)| (Owned::new(stream), peer))
}

/// Accepts a connection that waits on a listener that does not block, if there is one.
pub(crate) fn accept_waiting(listener: &TcpListener) -> io::Result<Option<Arrival>> {
    match accept(listener) {
        Ok((stream, peer)) => {
            // Not everywhere does it block of itself.
            stream.set_nonblocking(false)?;
            Ok(Some((stream, peer)))
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads what has arrived on a stream to which nobody else writes at this moment, without waiting for more.
#[cfg(all(feature = "native", any(target_os = "linux", target_os = "android")))]
pub(crate) fn read_waiting(stream: &TcpStream, space: &mut [u8]) -> io::Result<usize> {
    super::read_now(stream, space)
}

/// Reads what has arrived on a stream to which nobody else writes at this moment, without waiting for more.
#[cfg(not(all(feature = "native", any(target_os = "linux", target_os = "android"))))]
pub(crate) fn read_waiting(mut stream: &TcpStream, space: &mut [u8]) -> io::Result<usize> {
    stream.set_nonblocking(true)?;
    let read = io::Read::read(&mut stream, space);
    stream.set_nonblocking(false)?;
    read
}
