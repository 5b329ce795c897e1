//! The programs in `docs/api.md`, run as they are printed there.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::Served;

const PAGE: &str = include_str!("../../../../../docs/api.md");

/// Each language, what runs a program of it from standard input, and the poll that the program makes.
const PROGRAMS: [(&str, &[&str], &str); 3] =
    [("sh", &["sh", "-eu"], "curl"), ("js", &["node", "--input-type=module", "-"], "js"), ("php", &["php"], "php")];

fn program(language: &str) -> &'static str {
    let begin = format!("\n```{language}\n");
    let mut programs = PAGE.split(&begin).skip(1);
    let program = programs.next().unwrap_or_else(|| panic!("the page has no program in {language}"));
    assert!(programs.next().is_none(), "the page has several programs in {language}");
    program.split_once("\n```").unwrap().0
}

#[test]
fn programs_in_the_docs_make_a_poll_and_vote_in_it() {
    let served = Served::start();
    for (language, command, slug) in PROGRAMS {
        let mut child = Command::new(command[0])
            .args(&command[1..])
            .envs([("THRONG", served.url()), ("TOKEN", served.token.clone())])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask test`", command[0]));
        child.stdin.take().unwrap().write_all(program(language).as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{language}: {}\n{printed}", output.status);
        let shown = if language == "sh" { r#""label":"Beta","count":1"# } else { "Beta: 1" };
        assert!(printed.contains(shown), "{language}: {printed}");
        let results = served.server.get(&format!("/api/v1/polls/{slug}/results")).json();
        assert_eq!((&results["voters"], &results["options"][1]["count"]), (&1.into(), &1.into()), "{language}");
    }
}
