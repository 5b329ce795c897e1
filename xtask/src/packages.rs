//! Programs that come from the system's packages: found, or installed where that can be done unasked.

use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::command;

/// A program, and the Debian package that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name on the search path.
    pub name: &'static str,
    /// The package's name.
    pub package: &'static str,
}

/// Where administrators' programs are; not on everybody's search path.
const MORE_DIRECTORIES: [&str; 2] = ["/usr/sbin", "/sbin"];

/// Makes sure that every one of `programs` is there. What is missing is installed if this is root on a Debian.
///
/// # Errors
/// Names what to install, if it couldn't be.
pub fn ensure(programs: &[Program]) -> anyhow::Result<()> {
    let missing = missing(programs);
    if missing.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<_> = missing.iter().map(|program| program.package).collect();
    packages.sort_unstable();
    packages.dedup();
    let packages = packages.join(" ");
    if !may_install() {
        let names: Vec<_> = missing.iter().map(|program| program.name).collect();
        bail!("missing: {}; install it first: sudo apt-get install {packages}", names.join(", "));
    }
    println!("installing {packages}");
    command::run(&mut apt_get("update"))?;
    command::run(&mut apt_get(&format!("install -y --no-install-recommends {packages}")))?;
    match self::missing(programs).first() {
        Some(still) => bail!("`{}` is still missing after installing the package {}", still.name, still.package),
        None => Ok(()),
    }
}

/// Where the program of that name is.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(MORE_DIRECTORIES.map(PathBuf::from));
    directories.map(|directory| directory.join(name)).find(|file| file.is_file())
}

fn missing(programs: &[Program]) -> Vec<Program> {
    programs.iter().filter(|program| find(program.name).is_none()).copied().collect()
}

fn may_install() -> bool {
    rustix::process::geteuid().is_root() && Path::new("/etc/debian_version").exists() && find("apt-get").is_some()
}

fn apt_get(arguments: &str) -> std::process::Command {
    let mut command = command::program("apt-get");
    command.args(arguments.split_whitespace()).env("DEBIAN_FRONTEND", "noninteractive");
    command
}
