//! Bytes that are no message: each an error that names the fault, none a panic.

use super::samples::{self, hello};
use super::{decode, frame};
use crate::ident::{Name, NameError};
use crate::wire::VALUE_LIMIT;
use crate::wire::error::DecodeError;
use crate::wire::frame::Message;
use crate::wire::message::*;

/// Every body cut at every byte, and with a byte too many.
fn check_length<M: Message + PartialEq + std::fmt::Debug>(messages: &[M]) {
    for message in messages {
        let frame = frame(message);
        let (kind, body) = (frame[4], &frame[5..]);
        for len in 0..body.len() {
            let outcome = M::decode(kind, &body[..len]);
            // What was cut off a list makes its count too high before it makes an element too short. Of a Hello of
            // another version no more than the version is needed.
            assert!(
                matches!(
                    outcome,
                    Err(DecodeError::Truncated { .. } | DecodeError::Count { .. } | DecodeError::ForeignWire(7))
                ),
                "{message:?} cut to {len}: {outcome:?}"
            );
        }
        let longer = [body, &[0]].concat();
        let foreign = matches!(M::decode(kind, &longer), Err(DecodeError::ForeignWire(7)));
        assert!(foreign || M::decode(kind, &longer) == Err(DecodeError::Trailing { kind, bytes: 1 }), "{message:?}");
    }
}

#[test]
fn a_body_of_another_length_is_refused_in_every_kind() {
    check_length(&samples::to_supervisor());
    check_length(&samples::to_member());
}

#[test]
fn a_kind_of_the_other_direction_or_of_none_is_unknown() {
    for kind in (0..=u8::MAX).filter(|kind| !(1..=27).contains(kind)) {
        assert_eq!(ToSupervisor::decode(kind, &[]), Err(DecodeError::UnknownKind(kind)));
    }
    for kind in (0..=u8::MAX).filter(|kind| !(64..=98).contains(kind)) {
        assert_eq!(ToMember::decode(kind, &[]), Err(DecodeError::UnknownKind(kind)));
    }
}

#[test]
fn names_that_are_none_are_refused() {
    let long = "x".repeat(Name::LIMIT + 1);
    let bad = |reason| DecodeError::BadName { field: "name", reason };
    let cases: [(&[u8], DecodeError); 7] = [
        (b"", bad(NameError::Empty)),
        (b" a", bad(NameError::Padded)),
        (b"a\n", bad(NameError::Control)),
        ("a\u{202e}".as_bytes(), bad(NameError::Unseen { character: '\u{202e}' })),
        ("\u{200b}".as_bytes(), bad(NameError::Unseen { character: '\u{200b}' })),
        (long.as_bytes(), DecodeError::TooLong { field: "name", len: 129, limit: 128 }),
        (b"a\xff", DecodeError::Utf8 { field: "name" }),
    ];
    for (text, error) in cases {
        let name = [&(text.len() as u16).to_be_bytes(), text].concat();
        let acquire = [&[8], &[0; 9][..], &name, &[0]].concat();
        assert_eq!(decode::<ToSupervisor>(&acquire), Err(error), "{text:?}");
        let complete = [&[79], &name[..], &[0; 20]].concat();
        assert_eq!(decode::<ToMember>(&complete), Err(error), "{text:?}");
    }
}

#[test]
fn values_that_a_field_cannot_have_are_refused() {
    let bad = |field, value| Err(DecodeError::BadValue { field, value });
    // A message, the place of a byte counted from the end of its frame, what is put there.
    let to_supervisor = ToSupervisor::decode;
    let acquire = frame(&ToSupervisor::Acquire(samples::want(Mode::Exclusive)));
    let hello = frame(&ToSupervisor::Hello(hello()));
    let names = frame(&ToSupervisor::Names(NameSort::Known, vec![]));
    let departed = frame(&ToSupervisor::Departed(samples::ID, EndReason::Left));
    let wants = frame(&ToSupervisor::Wants(WantClaim { want: samples::want(Mode::Shared), ticket: None }));
    for (frame, from_end, byte, field) in [
        (&acquire, 1, 3, "mode"),
        (&hello, 28, 2, "purpose"),
        (&hello, 3, 1, "trust"),
        (&names, 5, 3, "sort of names"),
        (&departed, 1, 3, "end reason"),
        (&wants, 1, 2, "ticket"),
    ] {
        let mut frame = frame.clone();
        let at = frame.len() - from_end;
        frame[at] = byte;
        assert_eq!(to_supervisor(frame[4], &frame[5..]), bad(field, byte.into()));
    }

    let permits = frame(&ToSupervisor::Acquire(samples::want(Mode::Permits { count: 0, limit: 1 })));
    assert_eq!(decode::<ToSupervisor>(&permits[4..]), bad("permit count", 0));
    let arrive = Arrive { request: samples::REQUEST, name: samples::name("b"), parties: 0 };
    assert_eq!(decode::<ToSupervisor>(&frame(&ToSupervisor::Arrive(arrive))[4..]), bad("parties", 0));

    let grant = [&[72], &[0; 24][..], &[3]].concat();
    for (bytes, field, value) in
        [(&[64, 9][..], "refusal", 9), (&[81, 4], "sort of leave", 4), (&[95, 4], "order", 4), (&grant, "abandoned", 3)]
    {
        assert_eq!(decode::<ToMember>(bytes), Err(DecodeError::BadValue { field, value }));
    }
    let entry =
        Entry { id: samples::ID, profile: samples::profile(), standing: Standing::Active, nonce: samples::NONCE };
    let mut entries = frame(&ToMember::Entries(vec![entry]));
    let standing = entries.len() - 9;
    entries[standing] = 4;
    assert_eq!(decode::<ToMember>(&entries[4..]), Err(DecodeError::BadValue { field: "standing", value: 4 }));
}

#[test]
fn texts_and_bytes_above_their_limits_are_refused() {
    let join = |label: &[u8], payload: &[u8]| {
        let lengths = ((label.len() as u16).to_be_bytes(), (payload.len() as u32).to_be_bytes());
        [&[2, 0, 1, b'g'], &[0; 16 + 8 + 8 + 16 + 1 + 4 + 4 + 8 + 2 + 1][..], &lengths.0, label, &lengths.1, payload]
            .concat()
    };
    let too_long = |field, len, limit| Some(DecodeError::TooLong { field, len, limit });
    for (bytes, error) in [
        (join(&[b'x'; 256], &[0; 4096]), None),
        (join(&[b'x'; 257], &[]), too_long("label", 257, 256)),
        (join(&[], &[0; 4097]), too_long("payload", 4097, 4096)),
        (join(b"\xc3", &[]), Some(DecodeError::Utf8 { field: "label" })),
    ] {
        assert_eq!(decode::<ToSupervisor>(&bytes).err(), error);
    }

    let put = |len: u32| [&[12], &[0; 8][..], &[4, 0, 1, b'k', 0, 0, 1], &len.to_be_bytes()].concat();
    assert_eq!(
        decode::<ToSupervisor>(&put(VALUE_LIMIT as u32 + 1)).err(),
        too_long("bytes", VALUE_LIMIT + 1, VALUE_LIMIT)
    );
    assert_eq!(
        decode::<ToSupervisor>(&put(VALUE_LIMIT as u32)),
        Err(DecodeError::Truncated { field: "bytes" }),
        "what has not arrived is not made room for"
    );
    let denied = [&[75], &[0; 8][..], &1025_u16.to_be_bytes(), &[b'x'; 1025]].concat();
    assert_eq!(decode::<ToMember>(&denied).err(), too_long("reason", 1025, 1024));
}

#[test]
fn a_count_beyond_the_body_is_refused_before_room_is_made() {
    // Room for so many elements would be tens of gigabytes: the test would not survive it.
    let huge = u32::MAX.to_be_bytes();
    let names = [&[3, 0], &huge[..], &[0; 16]].concat();
    assert_eq!(
        decode::<ToSupervisor>(&names),
        Err(DecodeError::Count { field: "instance id", count: u32::MAX, bytes: 16 })
    );
    for (bytes, field, left) in [
        ([&[66], &huge[..], &[0; 33]].concat(), "entry", 33),
        ([&[67, 1], &huge[..]].concat(), "instance id", 0),
        ([&[69], &[0; 41][..], &huge, &[0; 8]].concat(), "instance id", 8),
        ([&[70], &[0; 16][..], &huge].concat(), "entry", 0),
    ] {
        assert_eq!(decode::<ToMember>(&bytes), Err(DecodeError::Count { field, count: u32::MAX, bytes: left }));
    }
    // One more than there is room for, at the smallest size of an entry.
    let one = [&[66], &1_u32.to_be_bytes()[..], &[0; 33]].concat();
    assert_eq!(decode::<ToMember>(&one), Err(DecodeError::Count { field: "entry", count: 1, bytes: 33 }));
}

#[test]
fn a_stranger_is_told_from_a_hello_of_another_version() {
    let hello = frame(&ToSupervisor::Hello(hello()));
    let with = |at: usize, bytes: &[u8]| {
        let mut hello = hello[4..].to_vec();
        hello[at..at + bytes.len()].copy_from_slice(bytes);
        hello
    };
    let foreign_trust = [&with(5, &[0, 2])[..32], &[9, 0, 2, 1, 1]].concat();
    for (bytes, error) in [
        (with(1, b"HTTP"), DecodeError::Magic(0x4854_5450)),
        (with(7, &[2]), DecodeError::BadValue { field: "purpose", value: 2 }),
        (with(33, &[0, 1]), DecodeError::TooLong { field: "trust", len: 1, limit: 0 }),
        // Of another version: what is odd about the rest does not matter.
        ([&with(5, &[0, 2])[..7], &[2]].concat(), DecodeError::ForeignWire(2)),
        (foreign_trust, DecodeError::ForeignWire(2)),
    ] {
        assert_eq!(decode::<ToSupervisor>(&bytes), Err(error), "{bytes:?}");
    }
}

#[test]
fn errors_name_the_value_and_the_limit() {
    for (error, text) in [
        (DecodeError::Empty, "frame of 0 bytes has no kind"),
        (DecodeError::Oversized { len: 70_000, limit: 65_536 }, "frame of 70000 bytes exceeds 65536"),
        (DecodeError::Magic(0x4745_5420), "first word 0x47455420 is not the magic number"),
        (DecodeError::Trailing { kind: 9, bytes: 3 }, "3 bytes too many in a frame of kind 9"),
        (DecodeError::Count { field: "entry", count: 9, bytes: 12 }, "entry list of 9 exceeds the 12 bytes left"),
        (DecodeError::TooLong { field: "label", len: 257, limit: 256 }, "label of 257 bytes exceeds 256"),
        (DecodeError::BadValue { field: "parties", value: 0 }, "parties may not be 0"),
    ] {
        assert_eq!(error.to_string(), text);
    }
}
