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

    /// The pipe between them holds less than one frame, and both are broken off again and again.
    #[tokio::test]
    async fn frames_come_as_they_went_however_they_are_cut() {
        let (ours, theirs) = duplex(7);
        let (mut writer, mut reader) = (FrameWriter::new(ours), FrameReader::new(theirs));
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
        assert!(matches!(reader.next().await, Err(Broken::Ended)));
    }

    #[tokio::test]
    async fn a_frame_without_end_is_given_up() {
        let (ours, mut theirs) = duplex(64 * 1024);
        let mut reader = FrameReader::new(ours);
        let endless = async {
            theirs.write_all(b"\x03\0\x01\xff\xff\xff\xff").await.unwrap();
            while theirs.write_all(&[0; 1024]).await.is_ok() {}
        };
        let reading = async {
            let read = reader.next().await;
            drop(reader);
            assert!(matches!(read, Err(Broken::Unreadable(_))), "{read:?}");
        };
        tokio::join!(endless, reading);
    }
}
