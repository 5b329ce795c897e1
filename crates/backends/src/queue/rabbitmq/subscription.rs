//! A connection on which messages are received.

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

use super::Broker;
use super::connection::{ANSWER_MAX, Session};
use super::failure::{self, no_answer};
use super::unacknowledged::Ack;

/// What is received.
#[derive(Clone, Copy, Debug)]
pub(super) enum From {
    /// Ballots, each message by one worker.
    Ballots,
    /// Results, by every node.
    Results,
}

/// A consumer on a connection of its own. Once it yields an error it yields nothing more.
#[derive(Debug)]
pub(super) struct Subscription {
    consumer: Consumer,
    channel: Channel,
    /// The connection ends with it.
    session: Session,
}

impl Subscription {
    /// Connects, declares what is to be there, and asks for messages: `unacknowledged_max` of them before the first is
    /// acknowledged.
    pub(super) async fn open(broker: &Broker, from: From, unacknowledged_max: u16) -> Result<Self, QueueError> {
        let purpose = match from {
            From::Ballots => "ballots in",
            From::Results => "results in",
        };
        let session = Session::open(&broker.url, purpose).await?;
        let channel = broker.topology.establish(&session).await?;
        let queue = match from {
            From::Ballots => broker.topology.ballots.clone(),
            From::Results => broker.topology.hang_up_queue(&channel).await?,
        };
        let consuming = async {
            channel.basic_qos(unacknowledged_max, BasicQosOptions::default()).await?;
            let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
            channel.basic_consume(queue.as_str().into(), "".into(), options, arguments).await
        };
        match timeout(ANSWER_MAX, consuming).await {
            Ok(Ok(consumer)) => Ok(Self { consumer, channel, session }),
            Ok(Err(error)) => Err(failure::unavailable(error)),
            Err(_) => Err(no_answer("it delivers nothing")),
        }
    }

    /// The next message, if one is here.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Delivery, QueueError>> {
        Pin::new(&mut self.consumer).poll_next(context).map(|delivered| match delivered {
            Some(delivered) => delivered.map_err(failure::unavailable),
            None => Err(no_answer("the broker has ended the subscription")),
        })
    }

    /// The channel on which messages come. The broker answers what is asked on it one after the other: what it had sent
    /// here before it answers a question is here before its answer to the next.
    pub(super) fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Where it leads, and as whom.
    pub(super) fn uri(&self) -> &AMQPUri {
        self.session.uri()
    }

    /// Tells the broker that messages were dealt with.
    pub(super) async fn acknowledge(&self, acks: &[Ack]) -> Result<(), QueueError> {
        let telling = async {
            for Ack { number, multiple } in acks {
                self.channel.basic_ack(*number, BasicAckOptions { multiple: *multiple }).await?;
            }
            Ok(())
        };
        match timeout(ANSWER_MAX, telling).await {
            Ok(told) => told.map_err(failure::unavailable),
            Err(_) => Err(no_answer("it doesn't read what it is sent")),
        }
    }
}
