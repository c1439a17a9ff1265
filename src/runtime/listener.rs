//! Which process listens on the supervisor port, for the error that names it.
//!
//! Reads what the kernel shows this user in `/proc`; what cannot be read is unknown. Takes milliseconds, so it is asked only
//! when the error is made, under no lock.

use crate::error::Listener;

/// The process that listens on this port of 127.0.0.1; `None` if there is none, or it cannot be told.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn find(port: u16) -> Option<Listener> {
    let listening = |list: &str| linux::listening(&std::fs::read_to_string(list).ok()?, port);
    let inode = listening("/proc/net/tcp").or_else(|| listening("/proc/net/tcp6"))?;
    // Names are any bytes.
    let shown = linux::shown(&std::fs::read("/proc/net/unix").unwrap_or_default(), port);
    std::fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let inodes = linux::sockets(pid);
        inodes.contains(&inode).then(|| Listener {
            pid,
            program: linux::program(pid).unwrap_or_else(|| "unknown".to_owned()),
            is_instance: inodes.iter().any(|inode| shown.contains(inode)),
            stands_still: linux::stands_still(pid),
        })
    })
}

/// The process that listens on this port; here it cannot be told.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn find(_: u16) -> Option<Listener> {
    None
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod linux {
    use std::collections::BTreeSet;
    use std::fs;

    /// The inode of the socket that listens on this port, in the list of `/proc/net/tcp` or `/proc/net/tcp6`.
    pub(super) fn listening(list: &str, port: u16) -> Option<u64> {
        /// 127.0.0.1 and any address, as they are, as IPv6 addresses, and the latter of IPv6 alone.
        const LOCALS: [&str; 5] = [
            "0100007F",
            "00000000",
            "0000000000000000FFFF00000100007F",
            "0000000000000000FFFF000000000000",
            "00000000000000000000000000000000",
        ];
        let locals = LOCALS.map(|address| format!("{address}:{port:04X}"));
        // The state 0A is that of a listener.
        list.lines().find_map(|line| {
            let fields: Vec<_> = line.split_ascii_whitespace().collect();
            let listens =
                locals.iter().any(|local| fields.get(1) == Some(&local.as_str())) && fields.get(3) == Some(&"0A");
            listens.then(|| fields.get(9)?.parse().ok())?
        })
    }

    /// The inodes of the sockets by which instances on this port show that they live, in the list of `/proc/net/unix`.
    pub(super) fn shown(list: &[u8], port: u16) -> BTreeSet<u64> {
        let group = format!(" @bellwether/{port}/");
        let lines = list.split(|byte| *byte == b'\n').map(String::from_utf8_lossy);
        let inode = |line: &str| line.split_ascii_whitespace().nth(6)?.parse().ok();
        lines.filter(|line| line.contains(&group)).filter_map(|line| inode(&line)).collect()
    }

    /// The inodes of the sockets of a process, none if it is another user's.
    pub(super) fn sockets(pid: u32) -> BTreeSet<u64> {
        let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else { return BTreeSet::new() };
        let inode = |entry: fs::DirEntry| {
            let target = fs::read_link(entry.path()).ok()?;
            target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
        };
        open.flatten().filter_map(inode).collect()
    }

    /// The file name of its program, or what it calls itself.
    pub(super) fn program(pid: u32) -> Option<String> {
        let file = fs::read_link(format!("/proc/{pid}/exe")).ok();
        let name = file.as_deref().and_then(|file| Some(file.file_name()?.to_string_lossy().into_owned()));
        name.or_else(|| Some(fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim_end().to_owned()))
    }

    pub(super) fn stands_still(pid: u32) -> bool {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        matches!(state(&stat), Some('T' | 't' | 'D'))
    }

    /// The state of a process, in its `stat`: behind its name, which may have any character in it.
    pub(super) fn state(stat: &str) -> Option<char> {
        stat.rsplit_once(") ")?.1.chars().next()
    }
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests {
    use std::collections::BTreeSet;
    use std::net::TcpListener;

    use super::{find, linux};

    #[test]
    fn a_listener_of_this_process_is_found_and_is_no_instance() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let found = find(port).expect("this process listens");
        assert_eq!((found.pid, found.is_instance, found.stands_still), (std::process::id(), false, false));
        let own = std::env::current_exe().expect("a program");
        assert_eq!(Some(found.program.as_ref()), own.file_name());
        drop(listener);
        assert_eq!(find(port), None);
    }

    #[test]
    fn a_listener_of_every_address_of_both_kinds_is_found() {
        // Where the machine has no IPv6 there is none to be found.
        let Ok(listener) = TcpListener::bind("[::]:0") else { return };
        let port = listener.local_addr().expect("its address").port();
        assert_eq!(find(port).expect("this process listens").pid, std::process::id());
    }

    #[test]
    fn only_a_listener_counts_and_only_on_this_port() {
        let list = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            \x20  0: 0100007F:5000 0100007F:1234 01 00000000:00000000 00:00000000 00000000  1000        0 11 1 0 20\n\
            \x20  1: 0100007F:5001 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 12 1 0 20\n\
            \x20  2: 0100007F:5000 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 13 1 0 20\n\
            \x20  3: 00000000:5002 00000000:0000 0A\n";
        assert_eq!(linux::listening(list, 0x5000), Some(13));
        assert_eq!(linux::listening(list, 0x5001), Some(12));
        assert_eq!(linux::listening(list, 0x5002), None, "a line that is cut off");
        assert_eq!(linux::listening("", 0x5000), None);
    }

    #[test]
    fn names_of_other_ports_and_other_programs_show_no_instance() {
        let list = b"Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000: 00000002 00000000 00000000 0002 01 21 @bellwether/77/0000000000000001\n\
            0000: 00000002 00000000 00000000 0002 01 22 @bellwether/777/0000000000000001\n\
            0000: 00000002 00000000 00000000 0002 01 23 @other\xff\n\
            @bellwether/77/\n";
        assert_eq!(linux::shown(list, 77), BTreeSet::from([21]));
    }

    #[test]
    fn the_state_is_behind_a_name_that_may_look_like_one() {
        assert_eq!(linux::state("12 (a) T) S 1 2"), Some('S'));
        assert_eq!(linux::state("12 (name) T 1"), Some('T'));
        assert_eq!(linux::state(""), None);
    }
}
