//! Moving unreadable messages to the dead-letter queue.

use std::time::Duration;

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use throng_domain::clock::Timestamp;
use throng_domain::queue::QueueError;
use tokio::time::{Instant, sleep_until};
use tracing::{error, warn};

use super::confirm_channel::{Address, ConfirmChannel};
use super::connection::Session;
use super::dead_letters::{WHY, id_of};
use super::failure::unavailable_because;
use super::topology::BrokerConfig;
use crate::queue::message::NotAMessage;

/// The delay before a retry. The messages stay unacknowledged meanwhile.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// A message that can't be decoded, and isn't acknowledged yet.
#[derive(Debug)]
pub(super) struct Unreadable {
    /// Its delivery tag.
    pub(super) number: u64,
    pub(super) body: Vec<u8>,
    pub(super) why: NotAMessage,
    pub(super) found_at: Timestamp,
}

/// Moves messages to the dead-letter queue. They are acknowledged only once they are durable there: so none is lost, but one
/// may be duplicated. Uses a connection of its own, because the broker blocks connections that publish while it is short of
/// memory, and workers must continue then.
#[derive(Debug)]
pub(super) struct SetAside {
    broker: BrokerConfig,
    /// Bounded by the consumer's prefetch count.
    unreadable: Vec<Unreadable>,
    not_before: Instant,
}

impl SetAside {
    pub(super) fn new(broker: BrokerConfig) -> Self {
        Self { broker, unreadable: Vec::new(), not_before: Instant::now() }
    }

    pub(super) fn add(&mut self, unreadable: Unreadable) {
        let (id, bytes) = (id_of(&unreadable.body), unreadable.body.len());
        error!(id, bytes, why = %unreadable.why, "unreadable message set aside; its ballots don't count yet");
        self.unreadable.push(unreadable);
    }

    /// Discards all: they will be redelivered, on another connection.
    pub(super) fn forget(&mut self) {
        self.unreadable.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.unreadable.is_empty()
    }

    pub(super) fn is_due(&self) -> bool {
        !self.unreadable.is_empty() && self.not_before <= Instant::now()
    }

    /// Completes when the next attempt is due; never if there is nothing to set aside.
    pub(super) fn due(&self) -> impl Future<Output = ()> + use<> {
        let at = (!self.unreadable.is_empty()).then_some(self.not_before);
        async move {
            match at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        }
    }

    /// Sets all messages aside; returns the delivery tags of those that are durable in the dead-letter queue.
    pub(super) async fn run(&mut self) -> Vec<u64> {
        let mut durable = Vec::new();
        let published = self.publish(&mut durable).await;
        self.unreadable.retain(|unreadable| !durable.contains(&unreadable.number));
        if let Err(error) = published {
            warn!(%error, messages = self.unreadable.len(), "unreadable messages could not be set aside; trying again");
            self.not_before = Instant::now() + RETRY_AFTER;
        }
        durable
    }

    /// Publishes them one by one, adding the delivery tag of each confirmed one to `durable`.
    async fn publish(&self, durable: &mut Vec<u64>) -> Result<(), QueueError> {
        let session = Session::open(&self.broker.url, "dead letters out").await?;
        let mut channel = ConfirmChannel::open(&session).await?;
        for unreadable in &self.unreadable {
            let to = Address::Queue(&self.broker.topology.dead);
            let deadline = Instant::now() + self.broker.url.confirm_max;
            let (open, sent) = channel.send(to, &unreadable.body, properties(unreadable), deadline).await;
            sent?;
            durable.push(unreadable.number);
            channel = open.ok_or_else(|| unavailable_because("the channel is closed"))?;
        }
        Ok(())
    }
}

fn properties(unreadable: &Unreadable) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert(WHY.into(), AMQPValue::LongString(unreadable.why.to_string().into()));
    let seconds = u64::try_from(unreadable.found_at.0 / 1_000).unwrap_or(0);
    BasicProperties::default()
        .with_message_id(id_of(&unreadable.body).into())
        .with_timestamp(seconds)
        .with_headers(headers)
}
