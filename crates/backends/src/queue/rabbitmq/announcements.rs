//! Hearing what is announced.

use std::future::poll_fn;

use async_trait::async_trait;
use throng_domain::queue::{Announcements, QueueError};
use throng_domain::tally::Tallies;
use tracing::{error, info, warn};

use super::Broker;
use super::backoff::Backoff;
use super::failure::no_answer;
use super::subscription::{From, Subscription};
use super::unacknowledged::Ack;
use crate::queue::message::{MessageKey, decode_tallies};

/// The announcements on their way to a node at once.
const UNHEARD_MAX: u16 = 16;

/// Listens on a queue of its own, which is gone when the connection is.
#[derive(Debug)]
pub struct RabbitAnnouncements {
    broker: Broker,
    key: MessageKey,
    /// `None` while the broker is away.
    subscription: Option<Subscription>,
    /// The last that was heard, while the broker waits to be told.
    heard: Option<u64>,
}

impl RabbitAnnouncements {
    /// Connects. Hears only what was announced under `key`.
    ///
    /// # Errors
    /// [`QueueError::Rejected`] where the broker can't be used as it is, [`QueueError::Unavailable`] where it is away.
    pub async fn connect(broker: Broker, key: MessageKey) -> Result<Self, QueueError> {
        let subscription = Some(Subscription::open(&broker, From::Results, UNHEARD_MAX).await?);
        Ok(Self { broker, key, subscription, heard: None })
    }

    /// The next announcement; `None` if what came is none. Once it is taken there is no waiting, so that it can't be lost.
    async fn hear(&mut self) -> Result<Option<Vec<Tallies>>, QueueError> {
        let Self { key, subscription, heard, .. } = self;
        let subscription = subscription.as_mut().ok_or_else(|| no_answer("there is no connection yet"))?;
        if let Some(number) = heard.take() {
            subscription.acknowledge(&[Ack { number, multiple: true }]).await?;
        }
        let delivery = poll_fn(|context| subscription.poll_next(context)).await?;
        *heard = Some(delivery.delivery_tag);
        let tallies = decode_tallies(key, &delivery.data);
        Ok(tallies.inspect_err(|error| warn!(%error, "an announcement is passed over")).ok())
    }

    async fn reconnect(&mut self) {
        (self.subscription, self.heard) = (None, None);
        let (mut backoff, mut told) = (Backoff::default(), false);
        while self.subscription.is_none() {
            backoff.wait().await;
            match Subscription::open(&self.broker, From::Results, UNHEARD_MAX).await {
                Ok(subscription) => self.subscription = Some(subscription),
                Err(error @ QueueError::Rejected(_)) if !told => {
                    error!(%error, "the broker is there, and can't be used");
                    told = true;
                }
                Err(QueueError::Rejected(_) | QueueError::Unavailable(_) | QueueError::Unknown(_)) => {}
            }
        }
        info!("results are heard of again");
    }
}

#[async_trait]
impl Announcements for RabbitAnnouncements {
    async fn next(&mut self) -> Vec<Tallies> {
        loop {
            match self.hear().await {
                Ok(Some(tallies)) => return tallies,
                Ok(None) => {}
                Err(why) => {
                    warn!(%why, "no results are heard of until the broker is back");
                    self.reconnect().await;
                }
            }
        }
    }
}
