//! One connection to the broker, which is not recovered once it is lost.
//!
//! The AMQP library's automatic recovery is not used: operations in flight when a connection is lost have an unknown outcome,
//! and the caller that has to report it must see the loss.

use std::future::poll_fn;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_core::Stream;
use lapin::tcp::{AMQPUriTcpExt, TLSConfig};
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{AsyncTcpStream, Channel, Connection, ConnectionProperties, Event};
use throng_domain::queue::QueueError;
use tokio::time::{sleep, timeout};

use super::failure::{self, unavailable_because};
use crate::queue::url::QueueUrl;

/// The timeout for connecting to one host.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// The timeout for a response that is cheap for the broker.
pub(super) const RESPONSE_MAX: Duration = Duration::from_secs(5);

/// The timeout for closing a connection.
const CLOSE_MAX: Duration = Duration::from_secs(1);

/// Either side closes a connection after receiving nothing for twice this time.
pub(super) const HEARTBEAT_SECONDS: u16 = 5;

/// The first delay between attempts to connect.
const DELAY_MIN: Duration = Duration::from_millis(100);

/// The longest one: short, so that votes are accepted soon after the broker becomes available.
const DELAY_MAX: Duration = Duration::from_secs(1);

/// A connection, closed in the background when dropped.
pub(super) struct Session {
    /// `None` only while it is dropped.
    connection: Option<Connection>,
    socket: SocketHandle,
    /// The broker's address, and the credentials.
    uri: AMQPUri,
}

impl Session {
    /// Connects to the first reachable host. `purpose` is part of the connection name that the broker shows.
    pub(super) async fn open(url: &QueueUrl, purpose: &str) -> Result<Self, QueueError> {
        let mut last_error = unavailable_because("the URL has no host");
        for (host, port) in &url.hosts {
            match Self::open_at(url, host, *port, purpose).await {
                Ok(session) => return Ok(session),
                Err(error) => last_error = error,
            }
        }
        Err(last_error)
    }

    async fn open_at(url: &QueueUrl, host: &str, port: u16, purpose: &str) -> Result<Self, QueueError> {
        let properties = ConnectionProperties::default().with_connection_name(format!("throng {purpose}").into());
        let socket = SocketHandle::default();
        // However the attempt fails: the library's thread would wait forever for a host that doesn't respond.
        let unless_connected = ShutDownOnDrop(Some(socket.clone()));
        let runtime = lapin::runtime::default_runtime().map_err(failure::unavailable)?;
        let (dialled_socket, dial_runtime) = (socket.clone(), runtime.clone());
        let dial = async move |uri: AMQPUri, _| {
            let plain = AMQPUri { scheme: AMQPScheme::AMQP, ..uri.clone() };
            let dialling = plain.connect_with_config_async(TLSConfig::default(), &dial_runtime);
            let stream = timeout(CONNECT_MAX, dialling).await.map_err(std::io::Error::from)??;
            if let AsyncTcpStream::Plain(tcp) = &stream {
                dialled_socket.attach(tcp.get_ref())?;
            }
            match uri.scheme {
                AMQPScheme::AMQP => Ok(stream),
                AMQPScheme::AMQPS => Ok(stream.into_tls(&uri.authority.host, TLSConfig::default()).await?),
            }
        };
        let uri = uri(url, host, port);
        let connecting = Connection::connector(uri.clone(), runtime, dial, properties);
        match timeout(CONNECT_MAX, connecting).await {
            Ok(Ok(connection)) => {
                unless_connected.disarm();
                Ok(Self { connection: Some(connection), socket, uri })
            }
            Ok(Err(error)) => Err(failure::of_connecting(error, &url.vhost)),
            Err(_) => Err(unavailable_because(&format!("timed out connecting to {host}:{port}"))),
        }
    }

    /// Opens a channel.
    pub(super) async fn channel(&self) -> Result<Channel, QueueError> {
        match timeout(RESPONSE_MAX, self.connection().create_channel()).await {
            Ok(Ok(channel)) => Ok(channel),
            Ok(Err(error)) => Err(failure::unavailable(error)),
            Err(_) => Err(unavailable_because("timed out opening a channel")),
        }
    }

    /// The address and credentials with which another connection can be opened to the same broker.
    pub(super) fn uri(&self) -> &AMQPUri {
        &self.uri
    }

    /// Whether it is open, as far as is known.
    pub(super) fn is_open(&self) -> bool {
        self.connection().status().connected()
    }

    /// The connection's events from now on. For a single consumer: each event is delivered once.
    pub(super) fn events(&self) -> impl Stream<Item = Event> + Send + 'static {
        self.connection().events_listener()
    }

    /// Shuts the socket down without the AMQP close handshake, for a broker that doesn't respond. All pending operations fail.
    pub(super) fn abort(&self) {
        self.socket.shut_down();
    }

    fn connection(&self) -> &Connection {
        self.connection.as_ref().expect("the connection is present until the session is dropped")
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let (connection, socket) = (self.connection.take(), self.socket.clone());
        let close = async move {
            if let Some(connection) = connection {
                let _ = timeout(CLOSE_MAX, connection.close(200, "OK".into())).await;
            }
            socket.shut_down();
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(close)),
            Err(_) => self.socket.shut_down(),
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("open", &self.is_open()).finish_non_exhaustive()
    }
}

/// The next item of a stream.
pub(super) async fn next<S: Stream>(mut stream: Pin<&mut S>) -> Option<S::Item> {
    poll_fn(|context| stream.as_mut().poll_next(context)).await
}

/// The delay between attempts to connect: doubles after each attempt, up to [`DELAY_MAX`].
#[derive(Debug)]
pub(super) struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(DELAY_MIN)
    }
}

impl Backoff {
    pub(super) async fn wait(&mut self) {
        sleep(self.0).await;
        self.0 = (self.0 * 2).min(DELAY_MAX);
    }
}

fn uri(url: &QueueUrl, host: &str, port: u16) -> AMQPUri {
    AMQPUri {
        scheme: if url.tls { AMQPScheme::AMQPS } else { AMQPScheme::AMQP },
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo { username: url.user.clone(), password: url.password.clone() },
            host: host.to_owned(),
            port,
        },
        vhost: url.vhost.clone(),
        query: AMQPQueryString { heartbeat: Some(HEARTBEAT_SECONDS), ..AMQPQueryString::default() },
    }
}

/// A second handle to a connection's socket. If the broker doesn't respond, shutting the socket down is the only way to end
/// the library's thread for the connection.
#[derive(Clone, Debug, Default)]
struct SocketHandle(Arc<Mutex<SocketState>>);

#[derive(Debug, Default)]
enum SocketState {
    #[default]
    Detached,
    Attached(TcpStream),
    ShutDown,
}

impl SocketHandle {
    fn attach(&self, socket: &impl AsFd) -> std::io::Result<()> {
        let socket = TcpStream::from(socket.as_fd().try_clone_to_owned()?);
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *state {
            SocketState::ShutDown => socket.shutdown(Shutdown::Both),
            SocketState::Detached | SocketState::Attached(_) => {
                *state = SocketState::Attached(socket);
                Ok(())
            }
        }
    }

    fn shut_down(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let SocketState::Attached(socket) = std::mem::replace(&mut *state, SocketState::ShutDown) {
            // Fails if the connection is closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// Shuts a socket down when dropped, unless disarmed.
struct ShutDownOnDrop(Option<SocketHandle>);

impl ShutDownOnDrop {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for ShutDownOnDrop {
    fn drop(&mut self) {
        if let Some(socket) = &self.0 {
            socket.shut_down();
        }
    }
}
