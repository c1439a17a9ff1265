//! Locks in a storm.

use std::time::Duration;

use bellwether::Error;
use bellwether::sync::Guard;

use super::{MUTEXES, PERMITS, RWLOCKS, SEMAPHORE, Storm, patience, pause};
use crate::fleet::chance::Chance;
use crate::fleet::journal::{Abandoned, Mode, Patience, What};

impl Storm {
    /// Takes one of the locks, and holds it for at most so many microseconds.
    pub(super) fn lock(&self, chance: &mut Chance, longest: u64) {
        let (name, mode) = match chance.below(6) {
            n @ 0..=2 => (MUTEXES[n as usize], Mode::Exclusive),
            5 => (SEMAPHORE, Mode::Permits(1 + chance.below(3) as u32)),
            n if chance.percent(75) => (RWLOCKS[n as usize - 3], Mode::Shared),
            n => (RWLOCKS[n as usize - 3], Mode::Exclusive),
        };
        let patience = patience(chance);
        // Most hold it for a moment.
        let most = if chance.percent(10) { longest } else { 500 };
        let hold = chance.below(most);
        self.ask(name, mode, patience, || pause(hold));
    }

    pub(super) fn ask(&self, name: &str, mode: Mode, patience: Patience, meanwhile: impl FnOnce()) {
        let ask = self.book.number();
        self.note(What::Asked { ask, name: name.to_owned(), mode, patience });
        let guard = match self.call(name, mode, patience) {
            Ok(guard) => guard,
            Err(Error::WouldBlock { .. } | Error::TimedOut { .. }) => {
                return self.note(What::GaveUp { ask });
            }
            Err(error) => return self.note(What::Failed { ask, reason: format!("{error:?}") }),
        };
        let abandoned = match guard.abandoned() {
            bellwether::Abandoned::Clean => Abandoned::Clean,
            bellwether::Abandoned::Died { .. } => Abandoned::Died,
            _ => Abandoned::Unknown,
        };
        self.note(What::Granted { ask, token: guard.token().number(), abandoned });
        meanwhile();
        self.note(What::Releasing { ask });
        match guard.unlock() {
            Ok(()) => {}
            Err(Error::Lost) => self.note(What::Lost { ask }),
            Err(error) => panic!("{name} cannot be released: {error}"),
        }
    }

    fn call(&self, name: &str, mode: Mode, patience: Patience) -> Result<Guard, Error> {
        let time = match patience {
            Patience::For(time) => Duration::from_nanos(time),
            Patience::Endless | Patience::None => Duration::ZERO,
        };
        if let Mode::Permits(count) = mode {
            let semaphore = self.instance.semaphore(name, PERMITS);
            return match patience {
                Patience::Endless => semaphore.acquire(count),
                Patience::None => semaphore.try_acquire(count),
                Patience::For(_) => semaphore.acquire_timeout(count, time),
            };
        }
        if RWLOCKS.contains(&name) {
            let rwlock = self.instance.rwlock(name);
            return match (mode, patience) {
                (Mode::Shared, Patience::Endless) => rwlock.read(),
                (Mode::Shared, Patience::None) => rwlock.try_read(),
                (Mode::Shared, Patience::For(_)) => rwlock.read_timeout(time),
                (_, Patience::Endless) => rwlock.write(),
                (_, Patience::None) => rwlock.try_write(),
                (_, Patience::For(_)) => rwlock.write_timeout(time),
            };
        }
        let mutex = self.instance.mutex(name);
        match patience {
            Patience::Endless => mutex.lock(),
            Patience::None => mutex.try_lock(),
            Patience::For(_) => mutex.lock_timeout(time),
        }
    }
}
