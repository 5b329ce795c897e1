//! Spans, sent to an OpenTelemetry collector.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use tempfile::TempDir;
use throng_testkit::{Connection, ThrongProcess, WAIT_MAX, throng};

#[test]
fn a_batch_has_a_span_and_a_stop_sends_the_last_ones() {
    let (endpoint, requests) = collector();
    let (_directory, mut server) = start(endpoint);
    assert_eq!(Connection::open(server.address).request("POST", "/api/submit", &[], b"[1]").status, 200);
    server.terminate();
    let (status, said) = server.ended();
    assert!(status.success(), "{said}");
    let (head, body) = requests.recv_timeout(WAIT_MAX).expect("spans are sent");
    assert!(head.starts_with("POST /v1/traces HTTP/1.1"), "{head}");
    assert!(head.to_lowercase().contains("content-type: application/x-protobuf"), "{head}");
    for name in ["throng", "record", "ballots"] {
        assert!(body.windows(name.len()).any(|bytes| bytes == name.as_bytes()), "{name} is missing");
    }
    assert!(!said.contains("record{"), "the log stays as it is: {said}");
}

#[test]
fn no_vote_and_no_stop_waits_for_a_collector_that_is_away() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (_directory, mut server) = start(nobody);
    for _ in 0..10 {
        assert_eq!(Connection::open(server.address).request("POST", "/api/submit", &[], b"[1]").status, 200);
    }
    server.terminate();
    let (status, said) = server.ended();
    assert!(status.success(), "{said}");
}

fn start(endpoint: SocketAddr) -> (TempDir, ThrongProcess) {
    let directory = tempfile::tempdir().unwrap();
    let mut command = throng(directory.path());
    command.env("OTLP_ENDPOINT", format!("http://{endpoint}"));
    let server = ThrongProcess::spawn(command).once_it_serves();
    (directory, server)
}

/// A collector that takes everything; what it took, head and body.
fn collector() -> (SocketAddr, Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (took, takes) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = took.send(take(stream.unwrap()));
        }
    });
    (address, takes)
}

fn take(stream: TcpStream) -> (String, Vec<u8>) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        reader.read_line(&mut head).unwrap();
    }
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.expect("a length")];
    reader.read_exact(&mut body).unwrap();
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    reader.get_mut().write_all(answer).unwrap();
    (head, body)
}
