//! The structure of the workspace: which files and modules may use which others.
//!
//! The sources are parsed, not compiled: names are resolved by the `use` items and modules of their crate, re-exports included,
//! to the file that defines them. Tests may use anything.
#![allow(clippy::unwrap_used, reason = "a test fails where it can't go on")]

mod cases;
mod circles;
mod layers;
mod names;
mod paths;
mod tree;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use self::tree::Tree;

/// The top-level modules of the server, from top to bottom: each may use only those below it.
const SERVER_LAYERS: [&str; 18] = [
    "main",
    "cli",
    "app",
    "worker",
    "http",
    "polls",
    "voting",
    "state",
    "webhooks",
    "access",
    "anomaly",
    "intake",
    "results",
    "config",
    "view",
    "net",
    "sched",
    "telemetry",
];

/// The crates, by the directory of their sources and the file that declares their modules.
const CRATES: [(&str, &str); 5] = [
    ("crates/domain/src", "lib.rs"),
    ("crates/backends/src", "lib.rs"),
    ("crates/loadgen/src", "lib.rs"),
    ("crates/server/src", "lib.rs"),
    ("xtask/src", "main.rs"),
];

#[test]
fn no_files_use_each_other() {
    let circles: Vec<_> = CRATES.iter().flat_map(|(directory, root)| circles::find(&parse(directory, root))).collect();
    assert!(
        circles.is_empty(),
        "files use each other; move what they share into a file that uses none of them:\n\n{}",
        circles.join("\n\n")
    );
}

#[test]
fn server_modules_use_only_those_below() {
    let faults = layers::faults(&parse("crates/server/src", "lib.rs"), &SERVER_LAYERS);
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// The modules of the crate whose sources are in `directory`.
fn parse(directory: &str, root: &str) -> Tree {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(directory);
    let mut texts = BTreeMap::new();
    let mut unread = vec![base.clone()];
    while let Some(path) = unread.pop() {
        let entries: Vec<PathBuf> = path.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
        for entry in entries {
            if entry.is_dir() {
                unread.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                let name = entry.strip_prefix(&base).unwrap().to_str().unwrap().to_owned();
                texts.insert(name, std::fs::read_to_string(&entry).unwrap());
            }
        }
    }
    Tree::parse(directory, root, &texts)
}
