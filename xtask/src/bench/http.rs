//! One request at a time, to see that a server is there and what it counts.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::contender::Request;

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// The body of the answer to `request`, on a connection of its own.
///
/// # Errors
/// If there is no answer, or it isn't 200.
pub fn ask(to: SocketAddr, request: Request) -> anyhow::Result<String> {
    exchange(to, request.method(), request.path(), request.body().unwrap_or_default())
}

/// The body of the answer to a request of any kind, on a connection of its own.
///
/// # Errors
/// If there is no answer, or it isn't 200.
pub fn exchange(to: SocketAddr, method: &str, path: &str, body: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect_timeout(&to, ANSWER_MAX)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\nContent-Length: {}", body.len());
    stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no end of its headers")?;
    if !head.starts_with("HTTP/1.1 200") {
        bail!("{method} {path} was answered: {answer}");
    }
    Ok(body.to_owned())
}
