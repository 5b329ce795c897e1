//! Throng behind the real nginx, Apache, HAProxy, Varnish and Caddy, with the configurations that `deploy/` has or as they are
//! installed.

mod addresses;
mod below_a_path;
mod caches;
mod checks;
mod clients;
mod crowd;
mod idle;
mod resends;

use std::net::SocketAddr;
use std::time::Duration;

use throng_domain::new_poll::NewPoll;
use throng_testkit::{Connection, NOW, TestServer};

use crate::front::Front;

#[test]
fn a_crowd_votes_through_nginx() {
    vote_through(Front::nginx);
}

#[test]
fn a_crowd_votes_through_apache() {
    vote_through(Front::apache);
}

#[test]
fn a_crowd_votes_through_haproxy() {
    vote_through(Front::haproxy);
}

/// Nobody does anything for so long.
#[expect(clippy::disallowed_methods, reason = "what is tested is what happens after a while without anything")]
fn stay_away(time: Duration) {
    std::thread::sleep(time);
}

/// Votes and reads through the proxy as a page does, and sends what is no vote.
fn vote_through(start: fn(SocketAddr) -> Front) {
    let server = TestServer::start();
    let front = start(server.address);
    for number in 1..=50 {
        let answer = Connection::open(front.address).request("POST", "/api/submit", &[], b"[1]");
        assert_eq!(answer.text(), format!(r#"{{"1":{number},"2":0,"3":0,"4":0,"5":0}}"#));
    }
    let request = |method, path, body| Connection::open(front.address).request(method, path, &[], body);
    assert_eq!(request("GET", "/api/result", b"").json()["1"], 50);
    request("POST", "/api/submit", b"[9]").assert_problem(422, "invalid_choice");
    assert!(request("GET", "/polls/demo", b"").text().contains("<form"));
    let mut old = Connection::open(front.address);
    old.send(b"GET /api/result HTTP/1.0\r\n\r\n");
    assert_eq!(old.answer().json()["1"], 50, "a client of old doesn't say which host it means");
    for private in ["/metrics", "/readyz"] {
        assert_eq!(request("GET", private, b"").status, 404);
    }
    assert_eq!(request("POST", "/api/submit", &[b' '; 17_000]).status, 413);
    assert_eq!(server.stored_voters(), 50);
}

#[test]
fn ballots_of_own_pages_pass_every_proxy_and_those_of_others_do_not() {
    for start in [Front::nginx, Front::apache, Front::haproxy] {
        let server = TestServer::start_with(&[("APP_ENV", "prod")]);
        server.create_poll(NewPoll::demo("demo".parse().unwrap(), NOW));
        let front = start(server.address);
        let own = format!("http://{}", front.address);
        let vote = |origin: &str| {
            let head = format!("host: {}\r\norigin: {origin}\r\ncontent-length: 3", front.address);
            let mut connection = Connection::open(front.address);
            connection.send(format!("POST /api/submit HTTP/1.1\r\n{head}\r\n\r\n[1]").as_bytes());
            connection.answer().status
        };
        assert_eq!([vote(&own), vote("http://evil.example"), vote("null")], [200, 403, 403]);
        assert_eq!(server.stored_voters(), 1);
    }
}

#[test]
fn a_vote_is_not_sent_twice_when_its_answer_stays_out() {
    for start in [Front::nginx, Front::apache, Front::haproxy] {
        let (server, store) = TestServer::start_gated(100);
        let front = start(server.address);
        store.shut();
        let mut voter = Connection::open(front.address);
        voter.send_request("POST", "/api/submit", &[], b"[1]");
        store.wait_for_batch();
        drop(voter);
        store.open();
        let answer = Connection::open(front.address).request("POST", "/api/submit", &[], b"[2]");
        assert_eq!(answer.text(), r#"{"1":1,"2":1,"3":0,"4":0,"5":0}"#);
    }
}
