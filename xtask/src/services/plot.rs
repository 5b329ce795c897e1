//! What one server has to itself: a directory, ports, a password and, if it must, a user.

use std::fs::{self, OpenOptions, Permissions};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::{Recipe, ground, ports};
use crate::packages::SETPRIV;
use crate::stopwatch::wait_patiently;
use crate::{command, packages};

/// The user whom a server's URL names.
pub const USER: &str = "throng";

/// What its administrator would type, if it has such a thing: a script in its directory.
pub const CONTROL: &str = "control";

/// How long making the data may take.
const PREPARE_MAX: Duration = Duration::from_secs(120);

/// How much of a log an error shows.
const TAIL_LINES: usize = 20;

/// What one server has to itself.
#[derive(Debug)]
pub struct Plot {
    /// Its own directory, in which it runs.
    pub directory: PathBuf,
    /// The first is the one where clients come in; it and the others are free.
    pub ports: [u16; ports::EACH],
    /// [`USER`]'s password.
    pub password: String,
    recipe: &'static Recipe,
    owner: Option<Owner>,
    /// The directory of the system whose programs it is made of, where that isn't this one.
    root: Option<PathBuf>,
}

#[derive(Debug)]
struct Owner {
    user: u32,
    group: u32,
}

impl Plot {
    /// A new one below `ground`, with these ports, of this system's programs or those of the system in `root`.
    ///
    /// # Errors
    /// If the directory can't be made, or the user isn't there.
    pub fn new(
        recipe: &'static Recipe,
        ports: [u16; ports::EACH],
        ground: &Path,
        root: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let directory = ground.join(recipe.name);
        fs::create_dir(&directory)?;
        fs::set_permissions(&directory, Permissions::from_mode(0o700))?;
        let owner = recipe
            .user
            .filter(|_| rustix::process::geteuid().is_root())
            .map(|name| Owner::find(name, root))
            .transpose()?;
        let plot =
            Self { directory, ports, password: ground::password()?, recipe, owner, root: root.map(Path::to_owned) };
        plot.hand_over(&plot.directory)?;
        Ok(plot)
    }

    /// Where clients come in.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports[0]).into()
    }

    /// What clients are told.
    pub fn url(&self) -> String {
        let user = if self.recipe.has_users { format!("{USER}:{}@", self.password) } else { String::new() };
        format!("{}://{user}{}", self.recipe.scheme, self.address())
    }

    /// Where a file or directory of that name is.
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
        self.hand_over(&file)?;
        Ok(self.path(name))
    }

    /// `program`, to be run as the server's user, in its directory, with nothing of a developer's environment. Its
    /// words go to the log. Signals from the terminal don't reach it; if the thread that starts it is gone, it is told
    /// to end.
    ///
    /// # Errors
    /// If the program isn't there, or the log can't be opened.
    pub fn command(&self, program: &str) -> anyhow::Result<Command> {
        let found = match &self.root {
            Some(root) => packages::find_in(root, program),
            None => packages::find(program),
        };
        let found = found.with_context(|| format!("{program} isn't installed"))?;
        let log = OpenOptions::new().create(true).append(true).open(self.log())?;
        let mut words = self.entering().into_iter().chain([SETPRIV.name.to_owned()]);
        let mut command = command::program(words.next().unwrap_or_default());
        command.args(words);
        command.arg(format!("--pdeathsig={}", self.recipe.ending.name()));
        if let Some(Owner { user, group }) = &self.owner {
            command.args([format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".to_owned()]);
        }
        command.arg("--").arg(found).current_dir(&self.directory).env_clear();
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("HOME", &self.directory).env("LANG", "C.UTF-8");
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        Ok(command)
    }

    /// Whether the system that it is made of has this file.
    pub fn has(&self, path: &str) -> bool {
        let root = self.root.as_deref().unwrap_or(Path::new("/"));
        root.join(path.trim_start_matches('/')).is_file()
    }

    /// What stands before a program that is run in the system that it is made of; nothing if that is this one.
    pub fn entering(&self) -> Vec<String> {
        let enter = |root: &PathBuf| vec!["chroot".to_owned(), root.display().to_string()];
        self.root.as_ref().map_or_else(Vec::new, enter)
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// If it fails or takes too long; what it said is in the error.
    pub fn finish(&self, mut command: Command) -> anyhow::Result<()> {
        let name = self.recipe.name;
        let mut child = command.spawn().with_context(|| format!("{name}: {} can't be started", SETPRIV.name))?;
        match wait_patiently(PREPARE_MAX, || child.try_wait().transpose()).transpose()? {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!("{name}: its data can't be made ({status}); it said:\n{}", self.last_words()),
            None => {
                child.kill()?;
                child.wait()?;
                bail!("{name}: its data wasn't made in {} s; it said:\n{}", PREPARE_MAX.as_secs(), self.last_words())
            }
        }
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        tail(&String::from_utf8_lossy(&log))
    }

    fn log(&self) -> PathBuf {
        self.directory.join("log")
    }

    fn hand_over(&self, path: &Path) -> anyhow::Result<()> {
        if let Some(Owner { user, group }) = self.owner {
            chown(path, Some(user), Some(group)).with_context(|| format!("{} can't be given away", path.display()))?;
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
