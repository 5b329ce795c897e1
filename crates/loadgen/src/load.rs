//! The loads that can be generated.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::schedule::Schedule;

/// A load, by a number of clients, each with its own connection. As JSON it has a `kind`, and its duration in seconds.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Load {
    /// All clients vote at the same instant, repeatedly; a round begins when all votes of the one before have ended.
    Rounds {
        /// Number of clients.
        clients: u32,
        /// Number of rounds.
        rounds: u32,
    },
    /// A constant rate: votes begin on schedule whether or not the server keeps up. If no client is free, a vote waits for one,
    /// and its wait is part of its latency.
    Rate {
        /// Number of clients that share it.
        clients: u32,
        /// Votes per second; not 0.
        rate: u32,
        /// How long it lasts.
        #[serde(rename = "duration_s", serialize_with = "seconds")]
        duration: Duration,
    },
}

impl Load {
    /// The number of its clients.
    pub fn clients(&self) -> u32 {
        match *self {
            Self::Rounds { clients, .. } | Self::Rate { clients, .. } => clients,
        }
    }

    /// The number of its votes.
    pub fn votes(&self) -> u64 {
        match *self {
            Self::Rounds { clients, rounds } => u64::from(clients) * u64::from(rounds),
            Self::Rate { rate, duration, .. } => Schedule::new(rate, duration).votes,
        }
    }
}

fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_names_the_kind_and_the_units() {
        let load = Load::Rounds { clients: 2, rounds: 3 };
        assert_eq!(serde_json::to_value(load).unwrap(), json!({"kind": "rounds", "clients": 2, "rounds": 3}));
        let load = Load::Rate { clients: 1, rate: 5, duration: Duration::from_millis(1_500) };
        assert_eq!(
            serde_json::to_value(load).unwrap(),
            json!({"kind": "rate", "clients": 1, "rate": 5, "duration_s": 1.5})
        );
    }

    #[test]
    fn votes_are_counted_before_they_are_cast() {
        assert_eq!(Load::Rounds { clients: u32::MAX, rounds: 2 }.votes(), u64::from(u32::MAX) * 2);
        assert_eq!(Load::Rate { clients: 7, rate: 200, duration: Duration::from_millis(1_500) }.votes(), 300);
    }
}
