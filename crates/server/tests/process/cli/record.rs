//! `throng poll record` and `throng poll verify`.

use rusqlite::Connection;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use throng_backends::store::sqlite::SqliteStore;
use throng_domain::ballot::{Ballot, BallotId, Choices, VoterKey};
use throng_domain::clock::{Clock as _, SystemClock};
use throng_domain::poll::OptionId;
use throng_domain::store::{BallotStore as _, PollStore as _};

use crate::cli::polls::record;
use crate::cli::workspace::Workspace;

/// A poll with three ballots, one of them void, whose result is final.
fn finished() -> Workspace {
    let workspace = Workspace::with_demo();
    record(&workspace, "demo", &[&[1], &[1, 2], &[3]]);
    workspace.run("poll record demo").fails(1, &["isn't final yet", "throng poll show demo"]);
    workspace.run("poll close demo --by Ann").succeeds();
    mark_final(&workspace, "demo");
    workspace.run_args(&["poll", "void", "demo", "--choices", "3", "--apply", "--reason", "a script"]).succeeds();
    workspace
}

/// Closes a poll, and stores that its result is final, as a server would ten seconds later.
fn finish(workspace: &Workspace, slug: &str) {
    workspace.run(&format!("poll close {slug}")).succeeds();
    mark_final(workspace, slug);
}

fn mark_final(workspace: &Workspace, slug: &str) {
    let last =
        "UPDATE poll SET closed_at = closes_at, final_at = closes_at + 10000, version = version + 1 WHERE slug = ?1";
    Connection::open(workspace.path("var/throng.db")).unwrap().execute(last, [slug]).unwrap();
}

#[test]
fn record_says_what_counts_and_is_verified() {
    let workspace = finished();
    let text = workspace.run("poll record demo --json").succeeds();
    let signed: serde_json::Value = serde_json::from_str(&text).unwrap();
    let (result, ballots) = (&signed["record"]["result"], &signed["record"]["ballots"]);
    assert_eq!((&result["voters"], &result["agrees_with_ballots"]), (&json!(2), &json!(true)), "{signed:#}");
    assert_eq!(result["options"][0], json!({"id": 1, "label": "Headliners", "count": 2}));
    let sums = ["recorded", "counted", "superseded", "void"].map(|name| ballots[name].as_u64().unwrap());
    assert_eq!((sums, &ballots["void_by_rule"]), ([3, 2, 0, 1], &json!([{"rule": 1, "ballots": 1}])));
    let export = workspace.run("poll export demo --format jsonl --voters").succeeds();
    let export = export.replace(",\"void\":true", "").replace(",\"void\":false", "");
    let hash: String = Sha256::digest(export).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(ballots["sha256"], json!(hash));
    let actions: Vec<_> = signed["record"]["changes"].as_array().unwrap().iter().map(|it| &it["action"]).collect();
    assert_eq!(actions, ["create", "close", "void", "recount"]);

    workspace.write("record.json", &text);
    assert!(workspace.run("poll verify record.json").succeeds().contains("`demo`"));
    workspace.write("record.json", &text.replace("Headliners", "Headlines"));
    workspace.run("poll verify record.json").fails(1, &["changed after it was signed"]);
    workspace.write("record.json", &text);
    let elsewhere = Workspace::with_demo();
    elsewhere.write("record.json", &text);
    elsewhere.run("poll verify record.json").fails(1, &["with another key"]);
    let key = workspace.run("poll verify").succeeds();
    elsewhere.run_args(&["poll", "verify", "record.json", "--public-key", key.trim()]).succeeds();
}

#[test]
fn replaced_and_withdrawn_ballots_are_in_the_sums() {
    let workspace = Workspace::with_demo();
    workspace.create("song", "--policy device --changeable --opens-at now").succeeds();
    let cast = |voter: u8, number: u128, options: &[u16]| {
        let store = SqliteStore::open(&workspace.path("var/throng.db")).unwrap();
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let poll = store.poll(&"song".parse().unwrap()).await.unwrap().unwrap();
            let id = BallotId(uuid::Uuid::from_u128(number));
            let choices = Choices::new(options.iter().map(|id| OptionId(*id))).unwrap_or_else(Choices::blank);
            let at = SystemClock.now();
            let ballot = Ballot::of_voter(poll.id, poll.policy, VoterKey([voter; 15]), id, choices, at);
            store.record(&[ballot]).await.unwrap();
        });
    };
    cast(1, 1, &[1]);
    cast(1, 2, &[2]);
    cast(2, 3, &[1]);
    cast(2, 4, &[]);
    cast(3, 5, &[1]);
    finish(&workspace, "song");
    let signed = workspace.run("poll record song --json").json();
    let ballots = &signed["record"]["ballots"];
    let sums = ["recorded", "counted", "superseded", "void"].map(|name| ballots[name].as_u64().unwrap());
    assert_eq!(sums, [5, 2, 3, 0], "{signed:#}");
}

#[test]
fn record_is_a_page_to_print() {
    let workspace = finished();
    let page = workspace.run("poll record demo").succeeds();
    for part in [
        "Closing record: What makes a great festival?",
        "1  Headliners                2",
        "replaced or withdrawn by their voters  0",
        "  by rule 1",
        "The result agrees with the ballots.",
        "Not in this record: votes that were refused, by reason.",
        "close by Ann",
        "(a script)",
        "Signed with the key ",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
}
