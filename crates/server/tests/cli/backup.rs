//! Files that commands write: backups, what is restored from them, and exports; none in the place of another that is wanted.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rusqlite::Connection;

use crate::shell::Shell;

/// What is kept of a database under its own name and others.
fn voters(shell: &Shell, file: &str) -> u64 {
    let url = format!("sqlite://{file}");
    let results = shell.run_args(&["--database-url", &url, "poll", "results", "demo", "--json"]).json();
    results["voters"].as_u64().unwrap()
}

fn mode(shell: &Shell, name: &str) -> u32 {
    fs::metadata(shell.path(name)).unwrap().permissions().mode() & 0o777
}

#[test]
fn backup_is_made_beside_a_server_and_restored_without_one() {
    let shell = Shell::new();
    let server = shell.serve();
    assert_eq!(server.post("/api/submit", b"[1]").status, 200);
    assert!(shell.run("backup one.db").succeeds().contains("one.db: 1 ballot in 1 poll, as "));
    let made = shell.run("backup copy.db --json").json();
    assert_eq!((&made["polls"], &made["ballots"]), (&1.into(), &1.into()));
    assert_eq!(mode(&shell, "copy.db"), 0o600);
    assert_eq!(server.post("/api/submit", b"[1]").status, 200);
    shell.run("restore copy.db").fails(1, &["another throng serves var/throng.db"]);
    shell.run("backup copy.db").fails(1, &["no backup was made", "--force"]);
    shell.run("backup copy.db --force").succeeds();
    assert_eq!(voters(&shell, "copy.db"), 2);
    assert_eq!(server.post("/api/submit", b"[1]").status, 200);
    // Killed: its log stays.
    drop(server);
    assert!(shell.path("var/throng.db-wal").metadata().unwrap().len() > 0);
    let restored = shell.run("restore copy.db").succeeds();
    assert!(restored.contains("2 ballots in 1 poll;") && restored.contains("var/throng.db.old"), "{restored}");
    assert_eq!((voters(&shell, "var/throng.db"), voters(&shell, "var/throng.db.old")), (2, 3));
    assert_eq!(mode(&shell, "var/throng.db"), 0o600);
    let server = shell.serve();
    assert_eq!(server.get("/api/result").text(), r#"{"1":2,"2":0,"3":0,"4":0,"5":0}"#);
}

#[test]
fn restore_where_only_a_log_is_left_keeps_the_log() {
    let shell = Shell::with_demo();
    shell.run("backup copy.db").succeeds();
    fs::remove_file(shell.path("var/throng.db")).unwrap();
    shell.write("var/throng.db-wal", "some log");
    shell.run("poll list").fails(1, &["may hold the only copy", "throng restore"]);
    shell.run("restore copy.db").succeeds();
    assert_eq!(voters(&shell, "var/throng.db"), 0);
    assert_eq!(fs::read(shell.path("var/throng.db.old-wal")).unwrap(), b"some log");
}

#[test]
fn restore_while_a_program_has_the_file_is_refused_and_names_it() {
    let shell = Shell::with_demo();
    shell.run("backup copy.db").succeeds();
    let before = fs::read(shell.path("var/throng.db")).unwrap();
    let program = Connection::open(shell.path("var/throng.db")).unwrap();
    // Without a transaction: it goes on using the file all the same.
    let polls: u64 = program.query_row("SELECT count(*) FROM poll", [], |row| row.get(0)).unwrap();
    assert_eq!(polls, 1);
    shell
        .run("restore copy.db")
        .fails(1, &["(process ", &format!("{})", std::process::id()), "is using", "end it first"]);
    drop(program);
    assert_eq!(fs::read(shell.path("var/throng.db")).unwrap(), before);
    shell.run("restore copy.db").succeeds();
}

#[test]
fn restore_that_was_interrupted_keeps_what_was_there_once() {
    let shell = Shell::with_demo();
    shell.run("backup copy.db").succeeds();
    fs::rename(shell.path("var/throng.db"), shell.path("var/throng.db.old")).unwrap();
    shell.write("var/throng.db-wal", "throng restore is under way\n");
    shell.run("poll list").fails(1, &["throng restore"]);
    let restored = shell.run("restore copy.db").succeeds();
    assert!(restored.contains("var/throng.db.old.\n"), "{restored}");
    let names = fs::read_dir(shell.path("var")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| !name.ends_with("-shm")).collect();
    names.sort();
    assert_eq!(names, ["throng.db", "throng.db.lock", "throng.db.old"]);
}

#[test]
fn backup_is_not_put_beside_what_would_be_applied_to_it() {
    let shell = Shell::with_demo();
    shell.run("backup copy.db").succeeds();
    let before = fs::read(shell.path("copy.db")).unwrap();
    for suffix in ["-wal", "-journal"] {
        let name = format!("copy.db{suffix}");
        shell.write(&name, "of a program that died");
        shell.run("backup copy.db --force").fails(1, &["no backup was made", &name]);
        fs::remove_file(shell.path(&name)).unwrap();
    }
    assert_eq!(fs::read(shell.path("copy.db")).unwrap(), before);
    shell.run("backup copy.db --force").succeeds();
}

#[test]
fn copy_that_is_not_sound_is_neither_a_backup_nor_restored() {
    let shell = Shell::with_demo();
    let before = fs::read(shell.path("var/throng.db")).unwrap();
    shell.run("restore var/throng.db").fails(1, &["the database itself"]);
    shell.run("restore nosuch.db").fails(1, &["nosuch.db can't be read"]);
    shell.write("notes.txt", &"not a database, but long enough to be taken for one\n".repeat(100));
    shell.run("restore notes.txt").fails(1, &["not a database"]);
    Connection::open(shell.path("other.db")).unwrap().execute_batch("CREATE TABLE other (id)").unwrap();
    shell.run("restore other.db").fails(1, &["no database of Throng's"]);
    assert_eq!(fs::read(shell.path("var/throng.db")).unwrap(), before);
    assert!(!shell.path("var/throng.db.old").exists());
    let database = Connection::open(shell.path("var/throng.db")).unwrap();
    database.execute("INSERT INTO tally (poll_id, option_id, shard, count) VALUES (1, 0, 0, 210)", []).unwrap();
    shell.run("backup copy.db").fails(1, &["no backup was made", "the tallies of poll `demo` say 210 voters"]);
    assert!(!shell.path("copy.db").exists());
}

#[test]
fn server_database_is_copied_with_its_own_tools() {
    let shell = Shell::new();
    for (url, tool) in
        [("mysql://u:p@127.0.0.1:1/d", "--single-transaction"), ("postgres://u:p@127.0.0.1:1/d", "pg_dump")]
    {
        shell.run(&format!("--database-url {url} backup copy.db")).fails(1, &[tool]);
        shell.run(&format!("--database-url {url} restore copy.db")).fails(1, &[tool]);
    }
    shell.run("backup copy.db").fails(1, &["no database var/throng.db"]);
}

#[test]
fn output_never_takes_the_place_of_a_file_in_use() {
    let shell = Shell::with_demo();
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    shell.write("cert.pem", &certified.cert.pem());
    shell.write("key.pem", &certified.signing_key.serialize_pem());
    shell.write(".env", "TLS_CERTIFICATE=cert.pem\nTLS_KEY=key.pem\n");
    fs::hard_link(shell.path("var/throng.db"), shell.path("linked.db")).unwrap();
    std::os::unix::fs::symlink("var/throng.db", shell.path("symbolic.db")).unwrap();
    let before = fs::read(shell.path("var/throng.db")).unwrap();
    for name in [
        "var/throng.db",
        "var/../var/throng.db",
        "linked.db",
        "symbolic.db",
        "var/throng.db-wal",
        "var/throng.db-shm",
        "var/throng.db-journal",
        "var/throng.db.lock",
        "cert.pem",
        "key.pem",
    ] {
        for command in ["poll export demo --force --output", "backup --force"] {
            shell.run(&format!("{command} {name}")).fails(1, &["throng itself uses", name]);
        }
    }
    assert_eq!(fs::read(shell.path("var/throng.db")).unwrap(), before);
}

#[test]
fn export_replaces_a_file_only_when_told() {
    let shell = Shell::with_demo();
    shell.write("demo.csv", "something else");
    shell.run("poll export demo --output demo.csv").fails(1, &["nothing was exported to", "--force"]);
    assert_eq!(fs::read(shell.path("demo.csv")).unwrap(), b"something else");
    shell.run("poll export demo --output demo.csv --force").succeeds();
    shell.run("poll export demo --output new.csv").succeeds();
    for name in ["demo.csv", "new.csv"] {
        assert_eq!((fs::read_to_string(shell.path(name)).unwrap().lines().count(), mode(&shell, name)), (1, 0o600));
    }
    assert_eq!(fs::read_dir(shell.directory.path()).unwrap().count(), 3, "something was left over");
}
