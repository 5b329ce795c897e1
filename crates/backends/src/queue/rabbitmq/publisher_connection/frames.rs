//! Reading and writing of AMQP 0-9-1 frames.

use std::io;

use amq_protocol::frame::{AMQPFrame, WriteContext, gen_frame, parse_frame};
use amq_protocol::protocol::{AMQPClass, channel, connection};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The maximum size of a frame: far above that of any frame that a broker sends on a publisher connection.
const FRAME_MAX: usize = 1024 * 1024;

const READ_AT_ONCE: usize = 4 * 1024;

/// The only channel of the connection.
pub(super) const CHANNEL: u16 = 1;

/// Why a connection can't be used any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the connection ended unexpectedly")]
    Ended,
    #[error("the broker closed the connection: {0}")]
    Closed(String),
    #[error("no heartbeat from the broker")]
    HeartbeatTimeout,
    #[error("the broker violated the protocol: {0}")]
    Protocol(String),
}

/// Reads frames.
pub(super) struct FrameReader<R> {
    source: R,
    unread: Vec<u8>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, unread: Vec::with_capacity(READ_AT_ONCE) }
    }

    /// The next frame. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<AMQPFrame, ConnectionError> {
        loop {
            match parse_frame(self.unread.as_slice()) {
                Ok((rest, frame)) => {
                    let read = self.unread.len() - rest.len();
                    self.unread.drain(..read);
                    return Ok(frame);
                }
                Err(error) if error.is_incomplete() && self.unread.len() < FRAME_MAX => {}
                Err(_) => return Err(ConnectionError::Protocol("invalid frame".to_owned())),
            }
            if self.source.read_buf(&mut self.unread).await? == 0 {
                return Err(ConnectionError::Ended);
            }
        }
    }
}

/// Writes frames.
pub(super) struct FrameWriter<W> {
    pub(super) sink: W,
    unsent: Vec<u8>,
    sent: usize,
    is_flushed: bool,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    pub(super) fn new(sink: W) -> Self {
        Self { sink, unsent: Vec::new(), sent: 0, is_flushed: true }
    }

    /// Buffers a frame for [`Self::send`].
    pub(super) fn put(&mut self, frame: &AMQPFrame) -> Result<(), ConnectionError> {
        let context = WriteContext::from(std::mem::take(&mut self.unsent));
        let written = gen_frame(frame)(context).map_err(io::Error::other)?;
        self.unsent = written.into_inner().0;
        self.is_flushed = false;
        Ok(())
    }

    /// Whether there is anything to send.
    pub(super) fn has_unsent(&self) -> bool {
        !self.is_flushed
    }

    /// Sends all buffered frames. Cancel-safe: the next call continues where this one stopped.
    pub(super) async fn send(&mut self) -> Result<(), ConnectionError> {
        while self.sent < self.unsent.len() {
            match self.sink.write(&self.unsent[self.sent..]).await? {
                0 => return Err(ConnectionError::Ended),
                written => self.sent += written,
            }
        }
        self.unsent.clear();
        self.sent = 0;
        self.sink.flush().await?;
        self.is_flushed = true;
        Ok(())
    }
}

impl ConnectionError {
    /// The error for a method that isn't expected: a close, or a protocol violation.
    pub(super) fn unexpected(method: &AMQPClass) -> Self {
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
            | AMQPClass::Confirm(_) => Self::Protocol(format!("unexpected method {method:?}")),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails where it can't go on")]
mod tests {
    use std::time::Duration;

    use tokio::io::duplex;
    use tokio::time::timeout;

    use super::*;

    fn frames() -> Vec<AMQPFrame> {
        (0..200).map(|number| AMQPFrame::Body(1, vec![number; usize::from(number) * 3])).collect()
    }

    /// The buffer between them is smaller than a frame, and both sides are cancelled repeatedly.
    #[tokio::test]
    async fn frames_survive_fragmentation_and_cancellation() {
        let (client, server) = duplex(7);
        let (mut writer, mut reader) = (FrameWriter::new(client), FrameReader::new(server));
        let writing = async {
            for frame in frames() {
                writer.put(&frame).unwrap();
                while writer.has_unsent() {
                    if let Ok(sent) = timeout(Duration::ZERO, writer.send()).await {
                        sent.unwrap();
                    }
                    tokio::task::yield_now().await;
                }
            }
        };
        let reading = async {
            for frame in frames() {
                let read = loop {
                    if let Ok(read) = timeout(Duration::ZERO, reader.next()).await {
                        break read.unwrap();
                    }
                    tokio::task::yield_now().await;
                };
                assert_eq!(read, frame);
            }
        };
        tokio::join!(writing, reading);
        drop(writer);
        assert!(matches!(reader.next().await, Err(ConnectionError::Ended)));
    }

    #[tokio::test]
    async fn endless_frame_is_rejected() {
        let (client, mut server) = duplex(64 * 1024);
        let mut reader = FrameReader::new(client);
        let endless = async {
            server.write_all(b"\x03\0\x01\xff\xff\xff\xff").await.unwrap();
            while server.write_all(&[0; 1024]).await.is_ok() {}
        };
        let reading = async {
            let read = reader.next().await;
            drop(reader);
            assert!(matches!(read, Err(ConnectionError::Protocol(_))), "{read:?}");
        };
        tokio::join!(endless, reading);
    }
}
