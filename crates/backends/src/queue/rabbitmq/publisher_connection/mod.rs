//! A core's own connection for publishing ballots, with several messages in flight.
//!
//! The AMQP library serves each connection from a thread of its own, so that a message and its confirm change threads four
//! times. With few voters at a time a message carries few ballots, and those changes are a third of a web node's cost per
//! vote. A publisher connection stays on the thread that opened it. It uses the library's codec, but implements only the few
//! methods that publishing needs. Everything else is left to the
//! [supervised connection](super::supervised_connection::SupervisedConnection).

mod frames;
mod handshake;
mod task;
mod unconfirmed_set;

use amq_protocol::tcp::AMQPUriTcpExt as _;
use amq_protocol::uri::AMQPUri;
use throng_domain::queue::QueueError;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::compat::FuturesAsyncReadCompatExt as _;

use self::frames::{FrameReader, FrameWriter};
use self::task::{ConnectionTask, Outgoing};
use super::alarms::Alarm;
use super::confirm_channel::Unconfirmed;
use super::failure;

/// The messages that may be queued for the connection's task, which takes them at once.
const OUTGOING_MAX: usize = 16;

/// A connection that publishes to one queue; not recovered once it is lost. Closed in the background when dropped, if its
/// runtime keeps running long enough.
#[derive(Debug)]
pub(super) struct PublisherConnection {
    outgoing: mpsc::Sender<Outgoing>,
    task: JoinHandle<()>,
    cluster: Option<String>,
}

impl PublisherConnection {
    /// Connects to the broker at `uri`, on the calling runtime. `purpose` is part of the connection name that the broker shows.
    /// Has no timeout.
    pub(super) async fn open(uri: &AMQPUri, purpose: &str, queue: &str, alarm: Alarm) -> Result<Self, QueueError> {
        let runtime = lapin::runtime::default_runtime().map_err(failure::unavailable)?;
        let stream = uri.connect_async(&runtime).await.map_err(|error| QueueError::Unavailable(Box::new(error)))?;
        let (reader, writer) = tokio::io::split(stream.compat());
        let (mut reader, mut writer) = (FrameReader::new(reader), FrameWriter::new(writer));
        let negotiated = handshake::handshake(&mut reader, &mut writer, uri, purpose)
            .await
            .map_err(|error| QueueError::Unavailable(Box::new(error)))?;
        let (outgoing, receiver) = mpsc::channel(OUTGOING_MAX);
        let cluster = negotiated.cluster.clone();
        let task = ConnectionTask { reader, writer, negotiated, queue: queue.to_owned(), outgoing: receiver, alarm };
        Ok(Self { outgoing, task: tokio::spawn(task.run()), cluster })
    }

    /// The name of the broker's cluster, if the broker reported one.
    pub(super) fn cluster(&self) -> Option<&str> {
        self.cluster.as_deref()
    }

    /// Publishes a message; returns once the broker has confirmed it. Has no timeout.
    pub(super) async fn send(&self, body: Vec<u8>) -> Result<(), Unconfirmed> {
        let (sender, outcome) = oneshot::channel();
        if self.outgoing.send(Outgoing { body, sender }).await.is_err() {
            return Err(Unconfirmed::NotSent);
        }
        outcome.await.unwrap_or_else(|_| Err(Unconfirmed::Lost("its runtime was shut down".into())))
    }

    /// Whether it is open, as far as is known.
    pub(super) fn is_open(&self) -> bool {
        !self.outgoing.is_closed()
    }

    /// Closes the connection; returns once the broker has acknowledged that.
    pub(super) async fn close(self) {
        drop(self.outgoing);
        // A panic of the task was reported when it occurred.
        let _ = self.task.await;
    }
}
