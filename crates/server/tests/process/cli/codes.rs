//! `throng poll codes`.

use std::collections::HashSet;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;
use throng_domain::code::Code;

use super::workspace::Workspace;

fn with_poll() -> Workspace {
    let workspace = Workspace::with_demo();
    workspace.create("board", "--policy code --opens-at now").succeeds();
    workspace
}

#[test]
fn codes_are_made_listed_and_revoked() {
    let workspace = with_poll();
    assert!(workspace.run("poll codes list board").succeeds().contains("There are no codes yet"));
    let printed = workspace.run("poll codes create board --count 12").succeeds();
    let codes: HashSet<_> = printed.lines().collect();
    assert_eq!((codes.len(), printed.lines().count()), (12, 12));
    assert!(codes.iter().all(|code| code.parse::<Code>().is_ok_and(|read| read.to_string() == *code)), "{printed}");
    let file = "poll codes create board --count 3 --batch members-2026 --output codes.csv";
    assert_eq!(workspace.run(file).succeeds(), "");
    let path = workspace.path("codes.csv");
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 3);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let line = workspace.run("poll codes create board --count 1 --json").json();
    assert!(line["code"].as_str().unwrap().parse::<Code>().is_ok());

    let revoked = workspace.run("poll codes revoke board members-2026").succeeds();
    assert_eq!(
        revoked,
        "The batch `members-2026` of `board`, with 3 codes, is revoked. Ballots that were cast with them stay.\n"
    );
    let listed = workspace.run("poll codes list board --json").json();
    let of_each = |field: &str| listed.as_array().unwrap().iter().map(|batch| batch[field].clone()).collect::<Vec<_>>();
    assert_eq!(of_each("batch"), [json!("batch-1"), json!("members-2026"), json!("batch-3")]);
    assert_eq!(of_each("codes"), [json!(12), json!(3), json!(1)]);
    assert!(of_each("exported_at").iter().all(serde_json::Value::is_string), "{listed}");
    assert_eq!(of_each("revoked_at").iter().filter(|at| at.is_string()).count(), 1, "{listed}");
    let table = workspace.run("poll codes list board").succeeds();
    assert!(table.starts_with("BATCH         CODES  MADE"), "{table}");
    assert!(table.contains("valid") && table.contains("revoked at"), "{table}");
    // Again, it changes nothing.
    let again = workspace.run("poll codes revoke board members-2026 --json").json();
    assert_eq!(again, listed[1]);
}

/// S28: no code is in the database's files.
#[test]
fn no_code_is_stored() {
    let workspace = with_poll();
    let printed = workspace.run("poll codes create board --count 100").succeeds();
    let mut stored = Vec::new();
    for entry in workspace.path("var").read_dir().unwrap() {
        stored.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    assert!(stored.len() > 10_000);
    for code in printed.lines() {
        for text in [code.to_owned(), code.replace('-', ""), code.to_lowercase()] {
            assert!(!stored.windows(text.len()).any(|window| window == text.as_bytes()), "{text}");
        }
    }
}

#[test]
fn codes_that_can_not_be_made_say_what_to_do() {
    let workspace = with_poll();
    workspace.run("poll codes create demo --count 1").fails(1, &["the policy `unlimited`", "--policy code"]);
    for command in ["list demo", "revoke demo batch-1"] {
        workspace.run(&format!("poll codes {command}")).fails(1, &["the policy `unlimited`"]);
    }
    workspace.run("poll codes create nosuch --count 1").fails(1, &["no poll `nosuch`"]);
    for count in ["0", "1000001", "-1", "x"] {
        workspace.run(&format!("poll codes create board --count {count}")).fails(2, &["--count"]);
    }
    workspace.run("poll codes create board").fails(2, &["--count"]);
    workspace.run("poll codes create board --count 1 --batch No_Name").fails(2, &["No_Name", "a-z, 0-9 and -"]);
    workspace.run("poll codes create board --count 1 --batch one").succeeds();
    workspace.run("poll codes create board --count 1 --batch one").fails(1, &["a batch `one`", "another name"]);
    workspace.run("poll codes revoke board two").fails(1, &["no batch `two`", "throng poll codes list board"]);
    workspace.write("codes.csv", "kept");
    let existing = workspace.run("poll codes create board --count 1 --output codes.csv");
    existing.fails(1, &["no codes were made", "exists already"]);
    assert_eq!(std::fs::read_to_string(workspace.path("codes.csv")).unwrap(), "kept");
    let listed = workspace.run("poll codes list board --json").json();
    assert_eq!(listed.as_array().unwrap().len(), 1, "nothing was begun: {listed}");
}

#[test]
fn codes_that_could_not_be_written_are_reported_as_incomplete() {
    let workspace = with_poll();
    let mut create = workspace.command(&["poll", "codes", "create", "board", "--count", "20000", "--batch", "lost"]);
    let piped = std::process::Stdio::piped;
    let mut create = create.stdout(piped()).stderr(piped()).spawn().unwrap();
    drop(create.stdout.take());
    let ended = create.wait_with_output().unwrap();
    let complaint = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{complaint}");
    for part in ["the batch `lost` of `board` is incomplete", "throng poll codes revoke board lost", "Broken pipe"] {
        assert!(complaint.contains(part), "{part}: {complaint}");
    }
    let listed = workspace.run("poll codes list board").succeeds();
    assert!(listed.contains("incomplete") && listed.contains("then revoke it"), "{listed}");
    workspace.run("poll codes revoke board lost").succeeds();
}

#[test]
fn printed_code_counts_one_vote_while_a_server_runs() {
    let workspace = with_poll();
    let server = workspace.serve();
    let printed = workspace.run("poll codes create board --count 7000").succeeds();
    let code = printed.lines().last().unwrap();
    let vote = |id: u32| {
        let body = format!(r#"{{"ballot_id":"018f4d1e-7c00-7000-8000-{id:012}","choices":[1],"voter":"{code}"}}"#);
        let mut connection = throng_testkit::Connection::open(server.address);
        let headers = [("content-type", "application/json")];
        connection.request("POST", "/api/v1/polls/board/ballots", &headers, body.as_bytes())
    };
    assert_eq!(vote(1).status, 201);
    assert_eq!(vote(1).status, 201);
    vote(2).assert_problem(409, "already_voted");
}
