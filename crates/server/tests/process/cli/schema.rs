//! `throng schema`, and what other commands say of a database that isn't as they need it.

use serde_json::json;
use throng_backends::store::sqlite::migrations;

use crate::cli::workspace::Workspace;

/// Where SQLite keeps `user_version`, in which the schema's version is, in a file's header.
const SCHEMA_VERSION_AT: usize = 60;

fn steps() -> Vec<&'static str> {
    migrations().iter().map(|migration| migration.name).collect()
}

/// A line for each step of the schema, beginning so.
fn lines(start: &str) -> String {
    steps().iter().map(|name| format!("{start}{name}\n")).collect()
}

#[test]
fn a_database_is_made_once() {
    let workspace = Workspace::new();
    let made = workspace.run("schema create --json").json();
    assert_eq!(made, json!({"database": "var/throng.db", "applied": steps(), "demo_poll": "demo"}));
    assert_eq!(workspace.run("schema create --json").json(), json!({"database": "var/throng.db", "applied": []}));
    assert!(workspace.run("schema migrate").succeeds().contains("up to date"));
    assert_eq!(workspace.run("schema status").succeeds(), lines("applied  "));
    let status = workspace.run("schema status --json").json();
    assert_eq!((&status["current"], &status["migrations"][0]["applied"]), (&json!(true), &json!(true)));
}

#[test]
fn in_production_no_poll_is_made_up() {
    let workspace = Workspace::new();
    workspace.run("--app-env prod schema create").succeeds();
    assert!(workspace.run("poll list").succeeds().contains("throng poll create"));
    workspace.run("poll show demo").fails(1, &["no poll `demo`, nor any other", "throng poll create"]);
}

#[test]
fn looking_does_not_make_a_database() {
    let workspace = Workspace::new();
    for command in ["poll list", "poll show demo", "poll close demo", "schema status", "schema migrate"] {
        workspace.run(command).fails(1, &["no database var/throng.db", "throng schema create", "start `throng`"]);
    }
    workspace.create("song", "").fails(1, &["throng schema create"]);
    assert_eq!(std::fs::read_dir(workspace.directory.path()).unwrap().count(), 0);
}

#[test]
fn an_old_schema_is_migrated_when_told() {
    let workspace = Workspace::new();
    workspace.write("old.db", "");
    let on_old = |command: &str| workspace.run(&format!("--database-url sqlite://old.db {command}"));
    on_old("poll list").fails(1, &["old.db", "throng schema migrate"]);
    let status = on_old("schema status");
    status.fails(1, &["throng schema migrate"]);
    assert_eq!(status.output(), lines("missing  "));
    assert_eq!(on_old("schema migrate").succeeds(), lines("old.db: applied "));
    on_old("poll list").succeeds();
}

#[test]
fn a_later_schema_is_left_alone() {
    let workspace = Workspace::with_demo();
    let path = workspace.path("var/throng.db");
    let mut file = std::fs::read(&path).unwrap();
    file[SCHEMA_VERSION_AT..SCHEMA_VERSION_AT + 4].copy_from_slice(&99_u32.to_be_bytes());
    std::fs::write(&path, &file).unwrap();
    for command in ["poll list", "schema status", "schema migrate", "schema create", "serve"] {
        workspace.run(command).fails(1, &["version 99", "newer"]);
    }
}

#[test]
fn what_is_no_database_is_named() {
    let workspace = Workspace::new();
    workspace.write("notes.txt", &"not a database, but long enough to be taken for one\n".repeat(100));
    workspace.run("--database-url sqlite://notes.txt poll list").fails(1, &["notes.txt", "not a database"]);
    workspace.run("--database-url sqlite://. poll list").fails(1, &["can't open ."]);
}
