//! Taking ballots off the queue.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use lapin::message;
use throng_domain::clock::Clock;
use throng_domain::queue::{BallotConsumer, Delivery, DeliveryTag, Followed, Look, QueueError};
use tracing::{error, info, warn};

use super::Broker;
use super::backoff::Backoff;
use super::failure::no_answer;
use super::identity;
use super::looking::{self, Found};
use super::set_aside::{SetAside, Unreadable};
use super::subscription::{From, Subscription};
use super::unacknowledged::Unacknowledged;
use crate::queue::message::{MessageKey, decode_ballots};

/// The messages that a worker has at once: enough for some full transactions, and at most some megabytes.
const UNACKNOWLEDGED_MAX: u16 = 128;

/// What one worker is delivered, on a connection of its own.
#[derive(Debug)]
pub struct RabbitBallotConsumer {
    broker: Broker,
    key: MessageKey,
    clock: Arc<dyn Clock>,
    /// The connections there have been, this one included.
    generation: u64,
    /// The name by which all on one database know the queue that this connection, or the last one, is at.
    queue: String,
    /// `None` while the broker is away.
    subscription: Option<Subscription>,
    unacknowledged: Unacknowledged,
    /// Read, and not handed out yet.
    ahead: VecDeque<Delivery>,
    set_aside: SetAside,
    /// The messages of this connection that couldn't be read.
    unreadable: u64,
}

impl RabbitBallotConsumer {
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
            queue: String::new(),
            subscription: None,
            unacknowledged: Unacknowledged::default(),
            ahead: VecDeque::new(),
            unreadable: 0,
        };
        deliveries.connect_once().await?;
        Ok(deliveries)
    }

    async fn connect_once(&mut self) -> Result<(), QueueError> {
        let subscription = Subscription::open(&self.broker, From::Ballots, UNACKNOWLEDGED_MAX).await?;
        self.queue = identity::ask(subscription.uri(), &self.broker.topology).await?;
        self.subscription = Some(subscription);
        self.generation += 1;
        self.unacknowledged = Unacknowledged::default();
        self.ahead.clear();
        self.set_aside.forget();
        self.unreadable = 0;
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

    /// All that came on the lost connection will come again, and is forgotten when there is another one.
    fn lose(&mut self, why: &QueueError) {
        warn!(%why, "no ballots are delivered until the broker is back");
        self.subscription = None;
    }

    /// What is here, as soon as something is; nothing where something was found that can't be read.
    fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        ballots_max: usize,
    ) -> Poll<Result<Vec<Delivery>, QueueError>> {
        let (mut deliveries, mut ballots, unreadable) = (Vec::new(), 0, self.unreadable);
        while ballots < ballots_max {
            let next = match self.ahead.pop_front() {
                Some(delivery) => Poll::Ready(Ok(Some(delivery))),
                None => self.poll_delivery(context),
            };
            match next {
                Poll::Ready(Ok(Some(delivery))) if ballots > 0 && ballots + delivery.ballots.len() > ballots_max => {
                    self.ahead.push_front(delivery);
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

    /// The next message, read; `None` if it can't be.
    fn poll_delivery(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Delivery>, QueueError>> {
        let subscription = self.subscription.as_mut().ok_or_else(|| no_answer("there is no connection"))?;
        let message = ready!(subscription.poll_next(context))?;
        Poll::Ready(Ok(self.read(message)))
    }

    /// A message that was delivered, read; `None` if it can't be.
    fn read(&mut self, message: message::Delivery) -> Option<Delivery> {
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

    /// Takes in all that is here, to be handed out later: no more than the broker delivers before it is told of any.
    fn poll_take_in(&mut self, context: &mut Context<'_>) -> Poll<Result<(), QueueError>> {
        loop {
            match self.poll_delivery(context) {
                Poll::Ready(Ok(delivery)) => self.ahead.extend(delivery),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Ready(Ok(())),
            }
        }
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
            self.lose(&why);
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

    async fn look(&mut self) -> Option<Look> {
        // Whoever stops waiting for an answer doesn't know what it is later taken for.
        let subscription = self.subscription.take()?;
        let unreadable = self.unreadable;
        match looking::look(&self.broker.topology, subscription.channel()).await {
            Ok(found) => {
                self.subscription = Some(subscription);
                match found {
                    Found::Nothing { consumers } if self.set_aside.is_empty() => {
                        Some(Look { generation: self.generation, consumers, unreadable, last: u64::MAX })
                    }
                    Found::Nothing { .. } | Found::Something => None,
                    Found::Message(message) => {
                        let delivery = self.read(*message);
                        self.ahead.extend(delivery);
                        None
                    }
                }
            }
            Err(why) => {
                self.lose(&why);
                None
            }
        }
    }

    async fn bound(&mut self, look: &mut Look) {
        match poll_fn(|context| self.poll_take_in(context)).await {
            Ok(()) => look.last = self.unacknowledged.last(),
            Err(why) => self.lose(&why),
        }
    }

    fn follow(&self, look: &Look) -> Followed {
        if self.generation() != Some(look.generation) || self.unreadable != look.unreadable {
            Followed::Void
        } else if self.unacknowledged.are_done_up_to(look.last) {
            Followed::Recorded
        } else {
            Followed::Waits
        }
    }
}
