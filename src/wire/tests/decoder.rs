//! The incremental decoder: the same frames however they arrive, in bounded memory.

use proptest::prelude::*;

use super::frame;
use super::samples::{self, hello};
use crate::wire::error::DecodeError;
use crate::wire::frame::{Decoder, LIMIT_AFTER_TRUST, LIMIT_BEFORE_TRUST, Message, SLACK};
use crate::wire::fuzzing::same_frames;
use crate::wire::message::{Put, ToMember, ToSupervisor};

fn put(size: usize) -> ToSupervisor {
    let bytes = Some(vec![7; size].into());
    ToSupervisor::Put(Put { request: samples::REQUEST, key: samples::config(), expected: None, again: None, bytes })
}

#[test]
fn the_length_is_judged_when_its_four_bytes_are_there() {
    for (length, error) in [
        (4097_u32, DecodeError::Oversized { len: 4097, limit: 4096 }),
        (u32::MAX, DecodeError::Oversized { len: u32::MAX, limit: 4096 }),
        (0x4854_5450, DecodeError::Oversized { len: 0x4854_5450, limit: 4096 }),
        (0, DecodeError::Empty),
    ] {
        let mut decoder = Decoder::new(LIMIT_BEFORE_TRUST);
        decoder.feed(&length.to_be_bytes()[..3]);
        assert_eq!(decoder.next::<ToSupervisor>(), Ok(None));
        decoder.feed(&length.to_be_bytes()[3..]);
        assert_eq!(decoder.next::<ToSupervisor>(), Err(error));
    }
}

#[test]
fn an_error_is_for_good() {
    let mut decoder = Decoder::new(10);
    decoder.feed(&frame(&ToSupervisor::ClaimsEnd));
    decoder.feed(&frame(&put(0)));
    assert_eq!(decoder.next(), Ok(Some(ToSupervisor::ClaimsEnd)));
    let error = decoder.next::<ToSupervisor>().expect_err("the frame is above the limit");
    // Neither a higher limit nor more bytes make it good again.
    decoder.set_limit(LIMIT_AFTER_TRUST);
    decoder.feed(&frame(&ToSupervisor::ClaimsEnd));
    for _ in 0..3 {
        assert_eq!(decoder.next::<ToSupervisor>(), Err(error));
    }
    assert_eq!(decoder.next::<ToMember>(), Err(error));
}

#[test]
fn the_limit_rises_between_two_frames_of_one_write() {
    let bytes = [frame(&ToSupervisor::Hello(hello())), frame(&put(5000))].concat();
    let mut decoder = Decoder::new(LIMIT_BEFORE_TRUST);
    let used = decoder.feed(&bytes);
    assert_eq!(decoder.next(), Ok(Some(ToSupervisor::Hello(hello()))));
    decoder.set_limit(LIMIT_AFTER_TRUST);
    decoder.feed(&bytes[used..]);
    assert_eq!(decoder.next(), Ok(Some(put(5000))));
    assert!(!decoder.is_mid_frame());
}

#[test]
fn an_end_within_a_frame_shows() {
    let bytes = frame(&ToSupervisor::Ping(1));
    let mut decoder = Decoder::new(LIMIT_BEFORE_TRUST);
    assert!(!decoder.is_mid_frame());
    decoder.feed(&bytes[..1]);
    assert_eq!(decoder.next::<ToSupervisor>(), Ok(None));
    assert!(decoder.is_mid_frame());
    decoder.feed(&bytes[1..]);
    assert_eq!(decoder.next(), Ok(Some(ToSupervisor::Ping(1))));
    assert!(!decoder.is_mid_frame());
}

#[test]
fn memory_is_bounded_by_what_arrives_and_by_the_limit() {
    let mut decoder = Decoder::new(LIMIT_AFTER_TRUST);
    assert_eq!(decoder.allocated(), 0);
    decoder.feed(&(LIMIT_AFTER_TRUST as u32).to_be_bytes());
    assert_eq!(decoder.next::<ToSupervisor>(), Ok(None));
    assert!(decoder.allocated() <= SLACK, "a promise of a large frame costs nothing");

    // Whoever never takes a frame out is given no more room.
    let mut decoder = Decoder::new(LIMIT_BEFORE_TRUST);
    let ping = frame(&ToSupervisor::Ping(1));
    let fed: usize = (0..10_000).map(|_| decoder.feed(&ping)).sum();
    assert_eq!(fed, LIMIT_BEFORE_TRUST + SLACK);
    assert!(decoder.space().is_empty());
    decoder.filled(usize::MAX);
    assert_eq!(decoder.allocated(), LIMIT_BEFORE_TRUST + SLACK);

    // A large frame does not keep its room.
    let mut decoder = Decoder::new(LIMIT_AFTER_TRUST);
    decoder.feed(&frame(&put(900_000)));
    assert_eq!(decoder.next(), Ok(Some(put(900_000))));
    assert!(!decoder.space().is_empty());
    assert!(decoder.allocated() <= SLACK);
}

#[test]
fn a_frame_of_exactly_the_limit_passes() {
    let overhead = frame(&put(0)).len() - 4;
    let stream = [frame(&put(2000 - overhead)), frame(&put(2000 - overhead)), frame(&put(2001 - overhead))].concat();
    for cut in [1, 7, 1999, 2004, 4096] {
        same_frames::<ToSupervisor>([2000, 2000], &[cut], &stream);
    }
    let mut decoder = Decoder::new(2000);
    decoder.feed(&stream);
    assert!(decoder.next::<ToSupervisor>().is_ok_and(|frame| frame.is_some()));
    assert!(decoder.next::<ToSupervisor>().is_ok_and(|frame| frame.is_some()));
    assert_eq!(decoder.next::<ToSupervisor>(), Err(DecodeError::Oversized { len: 2001, limit: 2000 }));
}

fn pieces() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(prop_oneof![1..8_usize, 1..5000_usize, 1..100_000_usize], 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_cutting_of_good_frames_gives_what_the_twin_gives(
        picks in proptest::collection::vec((any::<prop::sample::Index>(), 0..40_000_usize), 0..30),
        cuts in pieces(),
        cut_off in 0..20_usize,
    ) {
        let samples = samples::to_supervisor();
        let mut stream = frame(&ToSupervisor::Hello(hello()));
        for (index, size) in &picks {
            if size % 5 == 0 { put(*size) } else { index.get(&samples).clone() }.encode(&mut stream);
        }
        stream.truncate(stream.len().saturating_sub(cut_off));
        same_frames::<ToSupervisor>([LIMIT_BEFORE_TRUST, 30_000], &cuts, &stream);
    }

    #[test]
    fn any_cutting_of_spoilt_frames_gives_what_the_twin_gives(
        picks in proptest::collection::vec(any::<prop::sample::Index>(), 1..20),
        spoilt in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cuts in pieces(),
    ) {
        let samples = samples::to_member();
        let mut stream = Vec::new();
        for index in &picks {
            index.get(&samples).encode(&mut stream);
        }
        let at = spoilt.index(stream.len());
        stream[at] = byte;
        same_frames::<ToMember>([LIMIT_BEFORE_TRUST, LIMIT_AFTER_TRUST], &cuts, &stream);
    }

    #[test]
    fn any_bytes_at_all_give_what_the_twin_gives(
        stream in proptest::collection::vec(prop_oneof![3 => Just(0_u8), 2 => 0..20_u8, 1 => any::<u8>()], 0..400),
        cuts in pieces(),
    ) {
        same_frames::<ToSupervisor>([64, 300], &cuts, &stream);
        same_frames::<ToMember>([64, 300], &cuts, &stream);
    }
}
