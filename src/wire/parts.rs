//! What bodies are made of: the encoding of every struct and enum inside a message.

use std::sync::Arc;

use super::codec::{Part, Reader, Writer};
use super::error::DecodeError;
use super::message::{
    Abandoned, Arrive, Ask, BarrierRow, Command, Delta, EndReason, Entry, Generation, Grant, HeldClaim, Hello,
    HolderRow, Holding, Join, LeaveSort, LockRow, Mode, NameSort, Opened, Order, Post, Profile, Purpose, Put, Queued,
    Refusal, Standing, Trust, Value, ViewHead, WaiterRow, Want, WantClaim, Welcome,
};
use super::{MAGIC, REASON_LIMIT, VALUE_LIMIT, WIRE_VERSION};
use crate::ident::{Attempt, Epoch, InstanceId, Kind, Name, Nonce, Request, Resource, Stamp, Tag, Ticket, Token};

/// Numbers that travel as one u64.
macro_rules! numbers {
    ($($type:ty = $field:literal,)*) => { $(
        impl Part for $type {
            const FIELD: &'static str = $field;
            const MIN: usize = 8;

            fn put(&self, to: &mut Writer<'_>) {
                to.u64(self.number());
            }

            fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
                from.u64(Self::FIELD).map(Self::new)
            }
        }
    )* };
}

numbers! {
    InstanceId = "instance id",
    Epoch = "epoch",
    Token = "token",
    Tag = "tag",
    Attempt = "attempt",
    Nonce = "nonce",
    Request = "request",
}

/// Plain numbers and flags, where the struct around them says what they mean.
macro_rules! plain {
    ($($type:ident = $field:literal, $size:literal;)*) => { $(
        impl Part for $type {
            const FIELD: &'static str = $field;
            const MIN: usize = $size;

            fn put(&self, to: &mut Writer<'_>) {
                to.$type(*self);
            }

            fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
                from.$type(Self::FIELD)
            }
        }
    )* };
}

plain! {
    bool = "flag", 1;
    u32 = "number", 4;
    u64 = "number", 8;
}

/// Enums without fields, which travel as one u8: one table for both directions.
macro_rules! choices {
    ($($type:ident = $field:literal { $($variant:ident = $number:literal,)* })*) => { $(
        impl Part for $type {
            const FIELD: &'static str = $field;
            const MIN: usize = 1;

            fn put(&self, to: &mut Writer<'_>) {
                to.u8(match self { $(Self::$variant => $number,)* });
            }

            fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
                match from.u8(Self::FIELD)? {
                    $($number => Ok(Self::$variant),)*
                    other => Err(DecodeError::BadValue { field: Self::FIELD, value: other.into() }),
                }
            }
        }
    )* };
}

choices! {
    Kind = "kind of resource" { Mutex = 0, RwLock = 1, Semaphore = 2, Once = 3, Value = 4, Barrier = 5, }
    Purpose = "purpose" { Member = 0, Observer = 1, }
    NameSort = "sort of names" { Known = 0, Heard = 1, }
    EndReason = "end reason" { Left = 0, Failed = 1, Evicted = 2, }
    Standing = "standing" { Active = 0, Paused = 1, Hung = 2, Aside = 3, }
}

/// Structs that are their fields in this order.
macro_rules! records {
    ($($type:ident = $name:literal { $($field:ident: $part:ty,)* })*) => { $(
        impl Part for $type {
            const FIELD: &'static str = $name;
            const MIN: usize = 0 $(+ <$part as Part>::MIN)*;

            fn put(&self, to: &mut Writer<'_>) {
                $(self.$field.put(to);)*
            }

            fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(Self { $($field: <$part as Part>::take(from)?,)* })
            }
        }
    )* };
}

records! {
    Join = "join" { group: Name, stamp: Stamp, epoch: Epoch, base: Token, state: Stamp, stopping: bool, profile: Profile, }
    Resource = "resource" { kind: Kind, name: Name, }
    Want = "want" { request: Request, name: Resource, mode: Mode, }
    HeldClaim = "held claim" { want: Want, token: Token, since: u64, }
    WantClaim = "want claim" { want: Want, ticket: Option<Ticket>, }
    Entry = "entry" { id: InstanceId, profile: Profile, standing: Standing, nonce: Nonce, }
    ViewHead = "view" { stamp: Stamp, base: Token, written: u64, whole: bool, }
    Opened = "opened" { supervisor: InstanceId, view: ViewHead, departed: Vec<(InstanceId, EndReason)>, }
    Delta = "delta" { stamp: Stamp, entries: Vec<Entry>, ended: Vec<(InstanceId, EndReason)>, }
    Holding = "holder" { who: InstanceId, since: u64, }
    Queued = "queued" { request: Request, ticket: Ticket, ahead: u32, holder: Option<Holding>, }
    Grant = "grant" { request: Request, token: Token, since: u64, abandoned: Abandoned, }
    Put = "put" { request: Request, key: Resource, expected: Option<Stamp>, again: Option<Stamp>, bytes: Option<Arc<[u8]>>, }
    Value = "value" { key: Resource, version: Stamp, writer: InstanceId, request: Request, bytes: Option<Arc<[u8]>>, }
    Generation = "generation" { name: Name, number: Stamp, waiters: Vec<(InstanceId, Request)>, }
    LockRow = "lock" { name: Resource, limit: Option<u32>, holders: Vec<HolderRow>, waiters: Vec<WaiterRow>, }
    HolderRow = "holder" { who: InstanceId, mode: Mode, token: Token, since: u64, }
    Post = "message" { request: Request, to: Option<InstanceId>, bytes: Arc<[u8]>, }
    Ask = "question" { request: Request, bytes: Arc<[u8]>, }
    Command = "command" { request: Request, to: Option<InstanceId>, order: Order, }
    BarrierRow = "barrier" { name: Name, parties: u32, missing: u32, waiters: Vec<InstanceId>, }
    WaiterRow = "waiter" { who: InstanceId, mode: Mode, }
}

impl Part for Stamp {
    const FIELD: &'static str = "stamp";
    const MIN: usize = 16;

    fn put(&self, to: &mut Writer<'_>) {
        self.epoch.put(to);
        to.u64(self.n);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { epoch: Epoch::take(from)?, n: from.u64(Self::FIELD)? })
    }
}

impl Part for Ticket {
    const FIELD: &'static str = "ticket";
    const MIN: usize = 16;

    fn put(&self, to: &mut Writer<'_>) {
        self.epoch.put(to);
        to.u64(self.n);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { epoch: Epoch::take(from)?, n: from.u64(Self::FIELD)? })
    }
}

/// Bytes of the application: a state value, a message.
impl Part for Arc<[u8]> {
    const FIELD: &'static str = "bytes";
    const MIN: usize = 4;

    fn put(&self, to: &mut Writer<'_>) {
        to.bytes(self);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        from.bytes(Self::FIELD, VALUE_LIMIT).map(Self::from)
    }
}

/// A reason in words.
impl Part for Box<str> {
    const FIELD: &'static str = "reason";
    const MIN: usize = 2;

    fn put(&self, to: &mut Writer<'_>) {
        to.text(self, REASON_LIMIT);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        from.text(Self::FIELD, REASON_LIMIT).map(Self::from)
    }
}

impl Part for Hello {
    const FIELD: &'static str = "hello";
    const MIN: usize = 4 + 2 + Purpose::MIN + InstanceId::MIN + Attempt::MIN + Nonce::MIN + Trust::MIN;

    fn put(&self, to: &mut Writer<'_>) {
        to.u32(MAGIC);
        to.u16(self.wire);
        self.purpose.put(to);
        self.id.put(to);
        self.attempt.put(to);
        self.nonce.put(to);
        self.trust.put(to);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match from.u32("magic number")? {
            MAGIC => {}
            other => return Err(DecodeError::Magic(other)),
        }
        let wire = from.u16("wire version")?;
        Ok(Self {
            wire,
            purpose: Purpose::take(from)?,
            id: InstanceId::take(from)?,
            attempt: Attempt::take(from)?,
            nonce: Nonce::take(from)?,
            trust: Trust::take(from)?,
        })
    }
}

impl Hello {
    /// Reads a whole body. What a Hello of another version has beyond the frozen part is beyond this build, and the
    /// answer to it is the two versions, not what was odd about the bytes.
    pub(super) fn from_body(kind: u8, body: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Reader::new(body);
        let outcome = Self::take(&mut from).and_then(|hello| from.finish(kind).map(|()| hello));
        match (outcome, Self::version(body)) {
            (Err(_), Some(version)) if version != WIRE_VERSION => Err(DecodeError::ForeignWire(version)),
            (outcome, _) => outcome,
        }
    }

    /// The wire version, if the body is a Hello at all.
    fn version(body: &[u8]) -> Option<u16> {
        let mut from = Reader::new(body);
        (from.u32("magic number").ok()? == MAGIC).then_some(())?;
        from.u16("wire version").ok()
    }
}

/// The sort, then the sort's own bytes behind a length: room for a first word of a proof in a Hello that stays as it
/// is.
impl Part for Trust {
    const FIELD: &'static str = "trust";
    const MIN: usize = 1 + 2;

    fn put(&self, to: &mut Writer<'_>) {
        match self {
            Self::Open => {
                to.u8(0);
                to.u16(0);
            }
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match (from.u8(Self::FIELD)?, from.u16(Self::FIELD)?) {
            (0, 0) => Ok(Self::Open),
            (0, len) => Err(DecodeError::TooLong { field: Self::FIELD, len: len.into(), limit: 0 }),
            (other, _) => Err(DecodeError::BadValue { field: Self::FIELD, value: other.into() }),
        }
    }
}

impl Part for Profile {
    const FIELD: &'static str = "profile";
    const MIN: usize = 4 + 4 + 8 + 2 + 1 + 2 + 4;

    fn put(&self, to: &mut Writer<'_>) {
        to.u32(self.pid);
        to.u32(self.version);
        to.u64(self.since);
        to.u16(self.presence);
        to.bool(self.paused);
        to.text(&self.label, Self::LABEL_LIMIT);
        to.bytes(&self.payload);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            pid: from.u32("pid")?,
            version: from.u32("program version")?,
            since: from.u64("time of joining")?,
            presence: from.u16("presence port")?,
            paused: from.bool("paused")?,
            label: from.text("label", Self::LABEL_LIMIT)?.into(),
            payload: from.bytes("payload", Self::PAYLOAD_LIMIT)?,
        })
    }
}

impl Part for Mode {
    const FIELD: &'static str = "mode";
    const MIN: usize = 1;

    fn put(&self, to: &mut Writer<'_>) {
        match *self {
            Self::Exclusive => to.u8(0),
            Self::Shared => to.u8(1),
            Self::Permits { count, limit } => {
                to.u8(2);
                to.u32(count);
                to.u32(limit);
            }
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match from.u8(Self::FIELD)? {
            0 => Ok(Self::Exclusive),
            1 => Ok(Self::Shared),
            2 => Ok(Self::Permits { count: from.positive("permit count")?, limit: from.u32("permit limit")? }),
            other => Err(DecodeError::BadValue { field: Self::FIELD, value: other.into() }),
        }
    }
}

impl Part for Refusal {
    const FIELD: &'static str = "refusal";
    const MIN: usize = 1;

    fn put(&self, to: &mut Writer<'_>) {
        match self {
            Self::Wire { supervisor, client } => {
                to.u8(0);
                to.u16(*supervisor);
                to.u16(*client);
            }
            Self::Group => to.u8(1),
            Self::Full { limit } => {
                to.u8(2);
                to.u32(*limit);
            }
            Self::Protocol(reason) => {
                to.u8(3);
                reason.put(to);
            }
            Self::Slow => to.u8(4),
            Self::Leaving => to.u8(5),
            Self::Attempt { last } => {
                to.u8(6);
                last.put(to);
            }
            Self::Taken => to.u8(7),
            Self::Busy => to.u8(8),
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match from.u8(Self::FIELD)? {
            0 => Ok(Self::Wire {
                supervisor: from.u16("the supervisor's wire version")?,
                client: from.u16("the client's wire version")?,
            }),
            1 => Ok(Self::Group),
            2 => Ok(Self::Full { limit: from.u32("limit of members")? }),
            3 => Part::take(from).map(Self::Protocol),
            4 => Ok(Self::Slow),
            5 => Ok(Self::Leaving),
            6 => Ok(Self::Attempt { last: Part::take(from)? }),
            7 => Ok(Self::Taken),
            8 => Ok(Self::Busy),
            other => Err(DecodeError::BadValue { field: Self::FIELD, value: other.into() }),
        }
    }
}

impl Part for Welcome {
    const FIELD: &'static str = "welcome";
    const MIN: usize = 8 + 4 + 1;

    fn put(&self, to: &mut Writer<'_>) {
        self.supervisor.put(to);
        to.u32(self.pid);
        self.view.put(to);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { supervisor: Part::take(from)?, pid: from.u32("pid")?, view: Part::take(from)? })
    }
}

impl Part for LeaveSort {
    const FIELD: &'static str = "sort of leave";
    const MIN: usize = 1;

    fn put(&self, to: &mut Writer<'_>) {
        match self {
            Self::Leaving => to.u8(0),
            Self::Resigning => to.u8(1),
            Self::ResigningFor(heir) => {
                to.u8(2);
                heir.put(to);
            }
            Self::ResigningOver(id, tag) => {
                to.u8(3);
                id.put(to);
                tag.put(to);
            }
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match from.u8(Self::FIELD)? {
            0 => Ok(Self::Leaving),
            1 => Ok(Self::Resigning),
            2 => Part::take(from).map(Self::ResigningFor),
            3 => Ok(Self::ResigningOver(Part::take(from)?, Part::take(from)?)),
            other => Err(DecodeError::BadValue { field: Self::FIELD, value: other.into() }),
        }
    }
}

impl Part for Order {
    const FIELD: &'static str = "order";
    const MIN: usize = 1;

    fn put(&self, to: &mut Writer<'_>) {
        match self {
            Self::Pause => to.u8(0),
            Self::Resume => to.u8(1),
            Self::Stop => to.u8(2),
            Self::Custom(bytes) => {
                to.u8(3);
                bytes.put(to);
            }
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match from.u8(Self::FIELD)? {
            0 => Ok(Self::Pause),
            1 => Ok(Self::Resume),
            2 => Ok(Self::Stop),
            3 => Part::take(from).map(Self::Custom),
            other => Err(DecodeError::BadValue { field: Self::FIELD, value: other.into() }),
        }
    }
}

impl Part for Abandoned {
    const FIELD: &'static str = "abandoned";
    const MIN: usize = 1;

    fn put(&self, to: &mut Writer<'_>) {
        match self {
            Self::Clean => to.u8(0),
            Self::Died { who } => {
                to.u8(1);
                who.put(to);
            }
            Self::Unknown => to.u8(2),
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match from.u8(Self::FIELD)? {
            0 => Ok(Self::Clean),
            1 => Ok(Self::Died { who: Part::take(from)? }),
            2 => Ok(Self::Unknown),
            other => Err(DecodeError::BadValue { field: Self::FIELD, value: other.into() }),
        }
    }
}

impl Part for Arrive {
    const FIELD: &'static str = "arrive";
    const MIN: usize = 8 + 3 + 4;

    fn put(&self, to: &mut Writer<'_>) {
        self.request.put(to);
        self.name.put(to);
        to.u32(self.parties);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { request: Part::take(from)?, name: Part::take(from)?, parties: from.positive("parties")? })
    }
}
