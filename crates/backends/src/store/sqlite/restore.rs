//! A copy put in the place of a database, so that at no moment a log lies beside a file that it doesn't belong to.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use throng_domain::store::StoreError;

use super::copy::{Checked, copy, copy_pages};
use super::error::StoreResult;
use super::open::length;
use super::place::with_suffix;
use super::writer::Writer;
use crate::store::claim::Claim;

/// What stands in the place of a log while a file is exchanged: no log of SQLite's, which ignores it; but beside no file
/// it keeps a server from making a new one.
const GUARD: &[u8] = b"throng restore is under way\n";

/// What was done.
#[derive(Debug)]
pub struct Restored {
    /// What the database holds now.
    pub checked: Checked,
    /// Where the one before is kept, with its log beside it if it had one.
    pub kept: Option<PathBuf>,
}

/// Puts a copy of the database `from` in the place of the one at `path`, after checking it; the one before is kept under
/// another name, together with its log. Whenever this is interrupted, the next start finds the one or the other, or refuses.
///
/// # Errors
/// [`StoreError::Conflict`] if a process serves the database; those of [`copy`] for `from`. Nothing was changed, unless it
/// is [`StoreError::WriteFailed`], which says what has to be done.
pub fn restore(path: &Path, from: &Path) -> Result<Restored, StoreError> {
    let _claim = Claim::to_replace(path)?;
    refuse_itself(path, from)?;
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let log = with_suffix(&path, "-wal");
    let new = temporary(&path)?;
    let checked = copy(from, new.path())?;
    let kept = free_name(&path, "old")?;
    let is_there = path.try_exists().map_err(unavailable)?;
    let has_log = length(&log)? > 0;
    let exchange = || -> io::Result<()> {
        if has_log {
            // Under its other name the file has its log from the first moment on. Here the file goes first: a log alone is
            // refused, a file without its log would be served.
            fs::hard_link(&log, with_suffix(&kept, "-wal"))?;
            if is_there {
                fs::rename(&path, &kept)?;
            }
            let mut guard = beside(&path)?;
            guard.write_all(GUARD)?;
            // An empty log would not be refused.
            guard.as_file().sync_all()?;
            guard.persist(&log)?;
        } else if is_there {
            fs::hard_link(&path, &kept)?;
        }
        for suffix in ["-shm", "-journal"] {
            match fs::rename(with_suffix(&path, suffix), with_suffix(&kept, suffix)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                done => done?,
            }
        }
        new.persist(&path)?;
        sync_directory(&path)?;
        match fs::remove_file(&log) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => done?,
        }
        sync_directory(&path)
    };
    exchange().map_err(|error| {
        StoreError::WriteFailed(
            format!("{error}; what was at {} may be at {} now: run this again", path.display(), kept.display()).into(),
        )
    })?;
    Ok(Restored { checked, kept: (is_there || has_log).then_some(kept) })
}

/// Saves what only this process can still reach; returns where.
pub(super) fn rescue(writer: &Writer, path: &Path) -> StoreResult<Option<PathBuf>> {
    if !writer.is_file_deleted() {
        return Ok(None);
    }
    let copy = temporary(path)?;
    copy_pages(&writer.connection, copy.path(), None)?;
    let rescued = free_name(path, "rescued")?;
    copy.persist_noclobber(&rescued).map_err(|error| unavailable(error.error))?;
    sync_directory(&rescued).map_err(unavailable)?;
    Ok(Some(rescued))
}

fn refuse_itself(path: &Path, from: &Path) -> StoreResult<()> {
    let id = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    let backup =
        id(from).map_err(|error| StoreError::Rejected(format!("{} can't be read: {error}", from.display())))?;
    if id(path).is_ok_and(|database| database == backup) {
        return Err(StoreError::Rejected(format!("{} is the database itself", from.display())));
    }
    Ok(())
}

/// A new file beside `path`, which nobody but its owner may read; gone unless it is kept.
fn temporary(path: &Path) -> StoreResult<NamedTempFile> {
    beside(path).map_err(|error| StoreError::WriteFailed(error.into()))
}

fn beside(path: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(".throng-restore-").tempfile_in(directory(path))
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(directory(path))?.sync_all()
}

/// A name that neither a file nor a log has yet.
fn free_name(path: &Path, word: &str) -> StoreResult<PathBuf> {
    for number in 1.. {
        let suffix = if number == 1 { format!(".{word}") } else { format!(".{word}-{number}") };
        let name = with_suffix(path, &suffix);
        let taken = |name: &Path| name.try_exists().map_err(unavailable);
        if !taken(&name)? && !taken(&with_suffix(&name, "-wal"))? {
            return Ok(name);
        }
    }
    unreachable!("there are more numbers than files")
}

fn unavailable(error: io::Error) -> StoreError {
    StoreError::Unavailable(error.into())
}
