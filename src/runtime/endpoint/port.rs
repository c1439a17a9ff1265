//! The default port of a group, and the ports that the kernel gives away by itself.

use std::io;
use std::ops::RangeInclusive;

use crate::ident::Name;

/// The first default port.
pub(crate) const FIRST: u16 = 10_240;

/// The last default port. Above it, on most machines, begin the ports from which the kernel picks the source ports of
/// outgoing connections: there a stranger's connection can own the port, and a connect can be connected to itself.
pub(crate) const LAST: u16 = 32_767;

/// The port of this group of this user, unless the program chose one.
///
/// It must never change: two releases that compute different ports would elect two supervisors. Hence a hash that is
/// written down here, FNV-1a with 64 bits, over the user, a zero byte and the name.
pub(crate) fn default_port(group: &Name, user: &str) -> u16 {
    let bytes = user.bytes().chain([0]).chain(group.as_str().bytes());
    let hash = bytes
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    // The cast is exact: the remainder is below the number of ports.
    FIRST + (hash % u64::from(LAST - FIRST + 1)) as u16
}

/// Who runs this process, for [`default_port`]: the effective user id, in decimal.
///
/// Read from the owner of a new pipe, which the kernel sets to the user that made it. That needs neither a path nor an
/// environment that can be wrong after `su`, nor the feature `native`: builds with and without it must agree.
///
/// # Errors
///
/// No pipe could be made.
#[cfg(unix)]
pub(crate) fn user() -> io::Result<String> {
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::MetadataExt;

    let (reader, _) = io::pipe()?;
    let file = std::fs::File::from(OwnedFd::from(reader));
    Ok(file.metadata()?.uid().to_string())
}

/// The ports from which the kernel picks source ports, where it says so.
///
/// For the words of an error: a port within it can be taken by anybody's outgoing connection. Some machines are set up
/// with nearly all ports in it, so that no default port is safe from that.
pub(crate) fn ephemeral_range() -> Option<RangeInclusive<u16>> {
    parse_range(&std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?)
}

fn parse_range(text: &str) -> Option<RangeInclusive<u16>> {
    let mut numbers = text.split_whitespace().map(str::parse);
    match (numbers.next(), numbers.next(), numbers.next()) {
        (Some(Ok(first)), Some(Ok(last)), None) if first <= last => Some(first..=last),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(group: &str, user: &str) -> u16 {
        default_port(&Name::new(group).unwrap(), user)
    }

    #[test]
    fn default_ports_never_change() {
        for (group, user, expected) in [
            ("photo-sync", "1000", 15_952),
            ("photo-sync", "0", 22_681),
            ("a", "1000", 27_607),
            ("photo sync ☂", "1000", 22_243),
        ] {
            assert_eq!(port(group, user), expected, "{group} of {user}");
        }
    }

    #[test]
    fn default_ports_are_in_their_range_and_spread() {
        let mut ports: Vec<u16> = (0..2_000).map(|n| port(&format!("group {n}"), "1000")).collect();
        assert!(ports.iter().all(|port| (FIRST..=LAST).contains(port)));
        ports.sort_unstable();
        ports.dedup();
        // 2000 of 22528: about 86 pairs that meet are expected.
        assert!(ports.len() > 1_850, "{}", ports.len());
    }

    #[cfg(unix)]
    #[test]
    fn the_user_is_a_number_and_always_the_same() {
        let first = user().unwrap();
        assert!(first.parse::<u32>().is_ok(), "{first}");
        assert_eq!(user().unwrap(), first);
    }

    #[cfg(all(unix, feature = "native"))]
    #[test]
    fn the_owner_of_a_pipe_is_the_effective_user() {
        assert_eq!(user().unwrap(), rustix::process::geteuid().as_raw().to_string());
    }

    #[test]
    fn a_port_range_is_two_numbers_in_order() {
        for (text, range) in [
            ("32768\t60999\n", Some(32_768..=60_999)),
            ("1024 65535", Some(1_024..=65_535)),
            ("", None),
            ("1", None),
            ("2 1", None),
            ("1 2 3", None),
            ("0 70000", None),
        ] {
            assert_eq!(parse_range(text), range, "{text:?}");
        }
    }
}
