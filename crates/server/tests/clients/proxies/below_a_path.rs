//! Throng at a path of another site, which nginx takes off or leaves on.

use std::net::SocketAddr;

use throng_testkit::{Connection, TestServer};

use crate::front::Front;

#[test]
fn pages_work_where_the_proxy_takes_the_path_off() {
    vote_below_a_path(Front::nginx_without_path);
}

#[test]
fn pages_work_where_the_proxy_leaves_the_path_on() {
    vote_below_a_path(Front::nginx_with_path);
}

/// Follows every link of the pages, votes by the form and by the API, and follows the form's redirect.
fn vote_below_a_path(start: fn(SocketAddr) -> Front) {
    let server = TestServer::start_with(&[("PUBLIC_URL", "https://site.example/vote")]);
    let front = start(server.address);
    let request = |method, path: &str, kind, body: &str| {
        let headers = [("content-type", kind), ("accept", "text/html")];
        Connection::open(front.address).request(method, path, &headers, body.as_bytes())
    };
    let get = |path: &str| request("GET", path, "text/plain", "");
    let mut links = 0;
    for (path, status) in [("/vote/", 200), ("/vote/polls/demo", 200), ("/vote/polls/nowhere", 404)] {
        let page = get(path);
        assert_eq!(page.status, status, "{path}");
        let attributes = page.text().split('"').filter(|value| !value.contains('>'));
        let is_link = |value: &&str| value.starts_with('/') || value.contains("url=/") || value.contains("://s");
        for link in attributes.filter(is_link) {
            let link = link.rsplit("url=").next().unwrap();
            let link = link.strip_prefix("https://site.example").unwrap_or(link);
            assert!(link.starts_with("/vote/"), "{path}: {link}");
            let wanted = match link.rsplit('/').next() {
                Some("ballots") => 405,
                Some("ballot") => 303,
                _ => 200,
            };
            assert_eq!(get(link).status, wanted, "{path}: {link}");
            links += 1;
        }
    }
    assert!(links >= 11, "{links} links");
    let ballot = get("/vote/polls/demo/ballot");
    let ballot = ballot.header("location").unwrap();
    assert!(ballot.starts_with("/vote/polls/demo/ballot?id="), "{ballot}");
    assert_eq!(get(ballot).status, 200);
    let id = "018f4d1e-7c00-7000-8000-000000000001";
    let form = format!("choice=1&ballot_id={id}");
    let taken = request("POST", "/vote/polls/demo", "application/x-www-form-urlencoded", &form);
    assert_eq!(taken.status, 303, "{taken:?}");
    let result = taken.header("location").unwrap();
    assert!(result.starts_with("/vote/polls/demo?"), "{result}");
    assert_eq!(get(result).status, 200);
    assert_eq!(request("POST", "/vote/api/submit", "text/plain", "[1]").json()["1"], 2);
    assert_eq!(server.stored_voters(), 2);
}
