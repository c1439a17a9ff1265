//! The messages: what the two sides say to each other. Plain values; bytes are the business of [`super::frame`].

use std::sync::Arc;

use crate::ident::{Attempt, Epoch, InstanceId, Name, Nonce, Request, Resource, Stamp, Tag, Token};

mod control;
mod grants;

pub use self::control::{Ask, Command, Order, Post};
pub use self::grants::{
    Abandoned, BarrierRow, Grant, HeldClaim, HolderRow, Holding, LockRow, Mode, Queued, WaiterRow, Want, WantClaim,
};

/// What a member or an observer says to the supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToSupervisor {
    /// First frame of every connection, frozen across wire versions. Behind a magic number on the wire.
    Hello(Hello),
    /// Second frame of a member, once it trusts the supervisor: who it is and what it knows.
    Join(Join),
    /// Ids that the member knows, each with its nonce if that is known, in as many frames as needed, between `Join` and
    /// `ClaimsEnd`.
    Names(NameSort, Vec<Named>),
    /// An instance that the member knows to have ended in the old reign, and how. Between `Join` and `ClaimsEnd`.
    Departed(InstanceId, EndReason),
    /// A claim: the member holds this. Between `Join` and `ClaimsEnd`, frozen across wire versions.
    Held(HeldClaim),
    /// A claim: the member waits for this. Between `Join` and `ClaimsEnd`, frozen across wire versions.
    Wants(WantClaim),
    /// All was said; only this accounts for the member.
    ClaimsEnd,
    /// Asks for a grant.
    Acquire(Want),
    /// Gives up waiting.
    Cancel(Request),
    /// Ends a grant that was taken. No reply.
    Release(Request),
    /// Ends a grant that was taken, in the middle of the work. No reply.
    Abandon(Request),
    /// Gives back a grant that nobody waited for any more. No reply.
    Decline(Request),
    /// Writes a state value.
    Put(Put),
    /// A state value that the member has. After a `Fetch`.
    Value(Value),
    /// Waits at a barrier.
    Arrive(Arrive),
    /// A generation of a barrier that the member knows to be complete. Between `Join` and `ClaimsEnd`.
    Completed(Generation),
    /// The member leaves: what follows is the end of the connection, and no failure.
    Leave,
    /// Asks whether the supervisor still answers.
    Ping(u64),
    /// Answers a ping.
    Pong(u64),
    /// Who forfeited, as the last closed view had it, in as many frames as needed. Between `Join` and `ClaimsEnd`.
    Forfeits(Vec<Forfeit>),
    /// All values were said that a `Fetch` asked for.
    StateEnd,
    /// Asks how a request that waits stands now.
    Inquire(Request),
    /// Asks who holds what and who waits for it.
    Survey(u64),
    /// A message of the application for one other or all others.
    Post(Post),
    /// A question of the application to the supervisor's handler.
    Ask(Ask),
    /// A command for one other or all others.
    Command(Command),
    /// Takes back an arrival at a barrier, unless it is part of a complete generation already.
    Withdraw(Request),
}

/// What the supervisor says to a member or an observer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToMember {
    /// The connection is closed after this, and why. Nothing was changed.
    Refused(Refusal),
    /// The member's id has ended while it was silent: all it held is lost. It may join again under a new id.
    Forfeited,
    /// A part of a whole view, in as many frames as needed, before the `Welcome` or `Opened` that uses it.
    Entries(Vec<Entry>),
    /// Ids heard during an open window.
    Names(NameSort, Vec<InstanceId>),
    /// The handshake is complete.
    Welcome(Welcome),
    /// The window closed. The parts sent before are the whole view.
    Opened(Opened),
    /// One change of the registry.
    Delta(Delta),
    /// The request waits, at this place.
    Queued(Queued),
    /// The request is granted.
    Grant(Grant),
    /// A grant goes on under a fresh token.
    Token(Request, Token),
    /// A grant was revoked.
    Lost(Request),
    /// A request is refused; nothing was queued.
    Denied(Request, Box<str>),
    /// A state value was written.
    Value(Value),
    /// A write is done: every connection welcomed before has it.
    Stored(Request, Stamp),
    /// A write was refused: the key has this version, not the expected one.
    Conflict(Request, Stamp),
    /// A generation of a barrier is complete. Written to all its waiters before any `Go`.
    Complete(Generation),
    /// The barrier lets the request pass, and whether it is the leader.
    Go(Request, bool),
    /// The supervisor leaves its office: what follows is the end of the connection. A message or a question that is not
    /// answered by now was not begun.
    Leave(LeaveSort),
    /// Asks whether the member still answers.
    Ping(u64),
    /// Answers a ping.
    Pong(u64),
    /// Who forfeited and was still there, in as many frames as needed, before the `Welcome` or `Opened` that uses it.
    Forfeits(Vec<Forfeit>),
    /// Asks for all state values that the member has, because nobody has brought newer ones.
    Fetch,
    /// It is unknown whether a write was done: the key has moved on since.
    Interrupted(Request),
    /// Who holds and who waits, in as many frames as needed, before the `Surveyed` that uses them.
    Locks(Vec<LockRow>),
    /// All locks were said that a `Survey` asked for.
    Surveyed(u64),
    /// The reign's token base has risen.
    Base(Token),
    /// A message of the application, and whose.
    Message(InstanceId, Arc<[u8]>),
    /// A message or a command has reached the kernels of so many instances.
    Delivered(Request, u32),
    /// The one that a message or a command was for is not there. Nothing was written to anybody.
    Undelivered(Request),
    /// What the handler answered.
    Reply(Request, Arc<[u8]>),
    /// The handler has no answer, and why.
    Failed(Request, Box<str>),
    /// A command.
    Command(Order),
    /// The entry ends although the member is there: it was told to stop and did not. All it held is lost.
    Evicted,
    /// The barriers at which members wait, in as many frames as needed, before the `Surveyed` that uses them.
    Barriers(Vec<BarrierRow>),
    /// An arrival at a barrier was taken back.
    Withdrawn(Request),
}

/// An id and the nonce that its owner proves itself by.
pub type Named = (InstanceId, Nonce);

/// Who forfeited everything, and under which tag the kernel showed its membership then.
pub type Forfeit = (InstanceId, Tag);

/// Opens a connection. Behind a magic number; frozen across wire versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The wire version that the client speaks.
    pub wire: u16,
    /// What the client wants to be.
    pub purpose: Purpose,
    /// How the two prove who they are, and the client's first word in that.
    pub trust: Trust,
    /// The client's id; an observer's means nothing.
    pub id: InstanceId,
    /// Rises with every Hello of this instance.
    pub attempt: Attempt,
    /// Proves that the id is the client's; an observer's means nothing.
    pub nonce: Nonce,
}

/// What a client wants to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// An instance, with an entry.
    Member,
    /// A reader of the registry, without one.
    Observer,
}

/// How the two sides prove who they are before anything else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// They do not: whoever reaches the port is trusted.
    Open,
}

/// Who a member is and what it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// The group it means.
    pub group: Name,
    /// The last closed view it had; the zero stamp: never had one, a newcomer.
    pub stamp: Stamp,
    /// The highest epoch it has heard of.
    pub epoch: Epoch,
    /// The highest token base or token it has heard of.
    pub base: Token,
    /// How far its copy of the state goes: the reign, and the last write of that reign; zero: it has none.
    pub state: Stamp,
    /// Whether a supervisor has told it to stop, this one or one before.
    pub stopping: bool,
    /// What the registry shows of it.
    pub profile: Profile,
}

/// What an instance tells of itself for the registry.
#[derive(Clone, PartialEq, Eq)]
pub struct Profile {
    /// Its process.
    pub pid: u32,
    /// The version of the program, 0 if the program names none.
    pub version: u32,
    /// When it joined, in milliseconds since 1970.
    pub since: u64,
    /// The loopback UDP port of its presence where the kernel has no names for sockets; otherwise 0.
    pub presence: u16,
    /// Whether it was paused by a supervisor.
    pub paused: bool,
    /// Its label, at most [`Profile::LABEL_LIMIT`] bytes.
    pub label: Box<str>,
    /// Its payload, at most [`Profile::PAYLOAD_LIMIT`] bytes.
    pub payload: Box<[u8]>,
}

impl Profile {
    /// The longest label, in bytes.
    pub const LABEL_LIMIT: usize = 256;
    /// The largest payload, in bytes.
    pub const PAYLOAD_LIMIT: usize = 4096;
}

/// What the ids of a `Names` frame are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameSort {
    /// In the last closed view.
    Known,
    /// Heard during an open window, in no closed view yet.
    Heard,
}

/// How an entry ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// The instance said so itself.
    Left,
    /// The kernel has closed its presence: the process ended, or gave its sockets up, without a word.
    Failed,
    /// It lives, but was silent or did not drain its connection until the limit passed, or was told to stop and did not.
    Evicted,
}

/// Why a connection is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The two speak different wire versions.
    Wire {
        /// The supervisor's.
        supervisor: u16,
        /// The refused client's.
        client: u16,
    },
    /// The port belongs to a group of another name.
    Group,
    /// The supervisor has as many members as it can bear.
    Full {
        /// How many that is.
        limit: u32,
    },
    /// The client broke the protocol, and how.
    Protocol(Box<str>),
    /// The handshake took too long.
    Slow,
    /// The supervisor is leaving its office.
    Leaving,
    /// The attempt is not above the last one that was accepted from this id, or too far above it.
    Attempt {
        /// The last one that was accepted.
        last: Attempt,
    },
    /// The id is another instance's, as far as the supervisor knows.
    Taken,
    /// The supervisor has no thread for the connection, or too many handshakes under way. Try again.
    Busy,
}

/// One row of the registry as it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whose.
    pub id: InstanceId,
    /// What it told of itself.
    pub profile: Profile,
    /// Its standing.
    pub standing: Standing,
    /// The nonce that its next Hello proves itself by; unknown to observers.
    pub nonce: Nonce,
}

/// How an instance stands with the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Standing {
    /// Connected.
    Active,
    /// Connected; its requests stay queued.
    Paused,
    /// Connected, but did not answer in time when somebody waited for it.
    Hung,
    /// Alive, but its connection has ended. It keeps what it holds until it is back or the limit passes.
    Aside,
}

/// Completes a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// Who reigns.
    pub supervisor: InstanceId,
    /// The supervisor's process.
    pub pid: u32,
    /// The closed view made of the parts before; `None` while the window is open.
    pub view: Option<ViewHead>,
}

/// The head of a whole view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewHead {
    /// Its number; its epoch is the reign's.
    pub stamp: Stamp,
    /// The token base of the reign.
    pub base: Token,
    /// The last write to the state in this reign.
    pub written: u64,
    /// Whether the values before are the whole state, or only what the member lacks.
    pub whole: bool,
}

/// Ends a window, or the absence of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Who reigns.
    pub supervisor: InstanceId,
    /// The head of the view made of the parts before.
    pub view: ViewHead,
    /// Who ended between the last view that this one had and this view, and how.
    pub departed: Vec<(InstanceId, EndReason)>,
}

/// One change of the registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// The number of the view after it.
    pub stamp: Stamp,
    /// New entries, and entries that changed: both replace what was there.
    pub entries: Vec<Entry>,
    /// Entries that ended.
    pub ended: Vec<(InstanceId, EndReason)>,
}

/// How a supervisor leaves its office.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaveSort {
    /// It leaves the group.
    Leaving,
    /// It stays as a subordinate.
    Resigning,
    /// It stays as a subordinate, and this one is to have the office: a newer version of the program.
    ResigningFor(InstanceId),
    /// It stays as a subordinate, since it has to refuse this one, which the kernel shows under this tag. No supervisor
    /// resigns for that again.
    ResigningOver(InstanceId, Tag),
}

/// A write to the state.
#[derive(Clone, PartialEq, Eq)]
pub struct Put {
    /// The writer's number for it.
    pub request: Request,
    /// The key.
    pub key: Resource,
    /// Write only if the key has this version; the zero stamp: only if it was never written.
    pub expected: Option<Stamp>,
    /// The write was said before, to a supervisor that did not answer; then this is the version that the key had at the
    /// writer's.
    pub again: Option<Stamp>,
    /// The bytes; `None` deletes.
    pub bytes: Option<Arc<[u8]>>,
}

/// A value of the state.
#[derive(Clone, PartialEq, Eq)]
pub struct Value {
    /// The key.
    pub key: Resource,
    /// Its version.
    pub version: Stamp,
    /// Who wrote it.
    pub writer: InstanceId,
    /// The writer's number for the write.
    pub request: Request,
    /// The bytes; `None`: deleted.
    pub bytes: Option<Arc<[u8]>>,
}

/// An arrival at a barrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrive {
    /// The arriver's number for it.
    pub request: Request,
    /// The barrier.
    pub name: Name,
    /// How many it waits for, at least 1.
    pub parties: u32,
}

/// One use of a barrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// The barrier.
    pub name: Name,
    /// Which use: the reign and the count in it.
    pub number: Stamp,
    /// Whom it lets pass, and by which requests; the first is the leader.
    pub waiters: Vec<(InstanceId, Request)>,
}
