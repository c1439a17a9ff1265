//! The socket of a membership as a mailbox: what a supervisor puts into it stays there when that supervisor is no more.

use std::io;
use std::os::unix::net::UnixDatagram;

use crate::ident::InstanceId;
use crate::wire::Notice;

/// More than a mailbox holds, so that a sender that never pauses keeps nobody here.
#[cfg(feature = "native")]
const MOST: usize = 1024;

/// Lets the socket take notices, and asks the kernel to say of each whose process sent it.
#[cfg(feature = "native")]
pub(super) fn open(socket: &UnixDatagram) -> io::Result<()> {
    rustix::net::sockopt::set_socket_passcred(socket, true)?;
    // How many datagrams wait is the kernel's limit; they are charged to those that send them.
    socket.set_nonblocking(true)
}

/// Nobody can tell here who has sent a datagram: whoever sends one gets an error.
#[cfg(not(feature = "native"))]
pub(super) fn open(socket: &UnixDatagram) -> io::Result<()> {
    socket.shutdown(std::net::Shutdown::Read)
}

/// Takes what has come, up to a notice to this id by a process of the same user; counts what is none.
#[cfg(feature = "native")]
pub(super) fn take(socket: &UnixDatagram, id: InstanceId, others: &mut usize) -> Option<Notice> {
    use std::mem::MaybeUninit;

    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

    let user = rustix::process::geteuid();
    for _ in 0..MOST {
        // One byte more than a notice has, to see that a datagram is longer.
        let mut bytes = [0; Notice::LENGTH + 1];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let received = recvmsg(socket, &mut [io::IoSliceMut::new(&mut bytes)], &mut control, flags).ok()?;
        // Descriptors that come with it are closed here.
        let is_own = control.drain().fold(false, |is_own, message| match message {
            RecvAncillaryMessage::ScmCredentials(sender) => sender.uid == user,
            _ => is_own,
        });
        match Notice::decode(&bytes[..received.bytes]) {
            Some(notice) if is_own && notice.id == id => return Some(notice),
            _ => *others += 1,
        }
    }
    None
}

#[cfg(not(feature = "native"))]
pub(super) fn take(_: &UnixDatagram, _: InstanceId, _: &mut usize) -> Option<Notice> {
    None
}

/// Sends a datagram from the own socket to an abstract name, in the name of the effective user: the groups are that one's.
#[cfg(feature = "native")]
pub(super) fn send(own: &UnixDatagram, name: &[u8], bytes: &[u8]) -> io::Result<()> {
    use std::mem::MaybeUninit;

    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, UCred, sendmsg_addr};
    use rustix::process::{getegid, geteuid, getpid};

    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmCredentials(UCred { pid: getpid(), uid: geteuid(), gid: getegid() }));
    let to = SocketAddrUnix::new_abstract_name(name)?;
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    sendmsg_addr(own, &to, &[io::IoSlice::new(bytes)], &mut control, flags)?;
    Ok(())
}

/// The same in the name of the real user, which the kernel adds by itself.
#[cfg(not(feature = "native"))]
pub(super) fn send(own: &UnixDatagram, name: &[u8], bytes: &[u8]) -> io::Result<()> {
    #[cfg(target_os = "android")]
    use std::os::android::net::SocketAddrExt;
    #[cfg(target_os = "linux")]
    use std::os::linux::net::SocketAddrExt;

    let to = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
    own.send_to_addr(bytes, &to).map(drop)
}

#[cfg(all(test, feature = "native"))]
mod tests;
