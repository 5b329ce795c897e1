//! One connection to the broker, which is gone for good once it is lost.
//!
//! The AMQP library could recover connections by itself. It isn't asked to: what was under way when a connection was
//! lost has an outcome that isn't known, and who has to say so must see the loss.

use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_core::Stream;
use lapin::tcp::{AMQPUriTcpExt, TLSConfig};
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{AsyncTcpStream, Channel, Connection, ConnectionProperties, Event};
use throng_domain::queue::QueueError;
use tokio::time::timeout;

use super::super::QueueUrl;
use super::failure::{self, no_answer};

/// How long connecting to one host may take.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// How long is waited for an answer that costs the broker little.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(5);

/// How long taking leave may take.
const LEAVE_MAX: Duration = Duration::from_secs(1);

/// After twice this time without a sign of life either side gives a connection up.
pub(super) const HEARTBEAT_SECONDS: u16 = 5;

/// A connection. When it is dropped it takes its leave of the broker.
pub(super) struct Session {
    /// There until it is dropped.
    connection: Option<Connection>,
    wire: Wire,
    /// Where it leads, and as whom.
    uri: AMQPUri,
}

impl Session {
    /// Connects to the first of the hosts that can be reached. `purpose` is what the broker's operator sees.
    pub(super) async fn open(url: &QueueUrl, purpose: &str) -> Result<Self, QueueError> {
        let mut failed = no_answer("no host is named");
        for (host, port) in &url.hosts {
            match Self::open_at(url, host, *port, purpose).await {
                Ok(session) => return Ok(session),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    async fn open_at(url: &QueueUrl, host: &str, port: u16, purpose: &str) -> Result<Self, QueueError> {
        let properties = ConnectionProperties::default().with_connection_name(format!("throng {purpose}").into());
        let wire = Wire::default();
        // Whatever ends the attempt: without this its thread would wait for ever for a host that is frozen.
        let unless_connected = CutOnDrop(Some(wire.clone()));
        let runtime = lapin::runtime::default_runtime().map_err(failure::unavailable)?;
        let (dialled, dialling_on) = (wire.clone(), runtime.clone());
        let dial = async move |uri: AMQPUri, _| {
            let plain = AMQPUri { scheme: AMQPScheme::AMQP, ..uri.clone() };
            let dialling = plain.connect_with_config_async(TLSConfig::default(), &dialling_on);
            let stream = timeout(CONNECT_MAX, dialling).await.map_err(std::io::Error::from)??;
            if let AsyncTcpStream::Plain(socket) = &stream {
                dialled.lay(socket.get_ref())?;
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
                unless_connected.keep();
                Ok(Self { connection: Some(connection), wire, uri })
            }
            Ok(Err(error)) => Err(failure::of_connecting(error, &url.vhost)),
            Err(_) => Err(no_answer(&format!("{host}:{port} doesn't answer"))),
        }
    }

    /// A new channel.
    pub(super) async fn channel(&self) -> Result<Channel, QueueError> {
        match timeout(ANSWER_MAX, self.connection().create_channel()).await {
            Ok(Ok(channel)) => Ok(channel),
            Ok(Err(error)) => Err(failure::unavailable(error)),
            Err(_) => Err(no_answer("it opens no channel")),
        }
    }

    /// Where it leads, and as whom: another connection can be made there.
    pub(super) fn uri(&self) -> &AMQPUri {
        &self.uri
    }

    /// Whether it is there, as far as is known.
    pub(super) fn is_open(&self) -> bool {
        self.connection().status().connected()
    }

    /// What befalls it from now on. To be listened to in one place only: each event is told once.
    pub(super) fn events(&self) -> impl Stream<Item = Event> + Send + 'static {
        self.connection().events_listener()
    }

    /// Ends it without a word to the broker, which doesn't listen. All that waits on it fails.
    pub(super) fn cut(&self) {
        self.wire.cut();
    }

    fn connection(&self) -> &Connection {
        self.connection.as_ref().expect("it is there until the session is dropped")
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let (connection, wire) = (self.connection.take(), self.wire.clone());
        let leave = async move {
            if let Some(connection) = connection {
                let _ = timeout(LEAVE_MAX, connection.close(200, "OK".into())).await;
            }
            wire.cut();
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(leave)),
            Err(_) => self.wire.cut(),
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("open", &self.is_open()).finish_non_exhaustive()
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

/// A second handle on a connection's socket. The library's thread that serves a connection ends when the socket does,
/// and for a frozen broker in no other way.
#[derive(Clone, Debug, Default)]
struct Wire(Arc<Mutex<WireState>>);

#[derive(Debug, Default)]
enum WireState {
    #[default]
    NotLaid,
    Laid(TcpStream),
    Cut,
}

impl Wire {
    fn lay(&self, socket: &impl AsFd) -> std::io::Result<()> {
        let socket = TcpStream::from(socket.as_fd().try_clone_to_owned()?);
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *state {
            WireState::Cut => socket.shutdown(Shutdown::Both),
            WireState::NotLaid | WireState::Laid(_) => {
                *state = WireState::Laid(socket);
                Ok(())
            }
        }
    }

    fn cut(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let WireState::Laid(socket) = std::mem::replace(&mut *state, WireState::Cut) {
            // It fails where the connection has ended already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// Cuts a wire unless it is told to keep it.
struct CutOnDrop(Option<Wire>);

impl CutOnDrop {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        if let Some(wire) = &self.0 {
            wire.cut();
        }
    }
}
