use std::collections::BTreeSet;

use super::super::super::window::RollCall;
use super::super::handshake::tests::{group, nonce_of, told};
use super::super::{Control, Settings, WIRE_VERSION};
use super::*;
use crate::ident::{Attempt, Epoch, Stamp, Tag, Token};
use crate::wire::message::{Entry, Join, NameSort, Profile, ToSupervisor, Trust};

const ME: u64 = 1;
const STRANGER: LinkId = LinkId(900);

const fn id(number: u64) -> InstanceId {
    InstanceId::new(number)
}

/// What a client says.
struct Words {
    number: u64,
    attempt: u64,
    nonce: Nonce,
    purpose: Purpose,
    /// The ids of its view, with their nonces; none: it is new.
    known: Vec<Named>,
}

/// What the member of this number says, with a view of these.
fn owner(number: u64, attempt: u64, known: &[u64]) -> Words {
    let known = known.iter().map(|number| (id(*number), nonce_of(*number))).collect();
    Words { number, attempt, nonce: nonce_of(number), purpose: Purpose::Member, known }
}

fn stranger(number: u64, attempt: u64, known: &[u64]) -> Words {
    Words { nonce: Nonce::new(7), ..owner(number, attempt, known) }
}

impl Words {
    fn hello(&self) -> ToSupervisor {
        ToSupervisor::Hello(Hello {
            wire: WIRE_VERSION,
            purpose: self.purpose,
            trust: Trust::Open,
            id: id(self.number),
            attempt: Attempt::new(self.attempt),
            nonce: self.nonce,
        })
    }

    fn all(&self) -> Vec<ToSupervisor> {
        let n = u64::from(!self.known.is_empty());
        let stamp = Stamp { epoch: Epoch::new(n), n };
        let profile =
            Profile { pid: 0, version: 0, since: 0, presence: 0, paused: false, label: "".into(), payload: [].into() };
        let (epoch, base, state) = (stamp.epoch, Token::default(), Stamp::default());
        let join = Join { group: group(), stamp, epoch, base, state, stopping: false, profile };
        let mut frames = vec![self.hello(), ToSupervisor::Join(join)];
        if n > 0 {
            frames.push(ToSupervisor::Names(NameSort::Known, self.known.clone()));
        }
        frames.push(ToSupervisor::ClaimsEnd);
        frames
    }
}

fn say(supervisor: &mut Supervisor, link: LinkId, frames: Vec<ToSupervisor>) -> Vec<ToMember> {
    supervisor.take_outputs();
    supervisor.connected(link);
    frames.into_iter().for_each(|frame| supervisor.frame(link, frame));
    told(supervisor, link)
}

/// A window of 1, to which the kernel shows these.
fn window(shown: &[u64]) -> Supervisor {
    let settings = Settings {
        group: group(),
        me: id(ME),
        pid: 1,
        window_limit: None,
        aside_limit: None,
        member_limit: 9,
        control: Control::default(),
    };
    let mut supervisor = Supervisor::new(settings);
    let shown = shown.iter().map(|number| (id(*number), Tag::new(*number)));
    supervisor.called(RollCall::Everyone(BTreeSet::from_iter(shown)));
    supervisor
}

/// An open reign of 1, with 2 and 3.
fn reign() -> Supervisor {
    let mut supervisor = window(&[1, 2, 3]);
    for number in 1..=3 {
        let link = if number == ME { LinkId::LOCAL } else { LinkId(number) };
        say(&mut supervisor, link, owner(number, 5, &[1, 2, 3]).all());
    }
    supervisor.close(1);
    (2..=3).for_each(|number| supervisor.written(LinkId(number), u64::MAX));
    assert!(supervisor.is_open());
    supervisor.take_outputs();
    supervisor
}

fn refused(refusal: Refusal) -> Vec<ToMember> {
    vec![ToMember::Refused(refusal)]
}

#[test]
fn a_handshake_that_comes_to_nothing_leaves_nothing_behind() {
    let in_a_window = {
        let mut supervisor = window(&[1, 2, 3]);
        say(&mut supervisor, LinkId::LOCAL, owner(ME, 5, &[1, 2, 3]).all());
        say(&mut supervisor, LinkId(2), owner(2, 5, &[1, 2, 3]).all());
        supervisor.take_outputs();
        supervisor
    };
    for before in [in_a_window, reign()] {
        for number in 1..=4 {
            for attempt in [1, 6, u64::MAX] {
                let words = [
                    vec![owner(number, attempt, &[]).hello()],
                    vec![stranger(number, attempt, &[]).hello()],
                    stranger(number, attempt, &[]).all(),
                    stranger(number, attempt, &[1, 2, 3]).all(),
                    Words { purpose: Purpose::Observer, ..stranger(number, attempt, &[]) }.all(),
                ];
                for frames in words {
                    // Under an id that nobody has, all of it is a handshake.
                    if number == 4 && frames.len() > 1 {
                        continue;
                    }
                    let mut supervisor = before.clone();
                    say(&mut supervisor, STRANGER, frames.clone());
                    supervisor.ended(STRANGER, false);
                    supervisor.take_outputs();
                    assert_eq!(supervisor, before, "{frames:?}");
                }
            }
        }
    }
}

#[test]
fn the_id_of_the_supervisor_is_claimed_over_no_connection() {
    for mut supervisor in [window(&[1]), reign()] {
        assert_eq!(say(&mut supervisor, STRANGER, owner(ME, 9, &[1, 2, 3]).all()), refused(Refusal::Taken));
    }
}

#[test]
fn a_member_without_a_nonce_is_refused() {
    let words = Words { nonce: Nonce::UNKNOWN, ..owner(4, 1, &[]) };
    let frames = say(&mut reign(), STRANGER, words.all());
    assert!(matches!(frames[..], [ToMember::Refused(Refusal::Protocol(_))]), "{frames:?}");
}

#[test]
fn an_attempt_that_cannot_follow_is_answered_with_the_last_one() {
    let last = Attempt::new(5);
    for (attempt, follows) in [
        (1, false),
        (5, false),
        (6, true),
        (5 + Attempt::STRIDE, true),
        (6 + Attempt::STRIDE, false),
        (u64::MAX, false),
    ] {
        let mut supervisor = reign();
        let frames = say(&mut supervisor, LinkId(9), owner(2, attempt, &[1, 2, 3]).all());
        if follows {
            assert!(matches!(frames.first(), Some(ToMember::Welcome(_))), "{attempt}: {frames:?}");
            assert!(supervisor.is_current(LinkId(9), id(2)));
        } else {
            assert_eq!(frames, refused(Refusal::Attempt { last }), "{attempt}");
            assert!(supervisor.is_current(LinkId(2), id(2)));
        }
    }
}

#[test]
fn who_has_another_nonce_needs_another_id() {
    let mut supervisor = reign();
    assert_eq!(say(&mut supervisor, STRANGER, stranger(2, 6, &[1, 2, 3]).all()), [ToMember::Forfeited]);
    supervisor.ended(LinkId(2), false);
    assert_eq!(
        say(&mut supervisor, LinkId(901), stranger(2, 6, &[]).all()),
        [ToMember::Forfeited],
        "set aside as well"
    );
    let frames = say(&mut supervisor, LinkId(9), owner(2, 6, &[1, 2, 3]).all());
    assert!(matches!(frames.first(), Some(ToMember::Welcome(_))), "{frames:?}");
}

#[test]
fn an_awaited_id_of_a_closed_view_is_had_with_its_nonce_only() {
    let mut supervisor = window(&[1, 2]);
    say(&mut supervisor, LinkId::LOCAL, owner(ME, 5, &[1, 2]).all());
    for words in [stranger(2, 9, &[]), stranger(2, 9, &[1, 2])] {
        assert_eq!(say(&mut supervisor, STRANGER, words.all()), refused(Refusal::Taken));
        assert!(!supervisor.is_complete());
    }
    say(&mut supervisor, LinkId(2), owner(2, 6, &[1, 2]).all());
    assert!(supervisor.is_complete());
}

#[test]
fn a_first_claim_counts_until_the_view_of_another_survivor_contradicts_it() {
    let mut supervisor = window(&[1, 2, 3]);
    // The winner is new and knows nobody.
    say(&mut supervisor, LinkId::LOCAL, owner(ME, 1, &[]).all());
    say(&mut supervisor, STRANGER, stranger(2, 9, &[1, 2, 3]).all());
    assert_eq!(say(&mut supervisor, LinkId(2), owner(2, 6, &[1, 2, 3]).all()), refused(Refusal::Taken));
    supervisor.take_outputs();
    supervisor.connected(LinkId(3));
    owner(3, 6, &[1, 2, 3]).all().into_iter().for_each(|frame| supervisor.frame(LinkId(3), frame));
    assert_eq!(told(&mut supervisor, STRANGER), refused(Refusal::Taken));
    assert!(supervisor.awaited().contains(&id(2)) && !supervisor.is_complete());
    assert_eq!(say(&mut supervisor, LinkId(901), stranger(2, 10, &[1, 2, 3]).all()), refused(Refusal::Taken));
    let frames = say(&mut supervisor, LinkId(2), owner(2, 6, &[1, 2, 3]).all());
    assert!(frames.iter().any(|frame| matches!(frame, ToMember::Welcome(_))), "{frames:?}");
    assert!(supervisor.is_complete());
}

#[test]
fn a_first_claim_counts_only_as_long_as_its_connection_stands() {
    let mut supervisor = window(&[1, 2]);
    say(&mut supervisor, LinkId::LOCAL, owner(ME, 1, &[]).all());
    for words in [stranger(2, 9, &[]), stranger(2, 9, &[1, 2])] {
        say(&mut supervisor, STRANGER, words.all());
        supervisor.ended(STRANGER, false);
        assert!(!supervisor.is_complete(), "the kernel shows a member");
    }
    say(&mut supervisor, LinkId(2), owner(2, 6, &[1, 2]).all());
    assert!(supervisor.is_complete());
}

#[test]
fn one_that_says_it_is_new_does_not_account_for_a_member_that_the_kernel_shows() {
    let mut supervisor = window(&[1, 2]);
    say(&mut supervisor, LinkId::LOCAL, owner(ME, 1, &[]).all());
    say(&mut supervisor, STRANGER, stranger(2, 9, &[]).all());
    assert_eq!((supervisor.unnamed(), supervisor.is_complete()), (vec![id(2)], false));
    let frames = say(&mut supervisor, LinkId(2), owner(2, 6, &[1, 2]).all());
    assert!(frames.iter().any(|frame| matches!(frame, ToMember::Welcome(_))), "{frames:?}");
    assert!(supervisor.is_complete());
    // And if it was the truth, the kernel says so.
    let mut supervisor = window(&[1, 2]);
    say(&mut supervisor, LinkId::LOCAL, owner(ME, 1, &[]).all());
    say(&mut supervisor, LinkId(2), owner(2, 9, &[]).all());
    supervisor.membership_gone(id(2));
    assert!(supervisor.is_complete());
}

#[test]
fn an_observer_acts_under_no_members_id() {
    let observer = |number: u64| Words { purpose: Purpose::Observer, ..stranger(number, 1, &[]) };
    let mut supervisor = reign();
    for number in 1..=3 {
        assert_eq!(say(&mut supervisor, STRANGER, observer(number).all()), refused(Refusal::Taken));
    }
    supervisor.ended(LinkId(2), false);
    assert_eq!(say(&mut supervisor, STRANGER, observer(2).all()), refused(Refusal::Taken), "set aside");
    let frames = say(&mut supervisor, STRANGER, observer(4).all());
    assert!(matches!(frames.last(), Some(ToMember::Welcome(_))), "{frames:?}");
    // The member was about to come, and its presence showed its id.
    supervisor.connected(LinkId(4));
    owner(4, 1, &[]).all().into_iter().for_each(|frame| supervisor.frame(LinkId(4), frame));
    assert!(told(&mut supervisor, STRANGER).contains(&ToMember::Refused(Refusal::Taken)));
    let mut supervisor = window(&[1, 2]);
    assert_eq!(say(&mut supervisor, STRANGER, observer(2).all()), refused(Refusal::Taken), "awaited");
}

#[test]
fn observers_are_told_no_nonce_and_members_all_of_them() {
    let mut supervisor = reign();
    say(&mut supervisor, STRANGER, Words { purpose: Purpose::Observer, ..stranger(9, 1, &[]) }.all());
    supervisor.take_outputs();
    supervisor.connected(LinkId(4));
    owner(4, 1, &[]).all().into_iter().for_each(|frame| supervisor.frame(LinkId(4), frame));
    let mut heard = Vec::new();
    for link in [LinkId(2), STRANGER] {
        let mut again = supervisor.clone();
        let frames = told(&mut again, link);
        let [ToMember::Delta(delta)] = &frames[..] else { panic!("{frames:?}") };
        heard.push(delta.entries.iter().map(|Entry { id, nonce, .. }| (*id, *nonce)).collect::<Vec<_>>());
    }
    assert_eq!(heard, [[(id(4), nonce_of(4))], [(id(4), Nonce::UNKNOWN)]]);
    let mut supervisor = reign();
    let nonces = |frames: Vec<ToMember>| -> Vec<Nonce> {
        let entries = frames.into_iter().filter_map(|frame| match frame {
            ToMember::Entries(entries) => Some(entries),
            _ => None,
        });
        entries.flatten().map(|entry| entry.nonce).collect()
    };
    let frames = say(&mut supervisor, STRANGER, Words { purpose: Purpose::Observer, ..stranger(9, 1, &[]) }.all());
    assert_eq!(nonces(frames), [Nonce::UNKNOWN; 3]);
    let frames = say(&mut supervisor, LinkId(9), owner(2, 6, &[1, 2, 3]).all());
    assert_eq!(nonces(frames), [1, 2, 3].map(nonce_of));
}

#[test]
fn an_instance_that_was_evicted_is_nobody_that_can_be_new() {
    let settings = Settings {
        group: group(),
        me: id(ME),
        pid: 1,
        window_limit: Some(Supervisor::SLICE),
        aside_limit: None,
        member_limit: 9,
        control: Control::default(),
    };
    let mut supervisor = Supervisor::new(settings);
    supervisor.called(RollCall::Everyone([1, 2].map(|number| (id(number), Tag::new(number))).into()));
    say(&mut supervisor, LinkId::LOCAL, owner(ME, 5, &[1, 2]).all());
    supervisor.time(Supervisor::SLICE, true);
    supervisor.notified(id(2));
    supervisor.close(1);
    assert_eq!(say(&mut supervisor, STRANGER, stranger(2, 1, &[]).all()), [ToMember::Forfeited]);
}
