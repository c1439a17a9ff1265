//! Presence by loopback UDP sockets, for systems whose kernel cannot list names.
//!
//! The presence is a socket on a port that the kernel picked. When its holder is gone the port can be given to a stranger,
//! who then seems to be the holder: the instance is waited for up to the limit, and nothing is taken from anybody.
//!
//! The membership is a socket on the supervisor's port, where all members have one, since all allow the others to share
//! it. Whoever does not allow that can bind there only when nobody at all is left.

use std::io;
use std::net::UdpSocket;

use socket2::{Domain, Protocol, Socket, Type};

use super::{RollCall, persist};
use crate::runtime::endpoint::address;
use crate::runtime::endpoint::inherit::Owned;
use crate::runtime::endpoint::raise::{Height, raise};

/// The sockets of one instance.
#[derive(Debug)]
pub(super) struct Sockets {
    membership: Option<Owned<UdpSocket>>,
    presence: Owned<UdpSocket>,
    udp_port: u16,
}

impl Sockets {
    pub(super) fn bind() -> io::Result<Self> {
        let presence = hold(alone(0)?)?;
        let udp_port = presence.local_addr()?.port();
        Ok(Self { membership: None, presence, udp_port })
    }

    pub(super) const fn udp_port(&self) -> u16 {
        self.udp_port
    }

    pub(super) fn join(&mut self, port: u16) -> io::Result<()> {
        if self.membership.is_none() {
            self.membership = Some(hold(persist(|| shared(port))?)?);
        }
        Ok(())
    }

    pub(super) fn raise(self) -> Self {
        let raise = |socket: Owned<UdpSocket>| socket.map(|socket| raise(socket, Height::Presence));
        Self { membership: self.membership.map(raise), presence: raise(self.presence), ..self }
    }

    pub(super) fn leave(&mut self) {
        self.membership = None;
    }

    pub(super) const fn is_member(&self) -> bool {
        self.membership.is_some()
    }
}

fn hold(socket: Owned<UdpSocket>) -> io::Result<Owned<UdpSocket>> {
    // It is never read: keep little of what strangers send to it. The kernel rounds up to its least.
    socket2::SockRef::from(&*socket).set_recv_buffer_size(1)?;
    Ok(socket.map(|socket| raise(socket, Height::Presence)))
}

/// Binds if nobody else is bound there.
fn alone(port: u16) -> io::Result<Owned<UdpSocket>> {
    UdpSocket::bind(address(port)).map(Owned::new)
}

/// Binds if everybody else who is bound there shares the port as well.
fn shared(port: u16) -> io::Result<Owned<UdpSocket>> {
    let socket = Owned::new(Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?);
    // On Linux this option is enough to share an address; elsewhere on Unix it is not, and the other one is needed.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_reuse_address(true)?;
    #[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
    socket.set_reuse_port(true)?;
    socket.bind(&address(port).into())?;
    Ok(socket.map(UdpSocket::from))
}

/// How often a port that is in use is tried: another instance may be testing it, which takes some microseconds.
const TRIES: u32 = 4;

pub(super) fn presence_gone(udp_port: u16) -> bool {
    // Port 0 would mean any port, which can always be bound: that says nothing about anybody.
    udp_port != 0
        && (0..TRIES).any(|_| {
            let is_free = alone(udp_port).is_ok();
            if !is_free {
                std::thread::yield_now();
            }
            is_free
        })
}

/// Whether anybody else has a membership. The own one is given up for the test and taken again.
pub(super) fn roll_call(port: u16, mut own: Option<&mut Sockets>) -> Result<RollCall, String> {
    let member = own.as_ref().is_some_and(|own| own.is_member());
    if let Some(own) = &mut own {
        own.leave();
    }
    let answer = match alone(port) {
        Ok(_) => Ok(RollCall::Somebody(false)),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(RollCall::Somebody(true)),
        Err(error) => Err(format!("UDP port {port} cannot be tested: {error}")),
    };
    if let Some(own) = own.filter(|_| member)
        && let Err(error) = own.join(port)
    {
        return Err(format!("UDP port {port} cannot be shared again: {error}"));
    }
    answer
}
