//! A consumer on a connection of its own, and its deliveries that aren't acknowledged yet.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::uri::AMQPUri;
use lapin::{Channel, Consumer};
use throng_domain::queue::QueueError;
use tokio::time::timeout;

use super::connection::{RESPONSE_MAX, Session};
use super::failure::{self, unavailable_because};
use super::topology::BrokerConfig;

/// What is consumed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    /// Ballots: each message is delivered to one worker.
    Ballots,
    /// Results: each message is delivered to every node.
    Results,
}

/// A consumer on a connection of its own. After an error nothing more is delivered.
#[derive(Debug)]
pub(super) struct Subscription {
    consumer: Consumer,
    channel: Channel,
    /// Closed with the subscription.
    session: Session,
}

impl Subscription {
    /// Connects, declares the topology, and starts consuming, with at most `unacknowledged_max` unacknowledged messages.
    pub(super) async fn open(
        broker: &BrokerConfig,
        source: Source,
        unacknowledged_max: u16,
    ) -> Result<Self, QueueError> {
        let purpose = match source {
            Source::Ballots => "ballots in",
            Source::Results => "results in",
        };
        let session = Session::open(&broker.url, purpose).await?;
        let channel = broker.topology.establish(&session).await?;
        let queue = match source {
            Source::Ballots => broker.topology.ballots.clone(),
            Source::Results => broker.topology.declare_node_queue(&channel).await?,
        };
        let consuming = async {
            channel.basic_qos(unacknowledged_max, BasicQosOptions::default()).await?;
            let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
            channel.basic_consume(queue.as_str().into(), "".into(), options, arguments).await
        };
        match timeout(RESPONSE_MAX, consuming).await {
            Ok(Ok(consumer)) => Ok(Self { consumer, channel, session }),
            Ok(Err(error)) => Err(failure::unavailable(error)),
            Err(_) => Err(unavailable_because("timed out starting a consumer")),
        }
    }

    /// The next message, if one has arrived.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Delivery, QueueError>> {
        Pin::new(&mut self.consumer).poll_next(context).map(|delivered| match delivered {
            Some(delivered) => delivered.map_err(failure::unavailable),
            None => Err(unavailable_because("the broker cancelled the consumer")),
        })
    }

    /// The channel on which messages are delivered. The broker handles a channel's requests in order: whatever it had sent on
    /// it before its response to one request has arrived before the response to the next.
    pub(super) fn channel(&self) -> &Channel {
        &self.channel
    }

    /// The broker's address, and the credentials.
    pub(super) fn uri(&self) -> &AMQPUri {
        self.session.uri()
    }

    /// Acknowledges messages.
    pub(super) async fn acknowledge(&self, acks: &[Ack]) -> Result<(), QueueError> {
        let acknowledging = async {
            for Ack { number, multiple } in acks {
                self.channel.basic_ack(*number, BasicAckOptions { multiple: *multiple }).await?;
            }
            Ok(())
        };
        match timeout(RESPONSE_MAX, acknowledging).await {
            Ok(acknowledged) => acknowledged.map_err(failure::unavailable),
            Err(_) => Err(unavailable_because("timed out sending acknowledgements")),
        }
    }
}

/// The deliveries of one connection, by delivery tag, which the broker counts from 1.
#[derive(Debug, Default)]
pub(super) struct Unacknowledged {
    open: BTreeSet<u64>,
    /// Tags below one already delivered that haven't arrived yet: the response to a `basic.get` takes another path than the
    /// deliveries to a consumer.
    expected: BTreeSet<u64>,
    last: u64,
}

/// An acknowledgement to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ack {
    pub(super) number: u64,
    /// Whether it includes all deliveries before it.
    pub(super) multiple: bool,
}

impl Unacknowledged {
    pub(super) fn delivered(&mut self, number: u64) {
        self.expected.extend(self.last + 1..number);
        self.expected.remove(&number);
        self.last = self.last.max(number);
        self.open.insert(number);
    }

    /// The highest tag delivered; 0 before the first delivery.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Whether all tags up to this one were delivered and acknowledged.
    pub(super) fn are_done_up_to(&self, number: u64) -> bool {
        self.first_open() > number
    }

    /// Removes `numbers`; returns the fewest acknowledgements that cover exactly these. Unknown tags are skipped: the broker
    /// closes the channel if a tag is acknowledged twice.
    pub(super) fn done(&mut self, numbers: impl IntoIterator<Item = u64>) -> Vec<Ack> {
        let done: BTreeSet<u64> = numbers.into_iter().filter(|number| self.open.remove(number)).collect();
        let first_open = self.first_open();
        let together = done.range(..first_open).next_back().copied();
        let together = together.map(|number| Ack { number, multiple: true });
        let singly = done.range(first_open..).map(|number| Ack { number: *number, multiple: false });
        together.into_iter().chain(singly).collect()
    }

    /// The first tag that isn't acknowledged, whether it has arrived or not.
    fn first_open(&self) -> u64 {
        self.open.first().into_iter().chain(self.expected.first()).min().copied().unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn one(number: u64) -> Ack {
        Ack { number, multiple: false }
    }

    fn up_to(number: u64) -> Ack {
        Ack { number, multiple: true }
    }

    fn delivered(numbers: impl IntoIterator<Item = u64>) -> Unacknowledged {
        let mut unacknowledged = Unacknowledged::default();
        numbers.into_iter().for_each(|number| unacknowledged.delivered(number));
        unacknowledged
    }

    #[test]
    fn leading_deliveries_are_acknowledged_together() {
        let mut unacknowledged = delivered(1..=9);
        assert_eq!(unacknowledged.done([3, 1, 2]), [up_to(3)]);
        assert_eq!(unacknowledged.done([4, 6, 8]), [up_to(4), one(6), one(8)]);
        assert_eq!(unacknowledged.done([5, 9]), [up_to(6 - 1), one(9)]);
        assert_eq!(unacknowledged.done([7]), [up_to(7)]);
    }

    #[test]
    fn delivery_is_acknowledged_once() {
        let mut unacknowledged = delivered([1, 2]);
        assert_eq!(unacknowledged.done([1, 1]), [up_to(1)]);
        assert_eq!(unacknowledged.done([1, 7]), []);
    }

    #[test]
    fn delivery_that_has_not_arrived_is_not_acknowledged() {
        let mut unacknowledged = delivered([1, 4]);
        assert_eq!(unacknowledged.done([4]), [one(4)]);
        assert!(!unacknowledged.are_done_up_to(1));
        assert_eq!(unacknowledged.done([1]), [up_to(1)]);
        assert!(unacknowledged.are_done_up_to(1) && !unacknowledged.are_done_up_to(2));
        (2..4).for_each(|number| unacknowledged.delivered(number));
        assert!(!unacknowledged.are_done_up_to(4));
        assert_eq!(unacknowledged.done([2, 3]), [up_to(3)]);
        assert!(unacknowledged.are_done_up_to(4) && unacknowledged.last() == 4);
    }

    proptest! {
        /// Modelled on a broker that applies acknowledgements as the protocol defines.
        #[test]
        fn broker_receives_exactly_what_was_done(batches in vec(vec(1..40_u64, 0..8), 0..12)) {
            let mut unacknowledged = delivered(1..40);
            let (mut kept, mut broker): (BTreeSet<u64>, BTreeSet<u64>) = ((1..40).collect(), (1..40).collect());
            for numbers in batches {
                for Ack { number, multiple } in unacknowledged.done(numbers.iter().copied()) {
                    prop_assert!(broker.remove(&number), "{number} is acknowledged twice");
                    broker.retain(|kept| !multiple || *kept > number);
                }
                kept.retain(|number| !numbers.contains(number));
                prop_assert_eq!(&broker, &kept);
            }
        }
    }
}
