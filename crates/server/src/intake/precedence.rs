//! The recorder's precedence over other threads.

use rustix::process::{getpriority_process, setpriority_process};
use tracing::debug;

/// The ballots in a batch below which it matters how soon the recorder gets a processor, and not how many join the batch.
const FEW: f32 = 32.0;

/// The niceness of a recorder with precedence.
const NICENESS: i32 = -5;

/// How much a batch counts in what is usual.
const WEIGHT: f32 = 1.0 / 16.0;

/// Gives the recorder's thread precedence while batches are small, where the system lets it: all clients wait for the
/// recorder then, which sleeps twice in a commit and finds its processor taken. Answers come some 7 percent sooner with up
/// to 64 clients, on one kind of processor (see the decision, `docs/adr/0007-whole-turns-awake.md`). With larger batches
/// it would only cut the next one short.
#[derive(Debug)]
pub(super) struct Precedence {
    may: bool,
    usual_ballots: f32,
    held: bool,
}

impl Precedence {
    /// Of the thread that this is called on. One that was given another niceness than 0 is left as its operator wants it.
    pub(super) fn of_this_thread() -> Self {
        Self { may: getpriority_process(None) == Ok(0), usual_ballots: FEW, held: false }
    }

    /// Suits it to batches of late, of which one more had so many ballots.
    pub(super) fn suit(&mut self, ballots: usize) {
        if !self.may {
            return;
        }
        self.usual_ballots += (ballots as f32 - self.usual_ballots) * WEIGHT;
        let wanted = self.usual_ballots < FEW;
        if wanted == self.held {
            return;
        }
        match setpriority_process(None, if wanted { NICENESS } else { 0 }) {
            Ok(()) => self.held = wanted,
            Err(error) => {
                debug!(%error, "the recorder is given no precedence");
                self.may = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_batches_give_precedence_and_large_ones_take_it_back() {
        let nicenesses = || {
            let niceness = || getpriority_process(None).unwrap();
            let given = niceness();
            let mut precedence = Precedence::of_this_thread();
            let mut after = |ballots| {
                (0..100).for_each(|_| precedence.suit(ballots));
                niceness()
            };
            (given, after(200), after(20), after(200))
        };
        let (given, before, few, many) = std::thread::spawn(nicenesses).join().unwrap();
        assert_eq!((before, many), (given, given));
        // It takes a privilege, and a niceness that nobody chose.
        let may = std::thread::spawn(|| setpriority_process(None, NICENESS).is_ok()).join().unwrap();
        assert_eq!(few, if may && given == 0 { NICENESS } else { given });
    }
}
