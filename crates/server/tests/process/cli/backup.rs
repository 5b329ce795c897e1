//! Files that commands write: backups, what is restored from them, and exports; none in the place of another that is wanted.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rusqlite::Connection;

use crate::cli::workspace::Workspace;

/// What is kept of a database under its own name and others.
fn voters(workspace: &Workspace, file: &str) -> u64 {
    let url = format!("sqlite://{file}");
    let results = workspace.run_args(&["--database-url", &url, "poll", "results", "demo", "--json"]).json();
    results["voters"].as_u64().unwrap()
}

fn mode(workspace: &Workspace, name: &str) -> u32 {
    fs::metadata(workspace.path(name)).unwrap().permissions().mode() & 0o777
}

#[test]
fn backup_is_made_beside_a_server_and_restored_without_one() {
    let workspace = Workspace::new();
    let server = workspace.serve();
    assert_eq!(server.post("/api/submit", b"[1]").status, 200);
    assert!(workspace.run("backup one.db").succeeds().contains("one.db: 1 ballot in 1 poll"));
    let made = workspace.run("backup copy.db --json").json();
    assert_eq!((&made["polls"], &made["ballots"]), (&1.into(), &1.into()));
    assert_eq!(mode(&workspace, "copy.db"), 0o600);
    assert_eq!(server.post("/api/submit", b"[1]").status, 200);
    workspace.run("restore copy.db").fails(1, &["another throng serves var/throng.db"]);
    workspace.run("backup copy.db").fails(1, &["no backup was made", "--force"]);
    workspace.run("backup copy.db --force").succeeds();
    assert_eq!(voters(&workspace, "copy.db"), 2);
    assert_eq!(server.post("/api/submit", b"[1]").status, 200);
    // Killed: its log stays.
    drop(server);
    assert!(workspace.path("var/throng.db-wal").metadata().unwrap().len() > 0);
    let restored = workspace.run("restore copy.db").succeeds();
    assert!(restored.contains("2 ballots in 1 poll;") && restored.contains("var/throng.db.old"), "{restored}");
    assert_eq!((voters(&workspace, "var/throng.db"), voters(&workspace, "var/throng.db.old")), (2, 3));
    assert_eq!(mode(&workspace, "var/throng.db"), 0o600);
    let server = workspace.serve();
    assert_eq!(server.get("/api/result").text(), r#"{"1":2,"2":0,"3":0,"4":0,"5":0}"#);
}

#[test]
fn restore_where_only_a_log_is_left_keeps_the_log() {
    let workspace = Workspace::with_demo();
    workspace.run("backup copy.db").succeeds();
    fs::remove_file(workspace.path("var/throng.db")).unwrap();
    workspace.write("var/throng.db-wal", "some log");
    workspace.run("poll list").fails(1, &["may hold the only copy", "throng restore"]);
    workspace.run("restore copy.db").succeeds();
    assert_eq!(voters(&workspace, "var/throng.db"), 0);
    assert_eq!(fs::read(workspace.path("var/throng.db.old-wal")).unwrap(), b"some log");
}

#[test]
fn restore_while_a_program_has_the_file_is_refused_and_names_it() {
    let workspace = Workspace::with_demo();
    workspace.run("backup copy.db").succeeds();
    let before = fs::read(workspace.path("var/throng.db")).unwrap();
    let program = Connection::open(workspace.path("var/throng.db")).unwrap();
    // Without a transaction: it goes on using the file all the same.
    let polls: u64 = program.query_row("SELECT count(*) FROM poll", [], |row| row.get(0)).unwrap();
    assert_eq!(polls, 1);
    workspace
        .run("restore copy.db")
        .fails(1, &["(process ", &format!("{})", std::process::id()), "is using", "end it first"]);
    drop(program);
    assert_eq!(fs::read(workspace.path("var/throng.db")).unwrap(), before);
    workspace.run("restore copy.db").succeeds();
}

#[test]
fn restore_that_was_interrupted_keeps_what_was_there_once() {
    let workspace = Workspace::with_demo();
    workspace.run("backup copy.db").succeeds();
    fs::rename(workspace.path("var/throng.db"), workspace.path("var/throng.db.old")).unwrap();
    workspace.write("var/throng.db-wal", "throng restore is under way\n");
    workspace.run("poll list").fails(1, &["throng restore"]);
    let restored = workspace.run("restore copy.db").succeeds();
    assert!(restored.contains("var/throng.db.old.\n"), "{restored}");
    let names =
        fs::read_dir(workspace.path("var")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| !name.ends_with("-shm")).collect();
    names.sort();
    assert_eq!(names, ["throng.db", "throng.db.lock", "throng.db.old"]);
}

#[test]
fn backup_is_not_put_beside_what_would_be_applied_to_it() {
    let workspace = Workspace::with_demo();
    workspace.run("backup copy.db").succeeds();
    let before = fs::read(workspace.path("copy.db")).unwrap();
    for suffix in ["-wal", "-journal"] {
        let name = format!("copy.db{suffix}");
        workspace.write(&name, "of a program that died");
        workspace.run("backup copy.db --force").fails(1, &["no backup was made", &name]);
        fs::remove_file(workspace.path(&name)).unwrap();
    }
    assert_eq!(fs::read(workspace.path("copy.db")).unwrap(), before);
    workspace.run("backup copy.db --force").succeeds();
}

#[test]
fn copy_that_is_not_sound_is_neither_a_backup_nor_restored() {
    let workspace = Workspace::with_demo();
    let before = fs::read(workspace.path("var/throng.db")).unwrap();
    workspace.run("restore var/throng.db").fails(1, &["the database itself"]);
    workspace.run("restore nosuch.db").fails(1, &["nosuch.db can't be read"]);
    workspace.write("notes.txt", &"not a database, but long enough to be taken for one\n".repeat(100));
    workspace.run("restore notes.txt").fails(1, &["not a database"]);
    Connection::open(workspace.path("other.db")).unwrap().execute_batch("CREATE TABLE other (id)").unwrap();
    workspace.run("restore other.db").fails(1, &["no database of Throng's"]);
    assert_eq!(fs::read(workspace.path("var/throng.db")).unwrap(), before);
    assert!(!workspace.path("var/throng.db.old").exists());
    let database = Connection::open(workspace.path("var/throng.db")).unwrap();
    database.execute("INSERT INTO result (poll_id, shard, seq, voters) VALUES (1, 0, 210, 210)", []).unwrap();
    workspace.run("backup copy.db").fails(1, &["no backup was made", "the tallies of poll `demo` say 210 voters"]);
    assert!(!workspace.path("copy.db").exists());
}

#[test]
fn server_database_is_copied_with_its_own_tools() {
    let workspace = Workspace::new();
    for (url, tool) in
        [("mysql://u:p@127.0.0.1:1/d", "--single-transaction"), ("postgres://u:p@127.0.0.1:1/d", "pg_dump")]
    {
        workspace.run(&format!("--database-url {url} backup copy.db")).fails(1, &[tool]);
        workspace.run(&format!("--database-url {url} restore copy.db")).fails(1, &[tool]);
    }
    workspace.run("backup copy.db").fails(1, &["no database var/throng.db"]);
}

#[test]
fn output_never_takes_the_place_of_a_file_in_use() {
    let workspace = Workspace::with_demo();
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    workspace.write("cert.pem", &certified.cert.pem());
    workspace.write("key.pem", &certified.signing_key.serialize_pem());
    workspace.write(".env", "TLS_CERTIFICATE=cert.pem\nTLS_KEY=key.pem\n");
    fs::hard_link(workspace.path("var/throng.db"), workspace.path("linked.db")).unwrap();
    std::os::unix::fs::symlink("var/throng.db", workspace.path("symbolic.db")).unwrap();
    let before = fs::read(workspace.path("var/throng.db")).unwrap();
    for name in [
        "var/throng.db",
        "var/../var/throng.db",
        "linked.db",
        "symbolic.db",
        "var/throng.db-wal",
        "var/throng.db-shm",
        "var/throng.db-journal",
        "var/throng.db.lock",
        "var/throng.db.secret",
        "cert.pem",
        "key.pem",
    ] {
        for command in ["poll export demo --force --output", "backup --force"] {
            workspace.run(&format!("{command} {name}")).fails(1, &["throng itself uses", name]);
        }
    }
    assert_eq!(fs::read(workspace.path("var/throng.db")).unwrap(), before);
}

#[test]
fn export_replaces_a_file_only_when_told() {
    let workspace = Workspace::with_demo();
    workspace.write("demo.csv", "something else");
    workspace.run("poll export demo --output demo.csv").fails(1, &["nothing was exported to", "--force"]);
    assert_eq!(fs::read(workspace.path("demo.csv")).unwrap(), b"something else");
    workspace.run("poll export demo --output demo.csv --force").succeeds();
    workspace.run("poll export demo --output new.csv").succeeds();
    for name in ["demo.csv", "new.csv"] {
        assert_eq!(
            (fs::read_to_string(workspace.path(name)).unwrap().lines().count(), mode(&workspace, name)),
            (1, 0o600)
        );
    }
    assert_eq!(fs::read_dir(workspace.directory.path()).unwrap().count(), 3, "something was left over");
}
