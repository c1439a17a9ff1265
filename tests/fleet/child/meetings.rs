//! What a process of a fleet does at barriers.

use bellwether::Error;

use super::{Desk, millis, option};

impl Desk {
    /// `meet KEY NAME PARTIES [within=MS]`.
    pub(super) fn meet(&self, key: &str, rest: &[String]) -> Result<String, Error> {
        let instance = self.instance(key)?;
        let barrier = instance.barrier(&rest[0], rest[1].parse().expect("a number"));
        self.report(&format!("event {key} meets name={}", rest[0]));
        let wait = match option(rest, "within") {
            Some(time) => barrier.wait_timeout(millis(time))?,
            None => barrier.wait()?,
        };
        Ok(format!("leads={}", wait.is_leader()))
    }
}
