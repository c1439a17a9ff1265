//! What the tests of this module need of the machine.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use super::endpoint::port;

/// A port that the kernel says is free for TCP and for UDP.
///
/// Not by binding port 0: such a port could be handed to anybody else between that and its use here. So a random one
/// outside the range from which the kernel gives ports away, if there is such a range.
pub(crate) fn free_port() -> u16 {
    let ephemeral = port::ephemeral_range();
    loop {
        let span = port::LAST - port::FIRST + 1;
        let candidate = port::FIRST + (RandomState::new().hash_one(()) % u64::from(span)) as u16;
        let usable = ephemeral.as_ref().is_none_or(|range| !range.contains(&candidate) || range.len() > 50_000);
        let address = (Ipv4Addr::LOCALHOST, candidate);
        if usable && TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return candidate;
        }
    }
}

/// Asks until it is so. The limit only ends a test that has failed; nothing is measured by it.
pub(crate) fn eventually(mut so: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(20) {
        if so() {
            return true;
        }
        std::thread::yield_now();
    }
    false
}
