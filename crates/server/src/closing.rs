//! Why the result of a poll that has closed isn't final yet, behind a broker: for the metrics, `throng doctor` and `throng
//! poll results`.

use throng_backends::queue::rabbitmq::Messages;

/// What such a result waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// The broker doesn't tell.
    Unknown,
    /// A worker, to say that all is recorded. There is none.
    Worker,
    /// Somebody to deal with so many messages that no worker could read.
    DeadLetters(u64),
    /// Workers that record, and a minute from the close on.
    Recording,
}

impl WaitsFor {
    /// All kinds, as metrics name them.
    pub const NAMES: [&str; 4] = ["unknown", "worker", "dead_letters", "recording"];

    /// What it is with these messages on the queues, if the broker tells.
    pub fn of(messages: Option<Messages>) -> Self {
        match messages {
            None => Self::Unknown,
            Some(Messages { consumers: 0, .. }) => Self::Worker,
            Some(Messages { dead, .. }) if dead > 0 => Self::DeadLetters(dead),
            Some(_) => Self::Recording,
        }
    }

    /// Its place in [`Self::NAMES`].
    pub fn index(self) -> usize {
        match self {
            Self::Unknown => 0,
            Self::Worker => 1,
            Self::DeadLetters(_) => 2,
            Self::Recording => 3,
        }
    }

    /// Whether it goes on until somebody does something.
    pub fn is_stuck(self) -> bool {
        matches!(self, Self::Worker | Self::DeadLetters(_))
    }

    /// In words, after "the result".
    pub fn words(self) -> String {
        match self {
            Self::Unknown => {
                "waits until it is known that all is recorded, and the broker can't be asked now".to_owned()
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
                "is final once workers have recorded all that was taken, a minute after the close at the \
                                soonest; workers are recording"
                    .to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_has_to_do_is_told_first() {
        let of = |ballots, dead, consumers| WaitsFor::of(Some(Messages { ballots, dead, consumers }));
        assert_eq!(WaitsFor::of(None), WaitsFor::Unknown);
        assert_eq!(of(0, 0, 0), WaitsFor::Worker);
        assert_eq!(of(3, 2, 0), WaitsFor::Worker);
        assert_eq!(of(3, 2, 1), WaitsFor::DeadLetters(2));
        assert_eq!(of(3, 0, 1), WaitsFor::Recording);
        assert!(WaitsFor::DeadLetters(2).words().contains("(2)"));
    }
}
