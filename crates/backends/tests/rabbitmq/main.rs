//! Ballots and results through a real RabbitMQ: what is published is delivered, despite faults of the broker, its queues and
//! the connections.
#![allow(clippy::unwrap_used, reason = "a test fails where it can't go on")]

mod empty_checks;
mod fixture;
mod outages;
mod policies;
mod refusals;
mod results;
mod round_trip;
mod unreadable;

use std::time::Duration;

use throng_domain::ballot::{Ballot, BallotId, Choices};
use throng_domain::clock::Timestamp;
use throng_domain::poll::{OptionId, PollId};
use throng_domain::queue::{BallotConsumer, Delivery};
use uuid::Uuid;

/// The time from which the ballots here arrive, one per millisecond.
const NOW: Timestamp = Timestamp(1_790_000_000_000);

/// `count` ballots, numbered from `first`.
fn ballots(first: usize, count: usize) -> Vec<Ballot> {
    let ballot = |number: usize| {
        let choices = Choices::new([OptionId(1), OptionId(2 + (number % 4) as u16)]).unwrap();
        Ballot::unlimited(PollId(7), BallotId(Uuid::from_u128(number as u128)), choices, NOW.plus_ms(number as i64))
    };
    (first..first + count).map(ballot).collect()
}

/// The next deliveries, across any outage.
async fn next(worker: &mut impl BallotConsumer, ballots_max: usize) -> Vec<Delivery> {
    loop {
        worker.prepare().await;
        let deliveries = worker.next(ballots_max).await.unwrap();
        if !deliveries.is_empty() {
            return deliveries;
        }
    }
}

/// The output of `future`, which must complete within `seconds`.
async fn within<T>(seconds: u64, what: &str, future: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(Duration::from_secs(seconds), future).await;
    waited.unwrap_or_else(|_| panic!("{what}: not within {seconds} s"))
}
