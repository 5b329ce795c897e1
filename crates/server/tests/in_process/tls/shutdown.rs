//! The end over TLS: nobody is cut off who doesn't hold it up.

use std::time::Duration;

use throng_testkit::{Connection, eventually};
use tokio::time::Instant;

use crate::tls::certificate::TlsServer;
use crate::tls::frames::{DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, Http2, NO_ERROR, SETTINGS, frame, head};

fn begin(server: &mut TlsServer) {
    server.server.begin_stop();
    eventually("the shutdown has begun", || server.server.app.shutdown.is_draining().then_some(()));
}

/// Waits until the server has answered the client's settings, and so has its connection.
fn settled(mut client: Http2) -> Http2 {
    client.until("the settings' answer", |frame| frame.kind == SETTINGS && frame.flags == 1);
    client
}

#[test]
fn a_request_on_its_way_is_answered_and_its_client_told_to_go() {
    let mut server = TlsServer::start();
    let mut client = server.http2();
    client.send(&head(1, END_HEADERS, "POST", "/api/submit")).unwrap();
    let mut client = settled(client);
    begin(&mut server);
    let told = client.until("the goodbye", |frame| frame.kind == GOAWAY);
    assert_eq!(told.code(), NO_ERROR);
    client.send(&frame(DATA, END_STREAM, 1, b"[1]")).unwrap();
    assert_eq!(client.body(1), r#"{"1":1,"2":0,"3":0,"4":0,"5":0}"#);
    server.server.join();
    assert!(!client.rest().iter().any(|frame| frame.kind == HEADERS), "nothing more, and an end");
    assert_eq!(server.server.stored_voters(), 1);
}

#[test]
fn http_1_1_has_one_more_answer() {
    let mut server = TlsServer::start();
    let mut votes = server.connect();
    assert_eq!(votes.request("GET", "/livez", &[], b"").status, 200);
    begin(&mut server);
    let answer = votes.request("POST", "/api/submit", &[], b"[1]");
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert!(votes.is_closed());
    server.server.join();
}

#[test]
fn idle_connections_hold_nothing_up() {
    let mut server = TlsServer::start();
    let mut idle = settled(server.http2());
    let mut fresh = server.connect();
    let unencrypted = Connection::tcp(server.server.address);
    let began = Instant::now();
    server.server.join();
    // Kept until what is left is cut, they would last for eleven seconds.
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(idle.rest().iter().any(|frame| frame.kind == GOAWAY) && fresh.is_closed());
    drop(unencrypted);
}

#[test]
fn a_client_that_is_stuck_holds_it_up_for_a_while_only() {
    let mut server = TlsServer::start();
    let mut stuck = server.http2();
    stuck.send(&head(1, END_HEADERS, "POST", "/api/submit")).unwrap();
    let mut stuck = settled(stuck);
    server.server.join();
    assert!(stuck.body(1).contains("\"request_timeout\""));
}
