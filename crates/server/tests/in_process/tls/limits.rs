//! The limits of a request, by HTTP/2.

use crate::tls::certificate::TlsServer;
use crate::tls::frames::{
    DATA, END_HEADERS, END_STREAM, HEADERS, Http2, NO_ERROR, REFUSED_STREAM, RST_STREAM, STATUS_200, STATUS_400, block,
    fields, frame, head,
};
use crate::tls::http2::Client;

#[test]
fn a_body_has_at_most_16_kb() {
    let server = TlsServer::start();
    let client = Client::open(&server);
    for path in ["/api/submit", "/api/v1/polls/demo/ballots"] {
        let headers = [("content-type", "application/json")];
        client.request("POST", path, &headers, &[b' '; 17_000]).assert_problem(413, "too_large");
        client.request("POST", path, &headers, &vec![b' '; 2_000_000]).assert_problem(413, "too_large");
        let fits = client.request("POST", path, &headers, &[b' '; 16 * 1_024]);
        fits.assert_problem(422, "not_a_ballot");
    }
    assert_eq!(client.request("POST", "/api/submit", &[], b"[1]").status, 200, "the connection goes on");
    assert_eq!(server.voters(), 1);
}

#[test]
fn a_body_whose_length_nobody_said_has_at_most_16_kb() {
    let server = TlsServer::start();
    let mut client = server.http2();
    let part = [b' '; 9_000];
    client.send(&head(1, END_HEADERS, "POST", "/api/submit")).unwrap();
    client.send(&[frame(DATA, 0, 1, &part), frame(DATA, 0, 1, &part)].concat()).unwrap();
    assert!(client.body(1).contains("\"too_large\""));
    let reset = client.until("a reset", |frame| frame.kind == RST_STREAM);
    assert_eq!((reset.stream, reset.code()), (1, NO_ERROR));
    assert_eq!(vote(&mut client, 3), r#"{"1":1,"2":0,"3":0,"4":0,"5":0}"#);
}

#[test]
fn a_head_has_at_most_16_kb() {
    let server = TlsServer::start();
    let client = Client::open(&server);
    let fits = "y".repeat(12_000);
    assert_eq!(client.request("POST", "/api/submit", &[("cookie", &fits)], b"[1]").status, 200);
    let long = "y".repeat(17_000);
    assert_eq!(client.request("POST", "/api/submit", &[("cookie", &long)], b"[1]").status, 431);
    let many: Vec<_> = (0..600).map(|number| format!("x-{number}")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), "1")).collect();
    assert_eq!(client.request("POST", "/api/submit", &many, b"[1]").status, 431);
    assert_eq!(client.request("POST", "/api/submit", &[], b"[1]").status, 200, "the connection goes on");
    assert_eq!(server.voters(), 2);
}

#[test]
fn a_connection_has_at_most_128_requests_open() {
    let server = TlsServer::start();
    let mut client = server.http2();
    let streams: Vec<u32> = (0..200).map(|number| 2 * number + 1).collect();
    let heads: Vec<u8> = streams.iter().flat_map(|stream| head(*stream, END_HEADERS, "POST", "/api/submit")).collect();
    client.send(&heads).unwrap();
    for stream in &streams[128..] {
        let refused = client.until("a reset", |frame| frame.kind == RST_STREAM);
        assert_eq!((refused.stream, refused.code()), (*stream, REFUSED_STREAM));
    }
    let bodies: Vec<u8> = streams[..128].iter().flat_map(|stream| frame(DATA, END_STREAM, *stream, b"[1]")).collect();
    client.send(&bodies).unwrap();
    for _ in 0..128 {
        let answered = client.until("an answer", |frame| frame.kind == HEADERS);
        assert_eq!(answered.payload.first(), Some(&STATUS_200));
    }
    assert_eq!(server.server.stored_voters(), 128);
}

#[test]
fn a_body_that_is_not_as_long_as_announced_is_no_ballot() {
    let server = TlsServer::start();
    for announced in ["2", "4", "99999"] {
        let mut client = server.http2();
        let block = fields("POST", "/api/submit", &[("content-length", announced)]);
        client.send(&frame(HEADERS, END_HEADERS, 1, &block)).unwrap();
        client.send(&frame(DATA, END_STREAM, 1, b"[1]")).unwrap();
        let end = client.until("an end", |frame| frame.stream == 1 && matches!(frame.kind, HEADERS | RST_STREAM));
        assert_ne!(end.payload.first(), Some(&STATUS_200), "{announced}");
    }
    assert_eq!(server.voters(), 0);
}

/// What the first byte of the answer's head to a request with these fields says of its status.
fn status_of(client: &mut Http2, stream: u32, fields: &[(&str, &str)]) -> u8 {
    client.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(fields))).unwrap();
    client.until("an answer", |frame| frame.kind == HEADERS && frame.stream == stream).payload[0]
}

#[test]
fn a_request_names_one_host() {
    let server = TlsServer::start();
    let mut client = server.http2();
    let mut streams = (0..).map(|number| 2 * number + 1);
    let mut status = |more: &[(&str, &str)]| {
        let own = [(":method", "GET"), (":scheme", "https"), (":path", "/api/result")];
        status_of(&mut client, streams.next().unwrap(), &[&own, more].concat())
    };
    for fields in [
        &[(":authority", "a.example"), ("host", "b.example")][..],
        &[(":authority", "a.example"), ("host", "a.example"), ("host", "a.example")],
        &[("host", "a.example"), ("host", "b.example")],
        &[("host", "a b")],
        &[(":authority", "a.example"), ("host", "")],
        &[(":authority", "a.example:1"), ("host", "a.example:2")],
        &[],
    ] {
        assert_eq!(status(fields), STATUS_400, "{fields:?}");
    }
    for fields in [
        &[(":authority", "a.example")][..],
        &[(":authority", "a.example"), ("host", "A.example")],
        &[(":authority", "a.example:443"), ("host", "a.example")],
        &[("host", "a.example:8080")],
    ] {
        assert_eq!(status(fields), STATUS_200, "{fields:?}");
    }
}

#[test]
fn a_body_that_comes_too_slowly_is_told_so() {
    let server = TlsServer::start();
    let mut client = server.http2();
    client.send(&head(1, END_HEADERS, "POST", "/api/submit")).unwrap();
    client.send(&frame(DATA, 0, 1, b"[")).unwrap();
    assert!(client.body(1).contains("\"request_timeout\""));
}

fn vote(client: &mut Http2, stream: u32) -> String {
    client.send(&head(stream, END_HEADERS, "POST", "/api/submit")).unwrap();
    client.send(&frame(DATA, END_STREAM, stream, b"[1]")).unwrap();
    client.body(stream)
}
