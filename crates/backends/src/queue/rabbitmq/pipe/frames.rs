//! Frames of AMQP 0-9-1, read from and written to bytes.

use std::io;

use amq_protocol::frame::{AMQPFrame, WriteContext, gen_frame, parse_frame};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::Broken;

/// More bytes than that without the end of a frame are none: no frame that a broker sends on a pipe comes near it.
const UNREAD_MAX: usize = 1024 * 1024;

const READ_AT_ONCE: usize = 4 * 1024;

/// Reads frames.
pub(super) struct FrameReader<R> {
    from: R,
    unread: Vec<u8>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, unread: Vec::with_capacity(READ_AT_ONCE) }
    }

    /// The next frame. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Result<AMQPFrame, Broken> {
        loop {
            match parse_frame(self.unread.as_slice()) {
                Ok((rest, frame)) => {
                    let read = self.unread.len() - rest.len();
                    self.unread.drain(..read);
                    return Ok(frame);
                }
                Err(error) if error.is_incomplete() && self.unread.len() < UNREAD_MAX => {}
                Err(_) => return Err(Broken::Unreadable("bytes that are no frame".to_owned())),
            }
            if self.from.read_buf(&mut self.unread).await? == 0 {
                return Err(Broken::Ended);
            }
        }
    }
}

/// Writes frames.
pub(super) struct FrameWriter<W> {
    pub(super) to: W,
    unsent: Vec<u8>,
    sent: usize,
    is_flushed: bool,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    pub(super) fn new(to: W) -> Self {
        Self { to, unsent: Vec::new(), sent: 0, is_flushed: true }
    }

    /// Adds a frame to those that [`Self::send`] sends.
    pub(super) fn put(&mut self, frame: &AMQPFrame) -> Result<(), Broken> {
        let context = WriteContext::from(std::mem::take(&mut self.unsent));
        let written = gen_frame(frame)(context).map_err(io::Error::other)?;
        self.unsent = written.into_inner().0;
        self.is_flushed = false;
        Ok(())
    }

    /// Whether [`Self::send`] has anything to do.
    pub(super) fn has_unsent(&self) -> bool {
        !self.is_flushed
    }

    /// Sends all that was put. Dropping the future loses nothing: the next call goes on where it was.
    pub(super) async fn send(&mut self) -> Result<(), Broken> {
        while self.sent < self.unsent.len() {
            match self.to.write(&self.unsent[self.sent..]).await? {
                0 => return Err(Broken::Ended),
                written => self.sent += written,
            }
        }
        self.unsent.clear();
        self.sent = 0;
        self.to.flush().await?;
        self.is_flushed = true;
        Ok(())
    }
}
