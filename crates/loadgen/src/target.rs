//! The server to vote on, and the requests for it.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use http::Uri;
use http::uri::InvalidUri;
use tokio::net::{TcpStream, lookup_host};

use crate::error::LoadError;

/// The URL of a server: `http://HOST`, with a port other than 80, and with a path if the server isn't at `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    host: String,
    port: u16,
    /// The path before `/api`: empty, or without a trailing slash.
    base: String,
}

/// Why a URL can't be that of a server to vote on.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTarget {
    /// It isn't a URL.
    #[error("{0}; write it as http://HOST:PORT")]
    NotUrl(InvalidUri),
    /// It is of a server with TLS.
    #[error("the bench doesn't support TLS: give the http:// address behind the TLS proxy")]
    Tls,
    /// It has no scheme, or another one.
    #[error("it must begin with http://")]
    NotHttp,
    /// It has no host.
    #[error("it has no host")]
    NoHost,
    /// It has a user, a password or a query.
    #[error("it must not contain a user, a password or a query")]
    NotPlain,
}

impl Target {
    /// The first of the server's addresses that accepts a connection.
    ///
    /// # Errors
    /// If none does.
    pub(crate) async fn address(&self) -> Result<SocketAddr, LoadError> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let addresses: Vec<_> = lookup_host((host, self.port))
            .await
            .map_err(|source| LoadError::UnknownHost { host: host.to_owned(), source })?
            .collect();
        let stream = TcpStream::connect(&*addresses)
            .await
            .map_err(|source| LoadError::NoServer { url: self.to_string(), source })?;
        stream.peer_addr().map_err(LoadError::Closed)
    }

    /// A request that sends this body to a route below `/api/`; `headers` are more of them, each with its line's end.
    pub(crate) fn post(&self, route: &str, headers: &str, body: &str) -> Vec<u8> {
        let length = body.len();
        let rest = format!("content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}");
        self.request("POST", route, headers, &rest)
    }

    /// A request for a route below `/api/`.
    pub(crate) fn get(&self, route: &str, headers: &str) -> Vec<u8> {
        self.request("GET", route, headers, "\r\n")
    }

    fn request(&self, method: &str, route: &str, headers: &str, rest: &str) -> Vec<u8> {
        let Self { host, port, base } = self;
        format!(
            "{method} {base}/api/{route} HTTP/1.1\r\nhost: {host}:{port}\r\naccept: application/json\r\n\
             user-agent: throng-bench\r\n{headers}{rest}"
        )
        .into()
    }
}

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let uri: Uri = text.parse().map_err(InvalidTarget::NotUrl)?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(InvalidTarget::Tls),
            Some(_) | None => return Err(InvalidTarget::NotHttp),
        }
        let authority = uri.authority().ok_or(InvalidTarget::NoHost)?;
        if authority.as_str().contains('@') || uri.query().is_some() {
            return Err(InvalidTarget::NotPlain);
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
        let request = target.post("submit", "a: b\r\n", "[3]");
        let request = std::str::from_utf8(&request).unwrap();
        assert!(request.starts_with("POST /sub/api/submit HTTP/1.1\r\nhost: vote.example:8080\r\n"), "{request}");
        assert!(request.contains("\r\na: b\r\n") && request.ends_with("content-length: 3\r\n\r\n[3]"), "{request}");
        let plain: Target = "http://127.0.0.1".parse().unwrap();
        assert!(plain.get("result", "").starts_with(b"GET /api/result HTTP/1.1\r\nhost: 127.0.0.1:80\r\n"));
        assert!(plain.get("result", "").ends_with(b"\r\n\r\n"));
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
            let refused = text.parse::<Target>().unwrap_err().to_string();
            assert!(refused.contains(reason), "{text}: {refused}");
        }
    }
}
