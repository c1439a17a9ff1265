//! Barriers in the simulation: what an all-knowing observer notes of them, and what must hold.

use std::collections::{BTreeMap, BTreeSet};

use super::super::session::Withdrawal;
use super::super::supervisor::Supervisor;
use super::walk::{explain, replay, shrink, walk};
use super::world::{World, owner};
use super::{Config, Fault, Rules, explore};
use crate::ident::{Name, Request, Stamp};
use crate::wire::message::Generation;

/// One wait of one instance, whatever its id: requests are numbered for its whole life.
type Wait = (usize, Request);

/// The observer's notes.
#[derive(Clone, Debug, Default)]
pub(super) struct Meetings {
    waits: BTreeMap<Wait, (u8, End)>,
    generations: BTreeMap<Stamp, Seen>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Waits,
    Passed,
    GaveUp,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    /// Whom it lets pass.
    waiters: BTreeSet<Wait>,
    /// Those among them that were over a limit before they heard of it, whether they know that or not.
    excused: BTreeSet<Wait>,
    /// Those that knew of it when they were over a limit: meanwhile others may have had theirs taken back, and pass all
    /// the same if they bring it.
    late: BTreeSet<Wait>,
    passed: BTreeSet<Wait>,
    leaders: usize,
    /// Who leads, until it is over a limit: it does not lead under another id.
    first: Option<Wait>,
}

fn barrier_name(barrier: u8) -> Name {
    Name::new(["x", "y"][usize::from(barrier)]).expect("a short name")
}

impl World {
    pub(super) fn may_arrive(&self, i: u8) -> bool {
        let instance = &self.instances[usize::from(i)];
        instance.arrived < self.config.arrives && instance.session.arrivals().count() < usize::from(self.config.callers)
    }

    pub(super) fn arrive(&mut self, i: u8, barrier: u8) {
        let parties = self.config.parties;
        let instance = self.at(i);
        instance.arrived += 1;
        let (request, frame) = instance.session.arrive(barrier_name(barrier), parties);
        self.ghost.meetings.waits.insert((i.into(), request), (barrier, End::Waits));
        self.say(i, frame);
    }

    pub(super) fn time_out(&mut self, i: u8) {
        let Some(request) = self.patient(i) else { return };
        let withdrawal = self.at(i).session.withdraw(request);
        if self.at(i).session.arrivals().all(|(waits, _)| waits != request) {
            self.ghost_timed_out(i, request);
        }
        if let Withdrawal::Asked(frame) = withdrawal {
            self.say(i, frame);
        }
    }

    /// The wait that has lasted longest of those that are not decided, and are not to be taken back.
    pub(super) fn patient(&self, i: u8) -> Option<Request> {
        let session = &self.instances[usize::from(i)].session;
        session
            .arrivals()
            .find(|(request, decided)| !decided && !session.is_withdrawn(*request))
            .map(|(request, _)| request)
    }

    /// A call returns because its time has passed.
    pub(super) fn ghost_timed_out(&mut self, i: u8, request: Request) {
        let wait = (usize::from(i), request);
        if let Some((_, end)) = self.ghost.meetings.waits.get_mut(&wait) {
            *end = End::GaveUp;
        }
        self.all_or_none(wait);
    }

    /// Nobody has passed without one whose call says that its time has passed.
    fn all_or_none(&mut self, wait: Wait) {
        let waits = &self.ghost.meetings.waits;
        let gave_up = |wait: &&Wait| waits.get(wait).is_some_and(|(_, end)| *end == End::GaveUp);
        let parted = |seen: &&Seen| {
            seen.waiters.contains(&wait)
                && !seen.passed.is_empty()
                && seen.late.is_empty()
                && seen.waiters.difference(&seen.excused).any(|wait| gave_up(&wait))
        };
        if let Some(seen) = self.ghost.meetings.generations.values().find(parted) {
            self.fail(format!("PASSED WITHOUT: one of {seen:?}, of which {wait:?} is another"));
        }
    }

    /// A supervisor says that a generation is complete.
    pub(super) fn ghost_complete(&mut self, supervisor: &Supervisor, generation: &Generation) {
        let waiters: BTreeSet<Wait> = generation.waiters.iter().map(|(id, request)| (owner(*id), *request)).collect();
        if let Some(seen) = self.ghost.meetings.generations.get(&generation.number) {
            if !waiters.is_subset(&seen.waiters) {
                self.fail(format!("JOINED LATER: {waiters:?} of {seen:?}"));
            }
            return;
        }
        if waiters.len() != self.config.parties as usize || generation.waiters.len() != waiters.len() {
            self.fail(format!("WRONG NUMBER: {generation:?}"));
        }
        let first = generation.waiters.first().map(|(id, request)| (owner(*id), *request));
        for (id, request) in &generation.waiters {
            let wait = (owner(*id), *request);
            let known = self.ghost.meetings.waits.get(&wait);
            if known.is_none_or(|(barrier, _)| barrier_name(*barrier) != generation.name) {
                self.fail(format!("NEVER ARRIVED: {wait:?} of {generation:?}"));
            }
            let twice =
                |seen: &Seen| seen.waiters.contains(&wait) && !seen.excused.contains(&wait) && !seen.passed.is_empty();
            if self.ghost.meetings.generations.values().any(twice) {
                self.fail(format!("COUNTED TWICE: {wait:?} of {generation:?}"));
            }
            let instance = &self.instances[wait.0];
            let pipe = self.current(wait.0 as u8).map(|k| &self.pipes[k]);
            let connected = pipe.is_some_and(|pipe| supervisor.behind(pipe.link) == Some(*id));
            let waits = self.config.rules.withdrawals_are_awaited;
            if connected && waits && !instance.session.arrivals().any(|(waits, _)| waits == *request) {
                self.fail(format!("COUNTED NOBODY: {wait:?} of {generation:?}"));
            }
        }
        self.ghost.meetings.generations.insert(generation.number, Seen { waiters, first, ..Seen::default() });
    }

    pub(super) fn ghost_passed(&mut self, i: u8, request: Request, leads: bool) {
        let wait = (usize::from(i), request);
        let strict = self.used[Fault::Limit as usize] == 0;
        if let Some((_, end)) = self.ghost.meetings.waits.get_mut(&wait) {
            *end = End::Passed;
        }
        // What forfeited may have been counted once more: then any of the two explains it.
        let mut found: Vec<_> =
            self.ghost.meetings.generations.values_mut().filter(|seen| seen.waiters.contains(&wait)).collect();
        let Some(seen) = found.pop() else {
            return self.fail(format!("PASSED ALONE: {wait:?} with no generation"));
        };
        seen.passed.insert(wait);
        seen.leaders += usize::from(leads);
        let mut bad = None;
        if seen.leaders > 1 {
            bad = Some(format!("TWO LEADERS: {seen:?}"));
        }
        // A generation that was given up by everybody who knew of it does no harm, if it really lets nobody pass.
        if strict && found.iter().any(|seen| !seen.passed.is_empty()) {
            bad = Some(format!("COUNTED TWICE: {wait:?} passes"));
        }
        if let Some(bad) = bad {
            self.fail(bad);
        }
        self.all_or_none(wait);
    }

    /// It was over a limit: what it does not know to be complete begins anew, and what it does know to be complete lets
    /// it pass, whatever became of the others.
    pub(super) fn ghost_excuse_waits(&mut self, i: u8) {
        let waits = self.at(i).session.arrivals().map(|(request, decided)| ((usize::from(i), request), decided));
        let (decided, undecided): (Vec<_>, Vec<_>) = waits.partition(|(_, decided)| *decided);
        let of = |waits: &[(Wait, bool)], seen: &Seen| -> Vec<Wait> {
            waits.iter().map(|(wait, _)| *wait).filter(|wait| seen.waiters.contains(wait)).collect()
        };
        for seen in self.ghost.meetings.generations.values_mut() {
            seen.first = seen.first.filter(|first| first.0 != usize::from(i));
            seen.excused.extend(of(&undecided, seen));
            seen.late.extend(of(&decided, seen));
        }
    }

    /// What is wrong at rest.
    pub(super) fn unrest_at_barriers(&self, supervisor: &Supervisor) -> Option<String> {
        let barriers = supervisor.barriers();
        barriers.check_invariants();
        let counted: BTreeSet<_> = barriers.waiting().filter(|(.., counts)| *counts).map(|(.., key, _)| key).collect();
        let mut pending = BTreeSet::new();
        for (i, instance) in self.instances.iter().enumerate().filter(|(_, instance)| instance.is_alive()) {
            for (request, decided) in instance.session.arrivals() {
                if decided {
                    return Some(format!("HELD BACK: {i} may pass with {request} and is not let go"));
                }
                if instance.session.is_withdrawn(request) {
                    return Some(format!("NO ANSWER: {i} has asked for {request} to be taken back"));
                }
                pending.insert((instance.session.id(), request));
            }
        }
        if counted != pending {
            return Some(format!("ARRIVALS DIFFER: {counted:?} at the supervisor, {pending:?}"));
        }
        for seen in self.ghost.meetings.generations.values().filter(|seen| !seen.passed.is_empty()) {
            for wait in seen.waiters.difference(&seen.excused) {
                let waits = self.ghost.meetings.waits.get(wait).is_some_and(|(_, end)| *end == End::Waits);
                if waits && self.instances[wait.0].is_alive() {
                    return Some(format!("LEFT BEHIND: {wait:?} of {seen:?}"));
                }
            }
            if seen.passed.len() == self.config.parties as usize && seen.leaders != 1 && seen.first.is_some() {
                return Some(format!("NO LEADER: {seen:?}"));
            }
        }
        None
    }
}

const BARRIERS: Config =
    Config { barriers: 1, parties: 2, arrives: 6, acquires: 0, locks: 0, length: 120, slots: 4, ..Config::SMALL }
        .with(&[(Fault::Kill, 3), (Fault::Start, 1), (Fault::TimeOut, 2)]);

/// Everything that happens to locks happens to barriers.
const ROUGH: Config =
    Config { callers: 2, parties: 3, arrives: 12, capacity: 3, length: 220, late_call: true, ..BARRIERS }.with(&[
        (Fault::Stop, 3),
        (Fault::Limit, 3),
        (Fault::Leave, 1),
        (Fault::GiveUp, 2),
        (Fault::FailStop, 1),
        (Fault::Resign, 1),
    ]);

#[test]
fn three_members_meet_again_and_again_through_kills_and_time_outs() {
    explore("barriers", BARRIERS, 60_000);
}

#[test]
fn all_three_members_meet_through_kills_and_time_outs() {
    explore("barriers of all", Config { parties: 3, ..BARRIERS }, 60_000);
}

#[test]
fn two_barriers_through_everything_that_can_happen() {
    explore("rough barriers", Config { barriers: 2, parties: 2, ..ROUGH }, 30_000);
}

#[test]
fn members_with_several_callers_meet_through_everything_that_can_happen() {
    explore("callers", ROUGH, 30_000);
}

#[test]
fn who_is_set_aside_with_unwritten_frames_and_comes_back_passes_with_the_others() {
    let config = Config { capacity: 1, length: 150, ..BARRIERS }.with(&[(Fault::Stop, 6), (Fault::Kill, 1)]);
    explore("set aside", config, 60_000);
}

#[test]
fn nobody_who_forfeits_is_left_behind() {
    let config = Config { length: 90, ..ROUGH }.with(&[(Fault::Kill, 4), (Fault::Stop, 5), (Fault::Limit, 5)]);
    explore("forfeits at barriers", config, 60_000);
}

#[test]
fn barriers_and_locks_share_the_numbers_of_requests() {
    let config = Config { locks: 1, acquires: 4, ..ROUGH }.with(&[(Fault::Cancel, 3)]);
    explore("barriers and locks", Config { wire: true, ..config }, 15_000);
}

/// The walk finds what goes wrong without the rule.
fn is_needed(off: fn(&mut Rules), sorts: &[&str]) {
    let mut config = BARRIERS;
    off(&mut config.rules);
    let start = World::at_rest(config);
    assert_eq!(start.bad, None, "the start");
    let mut steps = 0;
    let violation = (0..20_000).find_map(|seed| walk(&start, seed, &mut steps)).expect("it is noticed");
    let schedule = shrink(&start, &violation);
    let found = format!("{}\n{}", violation.what, explain(&start, &schedule));
    println!("{steps} steps, shrunk to {}: {found}", schedule.len());
    assert!(sorts.iter().any(|sort| violation.what.starts_with(sort)), "{found}");
}

#[test]
fn finding_28_somebody_passes_before_all_can_know_it() {
    is_needed(|rules| rules.complete_before_go = false, &["LEFT BEHIND", "PASSED WITHOUT"]);
}

/// A member whose supervisor stands still gives up its connection before it has read that it is part of the reign.
#[test]
fn somebody_passes_before_all_have_read_that_they_can() {
    use super::world::Action::{
        Arrive, Call, Continue, Elect, FailStop, GiveUp, Kill, Leave, Probe, Read, Receive, Stop, TimeOut, Write,
    };
    let told = [
        [Arrive(1, 0), Arrive(1, 0), TimeOut(1), Read(1, 1), Leave(2), Arrive(0, 0), Read(1, 1)].as_slice(),
        // The supervisor begins anew and takes the other one in.
        &[
            FailStop(0),
            Elect(0),
            Probe(0),
            Receive(1),
            Elect(1),
            Read(1, 2),
            Read(1, 2),
            Call(0),
            Read(1, 2),
            Read(1, 2),
        ],
        &[Write(1, 2), Receive(1), Write(1, 2), Write(1, 2), Write(1, 2), Stop(0), GiveUp(1), Continue(0), Write(1, 2)],
        &[Kill(0), Elect(1), Probe(1), Call(1)],
    ];
    for complete_is_read in [false, true] {
        let rules = Rules { complete_is_read, ..Rules::ALL };
        let start = World::at_rest(Config { rules, length: 90, ..ROUGH }.with(&[(Fault::Stop, 5)]));
        let (world, _) = replay(&start, &told.concat());
        let parted = world.bad.as_ref().is_some_and(|what| what.starts_with("PASSED WITHOUT"));
        assert_eq!(parted, !complete_is_read, "{:?}", world.bad);
        assert!(parted || world.bad.is_none(), "{:?}", world.bad);
    }
}

#[test]
fn a_call_returns_before_it_is_known_whether_it_counts() {
    is_needed(|rules| rules.withdrawals_are_awaited = false, &["PASSED WITHOUT"]);
}

#[test]
fn calls_of_which_every_other_times_out_pass_together_or_not_at_all() {
    let config = Config { callers: 2, arrives: 12, length: 160, capacity: 2, ..BARRIERS };
    explore("time-outs", config.with(&[(Fault::TimeOut, 12), (Fault::Stop, 2)]), 60_000);
}

#[test]
fn finding_28_survivors_do_not_tell_what_is_complete() {
    is_needed(|rules| rules.completed_is_claimed = false, &["HELD BACK", "COUNTED TWICE"]);
}
