//! One keep-alive connection that carries one request at a time.
//!
//! Handwritten, where the server uses hyper: the load generator shares the cores with the server that it measures, and
//! hyper's client costs about as much per request as hyper's server. A request is one write of prepared bytes, a response
//! mostly one read into a buffer of a few hundred bytes.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::findings::Failure;
use crate::response::{Response, Unreadable};

/// The longest response that is read, in bytes, including its head.
const RESPONSE_BYTES_MAX: usize = 256 * 1024;

/// Size that most responses to a vote fit in, in bytes.
const RESPONSE_BYTES_USUAL: usize = 512;

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// If the server doesn't accept the connection.
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(RESPONSE_BYTES_USUAL) })
    }

    /// Whether the server hasn't closed it. A connection with unsolicited bytes counts as closed.
    pub(crate) fn is_open(&self) -> bool {
        self.stream.try_read(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Sends the request and reads its response. After a failure the connection can't be used any more.
    ///
    /// # Errors
    /// If there is no complete response. Whether the request was accepted is unknown then.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<Response, Failure> {
        self.buffer.clear();
        self.stream.write_all(request).await.map_err(|_| Failure::Cut)?;
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await.map_err(|_| Failure::Cut)?;
            match Response::parse(&self.buffer, read == 0) {
                Ok(Some(response)) => return Ok(response),
                Ok(None) if read == 0 => return Err(Failure::Cut),
                Ok(None) if self.buffer.len() <= RESPONSE_BYTES_MAX => {}
                Ok(None) | Err(Unreadable) => return Err(Failure::Unreadable),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_connection_is_open_until_the_server_closes_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut connection = Connection::open(listener.local_addr().unwrap()).await.unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        accepted.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").unwrap();
        let response = connection.exchange(b"a request").await.unwrap();
        assert_eq!((response.status, response.keeps_alive), (200, true));
        assert!(connection.is_open());
        accepted.read_exact(&mut [0; 9]).unwrap();
        drop(accepted);
        connection.stream.readable().await.unwrap();
        assert!(!connection.is_open());
        assert_eq!(connection.exchange(b"another").await, Err(Failure::Cut));
    }
}
