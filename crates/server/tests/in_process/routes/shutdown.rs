//! The end: nobody is cut off who doesn't hold it up.

use std::net::TcpStream;
use std::time::Duration;

use throng_testkit::{NOW, TestServer, eventually};
use tokio::time::Instant;

fn begin(server: &mut TestServer) {
    server.begin_stop();
    eventually("the shutdown has begun", || server.app.shutdown.is_draining().then_some(()));
}

#[test]
fn a_request_on_its_way_is_answered_and_its_connection_closed() {
    let (mut server, store) = TestServer::start_gated(100);
    store.shut();
    let mut connection = server.connect();
    connection.send_request("POST", "/api/submit", &[], b"[1]");
    store.wait_for_batch();
    begin(&mut server);
    store.open();
    let answer = connection.answer();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert!(connection.is_closed());
    server.join();
}

#[test]
fn a_half_sent_request_may_be_finished() {
    let mut server = TestServer::start();
    let mut connection = server.connect();
    connection.send(b"POST /api/submit HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n[");
    eventually("the server has the connection", || {
        server.app.metrics.http.iter().any(|core| core.connections.open.get() == 1).then_some(())
    });
    begin(&mut server);
    connection.send(b"1]");
    let answer = connection.answer();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    server.join();
}

#[test]
fn who_still_comes_is_judged_by_what_is_true_then() {
    let mut server = TestServer::start();
    let mut connection = server.connect();
    connection.send(b"POST /api/submit HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n[");
    eventually("the server has the connection", || {
        server.app.metrics.http.iter().any(|core| core.connections.open.get() == 1).then_some(())
    });
    begin(&mut server);
    // Waits until the server has seen it.
    server.set_window("demo", Some(NOW.plus_ms(60_000)), None);
    connection.send(b"1]");
    connection.answer().assert_problem(409, "poll_not_open");
    server.join();
}

#[test]
fn an_open_connection_has_one_more_answer_and_readyz_says_no() {
    let mut server = TestServer::start();
    let mut votes = server.connect();
    let mut asks = server.connect();
    let mut lives = server.connect();
    for connection in [&mut votes, &mut asks, &mut lives] {
        assert_eq!(connection.request("GET", "/readyz", &[], b"").status, 200);
    }
    begin(&mut server);
    // All at once: a connection is idle for a second only, and a vote may wait for longer than that for the disk.
    asks.send_request("GET", "/readyz", &[], b"");
    votes.send_request("POST", "/api/submit", &[], b"[1]");
    lives.send_request("GET", "/livez", &[], b"");
    let ready = asks.answer();
    ready.assert_problem(503, "shutting_down");
    assert_eq!(ready.header("connection"), Some("close"));
    assert_eq!((votes.answer().status, lives.answer().status), (200, 200));
    assert!(votes.is_closed() && asks.is_closed() && lives.is_closed());
    server.join();
}

#[test]
fn idle_connections_are_closed_and_new_ones_refused() {
    let mut server = TestServer::start();
    let mut fresh = server.connect();
    let mut used = server.connect();
    assert_eq!(used.request("GET", "/livez", &[], b"").status, 200);
    let began = Instant::now();
    begin(&mut server);
    eventually("new connections are refused", || TcpStream::connect(server.address).is_err().then_some(()));
    assert!(fresh.is_closed() && used.is_closed());
    server.join();
    // Kept until what is left is cut, they would last for eleven seconds.
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn a_client_that_is_stuck_holds_it_up_for_a_while_only() {
    let mut server = TestServer::start();
    let mut stuck = server.connect();
    stuck.send(b"POST /api/submit HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n[");
    let mut half_a_head = server.connect();
    half_a_head.send(b"GET /livez HT");
    eventually("the server has both connections", || {
        let open: i64 = server.app.metrics.http.iter().map(|core| core.connections.open.get()).sum();
        (open == 2).then_some(())
    });
    server.join();
    stuck.answer().assert_problem(408, "request_timeout");
    assert!(stuck.is_closed() && half_a_head.is_closed());
}
