//! Clients that say nothing, too little or never read: they are closed, and nobody else notices.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use throng::net::IdleTimeouts;
use throng_testkit::{Connection, TestServer};
use tokio::time::Instant;

/// How many clients of each kind.
const EACH: usize = 50;
const HONEST: usize = 20;

/// How often an honest client votes.
const VOTE_EVERY: Duration = Duration::from_millis(100);

/// Far more than what the deadlines add up to, since the machine may be busy, and far less than clients that are never closed
/// would last.
const CLOSED_WITHIN: Duration = Duration::from_secs(60);

/// What a client sends first, and what it repeats every second.
const KINDS: [(&[u8], &[u8]); 5] = [
    (b"", b""),
    (b"GET /api/re", b"x"),
    (b"POST /api/submit HTTP/1.1\r\nhost: x\r\ncontent-length: 9999\r\n\r\n", b" "),
    (b"POST /api/submit HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    (b"POST /api/submit HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n", b""),
];

/// How long it takes until the server has closed `stream`, to which `repeated` is sent every second.
fn closed_after(mut stream: &TcpStream, repeated: &[u8]) -> Duration {
    let began = Instant::now();
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut bytes = [0; 1_024];
    while began.elapsed() <= CLOSED_WITHIN {
        match stream.read(&mut bytes) {
            // An answer may come before the end.
            Ok(count) if count > 0 => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                let _ = stream.write_all(repeated);
            }
            Ok(_) | Err(_) => break,
        }
    }
    began.elapsed()
}

/// Sends requests for as long as that is possible, and never reads; how long from the last that the server took until it
/// has closed.
fn never_reads_for(mut stream: &TcpStream) -> Duration {
    let requests = b"GET /api/v1/polls/demo/results HTTP/1.1\r\nhost: x\r\n\r\n".repeat(100);
    stream.set_write_timeout(Some(CLOSED_WITHIN)).unwrap();
    let mut taken = Instant::now();
    while stream.write_all(&requests).is_ok() {
        taken = Instant::now();
    }
    taken.elapsed()
}

#[test]
fn slow_and_silent_clients_are_closed_while_honest_ones_vote() {
    let server = TestServer::start();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (told, tells) = mpsc::channel();
        for (first, repeated) in KINDS {
            for _ in 0..EACH {
                let (told, stream) = (told.clone(), TcpStream::connect(server.address).unwrap());
                (&stream).write_all(first).unwrap();
                scope.spawn(move || told.send((first, closed_after(&stream, repeated))).unwrap());
            }
        }
        for _ in 0..4 {
            let (told, stream) = (told.clone(), TcpStream::connect(server.address).unwrap());
            scope.spawn(move || told.send((&b"never reads"[..], never_reads_for(&stream))).unwrap());
        }
        drop(told);
        let honest: Vec<_> = (0..HONEST)
            .map(|_| {
                scope.spawn(|| {
                    let mut votes = 0;
                    while !over.load(Ordering::Relaxed) {
                        let mut connection: Connection = server.connect();
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
        let shown = late.iter().map(|(first, after)| (String::from_utf8_lossy(first), after)).collect::<Vec<_>>();
        assert!(late.is_empty(), "{} closed too late: {:?}", late.len(), &shown[..shown.len().min(5)]);
        assert_eq!(server.voters(), votes, "what was answered is what is counted");
        assert!(votes > 0);
    });
}

#[test]
fn a_body_that_comes_too_slowly_is_told_so() {
    let server = TestServer::start();
    let v1 = "content-type: application/json\r\ncontent-length: 9\r\n";
    let waiting =
        [("/api/submit", "content-length: 9\r\n"), ("/api/v1/polls/demo/ballots", v1)].map(|(path, headers)| {
            let mut connection = server.connect();
            connection.send(format!("POST {path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n[").as_bytes());
            connection
        });
    for mut connection in waiting {
        let answer = connection.answer();
        answer.assert_problem(408, "request_timeout");
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(connection.is_closed());
    }
    assert_eq!(server.voters(), 0);
}

#[test]
fn clients_and_proxies_may_be_idle_for_times_of_their_own() {
    let (client, proxy) = (Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 2));
    let (short, long) = (Duration::from_millis(500), Duration::from_secs(3_600));
    for (idle, closed, kept) in [
        (IdleTimeouts { clients: short, proxies: long }, client, proxy),
        (IdleTimeouts { clients: long, proxies: short }, proxy, client),
    ] {
        let server = TestServer::start_idle(idle, &[("TRUSTED_PROXIES", "127.0.0.2")]);
        // The fast path, and what isn't for it.
        for path in ["/api/result", "/api/v1/polls/demo"] {
            let [mut kept, closed] = [kept, closed].map(|own| {
                let mut connection = Connection::open_from(own, server.address);
                assert_eq!(connection.request("GET", path, &[], b"").status, 200);
                connection
            });
            assert!(closed_after(&closed.writer(), b"") < CLOSED_WITHIN, "{path}, {idle:?}");
            // It was idle for longer.
            assert_eq!(kept.request("GET", path, &[], b"").status, 200, "{path}, {idle:?}");
        }
    }
}

#[test]
fn an_idle_connection_is_closed_after_its_timeout() {
    for proxies in ["", "127.0.0.1/32"] {
        let server = TestServer::start_with(&[("IDLE_TIMEOUT", "1"), ("TRUSTED_PROXIES", proxies)]);
        // The fast path, and what isn't for it.
        for method in ["GET", "HEAD"] {
            let mut connection = server.connect();
            connection.send(format!("{method} /api/result HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes());
            assert_eq!(connection.head().unwrap().status, 200);
            assert!(closed_after(&connection.writer(), b"") < CLOSED_WITHIN, "{method}, proxies: {proxies}");
        }
    }
}
