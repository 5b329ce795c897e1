//! Who a client is that comes through a proxy: its own address, whatever it says of itself.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::json;
use throng_testkit::{Connection, TestServer, log};

use crate::front::Front;

/// Proxies come from here; clients from others of this machine's addresses, each test's its own.
const PROXY: &str = "127.0.0.1";

const FORGED: &[(&str, &str)] =
    &[("x-forwarded-for", "203.0.113.9, 127.0.0.1"), ("forwarded", "for=203.0.113.9"), ("x-request-id", "forged")];

fn server() -> TestServer {
    log::keep();
    TestServer::start_with(&[("TRUSTED_PROXIES", PROXY)])
}

#[test]
fn nginx_tells_a_clients_address() {
    tell_addresses(Front::nginx, 0);
}

#[test]
fn apache_tells_a_clients_address() {
    tell_addresses(Front::apache, 16);
}

#[test]
fn haproxy_tells_a_clients_address() {
    tell_addresses(Front::haproxy, 24);
}

/// Clients at different addresses, on the fast path and off it, honest and not.
fn tell_addresses(start: fn(SocketAddr) -> Front, net: u8) {
    let server = server();
    let front = start(server.address);
    for (number, headers) in [(2, &[][..]), (3, FORGED)] {
        let client = Ipv4Addr::new(127, 0, net + 1, number);
        for (method, path) in [("POST", "/api/submit"), ("GET", "/api/v1/polls/demo")] {
            let mut connection = Connection::open_from(client, front.address);
            assert_eq!(connection.request(method, path, headers, b"[1]").status, 200);
        }
        for path in ["/api/submit", "/api/v1/polls/demo"] {
            let line = log::line(&[("client", json!(client.to_string())), ("path", json!(path))]);
            let request_id = line["request_id"].as_str().unwrap();
            // nginx makes 32 digits, HAProxy a UUID, Apache 24 or more characters; Throng's own have 16.
            assert!(request_id.len() >= 24, "the proxy's id, not one of ours, and not the client's: {line}");
        }
    }
    assert_eq!(log::lines(&[("client", json!("203.0.113.9"))]), [] as [serde_json::Value; 0]);
}

#[test]
fn who_is_no_proxy_of_ours_is_not_believed() {
    let server = server();
    let client = Ipv4Addr::new(127, 0, 40, 2);
    let mut connection = Connection::open_from(client, server.address);
    for (method, path) in [("POST", "/api/submit"), ("GET", "/api/v1/polls/demo")] {
        assert_eq!(connection.request(method, path, FORGED, b"[1]").status, 200);
        let line = log::line(&[("client", json!(client.to_string())), ("path", json!(path))]);
        assert_ne!(line["request_id"], "forged", "{line}");
    }
}

#[test]
fn trusted_proxy_names_the_client_on_either_path() {
    let server = server();
    let mut connection = server.connect();
    for (method, path) in [("POST", "/api/submit"), ("GET", "/api/v1/polls/demo")] {
        let (id, told) = (format!("id-of-{method}"), "203.0.113.5, 2001:db8::7, 127.0.0.1");
        let headers = [("X-Forwarded-For", told), ("X-Request-ID", &id)];
        assert_eq!(connection.request(method, path, &headers, b"[1]").status, 200);
        let line = log::line(&[("request_id", json!(id))]);
        assert_eq!((&line["client"], &line["path"]), (&json!("2001:db8::7"), &json!(path)));
    }
}
