//! Output files of commands: they appear complete or not at all, are readable by their owner alone, and never replace a
//! file that is still needed.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tempfile::NamedTempFile;
use throng_backends::store::DatabaseUrl;

use crate::config::{Config, SECRET_SUFFIX};

/// Suffixes that SQLite and Throng append to a database's file name.
const DATABASE_SUFFIXES: [&str; 6] = ["", "-wal", "-shm", "-journal", ".lock", SECRET_SUFFIX];

/// A file that is being written in the directory of its final path.
#[derive(Debug)]
pub(super) struct Output {
    /// The temporary file, readable by its owner alone.
    pub(super) partial: NamedTempFile<File>,
    path: PathBuf,
    force: bool,
}

impl Output {
    /// Starts a file that [`Self::finish`] moves to `path`.
    ///
    /// # Errors
    /// If `path` is one of this deployment's own files or, unless `force` is set, another existing file; or if the file can't
    /// be created.
    pub(super) fn create(path: &Path, force: bool, config: &Config) -> anyhow::Result<Self> {
        // If it is a symbolic link, its target is replaced, not the link.
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if own_files(config).iter().any(|own| is_same(own, &path)) {
            bail!("it is one of the files that throng itself uses; choose another name");
        }
        if path.exists() && !path.is_file() {
            bail!("it is no regular file; leave --output out and send standard output there");
        }
        if path.exists() && !force {
            bail!("it exists already; choose another name, or add --force to replace it");
        }
        let partial = tempfile::Builder::new().prefix(".throng-").tempfile_in(directory(&path))?;
        Ok(Self { partial, path, force })
    }

    /// Moves the complete file to its path, and syncs it to disk.
    ///
    /// # Errors
    /// If it can't be moved there, or another process has created a file there meanwhile.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        self.partial.as_file().sync_all()?;
        if self.force {
            self.partial.persist(&self.path)?;
        } else {
            self.partial
                .persist_noclobber(&self.path)
                .map_err(|error| error.error)
                .context("another process has created it meanwhile")?;
        }
        Ok(File::open(directory(&self.path))?.sync_all()?)
    }
}

/// The files that a deployment with these settings needs.
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

/// Whether both paths are of the same file, or will be once it exists.
fn is_same(own: &Path, path: &Path) -> bool {
    let id = |path: &Path| path.metadata().ok().map(|found| (found.dev(), found.ino()));
    match (id(own), id(path)) {
        (Some(own), Some(path)) => own == path,
        (Some(_), None) | (None, Some(_)) => false,
        (None, None) => directory_and_name(own) == directory_and_name(path),
    }
}

/// The directory and the name of a file that doesn't exist yet.
fn directory_and_name(path: &Path) -> (Option<PathBuf>, Option<&OsStr>) {
    (std::fs::canonicalize(directory(path)).ok(), path.file_name())
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
