//! How a connection begins, or doesn't.

use std::io::{Read as _, Write as _};

use throng_testkit::Connection;

use crate::tls::certificate::{Certificate, TlsServer};
use crate::tls::client;

/// What a TLS alert begins with.
const ALERT: u8 = 21;

#[test]
fn a_client_that_speaks_both_gets_http_2() {
    let server = TlsServer::start();
    for offered in [["h2", "http/1.1"], ["http/1.1", "h2"]] {
        assert_eq!(server.stream(&offered).conn.alpn_protocol(), Some(&b"h2"[..]));
    }
    assert_eq!(server.stream(&["http/1.1"]).conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(server.stream(&[]).conn.alpn_protocol(), None);
}

#[test]
fn a_client_that_speaks_neither_is_told_so() {
    let server = TlsServer::start();
    let refused = client::connect(server.server.address, &server.certificate.der, &["h3"]).unwrap_err();
    assert!(refused.to_string().contains("NoApplicationProtocol"), "{refused}");
}

#[test]
fn a_client_that_trusts_another_goes_away_and_nobody_minds() {
    let server = TlsServer::start();
    let other = Certificate::make();
    assert!(client::connect(server.server.address, &other.der, &["h2"]).is_err());
    assert_eq!(server.voters(), 0);
}

#[test]
fn a_request_without_tls_is_closed_and_not_reset() {
    let server = TlsServer::start();
    // Longer than what is read before it is known to be no TLS: what nobody reads would reset the connection.
    let long = format!("POST /api/submit HTTP/1.1\r\nhost: x\r\ncontent-length: 60000\r\n\r\n{:60000}", "[1]");
    for request in ["GET / HTTP/1.1\r\nhost: x\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &long] {
        let mut stream = Connection::tcp(server.server.address);
        stream.write_all(request.as_bytes()).unwrap();
        let mut told = Vec::new();
        stream.read_to_end(&mut told).expect("an end, not a reset");
        assert_eq!(told.first(), Some(&ALERT), "{told:?}");
    }
    assert_eq!(server.voters(), 0);
}
