//! Random schedules, and how a bad one is made short and readable.

use super::Config;
use super::world::{Action, World};

/// A small generator: the same seed is the same walk, on every machine.
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        let mut chance = Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        for _ in 0..4 {
            chance.next();
        }
        chance
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// A schedule that ended badly.
#[derive(Debug)]
pub(super) struct Violation {
    pub(super) what: String,
    pub(super) schedule: Vec<Action>,
}

/// One walk: mostly work, some application, few faults; in the end everybody runs and it must come to rest.
pub(super) fn walk(start: &World, seed: u64, steps: &mut u64) -> Option<Violation> {
    let mut chance = Chance::new(seed);
    let mut world = start.clone();
    let mut schedule = Vec::new();
    let mut actions = Vec::new();
    for _ in 0..world.config.length {
        actions.clear();
        world.work(&mut actions);
        let idle = actions.is_empty();
        actions.clear();
        world.actions(&mut actions);
        if actions.is_empty() {
            break;
        }
        let action = loop {
            let action = actions[chance.below(actions.len())];
            if idle || chance.below(100) < likelihood(action) {
                break action;
            }
        };
        schedule.push(action);
        world.step(action);
        if world.bad.is_some() {
            break;
        }
    }
    for i in 0..world.instances.len() as u8 {
        if world.instances[usize::from(i)].stopped && world.bad.is_none() {
            schedule.push(Action::Continue(i));
            world.step(Action::Continue(i));
        }
    }
    for count in 0.. {
        actions.clear();
        world.work(&mut actions);
        if actions.is_empty() || world.bad.is_some() {
            break;
        }
        if count == 4000 {
            world.fail("LIVELOCK: work never ends".into());
        }
        let action = actions[chance.below(actions.len())];
        schedule.push(action);
        world.step(action);
    }
    *steps += schedule.len() as u64;
    world.check_at_rest();
    world.bad.map(|what| Violation { what, schedule })
}

fn likelihood(action: Action) -> usize {
    match action {
        Action::Kill(_) | Action::Pause(..) | Action::Judge(_, false) => 6,
        Action::Stop(_) => 8,
        Action::Intrude(..) => 2,
        Action::Foreign => 10,
        Action::Leave(_) | Action::Resign(_) | Action::Drain(_) | Action::FailStop(_) => 5,
        Action::Continue(_) | Action::HandOver(_) | Action::Slice(_) | Action::Cancel(..) | Action::TimeOut(_) => 15,
        Action::Abandon(..) | Action::Inquire(..) => 15,
        Action::Start(_) | Action::Resume(..) => 20,
        Action::Release(..) => 25,
        Action::Post(..) | Action::Ask(_) => 10,
        Action::Judge(_, true) | Action::Answer(_) => 60,
        // So seldom that much happens in between.
        Action::GoOn(_) => 30,
        Action::GiveUp(_) | Action::Put(..) | Action::PutIf(..) | Action::Delete(..) => 30,
        Action::Acquire(..) | Action::Share(..) | Action::Permits(..) | Action::Take(..) | Action::Arrive(..) => 40,
        _ => 100,
    }
}

/// Runs a schedule, as far as it is possible: what is wrong, and after how many steps.
pub(super) fn replay(start: &World, schedule: &[Action]) -> (World, usize) {
    let mut world = start.clone();
    let mut actions = Vec::new();
    for (count, action) in schedule.iter().enumerate() {
        actions.clear();
        world.actions(&mut actions);
        if actions.contains(action) {
            world.step(*action);
        }
        if world.bad.is_some() {
            return (world, count + 1);
        }
    }
    actions.clear();
    world.work(&mut actions);
    if actions.is_empty() {
        world.check_at_rest();
    }
    (world, schedule.len())
}

/// Leaves out what is not needed for the same sort of violation.
pub(super) fn shrink(start: &World, violation: &Violation) -> Vec<Action> {
    let sort =
        |what: &str| what.split(':').next().unwrap_or_default().split(" of ").next().unwrap_or_default().to_owned();
    let wanted = sort(&violation.what);
    let fails = |schedule: &[Action]| {
        let (world, count) = replay(start, schedule);
        world.bad.is_some_and(|what| sort(&what) == wanted).then_some(count)
    };
    let mut schedule = violation.schedule.clone();
    let Some(count) = fails(&schedule) else { return schedule };
    schedule.truncate(count);
    let mut shorter = true;
    while shorter {
        shorter = false;
        for width in [16, 8, 4, 2, 1] {
            let mut at = schedule.len();
            while at >= width {
                let mut candidate = schedule.clone();
                candidate.drain(at - width..at);
                if let Some(count) = fails(&candidate) {
                    candidate.truncate(count);
                    schedule = candidate;
                    shorter = true;
                    at = at.min(schedule.len());
                } else {
                    at -= 1;
                }
            }
        }
    }
    schedule
}

/// The schedule as lines to read.
pub(super) fn explain(start: &World, schedule: &[Action]) -> String {
    let mut world = start.clone();
    let mut lines = String::new();
    let mut possible = Vec::new();
    for (count, action) in schedule.iter().enumerate() {
        possible.clear();
        world.actions(&mut possible);
        if !possible.contains(action) {
            continue;
        }
        let what = describe(&world, *action);
        world.step(*action);
        let state = match world.port {
            None => "no supervisor".to_owned(),
            Some(i) => match &world.instances[usize::from(i)].supervisor {
                Some(supervisor) if supervisor.is_window_open() => format!("{i}: window open"),
                Some(supervisor) if supervisor.is_open() => format!("{i}: open"),
                _ => format!("{i}: opening or frozen"),
            },
        };
        lines.push_str(&format!("{:4}. {what}  [{state}] {action:?}\n", count + 1));
    }
    lines
}

fn describe(world: &World, action: Action) -> String {
    match action {
        Action::Elect(i) if world.port.is_none() => format!("{i} binds the port"),
        Action::Elect(i) => format!("{i} connects and says hello"),
        Action::Read(c, t) => match world.pipe(c, t).and_then(|k| world.pipes[k].up.front()) {
            Some(frame) => format!("the supervisor reads of {c}: {frame:?}"),
            None => format!("the supervisor reads the end of {c}'s connection {t}"),
        },
        Action::Write(c, t) => match world.pipe(c, t).and_then(|k| world.pipes[k].out.front()) {
            Some(frame) => format!("the supervisor writes to {c}: {frame:?}"),
            None => String::new(),
        },
        Action::Receive(i) => match world.current(i).and_then(|k| world.pipes[k].down.front()) {
            Some(frame) => format!("{i} reads: {frame:?}"),
            None => format!("{i} reads the end"),
        },
        other => format!("{other:?}"),
    }
}

/// The first of these walks that ends badly, and how.
pub(super) fn find(config: Config, seed: u64, schedules: u64) -> Option<Violation> {
    let start = World::at_rest(config);
    let mut steps = 0;
    (0..schedules).find_map(|number| walk(&start, seed.wrapping_add(number), &mut steps))
}

/// Walks from one start; the first violation panics, with all that is needed to repeat it.
pub(super) fn explore(name: &str, config: Config, seed: u64, schedules: u64) {
    let start = World::at_rest(config);
    assert_eq!(start.bad, None, "{name}: the start");
    let began = std::time::Instant::now();
    let mut steps = 0;
    for walk_number in 0..schedules {
        let seed = seed.wrapping_add(walk_number);
        if let Some(violation) = walk(&start, seed, &mut steps) {
            let schedule = shrink(&start, &violation);
            panic!(
                "{name}, seed {seed}: {}\nshrunk from {} to {} steps\n{}{config:?}",
                replay(&start, &schedule).0.bad.unwrap_or(violation.what),
                violation.schedule.len(),
                schedule.len(),
                explain(&start, &schedule),
            );
        }
    }
    println!("{name}: {schedules} schedules, {steps} steps, {:.1} s", began.elapsed().as_secs_f32());
}
