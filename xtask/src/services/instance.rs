//! How a kind of server is set up and run, and what one server gets: a directory, ports, a password and, if needed, a user.

use std::fs::{self, OpenOptions, Permissions};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::Signal;

use super::{ports, work_dir};
use crate::packages::{Program, SETPRIV};
use crate::stopwatch::wait_checking_rarely;
use crate::{command, packages};

/// The user in a server's URL.
pub const USER: &str = "throng";

/// The script in a server's directory that runs its administration tool, where it has one.
pub const CONTROL: &str = "control";

/// How long initializing the data may take.
const PREPARE_MAX: Duration = Duration::from_secs(120);

/// How many lines of the log an error shows.
const TAIL_LINES: usize = 20;

/// How many errors a report of failed tests shows of one server's log: the first ones, and how long each may be.
const ERRORS_SHOWN: usize = 6;
const ERROR_CHARS_MAX: usize = 300;

/// How a kind of server is set up and run.
#[derive(Debug)]
pub struct ServerSpec {
    pub name: &'static str,
    /// The environment variable with its URL for the tests.
    pub variable: &'static str,
    /// The scheme of its URLs.
    pub scheme: &'static str,
    /// Whether its URL names a user and a password.
    pub has_users: bool,
    pub programs: &'static [Program],
    /// The user that it runs as if this process is root and the server refuses to run as root.
    pub user: Option<&'static str>,
    pub stop_signal: StopSignal,
    /// Creates its data and its configuration.
    pub prepare: fn(&Instance) -> anyhow::Result<()>,
    /// The process that must listen on the instance's second port before it starts.
    pub companion: Option<fn(&Instance) -> anyhow::Result<Command>>,
    pub command: fn(&Instance) -> anyhow::Result<Command>,
    /// Whether it accepts clients now.
    pub accepts_clients: fn(SocketAddr) -> std::io::Result<bool>,
}

/// The signal for a fast but orderly shutdown of a server.
#[derive(Clone, Copy, Debug)]
pub enum StopSignal {
    Terminate,
    Interrupt,
}

impl StopSignal {
    pub fn signal(self) -> Signal {
        match self {
            Self::Terminate => Signal::TERM,
            Self::Interrupt => Signal::INT,
        }
    }

    /// Its name for `setpriv`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Terminate => "TERM",
            Self::Interrupt => "INT",
        }
    }
}

/// The resources of one server.
#[derive(Debug)]
pub struct Instance {
    /// Its directory, which is also its working directory.
    pub directory: PathBuf,
    /// Free ports; the first is the one that clients connect to.
    pub ports: [u16; ports::PER_SERVER],
    /// [`USER`]'s password.
    pub password: String,
    spec: &'static ServerSpec,
    owner: Option<Owner>,
    /// The root directory of the system whose programs it uses, if that isn't this system.
    root: Option<PathBuf>,
}

#[derive(Debug)]
struct Owner {
    user: u32,
    group: u32,
}

impl Instance {
    /// A new instance below `work_dir`, with these ports and the programs of this system or of the one in `root`.
    ///
    /// # Errors
    /// If the directory can't be created, or the user doesn't exist.
    pub fn new(
        spec: &'static ServerSpec,
        ports: [u16; ports::PER_SERVER],
        work_dir: &Path,
        root: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let directory = work_dir.join(spec.name);
        fs::create_dir(&directory)?;
        fs::set_permissions(&directory, Permissions::from_mode(0o700))?;
        let owner = spec
            .user
            .filter(|_| rustix::process::geteuid().is_root())
            .map(|name| Owner::find(name, root))
            .transpose()?;
        let instance =
            Self { directory, ports, password: work_dir::password()?, spec, owner, root: root.map(Path::to_owned) };
        instance.change_owner(&instance.directory)?;
        Ok(instance)
    }

    /// The address that clients connect to.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports[0]).into()
    }

    /// The URL for clients.
    pub fn url(&self) -> String {
        let user = if self.spec.has_users { format!("{USER}:{}@", self.password) } else { String::new() };
        format!("{}://{user}{}", self.spec.scheme, self.address())
    }

    /// The path of the file or directory of that name.
    pub fn path(&self, name: &str) -> String {
        self.directory.join(name).to_string_lossy().into_owned()
    }

    /// Writes a file that only the server may read, and returns its path.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn write(&self, name: &str, text: &str) -> anyhow::Result<String> {
        let file = self.directory.join(name);
        fs::write(&file, text).with_context(|| format!("{} can't be written", file.display()))?;
        self.change_owner(&file)?;
        Ok(self.path(name))
    }

    /// A command that runs `program` as the server's user, in its directory, without the developer's environment. Its output
    /// goes to the log. Signals from the terminal don't reach it; it gets the stop signal when the thread that started it
    /// ends.
    ///
    /// # Errors
    /// If the program isn't installed, or the log can't be opened.
    pub fn command(&self, program: &str) -> anyhow::Result<Command> {
        let found = match &self.root {
            Some(root) => packages::find_in(root, program),
            None => packages::find(program),
        };
        let found = found.with_context(|| format!("{program} isn't installed"))?;
        let log = OpenOptions::new().create(true).append(true).open(self.log())?;
        let mut prefix = self.chroot_prefix().into_iter().chain([SETPRIV.name.to_owned()]);
        let mut command = command::program(prefix.next().unwrap_or_default());
        command.args(prefix);
        command.arg(format!("--pdeathsig={}", self.spec.stop_signal.name()));
        if let Some(Owner { user, group }) = &self.owner {
            command.args([format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".to_owned()]);
        }
        command.arg("--").arg(found).current_dir(&self.directory).env_clear();
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("HOME", &self.directory).env("LANG", "C.UTF-8");
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        Ok(command)
    }

    /// Whether the system whose programs it uses has this file.
    pub fn has(&self, path: &str) -> bool {
        let root = self.root.as_deref().unwrap_or(Path::new("/"));
        root.join(path.trim_start_matches('/')).is_file()
    }

    /// The words that precede a program to run it in the system whose programs it uses; empty if that is this system.
    pub fn chroot_prefix(&self) -> Vec<String> {
        let enter = |root: &PathBuf| vec!["chroot".to_owned(), root.display().to_string()];
        self.root.as_ref().map_or_else(Vec::new, enter)
    }

    /// Runs a command and waits for it to end.
    ///
    /// # Errors
    /// If it fails or takes too long; the error contains the end of the log.
    pub fn finish(&self, mut command: Command) -> anyhow::Result<()> {
        let name = self.spec.name;
        let mut child = command.spawn().with_context(|| format!("{name}: {} can't be started", SETPRIV.name))?;
        match wait_checking_rarely(PREPARE_MAX, || child.try_wait().transpose()).transpose()? {
            Some(status) if status.success() => Ok(()),
            Some(status) => {
                bail!("{name}: its data can't be initialized ({status}); the end of its log:\n{}", self.log_tail())
            }
            None => {
                child.kill()?;
                child.wait()?;
                bail!(
                    "{name}: its data wasn't initialized within {} s; the end of its log:\n{}",
                    PREPARE_MAX.as_secs(),
                    self.log_tail()
                )
            }
        }
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        tail(&String::from_utf8_lossy(&log))
    }

    /// The length of its log.
    pub fn log_bytes(&self) -> u64 {
        fs::metadata(self.log()).map_or(0, |log| log.len())
    }

    /// The first errors in its log from this byte on.
    pub fn errors_since(&self, start: u64) -> Vec<String> {
        let log = fs::read(self.log()).unwrap_or_default();
        let start = usize::try_from(start).unwrap_or(usize::MAX).min(log.len());
        errors(&String::from_utf8_lossy(&log[start..]))
    }

    fn log(&self) -> PathBuf {
        self.directory.join("log")
    }

    fn change_owner(&self, path: &Path) -> anyhow::Result<()> {
        if let Some(Owner { user, group }) = self.owner {
            chown(path, Some(user), Some(group))
                .with_context(|| format!("the owner of {} can't be changed", path.display()))?;
        }
        Ok(())
    }
}

impl Owner {
    fn find(name: &'static str, root: Option<&Path>) -> anyhow::Result<Self> {
        let id = |which| {
            let mut id = command::program(if root.is_some() { "chroot" } else { "id" });
            id.args(root).args(root.map(|_| "id")).args([which, name]);
            anyhow::Ok(command::output(&mut id)?.parse()?)
        };
        Ok(Self { user: id("-u")?, group: id("-g")? })
    }
}

fn tail(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

fn errors(log: &str) -> Vec<String> {
    let is_error = |line: &&str| line.to_ascii_lowercase().contains("error");
    log.lines().filter(is_error).take(ERRORS_SHOWN).map(|line| line.chars().take(ERROR_CHARS_MAX).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_errors_of_a_log_are_found() {
        let log = format!("started\n[error] one\n{}\nERROR: two\n", "Error".repeat(100));
        assert_eq!(errors(&log)[..1], ["[error] one"]);
        assert_eq!(errors(&log)[1].len(), ERROR_CHARS_MAX);
        assert_eq!(errors(&log).len(), 3);
        assert_eq!(errors(&"error\n".repeat(100)).len(), ERRORS_SHOWN);
    }
}
