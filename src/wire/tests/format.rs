//! The bytes themselves, against the page in `wire`.

use super::samples::{self, ID, REQUEST, SINCE, TOKEN, hello, want};
use super::{decode, frame};
use crate::wire::message::*;
use crate::wire::{REASON_LIMIT, WIRE_VERSION};

const ID_BYTES: &str = "0102030405060708";
const WANT_BYTES: &str = "0000000000000021 00 0007 636174616c6f67";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ascii"), 16).expect("hexadecimal");
    digits.chunks(2).map(pair).collect()
}

#[test]
fn frozen_messages_have_the_bytes_they_always_had() {
    let ticket = Some(crate::ident::Ticket { epoch: crate::ident::Epoch::new(5), n: 6 });
    let permits = Mode::Permits { count: 3, limit: 25 };
    for (message, expected) in [
        (
            ToSupervisor::Hello(hello()),
            format!("00000023 01 42454c4c 0001 00 {ID_BYTES} 0000000000000009 4e00000000000001 00 0000"),
        ),
        (
            ToSupervisor::Held(HeldClaim { want: want(Mode::Exclusive), token: TOKEN, since: SINCE }),
            format!("00000024 05 {WANT_BYTES} 00 0011223344556677 0000019000000001"),
        ),
        (
            ToSupervisor::Wants(WantClaim { want: want(Mode::Shared), ticket }),
            format!("00000025 06 {WANT_BYTES} 01 01 0000000000000005 0000000000000006"),
        ),
        (
            ToSupervisor::Wants(WantClaim { want: want(permits), ticket: None }),
            format!("0000001d 06 {WANT_BYTES} 02 00000003 00000019 00"),
        ),
        (ToSupervisor::ClaimsEnd, "00000001 07".into()),
    ] {
        assert_eq!(frame(&message), bytes(&expected), "{message}");
    }
    for (message, expected) in [
        (ToMember::Refused(Refusal::Wire { supervisor: 1, client: 7 }), "00000006 40 00 0001 0007"),
        (ToMember::Forfeited, "00000001 41"),
        (ToMember::Lost(REQUEST), "00000009 4a 0000000000000021"),
    ] {
        assert_eq!(frame(&message), bytes(expected), "{message}");
    }
}

#[test]
fn kinds_are_numbered_without_gaps_and_not_shared() {
    let kinds = |frames: Vec<Vec<u8>>| {
        let mut kinds: Vec<u8> = frames.iter().map(|frame| frame[4]).collect();
        kinds.dedup();
        kinds
    };
    assert_eq!(kinds(samples::to_supervisor().iter().map(frame).collect()), (1..=27).collect::<Vec<u8>>());
    assert_eq!(kinds(samples::to_member().iter().map(frame).collect()), (64..=98).collect::<Vec<u8>>());
}

#[test]
fn the_page_has_a_paragraph_for_every_message() {
    let page = include_str!("../mod.rs");
    let paragraphs: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("//! **")?.split_once("**: ")).collect();
    let name = |text: String| text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned();
    let client = samples::to_supervisor().into_iter().map(|message| (frame(&message)[4], name(format!("{message:?}"))));
    let server = samples::to_member().into_iter().map(|message| (frame(&message)[4], name(format!("{message:?}"))));
    let mut titles: Vec<_> = client.chain(server).map(|(kind, name)| format!("{kind} {name}")).collect();
    titles.dedup();
    assert_eq!(paragraphs.iter().map(|(title, _)| *title).collect::<Vec<_>>(), titles);
}

#[test]
fn a_hello_of_another_version_is_read() {
    let foreign = Hello { wire: WIRE_VERSION + 1, ..hello() };
    assert_eq!(decode(&frame(&ToSupervisor::Hello(foreign.clone()))[4..]), Ok(ToSupervisor::Hello(foreign)));
}

#[test]
fn a_long_reason_arrives_cut_short_at_a_whole_character() {
    let long = "☂".repeat(REASON_LIMIT);
    let sent = ToMember::Denied(REQUEST, long.clone().into());
    let arrived = ToMember::Denied(REQUEST, long[..REASON_LIMIT - REASON_LIMIT % 3].into());
    assert_eq!(decode(&frame(&sent)[4..]), Ok(arrived));
}

#[test]
fn a_message_is_logged_in_one_line_without_bytes_of_the_application() {
    let secret: std::sync::Arc<[u8]> = [b's'; 300].into();
    let put = Put { request: REQUEST, key: samples::config(), expected: None, again: None, bytes: Some(secret) };
    assert_eq!(ToSupervisor::Put(put).to_string(), r#"put #33 value "config" 300 bytes"#);
    assert_eq!(ToSupervisor::Hello(hello()).to_string(), format!("hello member {ID} attempt 9 wire 1"));
    assert_eq!(ToSupervisor::Acquire(want(Mode::Exclusive)).to_string(), r#"acquire #33 mutex "catalog" exclusive"#);
    for line in samples::to_supervisor().iter().map(ToString::to_string) {
        assert!(!line.contains(['\n', '☂']) || line.starts_with("join"), "{line}");
    }
    for line in samples::to_member().iter().map(ToString::to_string) {
        assert!(!line.contains('\n') && line.len() < 160, "{line}");
    }
}
