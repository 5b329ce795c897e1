//! How much waits to be recorded, how much can't be, and how many take it off the queue.

use lapin::Channel;
use throng_domain::queue::QueueError;
use tokio::sync::Mutex;

use super::Broker;
use super::connection::Session;
use super::topology::Contents;

/// The messages on the queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Messages {
    /// Those that are ready for a worker: not those which one has and isn't done with.
    pub ballots: u64,
    /// Those that no worker could read.
    pub dead: u64,
    /// The consumers of the ballots' queue: one for each of every worker's lines. With none, nothing is recorded.
    pub consumers: u64,
}

/// Asks the broker how much it has, on a connection of its own that is made when it is needed.
#[derive(Debug)]
pub struct Depth {
    broker: Broker,
    asked: Mutex<Option<(Session, Channel)>>,
}

impl Depth {
    /// Asks nothing yet.
    pub fn new(broker: Broker) -> Self {
        Self { broker, asked: Mutex::default() }
    }

    /// The messages and consumers there are, all asked of the queues themselves (passive declares): no management plugin is
    /// needed. `None` where the broker doesn't tell within a few seconds.
    pub async fn messages(&self) -> Option<Messages> {
        let mut asked = self.asked.lock().await;
        // Taken out meanwhile: after a failure, or when nobody waits any more, the next one connects anew.
        let count = async {
            let (session, channel) = match asked.take().filter(|(session, _)| session.is_open()) {
                Some(connected) => connected,
                None => self.connect().await?,
            };
            let topology = &self.broker.topology;
            let ballots = topology.inspect(&channel, &topology.ballots).await?;
            let dead = topology.inspect(&channel, &topology.dead).await?;
            *asked = Some((session, channel));
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
