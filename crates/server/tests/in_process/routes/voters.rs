//! Who may vote, and how often: the policies `device` and `network`, by every way to vote.

use throng_domain::new_poll::NewPoll;
use throng_domain::policy::{Policy, Quota};
use throng_testkit::{Answer, Connection, NOW, TestServer};
use uuid::Uuid;

const SONG: &str = "/api/v1/polls/song/ballots";
const JSON: (&str, &str) = ("content-type", "application/json");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const OWN_PAGE: &str = "; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=2592000";
const OTHER_SITE: &str = "; Path=/; Secure; HttpOnly; SameSite=None; Partitioned; Max-Age=2592000";
const WITHOUT_TLS: &str = "; Path=/; HttpOnly; SameSite=Lax; Max-Age=2592000";

/// Creates an open poll in which so many ballots of a voter count.
fn create(server: &TestServer, slug: &str, policy: Policy, ballots: u8) {
    let quota = Quota { ballots, per_option: None };
    server.create_poll(NewPoll { policy, quota, ..NewPoll::demo(slug.parse().unwrap(), NOW) });
}

/// A server on which the compatibility routes serve a poll with this policy.
fn with_default_poll(policy: Policy, ballots: u8, settings: &[(&str, &str)]) -> TestServer {
    let server = TestServer::start_with(&[&[("APP_ENV", "prod")], settings].concat());
    create(&server, "demo", policy, ballots);
    server
}

fn new_id() -> String {
    Uuid::from_u128(rand::random()).to_string()
}

/// Casts a ballot in version 1; `more` is the rest of its object.
fn cast(connection: &mut Connection, headers: &[(&str, &str)], id: &str, choice: u16, more: &str) -> Answer {
    let body = format!(r#"{{"ballot_id":"{id}","choices":[{choice}]{more}}}"#);
    connection.request("POST", SONG, &[&[JSON], headers].concat(), body.as_bytes())
}

/// Casts a new ballot of the voter with this token.
fn cast_as(server: &TestServer, token: &str, choice: u16) -> Answer {
    cast(&mut server.connect(), &[], &new_id(), choice, &format!(r#","voter":"{token}""#))
}

/// The token that a ballot's response gives its voter.
fn token(answer: &Answer) -> String {
    answer.json()["voter"].as_str().unwrap().to_owned()
}

/// The name and value of the cookie that a response sets, and its attributes.
fn cookie(answer: &Answer) -> (&str, &str) {
    let mut set = answer.headers().iter().filter(|(name, value)| name == "set-cookie" && value.contains("throng-"));
    let (_, cookie) = set.next().expect("it sets the cookie");
    assert!(set.next().is_none(), "{answer:?}");
    cookie.split_at(cookie.find(';').unwrap())
}

fn voters(server: &TestServer, slug: &str) -> u64 {
    server.get(&format!("/api/v1/polls/{slug}/results")).json()["voters"].as_u64().unwrap()
}

/// Fails unless a ballot beyond the quota was refused. Behind a broker nobody can know yet, and it isn't counted.
#[track_caller]
fn assert_surplus(server: &TestServer, answer: &Answer) {
    if server.is_behind_a_broker() {
        assert!((200..400).contains(&answer.status), "{answer:?}");
    } else {
        answer.assert_problem(409, "already_voted");
    }
}

/// S1: however many ballots of one voter arrive at once, so many are counted as the quota allows.
#[test]
fn ballots_of_one_voter_at_once_count_up_to_the_quota() {
    const SENDERS: usize = 50;
    for (round, ballots) in [1, 7, 1, 7].into_iter().enumerate() {
        let server = TestServer::start();
        let policy = if round < 2 { Policy::Network } else { Policy::Device };
        create(&server, "song", policy, ballots);
        // A device is a voter from its first ballot on.
        let first = cast(&mut server.connect(), &[], &new_id(), 1, "");
        assert_eq!(first.status, server.taken());
        let token = match policy {
            Policy::Device => format!(r#","voter":"{}""#, token(&first)),
            Policy::Network | Policy::Signed | Policy::Unlimited | Policy::Code => String::new(),
        };
        let send = || {
            let mut connection = server.connect();
            let one = |_| cast(&mut connection, &[], &new_id(), 2, &token).status;
            (0..1_000 / SENDERS).map(one).collect::<Vec<_>>()
        };
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let senders: Vec<_> = (0..SENDERS).map(|_| scope.spawn(send)).collect();
            senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect()
        });
        let count = |status: u16| statuses.iter().filter(|found| **found == status).count();
        if !server.is_behind_a_broker() {
            assert_eq!((count(201), count(409)), (usize::from(ballots) - 1, 1_001 - usize::from(ballots)));
        }
        assert_eq!(voters(&server, "song"), u64::from(ballots), "{policy:?}");
    }
}

/// The very first ballots of a network, with nothing stored yet.
#[test]
fn first_ballots_of_one_network_at_once_count_once() {
    let server = TestServer::start();
    create(&server, "song", Policy::Network, 1);
    let send = || cast(&mut server.connect(), &[], &new_id(), 1, "").status;
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..32).map(|_| scope.spawn(send)).collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).collect()
    });
    let counted = statuses.iter().filter(|status| **status == server.taken()).count();
    assert_eq!(counted, if server.is_behind_a_broker() { 32 } else { 1 });
    assert_eq!(voters(&server, "song"), 1);
}

#[test]
fn voters_behind_one_address_count_up_to_the_quota_and_the_next_is_told_why() {
    let server = TestServer::start();
    create(&server, "song", Policy::Network, 100);
    let mut connection = server.connect();
    for _ in 0..100 {
        assert_eq!(cast(&mut connection, &[], &new_id(), 1, "").status, server.taken());
    }
    let surplus = cast(&mut connection, &[], &new_id(), 2, "");
    assert_surplus(&server, &surplus);
    let form = format!("choice=2&ballot_id={}", new_id());
    let page = server.connect().request("POST", "/polls/song", &[FORM], form.as_bytes());
    if !server.is_behind_a_broker() {
        assert_eq!(surplus.json()["choices"], serde_json::Value::Null, "they may be another person's");
        assert!(surplus.json()["detail"].as_str().unwrap().contains("100 a day from each network"), "{surplus:?}");
        assert_eq!(page.status, 409);
        assert!(page.text().contains("100 votes a day from each network"), "{}", page.text());
        assert!(page.text().contains(r#"value="2" checked"#), "the form can be sent again: {}", page.text());
    }
    let mut other = Connection::open_from([127, 0, 0, 2].into(), server.address);
    assert_eq!(cast(&mut other, &[], &new_id(), 1, "").status, server.taken());
    assert_eq!(voters(&server, "song"), 101);
    server.clock.set(NOW.plus_ms(24 * 60 * 60 * 1_000));
    assert_eq!(cast(&mut connection, &[], &new_id(), 1, "").status, server.taken(), "on the next day");
}

/// S2: a list of addresses counts only from a proxy that is configured, and is read from its end.
#[test]
fn client_cannot_choose_its_network() {
    let server = with_default_poll(Policy::Network, 1, &[("TRUSTED_PROXIES", "127.0.0.1,10.0.0.0/8")]);
    let send = |own: [u8; 4], length: &str, list: &str| {
        let mut connection = Connection::open_from(own.into(), server.address);
        let head = "POST /api/submit HTTP/1.1\r\nhost: a\r\n";
        connection.send(format!("{head}x-forwarded-for: {list}\r\ncontent-length: {length}\r\n\r\n[1]").as_bytes());
        connection.answer()
    };
    let hops =
        |first: &str, count: usize| [first].into_iter().chain(vec!["10.0.0.2"; count]).collect::<Vec<_>>().join(", ");
    let (proxy, stranger) = ([127, 0, 0, 1], [127, 0, 0, 9]);
    let mut expected = 0;
    // With zeros before it, a length is valid, and left to the HTTP library.
    for (own, list, is_new) in [
        (proxy, "192.0.2.1".to_owned(), true),
        (proxy, "192.0.2.1".to_owned(), false),
        (proxy, "198.51.100.1, 192.0.2.1".to_owned(), false),
        (proxy, "192.0.2.1:4711, 10.0.0.2".to_owned(), false),
        (proxy, "::ffff:192.0.2.1".to_owned(), false),
        (proxy, hops("192.0.2.1", 90), false),
        (proxy, "192.0.2.1, 198.51.100.1".to_owned(), true),
        (stranger, "192.0.2.7".to_owned(), true),
        (stranger, "192.0.2.8".to_owned(), false),
        // More hops than are read: the last one that was.
        (proxy, hops("192.0.2.9", 100), true),
        (proxy, hops("192.0.2.10", 100), false),
        (proxy, "2001:db8::1".to_owned(), true),
    ] {
        expected += u64::from(is_new);
        for length in ["3", "00003"] {
            let answer = send(own, length, &list);
            match (length, is_new) {
                ("3", true) => assert_eq!(answer.status, 200, "{list}: {answer:?}"),
                (_, true | false) => assert_surplus(&server, &answer),
            }
        }
        assert_eq!(voters(&server, "demo"), expected, "{list}");
    }
    // S3: addresses of one /64 are one network.
    for host in 0..200 {
        assert_surplus(&server, &send(proxy, "3", &format!("2001:db8::{host:x}:1")));
    }
    assert_eq!(voters(&server, "demo"), expected);
}

#[test]
fn device_votes_once_by_any_way() {
    let server = with_default_poll(Policy::Device, 1, &[]);
    let json = format!(r#"{{"ballot_id":"{}","choices":[1]}}"#, new_id());
    let post = |path: &str, headers: &[(&str, &str)], body: &str| {
        server.connect().request("POST", path, headers, body.as_bytes())
    };
    let ways = |headers: &[(&str, &str)]| {
        let (json, form) =
            (format!(r#"{{"ballot_id":"{}","choices":[2]}}"#, new_id()), format!("choice=2&ballot_id={}", new_id()));
        [
            post("/api/submit", headers, "[2]"),
            post("/api/v1/polls/demo/ballots", &[&[JSON], headers].concat(), &json),
            post("/polls/demo", &[&[FORM], headers].concat(), &form),
        ]
    };
    let first = post("/api/v1/polls/demo/ballots", &[JSON], &json);
    assert_eq!(first.status, server.taken());
    let tokens = [first].into_iter().chain(ways(&[])).map(|answer| {
        let (pair, attributes) = cookie(&answer);
        assert_eq!(attributes, WITHOUT_TLS);
        pair.strip_prefix("throng-demo=").unwrap().to_owned()
    });
    // S5: without a cookie, each is a voter of its own.
    let tokens: Vec<_> = tokens.collect();
    assert_eq!(voters(&server, "demo"), 4);
    for token in tokens {
        let kept = format!("throng-demo={token}");
        let [submitted, cast, sent] = ways(&[("cookie", &kept)]);
        assert_surplus(&server, &submitted);
        assert_surplus(&server, &cast);
        if server.is_behind_a_broker() {
            assert_eq!((sent.status, cookie(&sent).0), (303, &*kept));
            assert_eq!(cast.json()["voter"], serde_json::Value::Null, "the cookie is kept");
        } else {
            assert_eq!((submitted.header("set-cookie"), cast.header("set-cookie")), (None, None));
            assert_eq!(cast.json()["choices"].as_array().map(Vec::len), Some(1), "{cast:?}");
            assert_eq!(sent.status, 409);
            assert!(sent.text().contains("You have already voted"), "{}", sent.text());
            assert!(sent.text().contains(r#"<li class="result own"#), "{}", sent.text());
        }
        let [submitted, cast, _] = ways(&[("throng-voter", &token)]);
        assert_surplus(&server, &submitted);
        assert_surplus(&server, &cast);
    }
    assert_eq!(voters(&server, "demo"), 4);
}

#[test]
fn quota_counts_a_devices_ballots_and_its_choices() {
    let server = TestServer::start();
    let quota = Quota { ballots: 3, per_option: Some(2) };
    server.create_poll(NewPoll { policy: Policy::Device, quota, ..NewPoll::demo("song".parse().unwrap(), NOW) });
    let token = token(&cast(&mut server.connect(), &[], &new_id(), 1, ""));
    assert_eq!(cast_as(&server, &token, 1).status, server.taken());
    let surplus = cast_as(&server, &token, 1);
    if !server.is_behind_a_broker() {
        surplus.assert_problem(409, "option_quota_used");
    }
    assert_eq!(cast_as(&server, &token, 2).status, server.taken());
    assert_surplus(&server, &cast_as(&server, &token, 2));
    assert_eq!(voters(&server, "song"), 3);
}

#[test]
fn first_ballot_sent_again_is_of_the_same_device_and_counts_once() {
    let server = TestServer::start();
    create(&server, "song", Policy::Device, 1);
    let id = new_id();
    let send = |headers: &[_], more: &str| cast(&mut server.connect(), headers, &id, 1, more);
    let first = send(&[], "");
    let token = token(&first);
    let kept = format!("throng-song={token}");
    let given = format!(r#","voter":"{token}""#);
    for again in [send(&[], ""), send(&[], &given), send(&[("cookie", &kept)], ""), send(&[("cookie", &kept)], &given)]
    {
        assert_eq!((again.status, cookie(&again)), (first.status, cookie(&first)));
    }
    let form = format!("choice=1&ballot_id={id}");
    let again = server.connect().request("POST", "/polls/song", &[FORM], form.as_bytes());
    assert_eq!((again.status, cookie(&again)), (303, cookie(&first)));
    assert_eq!(voters(&server, "song"), 1);
}

/// S4: a token that was made up, is another poll's, or has one bit flipped is none.
#[test]
fn token_that_was_not_given_is_none() {
    let server = TestServer::start();
    create(&server, "song", Policy::Device, 1);
    create(&server, "other", Policy::Device, 1);
    let own = token(&cast(&mut server.connect(), &[], &new_id(), 1, ""));
    let body = format!(r#"{{"ballot_id":"{}","choices":[1]}}"#, new_id());
    let others = token(&server.post("/api/v1/polls/other/ballots", body.as_bytes()));
    let flipped = |at: usize| {
        let mut flipped = own.clone().into_bytes();
        flipped[at] ^= 1;
        String::from_utf8(flipped).unwrap()
    };
    let forged =
        [others, flipped(0), flipped(31), flipped(32), flipped(63), "0".repeat(64), String::new(), "x".repeat(5_000)];
    for (count, token) in (2..).zip(forged) {
        let kept = format!("throng-song={}", if token.len() > 100 { "" } else { &token });
        let answer = cast(&mut server.connect(), &[("cookie", &kept)], &new_id(), 1, &format!(r#","voter":"{token}""#));
        assert_eq!(answer.status, server.taken());
        assert_ne!(self::token(&answer), token, "it gets one of its own");
        assert_eq!(voters(&server, "song"), count);
    }
    assert_surplus(&server, &cast_as(&server, &own, 1));
}

/// S6: whoever learns the id of another voter's ballot can't take its place.
#[test]
fn ballot_id_of_another_voter_has_no_effect() {
    let server = TestServer::start();
    create(&server, "song", Policy::Device, 3);
    let voter = |number: u16| {
        let token = token(&cast(&mut server.connect(), &[], &new_id(), number, ""));
        format!(r#","voter":"{token}""#)
    };
    let (alice, bob) = (voter(1), voter(2));
    // Bob sends it first, and Alice as one of her ballots, or as her first one.
    for (bobs, alices) in [(&*bob, &*alice), ("", &*alice), (&*voter(3), "")] {
        let id = new_id();
        assert_eq!(cast(&mut server.connect(), &[], &id, 4, bobs).status, server.taken());
        let before = voters(&server, "song");
        let answer = cast(&mut server.connect(), &[], &id, 5, alices);
        assert_eq!(answer.status, server.taken(), "{answer:?}");
        assert_eq!(voters(&server, "song"), before + 1);
    }
}

/// S12: nothing but a token identifies a voter, and no field is ignored.
#[test]
fn unknown_fields_are_refused() {
    let server = TestServer::start();
    create(&server, "song", Policy::Device, 1);
    for more in
        [r#","voter_id":"x""#, r#","device":"x""#, r#","voter":7"#, r#","voter":"a","voter":"b""#, r#","quota":9"#]
    {
        cast(&mut server.connect(), &[], &new_id(), 1, more).assert_problem(422, "not_a_ballot");
    }
    let form = format!("choice=1&ballot_id={}&voter=x", new_id());
    assert_eq!(server.connect().request("POST", "/polls/song", &[FORM], form.as_bytes()).status, 422);
    assert_eq!(voters(&server, "song"), 0);
}

/// S17: the cookie for this server's own page, one of the same site, one of another site, and without HTTPS.
#[test]
fn cookie_suits_the_page_that_votes() {
    let server =
        with_default_poll(Policy::Device, 1, &[("CORS_ALLOW_ORIGIN", "https://news.example,https://www.test")]);
    for (origin, site, name, attributes) in [
        ("https://throng.test", "same-origin", "__Host-throng-demo", OWN_PAGE),
        ("https://www.test", "same-site", "__Host-throng-demo", OWN_PAGE),
        ("https://news.example", "cross-site", "__Host-throng-demo", OTHER_SITE),
        ("http://throng.test", "same-origin", "throng-demo", WITHOUT_TLS),
    ] {
        let page = [("origin", origin), ("sec-fetch-site", site)];
        let answer = server.connect().request("POST", "/api/submit", &page, b"[1]");
        assert_eq!(answer.status, 200, "{answer:?}");
        let (pair, set) = cookie(&answer);
        assert_eq!((pair.split_once('=').unwrap().0, set), (name, attributes), "{origin}");
        assert!(!answer.header("access-control-expose-headers").unwrap_or_default().contains("voter"));
        let again = server.connect().request("POST", "/api/submit", &[&page[..], &[("cookie", pair)]].concat(), b"[1]");
        assert_surplus(&server, &again);
    }
    assert_eq!(voters(&server, "demo"), 4);
    let asks = [("origin", "https://news.example"), ("access-control-request-method", "POST")];
    let preflight = server.connect().request("OPTIONS", "/api/submit", &asks, b"");
    assert!(preflight.header("access-control-allow-headers").unwrap().contains("throng-voter"), "{preflight:?}");
}

#[test]
fn first_valid_cookie_counts_and_none_without_the_prefix_over_https() {
    let server = TestServer::start();
    create(&server, "song", Policy::Device, 1);
    let https = ("origin", "https://throng.test");
    let [one, two] = [1, 2].map(|choice| token(&cast(&mut server.connect(), &[https], &new_id(), choice, "")));
    for (cookies, choice) in [
        (format!("__Host-throng-song={one}; __Host-throng-song={two}"), 1),
        (format!("throng-song={one}; __Host-throng-song=x; __Host-throng-song={two}"), 2),
    ] {
        let answer = cast(&mut server.connect(), &[https, ("cookie", &cookies)], &new_id(), 3, "");
        assert_surplus(&server, &answer);
        if !server.is_behind_a_broker() {
            assert_eq!(answer.json()["choices"], serde_json::json!([choice]), "{cookies}");
        }
    }
    assert_eq!(voters(&server, "song"), 2);
    let planted = format!("throng-song={one}");
    let answer = cast(&mut server.connect(), &[https, ("cookie", &planted)], &new_id(), 3, "");
    assert_eq!(answer.status, server.taken());
    // A cookie counts before a token in the body.
    let (kept, given) = (format!("__Host-throng-song={one}"), format!(r#","voter":"{two}""#));
    let answer = cast(&mut server.connect(), &[https, ("cookie", &kept)], &new_id(), 3, &given);
    assert_surplus(&server, &answer);
    if !server.is_behind_a_broker() {
        assert_eq!(answer.json()["choices"], serde_json::json!([1]));
    }
}

#[test]
fn nothing_but_a_vote_that_is_taken_gives_a_token() {
    let server = TestServer::start();
    create(&server, "song", Policy::Device, 1);
    for path in ["/polls/song", "/polls/song/ballot", "/api/v1/polls/song", "/api/v1/polls/song/results"] {
        let answer = server.get(path);
        assert!(!answer.headers().iter().any(|(_, value)| value.contains("throng-song")), "{answer:?}");
    }
    let refused = cast(&mut server.connect(), &[], &new_id(), 99, "");
    refused.assert_problem(422, "invalid_choice");
    assert_eq!(refused.header("set-cookie"), None);
    // Where no voter is identified, no token is given, and one that is sent means nothing.
    create(&server, "open", Policy::Unlimited, 1);
    let body = format!(r#"{{"ballot_id":"{}","choices":[1],"voter":"x"}}"#, new_id());
    let answer = server.post("/api/v1/polls/open/ballots", body.as_bytes());
    assert_eq!((answer.status, answer.header("set-cookie")), (server.taken(), None));
    assert_eq!(answer.json()["voter"], serde_json::Value::Null);
}
