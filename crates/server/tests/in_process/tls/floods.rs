//! Clients that use HTTP/2 to make much work for little: their connection ends, and nobody else notices.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::tls::certificate::TlsServer;
use crate::tls::frames::{
    CONTINUATION, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS, Http2, RST_STREAM, STATUS_200, fields,
    frame, head, reset,
};
use crate::tls::http2::Client;

/// Has `flood` send while another client votes, and gives the code with which its connection ended.
#[track_caller]
fn flood(flood: impl Fn(&mut Http2)) -> u32 {
    let server = TlsServer::start();
    let over = AtomicBool::new(false);
    let (code, votes) = std::thread::scope(|scope| {
        let honest = scope.spawn(|| {
            let client = Client::open(&server);
            let mut votes = 0;
            while votes == 0 || !over.load(Ordering::Relaxed) {
                assert_eq!(client.request("POST", "/api/submit", &[], b"[1]").status, 200);
                votes += 1;
            }
            votes
        });
        let mut client = server.http2();
        flood(&mut client);
        let end = client.rest().into_iter().find(|frame| frame.kind == GOAWAY);
        over.store(true, Ordering::Relaxed);
        (end.map(|frame| frame.code()), honest.join().unwrap())
    });
    assert_eq!(server.server.stored_voters(), votes, "what was answered is what is counted");
    code.expect("the connection ends with a word")
}

#[test]
fn requests_taken_back_at_once_end_the_connection() {
    let code = flood(|client| {
        let pairs = (0..5_000)
            .map(|number| 2 * number + 1)
            .flat_map(|stream| [head(stream, END_HEADERS | END_STREAM, "GET", "/api/result"), reset(stream)].concat());
        let _ = client.send(&pairs.collect::<Vec<_>>());
    });
    assert_eq!(code, ENHANCE_YOUR_CALM);
}

#[test]
fn a_head_without_end_ends_the_connection() {
    for part in [&b""[..], b"\0\x01x\x01y", &[0; 4_000]] {
        let code = flood(|client| {
            let block = fields("GET", "/api/result", &[]);
            let _ = client.send(&frame(HEADERS, END_STREAM, 1, &block));
            let _ = client.send(&frame(CONTINUATION, 0, 1, part).repeat(1_000));
        });
        assert_ne!(code, 0, "{} bytes a frame", part.len());
    }
}

#[test]
fn heads_that_are_wrong_over_and_over_end_the_connection() {
    let code = flood(|client| {
        let wrong = fields("GET", "/api/result", &[("connection", "close")]);
        let heads = (0..5_000).flat_map(|number| frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, &wrong));
        let _ = client.send(&heads.collect::<Vec<_>>());
    });
    assert_eq!(code, ENHANCE_YOUR_CALM);
}

#[test]
fn one_who_changes_their_mind_now_and_then_is_served_on() {
    let server = TlsServer::start();
    let mut client = server.http2();
    for number in 0..200 {
        let (taken_back, kept) = (4 * number + 1, 4 * number + 3);
        client.send(&[head(taken_back, END_HEADERS, "POST", "/api/submit"), reset(taken_back)].concat()).unwrap();
        client.send(&head(kept, END_HEADERS | END_STREAM, "GET", "/api/result")).unwrap();
        let answer = client.until("an answer", |frame| frame.kind == HEADERS && frame.stream == kept);
        assert_eq!(answer.payload.first(), Some(&STATUS_200));
    }
    client.send(&reset(799)).unwrap();
    client.send(&head(801, END_HEADERS | END_STREAM, "GET", "/api/result")).unwrap();
    let next = client.until("an answer", |frame| matches!(frame.kind, HEADERS | RST_STREAM | GOAWAY));
    assert_eq!((next.kind, next.stream), (HEADERS, 801));
}
