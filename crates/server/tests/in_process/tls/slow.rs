//! Clients that say nothing, too little or never read: they are closed over TLS too, and nobody else notices.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use throng_testkit::WAIT_MAX;
use tokio::time::Instant;

use crate::tls::certificate::TlsServer;
use crate::tls::client::TlsStream;
use crate::tls::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, Http2, NO_ERROR, PING, fields, frame, head,
};

/// How many clients of each kind.
const EACH: usize = 8;
const HONEST: usize = 4;

/// How often an honest client votes.
const VOTE_EVERY: Duration = Duration::from_millis(100);

/// Far more than what the deadlines add up to, since the machine may be busy, and far less than clients that are never closed
/// would last.
const CLOSED_WITHIN: Duration = Duration::from_secs(50);

/// How long a client waits for bytes before it sends its own.
const EVERY: Duration = Duration::from_secs(1);

/// A slow client: its connection, and what it repeats.
type Slow = (Box<dyn Stream>, Vec<u8>);

trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

/// How long it takes until the server has closed `stream`, to which `repeated` is sent every second.
fn closed_after((mut stream, repeated): Slow) -> Duration {
    let began = Instant::now();
    let mut bytes = [0; 1_024];
    while began.elapsed() <= CLOSED_WITHIN {
        match stream.read(&mut bytes) {
            // An answer may come before the end.
            Ok(count) if count > 0 => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                let _ = stream.write_all(&repeated).and_then(|()| stream.flush());
            }
            Ok(_) | Err(_) => break,
        }
    }
    began.elapsed()
}

/// Sends `repeated` for as long as that is possible, and never reads; how long from the last that the server took until
/// it has closed.
fn never_reads_for(mut stream: TlsStream, repeated: &[u8]) -> Duration {
    stream.sock.set_write_timeout(Some(CLOSED_WITHIN)).unwrap();
    let mut taken = Instant::now();
    while stream.write_all(repeated).is_ok() {
        taken = Instant::now();
    }
    taken.elapsed()
}

/// Those who don't get as far as being encrypted.
fn before_tls(server: &TlsServer, first: &[u8], repeated: &[u8]) -> Slow {
    let mut stream = TcpStream::connect(server.server.address).unwrap();
    stream.set_read_timeout(Some(EVERY)).unwrap();
    stream.write_all(first).unwrap();
    (Box::new(stream), repeated.to_vec())
}

fn over_http_1(server: &TlsServer, first: &[u8], repeated: &[u8]) -> Slow {
    let mut stream = server.stream(&["http/1.1"]);
    stream.sock.set_read_timeout(Some(EVERY)).unwrap();
    stream.write_all(first).unwrap();
    stream.flush().unwrap();
    (Box::new(stream), repeated.to_vec())
}

fn over_http_2(mut client: Http2, first: &[u8], repeated: &[u8]) -> Slow {
    client.send(first).unwrap();
    (Box::new(client.into_stream(EVERY)), repeated.to_vec())
}

/// Settings with which nothing of an answer's body may be sent.
const NO_ROOM: &[(u16, u32)] = &[(4, 0)];

/// One client of each kind, with its kind's name.
fn slow(server: &TlsServer) -> Vec<(&'static str, Slow)> {
    let submit = head(1, END_HEADERS, "POST", "/api/submit");
    let page = head(1, END_HEADERS | END_STREAM, "GET", "/polls/demo");
    let begun = frame(HEADERS, END_STREAM, 1, &fields("GET", "/api/result", &[]));
    // A handshake's first message, of which 508 bytes are missing.
    let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc];
    let body = b"POST /api/submit HTTP/1.1\r\nhost: x\r\ncontent-length: 9999\r\n\r\n";
    let no_room = Http2::begin_with(server.stream(&["h2"]), NO_ROOM);
    vec![
        ("silent", before_tls(server, b"", b"")),
        ("half a handshake", before_tls(server, &hello, b"")),
        ("a slow handshake", before_tls(server, &hello, b"x")),
        ("HTTP/1.1: silent", over_http_1(server, b"", b"")),
        ("HTTP/1.1: a slow head", over_http_1(server, b"GET /api/re", b"x")),
        ("HTTP/1.1: a slow body", over_http_1(server, body, b" ")),
        ("HTTP/2: silent", (Box::new(silent(server)), Vec::new())),
        ("HTTP/2: no request", over_http_2(server.http2(), b"", b"")),
        ("HTTP/2: pings", over_http_2(server.http2(), b"", &frame(PING, 0, 0, &[0; 8]))),
        ("HTTP/2: half a head", over_http_2(server.http2(), &begun[..12], b"")),
        ("HTTP/2: a slow head", over_http_2(server.http2(), &begun, &frame(CONTINUATION, 0, 1, b"\0\x01x\x01y"))),
        ("HTTP/2: no body", over_http_2(server.http2(), &submit, b"")),
        ("HTTP/2: a slow body", over_http_2(server.http2(), &submit, &frame(DATA, 0, 1, b" "))),
        ("HTTP/2: no room for an answer", over_http_2(no_room, &page, b"")),
    ]
}

fn silent(server: &TlsServer) -> TlsStream {
    let stream = server.stream(&["h2"]);
    stream.sock.set_read_timeout(Some(EVERY)).unwrap();
    stream
}

/// Clients that send and never read, and what they send.
fn greedy(server: &TlsServer) -> Vec<(&'static str, TlsStream, Vec<u8>)> {
    let requests = b"GET /api/v1/polls/demo/results HTTP/1.1\r\nhost: x\r\n\r\n".repeat(100);
    let plain = b"GET /api/result HTTP/1.1\r\nhost: x\r\n\r\n".to_vec();
    let http2 = || server.http2().into_stream(EVERY);
    vec![
        ("HTTP/1.1: never reads", server.stream(&["http/1.1"]), requests),
        ("HTTP/1.1: never reads on the fast path", server.stream(&["http/1.1"]), plain),
        ("HTTP/2: never reads", http2(), frame(PING, 0, 0, &[0; 8]).repeat(100)),
    ]
}

#[test]
fn slow_and_silent_clients_are_closed_while_honest_ones_vote() {
    let server = TlsServer::start();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (told, tells) = mpsc::channel();
        for _ in 0..EACH {
            for (kind, client) in slow(&server) {
                let told = told.clone();
                scope.spawn(move || told.send((kind, closed_after(client))).unwrap());
            }
        }
        for (kind, stream, repeated) in greedy(&server) {
            let told = told.clone();
            scope.spawn(move || told.send((kind, never_reads_for(stream, &repeated))).unwrap());
        }
        drop(told);
        let honest: Vec<_> = (0..HONEST)
            .map(|_| {
                scope.spawn(|| {
                    let mut votes = 0;
                    while !over.load(Ordering::Relaxed) {
                        let mut connection = server.connect();
                        assert_eq!(connection.request("POST", "/api/submit", &[], b"[1]").status, 200);
                        assert_eq!(connection.request("POST", "/api/submit", &[], b"[2]").status, 200);
                        votes += 2;
                        // Leaves the processors to the others, until it is over.
                        std::thread::park_timeout(VOTE_EVERY);
                    }
                    votes
                })
            })
            .collect();
        let late: Vec<_> = tells.iter().filter(|(_, after)| *after > CLOSED_WITHIN).collect();
        over.store(true, Ordering::Relaxed);
        honest.iter().for_each(|client| client.thread().unpark());
        let votes: u64 = honest.into_iter().map(|client| client.join().unwrap()).sum();
        assert!(late.is_empty(), "closed too late: {late:?}");
        assert_eq!(server.server.stored_voters(), votes, "what was answered is what is counted");
        assert!(votes > 0);
    });
}

/// How long a client that has its answer and wants no more is kept. It says that it is there when it is asked, or not.
fn idle_for(server: &TlsServer, gives_signs: bool) -> Duration {
    let mut client = server.http2();
    client.send(&head(1, END_HEADERS | END_STREAM, "GET", "/api/result")).unwrap();
    client.body(1);
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < WAIT_MAX, "it is still open");
        let told = client.until("the goodbye", |frame| matches!(frame.kind, PING | GOAWAY));
        if told.kind == GOAWAY {
            assert_eq!(told.code(), NO_ERROR);
            break began.elapsed();
        }
        if gives_signs {
            client.send(&frame(PING, 1, 0, &told.payload)).unwrap();
        }
    }
}

#[test]
fn an_idle_client_is_told_to_go_and_one_that_gives_no_sign_too() {
    let server = TlsServer::start();
    std::thread::scope(|scope| {
        let gone = scope.spawn(|| idle_for(&server, false));
        let there = idle_for(&server, true);
        assert!(there >= Duration::from_secs(14), "{there:?}");
        gone.join().unwrap();
    });
}
