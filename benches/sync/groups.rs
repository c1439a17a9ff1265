//! What is compared with what.

use std::time::{Duration, Instant};

use criterion::Criterion;

use crate::common::is_trial;
use crate::contest::bare::ping_pong;
use crate::contest::children::Crowd;
use crate::contest::compare::{Contender, compare, print};
use crate::{bare, library};

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
        Contender::new("ping-pong", || ping_pong("bare-server")),
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

    print("lock should stay within 1.2 of a ping-pong", &rows);
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
