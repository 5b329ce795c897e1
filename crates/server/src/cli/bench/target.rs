//! The server to vote on, and the requests for it.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use anyhow::Context as _;
use bytes::Bytes;
use hyper::Uri;
use tokio::net::{TcpStream, lookup_host};

/// The address of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    host: String,
    port: u16,
    /// The path before `/api`: empty, or without a trailing slash.
    base: String,
}

impl Target {
    /// The first of the server's addresses that accepts a connection.
    ///
    /// # Errors
    /// If none does.
    pub(super) async fn address(&self) -> anyhow::Result<SocketAddr> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let addresses: Vec<_> = lookup_host((host, self.port))
            .await
            .with_context(|| format!("the host {host} can't be resolved; check --url"))?
            .collect();
        let stream = TcpStream::connect(&*addresses)
            .await
            .with_context(|| format!("nothing answers at {self}; start the server, or check --url"))?;
        stream.peer_addr().context("the server closed the first connection")
    }

    /// A request that votes for one option.
    pub(super) fn vote(&self, option: &str) -> Bytes {
        let body = format!("[{option}]");
        let length = body.len();
        self.request(
            "POST",
            "submit",
            &format!("content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"),
        )
    }

    /// A request for the result.
    pub(super) fn result(&self) -> Bytes {
        self.request("GET", "result", "\r\n")
    }

    fn request(&self, method: &str, route: &str, rest: &str) -> Bytes {
        let Self { host, port, base } = self;
        format!(
            "{method} {base}/api/{route} HTTP/1.1\r\nhost: {host}:{port}\r\naccept: application/json\r\n\
             user-agent: throng-bench\r\n{rest}"
        )
        .into()
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let uri: Uri = text.parse().map_err(|error| format!("{error}; write it as http://HOST:PORT"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err("the bench doesn't support TLS: give the http:// address behind the TLS proxy".to_owned());
            }
            Some(_) | None => return Err("it must begin with http://".to_owned()),
        }
        let authority = uri.authority().ok_or("it has no host")?;
        if authority.as_str().contains('@') || uri.query().is_some() {
            return Err("it must not contain a user, a password or a query".to_owned());
        }
        let base = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { host: authority.host().to_owned(), port: authority.port_u16().unwrap_or(80), base })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}{}", self.host, self.port, self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_names_its_server() {
        let target: Target = "http://vote.example:8080/sub/".parse().unwrap();
        let request = target.vote("3");
        let request = std::str::from_utf8(&request).unwrap();
        assert!(request.starts_with("POST /sub/api/submit HTTP/1.1\r\nhost: vote.example:8080\r\n"), "{request}");
        assert!(request.ends_with("content-length: 3\r\n\r\n[3]"), "{request}");
        let plain: Target = "http://127.0.0.1".parse().unwrap();
        assert!(plain.result().starts_with(b"GET /api/result HTTP/1.1\r\nhost: 127.0.0.1:80\r\n"));
        assert!(plain.result().ends_with(b"\r\n\r\n"));
    }

    #[test]
    fn unusable_url_is_refused_with_a_reason() {
        for (text, reason) in [
            ("https://vote.example", "TLS"),
            ("ftp://vote.example", "http://"),
            ("vote.example:8080", "http://"),
            ("/api", "http://"),
            ("http://a:b@vote.example", "password"),
            ("http://vote.example/?a=1", "query"),
            ("http://", "http://HOST:PORT"),
        ] {
            let refused = text.parse::<Target>().unwrap_err();
            assert!(refused.contains(reason), "{text}: {refused}");
        }
    }
}
