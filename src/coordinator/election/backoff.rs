//! How long an instance waits before it says hello again to a supervisor that it has lost again and again.

use std::time::Duration;

use super::jittered;
use crate::ident::InstanceId;

/// What an instance remembers from one election to the next.
///
/// Each hello and each end of a connection is a change of the registry for every member. So an instance whose connections
/// to one and the same supervisor end soon after they began, or that has too little of something to keep one, waits longer
/// and longer. The end of a supervisor is no reason to wait: the next one is another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    /// The supervisor of the last connection.
    supervisor: Option<InstanceId>,
    /// How many connections in a row have come to nothing.
    failures: u32,
}

impl Backoff {
    /// A connection that lasted for so long has not come to nothing.
    pub const LASTING: Duration = Duration::from_secs(1);
    /// So many may come to nothing without a pause.
    pub const FREE: u32 = 3;
    /// The first pause is at most this.
    pub const FIRST: Duration = Duration::from_millis(4);
    /// No pause is longer than this.
    pub const LONGEST: Duration = Duration::from_secs(1);

    /// A connection to this supervisor, or the own reign, has ended after so long.
    pub fn ended(&mut self, supervisor: InstanceId, lasted: Duration) {
        let same = self.supervisor.replace(supervisor) == Some(supervisor);
        if lasted >= Self::LASTING || !same {
            self.failures = 0;
        }
        if lasted < Self::LASTING {
            self.failures = self.failures.saturating_add(1);
        }
    }

    /// This process had too little of something to say hello, or to stay.
    pub fn starved(&mut self) {
        self.failures = self.failures.max(Self::FREE).saturating_add(1);
    }

    /// How long to wait before the next hello. `chance` is any random number.
    pub fn pause(&self, chance: u64) -> Duration {
        match self.failures.checked_sub(Self::FREE + 1) {
            None => Duration::ZERO,
            Some(late) => jittered((Self::FIRST * (1 << late.min(8))).min(Self::LONGEST), chance),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> InstanceId {
        InstanceId::new(number)
    }

    const SOON: Duration = Duration::from_millis(3);

    #[test]
    fn pauses_grow_while_one_supervisor_is_lost_again_and_again() {
        let mut backoff = Backoff::default();
        let mut pauses = Vec::new();
        for _ in 0..20 {
            backoff.ended(id(1), SOON);
            assert!(backoff.pause(0) <= backoff.pause(u64::MAX) && backoff.pause(0) >= backoff.pause(u64::MAX) / 2);
            pauses.push(backoff.pause(u64::MAX));
        }
        assert!(pauses.is_sorted());
        assert_eq!(pauses.iter().filter(|pause| pause.is_zero()).count(), Backoff::FREE as usize);
        assert!(pauses[3] > Duration::ZERO && pauses[3] <= Backoff::FIRST);
        assert!(pauses[19] <= Backoff::LONGEST && pauses[19] > Backoff::LONGEST * 9 / 10);
    }

    #[test]
    fn supervisors_that_end_one_after_the_other_are_followed_without_a_pause() {
        let mut backoff = Backoff::default();
        for number in 0..1000 {
            backoff.ended(id(number), SOON);
            assert_eq!(backoff.pause(u64::MAX), Duration::ZERO);
        }
    }

    #[test]
    fn a_supervisor_that_has_served_for_long_is_followed_without_a_pause() {
        let mut backoff = Backoff::default();
        (0..20).for_each(|_| backoff.ended(id(1), SOON));
        backoff.ended(id(1), Backoff::LASTING);
        assert_eq!(backoff.pause(u64::MAX), Duration::ZERO);
    }

    #[test]
    fn want_of_something_costs_a_pause_from_the_first_time_on() {
        let mut backoff = Backoff::default();
        backoff.starved();
        let first = backoff.pause(0);
        assert!(first > Duration::ZERO && first < Backoff::FIRST);
        (0..1000).for_each(|_| backoff.starved());
        assert!(backoff.pause(0) > first && backoff.pause(u64::MAX) <= Backoff::LONGEST);
    }
}
