//! Setting aside what can't be read, where an operator finds it.

use std::time::Duration;

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use throng_domain::clock::Timestamp;
use throng_domain::queue::QueueError;
use tokio::time::{Instant, sleep_until};
use tracing::{error, warn};

use super::connection::Session;
use super::dead_letters::{WHY, id_of};
use super::lane::{Address, Lane};
use super::{Broker, SEND_MAX};
use crate::queue::message::NotAMessage;

/// How long is waited before it is tried again where it didn't succeed. The messages stay unacknowledged meanwhile.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// A message that can't be read, and is not acknowledged yet.
#[derive(Debug)]
pub(super) struct Unreadable {
    /// Its number on the connection it came on.
    pub(super) number: u64,
    pub(super) body: Vec<u8>,
    pub(super) why: NotAMessage,
    pub(super) found_at: Timestamp,
}

/// Moves messages to the queue of dead letters: first they are durable there, then the broker is told that they were dealt
/// with here. So none is lost; one may be there twice. It happens on a connection of its own, since the broker blocks
/// those that publish when it is short of memory, and workers must go on then.
#[derive(Debug)]
pub(super) struct SetAside {
    broker: Broker,
    /// At most as many as a worker has unacknowledged.
    unreadable: Vec<Unreadable>,
    not_before: Instant,
}

impl SetAside {
    pub(super) fn new(broker: Broker) -> Self {
        Self { broker, unreadable: Vec::new(), not_before: Instant::now() }
    }

    pub(super) fn add(&mut self, unreadable: Unreadable) {
        let (id, bytes) = (id_of(&unreadable.body), unreadable.body.len());
        error!(id, bytes, why = %unreadable.why, "a message can't be read and is set aside; no ballot in it counts yet");
        self.unreadable.push(unreadable);
    }

    /// They will come again, on another connection.
    pub(super) fn forget(&mut self) {
        self.unreadable.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.unreadable.is_empty()
    }

    pub(super) fn is_due(&self) -> bool {
        !self.unreadable.is_empty() && self.not_before <= Instant::now()
    }

    /// Done when there is something to set aside; never if there is nothing.
    pub(super) fn due(&self) -> impl Future<Output = ()> + use<> {
        let at = (!self.unreadable.is_empty()).then_some(self.not_before);
        async move {
            match at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        }
    }

    /// Sets aside what there is; returns the numbers of what is durable there now.
    pub(super) async fn run(&mut self) -> Vec<u64> {
        let mut durable = Vec::new();
        let published = self.publish(&mut durable).await;
        self.unreadable.retain(|unreadable| !durable.contains(&unreadable.number));
        if let Err(error) = published {
            warn!(%error, messages = self.unreadable.len(), "what can't be read could not be set aside; it is kept");
            self.not_before = Instant::now() + RETRY_AFTER;
        }
        durable
    }

    /// Publishes one after the other, noting in `durable` the number of each that is.
    async fn publish(&self, durable: &mut Vec<u64>) -> Result<(), QueueError> {
        let session = Session::open(&self.broker.url, "dead letters out").await?;
        let mut lane = Lane::open(&session).await?;
        for unreadable in &self.unreadable {
            let to = Address::Queue(&self.broker.topology.dead);
            let deadline = Instant::now() + SEND_MAX;
            let (open, sent) = lane.send(to, &unreadable.body, properties(unreadable), deadline).await;
            sent?;
            durable.push(unreadable.number);
            lane = open.ok_or_else(|| QueueError::Unavailable("the lane has ended".into()))?;
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
