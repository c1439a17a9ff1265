//! Every message with anything in its fields comes back as it was sent.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::{decode, frame};
use crate::ident::{Attempt, Epoch, InstanceId, Name, Request, Stamp, Tag, Ticket, Token};
use crate::wire::fuzzing;
use crate::wire::message::*;

fn id() -> impl Strategy<Value = InstanceId> {
    any::<u64>().prop_map(InstanceId::new)
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

fn value_bytes() -> impl Strategy<Value = Option<Box<[u8]>>> {
    option::of(bytes(5000))
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

fn want() -> impl Strategy<Value = Want> {
    let permits = (1..=u32::MAX, any::<u32>()).prop_map(|(count, limit)| Mode::Permits { count, limit });
    let mode = prop_oneof![Just(Mode::Exclusive), Just(Mode::Shared), permits];
    (request(), name(), mode).prop_map(|(request, name, mode)| Want { request, name, mode })
}

fn entry() -> impl Strategy<Value = Entry> {
    let standing =
        prop_oneof![Just(Standing::Active), Just(Standing::Paused), Just(Standing::Hung), Just(Standing::Aside)];
    (id(), profile(), standing).prop_map(|(id, profile, standing)| Entry { id, profile, standing })
}

fn view() -> impl Strategy<Value = ViewHead> {
    (stamp(), token()).prop_map(|(stamp, base)| ViewHead { stamp, base })
}

fn value() -> impl Strategy<Value = Value> {
    (name(), stamp(), id(), request(), value_bytes()).prop_map(|(key, version, writer, request, bytes)| Value {
        key,
        version,
        writer,
        request,
        bytes,
    })
}

fn generation() -> impl Strategy<Value = Generation> {
    (name(), stamp()).prop_map(|(name, number)| Generation { name, number })
}

fn to_supervisor() -> impl Strategy<Value = ToSupervisor> {
    use ToSupervisor as M;
    let purpose = prop_oneof![Just(Purpose::Member), Just(Purpose::Observer)];
    prop_oneof![
        (any::<u16>(), purpose, id(), any::<u64>()).prop_map(|(wire, purpose, id, attempt)| {
            M::Hello(Hello { wire, purpose, trust: Trust::Open, id, attempt: Attempt::new(attempt) })
        }),
        (name(), stamp(), epoch(), token(), profile()).prop_map(|(group, stamp, epoch, base, profile)| M::Join(Join {
            group,
            stamp,
            epoch,
            base,
            profile
        })),
        (sort(), vec(id(), 0..40)).prop_map(|(sort, ids)| M::Names(sort, ids)),
        ended().prop_map(|(id, reason)| M::Departed(id, reason)),
        (want(), token()).prop_map(|(want, token)| M::Held(HeldClaim { want, token })),
        (want(), option::of(ticket())).prop_map(|(want, ticket)| M::Wants(WantClaim { want, ticket })),
        Just(M::ClaimsEnd),
        want().prop_map(M::Acquire),
        request().prop_map(M::Cancel),
        request().prop_map(M::Release),
        request().prop_map(M::Decline),
        (request(), name(), option::of(stamp()), value_bytes())
            .prop_map(|(request, key, expected, bytes)| M::Put(Put { request, key, expected, bytes })),
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
        (request(), ticket(), any::<u32>()).prop_map(|(request, ticket, ahead)| M::Queued(Queued {
            request,
            ticket,
            ahead
        })),
        (request(), token(), abandoned).prop_map(|(request, token, abandoned)| M::Grant(Grant {
            request,
            token,
            abandoned
        })),
        (request(), token()).prop_map(|(request, token)| M::Token(request, token)),
        request().prop_map(M::Lost),
        (request(), text(1024)).prop_map(|(request, reason)| M::Denied(request, reason.into())),
        value().prop_map(M::Value),
        (request(), stamp()).prop_map(|(request, stamp)| M::Stored(request, stamp)),
        (request(), stamp()).prop_map(|(request, stamp)| M::Conflict(request, stamp)),
        generation().prop_map(M::Complete),
        request().prop_map(M::Go),
        prop_oneof![Just(LeaveSort::Leaving), Just(LeaveSort::Resigning)].prop_map(M::Leave),
        any::<u64>().prop_map(M::Ping),
        any::<u64>().prop_map(M::Pong),
        vec(forfeit(), 0..40).prop_map(M::Forfeits),
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
