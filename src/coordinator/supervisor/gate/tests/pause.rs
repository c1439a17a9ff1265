//! What a paused member may do.

use super::*;

#[test]
fn what_a_paused_member_says_to_others_waits_and_its_requests_are_passed_over() {
    for judges in [false, true] {
        let mut case = Case::open(judges, Rules::ALL);
        let say = |case: &mut Case, link, frame: ToSupervisor| {
            case.say(link, frame.clone());
            if judges {
                case.judge(frame, Ok(()));
            }
        };
        say(&mut case, TWO, acquire(1, "held"));
        assert_eq!(case.granted(TWO), [1]);
        case.step(|supervisor| supervisor.set_paused(id(2), true));
        let standings: Vec<_> = case.supervisor.registry().view().iter().map(|entry| entry.standing).collect();
        assert_eq!(standings, [Standing::Active, Standing::Paused, Standing::Active]);
        for frame in [put(2, "k", None), post(3), acquire(4, "n"), arrive(5, "b", 2), ask(6)] {
            say(&mut case, TWO, frame);
        }
        say(&mut case, THREE, acquire(1, "n"));
        say(&mut case, THREE, arrive(2, "b", 2));
        assert_eq!(case.about(TWO), []);
        assert_eq!(case.granted(THREE), [1], "2 is passed over");
        assert_eq!(case.supervisor.state().values().len(), 0);
        assert_eq!(case.supervisor.grants().holders(&mutex("held")).count(), 1, "what it holds it keeps");
        case.say(TWO, ToSupervisor::Release(request(1)));
        assert_eq!(case.supervisor.grants().holders(&mutex("held")).count(), 0);
        case.say(THREE, ToSupervisor::Release(request(1)));
        case.say(TWO, ToSupervisor::Cancel(request(3)));
        case.step(|supervisor| supervisor.set_paused(id(2), false));
        let (told, other) = (case.about(TWO), case.about(THREE));
        let numbers = |wanted: &dyn Fn(&ToMember) -> bool| told.iter().filter(|frame| wanted(frame)).count();
        assert_eq!(numbers(&|frame| matches!(frame, ToMember::Undelivered(_))), 0, "the message was cancelled");
        assert_eq!(numbers(&|frame| matches!(frame, ToMember::Stored(number, _) if *number == request(2))), 1);
        assert_eq!(numbers(&|frame| matches!(frame, ToMember::Grant(grant) if grant.request == request(4))), 1);
        assert_eq!(numbers(&|frame| matches!(frame, ToMember::Denied(number, _) if *number == request(6))), 1);
        assert_eq!(numbers(&|frame| matches!(frame, ToMember::Go(number, _) if *number == request(5))), 1);
        assert!(matches!(other[..], [ToMember::Complete(_), ToMember::Go(..)]), "{other:?}");
        assert_eq!(case.supervisor.gate, Gate::default());
    }
}

#[test]
fn a_pause_does_not_hold_up_those_whose_barrier_is_complete() {
    let mut case = Case::open(false, Rules::ALL);
    case.supervisor.frame(TWO, arrive(1, "b", 2));
    case.supervisor.frame(THREE, arrive(1, "b", 2));
    case.step(|supervisor| supervisor.set_paused(id(2), true));
    for link in [TWO, THREE] {
        assert!(matches!(case.about(link)[..], [ToMember::Complete(_), ToMember::Go(..)]));
    }
}

#[test]
fn the_supervisor_remembers_a_pause_and_a_newcomer_or_survivor_brings_its_own() {
    let mut case = Case::open(false, Rules::ALL);
    case.step(|supervisor| supervisor.set_paused(id(2), true));
    case.step(|supervisor| supervisor.ended(TWO, false));
    case.back(LinkId(20), 2, Vec::new());
    case.say(LinkId(20), acquire(1, "n"));
    assert_eq!(case.granted(LinkId(20)), [], "it has not heard of it, which counts for nothing");
    case.greet(LinkId(4), Greeting { number: 4, attempt: 1, epoch: 0, paused: true, claims: Vec::new() });
    case.say(LinkId(4), acquire(1, "m"));
    assert_eq!(case.granted(LinkId(4)), []);
    for (number, link) in [(2, LinkId(20)), (4, LinkId(4))] {
        case.step(|supervisor| supervisor.set_paused(id(number), false));
        assert_eq!(case.granted(link), [1]);
    }

    let mut case = Case::collecting(false, Rules::ALL);
    case.greet(TWO, Greeting { number: 2, attempt: 1, epoch: 1, paused: true, claims: vec![waits(1, "n")] });
    case.greet(ME, Greeting { number: 1, attempt: 1, epoch: 1, paused: false, claims: Vec::new() });
    case.step(|supervisor| supervisor.gone(id(3)));
    assert!(case.supervisor.is_open());
    assert_eq!(case.granted(TWO), []);
    case.step(|supervisor| supervisor.set_paused(id(2), false));
    assert_eq!(case.granted(TWO), [1]);
}

#[test]
fn a_write_that_was_done_is_answered_also_in_a_pause() {
    let mut case = Case::open(false, Rules::ALL);
    case.say(TWO, put(1, "k", None));
    case.step(|supervisor| supervisor.ended(TWO, false));
    case.back(LinkId(20), 2, Vec::new());
    case.step(|supervisor| supervisor.set_paused(id(2), true));
    case.about(LinkId(20));
    case.say(LinkId(20), put(1, "k", Some(Stamp::default())));
    assert!(matches!(case.about(LinkId(20))[..], [ToMember::Stored(..)]));
}
