//! Queue depth: the messages waiting to be recorded, the dead letters, and the consumers.

use lapin::Channel;
use throng_domain::queue::{Messages, QueueError};
use tokio::sync::Mutex;

use super::BrokerConfig;
use super::connection::Session;
use super::topology::Contents;

/// Reads the queue depth, on a connection of its own that is opened on demand.
#[derive(Debug)]
pub struct Depth {
    broker: BrokerConfig,
    connection: Mutex<Option<(Session, Channel)>>,
}

impl Depth {
    /// Doesn't connect yet.
    pub fn new(broker: BrokerConfig) -> Self {
        Self { broker, connection: Mutex::default() }
    }

    /// The current numbers, by passive declares: the management plugin isn't needed. `None` if the broker doesn't respond
    /// within a few seconds.
    pub async fn messages(&self) -> Option<Messages> {
        let mut connection = self.connection.lock().await;
        // Taken out meanwhile: after an error, or if this future is dropped, the next call reconnects.
        let count = async {
            let (session, channel) = match connection.take().filter(|(session, _)| session.is_open()) {
                Some(connected) => connected,
                None => self.connect().await?,
            };
            let topology = &self.broker.topology;
            let ballots = topology.inspect(&channel, &topology.ballots).await?;
            let dead = topology.inspect(&channel, &topology.dead).await?;
            *connection = Some((session, channel));
            let Contents { messages, consumers } = ballots;
            Ok::<_, QueueError>(Messages {
                ballots: messages.into(),
                dead: dead.messages.into(),
                consumers: consumers.into(),
            })
        };
        count.await.ok()
    }

    async fn connect(&self) -> Result<(Session, Channel), QueueError> {
        let session = Session::open(&self.broker.url, "queue depth").await?;
        let channel = session.channel().await?;
        Ok((session, channel))
    }
}
