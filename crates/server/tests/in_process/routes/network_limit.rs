//! The limit of votes per network (`VOTES_PER_NETWORK`), by every way to vote.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use throng_domain::clock::Timestamp;
use throng_testkit::{Answer, Connection, NOW, TestServer};
use uuid::Uuid;

const ME: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const FORM: &str = "application/x-www-form-urlencoded";
const SHARE: usize = 20;

/// A way to vote.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// `/api/submit` on the fast path.
    Fast,
    /// `/api/submit` with an id, which the library reads.
    Compat,
    V1,
    Form,
}

const WAYS: [Way; 4] = [Way::Fast, Way::Compat, Way::V1, Way::Form];

impl Way {
    /// The response to a vote with this ballot id, if the way has one.
    fn send(self, connection: &mut Connection, headers: &[(&str, &str)], id: &str) -> Answer {
        let (path, own, body) = match self {
            Self::Fast => ("/api/submit", vec![], "[1]".to_owned()),
            Self::Compat => ("/api/submit", vec![("idempotency-key", id)], "[1]".to_owned()),
            Self::V1 => (
                "/api/v1/polls/demo/ballots",
                vec![("content-type", "application/json")],
                format!(r#"{{"ballot_id":"{id}","choices":[1]}}"#),
            ),
            Self::Form => ("/polls/demo", vec![("content-type", FORM)], format!("choice=1&ballot_id={id}")),
        };
        connection.request("POST", path, &[&own, headers].concat(), body.as_bytes())
    }

    /// The status of a vote that was taken.
    fn taken(self, server: &TestServer) -> u16 {
        match self {
            Self::Fast | Self::Compat => 200,
            Self::V1 => server.taken(),
            Self::Form => 303,
        }
    }
}

/// A server on which a network may send so many votes per minute.
fn limited(votes: usize, settings: &[(&str, &str)]) -> TestServer {
    TestServer::start_with(&[&[("VOTES_PER_NETWORK", &*votes.to_string())], settings].concat())
}

fn new_id() -> String {
    Uuid::from_u128(rand::random()).to_string()
}

fn retry_after_s(answer: &Answer) -> i64 {
    answer.header("retry-after").expect("it says when to retry").parse().unwrap()
}

/// S29: one source at ten times its limit gets exactly its share, and nobody else notices.
#[test]
fn one_source_at_ten_times_its_limit_gets_its_share() {
    let server = limited(SHARE, &[]);
    let mut taken = 0;
    for (minute, way) in (0..).zip(WAYS) {
        server.clock.set(NOW.plus_ms(minute * 60_000));
        let send = || {
            let mut connection = Connection::open_from(ME, server.address);
            (0..SHARE).map(|_| way.send(&mut connection, &[], &new_id()).status).collect::<Vec<_>>()
        };
        let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
        std::thread::scope(|scope| {
            let senders: Vec<_> = (0..10).map(|_| scope.spawn(send)).collect();
            for status in senders.into_iter().flat_map(|sender| sender.join().unwrap()) {
                *statuses.entry(status).or_default() += 1;
            }
        });
        assert_eq!(statuses, BTreeMap::from([(way.taken(&server), SHARE), (429, 9 * SHARE)]), "{way:?}");
        let mut other = Connection::open_from(OTHER, server.address);
        for _ in 0..SHARE {
            assert_eq!(way.send(&mut other, &[], &new_id()).status, way.taken(&server), "{way:?}, another network");
        }
        taken += 2 * SHARE as u64;
    }
    assert_eq!(server.stored_voters(), taken, "what was refused isn't counted");
    assert_eq!(server.metric(r#"throng_ballots_refused_total{reason="rate_limited"}"#), 4 * 9 * SHARE as u64);
    assert_eq!(server.metric("throng_limited_networks"), 2);
    assert_eq!(server.get("/api/result").status, 200, "results aren't limited");
}

#[test]
fn every_way_takes_from_one_share() {
    let server = limited(WAYS.len(), &[]);
    let mut connection = server.connect();
    for way in WAYS {
        assert_eq!(way.send(&mut connection, &[], &new_id()).status, way.taken(&server), "{way:?}");
    }
    for way in WAYS {
        assert_eq!(way.send(&mut connection, &[], &new_id()).status, 429, "{way:?}");
    }
}

#[test]
fn refused_vote_counts_if_sent_again_after_retry_after() {
    let server = limited(4, &[]);
    let mut now = NOW;
    let mut connection = server.connect();
    for way in WAYS {
        while way.send(&mut connection, &[], &new_id()).status == way.taken(&server) {}
        let (voters, id) = (server.stored_voters(), new_id());
        let refused = way.send(&mut connection, &[], &id);
        let wait_s = retry_after_s(&refused);
        assert!((1..=15).contains(&wait_s), "{wait_s}");
        let at = |now: Timestamp, after_s| now.plus_ms(after_s * 1_000);
        server.clock.set(at(now, wait_s - 1));
        assert_eq!(way.send(&mut connection, &[], &id).status, 429, "{way:?}, a second too early");
        now = at(now, wait_s);
        server.clock.set(now);
        assert_eq!(way.send(&mut connection, &[], &id).status, way.taken(&server), "{way:?}");
        assert_eq!(server.stored_voters(), voters + 1);
    }
}

#[test]
fn refusal_is_a_problem_that_other_sites_pages_can_read() {
    let server = limited(1, &[]);
    let mut connection = server.connect();
    assert_eq!(Way::V1.send(&mut connection, &[], &new_id()).status, server.taken());
    for way in [Way::Fast, Way::Compat, Way::V1] {
        let answer = way.send(&mut connection, &[("origin", "https://a.example")], &new_id());
        answer.assert_problem(429, "rate_limited");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{way:?}");
        assert!(answer.header("access-control-expose-headers").unwrap().contains("retry-after"), "{way:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{way:?}");
        assert_eq!(retry_after_s(&answer), 60, "{way:?}");
    }
}

#[test]
fn page_has_the_form_with_its_id_again() {
    let server = limited(1, &[]);
    let mut connection = server.connect();
    assert_eq!(Way::Form.send(&mut connection, &[], &new_id()).status, 303);
    let id = new_id();
    let send = |connection: &mut Connection, more: &str| {
        let form = format!("choice=2&ballot_id={id}{more}");
        connection.request("POST", "/polls/demo", &[("content-type", FORM)], form.as_bytes())
    };
    let page = send(&mut connection, "");
    assert_eq!((page.status, retry_after_s(&page)), (429, 60));
    assert!(page.text().contains("Too many votes are coming from your network"), "{}", page.text());
    assert!(page.text().contains("yours was not counted"), "{}", page.text());
    assert!(page.text().contains(&format!(r#"name="ballot_id" value="{id}""#)), "{}", page.text());
    assert!(page.text().contains(r#"value="2" checked"#), "{}", page.text());
    // The first attempt's response was lost.
    let page = send(&mut connection, "&retry=1");
    assert!(page.text().contains("Your first attempt may have been counted"), "{}", page.text());
    assert!(page.text().contains(r#"name="retry""#), "{}", page.text());
}

#[test]
fn body_of_a_refused_vote_is_not_parsed() {
    let server = limited(1, &[]);
    let mut connection = server.connect();
    assert_eq!(Way::Fast.send(&mut connection, &[], &new_id()).status, 200);
    for path in ["/api/submit", "/api/v1/polls/demo/ballots"] {
        connection.request("POST", path, &[], b"not a ballot").assert_problem(429, "rate_limited");
    }
}

#[test]
fn forwarded_addresses_count_only_from_trusted_proxies() {
    let server = limited(1, &[("TRUSTED_PROXIES", "127.0.0.1")]);
    let [mut proxy, mut other] = [ME, OTHER].map(|own| Connection::open_from(own, server.address));
    for (minute, way) in (0..).zip(WAYS) {
        // A whole share for everybody.
        server.clock.set(NOW.plus_ms(minute * 60_000));
        for (client, is_taken) in [
            ("192.0.2.1", true),
            ("192.0.2.1", false),
            ("192.0.2.2", true),
            ("192.0.2.2", false),
            ("2001:db8::1", true),
            ("2001:db8::2", false),
            ("2001:db8:0:1::1", true),
            // The proxy's own address, and nothing readable, are nobody's network.
            ("127.0.0.1", true),
            ("127.0.0.1", true),
            ("unknown", true),
            ("unknown", true),
        ] {
            let status = way.send(&mut proxy, &[("x-forwarded-for", client)], &new_id()).status;
            assert_eq!(status, if is_taken { way.taken(&server) } else { 429 }, "{way:?}, {client}");
        }
        for (client, status) in [("192.0.2.3", way.taken(&server)), ("192.0.2.4", 429), ("127.0.0.1", 429)] {
            let answer = way.send(&mut other, &[("x-forwarded-for", client)], &new_id());
            assert_eq!(answer.status, status, "{way:?}, {client} by another peer");
        }
    }
}

/// S29, by addresses: whoever has a /64 has 2⁶⁴ addresses, and one share.
#[test]
fn addresses_of_one_64_have_one_share() {
    let server = limited(SHARE, &[("TRUSTED_PROXIES", "127.0.0.1")]);
    let mut proxy = server.connect();
    let statuses = (0..10_000_u32).map(|host| {
        let address = format!("2001:db8::{:x}:{:x}", host >> 8, host & 0xff);
        Way::Fast.send(&mut proxy, &[("x-forwarded-for", &address)], "").status
    });
    assert_eq!(statuses.filter(|status| *status == 200).count(), SHARE);
    assert_eq!(server.metric("throng_limited_networks"), 1);
}
