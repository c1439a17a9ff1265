//! Long histories of servers that are wrong in one way.

use super::super::check::{Property, check, sentences};
use super::super::generate::{self, Fault};
use super::super::history::History;

#[test]
fn the_histories_of_wrong_servers_are_rejected_for_what_is_wrong_with_them() {
    use Property::*;
    // Which of the locks a forgotten holder had is left to chance.
    const HELD: &[Property] = &[Exclusion, Sharing, Permits];
    let faults: [(Fault, &[Property]); 22] = [
        (Fault::GrantsTwice, &[Exclusion]),
        (Fault::LetsWritersIn, &[Sharing]),
        (Fault::LendsMore, &[Permits]),
        (Fault::ForgetsHolders, HELD),
        (Fault::RepeatsTokens, &[Tokens]),
        (Fault::Overtakes, &[Order]),
        (Fault::ForgetsWaiters, &[Turns]),
        (Fault::SaysNothing, &[Abandoned]),
        (Fault::RepeatsVersions, &[Versions]),
        (Fault::ForgetsValues, &[Visibility]),
        (Fault::SkipsCopies, &[Visibility]),
        (Fault::SkipsCopies, &[Finals]),
        (Fault::IgnoresConditions, &[Chain]),
        (Fault::AsksAgain, &[Runs]),
        (Fault::HearsTheRefused, &[Runs]),
        (Fault::MixesAnswers, &[Answers]),
        (Fault::MakesUpAnswers, &[Answers]),
        (Fault::ForgetsRequests, &[Turns]),
        (Fault::Misdelivers, &[Receipts]),
        (Fault::RepeatsMessages, &[Sequence]),
        (Fault::MixesMessages, &[Sequence]),
        (Fault::LosesMessages, &[Delivery]),
    ];
    for (fault, properties) in faults {
        for seed in 0..2 {
            let history = History::assemble(&generate::journals(seed, Some(fault))).unwrap();
            let found = check(&history, &generate::rules());
            let rightly = found.iter().any(|violation| properties.contains(&violation.property));
            assert!(rightly, "{fault:?}, seed {seed}, is not rejected for {properties:?}: {}", sentences(&found));
        }
    }
}
