//! A small server that answers as a poll server does, and misbehaves in one way.
#![allow(clippy::unwrap_used, reason = "a test fails where it can't go on")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What it does with a vote.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Misbehaviour {
    /// Answers 200 and doesn't count it.
    Forgets,
    /// Answers 500 and counts it.
    RefusesAndCounts,
    /// Counts it, answers, and closes the connection.
    Closes,
    /// Counts it, and closes the connection without an answer.
    CountsAndCuts,
    /// Never answers.
    Stalls,
}

/// The server. Its threads end with their connections, and the last one with the test.
pub struct MisbehavingServer {
    pub address: SocketAddr,
}

impl MisbehavingServer {
    pub fn start(misbehaviour: Misbehaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let counted = Arc::new(AtomicU64::new(0));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let counted = Arc::clone(&counted);
                std::thread::spawn(move || serve(stream, misbehaviour, &counted));
            }
        });
        Self { address }
    }
}

/// Serves a connection to its end.
fn serve(mut stream: TcpStream, misbehaviour: Misbehaviour, counted: &AtomicU64) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        if !is_vote(&mut reader)? {
            answer(&mut stream, "200 OK", &format!(r#"{{"7":{}}}"#, counted.load(Ordering::SeqCst)))?;
            continue;
        }
        if matches!(misbehaviour, Misbehaviour::RefusesAndCounts | Misbehaviour::Closes | Misbehaviour::CountsAndCuts) {
            counted.fetch_add(1, Ordering::SeqCst);
        }
        match misbehaviour {
            Misbehaviour::Forgets => answer(&mut stream, "200 OK", "{}")?,
            Misbehaviour::RefusesAndCounts => answer(&mut stream, "500 Internal Server Error", "{}")?,
            Misbehaviour::Closes => return answer(&mut stream, "200 OK\r\nconnection: close", "{}"),
            Misbehaviour::CountsAndCuts => return None,
            Misbehaviour::Stalls => {}
        }
    }
}

/// Reads a request; `None` at the connection's end.
fn is_vote(reader: &mut BufReader<TcpStream>) -> Option<bool> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        reader.read_line(&mut head).ok().filter(|read| *read > 0)?;
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    if let Some(length) = length {
        let mut body = vec![0; length.parse().ok()?];
        reader.read_exact(&mut body).ok()?;
        assert_eq!(body, b"[7]", "a vote for the only option there is");
    }
    Some(length.is_some())
}

fn answer(stream: &mut TcpStream, status: &str, body: &str) -> Option<()> {
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}").ok()
}
