//! Varnish with its defaults in front: what it keeps, and for how long it shows it.

use throng_testkit::{Answer, Connection, TestServer};

use crate::front::Front;

#[test]
fn varnish_shows_no_result_for_longer_than_a_second() {
    let server = TestServer::start();
    let front = Front::varnish(server.address);
    for path in ["/api/v1/polls/demo/results", "/api/v1/polls/demo", "/polls/demo", "/"] {
        let kept = get(&front, path);
        let ttl: f64 = kept.header("x-ttl").unwrap().parse().unwrap();
        assert!((0.0..=1.0).contains(&ttl), "{path}: {kept:?}");
        // What Varnish would show for ten seconds more by default.
        assert_eq!(kept.header("x-grace"), Some("0.000"), "{path}: {kept:?}");
    }
}

#[test]
fn varnish_keeps_nothing_that_is_true_only_now() {
    let server = TestServer::start();
    let front = Front::varnish(server.address);
    for path in
        ["/api/result", "/livez", "/readyz", "/metrics", "/polls/song", "/api/v1/polls/song/results", "/nowhere"]
    {
        for _ in 0..2 {
            let response = get(&front, path);
            assert_eq!(response.header("x-hits"), Some("0"), "{path}: {response:?}");
        }
    }
}

fn get(front: &Front, path: &str) -> Answer {
    Connection::open(front.address).request("GET", path, &[], b"")
}
