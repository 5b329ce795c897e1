//! What a connection begins with beside HTTP/1.1 and TLS: HTTP/2, a proxy's header, or what this server isn't set to.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use serde_json::Value;
use throng::net::IdleTimeouts;
use throng_testkit::{Connection, TestServer, eventually, log};

use crate::tls::certificate::TlsServer;
use crate::tls::client::{config, handshake};
use crate::tls::frames::{SETTINGS, frame};
use crate::tls::http2::Client;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The settings of a server behind a proxy on this machine that sends headers.
const BEHIND_PROXY: [(&str, &str); 2] = [("PROXY_PROTOCOL", "true"), ("TRUSTED_PROXIES", "127.0.0.1")];

/// Headers of both versions, each with the client that it names.
fn headers() -> [(&'static [u8], &'static str); 3] {
    [
        (b"PROXY TCP4 192.0.2.1 192.0.2.9 4660 80\r\n", "192.0.2.1"),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc0\0\x02\x09\x12\x34\0\x50", "192.0.2.7"),
        // A health check of the proxy's own.
        (b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", "127.0.0.1"),
    ]
}

/// The log has a line with these words.
#[track_caller]
fn assert_logged(words: &str) {
    let says = |line: &Value| line["message"].as_str().is_some_and(|message| message.contains(words));
    eventually(words, || log::lines(&[]).iter().any(says).then_some(()));
}

#[test]
fn http_2_is_spoken_without_tls_to_who_begins_with_it() {
    let server = TestServer::start();
    let answers = Client::plain(server.address).votes(200);
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(server.stored_voters(), 200);
}

#[test]
fn http_2_may_begin_in_pieces() {
    let server = TestServer::start();
    for end in [1, 3, 14, 20, PREFACE.len()] {
        let mut stream = Connection::tcp(server.address);
        stream.write_all(&PREFACE[..end]).unwrap();
        stream.write_all(&[&PREFACE[end..], &frame(SETTINGS, 0, 0, b"")].concat()).unwrap();
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(head[3], SETTINGS, "{end}");
    }
}

#[test]
fn http_2_begins_a_connection_or_ends_it() {
    let server = TestServer::start();
    let mut connection = server.connect();
    assert_eq!(connection.request("GET", "/api/result", &[], b"").status, 200);
    connection.send(PREFACE);
    assert!(connection.is_closed());
}

#[test]
fn a_proxys_header_names_the_client() {
    log::keep();
    let server = TestServer::start_with(&BEHIND_PROXY);
    for (number, (header, client)) in headers().into_iter().enumerate() {
        let path = format!("/behind-a-proxy/{number}");
        let mut connection = server.connect();
        connection.send(header);
        connection.request("GET", &path, &[], b"").assert_problem(404, "not_found");
        assert_eq!(log::line(&[("path", path.into())])["client"], client);
        assert_eq!(connection.request("POST", "/api/submit", &[], b"[1]").status, 200);
    }
}

#[test]
fn client_that_a_header_names_may_be_idle_for_a_clients_time() {
    let idle = IdleTimeouts { clients: Duration::from_millis(500), proxies: Duration::from_secs(3_600) };
    let server = TestServer::start_idle(idle, &BEHIND_PROXY);
    let mut connections = headers().map(|(header, _)| {
        let mut connection = server.connect();
        connection.send(header);
        assert_eq!(connection.request("GET", "/api/result", &[], b"").status, 200);
        connection
    });
    let [one, other, health_check] = &mut connections;
    assert!(one.is_closed() && other.is_closed());
    assert_eq!(health_check.request("GET", "/api/result", &[], b"").status, 200, "the proxy's own is kept for longer");
}

#[test]
fn a_proxys_header_comes_before_tls() {
    log::keep();
    let server = TlsServer::start_with(&BEHIND_PROXY);
    for (number, (header, client)) in headers().into_iter().enumerate() {
        let path = format!("/behind-a-proxy-over-tls/{number}");
        let mut tcp = Connection::tcp(server.server.address);
        tcp.write_all(header).unwrap();
        let config = config(&server.certificate.der, &["http/1.1"], rustls::ALL_VERSIONS);
        let mut connection = Connection::over(handshake(tcp, config).unwrap());
        connection.request("GET", &path, &[], b"").assert_problem(404, "not_found");
        assert_eq!(log::line(&[("path", path.into())])["client"], client);
    }
}

#[test]
fn a_trusted_proxy_without_a_header_is_closed_and_logged() {
    log::keep();
    let server = TestServer::start_with(&BEHIND_PROXY);
    let mut connection = server.connect();
    connection.send(b"POST /api/submit HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n[1]");
    assert!(connection.is_closed());
    assert_logged("unset PROXY_PROTOCOL");
}

#[test]
fn nobody_else_names_a_client() {
    log::keep();
    let server = TestServer::start_with(&[("PROXY_PROTOCOL", "true"), ("TRUSTED_PROXIES", "192.0.2.1")]);
    assert_eq!(server.get("/api/result").status, 200, "others have no header");
    for (header, _) in headers() {
        let mut connection = server.connect();
        connection.send(&[header, b"POST /api/submit HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n[1]"].concat());
        connection.answer().assert_bad_request(400);
        assert!(connection.is_closed());
    }
    assert_logged("set PROXY_PROTOCOL=true");
    assert_eq!(server.voters(), 0);
}

#[test]
fn what_a_port_does_not_speak_is_logged() {
    log::keep();
    let server = TestServer::start();
    let mut connection = server.connect();
    connection.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    connection.answer().assert_bad_request(400);
    assert_logged("set TLS_CERTIFICATE");
    let server = TlsServer::start();
    let mut connection = Connection::open(server.server.address);
    connection.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    while !connection.is_closed() {
        connection.try_answer();
    }
    assert_logged("have clients use https://");
}
