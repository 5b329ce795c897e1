//! Another release of Debian in a directory, from which servers are started with `chroot`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::command;
use crate::packages::{self, Program};

const DEBOOTSTRAP: Program = Program { name: "debootstrap", package: "debootstrap" };

/// Written when everything is installed: a directory without it is incomplete and is created again.
const COMPLETE: &str = ".complete";

/// Options for dpkg: documentation and translations, which aren't used there, are left out.
const LEAN: &str = "path-exclude=/usr/share/doc/*\npath-exclude=/usr/share/man/*\npath-exclude=/usr/share/locale/*\n\
                    force-unsafe-io\n";

/// One release of Debian.
#[derive(Debug)]
pub struct Root {
    directory: PathBuf,
}

impl Root {
    /// The release `name` with these packages, below `base`: from an earlier run, or created now.
    ///
    /// # Errors
    /// If this process isn't root on Debian, or the release can't be installed.
    pub fn open(base: &Path, name: &str, packages: &[&str]) -> anyhow::Result<Self> {
        ensure!(rustix::process::geteuid().is_root(), "debootstrap and chroot need root");
        packages::ensure(&[DEBOOTSTRAP])?;
        let root = Self { directory: base.join(name) };
        if root.directory.join(COMPLETE).exists() {
            return Ok(root);
        }
        if root.directory.exists() {
            fs::remove_dir_all(&root.directory).with_context(|| format!("{} is in use", root.directory.display()))?;
        }
        fs::create_dir_all(base)?;
        println!("debootstrap {name}: takes some minutes, once");
        let mut bootstrap = command::program(DEBOOTSTRAP.name);
        bootstrap.args(["--variant=minbase", "--include=ca-certificates,openssl", name]);
        command::run(bootstrap.arg(&root.directory).arg(mirror()?))?;
        root.install(packages)?;
        fs::write(root.directory.join(COMPLETE), "")?;
        Ok(root)
    }

    /// Its path.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A command that runs a program in it, as root.
    pub fn program(&self, name: &str) -> Command {
        let mut chroot = command::program("chroot");
        chroot.arg(&self.directory).arg(name);
        chroot
    }

    /// Mounts in it what servers need: `directory`, at the same path as outside, and `/proc`.
    ///
    /// # Errors
    /// If that can't be mounted.
    pub fn mount(&self, directory: &Path) -> anyhow::Result<[Mount; 2]> {
        let outside = directory.to_str().context("its path isn't valid UTF-8")?;
        let inside = self.directory.join(outside.trim_start_matches('/'));
        Ok([
            Mount::make(&["-t", "proc", "proc"], self.directory.join("proc"))?,
            Mount::make(&["--bind", outside], inside)?,
        ])
    }

    /// A script that runs one of its programs without `chroot`, for tests that start the program with their own files.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn loader_script(&self, program: &str) -> anyhow::Result<PathBuf> {
        let libraries = self.directory.join(format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH));
        let files = fs::read_dir(&libraries)?.flatten().map(|file| file.path());
        let is_loader =
            |file: &PathBuf| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-linux"));
        let loader = files.into_iter().find(is_loader).context("its libraries have no loader")?;
        let script = self.directory.with_extension("program");
        let (loader, libraries, program) = (loader.display(), libraries.display(), self.directory.join(program));
        let line = format!("exec {loader} --library-path {libraries} {} \"$@\"", program.display());
        fs::write(&script, format!("#!/bin/sh\n{line}\n"))?;
        fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        Ok(script)
    }

    /// The version of the first installed package whose name matches `package`, without Debian's additions.
    ///
    /// # Errors
    /// If there is none.
    pub fn version(&self, package: &str) -> anyhow::Result<String> {
        let printed = command::output(self.program("dpkg-query").args(["-W", "-f=${Version}\n", package]))?;
        let version = printed.lines().find(|version| !version.is_empty()).context("no such package is installed")?;
        let version = version.split_once(':').map_or(version, |(_, version)| version);
        Ok(version.split(['-', '+']).next().unwrap_or(version).to_owned())
    }

    fn install(&self, packages: &[&str]) -> anyhow::Result<()> {
        let file = |name: &str| self.directory.join(name);
        fs::write(file("usr/sbin/policy-rc.d"), "#!/bin/sh\nexit 101\n")?;
        fs::set_permissions(file("usr/sbin/policy-rc.d"), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        fs::write(file("etc/dpkg/dpkg.cfg.d/lean"), LEAN)?;
        // A mirror may be a snapshot that is some weeks old.
        fs::write(file("etc/apt/apt.conf.d/90throng"), "Acquire::Check-Valid-Until \"false\";\n")?;
        fs::create_dir_all(file("etc/postgresql-common"))?;
        fs::write(file("etc/postgresql-common/createcluster.conf"), "create_main_cluster = false\n")?;
        let proc = Mount::make(&["-t", "proc", "proc"], file("proc"))?;
        command::run(self.program("apt-get").args(["update", "-q"]))?;
        let mut install = self.program("apt-get");
        install.args(["install", "-y", "-q", "--no-install-recommends"]).args(packages);
        command::run(install.env("DEBIAN_FRONTEND", "noninteractive"))?;
        command::run(self.program("apt-get").arg("clean"))?;
        drop(proc);
        fs::remove_dir_all(file("var/lib/apt/lists"))?;
        Ok(())
    }
}

/// A mount, which is removed when this is dropped.
#[derive(Debug)]
pub struct Mount(PathBuf);

impl Mount {
    /// Runs `mount` with these arguments on `target`, which is created if it doesn't exist.
    ///
    /// # Errors
    /// If it can't be mounted.
    pub fn make(arguments: &[&str], target: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir_all(&target)?;
        command::run(command::program("mount").args(arguments).arg(&target))?;
        Ok(Self(target))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazy, since a server's last child may not have ended yet.
        let _ = command::run(command::program("umount").arg("--lazy").arg(&self.0));
    }
}

/// The mirror of this system's packages: the first one that apt is configured with.
fn mirror() -> anyhow::Result<String> {
    let printed = command::output(command::program("apt-get").args(["indextargets", "--format", "$(SITE)"]))?;
    let site = printed
        .lines()
        .find(|site| site.trim_end_matches('/').ends_with("/debian"))
        .context("apt has no Debian mirror")?;
    Ok(site.trim().to_owned())
}
