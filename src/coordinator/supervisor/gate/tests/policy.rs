//! What the policy is asked, and what becomes of its verdicts.

use super::*;

#[test]
fn nothing_takes_effect_before_the_policy_was_asked() {
    let mut case = Case::open(true, Rules::ALL);
    case.say(TWO, acquire(1, "n"));
    case.say(TWO, put(2, "k", None));
    case.say(TWO, post(3));
    case.say(THREE, acquire(1, "n"));
    assert_eq!(case.about(TWO), []);
    assert_eq!(case.supervisor.grants().names().count(), 0);
    // Each is asked about one thing, side by side, and as the one who it is.
    let asked: Vec<_> = case.questions.iter().map(|(_, entry, _)| (entry.id, &*entry.profile.label)).collect();
    assert_eq!(asked, [(id(2), "2"), (id(3), "3")]);
    case.judge_first(acquire(1, "n"), Err("not you".into()));
    assert_eq!(case.about(TWO), [denied(1, "not you")]);
    case.judge_first(acquire(1, "n"), Ok(()));
    assert_eq!(case.granted(THREE), [1], "whoever comes first in the queue, and not at the gate");
    case.judge(put(2, "k", None), Ok(()));
    assert_eq!(case.supervisor.state().version(&key("k")).n, 1);
    assert!(matches!(case.about(TWO)[..], [ToMember::Stored(..)]));
    case.judge(post(3), Ok(()));
    assert_eq!(case.about(TWO), [ToMember::Undelivered(request(3))]);
    assert_eq!((case.questions.len(), &case.supervisor.gate), (0, &Gate::default()));
}

#[test]
fn without_a_policy_and_a_pause_nothing_is_kept() {
    let mut case = Case::open(false, Rules::ALL);
    for frame in [acquire(1, "n"), put(2, "k", None), post(3), ask(4), arrive(5, "b", 2)] {
        case.supervisor.frame(TWO, frame);
        assert_eq!(case.supervisor.gate, Gate::default());
    }
    case.step(|_| {});
    assert_eq!(case.questions.len(), 0);
    assert_eq!(case.about(TWO).len(), 4);
}

#[test]
fn an_observer_is_asked_about_as_who_it_says_it_is_and_its_commands_too() {
    let mut case = Case::open(true, Rules::ALL);
    case.observe(OBSERVER);
    for frame in [command(1), put(2, "k", None)] {
        case.say(OBSERVER, frame);
    }
    let (_, entry, _) = &case.questions[0];
    assert_eq!((entry.id, &*entry.profile.label, entry.standing), (id(70), "70", Standing::Active));
    case.judge(command(1), Err("no".into()));
    assert_eq!(case.about(OBSERVER), [denied(1, "no")]);
    case.say(OBSERVER, ask(3));
    case.say(OBSERVER, ToSupervisor::Cancel(request(3)));
    case.say(OBSERVER, ToSupervisor::Pong(1));
    case.judge(put(2, "k", None), Ok(()));
    assert!(matches!(case.about(OBSERVER)[..], [ToMember::Stored(..)]));
    assert_eq!(case.questions.len(), 0, "what it cancelled is not asked about");
    case.say(OBSERVER, put(4, "k", None));
    let (question, ..) = case.questions.remove(0);
    case.step(|supervisor| supervisor.ended(OBSERVER, false));
    assert!(!case.supervisor.is_wanted(question));
    case.step(|supervisor| supervisor.judged(question, Ok(())));
    assert_eq!(case.supervisor.state().stamp().n, 1);
}

#[test]
fn the_own_instance_passes_the_same_gate_except_for_its_commands() {
    let mut case = Case::open(true, Rules::ALL);
    case.say(ME, acquire(1, "n"));
    assert_eq!(case.about(ME), []);
    case.say(ME, command(2));
    case.judge(acquire(1, "n"), Ok(()));
    assert_eq!(case.granted(ME), [1]);
    assert_eq!(case.questions.len(), 0);
}

#[test]
fn what_is_cancelled_is_not_carried_out_and_the_next_waits_for_the_verdict_all_the_same() {
    let mut case = Case::open(true, Rules::ALL);
    for frame in [acquire(1, "n"), acquire(2, "m"), post(3), put(4, "k", None)] {
        case.say(TWO, frame);
    }
    for number in [1, 3, 4] {
        case.say(TWO, ToSupervisor::Cancel(request(number)));
    }
    case.judge(acquire(1, "n"), Ok(()));
    assert_eq!(case.about(TWO), []);
    case.judge(acquire(2, "m"), Ok(()));
    assert_eq!(case.granted(TWO), [2]);
    // A write is not given up.
    case.judge(put(4, "k", None), Ok(()));
    assert!(matches!(case.about(TWO)[..], [ToMember::Stored(..)]));
    assert_eq!(case.supervisor.grants().waiters(&mutex("n")).count(), 0);
    assert_eq!(case.supervisor.grants().holders(&mutex("n")).count(), 0);
}

#[test]
fn a_verdict_that_comes_after_the_end_of_the_connection_means_nothing() {
    let mut case = Case::open(true, Rules::ALL);
    for frame in [put(1, "k", None), acquire(2, "n")] {
        case.say(TWO, frame);
    }
    let (question, ..) = case.questions.remove(0);
    case.step(|supervisor| supervisor.ended(TWO, false));
    assert!(!case.supervisor.is_wanted(question));
    case.back(LinkId(20), 2, vec![waits(2, "n")]);
    assert_eq!(case.supervisor.grants().names().count(), 0, "it is new to the reign");
    case.step(|supervisor| supervisor.judged(question, Ok(())));
    assert_eq!(case.supervisor.state().values().len(), 0);
    case.judge(acquire(2, "n"), Ok(()));
    assert_eq!(case.granted(LinkId(20)), [2]);
}

#[test]
fn a_write_that_was_done_is_answered_without_a_question_and_one_that_was_not_is_refused_truly() {
    let mut case = Case::open(true, Rules::ALL);
    case.say(TWO, put(1, "done", None));
    case.judge(put(1, "done", None), Ok(()));
    case.step(|supervisor| supervisor.ended(TWO, false));
    let link = LinkId(20);
    case.back(link, 2, Vec::new());
    case.about(link);
    for frame in [put(1, "done", Some(Stamp::default())), put(2, "new", Some(Stamp::default()))] {
        case.say(link, frame);
    }
    let version = case.supervisor.state().version(&key("done"));
    assert_eq!(case.about(link), [ToMember::Stored(request(1), version)]);
    // Another one writes the key meanwhile: now nobody can say what became of it.
    case.say(THREE, put(1, "new", None));
    let (question, ..) = case.questions.remove(1);
    case.step(|supervisor| supervisor.judged(question, Ok(())));
    case.judge(put(2, "new", Some(Stamp::default())), Err("no".into()));
    assert_eq!(case.about(link), [ToMember::Interrupted(request(2))]);
}

#[test]
fn a_write_that_waited_behind_others_is_dropped_with_its_connection() {
    let mut case = Case::open(false, Rules::ALL);
    let large = |number: u64| {
        let bytes = Some(vec![7; 900_000].into());
        ToSupervisor::Put(Put { request: request(number), key: key("k"), expected: None, again: None, bytes })
    };
    for number in 1..=4 {
        case.supervisor.frame(TWO, large(number));
    }
    let done = case.supervisor.state().stamp().n;
    assert!(done < 4, "too much is under way");
    case.step(|supervisor| supervisor.ended(TWO, false));
    assert_eq!(case.supervisor.state().stamp().n, done, "its owner says it again, and may be refused then");
}

#[test]
fn only_so_much_waits_and_the_rest_is_denied() {
    let mut case = Case::open(true, Rules::ALL);
    for number in 0..=Lane::COUNT as u64 {
        case.supervisor.frame(TWO, post(number));
    }
    assert_eq!(case.supervisor.take_outputs().len(), 1, "the question, and nothing is denied");
    case.say(TWO, post(99_999));
    let reason = "too much of what this instance asks for waits at the supervisor";
    assert_eq!(case.about(TWO), [denied(99_999, reason)]);
    let large = |number| ToSupervisor::Ask(Ask { request: request(number), bytes: vec![0; 1 << 20].into() });
    (0..=8).for_each(|number| case.supervisor.frame(THREE, large(number)));
    case.step(|_| {});
    assert_eq!(case.about(THREE), [denied(8, reason)]);
    case.step(|supervisor| supervisor.ended(TWO, false));
    case.step(|supervisor| supervisor.ended(THREE, false));
    assert_eq!(case.supervisor.gate, Gate::default());
}
