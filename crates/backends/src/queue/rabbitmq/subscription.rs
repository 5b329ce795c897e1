//! A consumer on a connection of its own.

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

use super::BrokerConfig;
use super::connection::{RESPONSE_MAX, Session};
use super::failure::{self, unavailable_because};
use super::unacknowledged::Ack;

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
