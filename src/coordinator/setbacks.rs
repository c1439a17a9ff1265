//! How an instance goes on whose own reign has failed: at once the first time, and then ever later, so that a cause which
//! does not go away costs the group little.

use std::time::Duration;

/// The failures of the own reign that have followed each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setbacks {
    count: u32,
    last: Duration,
}

impl Setbacks {
    /// What follows a second failure is a pause of at most this, and twice as much after each further one.
    const FIRST_PAUSE: Duration = Duration::from_millis(20);
    /// Much less than a usual window limit, so that nobody forfeits anything for it.
    const LONGEST_PAUSE: Duration = Duration::from_secs(1);
    /// A failure after so long has nothing to do with the one before.
    const MEMORY: Duration = Duration::from_secs(60);

    /// Another failure, at this monotonic time: how many have followed each other, and how long to pause. `chance` is any
    /// random number.
    pub fn note(&mut self, now: Duration, chance: u64) -> (u32, Duration) {
        if now.saturating_sub(self.last) > Self::MEMORY {
            self.count = 0;
        }
        self.last = now;
        self.count = self.count.saturating_add(1);
        let Some(doublings) = self.count.checked_sub(2) else { return (self.count, Duration::ZERO) };
        let most = (Self::FIRST_PAUSE * (1 << doublings.min(10))).min(Self::LONGEST_PAUSE);
        // Half of it is random, so that two which fail together do not meet again.
        let half = most / 2;
        let jitter = ((u128::from(chance >> 32) * half.as_nanos()) >> 32) as u64;
        (self.count, half + Duration::from_nanos(jitter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_from_none_to_a_second_and_begins_anew_after_a_minute() {
        let mut setbacks = Setbacks::default();
        let mut now = Duration::from_secs(100);
        let mut most = Vec::new();
        for count in 1..12 {
            let (noted, longest) = setbacks.clone().note(now, u64::MAX);
            let (_, shortest) = setbacks.note(now, 0);
            assert_eq!(noted, count);
            assert!(shortest <= longest && longest <= shortest * 2, "{shortest:?} {longest:?}");
            most.push(longest.as_millis());
            now += Duration::from_secs(1);
        }
        assert_eq!(most, [0, 19, 39, 79, 159, 319, 639, 999, 999, 999, 999]);
        assert_eq!(setbacks.note(now + Setbacks::MEMORY + Duration::from_secs(1), 0), (1, Duration::ZERO));
    }
}
