//! Taking ballots off the queue.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use throng_domain::clock::Clock;
use throng_domain::queue::{Deliveries, Delivery, DeliveryTag, QueueError};
use tracing::{error, info, warn};

use super::Broker;
use super::backoff::Backoff;
use super::failure::no_answer;
use super::set_aside::{SetAside, Unreadable};
use super::subscription::{From, Subscription};
use super::unacknowledged::Unacknowledged;
use crate::queue::message::{MessageKey, decode_ballots};

/// The messages that a worker has at once: enough for some full transactions, and at most some megabytes.
const UNACKNOWLEDGED_MAX: u16 = 128;

/// What one worker is delivered, on a connection of its own.
#[derive(Debug)]
pub struct RabbitDeliveries {
    broker: Broker,
    key: MessageKey,
    clock: Arc<dyn Clock>,
    /// The connections there have been, this one included.
    generation: u64,
    /// `None` while the broker is away.
    subscription: Option<Subscription>,
    unacknowledged: Unacknowledged,
    /// Read, and not handed out yet, because it would have been too much at once.
    ahead: Option<Delivery>,
    set_aside: SetAside,
}

impl RabbitDeliveries {
    /// Connects. Reads only what was published under `key`; the rest is set aside, with the time of `clock`.
    ///
    /// # Errors
    /// [`QueueError::Rejected`] where the broker can't be used as it is, [`QueueError::Unavailable`] where it is away.
    pub async fn connect(broker: Broker, key: MessageKey, clock: Arc<dyn Clock>) -> Result<Self, QueueError> {
        let mut deliveries = Self {
            set_aside: SetAside::new(broker.clone()),
            broker,
            key,
            clock,
            generation: 0,
            subscription: None,
            unacknowledged: Unacknowledged::default(),
            ahead: None,
        };
        deliveries.connect_once().await?;
        Ok(deliveries)
    }

    async fn connect_once(&mut self) -> Result<(), QueueError> {
        self.subscription = Some(Subscription::open(&self.broker, From::Ballots, UNACKNOWLEDGED_MAX).await?);
        self.generation += 1;
        Ok(())
    }

    /// Connects again, however long the broker is away or refuses: what worked once may pass by itself.
    async fn reconnect(&mut self) {
        let (mut backoff, mut told) = (Backoff::default(), false);
        while let Err(error) = self.connect_once().await {
            if matches!(error, QueueError::Rejected(_)) && !told {
                error!(%error, "the broker is there, and can't be used");
                told = true;
            }
            backoff.wait().await;
        }
        info!("ballots are delivered again");
    }

    /// All that came on the lost connection will come again.
    fn lose(&mut self, why: &QueueError) {
        warn!(%why, "no ballots are delivered until the broker is back");
        self.subscription = None;
        self.unacknowledged = Unacknowledged::default();
        self.ahead = None;
        self.set_aside.forget();
    }

    /// What is here, as soon as something is; nothing where something was found that can't be read.
    fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        ballots_max: usize,
    ) -> Poll<Result<Vec<Delivery>, QueueError>> {
        let mut deliveries = Vec::from_iter(self.ahead.take());
        let mut ballots = deliveries.first().map_or(0, |delivery| delivery.ballots.len());
        while ballots < ballots_max {
            match self.poll_delivery(context) {
                Poll::Ready(Ok(Some(delivery))) if ballots > 0 && ballots + delivery.ballots.len() > ballots_max => {
                    self.ahead = Some(delivery);
                    break;
                }
                Poll::Ready(Ok(Some(delivery))) => {
                    ballots += delivery.ballots.len();
                    deliveries.push(delivery);
                }
                Poll::Ready(Ok(None)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if deliveries.is_empty() && !self.set_aside.is_due() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(Ok(deliveries))
    }

    /// The next message, read; `None` if it can't be.
    fn poll_delivery(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Delivery>, QueueError>> {
        let subscription = self.subscription.as_mut().ok_or_else(|| no_answer("there is no connection"))?;
        let message = ready!(subscription.poll_next(context))?;
        let number = message.delivery_tag;
        self.unacknowledged.delivered(number);
        Poll::Ready(Ok(match decode_ballots(&self.key, &message.data) {
            Ok(ballots) => Some(Delivery {
                tag: DeliveryTag { generation: self.generation, number },
                ballots,
                redelivered: message.redelivered,
            }),
            Err(why) => {
                let found_at = self.clock.now();
                self.set_aside.add(Unreadable { number, body: message.data, why, found_at });
                None
            }
        }))
    }

    async fn acknowledge(&mut self, numbers: impl IntoIterator<Item = u64>) {
        let acks = self.unacknowledged.done(numbers);
        let Some(subscription) = &self.subscription else { return };
        if let Err(why) = subscription.acknowledge(&acks).await {
            self.lose(&why);
        }
    }
}

#[async_trait]
impl Deliveries for RabbitDeliveries {
    async fn next(&mut self, ballots_max: usize) -> Result<Vec<Delivery>, QueueError> {
        loop {
            if self.subscription.is_none() {
                self.reconnect().await;
            }
            if self.set_aside.is_due() {
                let numbers = self.set_aside.run().await;
                self.acknowledge(numbers).await;
            }
            let due = self.set_aside.due();
            let received = tokio::select! {
                received = poll_fn(|context| self.poll_receive(context, ballots_max)) => received,
                () = due => continue,
            };
            match received {
                Ok(deliveries) if deliveries.is_empty() => {}
                Ok(deliveries) => return Ok(deliveries),
                Err(why) => self.lose(&why),
            }
        }
    }

    async fn done(&mut self, tags: &[DeliveryTag]) -> Result<(), QueueError> {
        let generation = self.generation;
        let current = tags.iter().filter(|tag| tag.generation == generation);
        self.acknowledge(current.map(|tag| tag.number)).await;
        Ok(())
    }
}
