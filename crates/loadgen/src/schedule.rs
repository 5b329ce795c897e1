//! When the votes of a constant rate are to begin.

use std::time::Duration;

/// The scheduled start of each vote.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    /// Votes per second.
    rate: u32,
    /// How many there are.
    pub(crate) votes: u64,
}

impl Schedule {
    /// `rate` votes per second, evenly spaced, for `duration`; at least one vote.
    pub(crate) fn new(rate: u32, duration: Duration) -> Self {
        let votes = duration.as_nanos() * u128::from(rate) / 1_000_000_000;
        Self { rate, votes: u64::try_from(votes).unwrap_or(u64::MAX).max(1) }
    }

    /// When the `n`th vote is to begin, relative to the start; the first one is number 0.
    pub(crate) fn due(&self, n: u64) -> Duration {
        let rate = u64::from(self.rate);
        // The remainder is below the rate, a u32, so this can't overflow.
        Duration::from_secs(n / rate) + Duration::from_nanos(n % rate * 1_000_000_000 / rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn votes_are_spread_evenly_over_the_time() {
        let schedule = Schedule::new(3, Duration::from_secs(10));
        assert_eq!(schedule.votes, 30);
        assert_eq!(schedule.due(0), Duration::ZERO);
        assert_eq!(schedule.due(1), Duration::from_nanos(333_333_333));
        assert_eq!(schedule.due(29), Duration::from_nanos(9_666_666_666));
        assert_eq!(Schedule::new(200, Duration::from_millis(1_500)).votes, 300);
        assert_eq!(Schedule::new(1, Duration::from_millis(10)).votes, 1);
    }

    #[test]
    fn largest_rate_and_duration_do_not_overflow() {
        let schedule = Schedule::new(1_000_000, Duration::MAX);
        assert_eq!(schedule.votes, u64::MAX);
        assert_eq!(schedule.due(u64::MAX).as_secs(), u64::MAX / 1_000_000);
    }
}
