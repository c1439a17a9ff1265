//! Asking the supervisor who holds what: surveys of all locks, and how one waiting request stands.
//!
//! A question is never lost: one that was not answered when its connection ended, or that was asked while nobody
//! reigned, is asked when the next reign is open. Answers are never mixed: what came of one before the connection ended
//! is dropped.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::bounds::Cost;
use super::{Claim, Connection, Effect, Misplaced, Notice, Session};
use crate::ident::Request;
use crate::wire::message::{BarrierRow, LockRow, ToSupervisor};

/// The answer to a survey.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// The locks that are held or waited for.
    pub locks: Vec<LockRow>,
    /// The barriers at which members wait.
    pub barriers: Vec<BarrierRow>,
}

/// The surveys that wait for their answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Surveys {
    /// The number of the last one.
    last: u64,
    /// The numbers of those not answered yet and still waited for, in order.
    open: BTreeSet<u64>,
    /// The one that is under way on this connection. Its answer comes also if nobody waits for it any more: until then
    /// another one would only make the supervisor list everything twice.
    asked: Option<u64>,
    /// What has come of the answer so far.
    rows: Survey,
    rows_cost: Cost,
}

impl Session {
    /// Asks who holds what and who waits for it: the number of the question, and what to write, if there is anybody to
    /// write to. [`Notice::Surveyed`] with the number follows, if need be in a later reign.
    ///
    /// One question at a time is under way, however many ask: the answer lists every lock there is, and whoever asks
    /// meanwhile shares the next one. Whoever does not wait for it any more says so: [`Session::forget_survey`].
    pub fn survey(&mut self) -> (u64, Option<ToSupervisor>) {
        let number = self.next_request().number();
        self.surveys.last = number;
        self.surveys.open.insert(number);
        if self.surveys.asked.is_some() || !self.is_settled() {
            return (number, None);
        }
        self.surveys.asked = Some(number);
        (number, Some(ToSupervisor::Survey(number)))
    }

    /// Nobody waits for the answer to this question any more.
    pub fn forget_survey(&mut self, number: u64) {
        self.surveys.open.remove(&number);
    }

    /// Asks how a request that waits stands now. [`Notice::Queued`] follows, or nothing, if it waits no more.
    pub fn inquire(&self, request: Request) -> Option<ToSupervisor> {
        let waits = matches!(self.claims.get(&request), Some(Claim::Wants(..)));
        (waits && self.is_settled()).then_some(ToSupervisor::Inquire(request))
    }

    /// The reign is open, or an answer is complete: what is still unanswered is asked, and one answer is enough for all
    /// of it.
    pub(super) fn survey_again(&mut self, effects: &mut Vec<Effect>) {
        self.surveys.asked = self.surveys.open.last().copied();
        effects.extend(self.surveys.asked.map(|number| Effect::Send(ToSupervisor::Survey(number))));
    }

    /// A part of an answer.
    pub(super) fn locks(&mut self, rows: Vec<LockRow>) -> Result<(), Misplaced> {
        self.expect_survey()?;
        self.surveys.rows_cost = self.surveys.rows_cost.and(Cost::of_locks(&rows)).of_all_locks()?;
        for row in rows {
            match self.surveys.rows.locks.last_mut() {
                Some(before) if before.name == row.name => {
                    before.holders.extend(row.holders);
                    before.waiters.extend(row.waiters);
                }
                _ => self.surveys.rows.locks.push(row),
            }
        }
        Ok(())
    }

    /// Another part of an answer.
    pub(super) fn barriers(&mut self, rows: Vec<BarrierRow>) -> Result<(), Misplaced> {
        self.expect_survey()?;
        self.surveys.rows_cost = self.surveys.rows_cost.and(Cost::of_barriers(&rows)).of_all_locks()?;
        self.surveys.rows.barriers.extend(rows);
        Ok(())
    }

    /// The end of an answer. It is one to every question asked before, too: it was made after them. What was asked since
    /// is said now.
    pub(super) fn surveyed(&mut self, number: u64, effects: &mut Vec<Effect>) -> Result<(), Misplaced> {
        self.expect_survey()?;
        // However many ask, they share the rows.
        self.surveys.rows_cost = Cost::default();
        let rows = Arc::new(std::mem::take(&mut self.surveys.rows));
        let later = self.surveys.open.split_off(&number.saturating_add(1));
        let answered = std::mem::replace(&mut self.surveys.open, later);
        if self.surveys.asked.is_some_and(|asked| asked <= number) {
            self.survey_again(effects);
        }
        effects.extend(answered.into_iter().map(|asked| Effect::Tell(Notice::Surveyed(asked, Arc::clone(&rows)))));
        Ok(())
    }

    /// The connection has ended, and with it the answer that was under way.
    pub(super) fn drop_answer(&mut self) {
        self.surveys.rows = Survey::default();
        self.surveys.rows_cost = Cost::default();
        self.surveys.asked = None;
    }

    fn expect_survey(&self) -> Result<(), Misplaced> {
        // A question that was answered together with an older one has an answer of its own under way.
        if self.standing == Connection::Settled && self.surveys.last > 0 {
            Ok(())
        } else {
            Err(Misplaced("answer to a survey that was not made"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lock, member, name, profile, welcome};
    use super::*;
    use crate::ident::{InstanceId, Nonce, Token};
    use crate::wire::message::{HolderRow, Mode, ToMember, WaiterRow};

    fn row(holders: &[u64], waiters: &[u64]) -> LockRow {
        let (mode, since) = (Mode::Shared, 0);
        let holder = |who: &u64| HolderRow { who: InstanceId::new(*who), mode, token: Token::new(*who), since };
        let waiter = |who: &u64| WaiterRow { who: InstanceId::new(*who), mode };
        LockRow {
            name: lock(),
            limit: None,
            holders: holders.iter().map(holder).collect(),
            waiters: waiters.iter().map(waiter).collect(),
        }
    }

    fn answers(effects: Vec<Effect>) -> Vec<(u64, Vec<LockRow>)> {
        let answer = |effect| match effect {
            Effect::Tell(Notice::Surveyed(number, rows)) => Some((number, rows.locks.clone())),
            _ => None,
        };
        effects.into_iter().filter_map(answer).collect()
    }

    fn said_again(effects: &[Effect]) -> Vec<&Effect> {
        effects.iter().filter(|effect| matches!(effect, Effect::Send(ToSupervisor::Survey(_)))).collect()
    }

    #[test]
    fn the_rows_of_one_lock_are_joined() {
        let (mut session, _) = member(false);
        let (number, frame) = session.survey();
        assert_eq!(frame, Some(ToSupervisor::Survey(number)));
        for rows in [vec![row(&[1, 2], &[])], vec![row(&[3], &[]), row(&[], &[4])]] {
            assert_eq!(session.receive(ToMember::Locks(rows)), Ok(vec![]));
        }
        let effects = session.receive(ToMember::Surveyed(number)).expect("the end");
        assert_eq!(answers(effects), [(number, vec![row(&[1, 2, 3], &[4])])]);
        let effects = session.receive(ToMember::Surveyed(number)).expect("harmless");
        assert_eq!(answers(effects), [], "it is answered once");
    }

    #[test]
    fn an_answer_has_the_barriers_of_all_its_parts() {
        let (mut session, _) = member(false);
        let (number, _) = session.survey();
        let row = |waiters: &[u64]| BarrierRow {
            name: name(),
            parties: 3,
            missing: 1,
            waiters: waiters.iter().copied().map(InstanceId::new).collect(),
        };
        for rows in [vec![row(&[1, 2])], vec![row(&[]), row(&[3])]] {
            assert_eq!(session.receive(ToMember::Barriers(rows)), Ok(vec![]));
        }
        let effects = session.receive(ToMember::Surveyed(number)).expect("the end");
        let [Effect::Tell(Notice::Surveyed(_, survey))] = &effects[..] else { panic!("{effects:?}") };
        assert_eq!(survey.barriers, [row(&[1, 2]), row(&[]), row(&[3])], "two rows of one name are two uses");
    }

    #[test]
    fn an_answer_is_one_to_every_question_before() {
        let (mut session, _) = member(false);
        let (first, _) = session.survey();
        let (second, _) = session.survey();
        let (third, _) = session.survey();
        session.receive(ToMember::Locks(vec![row(&[1], &[])])).expect("a part");
        let effects = session.receive(ToMember::Surveyed(second)).expect("the end");
        assert_eq!(answers(effects), [(first, vec![row(&[1], &[])]), (second, vec![row(&[1], &[])])]);
        let effects = session.receive(ToMember::Surveyed(third)).expect("the end");
        assert_eq!(answers(effects), [(third, vec![])], "the next answer begins empty");
    }

    #[test]
    fn those_who_ask_while_a_question_is_under_way_share_the_next_one() {
        let (mut session, _) = member(false);
        let (first, frame) = session.survey();
        assert_eq!(frame, Some(ToSupervisor::Survey(first)));
        let ((second, two), (third, three)) = (session.survey(), session.survey());
        assert_eq!((two, three), (None, None), "the answer under way may be older than these");
        let effects = session.receive(ToMember::Surveyed(first)).expect("the end");
        assert_eq!(said_again(&effects), [&Effect::Send(ToSupervisor::Survey(third))]);
        assert_eq!(answers(effects), [(first, vec![])]);
        let effects = session.receive(ToMember::Surveyed(third)).expect("the end");
        assert!(said_again(&effects).is_empty(), "nothing is left to ask");
        assert_eq!(answers(effects), [(second, vec![]), (third, vec![])]);
        let (fourth, frame) = session.survey();
        assert_eq!(frame, Some(ToSupervisor::Survey(fourth)));
    }

    #[test]
    fn a_question_that_nobody_waits_for_any_more_is_forgotten() {
        let (mut session, _) = member(false);
        let (first, frame) = session.survey();
        assert_eq!(frame, Some(ToSupervisor::Survey(first)));
        session.forget_survey(first);
        // A supervisor that stands still is asked again and again.
        for _ in 0..1000 {
            let (number, frame) = session.survey();
            assert_eq!(frame, None, "the first one is still under way");
            session.forget_survey(number);
        }
        assert!(session.surveys.open.is_empty());
        let (last, _) = session.survey();
        session.receive(ToMember::Locks(vec![row(&[1], &[])])).expect("a part");
        let effects = session.receive(ToMember::Surveyed(first)).expect("the end");
        assert_eq!(said_again(&effects), [&Effect::Send(ToSupervisor::Survey(last))]);
        assert_eq!(answers(effects), [], "nobody waits for it");
        let effects = session.receive(ToMember::Surveyed(last)).expect("the end");
        assert_eq!(answers(effects), [(last, vec![])]);
        let (number, frame) = session.survey();
        assert_eq!(frame, Some(ToSupervisor::Survey(number)), "nothing is under way");
        session.forget_survey(number);
        session.disconnected();
        session.hello();
        let effects = session.receive(welcome(1)).expect("the welcome");
        assert!(said_again(&effects).is_empty(), "nothing is left to ask");
    }

    #[test]
    fn all_who_asked_share_the_rows() {
        let (mut session, _) = member(false);
        session.survey();
        let (last, _) = session.survey();
        session.receive(ToMember::Locks(vec![row(&[1], &[])])).expect("a part");
        let effects = session.receive(ToMember::Surveyed(last)).expect("the end");
        let [Effect::Tell(Notice::Surveyed(_, one)), Effect::Tell(Notice::Surveyed(_, other))] = &effects[..] else {
            panic!("two answers expected: {effects:?}")
        };
        assert!(Arc::ptr_eq(one, other));
    }

    #[test]
    fn a_question_outlives_the_connection_and_half_an_answer_does_not() {
        let (mut session, _) = member(false);
        let (number, _) = session.survey();
        session.receive(ToMember::Locks(vec![row(&[1], &[])])).expect("a part");
        session.disconnected();
        let (later, frame) = session.survey();
        assert_eq!(frame, None, "nobody to ask");
        session.hello();
        let effects = session.receive(welcome(1)).expect("the welcome");
        assert_eq!(said_again(&effects), [&Effect::Send(ToSupervisor::Survey(later))], "once for both");
        session.receive(ToMember::Locks(vec![row(&[2], &[])])).expect("a part");
        let effects = session.receive(ToMember::Surveyed(later)).expect("the end");
        assert_eq!(answers(effects), [(number, vec![row(&[2], &[])]), (later, vec![row(&[2], &[])])]);
        session.disconnected();
        session.hello();
        let effects = session.receive(welcome(1)).expect("the welcome");
        assert!(said_again(&effects).is_empty(), "nothing is left to ask");
    }

    #[test]
    fn a_newcomers_question_waits_for_its_view() {
        let mut session = Session::new(InstanceId::new(2), Nonce::new(2), name(), profile());
        let (number, frame) = session.survey();
        assert_eq!(frame, None);
        session.hello();
        assert!(session.receive(ToMember::Surveyed(number)).is_err(), "nobody was asked");
        let effects = session.receive(welcome(1)).expect("the welcome");
        assert_eq!(said_again(&effects), [&Effect::Send(ToSupervisor::Survey(number))]);
    }

    #[test]
    fn only_a_request_that_waits_can_be_inquired_about() {
        let (session, request) = member(false);
        assert_eq!(session.inquire(request), Some(ToSupervisor::Inquire(request)));
        assert_eq!(session.inquire(Request::new(99)), None);
        let (mut session, request) = member(true);
        assert_eq!(session.inquire(request), None, "it holds");
        session.release(request);
        let (request, _) = session.acquire(lock(), Mode::Exclusive);
        session.disconnected();
        assert_eq!(session.inquire(request), None, "nobody reigns");
    }
}
