//! The recorder's priority over other threads.

use rustix::process::{getpriority_process, setpriority_process};
use tracing::debug;

/// The batch size, in ballots, below which the recorder's wait for a processor matters, not how many ballots join the batch.
const FEW: f32 = 32.0;

/// The niceness of a recorder with priority.
const NICENESS: i32 = -5;

/// The weight of a batch in the moving average.
const WEIGHT: f32 = 1.0 / 16.0;

/// Gives the recorder's thread priority while batches are small, if the system permits it: all clients wait for the recorder
/// then, which sleeps twice in a commit and finds its processor busy when it wakes up. On one kind of processor, responses are
/// about 7 percent faster with up to 64 clients (see `docs/adr/0007-whole-turns-awake.md`). With larger batches, priority would
/// only make the next batch smaller.
#[derive(Debug)]
pub struct RecorderPriority {
    is_permitted: bool,
    average_ballots: f32,
    has_priority: bool,
}

impl RecorderPriority {
    /// The priority of the calling thread. A thread with another niceness than 0 keeps it: its operator chose it.
    pub fn of_this_thread() -> Self {
        Self { is_permitted: getpriority_process(None) == Ok(0), average_ballots: FEW, has_priority: false }
    }

    /// Adjusts the priority to the size of recent batches, given that of the latest one, in ballots.
    pub fn suit(&mut self, ballots: usize) {
        if !self.is_permitted {
            return;
        }
        self.average_ballots += (ballots as f32 - self.average_ballots) * WEIGHT;
        let wanted = self.average_ballots < FEW;
        if wanted == self.has_priority {
            return;
        }
        match setpriority_process(None, if wanted { NICENESS } else { 0 }) {
            Ok(()) => self.has_priority = wanted,
            Err(error) => {
                debug!(%error, "the recorder runs without priority");
                self.is_permitted = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_small_batches_give_priority() {
        let nicenesses = || {
            let niceness = || getpriority_process(None).unwrap();
            let given = niceness();
            let mut priority = RecorderPriority::of_this_thread();
            let mut after = |ballots| {
                (0..100).for_each(|_| priority.suit(ballots));
                niceness()
            };
            (given, after(200), after(20), after(200))
        };
        let (given, before, few, many) = std::thread::spawn(nicenesses).join().unwrap();
        assert_eq!((before, many), (given, given));
        // Priority needs a privilege, and the default niceness.
        let is_permitted = std::thread::spawn(|| setpriority_process(None, NICENESS).is_ok()).join().unwrap();
        assert_eq!(few, if is_permitted && given == 0 { NICENESS } else { given });
    }
}
