//! What is brought to another connection or another reign, and what is said there again.

use super::*;

#[test]
fn a_survivor_is_asked_about_all_that_it_waits_for_before_anything_is_granted_to_it() {
    let mut case = Case::collecting(true, Rules::ALL);
    let token = Token::new(5);
    let held = ToSupervisor::Held(HeldClaim { want: want(1, "held"), token, since: 0 });
    let claims = vec![held, waits(2, "a"), waits(3, "b")];
    case.greet(TWO, Greeting { number: 2, attempt: 1, epoch: 1, paused: false, claims });
    assert!(case.supervisor.is_window_open());
    case.judge(acquire(2, "a"), Err("no".into()));
    let told = case.about(TWO);
    assert!(matches!(&told[..], [.., ToMember::Welcome(_), ToMember::Denied(..)]), "behind its Welcome: {told:?}");
    case.greet(THREE, Greeting { number: 3, attempt: 1, epoch: 1, paused: false, claims: vec![waits(1, "b")] });
    case.greet(ME, Greeting { number: 1, attempt: 1, epoch: 1, paused: false, claims: Vec::new() });
    assert!(case.supervisor.is_open());
    assert_eq!(case.supervisor.grants().holders(&mutex("held")).count(), 1, "what is held is not asked about");
    // 2 has the first place, but 3 is judged first.
    let (question, ..) = case.questions.pop().expect("of 3");
    case.step(|supervisor| supervisor.judged(question, Ok(())));
    assert_eq!(case.granted(THREE), [1]);
    case.say(THREE, ToSupervisor::Release(request(1)));
    assert_eq!(case.granted(TWO), []);
    case.judge(acquire(3, "b"), Ok(()));
    assert_eq!(case.granted(TWO), [3]);
    assert_eq!(case.supervisor.grants().waiters(&mutex("a")).count(), 0);
}

#[test]
fn who_is_back_is_asked_about_again_and_keeps_its_place() {
    let mut case = Case::open(true, Rules::ALL);
    case.say(ME, acquire(1, "n"));
    case.judge(acquire(1, "n"), Ok(()));
    for (link, number) in [(TWO, 1), (TWO, 2), (THREE, 1)] {
        case.say(link, acquire(number, "n"));
        case.judge(acquire(number, "n"), Ok(()));
    }
    let ticket = case.supervisor.grants().waiters(&mutex("n")).next().and_then(|waiter| waiter.ticket);
    case.step(|supervisor| supervisor.ended(TWO, false));
    let link = LinkId(20);
    let claim = |number| ToSupervisor::Wants(WantClaim { want: want(number, "n"), ticket });
    case.back(link, 2, vec![claim(1), claim(2)]);
    case.judge(acquire(1, "n"), Ok(()));
    // The second is given up while the policy is busy with it; then nothing is left to be judged.
    case.say(link, ToSupervisor::Cancel(request(2)));
    assert!(case.supervisor.grants().is_ready(id(2)));
    case.say(ME, ToSupervisor::Release(request(1)));
    assert_eq!(case.granted(link), [1], "before 3, which came later");
    case.judge(acquire(2, "n"), Ok(()));
    assert_eq!(case.supervisor.gate, Gate::default());
}

#[test]
fn nothing_is_granted_meanwhile_to_who_is_back() {
    let mut case = Case::open(true, Rules::ALL);
    case.say(ME, acquire(1, "n"));
    case.judge(acquire(1, "n"), Ok(()));
    for link in [TWO, THREE] {
        case.say(link, acquire(1, "n"));
        case.judge(acquire(1, "n"), Ok(()));
    }
    case.step(|supervisor| supervisor.ended(TWO, false));
    let link = LinkId(20);
    case.back(link, 2, vec![waits(1, "n")]);
    case.say(ME, ToSupervisor::Release(request(1)));
    assert_eq!(case.granted(THREE), [1], "2 is passed over");
    case.judge(acquire(1, "n"), Err("no more".into()));
    assert_eq!(case.about(link).last(), Some(&denied(1, "no more")));
    assert_eq!(case.supervisor.grants().waiters(&mutex("n")).count(), 0);
}

#[test]
fn a_grant_that_was_lost_on_the_way_is_not_asked_about() {
    let mut case = Case::open(true, Rules::ALL);
    case.say(TWO, acquire(1, "n"));
    case.judge(acquire(1, "n"), Ok(()));
    case.step(|supervisor| supervisor.ended(TWO, false));
    case.back(LinkId(20), 2, vec![waits(1, "n")]);
    assert_eq!((case.granted(LinkId(20)), case.questions.len()), (vec![1], 0));
}

#[test]
fn an_arrival_that_is_complete_cannot_be_refused_any_more() {
    let mut case = Case::open(true, Rules::ALL);
    for link in [TWO, THREE] {
        case.say(link, arrive(1, "b", 2));
        let (question, ..) = case.questions.remove(0);
        // 2's connection ends before it has read that all is complete.
        if link == THREE {
            case.supervisor.judged(question, Ok(()));
        } else {
            case.step(|supervisor| supervisor.judged(question, Ok(())));
        }
    }
    case.supervisor.ended(TWO, false);
    case.step(|_| {});
    case.back(LinkId(20), 2, Vec::new());
    case.say(LinkId(20), arrive(1, "b", 2));
    assert_eq!(case.questions.len(), 0);
    // It has read so much that it knows.
    case.say(LinkId(20), ToSupervisor::Pong(1));
    assert!(matches!(case.about(LinkId(20)).last(), Some(ToMember::Go(..))));
    assert!(matches!(case.about(THREE).last(), Some(ToMember::Go(..))));
}

#[test]
fn an_arrival_that_is_refused_when_it_is_said_again_keeps_no_place() {
    let mut case = Case::open(true, Rules::ALL);
    case.say(TWO, arrive(1, "b", 2));
    case.judge(arrive(1, "b", 2), Ok(()));
    case.step(|supervisor| supervisor.ended(TWO, false));
    case.back(LinkId(20), 2, Vec::new());
    case.say(LinkId(20), arrive(1, "b", 2));
    assert_eq!(case.supervisor.barriers().waiting().count(), 1);
    case.judge(arrive(1, "b", 2), Err("no".into()));
    assert_eq!(case.supervisor.barriers().waiting().count(), 0);
}
