//! Connections whose handshake is not accepted yet: how long each may take, how much it may bring, and which one goes when
//! there are too many of them.
//!
//! A member says everything at once and goes on bringing names and claims until all is said, so that it is neither silent
//! nor without progress for long. Everything else on the port is sent away in time and costs little until then.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::submission::Weight;
use super::supervisor::LinkId;
use crate::wire::frame::LIMIT_BEFORE_ACCEPTANCE;

/// The connections of one supervisor whose handshake is not accepted yet. All times are the supervisor's own running time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handshakes {
    now: Duration,
    all: BTreeMap<LinkId, Handshake>,
    /// In the order in which they are dropped when there are too many.
    order: BTreeSet<Rank>,
    /// The same, of those that cost memory.
    costly: BTreeSet<Rank>,
    deadlines: BTreeSet<(Duration, LinkId)>,
    bytes: usize,
}

/// Silent connections come first, and of either sort the one that has made no progress for longest.
type Rank = (bool, Duration, LinkId);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Handshake {
    began: Duration,
    /// Whether a whole frame has come.
    spoke: bool,
    /// When it last brought something new.
    progressed: Duration,
    weight: Weight,
    received: usize,
    frames: usize,
    /// The bytes that are kept of it.
    kept: usize,
}

/// What came on a connection at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// How many bytes.
    pub received: usize,
    /// How many frames they completed.
    pub frames: usize,
    /// How many bytes are allocated for the frame that is not complete.
    pub buffered: usize,
    /// What the handshake has brought so far.
    pub weight: Weight,
}

/// A connection that has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excess {
    /// Which.
    pub link: LinkId,
    /// Whether it may be a running member's: it has brought something not long ago.
    pub may_be_a_member: bool,
}

impl Handshakes {
    /// How many there are at most.
    pub const COUNT_LIMIT: usize = 4096;
    /// How many bytes all of them may cost together. A member with [`CLAIM_LIMIT`](super::grants::Grants::CLAIM_LIMIT)
    /// claims takes half of it.
    pub const BYTES_LIMIT: usize = 64 << 20;
    /// How long a handshake may take that brings nothing, and how long it may pause at any time.
    pub const PATIENCE: Duration = Duration::from_secs(5);
    /// How much longer it may take for each name, claim or arrival that it brings: a thousand of them a second is the
    /// least progress.
    pub const PER_ITEM: Duration = Duration::from_millis(1);
    /// How many frames may bring nothing.
    const IDLE_FRAMES: usize = 256;
    /// How many bytes may bring nothing: two of the largest frames, on their way or with little in them.
    const IDLE_BYTES: usize = 2 * (LIMIT_BEFORE_ACCEPTANCE + 4);
    /// The most bytes that an item takes: a claim with a name of 128 bytes takes fewer.
    const ITEM_BYTES: usize = 192;
    /// The longest time that counts at once: a process that stood still did not run.
    const SLICE: Duration = Duration::from_millis(100);
    /// A running member that has begun to speak goes on within this.
    const PAUSE: Duration = Duration::from_secs(1);

    /// A connection was accepted.
    pub fn begin(&mut self, link: LinkId) {
        let handshake = Handshake { began: self.now, progressed: self.now, ..Handshake::default() };
        self.insert(link, handshake);
    }

    /// A connection is accepted as a member's, refused, or has ended.
    pub fn end(&mut self, link: LinkId) {
        self.remove(link);
    }

    /// So much time has passed since the last call.
    pub fn pass(&mut self, time: Duration) {
        self.now += time.min(Self::SLICE);
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Takes note of what came on a connection.
    ///
    /// # Errors
    ///
    /// More came than what it brought can have taken; the sentence is for the peer.
    pub fn heard(&mut self, link: LinkId, heard: Heard) -> Result<(), &'static str> {
        let Some(mut handshake) = self.remove(link) else { return Ok(()) };
        if heard.weight.items > handshake.weight.items || !handshake.spoke && heard.frames > 0 {
            handshake.progressed = self.now;
        }
        handshake.spoke |= heard.frames > 0;
        handshake.received += heard.received;
        handshake.frames += heard.frames;
        handshake.weight = heard.weight;
        handshake.kept = heard.buffered + heard.weight.bytes;
        let items = heard.weight.items;
        let idles = handshake.frames > items + Self::IDLE_FRAMES;
        let repeats = handshake.received > items * Self::ITEM_BYTES + Self::IDLE_BYTES;
        self.insert(link, handshake);
        if idles {
            return Err("too many frames that bring nothing before the end of the claims");
        }
        if repeats {
            return Err("too many bytes that bring nothing before the end of the claims");
        }
        Ok(())
    }

    /// A connection that has taken too long, if there is one.
    pub fn overdue(&self) -> Option<LinkId> {
        self.deadlines.first().filter(|(deadline, _)| *deadline <= self.now).map(|(_, link)| *link)
    }

    /// The connection that has to go because there are too many, or because they cost too much, if that is so.
    pub fn excess(&self) -> Option<Excess> {
        let first = if self.all.len() > Self::COUNT_LIMIT {
            self.order.first()
        } else if self.bytes > Self::BYTES_LIMIT {
            self.costly.first()
        } else {
            None
        };
        // A running member brings the names that it knows with its first words.
        let brings = |link| self.all.get(link).is_some_and(|handshake| handshake.weight.items > 0);
        first.map(|(_, progressed, link)| Excess {
            link: *link,
            may_be_a_member: brings(link) && self.now < *progressed + Self::PAUSE,
        })
    }

    /// The connection that has been silent for longest: it may go if a descriptor is needed for another.
    pub fn oldest_silent(&self) -> Option<LinkId> {
        self.order.first().filter(|(spoke, ..)| !spoke).map(|(_, _, link)| *link)
    }

    fn insert(&mut self, link: LinkId, handshake: Handshake) {
        let rank = handshake.rank(link);
        self.order.insert(rank);
        if handshake.kept > 0 {
            self.costly.insert(rank);
        }
        self.deadlines.insert((handshake.deadline(), link));
        self.bytes += handshake.kept;
        self.all.insert(link, handshake);
    }

    fn remove(&mut self, link: LinkId) -> Option<Handshake> {
        let handshake = self.all.remove(&link)?;
        let rank = handshake.rank(link);
        self.order.remove(&rank);
        self.costly.remove(&rank);
        self.deadlines.remove(&(handshake.deadline(), link));
        self.bytes -= handshake.kept;
        Some(handshake)
    }
}

impl Handshake {
    fn rank(&self, link: LinkId) -> Rank {
        (self.spoke, self.progressed, link)
    }

    fn deadline(&self) -> Duration {
        let items = u32::try_from(self.weight.items).unwrap_or(u32::MAX);
        let whole = self.began + Handshakes::PATIENCE + Handshakes::PER_ITEM * items;
        whole.min(self.progressed + Handshakes::PATIENCE)
    }
}

/// How much of what had arrived when a slice of time began was left behind by the reads since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    slice: u64,
    left: Option<usize>,
}

impl Backlog {
    /// Takes note of a read that began within this slice and filled `count` bytes of the `room` there was. Says whether all
    /// that had arrived when the slice began has been read; `buffered` is the most that the kernel can have kept back.
    pub fn read(&mut self, slice: u64, count: usize, room: usize, buffered: impl FnOnce() -> usize) -> bool {
        if self.slice != slice {
            *self = Self { slice, left: None };
        }
        let left = match self.left {
            _ if count < room => 0,
            // What lay there then is there still, or has been read; what comes meanwhile does not matter.
            None => buffered(),
            Some(left) => left.saturating_sub(count),
        };
        self.left = Some(left);
        left == 0
    }
}

#[cfg(test)]
mod tests;
