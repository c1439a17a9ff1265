//! Who asks who holds what, and the answers.

use super::super::registry::Place;
use super::{LinkId, LinkState, Phase, Supervisor};
use crate::wire::chunk_rows;
use crate::wire::message::ToMember;

impl Supervisor {
    /// A connection asks for all locks. It is answered when the reign is open and its view was written; of several
    /// questions of one connection only the last is kept, because its answer is one to those before it as well.
    pub(super) fn survey(&mut self, link: LinkId, number: u64) {
        let asked = self.surveys.entry(link).or_insert(number);
        *asked = number.max(*asked);
    }

    /// Answers what was asked, if that can be answered now.
    pub(super) fn answer_surveys(&mut self) {
        if self.surveys.is_empty() || !matches!(self.phase, Phase::Open) {
            return;
        }
        let has_a_view = |link: &LinkId| match self.links.get(link).map(|found| &found.state) {
            Some(LinkState::Member(id)) => {
                self.registry.get(*id).is_some_and(|member| member.place == Place::Here(*link))
            }
            Some(LinkState::Observer { welcomed, .. }) => *welcomed,
            _ => false,
        };
        let answered: Vec<_> =
            self.surveys.iter().filter(|(link, _)| has_a_view(link)).map(|(link, number)| (*link, *number)).collect();
        for (link, number) in answered {
            self.surveys.remove(&link);
            for rows in chunk_rows(self.grants.rows()) {
                self.send(link, ToMember::Locks(rows));
            }
            self.send(link, ToMember::Surveyed(number));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::super::window::RollCall;
    use super::super::handshake::tests::{group, say_hello, told};
    use super::super::{Control, Settings, WIRE_VERSION};
    use super::*;
    use crate::ident::{Attempt, InstanceId, Kind, Name, Nonce, Request, Resource, Tag, Token};
    use crate::wire::message::{Hello, Join, Mode, Profile, Purpose, Queued, ToSupervisor, Trust, Want};

    /// A supervisor, 1, whose window waits for 2.
    fn collecting() -> Supervisor {
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
        let roll = [(me, Tag::new(1)), (InstanceId::new(2), Tag::new(2))];
        supervisor.called(RollCall::Everyone(BTreeSet::from(roll)));
        say_hello(&mut supervisor, LinkId::LOCAL, 1, &[1, 2]);
        supervisor
    }

    fn observe(supervisor: &mut Supervisor, link: LinkId) {
        let (id, attempt) = (InstanceId::new(70), Attempt::new(1));
        let hello = Hello {
            wire: WIRE_VERSION,
            purpose: Purpose::Observer,
            trust: Trust::Open,
            id,
            attempt,
            nonce: Nonce::new(1),
        };
        let profile =
            Profile { pid: 0, version: 0, since: 0, presence: 0, paused: false, label: "".into(), payload: [].into() };
        let (stamp, base) = Default::default();
        let join = Join { group: group(), stamp, epoch: stamp.epoch, base, state: stamp, stopping: false, profile };
        supervisor.connected(link);
        for frame in [ToSupervisor::Hello(hello), ToSupervisor::Join(join), ToSupervisor::ClaimsEnd] {
            supervisor.frame(link, frame);
        }
    }

    fn lock() -> Resource {
        Resource::new(Kind::Mutex, Name::new("n").expect("a short name"))
    }

    fn acquire(supervisor: &mut Supervisor, link: LinkId) {
        let want = Want { request: Request::new(1), name: lock(), mode: Mode::Exclusive };
        supervisor.frame(link, ToSupervisor::Acquire(want));
    }

    fn surveyed(frames: &[ToMember]) -> Vec<u64> {
        let number = |frame: &ToMember| match frame {
            ToMember::Surveyed(number) => Some(*number),
            _ => None,
        };
        frames.iter().filter_map(number).collect()
    }

    #[test]
    fn a_survey_is_answered_when_the_reign_is_open() {
        let (member, observer) = (LinkId(8), LinkId(9));
        let mut supervisor = collecting();
        say_hello(&mut supervisor, member, 2, &[1, 2]);
        observe(&mut supervisor, observer);
        for number in [1, 2] {
            supervisor.frame(member, ToSupervisor::Survey(number));
            supervisor.frame(observer, ToSupervisor::Survey(number + 5));
        }
        acquire(&mut supervisor, member);
        supervisor.set_time(77);
        supervisor.close(1);
        assert!(!supervisor.is_open() && !supervisor.is_window_open());
        supervisor.frame(member, ToSupervisor::Survey(3));
        let outputs = format!("{:?}", supervisor.take_outputs());
        assert!(!outputs.contains("Surveyed"), "{outputs}");
        supervisor.written(member, u64::MAX);
        assert!(supervisor.is_open());
        let mut copy = supervisor.clone();
        let frames = told(&mut supervisor, member);
        assert_eq!(surveyed(&frames), [3], "once for all three");
        let Some(ToMember::Locks(rows)) = frames.get(frames.len() - 2) else { panic!("{frames:?}") };
        let [row] = &rows[..] else { panic!("{rows:?}") };
        assert_eq!((&row.name, row.holders.len(), row.waiters.len()), (&lock(), 1, 0));
        assert_eq!((row.holders[0].who, row.holders[0].since), (InstanceId::new(2), 77));
        assert!(row.holders[0].token > Token::new(1));
        assert_eq!(surveyed(&told(&mut copy, observer)), [7]);
        for (link, number) in [(member, 9), (observer, 9), (LinkId::LOCAL, 9)] {
            supervisor.frame(link, ToSupervisor::Survey(number));
            assert_eq!(surveyed(&told(&mut supervisor, link)), [number], "at once");
        }
    }

    #[test]
    fn nobody_is_answered_before_it_has_a_view() {
        let (member, newcomer) = (LinkId(8), LinkId(9));
        let mut supervisor = collecting();
        say_hello(&mut supervisor, member, 2, &[1, 2]);
        supervisor.close(1);
        supervisor.written(member, u64::MAX);
        say_hello(&mut supervisor, newcomer, 3, &[]);
        supervisor.frame(newcomer, ToSupervisor::Survey(1));
        assert_eq!(surveyed(&told(&mut supervisor, newcomer)), [0; 0]);
        supervisor.written(member, u64::MAX);
        let frames = told(&mut supervisor, newcomer);
        assert!(
            matches!(frames[..], [ToMember::Entries(_), ToMember::Welcome(_), ToMember::Surveyed(1)]),
            "{frames:?}"
        );
        supervisor.frame(newcomer, ToSupervisor::Survey(2));
        supervisor.ended(newcomer, true);
        assert_eq!(supervisor.surveys.len(), 0);
    }

    #[test]
    fn who_inquires_is_told_how_its_request_stands_now() {
        let member = LinkId(8);
        let mut supervisor = collecting();
        acquire(&mut supervisor, LinkId::LOCAL);
        say_hello(&mut supervisor, member, 2, &[1, 2]);
        supervisor.set_time(5);
        supervisor.close(1);
        acquire(&mut supervisor, member);
        supervisor.frame(member, ToSupervisor::Inquire(Request::new(1)));
        let frames = told(&mut supervisor, member);
        assert!(!frames.iter().any(|frame| matches!(frame, ToMember::Queued(_))), "not open: {frames:?}");
        supervisor.written(member, u64::MAX);
        let frames = told(&mut supervisor, member);
        let [ToMember::Queued(first)] = frames[..] else { panic!("{frames:?}") };
        assert_eq!(first.holder.map(|holder| (holder.who, holder.since)), Some((InstanceId::new(1), 5)));
        supervisor.frame(member, ToSupervisor::Inquire(Request::new(1)));
        assert_eq!(told(&mut supervisor, member), [ToMember::Queued(first)]);
        supervisor.frame(LinkId::LOCAL, ToSupervisor::Leave);
        supervisor.take_outputs();
        for request in [1, 2] {
            supervisor.frame(member, ToSupervisor::Inquire(Request::new(request)));
            let frames = told(&mut supervisor, member);
            assert_eq!(frames, [], "{request} does not wait");
        }
        let Queued { ahead, .. } = first;
        assert_eq!(ahead, 0);
    }
}
