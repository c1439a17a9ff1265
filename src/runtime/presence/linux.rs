//! Presence by abstract Unix datagram sockets: `bellwether/<port>/<id>`, and the same with `/m/<tag>` for a membership.
//!
//! A membership gets another tag whenever its owner says hello to a supervisor, and the one that the last reign knew goes
//! only when the owner is part of the next: so an instance that said hello to anybody always shows a name that nobody can
//! have noted before, and a roll call that everybody says hello after finds few sockets being closed.
//!
//! Their names have the scope of the port, the network namespace; they need no file and no right, and nobody has to clean
//! up after a crash.

use std::collections::BTreeSet;
use std::io;
#[cfg(target_os = "android")]
use std::os::android::net::SocketAddrExt;
#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use super::{RollCall, persist};
use crate::ident::{InstanceId, Tag};
use crate::runtime::clock;
use crate::runtime::endpoint::inherit::Owned;
use crate::runtime::endpoint::raise::{Height, raise};
use crate::wire::Notice;

mod mailbox;

/// The sockets of one instance.
#[derive(Debug)]
pub(super) struct Sockets {
    /// Closed first, so that nobody is listed who cannot be asked for.
    memberships: Vec<Membership>,
    presence: Owned<UnixDatagram>,
}

/// At most two: that of the last reign, and that of the last hello.
#[derive(Debug)]
struct Membership {
    tag: Tag,
    socket: Owned<UnixDatagram>,
}

impl Sockets {
    pub(super) fn bind(port: u16, id: InstanceId) -> io::Result<Self> {
        let presence = bind_high(&presence_name(port, id))?;
        // It is never read: whoever sends to it gets an error instead of filling it.
        presence.shutdown(std::net::Shutdown::Read)?;
        // It sends, and never waits until a mailbox has room.
        presence.set_nonblocking(true)?;
        Ok(Self { memberships: Vec::new(), presence })
    }

    pub(super) fn join(&mut self, port: u16, id: InstanceId) -> io::Result<()> {
        if self.memberships.is_empty() {
            self.show_another(port, id)?;
        }
        self.memberships.drain(..self.memberships.len() - 1);
        Ok(())
    }

    pub(super) fn show_another(&mut self, port: u16, id: InstanceId) -> io::Result<()> {
        let tag = Tag::new(clock::chance());
        // There before the one of an older hello goes. The first one stays in any case: as long as it does, all who saw it
        // know that the instance lives.
        let socket = bind_high(&membership_name(port, id, tag))?;
        mailbox::open(&socket)?;
        self.memberships.truncate(1);
        self.memberships.push(Membership { tag, socket });
        Ok(())
    }

    pub(super) fn raise(self) -> Self {
        let raise = |socket: Owned<UnixDatagram>| socket.map(|socket| raise(socket, Height::Presence));
        let memberships = self.memberships.into_iter();
        let memberships = memberships.map(|shown| Membership { socket: raise(shown.socket), ..shown }).collect();
        Self { memberships, presence: raise(self.presence) }
    }

    pub(super) fn leave(&mut self) {
        self.memberships.clear();
    }

    /// Takes what lies in its mailboxes. The notice to this id, if there was one, and how much was none.
    pub(super) fn take_notice(&self, id: InstanceId) -> (Option<Notice>, usize) {
        let mut others = 0;
        let found = self.memberships.iter().find_map(|shown| mailbox::take(&shown.socket, id, &mut others));
        (found, others)
    }

    /// Sends a notice to the memberships with these tags.
    pub(super) fn notify(&self, port: u16, tags: &[Tag], notice: &Notice) -> io::Result<()> {
        // What waits in a mailbox is charged to the socket that sent it: one socket could send only some hundred notices
        // to members that stand still. The presence serves where there is no descriptor for another one.
        let own = UnixDatagram::unbound().and_then(|own| own.set_nonblocking(true).map(|()| own)).map(Owned::new);
        let own = own.as_ref().unwrap_or(&self.presence);
        let mut outcome = Err(io::ErrorKind::NotFound.into());
        for tag in tags {
            let name = membership_name(port, notice.id, *tag);
            // One is enough: it looks into all of them.
            outcome = outcome.and(Ok(())).or(mailbox::send(own, name.as_bytes(), &notice.encode()));
        }
        outcome
    }

    pub(super) const fn is_member(&self) -> bool {
        !self.memberships.is_empty()
    }

    pub(super) fn tags(&self) -> Vec<Tag> {
        self.memberships.iter().map(|shown| shown.tag).collect()
    }
}

fn presence_name(port: u16, id: InstanceId) -> String {
    format!("bellwether/{port}/{id}")
}

fn membership_name(port: u16, id: InstanceId, tag: Tag) -> String {
    format!("bellwether/{port}/{id}/m/{tag}")
}

fn bind(name: &str) -> io::Result<Owned<UnixDatagram>> {
    UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name)?).map(Owned::new)
}

fn bind_high(name: &str) -> io::Result<Owned<UnixDatagram>> {
    Ok(persist(|| bind(name))?.map(|socket| raise(socket, Height::Presence)))
}

/// Whether no socket has this name. Any number of instances can ask at once, since connecting to a name does not take it.
fn is_free(name: &str) -> bool {
    let Ok(address) = SocketAddr::from_abstract_name(name) else { return false };
    match UnixDatagram::unbound().map(Owned::new).and_then(|socket| socket.connect_addr(&address)) {
        Ok(()) => false,
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => true,
        // A sandbox may forbid connections beyond itself (Landlock does) and still let a free name be taken.
        Err(_) => bind(name).is_ok(),
    }
}

pub(super) fn presence_gone(port: u16, id: InstanceId) -> bool {
    is_free(&presence_name(port, id))
}

pub(super) fn membership_gone(port: u16, id: InstanceId, tags: &[Tag]) -> bool {
    !tags.is_empty() && tags.iter().all(|tag| is_free(&membership_name(port, id, *tag)))
}

/// Reads the list of all Unix sockets. `own` is who asks and what it shows.
pub(super) fn roll_call(port: u16, own: Option<(InstanceId, Vec<Tag>)>) -> Result<RollCall, String> {
    match read_all(port, || std::fs::read("/proc/net/unix")) {
        Ok(found) if own.is_none_or(|(id, tags)| found.shows(id, &tags)) => {
            Ok(RollCall::Everyone(found.members.into_iter().collect()))
        }
        Ok(_) => Err("/proc/net/unix does not list this instance: it is not trusted".to_owned()),
        Err(error) => Err(format!("/proc/net/unix cannot be read: {error}")),
    }
}

/// The memberships that this instance shows.
pub(super) fn tags_of(port: u16, id: InstanceId) -> io::Result<Vec<Tag>> {
    let found = read_all(port, || std::fs::read("/proc/net/unix"))?;
    Ok(found.members.into_iter().filter(|(shown, _)| *shown == id).map(|(_, tag)| tag).collect())
}

/// The most readings of one roll call.
const READINGS: usize = 8;

/// Reads until a reading shows no member that those before had not shown, at least twice.
///
/// One reading can miss a socket that exists all the time. The kernel gives the list away in pieces of 4 KiB and finds
/// the next piece by counting within a chain of its hash table: a socket that is closed between two pieces, further up in
/// the chain that the cut is in, makes it skip another one. A second reading would have to meet the same accident for
/// the same socket.
fn read_all(port: u16, mut read: impl FnMut() -> io::Result<Vec<u8>>) -> io::Result<Found> {
    let mut found = Found::default();
    for reading in 0..READINGS {
        let before = found.members.len();
        found.add(port, &read()?);
        if reading > 0 && found.members.len() == before {
            break;
        }
    }
    Ok(found)
}

/// What the list of Unix sockets shows of one group.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    present: BTreeSet<InstanceId>,
    members: BTreeSet<(InstanceId, Tag)>,
}

impl Found {
    /// Whether it shows what the one who asks holds. If not, it is not the list of this network namespace, or not one.
    fn shows(&self, id: InstanceId, tags: &[Tag]) -> bool {
        self.present.contains(&id) && tags.iter().all(|tag| self.members.contains(&(id, *tag)))
    }

    /// Adds what one reading shows. Lines that are not exactly of this group are skipped: any program can choose any
    /// name, with line feeds and bytes that are not UTF-8. A line forged so costs one test of a name that is free.
    fn add(&mut self, port: u16, list: &[u8]) {
        let group = format!("@bellwether/{port}/");
        for line in list.split(|byte| *byte == b'\n') {
            let Some(rest) = path(line).and_then(|path| path.strip_prefix(group.as_bytes())) else { continue };
            let Some((id, rest)) = rest.split_at_checked(16) else { continue };
            let Some(id) = number(id).map(InstanceId::new) else { continue };
            match rest.strip_prefix(b"/m/") {
                Some(tag) => self.members.extend(number(tag).map(|tag| (id, Tag::new(tag)))),
                None if rest.is_empty() => drop(self.present.insert(id)),
                None => {}
            }
        }
    }
}

/// The number that is written so: sixteen digits, in lower case.
fn number(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    let number = u64::from_str_radix(text, 16).ok()?;
    // Written again, since the same number can be read from digits of another case, or after a sign.
    (format!("{number:016x}") == text).then_some(number)
}

/// The path in a line of a datagram socket: `<address>: <references> <protocol> <flags> <type> <state> <inode> <path>`.
fn path(line: &[u8]) -> Option<&[u8]> {
    let mut rest = line;
    for field in 0..7 {
        rest = rest.trim_ascii_start();
        let end = rest.iter().position(|byte| *byte == b' ')?;
        // The type of the socket: names of other types do not keep anybody from binding ours.
        if field == 4 && &rest[..end] != b"0002" {
            return None;
        }
        rest = &rest[end..];
    }
    rest.strip_prefix(b" ")
}

#[cfg(test)]
mod tests;
