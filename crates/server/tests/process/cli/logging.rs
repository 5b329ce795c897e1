//! What is logged, in production as JSON.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::Value;
use throng_testkit::{Connection, eventually};

use crate::cli::workspace::{Ran, Workspace};

/// Requests with more lines than a pipe and the queue before it have room for.
const REQUESTS: usize = 6_000;

/// The samples of a metric in the text of `/metrics`.
fn sample(metrics: &str, name: &str) -> u64 {
    metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0)
}

#[test]
fn in_production_every_line_is_an_object() {
    let workspace = Workspace::new();
    let mut server = workspace.serve_with(&[("APP_ENV", "prod"), ("LOG", "info,throng::request=debug")]);
    server.get("/nowhere").assert_problem(404, "not_found");
    let line: Value = serde_json::from_str(&server.says("/nowhere")).unwrap();
    assert_eq!((&line["level"], &line["message"]), (&"DEBUG".into(), &"answered".into()));
    assert_eq!((&line["method"], &line["status"], &line["client"]), (&"GET".into(), &404.into(), &"127.0.0.1".into()));
    assert_eq!(line["request_id"].as_str().map(str::len), Some(16), "{line}");
    assert!(line["elapsed_us"].is_u64() && line["timestamp"].is_string(), "{line}");
}

#[test]
fn requests_that_succeed_are_not_logged_unasked() {
    let workspace = Workspace::new();
    let mut server = workspace.serve();
    assert_eq!(server.post("/api/submit", b"[1]").status, 200);
    server.get("/nowhere").assert_problem(404, "not_found");
    server.terminate();
    let rest = server.says_until("stopped");
    assert!(!rest.iter().any(|line| line.contains("/api/") || line.contains("/nowhere")), "{rest:#?}");
}

#[test]
fn a_log_that_nobody_reads_holds_nothing_up() {
    let workspace = Workspace::new();
    let (mut server, lines) = workspace.serve_unread(&[("APP_ENV", "prod"), ("LOG", "info,throng::request=debug")]);
    let mut connection = Connection::open(server.address);
    for _ in 0..REQUESTS {
        assert_eq!(connection.request("GET", "/livez", &[], b"").status, 200);
    }
    let dropped = || sample(server.get("/metrics").text(), "throng_log_lines_dropped_total");
    eventually("dropped lines are counted", || (dropped() > 0).then_some(()));
    server.terminate();
    assert_eq!(server.exit_code(), Some(0));
    drop(lines);
}

#[test]
fn a_log_that_is_read_again_says_what_is_missing() {
    let workspace = Workspace::new();
    let (server, mut lines) = workspace.serve_unread(&[("APP_ENV", "prod"), ("LOG", "info,throng::request=debug")]);
    let mut connection = Connection::open(server.address);
    for _ in 0..REQUESTS {
        assert_eq!(connection.request("GET", "/livez", &[], b"").status, 200);
    }
    let said = lines.find(|line| line.as_ref().unwrap().contains("were dropped")).unwrap().unwrap();
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["level"], "WARN");
    assert!((1..=REQUESTS).contains(&usize::try_from(said["dropped"].as_u64().unwrap()).unwrap()), "{said}");
}

#[test]
fn the_last_lines_are_written_before_an_end_with_an_error() {
    let workspace = Workspace::new();
    let nowhere = "mysql://throng:secret@127.0.0.1:1/throng";
    let ran = workspace.run_args(&["serve", "--listen", "127.0.0.1:0", "--database-url", nowhere, "--wait", "0"]);
    ran.fails(1, &["starting database=", "throng: can't open"]);
    assert!(ran.complaint().find("starting") < ran.complaint().find("throng: can't"), "{}", ran.complaint());
}

#[test]
fn a_full_pipe_holds_no_failing_command_up() {
    let workspace = Workspace::new();
    let (reader, mut writer) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    while writer.write(&[b'x'; 4_096]).is_ok() {}
    while writer.write(b"x").is_ok() {}
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
    let url = "mysql://x@127.0.0.1:1/x";
    let mut command = workspace.command(&["serve", "--listen", "127.0.0.1:0", "--database-url", url, "--wait", "0"]);
    let mut child = command.stderr(Stdio::from(writer.try_clone().unwrap())).stdout(writer).spawn().unwrap();
    drop(command);
    let ended = eventually("it ends", || child.try_wait().unwrap());
    assert_eq!(ended.code(), Some(1));
    drop(reader);
}

/// What must not be written anywhere: each has this in it.
const MARK: &str = "7f3a9c51secret";

/// Fails if a command says a secret, whatever becomes of it.
#[track_caller]
fn assert_silent(ran: &Ran, what: &str) {
    let said = format!("{}{}", ran.output(), ran.complaint());
    assert!(!said.contains(MARK), "{what}: {said}");
}

/// S28: by every way in which a command can fail.
#[test]
fn secrets_are_not_told_by_commands_that_fail() {
    let workspace = Workspace::new();
    let mysql = format!("mysql://ann:{MARK}@127.0.0.1:1/throng");
    let postgres = format!("postgres://ann:{MARK}@127.0.0.1:1/throng");
    let queue = format!("amqp://ann:{MARK}@127.0.0.1:1/%2f");
    let broken =
        [format!("mysql://ann:{MARK}@"), format!("postgres:/ann:{MARK}@h"), format!("oracle://ann:{MARK}@h/x")];
    let secret = format!("{MARK}{}", "0".repeat(32));
    workspace.write("keys.json", &format!(r#"{{"keys":[{{"kty":"oct","alg":"HS256","kid":"a","k":"{MARK}"}}]}}"#));
    let token = format!("throng_1_{MARK}");
    for command in [
        "config show",
        "config check",
        "config show --json",
        "doctor",
        "serve --listen 127.0.0.1:0 --wait 0",
        "poll list",
        "schema status",
        "worker --wait 0",
        "healthcheck",
    ] {
        let args: Vec<_> = command.split(' ').collect();
        for database in [&mysql, &postgres].into_iter().chain(&broken) {
            for log in ["info", "trace"] {
                let environment = [
                    ("DATABASE_URL", database.as_str()),
                    ("QUEUE_URL", &queue),
                    ("CACHE_URL", "memcached://127.0.0.1:1"),
                    ("APP_SECRET", &secret),
                    ("VOTER_KEYS", "keys.json"),
                    ("LOG", log),
                ];
                let ran = Ran(workspace.command(&args).envs(environment).output().unwrap());
                assert_silent(&ran, &format!("{command} {log}"));
            }
        }
        // The values themselves, in the place of a file's name or of another setting.
        let keys = format!(r#"{{"keys":[{{"kty":"oct","k":"{MARK}"}}]}}"#);
        for (name, value) in [
            ("APP_SECRET", MARK),
            ("VOTER_KEYS", &keys),
            ("QUEUE_URL", &broken[0]),
            ("CACHE_URL", &broken[0]),
            ("DATABASE_URL", &token),
            ("OTLP_ENDPOINT", &mysql),
        ] {
            let ran = Ran(workspace.command(&args).env(name, value).env("WAIT", "0").output().unwrap());
            assert_silent(&ran, &format!("{command} with {name}"));
        }
    }
}

/// S28: whatever is sent with a request, also where each request is logged with all that its libraries say.
#[test]
fn secrets_in_requests_are_not_logged() {
    let workspace = Workspace::with_demo();
    // It warns that VOTER_KEYS isn't set here.
    assert!(workspace.create("club", "--policy signed --opens-at now").0.status.success());
    workspace.create("hall", "--policy code --opens-at now").succeeds();
    let known = workspace.run("token create anna --role editor").succeeds();
    let known = known.split_whitespace().find(|word| word.starts_with("throng_")).unwrap().to_owned();
    let codes = workspace.run("poll codes create hall --count 1").succeeds();
    let code = codes
        .lines()
        .map(|line| line.split(',').next_back().unwrap().trim())
        .find(|line| line.len() >= 16)
        .unwrap()
        .to_owned();
    let secret = format!("{MARK}{}", "0".repeat(32));
    // A key of 256 bits, in base64.
    let key = format!("{MARK}{}", "A".repeat(43 - MARK.len()));
    workspace.write("keys.json", &format!(r#"{{"keys":[{{"kty":"oct","alg":"HS256","kid":"a","k":"{key}"}}]}}"#));
    let environment = [("APP_SECRET", secret.as_str()), ("VOTER_KEYS", "keys.json"), ("LOG", "trace")];
    let mut server = workspace.serve_with(&environment);
    let id = "018f4d1e-7c00-7000-8000-000000000001";
    for bearer in [known.clone(), format!("throng_1_{MARK}"), MARK.to_owned()] {
        let authorization = format!("Bearer {bearer}");
        let cookie = format!("__Host-throng-demo={MARK}; throng-demo={MARK}");
        let headers = [
            ("authorization", authorization.as_str()),
            ("cookie", &cookie),
            ("throng-voter", MARK),
            ("throng-receipt", MARK),
            ("throng-proof", MARK),
        ];
        let send = |method: &str, path: &str, body: &str| {
            let headers = [&headers[..], &[("content-type", "application/json")]].concat();
            Connection::open(server.address).request(method, path, &headers, body.as_bytes())
        };
        for path in ["/polls/club", "/polls/hall", "/polls/demo", "/polls/hall/ballot"] {
            send("GET", &format!("{path}?voter={MARK}.{MARK}.x&code={MARK}&receipt={MARK}"), "");
            send("GET", &format!("{path}?code={code}"), "");
        }
        for slug in ["club", "hall", "demo"] {
            for voter in [MARK, &code] {
                let body = format!(r#"{{"ballot_id":"{id}","choices":[1],"voter":"{voter}"}}"#);
                send("POST", &format!("/api/v1/polls/{slug}/ballots"), &body);
            }
        }
        send("GET", &format!("/api/v1/ballots/{id}"), "");
        send("POST", "/api/v1/admin/polls", &format!(r#"{{"slug":"{MARK}!"}}"#));
        send("GET", "/api/v1/admin/polls", "");
        send("POST", "/api/submit", "[1]");
    }
    server.get("/nowhere").assert_problem(404, "not_found");
    server.terminate();
    let log = server.says_until("stopped").join("\n");
    assert!(log.contains("/nowhere"), "requests are logged");
    for (what, secret) in [("a mark", MARK), ("a token", &*known), ("a code", &*code)] {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{what} is in the log");
    }
}
