//! What the kernel says about processes and connections.

use std::collections::BTreeMap;

/// One connection, or listener, on the loopback address as `/proc/net/tcp` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    pub local: u16,
    pub remote: u16,
    pub state: State,
    pub unsent: u64,
    pub unread: u64,
    /// Whether the kernel will do something about it by itself: retransmit, probe, keep alive.
    pub timer: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Established,
    Listening,
    /// By this end, and then by the other; the kernel remembers it for a minute.
    Closed,
    Other,
}

impl Connection {
    /// The port at the end that is not this one.
    pub fn other_than(&self, port: u16) -> u16 {
        if self.local == port { self.remote } else { self.local }
    }
}

/// All connections that have this port at one end.
pub fn connections(port: u16) -> Vec<Connection> {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's table of connections");
    let hex = |text: &str| u64::from_str_radix(text, 16).expect("a hexadecimal number");
    let pair = |text: &str| text.split_once(':').map(|(a, b)| (hex(a), hex(b))).expect("two numbers");
    let row = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (unsent, unread) = pair(fields[4]);
        Connection {
            local: pair(fields[1]).1 as u16,
            remote: pair(fields[2]).1 as u16,
            state: match fields[3] {
                "01" => State::Established,
                "0A" => State::Listening,
                "06" => State::Closed,
                _ => State::Other,
            },
            unsent,
            unread,
            timer: pair(fields[5]).0 != 0,
        }
    };
    let all = table.lines().skip(1).map(row);
    all.filter(|connection| connection.local == port || connection.remote == port).collect()
}

pub fn is_listened_on(port: u16) -> bool {
    connections(port).iter().any(|connection| connection.local == port && connection.state == State::Listening)
}

/// How often each thread of a process was switched away from, for whatever reason.
pub fn switches(pid: u32) -> BTreeMap<u32, (String, u64)> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("the threads of a living process");
    let one = |task: std::io::Result<std::fs::DirEntry>| {
        let task = task.ok()?;
        let status = std::fs::read_to_string(task.path().join("status")).ok()?;
        let value = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let count = |name| value(name).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        let sum = count("voluntary_ctxt_switches:") + count("nonvoluntary_ctxt_switches:");
        let thread = task.file_name().to_str()?.parse().ok()?;
        Some((thread, (value("Name:").unwrap_or_default().to_owned(), sum)))
    };
    tasks.filter_map(one).collect()
}

/// Whether every thread of the process has been stopped.
pub fn is_stopped(pid: u32) -> bool {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    let state = |path: std::path::PathBuf| {
        let stat = std::fs::read_to_string(path.join("stat")).unwrap_or_default();
        // The name before it is in brackets and may contain anything.
        stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next())
    };
    tasks.flatten().all(|task| state(task.path()) == Some('T'))
}

/// A counter of the kernel's TCP from `/proc/net/netstat` of this process's network namespace.
pub fn counter(name: &str) -> u64 {
    let table = std::fs::read_to_string("/proc/net/netstat").expect("the kernel's counters");
    let mut lines = table.lines().filter(|line| line.starts_with("TcpExt:"));
    let names = lines.next().unwrap_or_default().split_whitespace();
    let values = lines.next().unwrap_or_default().split_whitespace();
    let found = names.zip(values).find(|(this, _)| *this == name);
    found.and_then(|(_, value)| value.parse().ok()).unwrap_or_else(|| panic!("no counter {name}"))
}

/// A number of kilobytes, or of anything else, from what the kernel says of a process.
pub fn status_of(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a living process");
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = value.and_then(|value| value.split_whitespace().next()?.parse().ok());
    number.unwrap_or_else(|| panic!("the kernel does not tell {name}"))
}

/// The abstract names of the sockets by which an instance shows that it is a member.
pub fn memberships(port: u16, id: &str) -> Vec<String> {
    let list = std::fs::read_to_string("/proc/net/unix").expect("the kernel's list");
    let prefix = format!("@bellwether/{port}/{id}/m/");
    let names = list.lines().filter_map(|line| line.rsplit(' ').next());
    names.filter(|name| name.starts_with(&prefix)).map(|name| name[1..].to_owned()).collect()
}

/// Sends a datagram to a socket with an abstract name, if there is room for it.
pub fn shout(name: &str, bytes: &[u8]) -> std::io::Result<()> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(bytes, &SocketAddr::from_abstract_name(name)?).map(drop)
}
