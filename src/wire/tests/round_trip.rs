//! Every message with anything in its fields comes back as it was sent.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::{decode, frame};
use crate::ident::{Attempt, Epoch, InstanceId, Kind, Name, Nonce, Request, Resource, Stamp, Tag, Ticket, Token};
use crate::wire::fuzzing;
use crate::wire::message::*;

fn id() -> impl Strategy<Value = InstanceId> {
    any::<u64>().prop_map(InstanceId::new)
}

fn nonce() -> impl Strategy<Value = Nonce> {
    any::<u64>().prop_map(Nonce::new)
}

fn epoch() -> impl Strategy<Value = Epoch> {
    any::<u64>().prop_map(Epoch::new)
}

fn token() -> impl Strategy<Value = Token> {
    any::<u64>().prop_map(Token::new)
}

fn request() -> impl Strategy<Value = Request> {
    any::<u64>().prop_map(Request::new)
}

fn stamp() -> impl Strategy<Value = Stamp> {
    (epoch(), any::<u64>()).prop_map(|(epoch, n)| Stamp { epoch, n })
}

fn ticket() -> impl Strategy<Value = Ticket> {
    (epoch(), any::<u64>()).prop_map(|(epoch, n)| Ticket { epoch, n })
}

/// A text of any characters, cut to so many bytes.
fn text(limit: usize) -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..60).prop_map(move |chars| {
        let mut text = String::new();
        for c in chars {
            if text.len() + c.len_utf8() <= limit {
                text.push(c);
            }
        }
        text
    })
}

fn name() -> impl Strategy<Value = Name> {
    text(Name::LIMIT).prop_filter_map("no name", |text| Name::new(text).ok())
}

fn bytes(limit: usize) -> impl Strategy<Value = Box<[u8]>> {
    prop_oneof![9 => vec(any::<u8>(), 0..60), 1 => vec(any::<u8>(), limit)].prop_map(Box::from)
}

fn resource() -> impl Strategy<Value = Resource> {
    let kind =
        prop::sample::select(vec![Kind::Mutex, Kind::RwLock, Kind::Semaphore, Kind::Once, Kind::Value, Kind::Barrier]);
    (kind, name()).prop_map(|(kind, name)| Resource::new(kind, name))
}

fn value_bytes() -> impl Strategy<Value = Option<Arc<[u8]>>> {
    option::of(bytes(5000).prop_map(Arc::from))
}

fn profile() -> impl Strategy<Value = Profile> {
    let numbers = (any::<u32>(), any::<u32>(), any::<u64>(), any::<u16>(), any::<bool>());
    (numbers, text(Profile::LABEL_LIMIT), bytes(Profile::PAYLOAD_LIMIT)).prop_map(
        |((pid, version, since, presence, paused), label, payload)| Profile {
            pid,
            version,
            since,
            presence,
            paused,
            label: label.into(),
            payload,
        },
    )
}

fn sort() -> impl Strategy<Value = NameSort> {
    prop_oneof![Just(NameSort::Known), Just(NameSort::Heard)]
}

fn forfeit() -> impl Strategy<Value = Forfeit> {
    (id(), any::<u64>().prop_map(Tag::new))
}

fn ended() -> impl Strategy<Value = (InstanceId, EndReason)> {
    (id(), prop_oneof![Just(EndReason::Left), Just(EndReason::Failed), Just(EndReason::Evicted)])
}

fn mode() -> impl Strategy<Value = Mode> {
    let permits = (1..=u32::MAX, any::<u32>()).prop_map(|(count, limit)| Mode::Permits { count, limit });
    prop_oneof![Just(Mode::Exclusive), Just(Mode::Shared), permits]
}

fn lock() -> impl Strategy<Value = LockRow> {
    let holder = (id(), mode(), token(), any::<u64>()).prop_map(|(who, mode, token, since)| HolderRow {
        who,
        mode,
        token,
        since,
    });
    let waiter = (id(), mode()).prop_map(|(who, mode)| WaiterRow { who, mode });
    (resource(), option::of(any::<u32>()), vec(holder, 0..6), vec(waiter, 0..6))
        .prop_map(|(name, limit, holders, waiters)| LockRow { name, limit, holders, waiters })
}

fn barrier() -> impl Strategy<Value = BarrierRow> {
    (name(), any::<u32>(), any::<u32>(), vec(id(), 0..6)).prop_map(|(name, parties, missing, waiters)| BarrierRow {
        name,
        parties,
        missing,
        waiters,
    })
}

fn want() -> impl Strategy<Value = Want> {
    (request(), resource(), mode()).prop_map(|(request, name, mode)| Want { request, name, mode })
}

fn entry() -> impl Strategy<Value = Entry> {
    let standing =
        prop_oneof![Just(Standing::Active), Just(Standing::Paused), Just(Standing::Hung), Just(Standing::Aside)];
    (id(), profile(), standing, nonce()).prop_map(|(id, profile, standing, nonce)| Entry {
        id,
        profile,
        standing,
        nonce,
    })
}

fn view() -> impl Strategy<Value = ViewHead> {
    (stamp(), token(), any::<u64>(), any::<bool>()).prop_map(|(stamp, base, written, whole)| ViewHead {
        stamp,
        base,
        written,
        whole,
    })
}

fn value() -> impl Strategy<Value = Value> {
    (resource(), stamp(), id(), request(), value_bytes()).prop_map(|(key, version, writer, request, bytes)| Value {
        key,
        version,
        writer,
        request,
        bytes,
    })
}

fn generation() -> impl Strategy<Value = Generation> {
    (name(), stamp(), vec((id(), request()), 0..40)).prop_map(|(name, number, waiters)| Generation {
        name,
        number,
        waiters,
    })
}

fn payload() -> impl Strategy<Value = Arc<[u8]>> {
    vec(any::<u8>(), 0..40).prop_map(Arc::from)
}

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![Just(Order::Pause), Just(Order::Resume), Just(Order::Stop), payload().prop_map(Order::Custom)]
}

fn to_supervisor() -> impl Strategy<Value = ToSupervisor> {
    use ToSupervisor as M;
    let purpose = prop_oneof![Just(Purpose::Member), Just(Purpose::Observer)];
    prop_oneof![
        (any::<u16>(), purpose, id(), any::<u64>(), nonce()).prop_map(|(wire, purpose, id, attempt, nonce)| {
            M::Hello(Hello { wire, purpose, trust: Trust::Open, id, attempt: Attempt::new(attempt), nonce })
        }),
        (name(), stamp(), epoch(), token(), stamp(), any::<bool>(), profile()).prop_map(
            |(group, stamp, epoch, base, state, stopping, profile)| {
                M::Join(Join { group, stamp, epoch, base, state, stopping, profile })
            }
        ),
        (sort(), vec((id(), nonce()), 0..40)).prop_map(|(sort, names)| M::Names(sort, names)),
        ended().prop_map(|(id, reason)| M::Departed(id, reason)),
        (want(), token(), any::<u64>()).prop_map(|(want, token, since)| M::Held(HeldClaim { want, token, since })),
        (want(), option::of(ticket())).prop_map(|(want, ticket)| M::Wants(WantClaim { want, ticket })),
        Just(M::ClaimsEnd),
        want().prop_map(M::Acquire),
        request().prop_map(M::Cancel),
        request().prop_map(M::Release),
        request().prop_map(M::Abandon),
        request().prop_map(M::Withdraw),
        request().prop_map(M::Decline),
        (request(), resource(), option::of(stamp()), option::of(stamp()), value_bytes())
            .prop_map(|(request, key, expected, again, bytes)| M::Put(Put { request, key, expected, again, bytes })),
        value().prop_map(M::Value),
        (request(), name(), 1..=u32::MAX).prop_map(|(request, name, parties)| M::Arrive(Arrive {
            request,
            name,
            parties
        })),
        generation().prop_map(M::Completed),
        Just(M::Leave),
        any::<u64>().prop_map(M::Ping),
        any::<u64>().prop_map(M::Pong),
        vec(forfeit(), 0..40).prop_map(M::Forfeits),
        Just(M::StateEnd),
        request().prop_map(M::Inquire),
        any::<u64>().prop_map(M::Survey),
        (request(), option::of(id()), payload()).prop_map(|(request, to, bytes)| M::Post(Post { request, to, bytes })),
        (request(), payload()).prop_map(|(request, bytes)| M::Ask(Ask { request, bytes })),
        (request(), option::of(id()), order()).prop_map(|(request, to, order)| M::Command(Command {
            request,
            to,
            order
        })),
    ]
}

fn refusal() -> impl Strategy<Value = Refusal> {
    prop_oneof![
        (any::<u16>(), any::<u16>()).prop_map(|(supervisor, client)| Refusal::Wire { supervisor, client }),
        Just(Refusal::Group),
        any::<u32>().prop_map(|limit| Refusal::Full { limit }),
        text(1024).prop_map(|reason| Refusal::Protocol(reason.into())),
        Just(Refusal::Slow),
        Just(Refusal::Leaving),
        any::<u64>().prop_map(|last| Refusal::Attempt { last: Attempt::new(last) }),
        Just(Refusal::Taken),
        Just(Refusal::Busy),
    ]
}

fn leave() -> impl Strategy<Value = LeaveSort> {
    prop_oneof![
        Just(LeaveSort::Leaving),
        Just(LeaveSort::Resigning),
        id().prop_map(LeaveSort::ResigningFor),
        forfeit().prop_map(|(id, tag)| LeaveSort::ResigningOver(id, tag))
    ]
}

fn to_member() -> impl Strategy<Value = ToMember> {
    use ToMember as M;
    let abandoned =
        prop_oneof![Just(Abandoned::Clean), id().prop_map(|who| Abandoned::Died { who }), Just(Abandoned::Unknown)];
    prop_oneof![
        refusal().prop_map(M::Refused),
        Just(M::Forfeited),
        vec(entry(), 0..6).prop_map(M::Entries),
        (sort(), vec(id(), 0..40)).prop_map(|(sort, ids)| M::Names(sort, ids)),
        (id(), any::<u32>(), option::of(view())).prop_map(|(supervisor, pid, view)| M::Welcome(Welcome {
            supervisor,
            pid,
            view
        })),
        (id(), view(), vec(ended(), 0..6)).prop_map(|(supervisor, view, departed)| M::Opened(Opened {
            supervisor,
            view,
            departed
        })),
        (stamp(), vec(entry(), 0..4), vec(ended(), 0..6)).prop_map(|(stamp, entries, ended)| M::Delta(Delta {
            stamp,
            entries,
            ended
        })),
        (request(), ticket(), any::<u32>(), option::of((id(), any::<u64>()))).prop_map(
            |(request, ticket, ahead, holder)| {
                let holder = holder.map(|(who, since)| Holding { who, since });
                M::Queued(Queued { request, ticket, ahead, holder })
            }
        ),
        (request(), token(), any::<u64>(), abandoned).prop_map(|(request, token, since, abandoned)| M::Grant(Grant {
            request,
            token,
            since,
            abandoned
        })),
        (request(), token()).prop_map(|(request, token)| M::Token(request, token)),
        request().prop_map(M::Lost),
        request().prop_map(M::Withdrawn),
        (request(), text(1024)).prop_map(|(request, reason)| M::Denied(request, reason.into())),
        value().prop_map(M::Value),
        (request(), stamp()).prop_map(|(request, stamp)| M::Stored(request, stamp)),
        (request(), stamp()).prop_map(|(request, stamp)| M::Conflict(request, stamp)),
        generation().prop_map(M::Complete),
        (request(), any::<bool>()).prop_map(|(request, leader)| M::Go(request, leader)),
        leave().prop_map(M::Leave),
        any::<u64>().prop_map(M::Ping),
        any::<u64>().prop_map(M::Pong),
        vec(forfeit(), 0..40).prop_map(M::Forfeits),
        Just(M::Fetch),
        request().prop_map(M::Interrupted),
        vec(lock(), 0..6).prop_map(M::Locks),
        vec(barrier(), 0..6).prop_map(M::Barriers),
        any::<u64>().prop_map(M::Surveyed),
        token().prop_map(M::Base),
        (id(), payload()).prop_map(|(from, bytes)| M::Message(from, bytes)),
        (request(), any::<u32>()).prop_map(|(request, count)| M::Delivered(request, count)),
        request().prop_map(M::Undelivered),
        (request(), payload()).prop_map(|(request, bytes)| M::Reply(request, bytes)),
        (request(), text(1024)).prop_map(|(request, reason)| M::Failed(request, reason.into())),
        order().prop_map(M::Command),
        Just(M::Evicted),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_a_client_says_arrives_as_it_was(message in to_supervisor()) {
        prop_assert_eq!(decode(&frame(&message)[4..]), Ok(message));
    }

    #[test]
    fn what_a_supervisor_says_arrives_as_it_was(message in to_member()) {
        prop_assert_eq!(decode(&frame(&message)[4..]), Ok(message));
    }

    #[test]
    fn a_spoilt_message_has_no_second_encoding(
        message in prop_oneof![to_supervisor().prop_map(|m| frame(&m)), to_member().prop_map(|m| frame(&m))],
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut bytes = message[4..].to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        fuzzing::round_trip(&bytes);
    }
}
