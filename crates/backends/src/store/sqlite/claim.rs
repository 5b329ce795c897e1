//! The right of one process to serve a file.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use throng_domain::store::StoreError;

use super::holders::LogIndex;
use super::open::{create_file, refuse_orphaned_log};
use super::place::with_suffix;
use super::voters::Voters;

/// The right to serve a file: held by one process at a time, released when dropped, however that process ends.
///
/// It consists of two locks: one on a file beside the database, which is found by the database's name, and one on the
/// database itself, to which all its other names lead. Both are independent of SQLite's own locks.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The database. Closing it would release SQLite's locks on the same file, so it stays open for as long as a store
    /// of this process has it.
    database: Option<Arc<File>>,
    /// The index of the database's log, for which the same holds: all stores of this process share one handle of it.
    log_index: Arc<Mutex<Option<Arc<LogIndex>>>>,
    /// The voters, for all stores of this process.
    voters: Arc<Voters>,
    _lock_file: Arc<File>,
}

/// Claims the file at `path` for this process, creating it where it is missing.
///
/// # Errors
/// [`StoreError::Conflict`] if another process serves it; [`StoreError::Rejected`] if there is no database, but a
/// log of one.
pub fn claim(path: &Path) -> Result<Claim, StoreError> {
    refuse_orphaned_log(path)?;
    create_file(path)?;
    Claim::take(path, Some(File::open(path).map_err(unavailable)?))
}

impl Claim {
    /// Claims the file at `path`, if there is one, in order to replace it.
    pub(super) fn to_replace(path: &Path) -> Result<Self, StoreError> {
        let database = match File::open(path) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(unavailable(error)),
        };
        Self::take(path, database)
    }

    /// The claimed file.
    pub(super) fn database(&self) -> Option<&Arc<File>> {
        self.database.as_ref()
    }

    /// The index of the log of the claimed file, which is at `path`.
    pub(super) fn log_index(&self, path: &Path) -> io::Result<Arc<LogIndex>> {
        let mut opened = self.log_index.lock().unwrap_or_else(PoisonError::into_inner);
        match &*opened {
            Some(index) => Ok(Arc::clone(index)),
            None => Ok(Arc::clone(opened.insert(Arc::new(LogIndex::open(path)?)))),
        }
    }

    /// The voters that the process knows.
    pub(super) fn voters(&self) -> Arc<Voters> {
        Arc::clone(&self.voters)
    }

    fn take(path: &Path, database: Option<File>) -> Result<Self, StoreError> {
        let name = lock_name(path)?;
        let lock = open_lock(&name)?;
        for (file, by) in [(&lock, name.as_path())].into_iter().chain(database.as_ref().map(|file| (file, path))) {
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(StoreError::Conflict(format!(
                        "another throng serves {} (it holds {}); stop it first, or set another DATABASE_URL",
                        path.display(),
                        by.display()
                    )));
                }
                Err(TryLockError::Error(error)) => return Err(unavailable(error)),
            }
        }
        Ok(Self {
            database: database.map(Arc::new),
            log_index: Arc::default(),
            voters: Arc::default(),
            _lock_file: Arc::new(lock),
        })
    }
}

/// Rejects a file that another process serves under another name: SQLite would give it a second log here, and neither
/// process would see the content of the other's log.
pub(super) fn refuse_other_name(path: &Path) -> Result<(), StoreError> {
    let database = File::open(path).map_err(unavailable)?;
    if database.metadata().map_err(unavailable)?.nlink() < 2 {
        return Ok(());
    }
    let is_locked = |file: &File| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
    if is_locked(&database) && !is_locked(&open_lock(&lock_name(path)?)?) {
        return Err(StoreError::Conflict(format!(
            "a throng serves {} under another name, a hard link; use the name that it has in that throng's DATABASE_URL",
            path.display()
        )));
    }
    Ok(())
}

/// The name of the lock file: the same for every symbolic link.
fn lock_name(path: &Path) -> Result<PathBuf, StoreError> {
    match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(with_suffix(path, ".lock")),
        real => Ok(with_suffix(&real.map_err(unavailable)?, ".lock")),
    }
}

fn open_lock(name: &Path) -> Result<File, StoreError> {
    File::options().create(true).append(true).mode(0o600).open(name).map_err(unavailable)
}

fn unavailable(error: io::Error) -> StoreError {
    StoreError::Unavailable(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_serves_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("throng.db");
        let claimed = claim(&path).unwrap();
        assert!(matches!(claim(&path), Err(StoreError::Conflict(why)) if why.contains("another throng serves")));
        std::os::unix::fs::symlink("throng.db", directory.path().join("other.db")).unwrap();
        let other = directory.path().join("other.db");
        assert!(matches!(claim(&other), Err(StoreError::Conflict(_))), "another name of the same file");
        let linked = directory.path().join("linked.db");
        std::fs::hard_link(&path, &linked).unwrap();
        let refused = claim(&linked);
        assert!(matches!(refused, Err(StoreError::Conflict(_))), "a hard link to the same file");
        assert!(matches!(refuse_other_name(&linked), Err(StoreError::Conflict(_))), "commands don't use it either");
        refuse_other_name(&path).unwrap();
        drop(claimed);
        claim(&path).unwrap();
        refuse_other_name(&linked).unwrap();
    }
}
