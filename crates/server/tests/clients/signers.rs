//! The programs in `docs/signed-voters.md` that sign a voter's token, run as they are printed there.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::json;
use throng_testkit::{DataDir, ThrongProcess};

const PAGE: &str = include_str!("../../../../docs/signed-voters.md");
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// The program in this language, and what runs it from standard input.
const SIGNERS: [(&str, &[&str]); 3] = [("php", &["php"]), ("js", &["node", "-"]), ("python", &["python3", "-"])];

fn program(language: &str) -> &'static str {
    let begin = format!("\n```{language}\n");
    let mut programs = PAGE.split(&begin).skip(1);
    let program = programs.next().unwrap_or_else(|| panic!("the page has no program in {language}"));
    assert!(programs.next().is_none(), "the page has several programs in {language}");
    program.split_once("\n```").unwrap().0
}

/// What the program prints.
fn token(language: &str, command: &[&str]) -> String {
    let (stdin, stdout) = (Stdio::piped(), Stdio::piped());
    let child =
        Command::new(command[0]).args(&command[1..]).env("SIGNING_KEY", KEY).stdin(stdin).stdout(stdout).spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask test`", command[0]));
    child.stdin.take().unwrap().write_all(program(language).as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{language}: {}", output.status);
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn programs_in_the_docs_sign_tokens_of_one_voter() {
    let data_dir = DataDir::new();
    let keys = data_dir.path("keys.json");
    std::fs::write(&keys, format!(r#"{{"keys":[{{"kty":"oct","kid":"2026","alg":"HS256","k":"{KEY}"}}]}}"#)).unwrap();
    let run = |arguments: &[&str]| data_dir.command(arguments).env("VOTER_KEYS", &keys).output().unwrap();
    let create = "poll create song --title Song? --option A --option B --policy signed --opens-at now";
    assert!(run(&["schema", "create"]).status.success());
    assert!(run(&create.split(' ').collect::<Vec<_>>()).status.success());
    let mut serve = data_dir.command(&[]);
    serve.env("VOTER_KEYS", &keys);
    let server = ThrongProcess::spawn(serve).once_it_serves();
    for (at, (language, command)) in SIGNERS.into_iter().enumerate() {
        let id = format!("018f4d1e-7c00-7000-8000-{at:012x}");
        let body = json!({"ballot_id": id, "choices": [1], "voter": token(language, command)}).to_string();
        let answer = server.post("/api/v1/polls/song/ballots", body.as_bytes());
        // All of them name the same user.
        if at == 0 {
            assert_eq!(answer.status, 201, "{language}: {answer:?}");
        } else {
            answer.assert_problem(409, "already_voted");
        }
    }
}
