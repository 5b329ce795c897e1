//! Single requests, to check that a server responds and to read its tallies.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::request::Request;

/// How long a response may take.
const RESPONSE_MAX: Duration = Duration::from_secs(10);

/// The body of the response to `request`, on a new connection.
///
/// # Errors
/// If there is no response, or its status isn't 200.
pub fn fetch(to: SocketAddr, request: Request) -> anyhow::Result<String> {
    exchange(to, request.method(), request.path(), request.body().unwrap_or_default())
}

/// The body of the response to any request, on a new connection.
///
/// # Errors
/// If there is no response, or its status isn't 200 or 201.
pub fn exchange(to: SocketAddr, method: &str, path: &str, body: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect_timeout(&to, RESPONSE_MAX)?;
    stream.set_read_timeout(Some(RESPONSE_MAX))?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}",
        body.len()
    );
    stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes())?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    let (head, body) = response.split_once("\r\n\r\n").context("the headers of the response don't end")?;
    if !head.starts_with("HTTP/1.1 20") {
        bail!("unexpected response to {method} {path}: {response}");
    }
    Ok(body.to_owned())
}
