//! Saying what happens again and again only now and then.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// From one time that it is said to the next, at the least.
const EVERY: Duration = Duration::from_secs(1);

/// Keeps a log from being flooded: a store that is away fails a thousand batches a second.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    last: Option<Instant>,
    unsaid: u64,
}

impl Seldom {
    /// How many times it went unsaid before this one; `None` if this one is to go unsaid too.
    pub fn now(&self) -> Option<u64> {
        self.at(Instant::now())
    }

    fn at(&self, now: Instant) -> Option<u64> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.last.is_some_and(|last| now < last + EVERY) {
            said.unsaid += 1;
            return None;
        }
        said.last = Some(now);
        Some(std::mem::take(&mut said.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_said_at_once_and_the_others_are_counted() {
        let (seldom, first) = (Seldom::default(), Instant::now());
        assert_eq!([first, first, first + EVERY / 2].map(|now| seldom.at(now)), [Some(0), None, None]);
        assert_eq!([first + EVERY, first + EVERY].map(|now| seldom.at(now)), [Some(2), None]);
    }
}
