//! What comes out of the member half: what is to be done, and what the application may want to know.

use std::sync::Arc;

use super::Survey;
use crate::ident::{Epoch, InstanceId, Request, Resource, Stamp, Token};
use crate::wire::message::{EndReason, Entry, Holding, Order, ToSupervisor, Value};

/// What is to be done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Show the kernel that this instance is a member now, with one tag and no other. Comes before the first request.
    ShowMembership,
    /// Write this to the present connection.
    Send(ToSupervisor),
    /// Tell the application.
    Tell(Notice),
    /// The id has ended: close the connection, and [`Session::rename`](super::Session::rename) before the next one.
    Rename,
    /// This instance is out of the group for good: close the connection, and make no other.
    End,
}

/// What the application may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A supervisor has completed the handshake; its window may still be open.
    Welcomed(InstanceId),
    /// This instance is part of an open reign.
    Reign(Epoch, InstanceId),
    /// A new entry.
    Joined(Entry),
    /// An entry changed.
    Changed(Entry),
    /// An entry ended, and who reigned when it last stood there.
    Ended(Entry, EndReason, Option<InstanceId>),
    /// A request has a place in the queue: how many are ahead, and who has held the lock for longest.
    Queued(Request, u32, Option<Holding>),
    /// A request is granted and may be taken: [`Session::take`](super::Session::take).
    Granted(Request),
    /// A grant goes on under a higher token.
    Raised(Request, Token),
    /// A grant was revoked: of what, and its last token.
    Lost(Request, Resource, Token),
    /// A request was refused.
    Denied(Request, Box<str>),
    /// So many writes to the state, at least, have not reached this instance: the values that follow are later ones.
    Skipped(u64),
    /// A value of the state was written.
    Written(Value),
    /// A write is done.
    Stored(Request, Stamp),
    /// A write was refused, because the key has this version.
    Conflict(Request, Stamp),
    /// It is unknown whether a write was done, a message has arrived, a question was heard or a command reached anybody.
    Interrupted(Request),
    /// The barrier lets the request pass, and whether it is the leader.
    Passed(Request, bool),
    /// An arrival at a barrier was taken back.
    Withdrawn(Request),
    /// Who holds what and who waits for it, as asked for.
    Surveyed(u64, Arc<Survey>),
    /// Everything was forfeited by silence beyond the limit.
    Forfeited,
    /// The supervisor answered a ping.
    Pong(u64),
    /// A message, and who sent it.
    Message(InstanceId, Arc<[u8]>),
    /// The supervisor commands this.
    Commanded(Order),
    /// A message or a command has reached so many.
    Delivered(Request, u32),
    /// The one that a message or a command was for is not there.
    Undelivered(Request),
    /// What the handler answered to a question.
    Replied(Request, Arc<[u8]>),
    /// The handler has no answer to a question, and why.
    Failed(Request, Box<str>),
    /// This instance was told to stop, did not in time, and is out of the group.
    Evicted,
}

/// The supervisor broke the protocol; the connection is of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misplaced(pub &'static str);
