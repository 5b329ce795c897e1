//! `throng poll`, without a server.

use rusqlite::Connection;
use serde_json::json;
use throng_backends::store::sqlite::SqliteStore;
use throng_domain::ballot::{Ballot, BallotId, Choices};
use throng_domain::clock::{Clock as _, SystemClock};
use throng_domain::poll::OptionId;
use throng_domain::store::{BallotStore as _, PollStore as _};

use crate::cli::workspace::Workspace;

/// Records a ballot for each of `ballots` in the poll, all of them at this moment.
pub fn record(workspace: &Workspace, slug: &str, ballots: &[&[u16]]) {
    let store = SqliteStore::open(&workspace.path("var/throng.db")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let poll = store.poll(&slug.parse().unwrap()).await.unwrap().unwrap();
        let ballots: Vec<_> = (1..)
            .zip(ballots)
            .map(|(number, options)| {
                let id = BallotId(uuid::Uuid::from_u128(number));
                let choices = Choices::new(options.iter().map(|id| OptionId(*id))).unwrap();
                Ballot::unlimited(poll.id, id, choices, SystemClock.now())
            })
            .collect();
        let recorded = store.record(&ballots).await.unwrap();
        assert_eq!(recorded.tallies[0].voters, ballots.len() as u64);
    });
}

#[test]
fn a_poll_lives_from_draft_to_close() {
    let workspace = Workspace::with_demo();
    let told = workspace.create("song", "--kind multiple --closes-at 2999-01-01T00:00:00Z").succeeds();
    assert!(told.contains("draft") && told.contains("throng poll open song"), "{told}");
    let listed = workspace.run("poll list").succeeds();
    assert!(listed.contains("demo") && listed.contains("song  draft"), "{listed}");

    let shown = workspace.run("poll show song --json").json();
    assert_eq!(shown["state"], "draft");
    assert_eq!(shown["options"], json!([{"id": 1, "label": "A"}, {"id": 2, "label": "B"}]));
    let opened = workspace.run("poll open song --json").json();
    assert_eq!((&opened["state"], &opened["version"]), (&json!("open"), &json!(2)));
    assert_eq!(opened["closes_at"], "2999-01-01T00:00:00.000Z");

    record(&workspace, "song", &[&[1], &[1, 2], &[1]]);
    let results = workspace.run("poll results song --json").json();
    assert_eq!((&results["voters"], &results["selections"]), (&json!(3), &json!(4)));
    assert_eq!(results["options"][1], json!({"id": 2, "label": "B", "count": 1, "percent": 33.3}));
    let told = workspace.run("poll results song").succeeds();
    assert!(told.contains("Ballots: 3. Choices: 4.") && told.contains("33.3"), "{told}");

    let recounted = workspace.run("poll recount song --json").json();
    assert_eq!((&recounted["equal"], &recounted["voters"]), (&json!(true), &json!({"tallies": 3, "ballots": 3})));
    assert!(workspace.run("poll recount song").succeeds().contains("agree"));
    let spoil = "UPDATE tally SET count = count + 5 WHERE option_id = 1; UPDATE result SET voters = voters - 1";
    Connection::open(workspace.path("var/throng.db")).unwrap().execute_batch(spoil).unwrap();
    workspace.run("poll recount song").fails(1, &["don't agree", "--repair"]);
    assert!(workspace.run("poll recount song --repair").succeeds().contains("were corrected"));
    let recounted = workspace.run("poll recount song --repair --json").json();
    assert_eq!((&recounted["equal"], &recounted["repaired"]), (&json!(true), &json!(false)));
    let repaired = workspace.run("poll results song --json").json();
    assert_eq!((&repaired["voters"], &repaired["options"]), (&results["voters"], &results["options"]));
    assert!(repaired["seq"].as_u64() > results["seq"].as_u64(), "{repaired}");

    let closed = workspace.run("poll close song --json").json();
    assert_eq!(closed["state"], "closing");
    assert!(workspace.run("poll show song").succeeds().contains("closed since"));
}

#[test]
fn a_draft_of_one_poll_is_listed_as_the_api_shows_it() {
    let workspace = Workspace::with_demo();
    let made = workspace.create("song", "--opens-at +1h --closes-at +2h --results never --proof always --json").json();
    assert_eq!((&made["state"], &made["results"]), (&json!("scheduled"), &json!("never")));
    assert_eq!(made["proof"], "always");
    let adaptive = workspace.create("tune", "--proof adaptive --json").json();
    assert_eq!(adaptive["proof"], "adaptive");
    let listed = workspace.run("poll list --json").json();
    assert_eq!(listed.as_array().unwrap().len(), 3);
    assert_eq!(listed[1], made);
}

#[test]
fn policy_and_quota_are_created_and_shown() {
    let workspace = Workspace::with_demo();
    let made = workspace.create("song", "--policy device --quota 20 --option-quota 3 --json").json();
    assert_eq!((&made["policy"], &made["quota"]), (&json!("device"), &json!({"ballots": 20, "per_option": 3})));
    assert_eq!(workspace.run("poll show song --json").json(), made);
    let shown = workspace.run("poll show song").succeeds();
    assert!(shown.contains("device, 20 per voter, 3 for the same option"), "{shown}");
    workspace.create("office", "--policy network --quota 100").succeeds();
    assert!(workspace.run("poll show office").succeeds().contains("network, 100 per voter\n"));
    let demo = workspace.run("poll show demo --json").json();
    assert_eq!((&demo["policy"], &demo["quota"]), (&json!("unlimited"), &json!(null)));
    for (arguments, fault) in [
        ("--quota 2", "knows no voters"),
        ("--policy device --quota 0", "at least 1 ballot"),
        ("--policy device --option-quota 0", "choose an option once"),
        ("--policy device --quota 2 --option-quota 3", "leave out the option's quota"),
    ] {
        workspace.create("wrong", arguments).fails(1, &[fault]);
    }
    workspace.create("wrong", "--policy cookie").fails(2, &["unlimited, device, network"]);
}

#[test]
fn an_export_has_every_ballot_in_order() {
    let workspace = Workspace::with_demo();
    record(&workspace, "demo", &[&[1, 3], &[2]]);
    let csv = workspace.run("poll export demo").succeeds();
    let lines: Vec<_> = csv.lines().collect();
    assert_eq!(lines[0], "ballot_id,accepted_at,choices,policy");
    assert!(
        lines[1].starts_with("00000000-0000-0000-0000-000000000001,20") && lines[1].ends_with("Z,1 3,unlimited"),
        "{csv}"
    );
    assert_eq!(lines.len(), 3);

    let jsonl = workspace.run("poll export demo --format jsonl").succeeds();
    assert_eq!(workspace.run("poll export demo --json").succeeds(), jsonl);
    let second: serde_json::Value = serde_json::from_str(jsonl.lines().nth(1).unwrap()).unwrap();
    assert_eq!((&second["choices"], &second["policy"]), (&json!([2]), &json!("unlimited")));
    assert_eq!(second["ballot_id"], "00000000-0000-0000-0000-000000000002");

    assert_eq!(workspace.run("poll export demo --output demo.csv").succeeds(), "");
    assert_eq!(std::fs::read_to_string(workspace.path("demo.csv")).unwrap(), csv);
    assert_eq!(workspace.run("poll export demo --output -").succeeds(), csv);
    workspace.run("poll export demo --json --format csv").fails(2, &["--format"]);
}

#[test]
fn an_export_of_several_pages_is_whole() {
    let workspace = Workspace::with_demo();
    let ballots: Vec<&[u16]> = vec![&[1]; 20_000];
    record(&workspace, "demo", &ballots);
    let csv = workspace.run("poll export demo").succeeds();
    assert_eq!(csv.lines().count(), 20_001);
    assert!(csv.lines().last().unwrap().starts_with("00000000-0000-0000-0000-000000004e20,"));
}

#[test]
fn an_export_that_fails_leaves_no_file() {
    let workspace = Workspace::with_demo();
    workspace.run("poll export demo --output nowhere/demo.csv").fails(1, &["nothing was exported", "nowhere/demo.csv"]);
    workspace.run("poll export demo --output var").fails(1, &["no regular file"]);
    workspace.run("poll export demo --output /dev/null").fails(1, &["no regular file"]);
    workspace.run("poll export nosuch --output demo.csv").fails(1, &["no poll `nosuch`"]);
    assert!(!workspace.path("demo.csv").exists());
}

#[test]
fn a_reader_that_leaves_ends_an_export_quietly() {
    let workspace = Workspace::with_demo();
    let ballots: Vec<&[u16]> = vec![&[1]; 20_000];
    record(&workspace, "demo", &ballots);
    let mut export = workspace.command(&["poll", "export", "demo"]);
    let mut export = export.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(export.stdout.take());
    let ended = export.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(0), b"".as_slice()));
}

#[test]
fn a_slug_names_one_poll() {
    let workspace = Workspace::with_demo();
    workspace.create("demo", "").fails(1, &["a poll `demo` already", "another slug"]);
    workspace.run("poll show dmeo").fails(1, &["no poll `dmeo`", "the only one is demo"]);
    workspace.run("poll show No_Slug").fails(2, &["No_Slug", "a-z, 0-9 and -"]);
    for number in 0..12 {
        workspace.create(&format!("song-{number}"), "").succeeds();
    }
    for command in ["show", "open", "close", "results", "export", "recount"] {
        workspace
            .run(&format!("poll {command} dmeo"))
            .fails(1, &["no poll `dmeo`", "song-11, song-10", "throng poll list"]);
    }
}

#[test]
fn a_poll_that_breaks_rules_is_not_made() {
    let workspace = Workspace::with_demo();
    let made = workspace.create("song", "--max 3 --opens-at now --closes-at 2020-01-01T00:00:00Z");
    made.fails(1, &["at most 3 choices", "`multiple`", "closes before it opens", "has passed"]);
    workspace.create("song", "--closes-at +2h").fails(1, &["--opens-at"]);
    let cold = ["poll", "create", "cold", "--title", "How cold?", "--option", "-5 \u{b0}C", "--option", "-15 \u{b0}C"];
    assert!(workspace.run_args(&cold).succeeds().contains("`cold` is a draft"));
    workspace.create("song", "--opens-at 2999-01-01T20:00:00").fails(2, &["time zone", "20:00:00Z"]);
    workspace.create("song", "--opens-at tomorrow").fails(2, &["2026-07-01T20:00:00Z", "+2h"]);
    workspace.create("song", "--kind some").fails(2, &["single, multiple"]);
    workspace.create("song", "--min 70000").fails(2, &["--min"]);
    workspace.run("poll create song --option A --option B").fails(2, &["--title"]);
    workspace.run("poll create song --title T").fails(2, &["--option"]);
    workspace.run("poll create song --title T --option A").fails(1, &["2 to 100 options"]);
    workspace.run("poll show song").fails(1, &["no poll `song`"]);
}

#[test]
fn opening_and_closing_say_what_is_wrong_and_what_to_do() {
    let workspace = Workspace::with_demo();
    workspace.create("song", "").succeeds();
    workspace.run("poll close song").fails(1, &["is a draft", "throng poll open song"]);
    workspace.run("poll open song --again").fails(1, &["isn't closed"]);
    workspace.run("poll open song --closes-at 2020-01-01T00:00:00Z").fails(1, &["has passed"]);
    let scheduled = workspace.run("poll open song --at 2998-01-01T00:00:00Z --closes-at +2h --json").json();
    assert_eq!(scheduled["closes_at"], "2998-01-01T02:00:00.000Z");
    workspace.run("poll close song").fails(1, &["opens only at 2998", "throng poll open song --at"]);
    workspace.run("poll open song --at 2999-01-01T00:00:00Z").fails(1, &["before it opens", "--closes-at"]);
    workspace.run("poll open song").succeeds();
    workspace.run("poll open song").fails(1, &["is open already", "throng poll close song --at"]);
    workspace.run("poll close song --at 2020-01-01T00:00:00Z").fails(1, &["has passed"]);
    workspace.run("poll close song --at -5m").fails(2, &["what is past stays as it was"]);
    assert!(workspace.run("poll close song --at +10m").succeeds().contains("it closes at"));
    workspace.run("poll close song").succeeds();
    workspace.run("poll close song").fails(1, &["is closed already", "--again"]);
    workspace.run("poll open song").fails(1, &["is closed already", "throng poll open song --again"]);
    let reopened = workspace.run("poll open song --again --closes-at +10m --json").json();
    assert_eq!(reopened["state"], "open");
    workspace.run("poll open song --again --at now").fails(2, &["--again"]);
}

#[test]
fn what_a_maker_wrote_does_not_break_a_table() {
    let workspace = Workspace::with_demo();
    let args = ["poll", "create", "song", "--title", "One\nTwo", "--option", "日本", "--option", "=1+1"];
    workspace.run_args(&args).succeeds();
    let listed = workspace.run("poll list").succeeds();
    assert_eq!(listed.lines().count(), 3, "{listed}");
    let escape = ["poll", "create", "bad", "--title", "\u{1b}[31m", "--option", "A", "--option", "B"];
    workspace.run_args(&escape).fails(1, &["the title"]);
}
