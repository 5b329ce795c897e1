//! Programs from the system's packages: finds them, or installs them where that is possible without asking the user.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::command;

/// A program, and the Debian package that contains it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name on the search path.
    pub name: &'static str,
    /// The package's name.
    pub package: &'static str,
}

/// Starts a server so that the system signals it to end when the thread that started it ends, for whatever reason.
pub const SETPRIV: Program = Program { name: "setpriv", package: "util-linux" };

/// Directories of administration programs, which aren't on every user's search path.
const MORE_DIRECTORIES: [&str; 2] = ["/usr/sbin", "/sbin"];

/// Where Debian keeps PostgreSQL's programs, in one directory per version; never on the search path.
const POSTGRES_VERSIONS: &str = "/usr/lib/postgresql";

/// The script that package scripts call to find out whether they may start the services that they install.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Ensures that all `programs` are installed. Missing ones are installed if this process is root on Debian.
///
/// # Errors
/// If one is missing and couldn't be installed; names the packages to install.
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
    let _no_service_start = NoServiceStart::install_policy()?;
    command::run(&mut apt_get("update"))?;
    command::run(&mut apt_get(&format!("install -y --no-install-recommends {packages}")))?;
    match self::missing(programs).first() {
        Some(program) => bail!("`{}` is still missing after installing the package {}", program.name, program.package),
        None => Ok(()),
    }
}

/// The path of the program of that name.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(MORE_DIRECTORIES.map(PathBuf::from)).chain(postgres());
    directories.map(|directory| directory.join(name)).find(|file| file.is_file())
}

/// The path of the program of that name in the system in `root`, as seen inside that system.
pub fn find_in(root: &Path, name: &str) -> Option<PathBuf> {
    let outside = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
    let versions = postgres_in(&outside(Path::new(POSTGRES_VERSIONS)));
    let versions = versions.iter().filter_map(|found| Some(Path::new("/").join(found.strip_prefix(root).ok()?)));
    // `name` may be an absolute path, which is used unchanged.
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
    // Standard output is reserved for the task's own output.
    command.env("DEBIAN_FRONTEND", "noninteractive").stdout(std::io::stderr());
    command
}

/// As long as this exists, the system doesn't start newly installed services.
#[derive(Debug)]
struct NoServiceStart {
    /// Whether this process created the policy. An administrator's own is left unchanged.
    is_own: bool,
}

impl NoServiceStart {
    fn install_policy() -> anyhow::Result<Self> {
        // If it is left behind, it permits everything once this process has ended.
        let policy = format!("#!/bin/sh\n[ -d /proc/{} ] && exit 101\nexit 0\n", std::process::id());
        let file = OpenOptions::new().write(true).create_new(true).mode(0o755).open(POLICY);
        let is_own = match file {
            Ok(mut file) => file.write_all(policy.as_bytes()).map(|()| true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        };
        Ok(Self { is_own: is_own.with_context(|| format!("{POLICY} can't be written"))? })
    }
}

impl Drop for NoServiceStart {
    fn drop(&mut self) {
        if self.is_own {
            let _ = std::fs::remove_file(POLICY);
        }
    }
}
