use super::super::mail::tests::{ME, Office, id, request};
use super::super::{Control, Rules};
use super::*;
use crate::wire::message::{LeaveSort, ToSupervisor};

const A: LinkId = LinkId(1);
const B: LinkId = LinkId(2);

fn office() -> Office {
    Office::with(Control { answers: true, ..Control::default() }, Rules::ALL, 2)
}

/// Asks, and says the number of the question if the handler gets one.
fn ask(office: &mut Office, link: LinkId, number: u64, size: usize) -> Option<u64> {
    office.asides.clear();
    office.say(link, ToSupervisor::Ask(Ask { request: request(number), bytes: vec![1; size].into() }));
    match &office.asides[..] {
        [Output::Handle(question, entry, bytes)] => {
            assert!(entry.id == id(link) && bytes.len() == size);
            Some(*question)
        }
        _ => None,
    }
}

fn answer(office: &mut Office, question: Option<u64>, answer: Result<Arc<[u8]>, Box<str>>) {
    office.supervisor.handled(question.expect("a question for the handler"), answer);
    office.take();
    office.write_all();
}

#[test]
fn every_question_gets_its_own_answer_in_any_order_and_only_once() {
    let mut office = office();
    let first = ask(&mut office, A, 1, 3);
    let second = ask(&mut office, B, 1, 3);
    let third = ask(&mut office, ME, 1, 3);
    answer(&mut office, second, Ok([2].into()));
    answer(&mut office, third, Ok([3].into()));
    answer(&mut office, first, Err("no".into()));
    answer(&mut office, first, Ok([4].into()));
    assert_eq!(office.told(A), [ToMember::Failed(request(1), "no".into())]);
    assert_eq!(office.told(B), [ToMember::Reply(request(1), [2].into())]);
    assert_eq!(office.told(ME), [ToMember::Reply(request(1), [3].into())]);
}

#[test]
fn without_a_handler_every_question_is_denied() {
    let mut office = Office::with(Control::default(), Rules::ALL, 1);
    assert_eq!(ask(&mut office, A, 1, 3), None);
    office.write_all();
    assert!(matches!(office.told(A)[..], [ToMember::Denied(_, _)]));
}

#[test]
fn the_answer_to_somebody_whose_connection_has_ended_goes_to_nobody() {
    let mut office = office();
    let question = ask(&mut office, A, 1, 3);
    assert!(question.is_some_and(|question| office.supervisor.is_wanted(question)));
    office.end(A, true);
    assert!(!question.is_some_and(|question| office.supervisor.is_wanted(question)));
    office.join(A);
    answer(&mut office, question, Ok([].into()));
    assert_eq!(office.told(A), []);
}

#[test]
fn a_question_that_was_cancelled_is_forgotten_and_no_other() {
    let mut office = office();
    let first = ask(&mut office, A, 1, 3);
    let second = ask(&mut office, A, 2, 3);
    let third = ask(&mut office, B, 1, 3);
    office.say(A, ToSupervisor::Cancel(request(1)));
    for question in [first, second, third] {
        answer(&mut office, question, Ok([].into()));
    }
    assert_eq!(office.told(A), [ToMember::Reply(request(2), [].into())]);
    assert_eq!(office.told(B), [ToMember::Reply(request(1), [].into())]);
}

#[test]
fn an_answer_that_no_frame_can_carry_is_none() {
    let mut office = office();
    let (fits, large) = (ask(&mut office, A, 1, 3), ask(&mut office, A, 2, 3));
    answer(&mut office, fits, Ok(vec![0; VALUE_LIMIT].into()));
    answer(&mut office, large, Ok(vec![0; VALUE_LIMIT + 1].into()));
    let told = office.told(A);
    assert!(
        matches!(&told[..], [ToMember::Reply(..), ToMember::Failed(_, why)] if why.contains("1048577")),
        "{told:?}"
    );
}

#[test]
fn who_asks_more_than_is_answered_is_denied_until_something_is() {
    let mut office = office();
    let size = VALUE_LIMIT - Asks::OVERHEAD;
    let first = ask(&mut office, A, 1, size);
    for number in 2..=64 {
        assert!(ask(&mut office, A, number, size).is_some());
    }
    assert_eq!(ask(&mut office, B, 1, 0), None);
    answer(&mut office, first, Ok([].into()));
    assert!(ask(&mut office, B, 2, 0).is_some());
    assert!(matches!(office.told(B)[..], [ToMember::Denied(_, _)]));
}

#[test]
fn large_answers_are_written_a_few_at_a_time() {
    let mut office = office();
    let questions: Vec<_> = (1..=9).map(|number| ask(&mut office, A, number, 3)).collect();
    for question in questions.into_iter().flatten() {
        office.supervisor.handled(question, Ok(vec![0; VALUE_LIMIT - 100].into()));
    }
    office.take();
    assert_eq!(office.unwritten[&A].len(), 2);
    office.write_all();
    assert_eq!(office.told(A).len(), 9);
}

#[test]
fn a_supervisor_that_drains_begins_nothing_and_waits_for_what_was_begun() {
    let mut office = office();
    let (first, second) = (ask(&mut office, A, 1, 3), ask(&mut office, A, 2, 3));
    assert!(office.supervisor.begin(first.expect("a question")));
    office.supervisor.drain(false);
    assert!(!office.supervisor.begin(second.expect("a question")), "it is for the next supervisor");
    assert_eq!(ask(&mut office, B, 1, 3), None);
    assert!(!office.supervisor.is_drained());
    office.supervisor.handled(first.expect("a question"), Ok([1].into()));
    office.take();
    assert!(!office.supervisor.is_drained(), "the answer is on its way");
    office.write_all();
    assert!(office.supervisor.is_drained());
    assert_eq!(office.told(A), [ToMember::Reply(request(1), [1].into())]);
}

#[test]
fn a_supervisor_that_leaves_the_group_does_not_wait_for_what_it_asked_itself() {
    let mut office = office();
    let own = ask(&mut office, ME, 1, 3);
    assert!(office.supervisor.begin(own.expect("a question")));
    office.supervisor.drain(false);
    assert!(!office.supervisor.is_drained());
    office.supervisor.drain(true);
    assert!(office.supervisor.is_drained());
}

#[test]
fn whoever_waits_for_an_answer_that_was_begun_knows_before_the_supervisor_leaves_that_there_is_none() {
    let mut office = office();
    let (begun, _) = (ask(&mut office, A, 1, 3), ask(&mut office, A, 2, 3));
    assert!(office.supervisor.begin(begun.expect("a question")));
    // Answers that do not go out in time, since others are under way.
    let large: Vec<_> = (1..=4).map(|number| ask(&mut office, B, number, 3)).collect();
    for question in large.into_iter().flatten() {
        assert!(office.supervisor.begin(question));
        office.supervisor.handled(question, Ok(vec![0; VALUE_LIMIT - 100].into()));
    }
    office.supervisor.freeze(LeaveSort::Leaving);
    office.take();
    office.write_all();
    assert_eq!(office.told(A), [ToMember::Interrupted(request(1)), ToMember::Leave(LeaveSort::Leaving)]);
    let told = office.told(B);
    let [ToMember::Reply(..), ToMember::Reply(..), rest @ ..] = &told[..] else { panic!("{told:?}") };
    let interrupted = [3, 4].map(|number| ToMember::Interrupted(request(number)));
    assert_eq!(rest, [&interrupted[..], &[ToMember::Leave(LeaveSort::Leaving)]].concat());
}

#[test]
fn a_supervisor_that_leaves_answers_nothing_more() {
    let mut office = office();
    let question = ask(&mut office, A, 1, 3);
    office.supervisor.freeze(LeaveSort::Leaving);
    answer(&mut office, question, Ok([].into()));
    assert_eq!(office.told(A), [ToMember::Leave(LeaveSort::Leaving)]);
}
