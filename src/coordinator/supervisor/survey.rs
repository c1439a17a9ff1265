//! Who asks who holds what, and the answers.
//!
//! An answer is written in parts, each no larger than a slice and only when the one before has reached the kernel: a long
//! one neither keeps the others from their turn nor fills the connection of a peer that reads slowly.

use super::super::registry::Place;
use super::{LinkId, LinkState, Output, Phase, Supervisor};
use crate::ident::{Name, Resource, Stamp};
use crate::wire::message::{BarrierRow, ToMember};
use crate::wire::{chunk_barriers, chunk_rows};

/// What a connection asks, and how far its answer has come.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Survey {
    /// The last question.
    asked: u64,
    answer: Option<Answer>,
}

/// An answer of which parts are missing.
#[derive(Clone, Debug, PartialEq)]
struct Answer {
    /// The question when it was begun: what was asked since needs an answer of its own.
    number: u64,
    /// What the last part ended with.
    after: After,
    /// The frame of the connection that has to be written before the next part is.
    frame: u64,
}

/// How far the list was said.
#[derive(Clone, Debug, PartialEq)]
enum After {
    Locks(Option<Resource>),
    Barriers(Option<Name>),
    Complete(Option<Stamp>),
    All,
}

impl Supervisor {
    /// A connection asks for all locks and barriers. It is answered when the reign is open and its view was written; of
    /// several questions of one connection only the last is kept, because its answer is one to those before it as well.
    pub(super) fn survey(&mut self, link: LinkId, number: u64) {
        let survey = self.surveys.entry(link).or_insert(Survey { asked: number, answer: None });
        survey.asked = number.max(survey.asked);
    }

    /// Begins to answer what was asked, if that can be answered now.
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
        let unanswered = self.surveys.iter().filter(|(link, survey)| survey.answer.is_none() && has_a_view(link));
        for link in unanswered.map(|(link, _)| *link).collect::<Vec<_>>() {
            if let Some(survey) = self.surveys.get_mut(&link) {
                survey.answer = Some(Answer { number: survey.asked, after: After::Locks(None), frame: 0 });
            }
            self.answer_survey(link);
        }
    }

    /// Whether the next part of an answer can be written.
    pub(super) fn is_surveying(&self) -> bool {
        !self.surveys.is_empty() && self.next_survey().is_some()
    }

    /// Writes the next part of an answer.
    pub(super) fn go_on_surveying(&mut self) {
        if matches!(self.phase, Phase::Open)
            && let Some(link) = self.next_survey()
        {
            self.answer_survey(link);
        }
    }

    fn next_survey(&self) -> Option<LinkId> {
        let may_go_on = |link: &LinkId, survey: &Survey| {
            let written = self.links.get(link).map_or(0, |found| found.written);
            survey.answer.as_ref().is_some_and(|answer| *link == LinkId::LOCAL || answer.frame <= written)
        };
        self.surveys.iter().find(|(link, survey)| may_go_on(link, survey)).map(|(link, _)| *link)
    }

    fn answer_survey(&mut self, link: LinkId) {
        let Some(answer) = self.surveys.get(&link).and_then(|survey| survey.answer.clone()) else { return };
        let Answer { number, mut after, .. } = answer;
        let mut left = self.rules.slice;
        while left > 0 && after != After::All {
            after = match after {
                After::Locks(before) => {
                    let rows = self.grants.rows(before.as_ref(), left);
                    left =
                        rows.iter().fold(left, |left, row| left.saturating_sub(row.holders.len() + row.waiters.len()));
                    let last = rows.last().map(|row| row.name.clone());
                    chunk_rows(rows).into_iter().for_each(|rows| self.send(link, ToMember::Locks(rows)));
                    last.map_or(After::Barriers(None), |last| After::Locks(Some(last)))
                }
                After::Barriers(before) => {
                    let rows = self.barriers.rows(before.as_ref(), left);
                    let last = rows.last().map(|row| row.name.clone());
                    left = self.say_barriers(link, rows, left);
                    last.map_or(After::Complete(None), |last| After::Barriers(Some(last)))
                }
                After::Complete(before) => {
                    let (numbers, rows): (Vec<_>, _) = self.barriers.complete_rows(before, left).into_iter().unzip();
                    left = self.say_barriers(link, rows, left);
                    numbers.last().map_or(After::All, |last| After::Complete(Some(*last)))
                }
                After::All => After::All,
            };
        }
        if after == After::All {
            self.send(link, ToMember::Surveyed(number));
        } else if link != LinkId::LOCAL {
            self.outputs.push(Output::Watch(vec![link]));
        }
        let frame = self.links.get(&link).map_or(0, |found| found.sent);
        let Some(survey) = self.surveys.get_mut(&link) else { return };
        survey.answer = (after != After::All).then_some(Answer { number, after, frame });
        if survey.answer.is_none() && survey.asked <= number {
            self.surveys.remove(&link);
        }
    }

    /// Writes these rows, and says how much of a slice is left.
    fn say_barriers(&mut self, link: LinkId, rows: Vec<BarrierRow>, left: usize) -> usize {
        let left = rows.iter().fold(left, |left, row| left.saturating_sub(row.waiters.len()));
        chunk_barriers(rows).into_iter().for_each(|rows| self.send(link, ToMember::Barriers(rows)));
        left
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::super::rules::Rules;
    use super::super::super::window::RollCall;
    use super::super::handshake::tests::{group, say_hello, told};
    use super::super::{Control, Settings, WIRE_VERSION};
    use super::*;
    use crate::ident::{Attempt, InstanceId, Kind, Name, Nonce, Request, Resource, Tag, Token};
    use crate::wire::message::{Arrive, Hello, Join, Mode, Profile, Purpose, Queued, ToSupervisor, Trust, Want};

    /// A supervisor, 1, whose window waits for 2.
    fn collecting() -> Supervisor {
        collecting_with(Rules::ALL)
    }

    fn collecting_with(rules: Rules) -> Supervisor {
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
        let mut supervisor = Supervisor::with_rules(settings, rules);
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
        // The place that the open reign gives, and the answer to what was asked before.
        let [ToMember::Queued(first), ToMember::Queued(again)] = frames[..] else { panic!("{frames:?}") };
        assert_eq!(first, again);
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

    /// A reign of 1 and 2 that is open, in which a slice is so large.
    fn open_with(slice: usize, member: LinkId) -> Supervisor {
        let mut supervisor = collecting_with(Rules { slice, ..Rules::ALL });
        say_hello(&mut supervisor, member, 2, &[1, 2]);
        supervisor.close(1);
        supervisor.written(member, u64::MAX);
        assert!(supervisor.is_open());
        supervisor.take_outputs();
        supervisor
    }

    fn names(frames: &[ToMember]) -> Vec<&str> {
        let rows = frames.iter().filter_map(|frame| match frame {
            ToMember::Locks(rows) => Some(rows),
            _ => None,
        });
        rows.flatten().map(|row| row.name.name.as_str()).collect()
    }

    #[test]
    fn a_long_answer_is_written_in_parts_each_when_the_one_before_was() {
        let member = LinkId(8);
        let mut supervisor = open_with(2, member);
        for number in 1..=5 {
            let name = Resource::new(Kind::Mutex, Name::new(format!("n{number}")).expect("a short name"));
            let want = Want { request: Request::new(number), name, mode: Mode::Exclusive };
            supervisor.frame(LinkId::LOCAL, ToSupervisor::Acquire(want));
        }
        supervisor.take_outputs();
        supervisor.frame(member, ToSupervisor::Survey(1));
        let outputs = supervisor.take_outputs();
        assert!(outputs.contains(&Output::Watch(vec![member])), "{outputs:?}");
        assert!(!supervisor.is_behind(), "the peer has not got the first part");
        // One that is asked meanwhile is answered afterwards, by an answer that was begun later.
        supervisor.frame(member, ToSupervisor::Survey(2));
        assert_eq!(told(&mut supervisor, member), []);
        let mut parts = vec![outputs.into_iter().filter_map(sent).collect::<Vec<_>>()];
        for _ in 0..5 {
            supervisor.written(member, u64::MAX);
            if supervisor.is_behind() {
                supervisor.go_on();
            }
            parts.push(told(&mut supervisor, member));
        }
        let listed: Vec<_> = parts.iter().map(|frames| (names(frames), surveyed(frames))).collect();
        let (none, one, two) = (vec![], vec![1], vec![2]);
        assert_eq!(listed[..2], [(vec!["n1", "n2"], none.clone()), (vec!["n3", "n4"], none.clone())]);
        assert_eq!(listed[2], (vec!["n5", "n1", "n2"], one), "the next one begins at once");
        assert_eq!(listed[3..5], [(vec!["n3", "n4"], none), (vec!["n5"], two)]);
        assert!(supervisor.surveys.is_empty() && !supervisor.is_behind());
    }

    fn sent(output: Output) -> Option<ToMember> {
        match output {
            Output::Send(_, frame) => Some(frame),
            _ => None,
        }
    }

    #[test]
    fn an_answer_names_the_barriers_and_who_waits_at_them() {
        for slice in [1, 512] {
            let member = LinkId(8);
            let mut supervisor = open_with(slice, member);
            let arrive = |supervisor: &mut Supervisor, link, request, text: &str, parties| {
                let name = Name::new(text).expect("a short name");
                let arrive = Arrive { request: Request::new(request), name, parties };
                supervisor.frame(link, ToSupervisor::Arrive(arrive));
            };
            arrive(&mut supervisor, member, 1, "full", 2);
            arrive(&mut supervisor, LinkId::LOCAL, 1, "full", 2);
            arrive(&mut supervisor, LinkId::LOCAL, 2, "full", 2);
            arrive(&mut supervisor, member, 2, "phase", 4);
            arrive(&mut supervisor, member, 3, "phase", 4);
            supervisor.take_outputs();
            supervisor.frame(LinkId::LOCAL, ToSupervisor::Survey(7));
            while supervisor.is_behind() {
                supervisor.go_on();
            }
            let frames = told(&mut supervisor, LinkId::LOCAL);
            assert_eq!(surveyed(&frames), [7]);
            let rows = frames.iter().filter_map(|frame| match frame {
                ToMember::Barriers(rows) => Some(rows),
                _ => None,
            });
            let [me, other] = [1, 2].map(InstanceId::new);
            let row = |row: &BarrierRow| (row.name.to_string(), row.parties, row.missing, row.waiters.clone());
            let expected = [
                ("full".to_owned(), 2, 1, vec![me]),
                ("phase".to_owned(), 4, 2, vec![other, other]),
                // It is complete, and the member has not got that yet.
                ("full".to_owned(), 2, 0, vec![other, me]),
            ];
            assert_eq!(rows.flatten().map(row).collect::<Vec<_>>(), expected);
            // Who is not connected does not count.
            supervisor.ended(member, false);
            let rows = supervisor.barriers().rows(None, 9);
            let phase =
                rows.iter().find(|row| row.name.as_str() == "phase").map(|row| (row.missing, row.waiters.len()));
            assert_eq!(phase, Some((4, 2)));
        }
    }
}
