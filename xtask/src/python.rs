//! Python packages, installed with pip apart from the system's.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::command;
use crate::packages::Program;

/// Runs the packages.
pub const PYTHON: Program = Program { name: "python3", package: "python3" };

/// Installs them.
pub const PIP: Program = Program { name: "pip3", package: "python3-pip" };

/// Installs exactly the packages of a requirements file, with the hashes that it has, in `directory`.
///
/// # Errors
/// If pip fails.
pub fn install(requirements: &Path, directory: &Path) -> anyhow::Result<()> {
    let mut pip = python();
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--require-hashes",
        "--only-binary",
        ":all:",
        "--target",
    ]);
    pip.arg(directory).args(["--root-user-action", "ignore", "--requirement"]).arg(requirements);
    // Standard output is reserved for the task's own output.
    command::run(pip.stdout(std::io::stderr()))
}

/// Packages that tests run.
#[derive(Clone, Copy, Debug)]
pub struct Packages {
    /// The name of their directory below `target/python`.
    pub name: &'static str,
    /// The requirements file, from the root of the workspace.
    pub requirements: &'static str,
}

impl Packages {
    /// Installs them, unless they are installed already.
    ///
    /// # Errors
    /// If they can't be installed.
    pub fn ensure(self) -> anyhow::Result<()> {
        let (requirements, directory) = (command::root().join(self.requirements), self.directory());
        let text = std::fs::read_to_string(&requirements).with_context(|| self.requirements)?;
        // Some packages are for one version of Python.
        let wanted = format!("{text}# {}\n", command::output(python().arg("--version"))?);
        let installed = directory.join("installed.txt");
        if std::fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
            return Ok(());
        }
        if directory.exists() {
            std::fs::remove_dir_all(&directory)?;
        }
        eprintln!("installing the packages of {}", self.requirements);
        install(&requirements, &directory).with_context(|| format!("{} can't be installed", self.requirements))?;
        std::fs::write(installed, wanted)?;
        Ok(())
    }

    /// Where they are.
    pub fn directory(self) -> PathBuf {
        command::root().join("target/python").join(self.name)
    }
}

fn python() -> Command {
    command::program(PYTHON.name)
}
