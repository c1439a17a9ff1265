//! Asking the supervisor who holds what: surveys of all locks, and how one waiting request stands.
//!
//! A question is never lost: one that was not answered when its connection ended, or that was asked while nobody
//! reigned, is asked when the next reign is open. Answers are never mixed: what came of one before the connection ended
//! is dropped.

use super::{Claim, Connection, Effect, Misplaced, Notice, Session};
use crate::ident::Request;
use crate::wire::message::{LockRow, ToSupervisor};

/// The surveys that wait for their answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Surveys {
    /// The number of the last one.
    last: u64,
    /// The numbers of those not answered yet, in order.
    open: Vec<u64>,
    /// What has come of the answer so far.
    rows: Vec<LockRow>,
}

impl Session {
    /// Asks who holds what and who waits for it: the number of the question, and what to write, if there is anybody to
    /// write to. [`Notice::Surveyed`] with the number follows, if need be in a later reign.
    ///
    /// One question at a time is under way, however many ask: the answer lists every lock there is, and whoever asks
    /// meanwhile shares the next one.
    pub fn survey(&mut self) -> (u64, Option<ToSupervisor>) {
        let number = self.next_request().number();
        let is_first = self.surveys.open.is_empty();
        self.surveys.last = number;
        self.surveys.open.push(number);
        (number, (is_first && self.is_settled()).then_some(ToSupervisor::Survey(number)))
    }

    /// Asks how a request that waits stands now. [`Notice::Queued`] follows, or nothing, if it waits no more.
    pub fn inquire(&self, request: Request) -> Option<ToSupervisor> {
        let waits = matches!(self.claims.get(&request), Some(Claim::Wants(..)));
        (waits && self.is_settled()).then_some(ToSupervisor::Inquire(request))
    }

    /// The reign is open: what is still unanswered is asked again, and one answer is enough for all of it.
    pub(super) fn survey_again(&self, effects: &mut Vec<Effect>) {
        effects.extend(self.surveys.open.last().map(|number| Effect::Send(ToSupervisor::Survey(*number))));
    }

    /// A part of an answer.
    pub(super) fn locks(&mut self, rows: Vec<LockRow>) -> Result<(), Misplaced> {
        self.expect_survey()?;
        for row in rows {
            match self.surveys.rows.last_mut() {
                Some(before) if before.name == row.name => {
                    before.holders.extend(row.holders);
                    before.waiters.extend(row.waiters);
                }
                _ => self.surveys.rows.push(row),
            }
        }
        Ok(())
    }

    /// The end of an answer. It is one to every question asked before, too: it was made after them. What was asked since
    /// is said now.
    pub(super) fn surveyed(&mut self, number: u64, effects: &mut Vec<Effect>) -> Result<(), Misplaced> {
        self.expect_survey()?;
        let rows = std::mem::take(&mut self.surveys.rows);
        let open = std::mem::take(&mut self.surveys.open);
        let (answered, open): (Vec<_>, Vec<_>) = open.into_iter().partition(|asked| *asked <= number);
        self.surveys.open = open;
        if !answered.is_empty() {
            self.survey_again(effects);
        }
        effects.extend(answered.into_iter().map(|asked| Effect::Tell(Notice::Surveyed(asked, rows.clone()))));
        Ok(())
    }

    /// The connection has ended, and with it the answer that had begun.
    pub(super) fn drop_answer(&mut self) {
        self.surveys.rows.clear();
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
    use crate::ident::{InstanceId, Token};
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
            Effect::Tell(Notice::Surveyed(number, rows)) => Some((number, rows)),
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
        let mut session = Session::new(InstanceId::new(2), name(), profile());
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
