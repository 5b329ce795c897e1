//! How many lines of one kind a second's log may have: what fails again and again would flood it.

use std::sync::{Mutex, PoisonError};

use throng_domain::clock::Timestamp;

/// So many lines a second. What goes unlogged is counted.
#[derive(Debug)]
pub struct LogRateLimiter {
    a_second: u32,
    spent: Mutex<Spent>,
}

#[derive(Debug, Default)]
struct Spent {
    second: i64,
    used: u32,
    unlogged: u64,
}

impl LogRateLimiter {
    /// An limiter of so many lines a second.
    pub fn new(a_second: u32) -> Self {
        Self { a_second, spent: Mutex::default() }
    }

    /// Takes one line; `None` if there is none left. Returned with it is how many had none before it, if any.
    pub fn take(&self, now: Timestamp) -> Option<Option<u64>> {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let second = now.0.div_euclid(1_000);
        if second != spent.second {
            (spent.second, spent.used) = (second, 0);
        }
        if spent.used == self.a_second {
            spent.unlogged += 1;
            return None;
        }
        spent.used += 1;
        Some(Some(std::mem::take(&mut spent.unlogged)).filter(|unlogged| *unlogged > 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_so_many_lines_and_the_next_one_says_how_many_more_there_were() {
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
