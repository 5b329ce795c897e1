//! One process serves a file.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use throng_domain::store::StoreError;

use super::DatabaseUrl;
use super::sqlite::make_directory;

/// The right to serve a file: held by one process at a time, given back when dropped, however that process ends.
#[derive(Debug)]
pub struct Claim {
    _lock: File,
}

impl DatabaseUrl {
    /// Claims the database for this process, so that no second server keeps a stale copy of its results. `None` where
    /// many may serve one database.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if another process serves it.
    pub fn claim(&self) -> Result<Option<Claim>, StoreError> {
        match self {
            Self::Sqlite(path) => claim_file(path).map(Some),
            Self::MySql(_) | Self::Postgres(_) => Ok(None),
        }
    }
}

fn claim_file(path: &Path) -> Result<Claim, StoreError> {
    make_directory(path)?;
    let unavailable = |error: io::Error| StoreError::Unavailable(error.into());
    // Empty, it is as good as missing; but missing it has no name that is the same by every symbolic link.
    File::options().create(true).append(true).open(path).map_err(unavailable)?;
    let mut name = path.canonicalize().map_err(unavailable)?.into_os_string();
    name.push(".lock");
    let lock = File::create(&name).map_err(unavailable)?;
    match lock.try_lock() {
        Ok(()) => Ok(Claim { _lock: lock }),
        Err(TryLockError::WouldBlock) => Err(StoreError::Conflict(format!(
            "another throng serves {} (it holds {}); stop it first, or set another DATABASE_URL",
            path.display(),
            Path::new(&name).display()
        ))),
        Err(TryLockError::Error(error)) => Err(unavailable(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_serves_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(directory.path().join("below/throng.db"));
        let claim = url.claim().unwrap();
        assert!(matches!(url.claim(), Err(StoreError::Conflict(why)) if why.contains("another throng serves")));
        std::os::unix::fs::symlink("below/throng.db", directory.path().join("other.db")).unwrap();
        let other = DatabaseUrl::Sqlite(directory.path().join("other.db"));
        assert!(matches!(other.claim(), Err(StoreError::Conflict(_))), "another name of the same file");
        drop(claim);
        url.claim().unwrap();
    }
}
