//! `throng healthcheck`: what `/readyz` says, as an exit code, for containers that have no other client in them.

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

use super::{Flags, print};

/// How long the answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 16 * 1024;

/// Ask the server or worker of this machine whether it is ready
///
/// Asks /readyz at LISTEN, by TLS if TLS_CERTIFICATE is set. Exits with 0 if it is ready, with 1 if it isn't, doesn't answer
/// within 5 seconds, or isn't there.
#[derive(Debug, Args)]
pub(super) struct Healthcheck {
    /// Ask the worker, at WORKER_LISTEN
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
        // A server that takes this machine for a proxy wants its header first; this one names nobody.
        let is_proxy = !self.worker && config.proxy_protocol && config.trusted_proxies.contain(address.ip());
        let opening: &[u8] = if is_proxy { b"PROXY UNKNOWN\r\n" } else { b"" };
        let asking = async { tokio::time::timeout(ANSWER_MAX, ask(address, opening, tls)).await };
        let answer = match runtime.block_on(asking) {
            Ok(answer) => answer.with_context(|| format!("nothing answers on {address}"))?,
            Err(_) => bail!("no answer from {address} within {} s", ANSWER_MAX.as_secs()),
        };
        match status(&answer) {
            Some(200) => print(|out| Ok(writeln!(out, "ready")?)),
            Some(status) => bail!("not ready: {address} answers {status}{}", code(&answer)),
            None => bail!("what answers on {address} doesn't speak HTTP; is it another program?"),
        }
    }
}

/// Where a server that listens there is reached from its own machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, listen.port())
}

async fn ask(address: SocketAddr, opening: &[u8], tls: bool) -> anyhow::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(opening).await?;
    if !tls {
        return exchange(stream, address).await;
    }
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let config =
        config.dangerous().with_custom_certificate_verifier(Arc::new(OwnServer(provider))).with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    exchange(connector.connect(ServerName::IpAddress(address.ip().into()), stream).await?, address).await
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, address: SocketAddr) -> anyhow::Result<Vec<u8>> {
    let request = format!(
        "GET /readyz HTTP/1.1\r\nhost: {address}\r\nuser-agent: throng-healthcheck\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    // A server that closes TLS without a word has said all it had to.
    let read = stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await;
    if answer.is_empty() {
        read?;
        bail!("it closed the connection");
    }
    Ok(answer)
}

fn status(answer: &[u8]) -> Option<u16> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    response.parse(answer).ok()?;
    response.code
}

/// The code in the answer's body, if it has one.
fn code(answer: &[u8]) -> String {
    let body = answer.windows(4).position(|four| four == b"\r\n\r\n").map(|end| &answer[end + 4..]);
    let body: Option<serde_json::Value> = body.and_then(|body| serde_json::from_slice(body).ok());
    body.as_ref().and_then(|body| body["code"].as_str()).map_or_else(String::new, |code| format!(", {code}"))
}

/// Takes any certificate: the server is this machine's own, by its address, which no certificate names; and nothing is sent
/// that others may not read.
#[derive(Debug)]
struct OwnServer(Arc<CryptoProvider>);

impl ServerCertVerifier for OwnServer {
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
