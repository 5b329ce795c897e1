//! Sends a message: one request on a connection of its own, over HTTP/1.1.
//!
//! By hyper and rustls, which the server has for its own connections and healthcheck: a client library with pools, redirects and
//! proxies would have more to switch off than is left here. A redirect isn't followed, and of the response no more than the head is
//! read.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ::url::Host;
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use throng_domain::clock::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::OnceCell;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::address::{is_loopback, is_public};
use super::secret::WebhookSecret;
use super::url::WebhookUrl;
use crate::config::WebhookHosts;

/// How long a receiver may take to accept a message.
pub const SEND_MAX: Duration = Duration::from_secs(10);

/// The longest head of a response, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1_024;

/// Sends messages.
#[derive(Debug)]
pub struct WebhookClient {
    allowed: WebhookHosts,
    send_max: Duration,
    /// With the machine's root certificates, which are read for the first message that is encrypted.
    tls: OnceCell<Arc<ClientConfig>>,
}

/// Why a receiver hasn't accepted a message.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// It responded with another status than 2xx.
    #[error("the response was {0}")]
    Status(StatusCode),
    /// It took too long.
    #[error("no response within {0:?}")]
    TimedOut(Duration),
    /// Its name has no address.
    #[error("the host can't be resolved: {0}")]
    UnknownHost(io::Error),
    /// It has no address that messages may be sent to.
    #[error("the host is in a private network; if that is right, name it in WEBHOOK_HOSTS")]
    PrivateAddress,
    /// There is no connection.
    #[error("no connection: {0}")]
    Unconnected(io::Error),
    /// A URL's host may be what no certificate is for.
    #[error("the host isn't a name that a certificate can be for")]
    NoCertificateName,
    /// The machine's root certificates can't be read.
    #[error("the root certificates can't be read: {0}")]
    NoRoots(String),
    /// The connection ended before the response, or that isn't HTTP.
    #[error("no response: {0}")]
    NoResponse(#[from] hyper::Error),
}

impl WebhookClient {
    /// A client that may also send to these hosts, and waits so long for each response.
    pub fn new(allowed: WebhookHosts, send_max: Duration) -> Self {
        Self { allowed, send_max, tls: OnceCell::new() }
    }

    /// Which hosts it may send to, beside those that anybody can reach.
    pub fn allowed(&self) -> &WebhookHosts {
        &self.allowed
    }

    /// Sends a message, signed, and returns the response's status, which is 2xx.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send(
        &self,
        url: &WebhookUrl,
        secret: &WebhookSecret,
        id: &str,
        now: Timestamp,
        body: String,
    ) -> Result<StatusCode, SendError> {
        let request = request(url, secret, id, now, body);
        let sent = timeout(self.send_max, self.exchange(url, request)).await;
        let status = sent.unwrap_or(Err(SendError::TimedOut(self.send_max)))?;
        if status.is_success() { Ok(status) } else { Err(SendError::Status(status)) }
    }

    async fn exchange(&self, url: &WebhookUrl, request: Request<Full<Bytes>>) -> Result<StatusCode, SendError> {
        let stream = self.connect(url).await?;
        if !url.is_encrypted() {
            return status_of(stream, request).await;
        }
        let name = match url.host() {
            Host::Domain(name) => ServerName::try_from(name.to_owned()).map_err(|_| SendError::NoCertificateName)?,
            Host::Ipv4(address) => IpAddr::V4(address).into(),
            Host::Ipv6(address) => IpAddr::V6(address).into(),
        };
        let tls = Arc::clone(self.tls.get_or_try_init(tls_config).await?);
        let stream = TlsConnector::from(tls).connect(name, stream).await.map_err(SendError::Unconnected)?;
        status_of(stream, request).await
    }

    /// Connects to an address that was checked, so that no other answer of a name server counts.
    async fn connect(&self, url: &WebhookUrl) -> Result<TcpStream, SendError> {
        let host = url.host();
        let addresses: Vec<SocketAddr> = match host {
            Host::Domain(name) => lookup_host((name, url.port())).await.map_err(SendError::UnknownHost)?.collect(),
            Host::Ipv4(address) => vec![(address, url.port()).into()],
            Host::Ipv6(address) => vec![(address, url.port()).into()],
        };
        let is_named = self.allowed.contains(&host.to_string());
        let may_send = |address: &SocketAddr| {
            is_named || is_public(address.ip()) || is_loopback(&host) && address.ip().is_loopback()
        };
        let allowed: Vec<_> = addresses.into_iter().filter(may_send).collect();
        if allowed.is_empty() {
            return Err(SendError::PrivateAddress);
        }
        TcpStream::connect(&*allowed).await.map_err(SendError::Unconnected)
    }
}

fn request(url: &WebhookUrl, secret: &WebhookSecret, id: &str, now: Timestamp, body: String) -> Request<Full<Bytes>> {
    let signature = secret.signature(id, now, &body);
    Request::builder()
        .method(Method::POST)
        .uri(url.target())
        .header(HOST, url.authority())
        .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .header(USER_AGENT, concat!("throng/", env!("CARGO_PKG_VERSION")))
        .header("webhook-id", id)
        .header("webhook-timestamp", now.0.div_euclid(1_000))
        .header("webhook-signature", signature)
        .body(Full::new(Bytes::from(body)))
        .expect("a parsed URL and ASCII fit in a request")
}

async fn status_of<S>(stream: S, request: Request<Full<Bytes>>) -> Result<StatusCode, SendError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let handshake = http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await?;
    // Ended with this function, whatever of the response is unread.
    let mut running = JoinSet::new();
    running.spawn(connection);
    Ok(sender.send_request(request).await?.status())
}

async fn tls_config() -> Result<Arc<ClientConfig>, SendError> {
    let loaded = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
    let loaded = loaded.map_err(|error| SendError::NoRoots(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(loaded.certs);
    if added == 0 {
        let why = loaded.errors.first().map_or_else(|| "there are none".to_owned(), ToString::to_string);
        return Err(SendError::NoRoots(why));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| SendError::NoRoots(error.to_string()))?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}
