//! Files that commands write: they appear whole or not at all, for their owner alone, and in the place of no other file
//! that somebody wants.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tempfile::NamedTempFile;
use throng_backends::store::DatabaseUrl;

use crate::config::Config;

/// What SQLite and Throng put after a database's name.
const DATABASE_SUFFIXES: [&str; 5] = ["", "-wal", "-shm", "-journal", ".lock"];

/// A file that is being written beside the place where it will be.
#[derive(Debug)]
pub(super) struct Output {
    /// The file; nobody else may read it.
    pub(super) partial: NamedTempFile<File>,
    path: PathBuf,
    force: bool,
}

impl Output {
    /// Begins a file that is to be at `path`.
    ///
    /// # Errors
    /// If it is one of this deployment's own files, or, unless `force` is set, another that is there already; or it can't
    /// be made.
    pub(super) fn create(path: &Path, force: bool, config: &Config) -> anyhow::Result<Self> {
        // Where it is a link, what it leads to is replaced and not the link.
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if own_files(config).iter().any(|own| is_same(own, &path)) {
            bail!("it is one of the files that throng itself uses; choose another name");
        }
        if path.exists() && !path.is_file() {
            bail!("it is no regular file; leave --output out and send standard output there");
        }
        if path.exists() && !force {
            bail!("it is there already; choose another name, or add --force to replace it");
        }
        let partial = tempfile::Builder::new().prefix(".throng-").tempfile_in(directory(&path))?;
        Ok(Self { partial, path, force })
    }

    /// Puts the file, which is whole now, in its place, on the disk.
    ///
    /// # Errors
    /// If it can't be put there, or somebody else's file has come there meanwhile.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        self.partial.as_file().sync_all()?;
        if self.force {
            self.partial.persist(&self.path)?;
        } else {
            self.partial
                .persist_noclobber(&self.path)
                .map_err(|error| error.error)
                .context("it has come there meanwhile")?;
        }
        Ok(File::open(directory(&self.path))?.sync_all()?)
    }
}

/// The files that a deployment with these settings can't lose.
fn own_files(config: &Config) -> Vec<PathBuf> {
    let mut own = Vec::new();
    if let DatabaseUrl::Sqlite(database) = &config.database {
        let real = std::fs::canonicalize(database).unwrap_or_else(|_| database.clone());
        own.extend(DATABASE_SUFFIXES.map(|suffix| {
            let mut name = real.clone().into_os_string();
            name.push(suffix);
            PathBuf::from(name)
        }));
    }
    if let Some(tls) = &config.tls {
        own.extend([tls.certificate.clone(), tls.key.clone()]);
    }
    own
}

/// Whether two names are of one file, or will be once it is there.
fn is_same(own: &Path, path: &Path) -> bool {
    let id = |path: &Path| path.metadata().ok().map(|found| (found.dev(), found.ino()));
    match (id(own), id(path)) {
        (Some(own), Some(path)) => own == path,
        (Some(_), None) | (None, Some(_)) => false,
        (None, None) => named(own) == named(path),
    }
}

/// Where a file that isn't there will be, and under which name.
fn named(path: &Path) -> (Option<PathBuf>, Option<&OsStr>) {
    (std::fs::canonicalize(directory(path)).ok(), path.file_name())
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
