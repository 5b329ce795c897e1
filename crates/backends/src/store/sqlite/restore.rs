//! Replaces a database by a copy, so that at no time a log lies beside a file that it doesn't belong to.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use tempfile::NamedTempFile;
use throng_domain::store::StoreError;

use super::claim::Claim;
use super::copy::{Checked, copy, copy_pages};
use super::error::StoreResult;
use super::holders::lock_holder;
use super::open::length;
use super::place::with_suffix;
use super::writer::Writer;

/// The content of the file that replaces the log while a database is exchanged: it isn't a log of SQLite's, which
/// ignores it; but without a database beside it, it keeps a server from creating a new one.
const GUARD: &[u8] = b"throng restore is under way\n";

/// What SQLite applies to any file that it finds beside it: a log, and the journal of a transaction whose program died.
const APPLIED: [&str; 2] = [LOG, "-journal"];
const LOG: &str = "-wal";

/// The outcome of a restore.
#[derive(Debug)]
pub struct Restored {
    /// What the database contains now.
    pub checked: Checked,
    /// Where the previous database is kept, with its log and its journal beside it if it had them.
    pub kept: Option<PathBuf>,
}

/// Replaces the database at `path` by a copy of the database `from`, after checking the copy; the previous one is kept
/// under another name, together with its log and its journal. If this is interrupted, the next start finds one of the
/// two, or refuses to start.
///
/// # Errors
/// [`StoreError::Conflict`] if a process serves the database or uses it; those of [`copy`] for `from`. Nothing was
/// changed, unless it is [`StoreError::WriteFailed`], whose message says what has to be done.
pub fn restore(path: &Path, from: &Path) -> Result<Restored, StoreError> {
    let _claim = Claim::to_replace(path)?;
    refuse_itself(path, from)?;
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let _lock = lock_whole(&path)?;
    let new = temporary(&path)?;
    let checked = copy(from, new.path())?;
    let old = Old::find(&path)?;
    old.exchange(new).map_err(|error| {
        StoreError::WriteFailed(
            format!(
                "{error}; what was at {} may be at {} now: run the command again",
                path.display(),
                old.kept.display()
            )
            .into(),
        )
    })?;
    let is_kept = is_taken(&old.kept);
    Ok(Restored { checked, kept: is_kept.then_some(old.kept) })
}

/// What a restore replaces.
struct Old<'a> {
    path: &'a Path,
    is_there: bool,
    /// The suffixes of files that lie beside it, or are left of it, and would be applied to the new file.
    beside: Vec<&'static str>,
    /// Where it is to be kept or, where an earlier restore was interrupted, where it is kept already.
    kept: PathBuf,
}

impl<'a> Old<'a> {
    fn find(path: &'a Path) -> StoreResult<Self> {
        let is_there = path.try_exists().map_err(unavailable)?;
        let mut beside = Vec::new();
        for suffix in APPLIED {
            let name = with_suffix(path, suffix);
            if length(&name)? > 0 && !is_guard(&name)? {
                beside.push(suffix);
            }
        }
        let (last, free) = names(path, "old");
        let kept = match last {
            Some(last) if is_half_kept(path, &beside, &last)? => last,
            Some(_) | None => free,
        };
        Ok(Self { path, is_there, beside, kept })
    }

    fn exchange(&self, new: NamedTempFile) -> io::Result<()> {
        let log = with_suffix(self.path, LOG);
        if !self.beside.is_empty() {
            self.set_aside()?;
        } else if self.is_there {
            fs::hard_link(self.path, &self.kept)?;
        }
        ignore_missing(fs::rename(with_suffix(self.path, "-shm"), with_suffix(&self.kept, "-shm")))?;
        sync_directory(self.path)?;
        new.persist(self.path)?;
        sync_directory(self.path)?;
        ignore_missing(fs::remove_file(&log))?;
        sync_directory(self.path)
    }

    /// Moves the file, so that under its other name it has from the beginning what belongs to it, and nothing of that
    /// is left here. Meanwhile the guard replaces the log: without a file beside it, a start is refused.
    fn set_aside(&self) -> io::Result<()> {
        for suffix in &self.beside {
            let (name, kept) = (with_suffix(self.path, suffix), with_suffix(&self.kept, suffix));
            if !is_same(&name, &kept) {
                fs::hard_link(name, kept)?;
            }
        }
        let has_log = self.beside.contains(&LOG);
        if !has_log {
            self.put_guard()?;
        }
        sync_directory(self.path)?;
        if self.is_there {
            fs::rename(self.path, &self.kept)?;
        }
        if has_log {
            self.put_guard()?;
        }
        for suffix in self.beside.iter().filter(|suffix| **suffix != LOG) {
            fs::remove_file(with_suffix(self.path, suffix))?;
        }
        Ok(())
    }

    fn put_guard(&self) -> io::Result<()> {
        let mut guard = temporary_file(self.path)?;
        guard.write_all(GUARD)?;
        // A start beside an empty log would not be refused.
        guard.as_file().sync_all()?;
        guard.persist(with_suffix(self.path, LOG))?;
        Ok(())
    }
}

/// Whether an interrupted restore began to keep the file under the name `last`: what would be applied to it has that
/// name too, or no longer exists here, and the file itself has one name.
fn is_half_kept(path: &Path, beside: &[&str], last: &Path) -> StoreResult<bool> {
    let is_kept = |suffix: &&str| is_same(&with_suffix(path, suffix), &with_suffix(last, suffix));
    let began = !beside.is_empty() || is_guard(&with_suffix(path, LOG))?;
    Ok(began
        && beside.iter().all(is_kept)
        && match (path.exists(), last.exists()) {
            (true, true) => false,
            // There, nothing else would be applied to the file when it is moved.
            (true, false) => APPLIED.iter().all(|suffix| is_kept(suffix) || !with_suffix(last, suffix).exists()),
            (false, _) => true,
        })
}

fn is_guard(name: &Path) -> StoreResult<bool> {
    match length(name)? == GUARD.len() as u64 {
        true => Ok(fs::read(name).map_err(unavailable)? == GUARD),
        false => Ok(false),
    }
}

/// Takes all of SQLite's locks on a file, so that no program uses it; `None` where there is no file.
fn lock_whole(path: &Path) -> StoreResult<Option<File>> {
    let file = match File::options().read(true).write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(unavailable)?,
    };
    match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::AGAIN | Errno::ACCESS) => Err(StoreError::Conflict(format!(
            "{} is using {}; end it first",
            lock_holder(&file, 0, 0).map_or_else(|| "a program".to_owned(), |holder| holder.to_string()),
            path.display()
        ))),
        Err(error) => Err(unavailable(error.into())),
    }
}

/// Rejects a name for a copy beside which lies a file that SQLite would apply to it.
///
/// # Errors
/// [`StoreError::Rejected`] if there is such a file; [`StoreError::Unavailable`] if that can't be determined.
pub fn reject_leftover_files(copy: &Path) -> Result<(), StoreError> {
    let copy = copy.canonicalize().unwrap_or_else(|_| copy.to_owned());
    for suffix in APPLIED {
        let name = with_suffix(&copy, suffix);
        if length(&name)? > 0 {
            return Err(StoreError::Rejected(format!(
                "{} exists, and SQLite would apply it to the copy; choose another name, or move it away",
                name.display()
            )));
        }
    }
    Ok(())
}

/// Saves what only this process can still reach; returns where.
pub(super) fn rescue(writer: &Writer, path: &Path) -> StoreResult<Option<PathBuf>> {
    if !writer.is_file_deleted() {
        return Ok(None);
    }
    let copy = temporary(path)?;
    copy_pages(&writer.connection, copy.path(), None)?;
    let (_, rescued) = names(path, "rescued");
    copy.persist_noclobber(&rescued).map_err(|error| unavailable(error.error))?;
    sync_directory(&rescued).map_err(unavailable)?;
    Ok(Some(rescued))
}

fn refuse_itself(path: &Path, from: &Path) -> StoreResult<()> {
    let backup =
        id(from).map_err(|error| StoreError::Rejected(format!("{} can't be read: {error}", from.display())))?;
    if id(path).is_ok_and(|database| database == backup) {
        return Err(StoreError::Rejected(format!("{} is the database itself", from.display())));
    }
    Ok(())
}

/// A new file beside `path`, which only its owner may read; deleted unless it is persisted.
fn temporary(path: &Path) -> StoreResult<NamedTempFile> {
    temporary_file(path).map_err(|error| StoreError::WriteFailed(error.into()))
}

fn temporary_file(path: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(".throng-restore-").tempfile_in(directory(path))
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(directory(path))?.sync_all()
}

/// The last name of this kind that a file, or a file that belongs to it, has; and the first that is free.
fn names(path: &Path, word: &str) -> (Option<PathBuf>, PathBuf) {
    let mut last = None;
    for number in 1.. {
        let suffix = if number == 1 { format!(".{word}") } else { format!(".{word}-{number}") };
        let name = with_suffix(path, &suffix);
        if !is_taken(&name) {
            return (last, name);
        }
        last = Some(name);
    }
    unreachable!("there are more numbers than files")
}

fn is_taken(name: &Path) -> bool {
    [""].iter().chain(&APPLIED).any(|suffix| with_suffix(name, suffix).symlink_metadata().is_ok())
}

/// Whether two names refer to one file.
fn is_same(one: &Path, other: &Path) -> bool {
    matches!((id(one), id(other)), (Ok(one), Ok(other)) if one == other)
}

/// The identity of a file.
fn id(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|found| (found.dev(), found.ino()))
}

/// A file that doesn't exist needn't be moved or removed.
fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn unavailable(error: io::Error) -> StoreError {
    StoreError::Unavailable(error.into())
}
