//! The linters, the fuzzer and the generators of clients that tests run on the description of the API: of fixed versions, in cargo's
//! target directory.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::command;
use crate::packages::{self, Program};
use crate::python::{PIP, PYTHON, Packages};

/// What installs and runs them.
const PROGRAMS: [Program; 4] =
    [PYTHON, PIP, Program { name: "node", package: "nodejs" }, Program { name: "npm", package: "npm" }];

/// Those made for Python.
const PYTHON_TOOLS: Packages =
    Packages { name: "api", requirements: "crates/server/tests/clients/api/tools/requirements.txt" };

/// Where the versions of those made for Node.js are written down.
const NODE_TOOLS: &str = "crates/server/tests/clients/api/tools";

/// Installs them, unless that was done with the same versions.
///
/// # Errors
/// If the programs for that are missing, or fail.
pub fn ensure() -> anyhow::Result<()> {
    packages::ensure(&PROGRAMS)?;
    PYTHON_TOOLS.ensure()?;
    ensure_node_tools()
}

fn ensure_node_tools() -> anyhow::Result<()> {
    let (versions, directory) = (command::root().join(NODE_TOOLS), node_directory());
    let lock = versions.join("package-lock.json");
    let wanted = std::fs::read_to_string(&lock).with_context(|| format!("{} can't be read", lock.display()))?;
    // Written last: an installation that was interrupted has none.
    let installed = directory.join("installed.json");
    if std::fs::read_to_string(&installed).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    if directory.exists() {
        std::fs::remove_dir_all(&directory)?;
    }
    eprintln!("installing the packages of {NODE_TOOLS}/package-lock.json");
    std::fs::create_dir_all(&directory)?;
    for file in ["package.json", "package-lock.json"] {
        std::fs::copy(versions.join(file), directory.join(file))?;
    }
    let mut npm = command::program("npm");
    // No package may run a program of its own when it is installed.
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]).current_dir(&directory);
    // Standard output is reserved for the task's own output.
    command::run(npm.stdout(std::io::stderr()))?;
    std::fs::write(installed, wanted)?;
    Ok(())
}

fn node_directory() -> PathBuf {
    command::root().join("target/node/api")
}
