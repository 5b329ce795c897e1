//! Clients made of the description by two generators: they compile, and a program votes, reads the result and makes a poll with them.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Served, assert_run, node_tool, python_tool, tools};

/// A file beside this one.
fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/api").join(name)
}

/// `openapi-typescript` and `openapi-fetch`. By default, the first takes fields that have a default for required, also in requests.
#[test]
fn typescript_client_compiles_and_votes() {
    let served = Served::start();
    let directory = served.data_dir.path("typescript");
    std::fs::create_dir(&directory).unwrap();
    // Modules are looked for from the program on.
    std::os::unix::fs::symlink(tools("node").join("node_modules"), directory.join("node_modules")).unwrap();
    std::fs::copy(source("vote.ts"), directory.join("vote.mts")).unwrap();
    assert_run(
        node_tool("openapi-typescript")
            .arg("--default-non-nullable=false")
            .arg(served.description())
            .arg("--output")
            .arg(directory.join("api.d.ts")),
    );
    let options = "--strict --noUncheckedIndexedAccess --target es2022 --module nodenext --lib es2022,dom vote.mts";
    assert_run(node_tool("tsc").args(options.split(' ')).current_dir(&directory));
    let printed =
        assert_run(Command::new("node").arg("vote.mjs").args([&served.url(), &served.token]).current_dir(&directory));
    assert_eq!(printed, "counted\nAlpha: 1\nBeta: 0\ninvalid_choice\n");
}

/// `openapi-python-client`.
#[test]
fn python_client_passes_type_checks_and_votes() {
    let served = Served::start();
    let directory = served.data_dir.path("python");
    std::fs::create_dir(&directory).unwrap();
    std::fs::copy(source("vote.py"), directory.join("vote.py")).unwrap();
    let mut generate = python_tool("openapi-python-client");
    generate.args(["generate", "--meta", "none", "--output-path", "throng_client", "--path"]).arg(served.description());
    assert_run(generate.current_dir(&directory));
    // Of the generated files, those that are the generator's own and the same for everybody have faults of their own.
    for checked in [&["vote.py"][..], &["throng_client/models", "throng_client/api"]] {
        let mut check = python_tool("mypy");
        check.args(["--strict", "--follow-imports", "silent"]).args(checked);
        assert_run(check.current_dir(&directory));
    }
    let mut vote = Command::new("python3");
    vote.arg("vote.py").args([&served.url(), &served.token]).env("PYTHONPATH", tools("python"));
    let printed = assert_run(vote.current_dir(&directory));
    assert_eq!(printed, "counted\nAlpha: 1\nBeta: 0\ninvalid_choice\n");
}
