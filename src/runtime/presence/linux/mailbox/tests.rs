use super::super::super::{Mechanism, Presence, tags_of};
use super::*;
use crate::ident::Tag;
use crate::runtime::testing::free_port;

const A: InstanceId = InstanceId::new(0xa);
const B: InstanceId = InstanceId::new(0xb);

fn members(port: u16) -> [Presence; 2] {
    [A, B].map(|id| {
        let mut presence = Presence::bind(Mechanism::Named, port, id).unwrap();
        presence.join().unwrap();
        presence
    })
}

/// A datagram that is no notice.
fn disturb(presence: &Presence, port: u16, tag: Tag, bytes: &[u8]) -> io::Result<()> {
    let super::super::super::Sockets::Named(sockets) = &presence.sockets else { unreachable!("it has names") };
    send(&sockets.presence, format!("bellwether/{port}/{A}/m/{tag}").as_bytes(), bytes)
}

#[test]
fn a_notice_is_found_by_the_member_that_it_is_for_and_only_once() {
    let port = free_port();
    let [a, b] = members(port);
    for evicted in [false, true] {
        let notice = Notice { id: A, evicted };
        assert_eq!(a.take_notice(), (None, 0));
        b.notify(&a.tags(), &notice).unwrap();
        assert_eq!(b.take_notice(), (None, 0));
        assert_eq!(a.take_notice(), (Some(notice), 0));
        assert_eq!(a.take_notice(), (None, 0));
        b.notify(&tags_of(Mechanism::Named, port, A).unwrap(), &notice).unwrap();
        assert_eq!(a.take_notice(), (Some(notice), 0));
    }
}

#[test]
fn a_notice_stays_until_its_membership_is_given_up() {
    let port = free_port();
    let [mut a, b] = members(port);
    let (notice, old) = (Notice { id: A, evicted: false }, a.tags());
    b.notify(&old, &notice).unwrap();
    drop(b);
    // As it does for a hello.
    a.show_another().unwrap();
    a = a.raise();
    assert_eq!(a.take_notice(), (Some(notice), 0));

    let b = Presence::bind(Mechanism::Named, port, B).unwrap();
    b.notify(&old, &notice).unwrap();
    // As it does when it is part of another reign.
    a.join().unwrap();
    assert_eq!(a.take_notice(), (None, 0));
    assert!(b.notify(&old, &notice).is_err(), "the name is gone");
    b.notify(&a.tags(), &notice).unwrap();
    a.leave();
    assert!(b.notify(&[], &notice).is_err(), "it shows none");
}

#[test]
fn what_is_no_notice_is_thrown_away() {
    let port = free_port();
    let [a, b] = members(port);
    let tag = a.tags()[0];
    let right = Notice { id: A, evicted: false }.encode();
    let wrong: [&[u8]; 5] =
        [&[], b"hello", &[&right[..], &[0]].concat(), &Notice { id: B, evicted: false }.encode(), &[7; 5000]];
    for bytes in wrong {
        disturb(&b, port, tag, bytes).unwrap();
        assert_eq!(a.take_notice(), (None, 1), "{bytes:?}");
    }
    wrong.into_iter().for_each(|bytes| disturb(&b, port, tag, bytes).unwrap());
    disturb(&b, port, tag, &right).unwrap();
    assert_eq!(a.take_notice(), (Some(Notice { id: A, evicted: false }), 5));
}

#[test]
fn a_full_mailbox_takes_nothing_and_holds_nobody_up() {
    let port = free_port();
    let [a, b] = members(port);
    let full = (0..100_000).find_map(|_| disturb(&b, port, a.tags()[0], &[7]).err()).expect("an end");
    assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
    let notice = Notice { id: A, evicted: false };
    assert_eq!(b.notify(&a.tags(), &notice).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    let mut others = 0;
    while let (None, count @ 1..) = a.take_notice() {
        others += count;
    }
    assert!(others > 1);
    b.notify(&a.tags(), &notice).unwrap();
    assert_eq!(a.take_notice(), (Some(notice), 0));
}

#[test]
fn notices_that_nobody_reads_keep_no_other_one_back() {
    let port = free_port();
    let sender = Presence::bind(Mechanism::Named, port, B).unwrap();
    let silent: Vec<_> = (0x100..0x132).map(InstanceId::new).collect();
    let join = |id: &InstanceId| {
        let mut presence = Presence::bind(Mechanism::Named, port, *id).unwrap();
        presence.join().unwrap();
        presence
    };
    let silent: Vec<_> = silent.iter().map(|id| (*id, join(id))).collect();
    // As many as fit into one mailbox, and far more in all than the send buffer of one socket holds.
    for round in 0..10 {
        for (id, presence) in &silent {
            let sent = sender.notify(&presence.tags(), &Notice { id: *id, evicted: false });
            assert!(sent.is_ok(), "{sent:?} for {id} in round {round}");
        }
    }
    assert!(silent.iter().all(|(id, presence)| presence.take_notice().0.is_some_and(|notice| notice.id == *id)));
}
