//! Bodies larger than any ballot: refused, and the refusal arrives.

use std::io::Write as _;

use throng_testkit::{Answer, Connection, TestServer};

const TEN_MB: usize = 10 * 1024 * 1024;

/// Sends the head and the body from another thread, as a client does that reads only once it has sent all, and
/// ignores that the server may have heard enough.
fn answer_to(connection: &mut Connection, head: &str, body: Vec<u8>) -> Answer {
    let mut writer = connection.writer();
    let request = [head.as_bytes(), &body].concat();
    std::thread::spawn(move || writer.write_all(&request)).join().unwrap().ok();
    let answer = connection.answer();
    if answer.status == 413 {
        assert_eq!(answer.header("connection"), Some("close"), "the rest of the body isn't read");
    }
    answer
}

fn spaces() -> Vec<u8> {
    let mut body = vec![b' '; TEN_MB];
    body.extend_from_slice(b"[1]");
    body
}

fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut chunks = Vec::new();
    for part in body.chunks(size) {
        write!(chunks, "{:x}\r\n", part.len()).unwrap();
        chunks.extend_from_slice(part);
        chunks.extend_from_slice(b"\r\n");
    }
    chunks.extend_from_slice(b"0\r\n\r\n");
    chunks
}

#[test]
fn ten_megabytes_with_a_length_are_refused() {
    let server = TestServer::start();
    let head = format!("POST /api/submit HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", TEN_MB + 3);
    answer_to(&mut server.connect(), &head, spaces()).assert_problem(413, "too_large");
    assert_eq!(server.voters(), 0);
}

#[test]
fn ten_megabytes_in_chunks_are_refused() {
    let server = TestServer::start();
    let head = "POST /api/submit HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    for size in [TEN_MB + 3, 65_536, 1_000] {
        answer_to(&mut server.connect(), head, chunked(&spaces(), size)).assert_problem(413, "too_large");
    }
    assert_eq!(server.voters(), 0);
}

#[test]
fn who_asks_first_needs_to_send_nothing() {
    let server = TestServer::start();
    let mut connection = server.connect();
    let head = "POST /api/submit HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 10485763\r\n\r\n";
    connection.send(head.as_bytes());
    let answer = connection.answer();
    answer.assert_problem(413, "too_large");
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(connection.is_closed(), "what follows could be the body, or the next request");
}

#[test]
fn who_asks_first_and_has_a_ballot_is_told_to_go_on() {
    let server = TestServer::start();
    let mut connection = server.connect();
    connection.send(b"POST /api/submit HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n");
    assert_eq!(connection.head().unwrap().status, 100);
    connection.send(b"[1]");
    assert_eq!(connection.answer().status, 200);
    assert_eq!(connection.request("POST", "/api/submit", &[], b"[1]").status, 200);
    assert_eq!(server.voters(), 2);
}

#[test]
fn the_largest_body_is_taken_and_the_next_one_not() {
    let server = TestServer::start();
    let mut body = vec![b' '; 16 * 1024 - 3];
    body.extend_from_slice(b"[1]");
    assert_eq!(server.post("/api/submit", &body).status, 200);
    let head = "POST /api/submit HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    // Sixteen thousand parts of one byte each are one body too.
    assert_eq!(answer_to(&mut server.connect(), head, chunked(&body, 1)).status, 200);
    body.insert(0, b' ');
    server.post("/api/submit", &body).assert_problem(413, "too_large");
    answer_to(&mut server.connect(), head, chunked(&body, 1)).assert_problem(413, "too_large");
    assert_eq!(server.voters(), 2);
}

#[test]
fn the_limit_holds_on_every_route() {
    let server = TestServer::start();
    let large = vec![b' '; 16 * 1024 + 1];
    server.post("/api/v1/polls/demo/ballots", &large).assert_problem(413, "too_large");
}
