//! Clients that ask for much over HTTP/2 and take none of it: what is held for them is bounded.

use throng_domain::new_poll::NewPoll;
use throng_testkit::{NOW, eventually};

use crate::tls::certificate::TlsServer;
use crate::tls::frames::{END_HEADERS, END_STREAM, HEADERS, Http2, PING, frame, head};
use crate::tls::http2::Client;

/// The requests that a connection may have open.
const STREAMS: usize = 128;

/// How many clients don't read, and the bytes that wait for one at the most: as many as let no further request begin,
/// and the last response before that.
const CLIENTS: usize = 10;
const CLIENT_BYTES_MAX: usize = (256 + 128) * 1_024;

/// Settings with which nothing of a response's body may be sent.
const NO_ROOM: &[(u16, u32)] = &[(4, 0)];

/// A server with a poll whose page has 100 KB.
fn server() -> TlsServer {
    let server = TlsServer::start();
    let labels = (0..100).map(|number| format!("{number:03} {}", "<".repeat(196))).collect();
    server.server.create_poll(NewPoll { labels, ..NewPoll::demo("large".parse().unwrap(), NOW) });
    server
}

/// A client that asks for the page so often, and has the head of the first response.
fn asks_without_reading(server: &TlsServer, times: usize) -> Http2 {
    let mut client = Http2::begin_with(server.stream(&["h2"]), NO_ROOM);
    let requests = (0..times).map(|number| u32::try_from(2 * number + 1).unwrap());
    let requests: Vec<u8> =
        requests.flat_map(|stream| head(stream, END_HEADERS | END_STREAM, "GET", "/polls/large")).collect();
    client.send(&requests).unwrap();
    client.until("a response", |frame| frame.kind == HEADERS);
    client
}

/// The memory that this process has, in bytes.
fn resident_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4_096
}

fn unsent_bytes(server: &TlsServer) -> usize {
    let unsent: i64 = server.server.app.metrics.http.iter().map(|core| core.unsent_bytes.get()).sum();
    usize::try_from(unsent).unwrap()
}

#[test]
fn responses_that_nobody_reads_take_little_memory() {
    let server = server();
    let page = Client::open(&server).request("GET", "/polls/large", &[], b"");
    assert!(page.status == 200 && page.body.len() > 90_000, "{}", page.body.len());
    let before = resident_bytes();
    // Each is asked for a sign at once: after ten seconds without reading, the server ends its connection.
    let asks = |_| {
        let mut client = asks_without_reading(&server, STREAMS);
        client.send(&frame(PING, 0, 0, &[7; 8])).unwrap();
        client.until("a sign", |frame| frame.kind == PING && frame.payload == [7; 8]);
        client
    };
    let clients: Vec<_> = (0..CLIENTS).map(asks).collect();
    let (held, unsent) = (resident_bytes().saturating_sub(before), unsent_bytes(&server));
    assert!(held < 50 << 20, "{} MB for {CLIENTS} clients", held >> 20);
    assert!((1..=CLIENT_BYTES_MAX * CLIENTS).contains(&unsent), "{unsent}");
    assert_eq!(Client::open(&server).request("GET", "/polls/large", &[], b"").body, page.body, "others are served");
    drop(clients);
    eventually("nothing is held any more", || (unsent_bytes(&server) == 0).then_some(()));
    too_much_in_all_ends_those_who_do_not_read(&server);
}

/// In a test with the one before, which looks at what the whole process holds.
fn too_much_in_all_ends_those_who_do_not_read(server: &TlsServer) {
    let clients: Vec<_> = (0..300).map(|_| asks_without_reading(server, 3)).collect();
    assert!(unsent_bytes(server) <= 72 << 20, "{} MB", unsent_bytes(server) >> 20);
    eventually("there is room again", || {
        let page = Client::open(server).request("GET", "/polls/large", &[], b"");
        if page.status == 200 {
            return Some(());
        }
        page.assert_problem(503, "overloaded");
        assert_eq!(page.header("retry-after"), Some("1"));
        None
    });
    drop(clients);
    eventually("nothing is held any more", || (unsent_bytes(server) == 0).then_some(()));
}

#[test]
fn many_requests_at_once_are_answered_as_the_client_reads() {
    let server = server();
    let client = Client::open(&server);
    let pages = client.requests(STREAMS, "GET", "/polls/large", b"");
    assert!(pages.iter().all(|page| page.status == 200 && page.body.len() > 90_000));
    assert_eq!(pages.len(), STREAMS);
}
