//! The programs in `docs/webhooks.md` that receive a webhook's messages, run as they are printed there.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use throng_testkit::{DataDir, eventually};

const PAGE: &str = include_str!("../../../../docs/webhooks.md");

/// The program in this language, its file, and what runs that.
const RECEIVERS: [(&str, &str, &[&str]); 3] = [
    ("php", "hook.php", &["php", "-S", "127.0.0.1:PORT"]),
    ("js", "hook.js", &["node"]),
    ("python", "hook.py", &["python3"]),
];

fn program(language: &str) -> &'static str {
    let begin = format!("\n```{language}\n");
    let mut programs = PAGE.split(&begin).skip(1);
    let program = programs.next().unwrap_or_else(|| panic!("the page has no program in {language}"));
    assert!(programs.next().is_none(), "the page has several programs in {language}");
    program.split_once("\n```").unwrap().0
}

/// A program that runs until the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn programs_in_the_docs_accept_signed_messages_only() {
    let data_dir = DataDir::new();
    let run = |arguments: &[&str]| data_dir.command(arguments).output().unwrap();
    assert!(run(&["schema", "create"]).status.success());
    for (at, (language, file, command)) in (0..).zip(RECEIVERS) {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        let created = run(&["webhook", "create", &format!("http://127.0.0.1:{port}/")]);
        let secret = String::from_utf8(created.stdout).unwrap().trim().to_owned();
        std::fs::write(data_dir.path(file), program(language)).unwrap();
        let start = |secret: &str| {
            let arguments = command[1..].iter().map(|argument| argument.replace("PORT", &port));
            let mut command = Command::new(command[0]);
            command.args(arguments).arg(data_dir.path(file)).env("WEBHOOK_SECRET", secret).env("PORT", &port);
            let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
            let running = Running(child.unwrap_or_else(|error| panic!("{language}: {error}; run `cargo xtask test`")));
            eventually("it listens", || TcpStream::connect(format!("127.0.0.1:{port}")).ok());
            running
        };
        let (right, others) = (2 * at + 1, 2 * at + 2);
        let receiver = start(&secret);
        let tested = run(&["webhook", "test", &right.to_string()]);
        assert!(tested.status.success(), "{language}: {tested:?}");
        // To the same receiver, signed with another secret.
        run(&["webhook", "create", &format!("http://127.0.0.1:{port}/")]);
        let tested = run(&["webhook", "test", &others.to_string()]);
        let said = String::from_utf8(tested.stderr).unwrap();
        assert!(said.contains("the response was 400"), "{language}: {said}");
        drop(receiver);
    }
}
