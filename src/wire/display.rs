//! Messages in one line each, for the trace log: who and how many, never the application's bytes. Their `Debug` shows
//! none either.

use std::fmt;

use super::message::{
    Abandoned, Ask, EndReason, Hello, LeaveSort, Mode, NameSort, Order, Post, Profile, Purpose, Put, Refusal, Standing,
    ToMember, ToSupervisor, Value, ViewHead, Want,
};
use crate::ident::InstanceId;
use crate::text::Size;

impl fmt::Display for ToSupervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hello(Hello { wire, purpose, trust: _, id, attempt, nonce: _ }) => {
                let purpose = match purpose {
                    Purpose::Member => "member",
                    Purpose::Observer => "observer",
                };
                write!(f, "hello {purpose} {id} attempt {} wire {wire}", attempt.number())
            }
            Self::Join(join) => write!(
                f,
                "join {:?} view {} epoch {} base {} pid {}",
                join.group.as_str(),
                join.stamp,
                join.epoch,
                join.base,
                join.profile.pid
            ),
            Self::Names(sort, ids) => write!(f, "names {sort} {}", ids.len()),
            Self::Departed(id, reason) => write!(f, "departed {id} {reason}"),
            Self::Held(claim) => write!(f, "held {} token {}", claim.want, claim.token),
            Self::Wants(claim) => match claim.ticket {
                Some(ticket) => write!(f, "wants {} ticket {ticket}", claim.want),
                None => write!(f, "wants {}", claim.want),
            },
            Self::ClaimsEnd => f.write_str("claims end"),
            Self::Acquire(want) => write!(f, "acquire {want}"),
            Self::Cancel(request) => write!(f, "cancel #{request}"),
            Self::Release(request) => write!(f, "release #{request}"),
            Self::Abandon(request) => write!(f, "abandon #{request}"),
            Self::Decline(request) => write!(f, "decline #{request}"),
            Self::Put(put) => {
                write!(f, "put #{} {} {}", put.request, put.key, Content(put.bytes.as_deref()))?;
                put.expected.map_or(Ok(()), |version| write!(f, " if {version}"))?;
                put.again.map_or(Ok(()), |version| write!(f, " again from {version}"))
            }
            Self::Value(value) => write!(f, "value {value}"),
            Self::Arrive(arrive) => {
                write!(f, "arrive #{} {:?} of {}", arrive.request, arrive.name.as_str(), arrive.parties)
            }
            Self::Completed(generation) => {
                write!(f, "completed {:?} {}", generation.name.as_str(), generation.number)
            }
            Self::Leave => f.write_str("leave"),
            Self::Ping(number) => write!(f, "ping {number}"),
            Self::Pong(number) => write!(f, "pong {number}"),
            Self::Forfeits(forfeits) => write!(f, "forfeits {}", forfeits.len()),
            Self::StateEnd => f.write_str("state end"),
            Self::Inquire(request) => write!(f, "inquire #{request}"),
            Self::Survey(number) => write!(f, "survey {number}"),
            Self::Withdraw(request) => write!(f, "withdraw #{request}"),
            Self::Post(post) => write!(f, "post #{} to {} {} bytes", post.request, Whom(post.to), post.bytes.len()),
            Self::Ask(ask) => write!(f, "ask #{} {} bytes", ask.request, ask.bytes.len()),
            Self::Command(command) => {
                write!(f, "command #{} to {} {}", command.request, Whom(command.to), command.order)
            }
        }
    }
}

impl fmt::Display for ToMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => write!(f, "refused: {refusal}"),
            Self::Forfeited => f.write_str("forfeited"),
            Self::Entries(entries) => write!(f, "entries {}", entries.len()),
            Self::Names(sort, ids) => write!(f, "names {sort} {}", ids.len()),
            Self::Welcome(welcome) => {
                write!(f, "welcome by {} pid {} ", welcome.supervisor, welcome.pid)?;
                match welcome.view {
                    Some(view) => write!(f, "{view}"),
                    None => f.write_str("window open"),
                }
            }
            Self::Opened(opened) => {
                write!(f, "opened by {} {} departed {}", opened.supervisor, opened.view, opened.departed.len())
            }
            Self::Delta(delta) => {
                write!(f, "delta {} entries {} ended {}", delta.stamp, delta.entries.len(), delta.ended.len())
            }
            Self::Queued(queued) => {
                write!(f, "queued #{} ticket {} ahead {}", queued.request, queued.ticket, queued.ahead)?;
                queued.holder.map_or(Ok(()), |holder| write!(f, " held by {}", holder.who))
            }
            Self::Grant(grant) => write!(f, "grant #{} token {} {}", grant.request, grant.token, grant.abandoned),
            Self::Token(request, token) => write!(f, "token #{request} {token}"),
            Self::Lost(request) => write!(f, "lost #{request}"),
            Self::Denied(request, reason) => write!(f, "denied #{request} {reason:?}"),
            Self::Value(value) => write!(f, "value {value}"),
            Self::Stored(request, stamp) => write!(f, "stored #{request} {stamp}"),
            Self::Conflict(request, stamp) => write!(f, "conflict #{request} {stamp}"),
            Self::Complete(generation) => {
                write!(f, "complete {:?} {}", generation.name.as_str(), generation.number)
            }
            Self::Go(request, leader) => write!(f, "go #{request}{}", if *leader { " as leader" } else { "" }),
            Self::Leave(LeaveSort::Leaving) => f.write_str("leave group"),
            Self::Leave(LeaveSort::Resigning) => f.write_str("leave office"),
            Self::Leave(LeaveSort::ResigningFor(heir)) => write!(f, "leave office to {heir}"),
            Self::Leave(LeaveSort::ResigningOver(id, _)) => write!(f, "leave office, since {id} has to be refused"),
            Self::Ping(number) => write!(f, "ping {number}"),
            Self::Pong(number) => write!(f, "pong {number}"),
            Self::Forfeits(forfeits) => write!(f, "forfeits {}", forfeits.len()),
            Self::Fetch => f.write_str("fetch"),
            Self::Interrupted(request) => write!(f, "interrupted #{request}"),
            Self::Locks(rows) => write!(f, "locks {}", rows.len()),
            Self::Surveyed(number) => write!(f, "surveyed {number}"),
            Self::Withdrawn(request) => write!(f, "withdrawn #{request}"),
            Self::Base(token) => write!(f, "base {token}"),
            Self::Message(from, bytes) => write!(f, "message from {from} {} bytes", bytes.len()),
            Self::Delivered(request, count) => write!(f, "delivered #{request} to {count}"),
            Self::Undelivered(request) => write!(f, "undelivered #{request}"),
            Self::Reply(request, bytes) => write!(f, "reply #{request} {} bytes", bytes.len()),
            Self::Failed(request, reason) => write!(f, "failed #{request} {reason:?}"),
            Self::Command(order) => write!(f, "command {order}"),
            Self::Evicted => f.write_str("evicted"),
            Self::Barriers(rows) => write!(f, "barriers {}", rows.len()),
        }
    }
}

/// Whom something is for.
struct Whom(Option<InstanceId>);

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(id) => write!(f, "{id}"),
            None => f.write_str("all"),
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pause => f.write_str("pause"),
            Self::Resume => f.write_str("resume"),
            Self::Stop => f.write_str("stop"),
            Self::Custom(bytes) => write!(f, "custom {} bytes", bytes.len()),
        }
    }
}

impl fmt::Display for NameSort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Known => "known",
            Self::Heard => "heard",
        })
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Left => "left",
            Self::Failed => "failed",
            Self::Evicted => "evicted",
        })
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Hung => "hung",
            Self::Aside => "aside",
        })
    }
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{} {} {}", self.request, self.name, self.mode)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exclusive => f.write_str("exclusive"),
            Self::Shared => f.write_str("shared"),
            Self::Permits { count, limit } => write!(f, "{count} of {limit}"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wire { supervisor, client } => {
                write!(f, "the supervisor speaks wire version {supervisor}, the client {client}")
            }
            Self::Group => f.write_str("the port belongs to another group"),
            Self::Full { limit } => write!(f, "the supervisor has {limit} members and bears no more"),
            Self::Protocol(reason) => write!(f, "the client broke the protocol: {reason:?}"),
            Self::Slow => f.write_str("the handshake took too long"),
            Self::Leaving => f.write_str("the supervisor is leaving its office"),
            Self::Attempt { last } => write!(f, "the attempt cannot follow attempt {}", last.number()),
            Self::Taken => f.write_str("the id is another instance's"),
            Self::Busy => f.write_str("the supervisor has no thread to spare, or too many handshakes under way"),
        }
    }
}

impl fmt::Display for ViewHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "view {} base {} written {}", self.stamp, self.base, self.written)
    }
}

impl fmt::Display for Abandoned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clean => f.write_str("clean"),
            Self::Died { who } => write!(f, "after the death of {who}"),
            Self::Unknown => f.write_str("after unknown"),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, version, writer, request, bytes } = self;
        write!(f, "{key} {version} by {writer} #{request} {}", Content(bytes.as_deref()))
    }
}

/// How many bytes a value has, in place of the bytes.
struct Content<'a>(Option<&'a [u8]>);

impl fmt::Display for Content<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(bytes) => fmt::Display::fmt(&Size::of(bytes), f),
            None => f.write_str("deleted"),
        }
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, version, since, presence, paused, label, payload } = self;
        f.debug_struct("Profile")
            .field("pid", pid)
            .field("version", version)
            .field("since", since)
            .field("presence", presence)
            .field("paused", paused)
            .field("label", label)
            .field("payload", &Size::of(payload))
            .finish()
    }
}

impl fmt::Debug for Put {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { request, key, expected, again, bytes } = self;
        f.debug_struct("Put")
            .field("request", request)
            .field("key", key)
            .field("expected", expected)
            .field("again", again)
            .field("bytes", &bytes.as_deref().map(Size::of))
            .finish()
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, version, writer, request, bytes } = self;
        f.debug_struct("Value")
            .field("key", key)
            .field("version", version)
            .field("writer", writer)
            .field("request", request)
            .field("bytes", &bytes.as_deref().map(Size::of))
            .finish()
    }
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { request, to, bytes } = self;
        f.debug_struct("Post").field("request", request).field("to", to).field("bytes", &Size::of(bytes)).finish()
    }
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { request, bytes } = self;
        f.debug_struct("Ask").field("request", request).field("bytes", &Size::of(bytes)).finish()
    }
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pause => f.write_str("Pause"),
            Self::Resume => f.write_str("Resume"),
            Self::Stop => f.write_str("Stop"),
            Self::Custom(bytes) => f.debug_tuple("Custom").field(&Size::of(bytes)).finish(),
        }
    }
}
