//! `throng healthcheck`: the status of `/readyz` as an exit code, for containers without another client.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::console::print;
use super::flags::Flags;

/// How long the response may take.
const RESPONSE_MAX: Duration = Duration::from_secs(5);

/// Maximum bytes of the response that are read.
const RESPONSE_BYTES_MAX: u64 = 16 * 1024;

/// Check whether the server or worker on this machine is ready
///
/// Requests /readyz at LISTEN, over TLS if TLS_CERTIFICATE is set. Exits with 0 if it is ready, with 1 if it isn't, doesn't
/// respond within 5 seconds, or isn't running.
#[derive(Debug, Args)]
pub(super) struct Healthcheck {
    /// Check the worker, at WORKER_LISTEN
    #[arg(long)]
    worker: bool,
}

impl Healthcheck {
    pub(super) fn run(&self, flags: &Flags) -> anyhow::Result<()> {
        let config = flags.config()?;
        let (listen, tls) =
            if self.worker { (config.worker_listen, false) } else { (config.listen, config.tls.is_some()) };
        let address = reachable(listen);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // A server that trusts this machine as a proxy expects a PROXY header first; this one names no client.
        let is_proxy = !self.worker && config.proxy_protocol && config.trusted_proxies.contains(address.ip());
        let proxy_header: &[u8] = if is_proxy { b"PROXY UNKNOWN\r\n" } else { b"" };
        let request = async { tokio::time::timeout(RESPONSE_MAX, request_readyz(address, proxy_header, tls)).await };
        let response = match runtime.block_on(request) {
            Ok(response) => response.with_context(|| format!("nothing answers on {address}"))?,
            Err(_) => bail!("no response from {address} within {} s", RESPONSE_MAX.as_secs()),
        };
        match status(&response) {
            Some(200) => print(|out| Ok(writeln!(out, "ready")?)),
            Some(status) => bail!("not ready: {address} responded with {status}{}", code(&response)),
            None => bail!("the response from {address} isn't HTTP; is another program listening there?"),
        }
    }
}

/// The address at which a server that listens at `listen` is reached from its own machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, listen.port())
}

async fn request_readyz(address: SocketAddr, proxy_header: &[u8], tls: bool) -> anyhow::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(proxy_header).await?;
    if !tls {
        return exchange(stream, address).await;
    }
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let config = config
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AcceptAnyCertificate(provider)))
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    exchange(connector.connect(ServerName::IpAddress(address.ip().into()), stream).await?, address).await
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, address: SocketAddr) -> anyhow::Result<Vec<u8>> {
    let request = format!(
        "GET /readyz HTTP/1.1\r\nhost: {address}\r\nuser-agent: throng-healthcheck\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut response = Vec::new();
    // A server that closes TLS without close_notify may still have sent its whole response.
    let read = stream.take(RESPONSE_BYTES_MAX).read_to_end(&mut response).await;
    if response.is_empty() {
        read?;
        bail!("it closed the connection");
    }
    Ok(response)
}

fn status(bytes: &[u8]) -> Option<u16> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    response.parse(bytes).ok()?;
    response.code
}

/// The code in the response's body, if it has one.
fn code(response: &[u8]) -> String {
    let body = response.windows(4).position(|four| four == b"\r\n\r\n").map(|end| &response[end + 4..]);
    let body: Option<serde_json::Value> = body.and_then(|body| serde_json::from_slice(body).ok());
    body.as_ref().and_then(|body| body["code"].as_str()).map_or_else(String::new, |code| format!(", {code}"))
}

/// Accepts any certificate: the server is on this machine, at an address that no certificate names, and nothing confidential
/// is sent.
#[derive(Debug)]
struct AcceptAnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
