//! Programs that come from the system's packages: found, or installed where that can be done unasked.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::command;

/// A program, and the Debian package that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name on the search path.
    pub name: &'static str,
    /// The package's name.
    pub package: &'static str,
}

/// Starts a server so that it is told to end when the thread that started it is gone, however that ended.
pub const SETPRIV: Program = Program { name: "setpriv", package: "util-linux" };

/// Where administrators' programs are; not on everybody's search path.
const MORE_DIRECTORIES: [&str; 2] = ["/usr/sbin", "/sbin"];

/// Where Debian keeps PostgreSQL's, in one directory a version; on nobody's search path.
const POSTGRES_VERSIONS: &str = "/usr/lib/postgresql";

/// What package scripts ask whether they may start what they install.
const POLICY: &str = "/usr/sbin/policy-rc.d";

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
    eprintln!("installing {packages}");
    let _quiet = Quiet::keep()?;
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
    let directories = std::env::split_paths(&path).chain(MORE_DIRECTORIES.map(PathBuf::from)).chain(postgres());
    directories.map(|directory| directory.join(name)).find(|file| file.is_file())
}

/// Where the program of that name is in the system in `root`, as its path there.
pub fn find_in(root: &Path, name: &str) -> Option<PathBuf> {
    let outside = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
    let versions = postgres_in(&outside(Path::new(POSTGRES_VERSIONS)));
    let versions = versions.iter().filter_map(|found| Some(Path::new("/").join(found.strip_prefix(root).ok()?)));
    // A path that has a directory is taken as it is.
    let directories = ["/usr/sbin", "/usr/bin"].into_iter().map(PathBuf::from).chain(versions);
    directories.map(|directory| directory.join(name)).find(|file| outside(file).is_file())
}

/// The directories of PostgreSQL's programs, the newest version first.
fn postgres() -> Vec<PathBuf> {
    postgres_in(Path::new(POSTGRES_VERSIONS))
}

fn postgres_in(versions: &Path) -> Vec<PathBuf> {
    let versions = std::fs::read_dir(versions).into_iter().flatten().flatten();
    let mut versions: Vec<_> = versions.map(|version| version.path()).collect();
    let number = |version: &PathBuf| version.file_name()?.to_str()?.parse::<u32>().ok();
    versions.sort_by_key(|version| std::cmp::Reverse(number(version)));
    versions.into_iter().map(|version| version.join("bin")).collect()
}

fn missing(programs: &[Program]) -> Vec<Program> {
    programs.iter().filter(|program| find(program.name).is_none()).copied().collect()
}

fn may_install() -> bool {
    rustix::process::geteuid().is_root() && Path::new("/etc/debian_version").exists() && find("apt-get").is_some()
}

fn apt_get(arguments: &str) -> Command {
    let mut command = command::program("apt-get");
    command.args(["-o", "DPkg::Lock::Timeout=300"]).args(arguments.split_whitespace());
    // Standard output is for what was asked for.
    command.env("DEBIAN_FRONTEND", "noninteractive").stdout(std::io::stderr());
    command
}

/// As long as this lives, the system doesn't start the servers that are installed.
#[derive(Debug)]
struct Quiet {
    /// Whether the policy is ours. An administrator's own is left as it is.
    ours: bool,
}

impl Quiet {
    fn keep() -> anyhow::Result<Self> {
        // It forbids nothing any more when this process is gone, should it be left behind.
        let policy = format!("#!/bin/sh\n[ -d /proc/{} ] && exit 101\nexit 0\n", std::process::id());
        let file = OpenOptions::new().write(true).create_new(true).mode(0o755).open(POLICY);
        let ours = match file {
            Ok(mut file) => file.write_all(policy.as_bytes()).map(|()| true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        };
        Ok(Self { ours: ours.with_context(|| format!("{POLICY} can't be written"))? })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if self.ours {
            let _ = std::fs::remove_file(POLICY);
        }
    }
}
