//! Messages of every kind, with something in every field.

use std::sync::Arc;

use crate::ident::{Attempt, Epoch, InstanceId, Kind, Name, Nonce, Request, Resource, Stamp, Tag, Ticket, Token};
use crate::wire::WIRE_VERSION;
use crate::wire::message::*;

pub(super) const ID: InstanceId = InstanceId::new(0x0102_0304_0506_0708);
pub(super) const OTHER: InstanceId = InstanceId::new(0xfff0_0000_0000_000f);
pub(super) const NONCE: Nonce = Nonce::new(0x4e00_0000_0000_0001);
pub(super) const REQUEST: Request = Request::new(0x21);
pub(super) const TOKEN: Token = Token::new(0x0011_2233_4455_6677);
pub(super) const STAMP: Stamp = Stamp { epoch: Epoch::new(0x30), n: 0x31 };

pub(super) fn name(text: &str) -> Name {
    Name::new(text).expect("a literal name")
}

pub(super) fn mutex(text: &str) -> Resource {
    Resource::new(Kind::Mutex, name(text))
}

pub(super) fn config() -> Resource {
    Resource::new(Kind::Value, name("config"))
}

pub(super) const SINCE: u64 = 0x0000_0190_0000_0001;

pub(super) fn profile() -> Profile {
    Profile {
        pid: 4242,
        version: 2,
        since: 1_700_000_000_000,
        presence: 40_000,
        paused: true,
        label: "wörker 3".into(),
        payload: [0, 255, 10].into(),
    }
}

pub(super) fn hello() -> Hello {
    let attempt = Attempt::new(9);
    Hello { wire: WIRE_VERSION, purpose: Purpose::Member, trust: Trust::Open, id: ID, attempt, nonce: NONCE }
}

pub(super) fn want(mode: Mode) -> Want {
    Want { request: REQUEST, name: mutex("catalog"), mode }
}

fn entry(id: InstanceId, standing: Standing) -> Entry {
    Entry { id, profile: profile(), standing, nonce: NONCE }
}

fn value(bytes: Option<Arc<[u8]>>) -> Value {
    Value { key: config(), version: STAMP, writer: ID, request: REQUEST, bytes }
}

fn generation() -> Generation {
    Generation { name: name("phase-1"), number: STAMP, waiters: vec![(ID, REQUEST), (OTHER, Request::new(1))] }
}

fn queued(holder: Option<Holding>) -> Queued {
    Queued { request: REQUEST, ticket: Ticket { epoch: Epoch::new(5), n: 6 }, ahead: 2, holder }
}

fn lock() -> LockRow {
    LockRow {
        name: Resource::new(Kind::Semaphore, name("licences")),
        limit: Some(25),
        holders: vec![HolderRow { who: ID, mode: Mode::Permits { count: 3, limit: 25 }, token: TOKEN, since: SINCE }],
        waiters: vec![WaiterRow { who: OTHER, mode: Mode::Permits { count: 25, limit: 25 } }],
    }
}

fn barrier() -> BarrierRow {
    BarrierRow { name: name("phase-1"), parties: 4, missing: 2, waiters: vec![ID, OTHER] }
}

fn view() -> ViewHead {
    ViewHead { stamp: STAMP, base: TOKEN, written: 7, whole: true }
}

/// In the order of their kinds, some kinds more than once.
pub(super) fn to_supervisor() -> Vec<ToSupervisor> {
    use ToSupervisor as M;
    let permits = Mode::Permits { count: 3, limit: 25 };
    let ticket = Some(Ticket { epoch: Epoch::new(5), n: 6 });
    vec![
        M::Hello(hello()),
        M::Hello(Hello { purpose: Purpose::Observer, wire: 7, ..hello() }),
        M::Join(Join {
            group: name("photo-sync ☂"),
            stamp: STAMP,
            epoch: STAMP.epoch,
            base: TOKEN,
            state: Stamp { n: 12, ..STAMP },
            stopping: true,
            profile: profile(),
        }),
        M::Names(NameSort::Known, vec![(ID, NONCE), (OTHER, Nonce::UNKNOWN)]),
        M::Names(NameSort::Heard, vec![]),
        M::Departed(OTHER, EndReason::Evicted),
        M::Held(HeldClaim { want: want(Mode::Exclusive), token: TOKEN, since: SINCE }),
        M::Wants(WantClaim { want: want(Mode::Shared), ticket }),
        M::Wants(WantClaim { want: want(permits), ticket: None }),
        M::ClaimsEnd,
        M::Acquire(want(permits)),
        M::Cancel(REQUEST),
        M::Release(REQUEST),
        M::Decline(REQUEST),
        M::Put(Put {
            request: REQUEST,
            key: config(),
            expected: Some(STAMP),
            again: Some(Stamp::default()),
            bytes: Some([1, 2].into()),
        }),
        M::Put(Put { request: REQUEST, key: config(), expected: None, again: None, bytes: None }),
        M::Value(value(Some([].into()))),
        M::Arrive(Arrive { request: REQUEST, name: name("phase-1"), parties: 4 }),
        M::Completed(generation()),
        M::Leave,
        M::Ping(1),
        M::Pong(u64::MAX),
        M::Forfeits(vec![(OTHER, Tag::new(0x41)), (OTHER, Tag::new(0x42))]),
        M::StateEnd,
        M::Inquire(REQUEST),
        M::Survey(3),
        M::Post(Post { request: REQUEST, to: Some(OTHER), bytes: [1, 2].into() }),
        M::Post(Post { request: REQUEST, to: None, bytes: [].into() }),
        M::Ask(Ask { request: REQUEST, bytes: [3; 9].into() }),
        M::Command(Command { request: REQUEST, to: Some(OTHER), order: Order::Pause }),
        M::Command(Command { request: REQUEST, to: None, order: Order::Custom([4].into()) }),
        M::Abandon(REQUEST),
        M::Withdraw(REQUEST),
    ]
}

/// In the order of their kinds, some kinds more than once.
pub(super) fn to_member() -> Vec<ToMember> {
    use ToMember as M;
    let grant = |abandoned| Grant { request: REQUEST, token: TOKEN, since: SINCE, abandoned };
    vec![
        M::Refused(Refusal::Wire { supervisor: 1, client: 7 }),
        M::Refused(Refusal::Group),
        M::Refused(Refusal::Full { limit: 4096 }),
        M::Refused(Refusal::Protocol("unknown kind 99".into())),
        M::Refused(Refusal::Slow),
        M::Refused(Refusal::Leaving),
        M::Refused(Refusal::Attempt { last: Attempt::new(9) }),
        M::Refused(Refusal::Taken),
        M::Refused(Refusal::Busy),
        M::Forfeited,
        M::Entries(vec![entry(ID, Standing::Active), entry(OTHER, Standing::Aside)]),
        M::Names(NameSort::Heard, vec![ID]),
        M::Welcome(Welcome { supervisor: ID, pid: 77, view: Some(view()) }),
        M::Welcome(Welcome { supervisor: ID, pid: 77, view: None }),
        M::Opened(Opened { supervisor: ID, view: view(), departed: vec![(OTHER, EndReason::Left)] }),
        M::Delta(Delta {
            stamp: STAMP,
            entries: vec![entry(ID, Standing::Hung)],
            ended: vec![(OTHER, EndReason::Failed)],
        }),
        M::Queued(queued(Some(Holding { who: OTHER, since: SINCE }))),
        M::Queued(queued(None)),
        M::Grant(grant(Abandoned::Clean)),
        M::Grant(grant(Abandoned::Died { who: OTHER })),
        M::Grant(grant(Abandoned::Unknown)),
        M::Token(REQUEST, TOKEN),
        M::Lost(REQUEST),
        M::Denied(REQUEST, "not\nyou".into()),
        M::Value(value(Some([7; 40].into()))),
        M::Value(value(None)),
        M::Stored(REQUEST, STAMP),
        M::Conflict(REQUEST, STAMP),
        M::Complete(generation()),
        M::Go(REQUEST, true),
        M::Leave(LeaveSort::Leaving),
        M::Leave(LeaveSort::Resigning),
        M::Leave(LeaveSort::ResigningFor(OTHER)),
        M::Leave(LeaveSort::ResigningOver(OTHER, Tag::new(0x41))),
        M::Ping(1),
        M::Pong(2),
        M::Forfeits(vec![(OTHER, Tag::new(0x41))]),
        M::Forfeits(vec![]),
        M::Fetch,
        M::Interrupted(REQUEST),
        M::Locks(vec![lock()]),
        M::Surveyed(3),
        M::Base(TOKEN),
        M::Message(OTHER, [5; 3].into()),
        M::Delivered(REQUEST, 8),
        M::Undelivered(REQUEST),
        M::Reply(REQUEST, [].into()),
        M::Failed(REQUEST, "the handler panicked".into()),
        M::Command(Order::Resume),
        M::Command(Order::Stop),
        M::Command(Order::Custom([6].into())),
        M::Evicted,
        M::Barriers(vec![barrier()]),
        M::Withdrawn(REQUEST),
    ]
}
