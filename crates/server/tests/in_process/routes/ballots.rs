//! Casting a ballot in version 1.

use std::io::Write as _;

use throng_domain::new_poll::NewPoll;
use throng_domain::poll::Kind;
use throng_testkit::{Answer, NOW, TestServer};

const DEMO: &str = "/api/v1/polls/demo/ballots";

fn id(number: u64) -> String {
    format!("018f4d1e-7c00-7000-8000-{number:012x}")
}

fn body(number: u64, choices: &str) -> Vec<u8> {
    let mut body = Vec::new();
    write!(body, r#"{{"ballot_id":"{}","choices":{choices}}}"#, id(number)).unwrap();
    body
}

fn cast(server: &TestServer, number: u64, choices: &str) -> Answer {
    server.post(DEMO, &body(number, choices))
}

#[test]
fn a_ballot_is_counted_and_its_answer_has_it() {
    let server = TestServer::start();
    let answer = cast(&server, 1, "[3,1]");
    assert_eq!(answer.status, server.taken());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let counted = answer.json();
    assert_eq!(counted["ballot_id"].as_str(), Some(&*id(1)));
    // Behind a broker the answer can't have it yet.
    if server.is_behind_a_broker() {
        assert_eq!(counted["status"], "accepted");
    } else {
        assert_eq!(counted["status"], "counted");
        assert_eq!((&counted["results"]["voters"], &counted["results"]["selections"]), (&1.into(), &2.into()));
    }
    assert_eq!(server.get("/api/result").text(), r#"{"1":1,"2":0,"3":1,"4":0,"5":0}"#);
}

#[test]
fn the_same_ballot_again_gets_the_same_answer_and_counts_once() {
    let server = TestServer::start();
    let first = cast(&server, 1, "[1,3]");
    for same in ["[1,3]", "[3,1]", "[1,3,3]"] {
        let again = cast(&server, 1, same);
        assert_eq!(again.status, first.status);
        // Behind a broker it may be counted by now.
        assert!(server.is_behind_a_broker() || again.text() == first.text(), "{again:?}");
    }
    assert_eq!(server.voters(), 1);
}

#[test]
fn the_same_id_with_other_choices_is_refused() {
    let server = TestServer::start();
    cast(&server, 1, "[1]");
    let again = cast(&server, 1, "[2]");
    // Behind a broker nobody can know yet, and it isn't counted.
    if server.is_behind_a_broker() {
        assert_eq!(again.status, 202);
    } else {
        again.assert_problem(422, "ballot_id_reused");
    }
    assert_eq!(server.get("/api/result").text(), r#"{"1":1,"2":0,"3":0,"4":0,"5":0}"#);
}

#[test]
fn one_id_sent_by_many_at_once_counts_once() {
    let server = TestServer::start();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let casts: Vec<_> = (0..16).map(|_| scope.spawn(|| cast(&server, 7, "[2]").status)).collect();
        casts.into_iter().map(|cast| cast.join().unwrap()).collect()
    });
    assert_eq!(statuses, [server.taken(); 16]);
    assert_eq!(server.voters(), 1);
}

#[test]
fn an_id_is_its_polls_own() {
    let server = TestServer::start();
    server.create_poll(NewPoll::demo("other".parse().unwrap(), NOW));
    assert_eq!(cast(&server, 1, "[1]").status, server.taken());
    assert_eq!(server.post("/api/v1/polls/other/ballots", &body(1, "[2]")).status, server.taken());
    assert_eq!(server.voters(), 1);
    assert_eq!(server.get("/api/v1/polls/other/results").json()["voters"], 1);
}

#[test]
fn what_is_no_ballot_is_refused_and_not_recorded() {
    let server = TestServer::start();
    let id = id(1);
    for body in [
        String::new(),
        "null".to_owned(),
        "[1]".to_owned(),
        "{}".to_owned(),
        format!(r#"{{"ballot_id":"{id}"}}"#),
        r#"{"choices":[1]}"#.to_owned(),
        r#"{"ballot_id":"","choices":[1]}"#.to_owned(),
        r#"{"ballot_id":"x' OR 1=1--","choices":[1]}"#.to_owned(),
        r#"{"ballot_id":null,"choices":[1]}"#.to_owned(),
        r#"{"ballot_id":7,"choices":[1]}"#.to_owned(),
        format!(r#"{{"ballot_id":"{id}","choices":["1"]}}"#),
        format!(r#"{{"ballot_id":"{id}","choices":[1.0]}}"#),
        format!(r#"{{"ballot_id":"{id}","choices":[-1]}}"#),
        format!(r#"{{"ballot_id":"{id}","choices":[65536]}}"#),
        format!(r#"{{"ballot_id":"{id}","choices":1}}"#),
        format!(r#"{{"ballot_id":"{id}","choices":null}}"#),
        format!(r#"{{"ballot_id":"{id}","choices":[1],"votes":999}}"#),
        format!(r#"{{"ballot_id":"{id}","choices":[1],"is_admin":true}}"#),
        format!(r#"{{"ballot_id":"{id}","choices":[1],"choices":[2]}}"#),
        format!(r#"{{"ballot_id":"{id}","choices":[1]}} x"#),
        format!(r#"{{"ballot_id":"{id}","choices":{}"#, "[".repeat(10_000)),
        format!("\u{feff}{{\"ballot_id\":\"{id}\",\"choices\":[1]}}"),
    ] {
        server.post(DEMO, body.as_bytes()).assert_problem(422, "not_a_ballot");
    }
    for choices in ["[]", "[0]", "[6]", "[1,6]"] {
        cast(&server, 1, choices).assert_problem(422, "invalid_choice");
    }
    assert_eq!(server.voters(), 0);
}

#[test]
fn a_ballot_chooses_as_many_as_its_poll_allows() {
    let server = TestServer::start();
    let demo = |slug: &str| NewPoll::demo(slug.parse().unwrap(), NOW);
    server.create_poll(NewPoll { kind: Kind::Single, ..demo("single") });
    server.create_poll(NewPoll { min_choices: Some(2), max_choices: Some(3), ..demo("two-or-three") });
    let status = |slug: &str, number, choices| {
        server.post(&format!("/api/v1/polls/{slug}/ballots"), &body(number, choices)).status
    };
    assert_eq!([status("single", 1, "[1]"), status("single", 2, "[1,2]")], [server.taken(), 422]);
    assert_eq!([status("two-or-three", 3, "[1]"), status("two-or-three", 4, "[1,1]")], [422, 422]);
    assert_eq!([status("two-or-three", 5, "[1,2]"), status("two-or-three", 6, "[1,2,3,4]")], [server.taken(), 422]);
}

#[test]
fn json_and_text_are_taken_and_nothing_else() {
    let server = TestServer::start();
    let cast = |number, headers: &[(&str, &str)]| server.connect().request("POST", DEMO, headers, &body(number, "[1]"));
    for (number, kind) in
        (0..).zip(["application/json", "text/plain", "Text/Plain;charset=UTF-8", "application/json ; x"])
    {
        assert_eq!(cast(number, &[("content-type", kind)]).status, server.taken(), "{kind}");
    }
    for kind in
        ["application/x-www-form-urlencoded", "multipart/form-data", "text/html", "application/jsonx", "", "\u{e9}"]
    {
        cast(9, &[("content-type", kind)]).assert_problem(415, "unsupported_media_type");
    }
    cast(9, &[]).assert_problem(415, "unsupported_media_type");
    assert_eq!(server.voters(), 4);
}

#[test]
fn a_poll_takes_ballots_from_its_opening_to_its_close() {
    let server = TestServer::start();
    let demo = |slug: &str| NewPoll::demo(slug.parse().unwrap(), NOW);
    server.create_poll(NewPoll { opens_at: Some(NOW.plus_ms(10)), closes_at: Some(NOW.plus_ms(20)), ..demo("timed") });
    let cast = |number, at| {
        server.clock.set(NOW.plus_ms(at));
        server.post("/api/v1/polls/timed/ballots", &body(number, "[1]"))
    };
    cast(1, 9).assert_problem(409, "poll_not_open");
    assert_eq!(cast(2, 10).status, server.taken());
    assert_eq!(cast(3, 19).status, server.taken());
    cast(4, 20).assert_problem(410, "poll_closed");
    cast(4, 10_020).assert_problem(410, "poll_closed");
    // Behind a broker nobody can know that it came in time the first time.
    assert_eq!(cast(3, 10_020).status, if server.is_behind_a_broker() { 410 } else { 201 });
    assert_eq!(server.get("/api/v1/polls/timed/results").json()["voters"], 2);
}

#[test]
fn a_ballot_is_judged_by_its_arrival() {
    let (server, store) = TestServer::start_gated(100);
    server.create_poll(NewPoll { closes_at: Some(NOW.plus_ms(20)), ..NewPoll::demo("closing".parse().unwrap(), NOW) });
    store.shut();
    let send = |number| {
        let mut connection = server.connect();
        let json = [("content-type", "application/json")];
        connection.send_request("POST", "/api/v1/polls/closing/ballots", &json, &body(number, "[1]"));
        connection
    };
    let mut in_time = send(1);
    store.wait_for_batch();
    server.clock.set(NOW.plus_ms(5_000));
    let (mut late, mut sent_again) = (send(2), send(1));
    store.open();
    assert_eq!(in_time.answer().status, 201);
    late.answer().assert_problem(410, "poll_closed");
    assert_eq!(sent_again.answer().status, 201, "its first answer could have been lost");
    assert_eq!(server.get("/api/v1/polls/closing/results").json()["voters"], 1);
}

#[test]
fn a_list_is_no_ballot_here() {
    let server = TestServer::start();
    let id = "018f4d1e-7c00-7000-8000-000000000001";
    for body in [format!(r#"["{id}",[1]]"#), format!(r#" ["{id}",[1]]"#), "[1]".to_owned(), "[]".to_owned()] {
        let answer = server.post("/api/v1/polls/demo/ballots", body.as_bytes());
        answer.assert_problem(422, "not_a_ballot");
        assert!(
            answer.json()["detail"].as_str().unwrap().contains(r#"{"ballot_id":"…","choices":[1,3]}"#),
            "{answer:?}"
        );
    }
    assert_eq!(server.voters(), 0);
}

#[test]
fn a_ballot_is_named_in_the_body_or_beside_it() {
    let server = TestServer::start();
    let (one, two) = (id(1), id(2));
    let cast = |path: &str, key: Option<&str>, body: &str| {
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(key.map(|key| ("idempotency-key", key)));
        server.connect().request("POST", path, &headers, body.as_bytes())
    };
    let choices = r#"{"choices":[1]}"#;
    let named = format!(r#"{{"ballot_id":"{one}","choices":[1]}}"#);
    for answer in [
        cast(DEMO, Some(&format!("\"{one}\"")), choices),
        cast(DEMO, Some(&one), choices),
        cast(&format!("{DEMO}?ballot_id={one}"), None, choices),
        cast(DEMO, Some(&one), &named),
        cast(DEMO, None, &named),
    ] {
        assert_eq!((answer.status, answer.json()["ballot_id"].as_str()), (server.taken(), Some(&*one)));
    }
    assert_eq!(server.voters(), 1);
    cast(DEMO, None, choices).assert_problem(422, "not_a_ballot");
    cast(DEMO, Some(&two), &named).assert_problem(422, "not_a_ballot");
    cast(DEMO, Some("vote-1"), choices).assert_problem(422, "not_a_ballot");
    assert_eq!(server.voters(), 1);
}
