//! A reign that gives more tokens than its base is good for announces a higher one, before those are used up.

use super::super::registry::Place;
use super::{Phase, Supervisor};
use crate::wire::message::ToMember;

impl Supervisor {
    /// Announces a higher base when few tokens are left, and lets the grants go on once it was written to everyone
    /// welcomed before: whoever is left when this reign ends has to know how high its tokens can be. Says whether
    /// anything was done.
    pub(super) fn renew_base(&mut self) -> bool {
        match &self.base_round {
            Some((base, awaiting)) => {
                if !awaiting.is_empty() {
                    return false;
                }
                self.grants.raise(*base);
                self.base_round = None;
            }
            None => {
                if !matches!(self.phase, Phase::Open) || !self.grants.is_short() {
                    return false;
                }
                let base = self.grants.highest();
                // Newcomers find it in their Welcome.
                self.head.base = base;
                let welcomed = self.links_of(&self.registry.in_place(|place| matches!(place, Place::Here(_))));
                self.cast(welcomed.clone(), ToMember::Base(base));
                let awaiting = self.await_writes(welcomed.into_iter());
                self.base_round = Some((base, if self.rules.base_is_awaited { awaiting } else { Default::default() }));
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::super::window::RollCall;
    use super::super::handshake::tests::{group, say_hello, told};
    use super::super::{Control, LinkId, Rules, Settings};
    use super::*;
    use crate::ident::{InstanceId, Kind, Name, Request, Resource, Tag, Token};
    use crate::wire::message::{Mode, ToSupervisor, Want};

    const MEMBER: LinkId = LinkId(8);

    /// A reign of 1 and 2 that is open, whose bases are good for two tokens.
    fn open() -> Supervisor {
        let me = InstanceId::new(1);
        let settings = Settings {
            group: group(),
            me,
            pid: 1,
            window_limit: None,
            aside_limit: None,
            member_limit: 9,
            control: Control::default(),
        };
        let mut supervisor = Supervisor::with_rules(settings, Rules { step: 2, ..Rules::ALL });
        let roll = [(me, Tag::new(1)), (InstanceId::new(2), Tag::new(2))];
        supervisor.called(RollCall::Everyone(BTreeSet::from(roll)));
        say_hello(&mut supervisor, LinkId::LOCAL, 1, &[1, 2]);
        say_hello(&mut supervisor, MEMBER, 2, &[1, 2]);
        supervisor.close(1000);
        supervisor.written(MEMBER, u64::MAX);
        assert!(supervisor.is_open());
        supervisor.take_outputs();
        supervisor
    }

    fn use_one(supervisor: &mut Supervisor, request: u64) {
        let (request, name) = (Request::new(request), Name::new("n").expect("a short name"));
        let want = Want { request, name: Resource::new(Kind::Mutex, name), mode: Mode::Exclusive };
        supervisor.frame(LinkId::LOCAL, ToSupervisor::Acquire(want));
        supervisor.frame(LinkId::LOCAL, ToSupervisor::Release(request));
    }

    #[test]
    fn tokens_beyond_the_base_wait_until_a_higher_one_was_written_to_everybody() {
        let mut supervisor = open();
        use_one(&mut supervisor, 1);
        assert_eq!(told(&mut supervisor, MEMBER), [ToMember::Base(Token::new(1001))]);
        use_one(&mut supervisor, 2);
        use_one(&mut supervisor, 3);
        assert_eq!(supervisor.grants().highest(), Token::new(1002), "the third has to wait");
        let newcomer = LinkId(9);
        say_hello(&mut supervisor, newcomer, 3, &[]);
        supervisor.written(MEMBER, u64::MAX);
        use_one(&mut supervisor, 4);
        assert_eq!(supervisor.grants().highest(), Token::new(1003));
        let frames = told(&mut supervisor, newcomer);
        let base = frames.iter().find_map(|frame| match frame {
            ToMember::Welcome(welcome) => welcome.view.map(|view| view.base),
            _ => None,
        });
        assert!(base >= Some(Token::new(1001)), "a Welcome carries the base of its moment: {frames:?}");
    }

    #[test]
    fn who_ends_or_comes_back_meanwhile_is_not_forgotten() {
        let mut supervisor = open();
        use_one(&mut supervisor, 1);
        supervisor.ended(MEMBER, false);
        use_one(&mut supervisor, 2);
        use_one(&mut supervisor, 3);
        assert_eq!(supervisor.grants().highest(), Token::new(1003), "nobody waits for a connection that has ended");
        let (member, again) = (LinkId(9), LinkId(10));
        say_hello(&mut supervisor, member, 3, &[]);
        supervisor.take_outputs();
        supervisor.written(member, u64::MAX);
        for request in 4..9 {
            use_one(&mut supervisor, request);
        }
        let highest = supervisor.grants().highest();
        say_hello_again(&mut supervisor, again);
        supervisor.written(member, u64::MAX);
        use_one(&mut supervisor, 9);
        use_one(&mut supervisor, 10);
        assert_eq!(supervisor.grants().highest(), highest, "the one that is back has to know as well");
        supervisor.written(again, u64::MAX);
        assert!(supervisor.grants().highest() > highest);
    }

    /// 2 is back, with a higher attempt.
    fn say_hello_again(supervisor: &mut Supervisor, link: LinkId) {
        say_hello(supervisor, link, 2, &[1, 2]);
    }

    #[test]
    fn absurd_numbers_of_a_member_do_not_become_those_of_the_reign() {
        use crate::wire::message::{HeldClaim, Refusal};
        let absurd = Token::new(u64::MAX - 5);
        let me = InstanceId::new(1);
        let settings = Settings {
            group: group(),
            me,
            pid: 1,
            window_limit: None,
            aside_limit: None,
            member_limit: 9,
            control: Control::default(),
        };
        let mut supervisor = Supervisor::new(settings);
        supervisor.called(RollCall::Everyone(BTreeSet::from([(me, Tag::new(1))])));
        supervisor.connected(MEMBER);
        let want = Want {
            request: Request::new(1),
            name: Resource::new(Kind::Mutex, Name::new("n").expect("a short name")),
            mode: Mode::Exclusive,
        };
        super::super::handshake::tests::begin_hello(&mut supervisor, MEMBER, 2, &[1, 2]);
        supervisor.frame(MEMBER, ToSupervisor::Held(HeldClaim { want, token: absurd, since: 0 }));
        supervisor.frame(MEMBER, ToSupervisor::ClaimsEnd);
        let frames = told(&mut supervisor, MEMBER);
        assert!(matches!(frames[..], [ToMember::Refused(Refusal::Protocol(_))]), "{frames:?}");
        say_hello(&mut supervisor, LinkId::LOCAL, 1, &[1]);
        supervisor.close(1000);
        assert_eq!((supervisor.head.base.number(), supervisor.is_open()), (crate::coordinator::numbers::STEP, true));
    }
}
