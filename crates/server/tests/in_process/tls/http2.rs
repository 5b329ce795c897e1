//! An HTTP/2 client that somebody else wrote.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use throng_testkit::Answer;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;

use crate::tls::certificate::{NAME, TlsServer};
use crate::tls::client::config;

/// An open connection.
pub struct Client {
    runtime: Runtime,
    requests: SendRequest<Full<Bytes>>,
}

impl Client {
    pub fn open(server: &TlsServer) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let connector = TlsConnector::from(config(&server.certificate.der, &["h2"], rustls::ALL_VERSIONS));
        let address = server.server.address;
        let requests = runtime.block_on(async {
            let tcp = TcpStream::connect(address).await.unwrap();
            let tls = connector.connect(ServerName::try_from(NAME).unwrap(), tcp).await.unwrap();
            let (requests, connection) = handshake(TokioExecutor::new(), TokioIo::new(tls)).await.unwrap();
            tokio::spawn(connection);
            requests
        });
        Self { runtime, requests }
    }

    /// A connection without TLS, of a client that knows that the server speaks HTTP/2.
    pub fn plain(address: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let requests = runtime.block_on(async {
            let tcp = TcpStream::connect(address).await.unwrap();
            let (requests, connection) = handshake(TokioExecutor::new(), TokioIo::new(tcp)).await.unwrap();
            tokio::spawn(connection);
            requests
        });
        Self { runtime, requests }
    }

    /// The answer to a request.
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.runtime.block_on(self.answer(method, path, headers, body)).unwrap()
    }

    /// The answers to as many votes, all sent at once.
    pub fn votes(&self, count: usize) -> Vec<Answer> {
        self.requests(count, "POST", "/api/submit", b"[1]")
    }

    /// The answers to as many requests, all sent at once.
    pub fn requests(&self, count: usize, method: &str, path: &str, body: &[u8]) -> Vec<Answer> {
        let requests = (0..count).map(|_| self.answer(method, path, &[], body));
        let answers = self.runtime.block_on(futures_util::future::join_all(requests));
        answers.into_iter().collect::<Result<_, _>>().unwrap()
    }

    fn answer(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> impl Future<Output = Result<Answer, hyper::Error>> {
        let mut request = Request::builder().method(method).uri(format!("https://{NAME}{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body))).unwrap();
        let mut requests = self.requests.clone();
        async move {
            requests.ready().await?;
            let (head, body) = requests.send_request(request).await?.into_parts();
            let text = |value: &hyper::header::HeaderValue| value.to_str().unwrap().to_owned();
            let headers = head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
            let body = body.collect().await?.to_bytes();
            Ok(Answer::new(head.status.as_u16(), headers, body.to_vec()))
        }
    }
}
