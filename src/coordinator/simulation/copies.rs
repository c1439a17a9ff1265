//! Without one of the rules of the state, random schedules go wrong, and soon.

use super::super::rules::Rules;
use super::walk::{explain, find, shrink};
use super::world::World;
use super::{Config, EVERYTHING};

/// Few locks and many writes.
const WRITES: Config = Config { slots: 4, locks: 0, acquires: 0, puts: 10, ..EVERYTHING };

/// The rule is needed: without it some schedule ends in this sort of violation.
pub(super) fn needs(config: Config, off: fn(&mut Rules), violation: &str) {
    let mut without = config;
    off(&mut without.rules);
    let found = find(without, 1 << 40, 20_000).expect("a schedule that goes wrong");
    let start = World::at_rest(without);
    let schedule = shrink(&start, &found);
    assert!(found.what.starts_with(violation), "{}\n{}", found.what, explain(&start, &schedule));
}

#[test]
fn a_write_that_is_acknowledged_at_once_can_be_lost() {
    needs(WRITES, |rules| rules.acknowledged_when_written = false, "WRITE LOST");
}

#[test]
fn a_winner_that_adopts_its_own_copy_loses_writes() {
    needs(WRITES, |rules| rules.newest_copy = false, "WRITE LOST");
}

#[test]
fn finding_21_a_write_that_is_said_again_and_not_compared_is_done_twice() {
    needs(WRITES, |rules| rules.resubmissions_are_compared = false, "APPLIED TWICE");
}
