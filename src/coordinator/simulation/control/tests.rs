//! Random schedules of worlds that are controlled, and which of their rules are needed.

use super::super::copies::needs;
use super::super::script::Script;
use super::super::world::Action;
use super::super::{Config, EVERYTHING, Fault, explore};
use super::ALL;
use crate::ident::Request;

const CONTROL: Config =
    Config { slots: 4, locks: 1, acquires: 3, puts: 3, errands: 8, ..EVERYTHING }.with(&[(Fault::Pause, 3)]);

const POLICY: Config = Config { judges: true, ..CONTROL }.with(&[(Fault::Deny, 3)]);

#[test]
fn what_is_sent_asked_and_commanded_arrives_and_waits_while_its_sender_is_paused() {
    let mut script = Script::new(Config { errands: 9, ..Config::SMALL }.with(&[(Fault::Pause, 1)]));
    let outcomes = |script: &Script, from: usize| -> Vec<(bool, bool)> {
        assert_eq!(script.world.bad, None);
        let errands = script.world.ghost.control.errands.range((from, Request::new(0))..(from + 1, Request::new(0)));
        errands.map(|(_, errand)| (errand.was_heard, errand.is_over)).collect()
    };
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        script.all(&[Action::Post(from, to), Action::Post(from, ALL), Action::Ask(from)]).rest();
        assert_eq!(outcomes(&script, from.into()), [(true, true); 3], "of {from}");
    }
    script.all(&[Action::Pause(0, 2)]).rest();
    assert_eq!(script.world.ghost.control.paused[2], Some(true));
    script.all(&[Action::Post(2, 1), Action::Ask(2)]).rest();
    assert_eq!(outcomes(&script, 2)[3..], [(false, false); 2], "held back");
    script.all(&[Action::Resume(0, 2)]).rest();
    assert_eq!(outcomes(&script, 2)[3..], [(true, true); 2]);
}

#[test]
fn members_send_and_ask_and_are_paused_while_everything_happens() {
    explore("control", CONTROL, 25_000);
}

#[test]
fn a_policy_is_asked_while_everything_happens() {
    explore("policy", POLICY, 25_000);
}

#[test]
fn newer_versions_take_over_from_supervisors_that_control() {
    explore("policy and versions", Config { succession: true, puts: 1, ..POLICY }, 15_000);
}

#[test]
fn finding_35_a_paused_waiter_is_granted_what_it_waits_for() {
    needs(CONTROL, |rules| rules.paused_is_passed_over = false, "PAUSED GETS");
}

#[test]
fn finding_32_the_next_supervisor_grants_what_its_policy_was_not_asked_about() {
    needs(POLICY, |rules| rules.waits_are_judged_again = false, "NOT ASKED");
}

#[test]
fn a_supervisor_that_leaves_without_answering_what_it_has_begun_has_it_done_twice() {
    needs(CONTROL, |rules| rules.begun_is_answered = false, "HEARD TWICE");
}
