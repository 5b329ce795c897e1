//! Consuming ballots.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use lapin::message;
use throng_domain::clock::Clock;
use throng_domain::queue::{BallotConsumer, CheckProgress, Delivery, DeliveryTag, EmptyCheck, QueueError};
use tracing::{error, info, warn};

use super::connection::Backoff;
use super::failure::unavailable_because;
use super::identity;
use super::inspection::{QueueState, check_empty};
use super::set_aside::{SetAside, Unreadable};
use super::subscription::{Source, Subscription, Unacknowledged};
use super::topology::BrokerConfig;
use crate::queue::message::{MessageKey, decode_ballots};

/// The prefetch count: enough messages for several full transactions, and at most some megabytes.
const UNACKNOWLEDGED_MAX: u16 = 128;

/// A consumer of ballots, on a connection of its own.
#[derive(Debug)]
pub struct RabbitBallotConsumer {
    broker: BrokerConfig,
    key: MessageKey,
    clock: Arc<dyn Clock>,
    /// The number of connections so far, including the current one.
    generation: u64,
    /// The name under which all that share a database identify the queue of the current or last connection.
    queue: String,
    /// `None` while disconnected.
    subscription: Option<Subscription>,
    unacknowledged: Unacknowledged,
    /// Decoded, and not returned yet.
    buffered: VecDeque<Delivery>,
    set_aside: SetAside,
    /// The number of unreadable messages on this connection.
    unreadable: u64,
}

impl RabbitBallotConsumer {
    /// Connects. Messages not authenticated with `key` are set aside, timestamped by `clock`.
    ///
    /// # Errors
    /// [`QueueError::Rejected`] if an operator has to change the broker or its URL, [`QueueError::Unavailable`] if the broker
    /// can't be reached.
    pub async fn connect(broker: BrokerConfig, key: MessageKey, clock: Arc<dyn Clock>) -> Result<Self, QueueError> {
        let mut consumer = Self {
            set_aside: SetAside::new(broker.clone()),
            broker,
            key,
            clock,
            generation: 0,
            queue: String::new(),
            subscription: None,
            unacknowledged: Unacknowledged::default(),
            buffered: VecDeque::new(),
            unreadable: 0,
        };
        consumer.connect_once().await?;
        Ok(consumer)
    }

    async fn connect_once(&mut self) -> Result<(), QueueError> {
        let subscription = Subscription::open(&self.broker, Source::Ballots, UNACKNOWLEDGED_MAX).await?;
        self.queue = identity::resolve_queue_name(subscription.uri(), &self.broker.topology).await?;
        self.subscription = Some(subscription);
        self.generation += 1;
        self.unacknowledged = Unacknowledged::default();
        self.buffered.clear();
        self.set_aside.forget();
        self.unreadable = 0;
        Ok(())
    }

    /// Reconnects, without a limit on time or attempts: what worked before may work again, even after the broker refuses.
    async fn reconnect(&mut self) {
        let (mut backoff, mut logged) = (Backoff::default(), false);
        while let Err(error) = self.connect_once().await {
            if matches!(error, QueueError::Rejected(_)) && !logged {
                error!(%error, "the broker is reachable, but can't be used");
                logged = true;
            }
            backoff.wait().await;
        }
        info!("reconnected to the broker; ballots are consumed");
    }

    /// The connection is lost. Its unacknowledged messages will be redelivered; [`Self::connect_once`] discards them here.
    fn disconnected(&mut self, why: &QueueError) {
        warn!(%why, "connection to the broker lost; no ballots are consumed until it is restored");
        self.subscription = None;
    }

    /// The deliveries that have arrived, once there are any; none if only unreadable messages have arrived.
    fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        ballots_max: usize,
    ) -> Poll<Result<Vec<Delivery>, QueueError>> {
        let (mut deliveries, mut ballots, unreadable) = (Vec::new(), 0, self.unreadable);
        while ballots < ballots_max {
            let next = match self.buffered.pop_front() {
                Some(delivery) => Poll::Ready(Ok(Some(delivery))),
                None => self.poll_delivery(context),
            };
            match next {
                Poll::Ready(Ok(Some(delivery))) if ballots > 0 && ballots + delivery.ballots.len() > ballots_max => {
                    self.buffered.push_front(delivery);
                    break;
                }
                Poll::Ready(Ok(Some(delivery))) => {
                    ballots += delivery.ballots.len();
                    deliveries.push(delivery);
                }
                Poll::Ready(Ok(None)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if deliveries.is_empty() && self.unreadable == unreadable => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(Ok(deliveries))
    }

    /// The next message, decoded; `None` if it is unreadable.
    fn poll_delivery(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Delivery>, QueueError>> {
        let disconnected = || unavailable_because("there is no connection to the broker");
        let subscription = self.subscription.as_mut().ok_or_else(disconnected)?;
        let message = ready!(subscription.poll_next(context))?;
        Poll::Ready(Ok(self.decode(message)))
    }

    /// Decodes a delivered message; `None` if it is unreadable, and so to be set aside.
    fn decode(&mut self, message: message::Delivery) -> Option<Delivery> {
        let number = message.delivery_tag;
        self.unacknowledged.delivered(number);
        match decode_ballots(&self.key, &message.data) {
            Ok(ballots) => Some(Delivery {
                tag: DeliveryTag { generation: self.generation, number },
                ballots,
                redelivered: message.redelivered,
            }),
            Err(why) => {
                let found_at = self.clock.now();
                self.set_aside.add(Unreadable { number, body: message.data, why, found_at });
                self.unreadable += 1;
                None
            }
        }
    }

    /// Buffers all messages that have arrived: at most [`UNACKNOWLEDGED_MAX`], since none is acknowledged meanwhile.
    fn poll_buffer_all(&mut self, context: &mut Context<'_>) -> Poll<Result<(), QueueError>> {
        loop {
            match self.poll_delivery(context) {
                Poll::Ready(Ok(delivery)) => self.buffered.extend(delivery),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Ready(Ok(())),
            }
        }
    }

    async fn acknowledge(&mut self, numbers: impl IntoIterator<Item = u64>) {
        let acks = self.unacknowledged.done(numbers);
        let Some(subscription) = &self.subscription else { return };
        if let Err(why) = subscription.acknowledge(&acks).await {
            self.disconnected(&why);
        }
    }
}

#[async_trait]
impl BallotConsumer for RabbitBallotConsumer {
    async fn prepare(&mut self) {
        if self.subscription.is_none() {
            self.reconnect().await;
        }
        if self.set_aside.is_due() {
            let numbers = self.set_aside.run().await;
            self.acknowledge(numbers).await;
        }
    }

    async fn next(&mut self, ballots_max: usize) -> Result<Vec<Delivery>, QueueError> {
        if self.subscription.is_none() {
            return Ok(Vec::new());
        }
        let due = self.set_aside.due();
        let received = tokio::select! {
            received = poll_fn(|context| self.poll_receive(context, ballots_max)) => received,
            () = due => Ok(Vec::new()),
        };
        Ok(received.unwrap_or_else(|why| {
            self.disconnected(&why);
            Vec::new()
        }))
    }

    async fn done(&mut self, tags: &[DeliveryTag]) -> Result<(), QueueError> {
        let generation = self.generation;
        let current = tags.iter().filter(|tag| tag.generation == generation);
        self.acknowledge(current.map(|tag| tag.number)).await;
        Ok(())
    }

    fn queue(&self) -> &str {
        &self.queue
    }

    fn generation(&self) -> Option<u64> {
        self.subscription.is_some().then_some(self.generation)
    }

    async fn check_empty(&mut self) -> Option<EmptyCheck> {
        // If this future is dropped, the subscription is too: a late response could be taken for that to another request.
        let subscription = self.subscription.take()?;
        let unreadable = self.unreadable;
        match check_empty(&self.broker.topology, subscription.channel()).await {
            Ok(check) => {
                self.subscription = Some(subscription);
                match check {
                    QueueState::Empty { consumers } if self.set_aside.is_empty() => {
                        Some(EmptyCheck { generation: self.generation, consumers, unreadable, last: u64::MAX })
                    }
                    QueueState::Empty { .. } | QueueState::NotEmpty => None,
                    QueueState::Message(message) => {
                        let delivery = self.decode(*message);
                        self.buffered.extend(delivery);
                        None
                    }
                }
            }
            Err(why) => {
                self.disconnected(&why);
                None
            }
        }
    }

    async fn set_bound(&mut self, check: &mut EmptyCheck) {
        match poll_fn(|context| self.poll_buffer_all(context)).await {
            Ok(()) => check.last = self.unacknowledged.last(),
            Err(why) => self.disconnected(&why),
        }
    }

    fn progress(&self, check: &EmptyCheck) -> CheckProgress {
        if self.generation() != Some(check.generation) || self.unreadable != check.unreadable {
            CheckProgress::Invalid
        } else if self.unacknowledged.are_done_up_to(check.last) {
            CheckProgress::Recorded
        } else {
            CheckProgress::Pending
        }
    }
}
