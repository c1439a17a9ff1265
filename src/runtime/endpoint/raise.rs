//! Which descriptor a socket has.
//!
//! The kernel closes the descriptors of a killed process one after the other, the highest first. What stands high is
//! therefore free before the connections end, and whoever learns of the death by the end of a connection finds the port
//! and the presences free. With 512 connections a listener on the lowest descriptor costs 10 ms of failover.

use std::sync::atomic::{AtomicBool, Ordering};

use super::inherit::Owned;

/// How high a socket stands. Ordinary sockets are not raised at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Height {
    /// Above the connections.
    Listener,
    /// Above the listener.
    Presence,
}

/// The table of descriptors grows to the highest in use and never shrinks; 4096 slots are 32 KiB.
#[cfg(any(test, all(unix, feature = "native")))]
const CEILING: u64 = 4096;

/// With fewer descriptors than this allowed, none is set apart.
#[cfg(any(test, all(unix, feature = "native")))]
const LEAST: u64 = 128;

#[cfg(any(test, all(unix, feature = "native")))]
impl Height {
    /// The lowest descriptor for this height under a limit on descriptors.
    ///
    /// Leaves room for a few instances in one process; more of them spill upwards, listeners among presences, which
    /// only costs some of the advantage.
    fn floor(self, limit: u64) -> Option<i32> {
        let below = match self {
            Self::Listener => 96,
            Self::Presence => 64,
        };
        let floor = limit.min(CEILING).checked_sub(below)?;
        // The cast is exact: the floor is below the ceiling.
        (limit >= LEAST).then_some(floor as i32)
    }
}

/// Whether the table of descriptors is large enough for every height.
static GROWN: AtomicBool = AtomicBool::new(false);

/// Makes the table of descriptors large enough, if that costs nothing, and says whether it is.
///
/// In a process with several threads the kernel waits until no thread can use the old table any more, which was measured
/// to take 10 to 25 ms; in a process with one it takes microseconds. So a program that joins before it starts threads
/// has it at once, and any other lets a thread of its own [`grow`] it.
pub(crate) fn grow_at_once() -> bool {
    if !cfg!(all(unix, feature = "native")) {
        return true; // Nothing is ever moved.
    }
    if !GROWN.load(Ordering::Acquire) && is_single_threaded() {
        grow();
    }
    GROWN.load(Ordering::Acquire)
}

/// Makes the table of descriptors large enough, however long that takes.
pub(crate) fn grow() {
    // Any socket does; it is closed again at once.
    if let Ok(socket) = std::net::UdpSocket::bind("127.0.0.1:0") {
        drop(Owned::new(socket).map(|socket| lift(socket, Height::Presence)));
        GROWN.store(true, Ordering::Release);
    }
}

/// A forked child that has closed its parent's sockets has a table of its own, which may be smaller.
pub(super) fn forget() {
    GROWN.store(false, Ordering::Release);
}

/// Whether this is the only thread, as far as the kernel says.
fn is_single_threaded() -> bool {
    use std::os::unix::fs::MetadataExt;
    // A directory has a link for itself, one for its parent, and one for each thread in it.
    std::fs::metadata("/proc/self/task").is_ok_and(|tasks| tasks.nlink() == 3)
}

/// Moves the socket to a descriptor at this height if there is one and the table has room for it, and returns it
/// unchanged otherwise.
pub(crate) fn raise<S: Raise>(socket: S, height: Height) -> S {
    if GROWN.load(Ordering::Acquire) { lift(socket, height) } else { socket }
}

/// What can be moved.
#[cfg(unix)]
pub(crate) trait Raise: std::os::fd::AsFd + From<std::os::fd::OwnedFd> {}
#[cfg(unix)]
impl<S: std::os::fd::AsFd + From<std::os::fd::OwnedFd>> Raise for S {}

#[cfg(all(unix, feature = "native"))]
fn lift<S: Raise>(socket: S, height: Height) -> S {
    use rustix::process::{Resource, getrlimit};

    // No limit means `None`.
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let Some(floor) = height.floor(limit) else { return socket };
    // The old descriptor is closed by the drop of `socket`; the socket itself stays open through the new one.
    rustix::io::fcntl_dupfd_cloexec(&socket, floor).map_or(socket, S::from)
}

/// Without the feature `native` there is no way to choose a descriptor.
#[cfg(not(all(unix, feature = "native")))]
fn lift<S: Raise>(socket: S, _: Height) -> S {
    socket
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_presence_stands_above_a_listener_and_below_the_limit() {
        for limit in [128, 256, 1024, 4096, 20_000, u64::MAX] {
            let [listener, presence] = [Height::Listener, Height::Presence].map(|height| height.floor(limit));
            assert!(listener < presence && listener > Some(0), "{limit}");
            assert!(presence.is_some_and(|floor| (floor as u64) < limit.min(CEILING)), "{limit}");
        }
        for limit in [0, 64, 127] {
            assert_eq!(Height::Presence.floor(limit), None, "{limit}");
        }
    }

    #[cfg(all(unix, feature = "native"))]
    #[test]
    fn a_raised_socket_is_the_same_socket_on_a_higher_descriptor() {
        use std::net::{TcpListener, TcpStream};
        use std::os::fd::AsRawFd;

        let low = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, before) = (low.local_addr().unwrap(), low.as_raw_fd());
        grow();
        let listener = raise(low, Height::Listener);
        let presence = raise(TcpListener::bind("127.0.0.1:0").unwrap(), Height::Presence);
        assert!(before < listener.as_raw_fd() && listener.as_raw_fd() < presence.as_raw_fd());
        assert_eq!(listener.local_addr().unwrap(), address);
        TcpStream::connect(address).unwrap();
        listener.accept().unwrap();
        assert!(rustix::io::fcntl_getfd(&listener).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
    }
}
