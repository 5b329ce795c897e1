//! A connection of one core's own, on which ballots go out and confirms come back, several at a time.
//!
//! The AMQP library serves each connection from a thread of its own, so that a message and its confirm change threads
//! four times. Where few voters wait, a message carries few ballots, and that is a third of what a vote costs a web node. A
//! pipe stays on the thread that opened it, and speaks AMQP with the library's own codec, but only the handful of methods
//! that it takes to publish. All the rest is left to the [`line`](super::line).

mod driver;
mod frames;
mod greeting;
mod ledger;

use std::io;

use amq_protocol::protocol::{AMQPClass, channel, connection};
use amq_protocol::tcp::AMQPUriTcpExt as _;
use amq_protocol::uri::AMQPUri;
use throng_domain::queue::QueueError;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::compat::FuturesAsyncReadCompatExt as _;

use self::driver::{Driver, Post};
use self::frames::{FrameReader, FrameWriter};
use super::alarms::Alarm;
use super::failure;
use super::unconfirmed::Unconfirmed;

/// The messages that may wait to be put on a pipe, which waits for nothing itself.
const POSTS_MAX: usize = 16;

/// The only channel of a pipe.
const CHANNEL: u16 = 1;

/// A connection to one queue, gone for good once it is lost. When it is dropped it takes its leave of the broker, if its runtime
/// goes on for so long.
#[derive(Debug)]
pub(super) struct Pipe {
    posts: mpsc::Sender<Post>,
    driver: JoinHandle<()>,
    cluster: Option<String>,
}

/// Why a connection is of no more use.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the broker ended the connection")]
    Ended,
    #[error("the broker closed the connection: {0}")]
    Closed(String),
    #[error("nothing is heard of the broker")]
    Silent,
    #[error("the broker sent what can't be read: {0}")]
    Unreadable(String),
}

impl Pipe {
    /// Connects to the broker at `uri`, on the runtime that this is called on. `purpose` is what the broker's operator sees.
    /// Sets no deadline.
    pub(super) async fn open(uri: &AMQPUri, purpose: &str, queue: &str, alarm: Alarm) -> Result<Self, QueueError> {
        let runtime = lapin::runtime::default_runtime().map_err(failure::unavailable)?;
        let stream = uri.connect_async(&runtime).await.map_err(|error| QueueError::Unavailable(Box::new(error)))?;
        let (reader, writer) = tokio::io::split(stream.compat());
        let (mut reader, mut writer) = (FrameReader::new(reader), FrameWriter::new(writer));
        let agreed = greeting::greet(&mut reader, &mut writer, uri, purpose)
            .await
            .map_err(|error| QueueError::Unavailable(Box::new(error)))?;
        let (posts, posted) = mpsc::channel(POSTS_MAX);
        let cluster = agreed.cluster.clone();
        let driver = Driver { reader, writer, agreed, queue: queue.to_owned(), posts: posted, alarm };
        Ok(Self { posts, driver: tokio::spawn(driver.run()), cluster })
    }

    /// What the broker's cluster is called, if it says so.
    pub(super) fn cluster(&self) -> Option<&str> {
        self.cluster.as_deref()
    }

    /// Sends a message; returns once the broker has confirmed that it has it. Sets no deadline.
    pub(super) async fn send(&self, body: Vec<u8>) -> Result<(), Unconfirmed> {
        let (sender, settled) = oneshot::channel();
        if self.posts.send(Post { body, sender }).await.is_err() {
            return Err(Unconfirmed::NotSent);
        }
        settled.await.unwrap_or_else(|_| Err(Unconfirmed::Lost("its runtime has ended".into())))
    }

    /// Whether it is there, as far as is known.
    pub(super) fn is_open(&self) -> bool {
        !self.posts.is_closed()
    }

    /// Takes its leave of the broker, and waits until that is done.
    pub(super) async fn leave(self) {
        drop(self.posts);
        // If it panicked, that was told when it did.
        let _ = self.driver.await;
    }
}

impl Broken {
    /// By words of the broker that have no place where they came.
    fn by(method: &AMQPClass) -> Self {
        match method {
            AMQPClass::Connection(connection::AMQPMethod::Close(close)) => Self::Closed(close.reply_text.to_string()),
            AMQPClass::Channel(channel::AMQPMethod::Close(close)) => Self::Closed(close.reply_text.to_string()),
            AMQPClass::Basic(_)
            | AMQPClass::Connection(_)
            | AMQPClass::Channel(_)
            | AMQPClass::Access(_)
            | AMQPClass::Exchange(_)
            | AMQPClass::Queue(_)
            | AMQPClass::Tx(_)
            | AMQPClass::Confirm(_) => Self::Unreadable(format!("{method:?}")),
        }
    }
}
