//! `throng import-php`, from an SQLite file of the PHP system.

use rusqlite::Connection;
use serde_json::json;
use throng_testkit::{Client, Reply};

use crate::cli::workspace::Workspace;

/// The table of the PHP system with so many votes for each label, in the file `php.db`.
fn php_system(workspace: &Workspace, votes: &[(i64, usize)]) {
    let php = Connection::open(workspace.path("php.db")).unwrap();
    let create =
        "CREATE TABLE IF NOT EXISTS poll_entry (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, label INTEGER NOT NULL)";
    php.execute_batch(create).unwrap();
    for (label, rows) in votes {
        for _ in 0..*rows {
            php.execute("INSERT INTO poll_entry (label) VALUES (?1)", [label]).unwrap();
        }
    }
}

#[test]
fn votes_are_shown_then_taken_over_once_and_voting_goes_on() {
    let workspace = Workspace::with_demo();
    php_system(&workspace, &[(1, 30), (2, 7), (5, 1)]);
    let server = workspace.serve();
    let result = || match Client::new(server.address).get("/api/result") {
        Reply::Answer(answer) => answer.text().to_owned(),
        lost @ (Reply::NotSent | Reply::Cut) => panic!("{lost:?}"),
    };
    workspace.run("import-php sqlite:php.db").fails(1, &["DATABASE_URL"]);
    let shown = workspace.run("import-php sqlite://php.db?serverVersion=3 --json").json();
    assert_eq!((&shown["applied"], &shown["options"][0]["after"]), (&json!(false), &json!(30)));
    assert_eq!(result(), r#"{"1":0,"2":0,"3":0,"4":0,"5":0}"#);

    let told =
        workspace.run_args(&["import-php", "sqlite://php.db", "--apply", "--reason", "the switch-over"]).succeeds();
    assert!(told.contains("has these votes now"), "{told}");
    let told = workspace.run("import-php sqlite://php.db --apply").succeeds();
    assert!(told.contains("has these votes already"), "{told}");
    throng_testkit::eventually("the server shows them", || {
        (result() == r#"{"1":30,"2":7,"3":0,"4":0,"5":1}"#).then_some(())
    });
    // A page of the PHP system's site posts as it always did.
    let voted = Client::new(server.address).post("/api/submit", "[1,2]");
    assert!(
        matches!(&voted, Reply::Answer(answer) if answer.text() == r#"{"1":31,"2":8,"3":0,"4":0,"5":1}"#),
        "{voted:?}"
    );
    assert_eq!(workspace.run("poll recount demo --json").json()["equal"], json!(true));

    // The PHP system counted on, and is read again.
    php_system(&workspace, &[(1, 2), (3, 1)]);
    workspace.run("import-php sqlite://php.db --apply").succeeds();
    throng_testkit::eventually("the server shows the later ones", || {
        (result() == r#"{"1":33,"2":8,"3":1,"4":0,"5":1}"#).then_some(())
    });
    let results = workspace.run("poll results demo --json").json();
    assert_eq!((&results["percent_base"], &results["selections"]), (&json!("selections"), &json!(43)));
    let log = workspace.run("poll log demo --json").json();
    assert_eq!((&log[1]["action"], &log[1]["reason"]), (&json!("import"), &json!("the switch-over")));
    workspace.run("poll edit demo --percent-base voters").fails(1, &["whose voters aren't known"]);
}

#[test]
fn early_table_has_its_counts_in_a_column() {
    let workspace = Workspace::with_demo();
    let php = Connection::open(workspace.path("php.db")).unwrap();
    php.execute_batch("CREATE TABLE poll_entry (id INTEGER PRIMARY KEY, label INTEGER, count INTEGER)").unwrap();
    php.execute_batch("INSERT INTO poll_entry (label, count) VALUES (1, 400), (2, 0), (3, 25)").unwrap();
    workspace.run("import-php sqlite://php.db --apply").succeeds();
    let results = workspace.run("poll results demo --json").json();
    let counts: Vec<_> = results["options"].as_array().unwrap().iter().map(|option| option["count"].clone()).collect();
    assert_eq!(counts, [400, 0, 25, 0, 0].map(|count| json!(count)));
}

#[test]
fn what_is_no_table_of_the_php_system_is_named() {
    let workspace = Workspace::with_demo();
    workspace.run("import-php sqlite://php.db").fails(1, &["there is no file php.db"]);
    let php = Connection::open(workspace.path("php.db")).unwrap();
    workspace.run("import-php sqlite://php.db").fails(1, &["no table `poll_entry`"]);
    php.execute_batch("CREATE TABLE poll_entry (id INTEGER PRIMARY KEY, label INTEGER)").unwrap();
    php.execute_batch("INSERT INTO poll_entry (label) VALUES (1), (9)").unwrap();
    workspace.run("import-php sqlite://php.db --apply").fails(1, &["no option 9"]);
    php.execute_batch("UPDATE poll_entry SET label = NULL WHERE label = 9").unwrap();
    workspace.run("import-php sqlite://php.db").fails(1, &["NULL (1)"]);
    workspace.run("import-php sqlite:///%kernel.project_dir%/var/data.db").fails(1, &["%kernel.project_dir%"]);
    workspace.run("import-php").fails(2, &["URL"]);
    let results = workspace.run("poll results demo --json").json();
    assert_eq!(results["selections"], json!(0), "nothing was changed");
}
