//! Where settings come from, and what is said of those that can't be used.

use std::os::unix::fs::symlink;
use std::process::Command;

use crate::cli::workspace::{Ran, Workspace};

#[test]
fn the_nearest_setting_wins() {
    let workspace = Workspace::new();
    let database = |ran: Ran| ran.json()["database"].as_str().unwrap().to_owned();
    let create = "schema create --json";
    assert_eq!(database(workspace.run(create)), "var/throng.db");
    for file in [".env", ".env.local", ".env.prod", ".env.prod.local"] {
        if file == ".env" {
            workspace.write(file, "APP_ENV=prod\nDATABASE_URL=sqlite://.env.db\n");
        } else {
            workspace.write(file, &format!("DATABASE_URL=sqlite://{file}.db\n"));
        }
        assert_eq!(database(workspace.run(create)), format!("{file}.db"));
    }
    let environment = [("DATABASE_URL", "sqlite://environment.db")];
    let args = ["schema", "create", "--json"];
    let ran = Ran(workspace.command(&args).envs(environment).output().unwrap());
    assert_eq!(database(ran), "environment.db");
    let args = ["schema", "create", "--json", "--database-url", "sqlite://flag.db"];
    let ran = Ran(workspace.command(&args).envs(environment).output().unwrap());
    assert_eq!(database(ran), "flag.db");
}

#[test]
fn the_environment_decides_which_files_are_read() {
    let workspace = Workspace::new();
    workspace.write(".env.prod", "DATABASE_URL=sqlite://prod.db\n");
    workspace.write(".env.dev", "DATABASE_URL=sqlite://dev.db\n");
    let args = ["schema", "create", "--json"];
    let ran = Ran(workspace.command(&args).env("APP_ENV", "prod").output().unwrap());
    assert_eq!(ran.json()["database"], "prod.db");
    assert_eq!(workspace.run("schema create --json").json()["database"], "dev.db");
}

#[test]
fn all_faults_are_told_at_once_with_their_origin() {
    let workspace = Workspace::new();
    workspace.write(".env", "LISTEN=8080\nQUEUE_URL=kafka://host\n");
    let mut command = workspace.command(&["--database-url", "oracle://user:hunter2@host/name"]);
    let ran = Ran(command.env("DEFAULT_POLL", "No Slug").env("LOG", "throng=loud").output().unwrap());
    ran.fails(
        1,
        &[
            "LISTEN (from .env)",
            "QUEUE_URL (from .env)",
            "DATABASE_URL (from --database-url)",
            "DEFAULT_POLL (from the environment)",
            "LOG (from the environment)",
        ],
    );
    assert!(!ran.complaint().contains("hunter2"), "{}", ran.complaint());
}

#[test]
fn what_lets_everybody_in_is_refused_at_the_start_in_production() {
    let workspace = Workspace::new();
    workspace.write(".env.local", "APP_ENV=prod\nCORS_ALLOW_ORIGIN=*\nCORS_ALLOW_CREDENTIALS=true\n");
    workspace.write(".env", "QUEUE_URL=amqp://guest:guest@127.0.0.1:1/%2f\n");
    workspace.run("serve --listen 127.0.0.1:0").fails(
        1,
        &[
            "CORS_ALLOW_CREDENTIALS (from .env.local)",
            "list your pages' origins in CORS_ALLOW_ORIGIN",
            "QUEUE_URL (from .env)",
            "rabbitmqctl add_user",
            "APP_SECRET",
            "openssl rand -hex 32",
        ],
    );
    assert!(!workspace.path("var").exists(), "nothing was made before");
}

#[test]
fn env_file_that_is_none_ends_every_command_at_once() {
    let workspace = Workspace::new();
    std::fs::create_dir(workspace.path(".env")).unwrap();
    for command in ["poll list", "serve --listen 127.0.0.1:0", "schema status", "config check", "doctor"] {
        workspace.run(command).fails(1, &[".env is a directory", "Docker", "mount"]);
    }
}

#[test]
fn pipe_or_unreadable_file_of_settings_is_told_and_not_waited_for() {
    let workspace = Workspace::new();
    // Its writer never comes.
    let made = Command::new("mkfifo").arg(workspace.path("pipe")).status().unwrap();
    assert!(made.success());
    // Whoever asks, root too, can open this file and not read it.
    symlink("/proc/self/mem", workspace.path("unreadable")).unwrap();
    symlink("loop", workspace.path("loop")).unwrap();
    for (file, told) in [
        ("pipe", "is no regular file; put a file there"),
        ("unreadable", "can't be read: Input/output error"),
        ("loop", "can't be read: Too many levels of symbolic links"),
    ] {
        for command in [&["poll", "list"][..], &["serve", "--listen", "127.0.0.1:0"], &["config", "check"]] {
            symlink(file, workspace.path(".env")).unwrap();
            let mut ran = workspace.start(command, &[]);
            ran.says(&format!(".env {told}"));
            assert_eq!(ran.exit_code(), Some(1), "{command:?} with {file}");
            std::fs::remove_file(workspace.path(".env")).unwrap();
            let mut ran = workspace.start(command, &[("DATABASE_URL_FILE", file)]);
            ran.says(told);
            assert_eq!(ran.exit_code(), Some(1), "{command:?} with {file} for a secret");
        }
    }
}

#[test]
fn slip_in_the_environment_is_warned_of() {
    let workspace = Workspace::with_demo();
    let ran = Ran(workspace.command(&["poll", "list"]).env("DATABSE_URL", "sqlite://elsewhere.db").output().unwrap());
    assert!(ran.0.status.success());
    assert_eq!(ran.complaint(), "throng: warning: DATABSE_URL in the environment is no setting; DATABASE_URL is\n");
    let server = workspace.serve_with(&[("CACHE_URI", "memcached://cache"), ("QUEUE_URL", "")]);
    drop(server);
    let mut server =
        workspace.start(&["--listen", "127.0.0.1:0"], &[("CACHE_URI", "memcached://cache"), ("QUEUE_URL", "")]);
    server.says("CACHE_URI in the environment is no setting; CACHE_URL is");
    server.says("QUEUE_URL (from the environment) is empty; its default is used: none");
}

#[test]
fn dollar_that_would_shorten_a_password_is_refused() {
    let workspace = Workspace::new();
    workspace.write(".env", "LOG=info\nDATABASE_URL=postgres://throng:hun$ter2@host/throng\n");
    let ran = workspace.run("poll list");
    ran.fails(1, &[".env: line 2 has a $", "single quotes"]);
    assert!(!ran.complaint().contains("ter2"), "{}", ran.complaint());
    workspace.write(".env", "DATABASE_URL='sqlite://hun$ter2.db'\n");
    assert_eq!(workspace.run("schema create --json").json()["database"], "hun$ter2.db");
}

#[test]
fn secret_comes_from_a_file() {
    let workspace = Workspace::new();
    workspace.write("database_url", "sqlite://from-a-file.db\n");
    workspace.write(".env", "DATABASE_URL_FILE=database_url\n");
    assert_eq!(workspace.run("schema create --json").json()["database"], "from-a-file.db");
    workspace.write(".env", "DATABASE_URL_FILE=database_url\nDATABASE_URL=sqlite://x.db\n");
    workspace.run("schema status").fails(1, &["DATABASE_URL and DATABASE_URL_FILE (both from .env)"]);
    workspace.write(".env", "DATABASE_URL_FILE=nowhere\n");
    workspace.run("schema status").fails(1, &["DATABASE_URL_FILE (from .env): nowhere isn't there"]);
}

#[test]
fn keys_for_voters_tokens_are_checked_before_a_start() {
    let workspace = Workspace::new();
    workspace.write("keys.json", r#"{"keys":[{"kty":"oct","kid":"a","k":"aHVudGVyMg"},{"kty":"OKP"}]}"#);
    workspace.write(".env", "VOTER_KEYS=keys.json\nLISTEN=foo\n");
    for command in ["serve", "config check"] {
        let ran = workspace.run(command);
        let faults =
            ["VOTER_KEYS (from .env): keys.json key 1 (`a`) has a secret of 7 bytes", "keys.json key 2", "LISTEN"];
        ran.fails(1, &faults);
        assert!(!ran.complaint().contains("aHVudGVyMg"), "{}", ran.complaint());
    }
    workspace.write(".env", "VOTER_KEYS='{\"keys\":[{\"kty\":\"oct\",\"k\":\"aHVudGVyMg\"}]}'\n");
    let ran = workspace.run("serve");
    ran.fails(1, &["VOTER_KEYS (from .env): it has the keys themselves"]);
    assert!(!ran.complaint().contains("aHVudGVyMg"), "{}", ran.complaint());
    workspace.write(".env", "VOTER_KEYS=nowhere.json\n");
    workspace.run("config check").fails(1, &["VOTER_KEYS (from .env): nowhere.json doesn't exist"]);
}

#[test]
fn signed_poll_without_keys_is_warned_about() {
    let workspace = Workspace::with_demo();
    let doctor = |workspace: &Workspace| workspace.run("doctor").output();
    assert!(!doctor(&workspace).contains("voter keys"), "no poll needs them");
    let created = workspace.create("song", "--policy signed --opens-at now");
    assert!(created.0.status.success() && created.complaint().contains("warning: VOTER_KEYS isn't set here"));
    let found = doctor(&workspace);
    assert!(found.contains("FAULT voter keys    the poll `song` has the policy signed"), "{found}");
    let key = r#"{"kty":"oct","kid":"a","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}"#;
    workspace.write("keys.json", &format!(r#"{{"keys":[{key}]}}"#));
    workspace.write(".env", "VOTER_KEYS=keys.json\n");
    assert!(doctor(&workspace).contains("ok    voter keys    they can be read: HS256 a\n"), "{}", doctor(&workspace));
    workspace.create("band", "--policy signed").succeeds();
}

#[test]
fn settings_in_effect_are_shown_without_secrets() {
    let workspace = Workspace::new();
    workspace.write(".env", "QUEUE_URL=amqp://ann:hunter2@mq/%2f\nAPP_SECRET=hunter2hunter2hunter2hunter2hunter2\n");
    let shown = workspace.run("config show --database-url postgres://ann:hunter2@db/votes --json").json();
    let setting = |name: &str| {
        let settings = shown["settings"].as_array().unwrap();
        settings.iter().find(|setting| setting["name"] == name).unwrap().clone()
    };
    assert_eq!(setting("DATABASE_URL")["value"], "postgres://ann@db:5432/votes");
    assert_eq!(setting("DATABASE_URL")["from"], "--database-url");
    assert_eq!((&setting("QUEUE_URL")["from"], &setting("LOG")["from"]), (&".env".into(), &"default".into()));
    assert!(!shown.to_string().contains("hunter2"), "{shown}");
    let text = workspace.run("config show").succeeds();
    let queue = text.lines().find(|line| line.starts_with("QUEUE_URL ")).unwrap();
    let cells: Vec<&str> = queue.split_whitespace().collect();
    assert_eq!(
        (cells, text.contains("hunter2")),
        (vec!["QUEUE_URL", "amqp://ann@mq:5672/%2F", ".env"], false),
        "{text}"
    );

    assert_eq!(workspace.run("config check").succeeds(), "The configuration can be used.\n");
    workspace.write(".env.local", "LISTEN=foo\nTLS_CERTIFICATE=cert.pem\n");
    workspace.run("config check").fails(1, &["LISTEN (from .env.local): `foo`", "TLS_CERTIFICATE", "TLS_KEY"]);
    let checked = workspace.run("config check --json");
    checked.fails(1, &["LISTEN"]);
    let checked: serde_json::Value = serde_json::from_str(&checked.output()).unwrap();
    assert_eq!((&checked["ok"], checked["faults"].as_array().unwrap().len()), (&false.into(), 2));
    let shown = workspace.run("config show");
    shown.fails(1, &["LISTEN"]);
    assert!(shown.output().contains("foo"), "{}", shown.output());
}

#[test]
fn a_broken_env_file_is_named() {
    let workspace = Workspace::new();
    workspace.write(".env", "this is no setting\n");
    workspace.run("poll list").fails(1, &[".env"]);
}
