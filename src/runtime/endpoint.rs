//! The sockets of the election: listening, connecting, and whether what was written has left.
//!
//! Owns how a socket is set up and what an error of the kernel means for the election. Never decides what to do next,
//! never reads or writes a byte of the wire.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::coordinator::election::{Bound, Connected};

pub(crate) mod inherit;
pub(crate) mod poll;
pub(crate) mod port;
pub(crate) mod raise;

use inherit::Owned;
use raise::{Height, raise};

/// How many connections may wait to be accepted. The kernel takes the lesser of this and its own limit, 4096 on Linux;
/// with the 128 of `std` hundreds of members that come back at once would wait a second for the retry of a dropped SYN.
pub(crate) const BACKLOG: i32 = 4096;

/// What the election is told about a socket that came to nothing, and the kernel's words for the log.
#[derive(Debug)]
pub(crate) struct Failed<Outcome> {
    /// For the election.
    pub(crate) outcome: Outcome,
    /// For people.
    pub(crate) error: io::Error,
}

impl<Outcome: fmt::Debug> fmt::Display for Failed<Outcome> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.outcome, self.error)
    }
}

/// Whether the kernel says that this process, or the machine, has no descriptor or no memory left.
pub(crate) fn is_scarcity(error: &io::Error) -> bool {
    // std has no names for them; on every Unix they are the same.
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    error.kind() == io::ErrorKind::OutOfMemory || matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

/// Whether no socket can be had at this moment, for that reason.
pub(crate) fn are_sockets_scarce() -> bool {
    stream_socket().is_err_and(|error| is_scarcity(&error))
}

/// The only address: names such as `localhost`, `::1` and 127.0.0.2 would each be another arbiter.
pub(crate) const fn address(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

fn stream_socket() -> io::Result<Owned<Socket>> {
    // Closed on exec by default: an heir of the socket that knows nothing of it would hide the end of this process.
    let socket = Owned::new(Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?);
    // Without it the port stays taken up to a minute after a crash, by connections that wait for their last packets.
    // The sockets that held the port before must have had it too, hence for every socket that this crate makes, the
    // connecting ones included: one of those can own another group's port as its source port. Not on Windows, where the
    // option of this name takes ports away from those that listen on them.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    Ok(socket)
}

/// Binds and listens on the port, back to back. Who gets a listener leads.
pub(crate) fn listen(port: u16) -> Result<Owned<TcpListener>, Failed<Bound>> {
    let socket = bind(port).map_err(|error| Failed { outcome: not_bound(error.kind()), error })?;
    // With SO_REUSEADDR two can have come this far, and only one, or none, gets further.
    socket.listen(BACKLOG).map_err(|error| Failed { outcome: Bound::ListenFailed, error })?;
    Ok(socket.map(|socket| raise(socket, Height::Listener).into()))
}

fn bind(port: u16) -> io::Result<Owned<Socket>> {
    let socket = stream_socket()?;
    socket.bind(&address(port).into())?;
    Ok(socket)
}

const fn not_bound(kind: io::ErrorKind) -> Bound {
    match kind {
        io::ErrorKind::AddrInUse => Bound::InUse,
        io::ErrorKind::PermissionDenied => Bound::Denied,
        _ => Bound::Failed,
    }
}

/// Connects to the port. Only a Welcome on the connection means that there is a supervisor.
pub(crate) fn connect(port: u16, timeout: Duration) -> Result<Owned<TcpStream>, Failed<Connected>> {
    let socket = stream_socket().map_err(|error| Failed { outcome: Connected::Failed, error })?;
    connect_from(socket, port, timeout)
}

fn connect_from(socket: Owned<Socket>, port: u16, timeout: Duration) -> Result<Owned<TcpStream>, Failed<Connected>> {
    let failed = |error: io::Error| Failed { outcome: not_connected(error.kind()), error };
    socket.connect_timeout(&address(port).into(), timeout).map_err(failed)?;
    if is_self_connected(&socket).map_err(failed)? {
        // Abort it: closed in the usual way it would go on to own the port for a minute.
        let _ = socket.set_linger(Some(Duration::ZERO));
        let error = io::Error::new(io::ErrorKind::AddrInUse, "the socket was connected to itself");
        return Err(Failed { outcome: Connected::SelfConnected, error });
    }
    let stream = socket.map(TcpStream::from);
    prepare(&stream).map_err(failed)?;
    Ok(stream)
}

const fn not_connected(kind: io::ErrorKind) -> Connected {
    match kind {
        io::ErrorKind::ConnectionRefused => Connected::Refused,
        // A listener that closes with this connection in its queue resets it. Connect itself can say so, or the first
        // question about the peer that is there no more.
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::NotConnected => {
            Connected::Reset
        }
        io::ErrorKind::TimedOut => Connected::TimedOut,
        _ => Connected::Failed,
    }
}

/// Whether both ends are the same socket: the kernel may pick as source port the very port that is connected to, and
/// then there is nobody but oneself at the other end.
fn is_self_connected(socket: &Socket) -> io::Result<bool> {
    Ok(socket.local_addr()?.as_socket() == socket.peer_addr()?.as_socket())
}

/// Sets up a connection, made or accepted, for frames and for [`unsent`].
pub(crate) fn prepare(stream: &TcpStream) -> io::Result<()> {
    // One write per frame, and it leaves at once: otherwise a second small frame waits 40 ms for an acknowledgement.
    stream.set_nodelay(true)?;
    watch_unsent(stream)
}

/// Whether [`wait_sent`] can tell here.
#[cfg(test)]
pub(crate) const CAN_TELL_UNSENT: bool = cfg!(all(feature = "native", any(target_os = "linux", target_os = "android")));

#[cfg(all(feature = "native", any(target_os = "linux", target_os = "android")))]
fn watch_unsent(stream: &TcpStream) -> io::Result<()> {
    // From now on the kernel calls the socket writable only when it has sent all it was given.
    SockRef::from(stream).set_tcp_notsent_lowat(1)
}

#[cfg(not(all(feature = "native", any(target_os = "linux", target_os = "android"))))]
fn watch_unsent(stream: &TcpStream) -> io::Result<()> {
    // The next best: what can be unsent is little.
    SockRef::from(stream).set_send_buffer_size(SMALL_SEND_BUFFER)
}

/// The size of the send buffer where unsent bytes cannot be seen.
#[cfg(not(all(feature = "native", any(target_os = "linux", target_os = "android"))))]
const SMALL_SEND_BUFFER: usize = 16 * 1024;

/// Waits until the kernel has sent everything to the peer, at most this long; says whether it has.
///
/// Sent means that it lies in the peer's receive buffer: acknowledged it may be only 44 ms later. For that long, too,
/// bytes can be unsent to a peer that does not read although its buffer has room: after some eighteen small frames the
/// kernel waits for an acknowledgement first.
///
/// # Errors
///
/// The connection is over.
#[cfg(all(feature = "native", any(target_os = "linux", target_os = "android")))]
pub(crate) fn wait_sent(stream: &TcpStream, timeout: Duration) -> io::Result<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::io::Errno;

    let start = std::time::Instant::now();
    let mut wanted = [PollFd::new(stream, PollFlags::OUT)];
    loop {
        let left = timeout.saturating_sub(start.elapsed());
        let left = Timespec { tv_sec: left.as_secs() as _, tv_nsec: left.subsec_nanos() as _ };
        match poll(&mut wanted, Some(&left)) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let state = wanted[0].revents();
        if state.intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        return Ok(state.contains(PollFlags::OUT));
    }
}

/// Waits until the kernel has sent everything to the peer. That cannot be told here, so it says yes at once.
#[cfg(not(all(feature = "native", any(target_os = "linux", target_os = "android"))))]
pub(crate) fn wait_sent(_: &TcpStream, _: Duration) -> io::Result<bool> {
    Ok(true)
}

/// Whether [`wait_hangup`] can tell here.
pub(crate) const CAN_TELL_HANGUP: bool = cfg!(all(feature = "native", any(target_os = "linux", target_os = "android")));

/// Waits until there is something to read, the end included, for at most this long; says whether there is.
#[cfg(all(feature = "native", any(target_os = "linux", target_os = "android")))]
pub(crate) fn wait_readable(stream: &TcpStream, timeout: Duration) -> bool {
    wait_for(stream, rustix::event::PollFlags::IN, timeout)
}

/// Reads what is there, without waiting for more.
#[cfg(all(feature = "native", any(target_os = "linux", target_os = "android")))]
pub(crate) fn read_now(stream: &TcpStream, space: &mut [u8]) -> io::Result<usize> {
    let (read, _) = rustix::net::recv(stream, space, rustix::net::RecvFlags::DONTWAIT)?;
    Ok(read)
}

/// Waits until the peer has closed the connection, or it has failed, for at most this long; says whether it has. What
/// can be read meanwhile does not matter.
#[cfg(all(feature = "native", any(target_os = "linux", target_os = "android")))]
pub(crate) fn wait_hangup(stream: &TcpStream, timeout: Duration) -> bool {
    wait_for(stream, rustix::event::PollFlags::RDHUP, timeout)
}

#[cfg(all(feature = "native", any(target_os = "linux", target_os = "android")))]
fn wait_for(stream: &TcpStream, event: rustix::event::PollFlags, timeout: Duration) -> bool {
    use rustix::event::{PollFd, Timespec, poll};

    let timeout = Timespec { tv_sec: timeout.as_secs() as _, tv_nsec: timeout.subsec_nanos() as _ };
    // Interrupted counts as nothing: whoever waits looks at its clock and comes again.
    poll(&mut [PollFd::new(stream, event)], Some(&timeout)).is_ok_and(|ready| ready > 0)
}

#[cfg(not(all(feature = "native", any(target_os = "linux", target_os = "android"))))]
pub(crate) fn wait_readable(_: &TcpStream, _: Duration) -> bool {
    false
}

/// Reads what is there, and waits if nothing is.
#[cfg(not(all(feature = "native", any(target_os = "linux", target_os = "android"))))]
pub(crate) fn read_now(mut stream: &TcpStream, space: &mut [u8]) -> io::Result<usize> {
    io::Read::read(&mut stream, space)
}

#[cfg(not(all(feature = "native", any(target_os = "linux", target_os = "android"))))]
pub(crate) fn wait_hangup(_: &TcpStream, _: Duration) -> bool {
    true
}

/// Makes a thread that waits in `accept` on this listener return from it.
pub(crate) fn wake(listener: &TcpListener, port: u16) {
    // On Linux this also closes the port at once; elsewhere it does nothing to a listener, and the connection wakes it.
    let _ = SockRef::from(listener).shutdown(std::net::Shutdown::Both);
    drop(connect(port, WAKE_TIMEOUT));
}

/// A listener whose queue is full cannot be woken by one connection more, and need not be.
const WAKE_TIMEOUT: Duration = Duration::from_millis(10);

/// Connects to the own listener and hangs up. `announce` is told the source port before, so that the accepting thread
/// can know this connection from others.
pub(crate) fn knock(port: u16, timeout: Duration, announce: impl FnOnce(u16)) -> io::Result<()> {
    let socket = stream_socket()?;
    socket.bind(&address(0).into())?;
    announce(socket.local_addr()?.as_socket().map_or(0, |own| own.port()));
    connect_from(socket, port, timeout).map(drop).map_err(|failed| failed.error)
}

#[cfg(test)]
mod tests;
