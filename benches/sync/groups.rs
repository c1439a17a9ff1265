//! The figures: criterion's, one contender after the other, and a table for which they take turns.

use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode};

use crate::common::is_trial;
use crate::common::table::Row;
use crate::{bare, library};

/// Does something so many times and says how long that took. Its processes live as long as it does.
pub(crate) type Runner = Box<dyn FnMut(u32) -> Duration>;

/// How many connections are written to, and in how many processes their readers live.
#[derive(Clone, Copy)]
pub(crate) struct Crowd {
    pub(crate) connections: u32,
    pub(crate) processes: u32,
}

/// What of a pair counts.
#[derive(Clone, Copy)]
pub(crate) enum Timed {
    /// The locking alone.
    Lock,
    /// The unlocking as well.
    Both,
}

/// How much is measured.
struct Effort {
    fighters: u32,
    crowds: &'static [Crowd],
    /// How many samples of each contender the table rests on, and how many times that of a lock each of them is done.
    turns: usize,
    batch: u32,
}

const FULL: Effort = Effort {
    fighters: 4,
    crowds: &[
        Crowd { connections: 8, processes: 8 },
        Crowd { connections: 64, processes: 8 },
        Crowd { connections: 256, processes: 8 },
    ],
    turns: 40,
    batch: 400,
};

/// Does everything work? Seconds on a small machine.
const TRIAL: Effort = Effort { fighters: 2, crowds: &[Crowd { connections: 4, processes: 2 }], turns: 1, batch: 2 };

/// One who does what is compared, the floors first.
struct Contender {
    name: &'static str,
    start: Box<dyn Fn() -> Runner>,
}

impl Contender {
    fn new(name: &'static str, start: impl Fn() -> Runner + 'static) -> Self {
        Self { name, start: Box::new(start) }
    }
}

/// Measures everything and prints the table.
pub(crate) fn measure() {
    let effort = if is_trial() { TRIAL } else { FULL };
    let mut criterion = Criterion::default().configure_from_args();
    let (turns, batch) = (effort.turns, effort.batch);

    let mut rows = Vec::new();
    let contenders = [
        Contender::new("ping-pong", bare::ping_after_write),
        Contender::new("server", || bare::lock(Timed::Lock)),
        Contender::new("bellwether", || library::lock(Timed::Lock)),
    ];
    rows.extend(compare(&mut criterion, "lock", contenders, turns, batch));
    let contenders = [
        Contender::new("ping-pong", bare::ping_pong),
        Contender::new("server", || bare::lock(Timed::Both)),
        Contender::new("bellwether", || library::lock(Timed::Both)),
    ];
    rows.extend(compare(&mut criterion, "lock and unlock", contenders, turns, batch));
    let contenders =
        [Contender::new("server", || bare::lock(Timed::Both)), Contender::new("bellwether", library::semaphore)];
    rows.extend(compare(&mut criterion, "semaphore", contenders, turns, batch));
    let contenders = [Contender::new("std", bare::std_mutex), Contender::new("bellwether", library::own_lock)];
    rows.extend(compare(&mut criterion, "supervisor's own lock and unlock", contenders, turns, batch * 10));
    let fighters = effort.fighters;
    let contenders = [
        Contender::new("server", move || bare::contention(fighters)),
        Contender::new("bellwether", move || library::contention(fighters)),
    ];
    rows.extend(compare(&mut criterion, &format!("hand-over among {fighters}"), contenders, turns, batch * 4));
    for &crowd in effort.crowds {
        let contenders = [
            Contender::new("server", move || bare::put(crowd)),
            Contender::new("bellwether", move || library::put(crowd)),
        ];
        let size = crowd.connections;
        // A batch takes about as long as one of locks.
        let batch = (batch * 2 / size).max(2);
        rows.extend(compare(&mut criterion, &format!("put to {size}"), contenders, turns, batch));
    }
    criterion.final_summary();

    // A filter, or a mere list of names, can leave nothing to compare.
    if !rows.is_empty() {
        println!("\nmedian (10th .. 90th percentile), ratios of medians; lock should stay within 1.2 of a ping-pong");
    }
    for row in rows {
        println!("{row}");
    }
}

/// Has criterion measure one contender after the other, and then has those that it did measure take turns.
fn compare<const N: usize>(
    criterion: &mut Criterion,
    name: &str,
    contenders: [Contender; N],
    turns: usize,
    batch: u32,
) -> Option<Row> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(500));
    let mut runners = Vec::new();
    let mut names = Vec::new();
    for Contender { name, start } in contenders {
        // Only when asked for: with a filter or --list, this never runs.
        let mut runner = None;
        group.bench_function(name, |bencher| {
            let runner = runner.get_or_insert_with(&start);
            bencher.iter_custom(|count| runner(u32::try_from(count).expect("half a second's worth")));
        });
        if let Some(runner) = runner {
            runners.push(runner);
            names.push(name);
        }
    }
    group.finish();

    let mut row = Row::new(name.to_owned(), names);
    for _ in 0..turns {
        for (runner, samples) in runners.iter_mut().zip(&mut row.samples) {
            samples.push(runner(batch) / batch);
        }
    }
    row.finish()
}

/// Locks and unlocks so often: how long that took, as far as it counts.
pub(crate) fn pairs<T, G>(
    count: u32,
    timed: Timed,
    lock: &mut T,
    mut acquire: impl FnMut(&mut T) -> G,
    mut release: impl FnMut(&mut T, G),
) -> Duration {
    let mut unlocking = Duration::ZERO;
    let start = Instant::now();
    for _ in 0..count {
        let guard = acquire(lock);
        match timed {
            Timed::Both => release(lock, guard),
            Timed::Lock => {
                let begin = Instant::now();
                release(lock, guard);
                unlocking += begin.elapsed();
            }
        }
    }
    start.elapsed() - unlocking
}
