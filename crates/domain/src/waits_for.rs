//! Why the result of a closed poll isn't final yet, behind a broker: for the metrics, `throng doctor` and `throng poll
//! results`.

use crate::queue::Messages;

/// What the result waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// Unknown, since the broker is unavailable.
    Unknown,
    /// A worker that reports that all ballots are recorded. None is running.
    Worker,
    /// An operator who replays or drops this number of messages that no worker could read.
    DeadLetters(u64),
    /// Workers, which are recording, and the end of the minute after the close.
    Recording,
}

impl WaitsFor {
    /// The names of all kinds, as in the metrics.
    pub const NAMES: [&str; 4] = ["unknown", "worker", "dead_letters", "recording"];

    /// What the result waits for with these messages on the queues; `None` if the broker is unavailable.
    pub fn of(messages: Option<Messages>) -> Self {
        match messages {
            None => Self::Unknown,
            Some(Messages { consumers: 0, .. }) => Self::Worker,
            Some(Messages { dead, .. }) if dead > 0 => Self::DeadLetters(dead),
            Some(_) => Self::Recording,
        }
    }

    /// The index of its name in [`Self::NAMES`].
    pub fn index(self) -> usize {
        match self {
            Self::Unknown => 0,
            Self::Worker => 1,
            Self::DeadLetters(_) => 2,
            Self::Recording => 3,
        }
    }

    /// Whether only an operator can resolve it.
    pub fn is_stuck(self) -> bool {
        matches!(self, Self::Worker | Self::DeadLetters(_))
    }

    /// A description that completes a sentence after "the result".
    pub fn words(self) -> String {
        match self {
            Self::Unknown => {
                "waits until all ballots are known to be recorded, and the broker is unavailable now".to_owned()
            }
            Self::Worker => {
                "waits for a worker to say that all is recorded, and no worker is there: start `throng worker`"
                    .to_owned()
            }
            Self::DeadLetters(count) => format!(
                "is held by dead letters, messages that no worker could read ({count}): see `throng dead list`, then \
                 replay them or drop them"
            ),
            Self::Recording => {
                "is final once workers have recorded all accepted ballots, at least a minute after the close; workers \
                 are recording"
                    .to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reason_for_an_operator_comes_first() {
        let of = |ballots, dead, consumers| WaitsFor::of(Some(Messages { ballots, dead, consumers }));
        assert_eq!(WaitsFor::of(None), WaitsFor::Unknown);
        assert_eq!(of(0, 0, 0), WaitsFor::Worker);
        assert_eq!(of(3, 2, 0), WaitsFor::Worker);
        assert_eq!(of(3, 2, 1), WaitsFor::DeadLetters(2));
        assert_eq!(of(3, 0, 1), WaitsFor::Recording);
        assert!(WaitsFor::DeadLetters(2).words().contains("(2)"));
    }
}
