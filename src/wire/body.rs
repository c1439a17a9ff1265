//! Bodies: which fields follow which kind.

use super::codec::{Part, Reader, Writer};
use super::error::DecodeError;
use super::frame::{Message, append};
use super::kind::{to_member, to_supervisor};
use super::message::{Hello, ToMember, ToSupervisor};

impl Message for ToSupervisor {
    fn encode(&self, out: &mut Vec<u8>) {
        use to_supervisor as kind;
        match self {
            Self::Hello(hello) => whole(out, kind::HELLO, hello),
            Self::Join(join) => whole(out, kind::JOIN, join),
            Self::Names(sort, ids) => both(out, kind::NAMES, sort, ids),
            Self::Departed(id, reason) => both(out, kind::DEPARTED, id, reason),
            Self::Held(claim) => whole(out, kind::HELD, claim),
            Self::Wants(claim) => whole(out, kind::WANTS, claim),
            Self::ClaimsEnd => append(out, kind::CLAIMS_END, nothing),
            Self::Acquire(want) => whole(out, kind::ACQUIRE, want),
            Self::Cancel(request) => whole(out, kind::CANCEL, request),
            Self::Release(request) => whole(out, kind::RELEASE, request),
            Self::Abandon(request) => whole(out, kind::ABANDON, request),
            Self::Decline(request) => whole(out, kind::DECLINE, request),
            Self::Put(put) => whole(out, kind::PUT, put),
            Self::Value(value) => whole(out, kind::VALUE, value),
            Self::Arrive(arrive) => whole(out, kind::ARRIVE, arrive),
            Self::Completed(generation) => whole(out, kind::COMPLETED, generation),
            Self::Leave => append(out, kind::LEAVE, nothing),
            Self::Ping(number) => whole(out, kind::PING, number),
            Self::Pong(number) => whole(out, kind::PONG, number),
            Self::Forfeits(forfeits) => whole(out, kind::FORFEITS, forfeits),
            Self::StateEnd => append(out, kind::STATE_END, nothing),
            Self::Inquire(request) => whole(out, kind::INQUIRE, request),
            Self::Survey(number) => whole(out, kind::SURVEY, number),
            Self::Post(post) => whole(out, kind::POST, post),
            Self::Ask(ask) => whole(out, kind::ASK, ask),
            Self::Command(command) => whole(out, kind::COMMAND, command),
            Self::Withdraw(request) => whole(out, kind::WITHDRAW, request),
        }
    }

    fn decode(kind: u8, body: &[u8]) -> Result<Self, DecodeError> {
        use to_supervisor as kinds;
        let mut from = Reader::new(body);
        let message = match kind {
            kinds::HELLO => return Hello::from_body(kind, body).map(Self::Hello),
            kinds::JOIN => Self::Join(Part::take(&mut from)?),
            kinds::NAMES => Self::Names(Part::take(&mut from)?, Part::take(&mut from)?),
            kinds::DEPARTED => Self::Departed(Part::take(&mut from)?, Part::take(&mut from)?),
            kinds::HELD => Self::Held(Part::take(&mut from)?),
            kinds::WANTS => Self::Wants(Part::take(&mut from)?),
            kinds::CLAIMS_END => Self::ClaimsEnd,
            kinds::ACQUIRE => Self::Acquire(Part::take(&mut from)?),
            kinds::CANCEL => Self::Cancel(Part::take(&mut from)?),
            kinds::RELEASE => Self::Release(Part::take(&mut from)?),
            kinds::ABANDON => Self::Abandon(Part::take(&mut from)?),
            kinds::DECLINE => Self::Decline(Part::take(&mut from)?),
            kinds::PUT => Self::Put(Part::take(&mut from)?),
            kinds::VALUE => Self::Value(Part::take(&mut from)?),
            kinds::ARRIVE => Self::Arrive(Part::take(&mut from)?),
            kinds::COMPLETED => Self::Completed(Part::take(&mut from)?),
            kinds::LEAVE => Self::Leave,
            kinds::PING => Self::Ping(Part::take(&mut from)?),
            kinds::PONG => Self::Pong(Part::take(&mut from)?),
            kinds::FORFEITS => Self::Forfeits(Part::take(&mut from)?),
            kinds::STATE_END => Self::StateEnd,
            kinds::INQUIRE => Self::Inquire(Part::take(&mut from)?),
            kinds::SURVEY => Self::Survey(Part::take(&mut from)?),
            kinds::POST => Self::Post(Part::take(&mut from)?),
            kinds::ASK => Self::Ask(Part::take(&mut from)?),
            kinds::COMMAND => Self::Command(Part::take(&mut from)?),
            kinds::WITHDRAW => Self::Withdraw(Part::take(&mut from)?),
            other => return Err(DecodeError::UnknownKind(other)),
        };
        from.finish(kind).map(|()| message)
    }
}

impl Message for ToMember {
    fn encode(&self, out: &mut Vec<u8>) {
        use to_member as kind;
        match self {
            Self::Refused(refusal) => whole(out, kind::REFUSED, refusal),
            Self::Forfeited => append(out, kind::FORFEITED, nothing),
            Self::Entries(entries) => whole(out, kind::ENTRIES, entries),
            Self::Names(sort, ids) => both(out, kind::NAMES, sort, ids),
            Self::Welcome(welcome) => whole(out, kind::WELCOME, welcome),
            Self::Opened(opened) => whole(out, kind::OPENED, opened),
            Self::Delta(delta) => whole(out, kind::DELTA, delta),
            Self::Queued(queued) => whole(out, kind::QUEUED, queued),
            Self::Grant(grant) => whole(out, kind::GRANT, grant),
            Self::Token(request, token) => both(out, kind::TOKEN, request, token),
            Self::Lost(request) => whole(out, kind::LOST, request),
            Self::Denied(request, reason) => both(out, kind::DENIED, request, reason),
            Self::Value(value) => whole(out, kind::VALUE, value),
            Self::Stored(request, stamp) => both(out, kind::STORED, request, stamp),
            Self::Conflict(request, stamp) => both(out, kind::CONFLICT, request, stamp),
            Self::Complete(generation) => whole(out, kind::COMPLETE, generation),
            Self::Go(request, leader) => both(out, kind::GO, request, leader),
            Self::Leave(sort) => whole(out, kind::LEAVE, sort),
            Self::Ping(number) => whole(out, kind::PING, number),
            Self::Pong(number) => whole(out, kind::PONG, number),
            Self::Forfeits(forfeits) => whole(out, kind::FORFEITS, forfeits),
            Self::Fetch => append(out, kind::FETCH, nothing),
            Self::Interrupted(request) => whole(out, kind::INTERRUPTED, request),
            Self::Locks(rows) => whole(out, kind::LOCKS, rows),
            Self::Surveyed(number) => whole(out, kind::SURVEYED, number),
            Self::Base(token) => whole(out, kind::BASE, token),
            Self::Message(from, bytes) => both(out, kind::MESSAGE, from, bytes),
            Self::Delivered(request, count) => both(out, kind::DELIVERED, request, count),
            Self::Undelivered(request) => whole(out, kind::UNDELIVERED, request),
            Self::Reply(request, bytes) => both(out, kind::REPLY, request, bytes),
            Self::Failed(request, reason) => both(out, kind::FAILED, request, reason),
            Self::Command(order) => whole(out, kind::COMMAND, order),
            Self::Evicted => append(out, kind::EVICTED, nothing),
            Self::Barriers(rows) => whole(out, kind::BARRIERS, rows),
            Self::Withdrawn(request) => whole(out, kind::WITHDRAWN, request),
        }
    }

    fn decode(kind: u8, body: &[u8]) -> Result<Self, DecodeError> {
        use to_member as kinds;
        let mut from = Reader::new(body);
        let message = match kind {
            kinds::REFUSED => Self::Refused(Part::take(&mut from)?),
            kinds::FORFEITED => Self::Forfeited,
            kinds::ENTRIES => Self::Entries(Part::take(&mut from)?),
            kinds::NAMES => Self::Names(Part::take(&mut from)?, Part::take(&mut from)?),
            kinds::WELCOME => Self::Welcome(Part::take(&mut from)?),
            kinds::OPENED => Self::Opened(Part::take(&mut from)?),
            kinds::DELTA => Self::Delta(Part::take(&mut from)?),
            kinds::QUEUED => Self::Queued(Part::take(&mut from)?),
            kinds::GRANT => Self::Grant(Part::take(&mut from)?),
            kinds::TOKEN => Self::Token(Part::take(&mut from)?, Part::take(&mut from)?),
            kinds::LOST => Self::Lost(Part::take(&mut from)?),
            kinds::DENIED => Self::Denied(Part::take(&mut from)?, Part::take(&mut from)?),
            kinds::VALUE => Self::Value(Part::take(&mut from)?),
            kinds::STORED => Self::Stored(Part::take(&mut from)?, Part::take(&mut from)?),
            kinds::CONFLICT => Self::Conflict(Part::take(&mut from)?, Part::take(&mut from)?),
            kinds::COMPLETE => Self::Complete(Part::take(&mut from)?),
            kinds::GO => Self::Go(Part::take(&mut from)?, Part::take(&mut from)?),
            kinds::LEAVE => Self::Leave(Part::take(&mut from)?),
            kinds::PING => Self::Ping(Part::take(&mut from)?),
            kinds::PONG => Self::Pong(Part::take(&mut from)?),
            kinds::FORFEITS => Self::Forfeits(Part::take(&mut from)?),
            kinds::FETCH => Self::Fetch,
            kinds::INTERRUPTED => Self::Interrupted(Part::take(&mut from)?),
            kinds::LOCKS => Self::Locks(Part::take(&mut from)?),
            kinds::BARRIERS => Self::Barriers(Part::take(&mut from)?),
            kinds::SURVEYED => Self::Surveyed(Part::take(&mut from)?),
            kinds::BASE => Self::Base(Part::take(&mut from)?),
            kinds::MESSAGE => Self::Message(Part::take(&mut from)?, Part::take(&mut from)?),
            kinds::DELIVERED => Self::Delivered(Part::take(&mut from)?, Part::take(&mut from)?),
            kinds::UNDELIVERED => Self::Undelivered(Part::take(&mut from)?),
            kinds::REPLY => Self::Reply(Part::take(&mut from)?, Part::take(&mut from)?),
            kinds::FAILED => Self::Failed(Part::take(&mut from)?, Part::take(&mut from)?),
            kinds::COMMAND => Self::Command(Part::take(&mut from)?),
            kinds::EVICTED => Self::Evicted,
            kinds::WITHDRAWN => Self::Withdrawn(Part::take(&mut from)?),
            other => return Err(DecodeError::UnknownKind(other)),
        };
        from.finish(kind).map(|()| message)
    }
}

/// Appends a frame whose body is this one part.
fn whole(out: &mut Vec<u8>, kind: u8, part: &impl Part) {
    append(out, kind, |to| part.put(to));
}

/// Appends a frame whose body is these two parts.
fn both(out: &mut Vec<u8>, kind: u8, first: &impl Part, second: &impl Part) {
    append(out, kind, |to| {
        first.put(to);
        second.put(to);
    });
}

/// The body of a message that its kind says in full.
fn nothing(_: &mut Writer<'_>) {}
