//! The sockets of this crate in this process, so that a forked child can close those that it has of its parent.
//!
//! A socket that a forked child keeps open stays open when its parent dies: the port stays taken, and the end of the parent
//! is hidden from the group. The child cannot drop what holds the sockets, since that belongs to threads which do not exist
//! there. So every socket is listed by its inode from its creation to its close. In the child the list is memory like any
//! other; [`close_inherited`] closes every descriptor of a socket in it, by number. The parent notices nothing: a
//! connection ends with its last descriptor, and nothing is shut down.
//!
//! The list has no lock, because a lock can be held by a thread that does not exist in the child.

use std::io;
use std::ops::Deref;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A socket of this crate, listed for as long as it is open.
#[derive(Debug)]
pub(crate) struct Owned<S> {
    /// Closed before it is taken off the list: a fork between the two finds an inode that no descriptor has.
    socket: S,
    listed: Listed,
}

impl<S: AsFd> Owned<S> {
    /// Lists the socket. A fork before that leaves it open in the child, so call this right after the creation.
    pub(crate) fn new(socket: S) -> Self {
        let listed = Listed::new(imp::inode(&socket));
        Self { socket, listed }
    }

    /// The same socket as another type, or on another descriptor.
    pub(crate) fn map<T>(self, change: impl FnOnce(S) -> T) -> Owned<T> {
        Owned { socket: change(self.socket), listed: self.listed }
    }
}

impl<S> Deref for Owned<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.socket
    }
}

/// A place in the list.
#[derive(Debug)]
struct Listed {
    slot: usize,
    inode: u64,
}

/// As many sockets as the largest group and its supervisor can have, twice. Memory that is never touched costs nothing.
const SLOTS: usize = 1 << 17;

/// The inodes; 0 is a free slot.
static LIST: [AtomicU64; SLOTS] = [const { AtomicU64::new(0) }; SLOTS];

/// A slot below which none is free, most likely.
static FREE: AtomicUsize = AtomicUsize::new(0);

/// All slots in use lie below this one.
static END: AtomicUsize = AtomicUsize::new(0);

/// The process that the list belongs to, 0 before the first; with [`BUSY`] while that process closes what it inherited.
static OWNER: AtomicU64 = AtomicU64::new(0);

const BUSY: u64 = 1 << 32;

impl Listed {
    fn new(inode: u64) -> Self {
        let first = FREE.load(Ordering::Relaxed).min(SLOTS);
        for slot in (first..SLOTS).chain(0..first) {
            if LIST[slot].load(Ordering::Relaxed) != 0 {
                continue;
            }
            END.fetch_max(slot + 1, Ordering::AcqRel);
            if LIST[slot].compare_exchange(0, inode, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                FREE.store(slot + 1, Ordering::Relaxed);
                return Self { slot, inode };
            }
        }
        log::warn!("too many sockets: a forked child will keep one of them open");
        Self { slot: SLOTS, inode }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let Some(entry) = LIST.get(self.slot) else { return };
        // In a forked child that has closed its parent's sockets the slot can be that of another one.
        if entry.compare_exchange(self.inode, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            FREE.fetch_min(self.slot, Ordering::Relaxed);
        }
    }
}

fn entries() -> &'static [AtomicU64] {
    &LIST[..END.load(Ordering::Acquire).min(SLOTS)]
}

/// In a forked child: closes all sockets of this crate that it has of its parent, once. Anywhere else: does nothing. Logs
/// nothing, because the lock of a logger can be held by a thread that does not exist in the child.
///
/// Only this crate closes its sockets, and in the child nothing drops the parent's. So a number that leads to one of them
/// does so until it is closed here, also if the child has other threads by now.
///
/// # Errors
///
/// The parent had sockets open, and they cannot be found here, or not be closed.
pub(crate) fn close_inherited() -> io::Result<()> {
    let process = u64::from(std::process::id());
    loop {
        let owner = OWNER.load(Ordering::Acquire);
        if owner == process {
            return Ok(());
        }
        // Another thread of this process is at it. One that was in the parent at the fork has another process's number.
        if owner == process | BUSY {
            std::thread::yield_now();
            continue;
        }
        if OWNER.compare_exchange(owner, process | BUSY, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            continue;
        }
        let closed = if owner == 0 { Ok(()) } else { close_listed() };
        // What has failed can be tried again.
        OWNER.store(if closed.is_ok() { process } else { owner }, Ordering::Release);
        return closed;
    }
}

fn close_listed() -> io::Result<()> {
    let inodes = entries().iter().map(|entry| entry.load(Ordering::Acquire)).filter(|inode| *inode != 0).collect();
    imp::close(&inodes)?;
    entries().iter().for_each(|entry| entry.store(0, Ordering::Release));
    FREE.store(0, Ordering::Relaxed);
    super::raise::forget();
    Ok(())
}

#[cfg(all(feature = "native", target_os = "linux"))]
mod imp {
    use std::collections::BTreeSet;
    use std::io;
    use std::os::fd::{AsFd, RawFd};

    /// The inode of an open socket. It has one as long as it is open.
    pub(super) fn inode(socket: &impl AsFd) -> u64 {
        rustix::fs::fstat(socket).map_or(0, |status| status.st_ino)
    }

    /// Closes every descriptor of these sockets.
    pub(super) fn close(inodes: &BTreeSet<u64>) -> io::Result<()> {
        if inodes.is_empty() {
            return Ok(());
        }
        let is_listed = |descriptor: &RawFd| socket_behind(*descriptor).is_some_and(|inode| inodes.contains(&inode));
        // The list is read to its end first: it has a descriptor of its own.
        let listed: Vec<RawFd> = std::fs::read_dir("/proc/self/fd")?
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(is_listed)
            .collect();
        for descriptor in listed.into_iter().filter(is_listed) {
            nix::unistd::close(descriptor)?;
        }
        Ok(())
    }

    /// The inode of the socket behind a descriptor, if there is one.
    fn socket_behind(descriptor: RawFd) -> Option<u64> {
        let link = std::fs::read_link(format!("/proc/self/fd/{descriptor}")).ok()?;
        link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    }
}

#[cfg(not(all(feature = "native", target_os = "linux")))]
mod imp {
    use std::collections::BTreeSet;
    use std::io;
    use std::os::fd::AsFd;

    /// Only that there is one: nothing can be closed by its number here.
    pub(super) fn inode(_: &impl AsFd) -> u64 {
        1
    }

    pub(super) fn close(inodes: &BTreeSet<u64>) -> io::Result<()> {
        if inodes.is_empty() { Ok(()) } else { Err(io::ErrorKind::Unsupported.into()) }
    }
}

#[cfg(all(test, feature = "native", target_os = "linux"))]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    fn is_listed(inode: u64) -> bool {
        entries().iter().any(|entry| entry.load(Ordering::Acquire) == inode)
    }

    #[test]
    fn a_socket_is_listed_as_long_as_it_is_open() {
        let sockets: Vec<_> = (0..100).map(|_| Owned::new(UdpSocket::bind("127.0.0.1:0").unwrap())).collect();
        let inodes: Vec<_> = sockets.iter().map(|socket| imp::inode(&**socket)).collect();
        assert!(inodes.iter().all(|inode| is_listed(*inode)));
        let moved: Vec<_> =
            sockets.into_iter().map(|socket| socket.map(|socket| socket.try_clone().unwrap())).collect();
        assert!(inodes.iter().all(|inode| is_listed(*inode)), "the same socket on another descriptor");
        drop(moved);
        assert!(!inodes.iter().any(|inode| is_listed(*inode)));
    }

    #[test]
    fn the_process_that_made_its_sockets_closes_none() {
        let socket = Owned::new(UdpSocket::bind("127.0.0.1:0").unwrap());
        for _ in 0..2 {
            close_inherited().unwrap();
            assert!(is_listed(imp::inode(&*socket)));
            socket.local_addr().unwrap();
        }
    }
}
