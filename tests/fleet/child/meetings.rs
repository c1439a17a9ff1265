//! What a process of a fleet does at barriers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bellwether::Error;

use super::{Desk, millis, option};

impl Desk {
    /// `meet KEY NAME PARTIES [within=MS] [at=NANOSECONDS]`; with `at` it begins when the clock of the machine shows so much.
    pub(super) fn meet(&self, key: &str, rest: &[String]) -> Result<String, Error> {
        let instance = self.instance(key)?;
        let barrier = instance.barrier(&rest[0], rest[1].parse().expect("a number"));
        self.report(&format!("event {key} meets name={}", rest[0]));
        if let Some(at) = option(rest, "at") {
            let at = Duration::from_nanos(at.parse().expect("a number"));
            while SystemTime::now() < UNIX_EPOCH + at {
                std::hint::spin_loop();
            }
        }
        let wait = match option(rest, "within") {
            Some(time) => barrier.wait_timeout(millis(time))?,
            None => barrier.wait()?,
        };
        Ok(format!("leads={}", wait.is_leader()))
    }

    /// The same in a thread of the name `caller`; says whether the call panicked.
    pub(super) fn meet_in_thread(&self, key: &str, rest: &[String]) -> Result<String, Error> {
        std::thread::scope(|scope| {
            let caller = std::thread::Builder::new().name("caller".to_owned());
            let call = caller.spawn_scoped(scope, || self.meet(key, rest)).expect("a thread");
            call.join().unwrap_or_else(|_| Ok("panicked=true".to_owned()))
        })
    }
}
