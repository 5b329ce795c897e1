//! What voters see of ballots that another process voids.

use throng_domain::audit::Author;
use throng_domain::poll::OptionId;
use throng_domain::poll_change::PollChange;
use throng_domain::tally::TallyChange;
use throng_domain::void::VoidRule;
use throng_testkit::{TestServer, eventually};

/// Changes the rules of the demo poll as another process does.
fn change(server: &TestServer, change: PollChange) {
    server.database.with_store(async |store| {
        let poll = store.poll(&"demo".parse().unwrap()).await.unwrap().unwrap();
        let poll = store.change_poll(poll.id, poll.version, change, &Author::THRONG).await.unwrap();
        let recount = store.recount(poll.id).await.unwrap();
        let applied = PollChange::Applied(TallyChange::between(&recount.tallies, &recount.ballots));
        store.change_poll(poll.id, poll.version, applied, &Author::THRONG).await.unwrap();
    });
}

#[test]
fn void_ballot_leaves_the_result_and_its_receipt_says_so() {
    let server = TestServer::start();
    let id = "018f4d1e-7c00-7000-8000-000000000001";
    let body = format!(r#"{{"ballot_id":"{id}","choices":[2]}}"#);
    let ballot = server.post("/api/v1/polls/demo/ballots", body.as_bytes()).json();
    let receipt = ballot["receipt"].as_str().unwrap().to_owned();
    let standing = || {
        let path = format!("/api/v1/ballots/{id}");
        server.connect().request("GET", &path, &[("throng-receipt", &receipt)], b"").json()["status"].clone()
    };
    eventually("it counts", || (standing() == "counted").then_some(()));
    server.vote(b"[1]");
    let before = eventually("both count", || {
        let results = server.get("/api/v1/polls/demo/results").json();
        (results["voters"] == 2).then_some(results)
    });

    let rule = VoidRule { choices: Some(vec![OptionId(2)]), ..VoidRule::default() };
    change(&server, PollChange::Void(rule));
    let after = eventually("the server shows the result without it", || {
        let results = server.get("/api/v1/polls/demo/results").json();
        (results["voters"] == 1).then_some(results)
    });
    assert_eq!(after["options"][1]["count"], 0);
    assert!(after["seq"].as_u64() > before["seq"].as_u64(), "{after}");
    assert_eq!(server.get("/api/result").text(), r#"{"1":1,"2":0,"3":0,"4":0,"5":0}"#);
    assert_eq!(standing(), "void");

    change(&server, PollChange::Unvoid(1));
    eventually("it counts again", || (server.get("/api/v1/polls/demo/results").json()["voters"] == 2).then_some(()));
    assert_eq!(standing(), "counted");
    assert!(!server.get("/api/v1/polls/demo").text().contains("void"), "the rules are the operator's");
}
