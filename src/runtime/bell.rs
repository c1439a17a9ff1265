//! A condition variable that costs nothing while nobody waits.
//!
//! That of `std` calls the kernel for every notification, whoever waits. Most are for nobody: a call reads its answer
//! itself, and the last words on a connection are said once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, MutexGuard, PoisonError};
use std::time::Duration;

/// A condition variable that knows whether somebody waits.
///
/// Whoever rings must have changed under the mutex what is waited for; it need not hold the mutex any more.
#[derive(Debug, Default)]
pub(super) struct Bell {
    told: Condvar,
    /// How many wait. Raised under the mutex: who changes something under it sees everybody who has not seen the change.
    waiting: AtomicUsize,
}

impl Bell {
    /// Waits for the next ring, for at most this long.
    pub(super) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>, time: Duration) -> MutexGuard<'a, T> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let guard = self.told.wait_timeout(guard, time).unwrap_or_else(PoisonError::into_inner).0;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        guard
    }

    /// Wakes everybody who waits.
    pub(super) fn ring(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.told.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::thread;
    use std::time::Instant;

    use super::*;
    use crate::runtime::lock;

    #[test]
    fn no_ring_is_missed_by_one_who_has_not_seen_the_change() {
        const ROUNDS: u32 = 20_000;
        const LONG: Duration = Duration::from_secs(60);

        let shared = Arc::new((Mutex::new(0), Bell::default()));
        // Each waits for the other's number in turn, so that every single ring is needed.
        let play = |first: u32| {
            let shared = shared.clone();
            thread::spawn(move || {
                let (number, bell) = &*shared;
                for next in (first..ROUNDS).step_by(2) {
                    let mut number = lock(number);
                    while *number != next {
                        let began = Instant::now();
                        number = bell.wait(number, LONG);
                        assert!(began.elapsed() < LONG, "missed the ring for {next}");
                    }
                    *number += 1;
                    drop(number);
                    bell.ring();
                }
            })
        };
        let players = [play(0), play(1)];
        players.into_iter().for_each(|player| player.join().expect("nobody waits in vain"));
    }
}
