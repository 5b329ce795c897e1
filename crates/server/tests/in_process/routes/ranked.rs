//! Polls whose ballots rank options, or give them scores.

use serde_json::{Value, json};
use throng_domain::policy::Policy;
use throng_domain::poll::{Kind, Visibility};
use throng_testkit::{Answer, NOW, TestServer, eventually, polls};
use uuid::Uuid;

fn cast(server: &TestServer, slug: &str, ballot: &Value) -> Answer {
    let mut ballot = ballot.clone();
    if ballot.get("ballot_id").is_none() {
        ballot["ballot_id"] = json!(Uuid::from_u128(rand::random()));
    }
    server.post(&format!("/api/v1/polls/{slug}/ballots"), ballot.to_string().as_bytes())
}

/// The result with so many ballots. On a busy machine an earlier one may be shown for a moment.
fn results(server: &TestServer, slug: &str, voters: u64) -> Value {
    server.settle();
    eventually("the result is tabulated", || {
        let results = server.get(&format!("/api/v1/polls/{slug}/results")).json();
        (results["voters"] == voters).then_some(results)
    })
}

#[test]
fn rankings_are_counted_in_rounds() {
    let server = TestServer::start();
    polls::create(&server, "host", |poll| {
        poll.kind = Kind::Ranked;
        poll.labels = ["Oslo", "Rome", "Riga"].map(str::to_owned).into();
    });
    let poll = server.get("/api/v1/polls/host").json();
    assert_eq!((&poll["kind"], &poll["max_choices"]), (&json!("ranked"), &json!(3)));
    assert_eq!(poll["counting"]["tie_break"], "option_order");
    let empty = results(&server, "host", 0);
    assert_eq!(
        (&empty["winner"], &empty["voters"], empty["rounds"].as_array().unwrap().len()),
        (&Value::Null, &json!(0), 1)
    );
    // Oslo leads, and most of those who prefer Riga prefer Rome to Oslo.
    for (ranking, ballots) in [(json!([1, 2]), 4), (json!([2]), 3), (json!([3, 2, 1]), 2)] {
        for _ in 0..ballots {
            let answer = cast(&server, "host", &json!({ "ranking": ranking }));
            assert_eq!(answer.status, server.taken(), "{answer:?}");
        }
    }
    let found = results(&server, "host", 9);
    assert_eq!((&found["seq"], &found["voters"], &found["winner"]), (&json!(9), &json!(9), &json!(2)));
    let first: Vec<_> = found["options"].as_array().unwrap().iter().map(|option| option["count"].clone()).collect();
    assert_eq!(first, [4, 3, 2]);
    let counts = |round: usize| {
        let counts = found["rounds"][round]["counts"].as_array().unwrap().clone();
        counts.iter().map(|count| (count["id"].as_u64().unwrap(), count["count"].as_u64().unwrap())).collect::<Vec<_>>()
    };
    assert_eq!((counts(0), counts(1)), (vec![(1, 4), (2, 3), (3, 2)], vec![(1, 4), (2, 5)]));
    assert_eq!(found["rounds"][0]["eliminated"], json!([3]));
    assert_eq!(found["pairwise"]["condorcet_winner"], 2);
    assert_eq!(found["pairwise"]["matrix"][0], json!([0, 4, 4]));
}

#[test]
fn tag_changes_with_the_rounds() {
    let server = TestServer::start();
    polls::create(&server, "host", |poll| poll.kind = Kind::Ranked);
    cast(&server, "host", &json!({"ranking": [1]}));
    server.settle();
    let path = "/api/v1/polls/host/results";
    let tag = server.get(path).header("etag").unwrap().to_owned();
    let again = server.connect().request("GET", path, &[("if-none-match", &tag)], b"");
    assert_eq!(again.status, 304);
    cast(&server, "host", &json!({"ranking": [2]}));
    server.settle();
    let changed = eventually("the result changes", || {
        let answer = server.connect().request("GET", path, &[("if-none-match", &tag)], b"");
        (answer.status == 200).then(|| answer.json())
    });
    assert_eq!(changed["seq"], 2);
}

#[test]
fn scores_are_added_up() {
    let server = TestServer::start();
    polls::create(&server, "songs", |poll| {
        poll.kind = Kind::Score;
        poll.max_choices = Some(2);
    });
    for scores in [json!({"1": 5, "2": 0}), json!({"1": 2, "3": 4}), json!({"3": 5})] {
        assert_eq!(cast(&server, "songs", &json!({ "scores": scores })).status, server.taken());
    }
    let found = results(&server, "songs", 3);
    assert_eq!(
        (&found["voters"], &found["selections"], &found["percent_base"]),
        (&json!(3), &json!(16), &json!("selections"))
    );
    assert_eq!(found["scores"]["winners"], json!([3]));
    let option = &found["scores"]["options"][0];
    let distribution = json!([{"score": 2, "ballots": 1}, {"score": 5, "ballots": 1}]);
    assert_eq!(option, &json!({"id": 1, "ballots": 2, "sum": 7, "mean": 3.5, "distribution": distribution}));
    assert_eq!(found["options"][2]["percent"], 56.2);
}

#[test]
fn ballot_of_another_kind_is_refused_with_what_to_send() {
    let server = TestServer::start();
    polls::create(&server, "host", |poll| poll.kind = Kind::Ranked);
    polls::create(&server, "songs", |poll| poll.kind = Kind::Score);
    for (slug, ballot, detail) in [
        ("host", json!({"choices": [1]}), r#""ranking":[3,1]"#),
        ("host", json!({"scores": {"1": 1}}), r#""ranking":[3,1]"#),
        ("songs", json!({"ranking": [1]}), r#""scores":{"1":5,"3":0}"#),
        ("demo", json!({"ranking": [1]}), r#""choices":[1,3]"#),
        ("host", json!({"ranking": [1, 2, 1]}), "an option is given twice"),
        ("host", json!({"ranking": []}), "choose at least one option"),
        ("host", json!({"ranking": [9]}), "no option 9"),
        ("songs", json!({"scores": {"1": 6}}), "a score is 0 to 5"),
        ("songs", json!({"scores": {"9": 1}}), "no option 9"),
    ] {
        let answer = cast(&server, slug, &ballot);
        answer.assert_problem(422, "invalid_choice");
        assert!(answer.json()["detail"].as_str().unwrap().contains(detail), "{ballot}: {answer:?}");
    }
    for ballot in
        [json!({"ranking": [1], "choices": [1]}), json!({"scores": {"1": -1}}), json!({"scores": [1]}), json!({})]
    {
        let answer = cast(&server, "host", &ballot);
        assert!((400..500).contains(&answer.status), "{ballot}: {answer:?}");
    }
    results(&server, "host", 0);
}

#[test]
fn same_id_with_another_order_is_another_ballot() {
    let server = TestServer::start();
    polls::create(&server, "host", |poll| poll.kind = Kind::Ranked);
    let id = json!("018f4d1e-7c00-7000-8000-000000000001");
    let send = |ranking: Value| cast(&server, "host", &json!({"ballot_id": id, "ranking": ranking}));
    assert_eq!((send(json!([3, 1])).status, send(json!([3, 1])).status), (server.taken(), server.taken()));
    if !server.app.is_behind_broker() {
        send(json!([1, 3])).assert_problem(422, "ballot_id_reused");
    }
    results(&server, "host", 1);
}

#[test]
fn voter_sees_what_they_ranked_before() {
    let server = TestServer::start();
    polls::create(&server, "host", |poll| {
        poll.kind = Kind::Ranked;
        poll.policy = Policy::Device;
    });
    let first = cast(&server, "host", &json!({"ranking": [3, 1]}));
    let token = first.json()["voter"].clone();
    if server.app.is_behind_broker() {
        return;
    }
    let again = cast(&server, "host", &json!({"ranking": [1], "voter": token}));
    again.assert_problem(409, "already_voted");
    assert_eq!(again.json()["ranking"], json!([3, 1]));
    assert_eq!(again.json().get("choices"), None);
}

#[test]
fn hidden_rounds_are_not_shown() {
    let server = TestServer::start();
    polls::create(&server, "host", |poll| {
        poll.kind = Kind::Ranked;
        poll.results = Visibility::AfterClose;
        poll.closes_at = Some(NOW.plus_ms(60_000));
    });
    let answer = cast(&server, "host", &json!({"ranking": [3, 1]}));
    assert_eq!(answer.json()["results"], Value::Null);
    server.get("/api/v1/polls/host/results").assert_problem(403, "results_hidden");
}
