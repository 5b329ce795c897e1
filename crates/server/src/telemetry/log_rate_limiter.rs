//! Limits the rate of log lines of one kind, so that repeated failures don't flood the log.

use std::sync::{Mutex, PoisonError};

use throng_domain::clock::Timestamp;

/// Limits log lines per second, and counts those that are not logged.
#[derive(Debug)]
pub struct LogRateLimiter {
    per_second: u32,
    usage: Mutex<Usage>,
}

#[derive(Debug, Default)]
struct Usage {
    second: i64,
    used: u32,
    unlogged: u64,
}

impl LogRateLimiter {
    /// A limiter of `per_second` lines.
    pub fn new(per_second: u32) -> Self {
        Self { per_second, usage: Mutex::default() }
    }

    /// Takes one line; `None` if the second has none left. Returns with it the number of lines not logged before it, if any.
    pub fn take(&self, now: Timestamp) -> Option<Option<u64>> {
        let mut usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        let second = now.0.div_euclid(1_000);
        if second != usage.second {
            (usage.second, usage.used) = (second, 0);
        }
        if usage.used == self.per_second {
            usage.unlogged += 1;
            return None;
        }
        usage.used += 1;
        Some(Some(std::mem::take(&mut usage.unlogged)).filter(|unlogged| *unlogged > 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unlogged_lines_are_counted() {
        let limiter = LogRateLimiter::new(10);
        let now = Timestamp(1_800_000_000_999);
        for _ in 0..10 {
            assert_eq!(limiter.take(now), Some(None));
        }
        for _ in 0..3 {
            assert_eq!(limiter.take(now), None);
        }
        assert_eq!(limiter.take(now.plus_ms(1)), Some(Some(3)));
        assert_eq!(limiter.take(now.plus_ms(2)), Some(None));
    }
}
