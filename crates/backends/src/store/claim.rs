//! One process serves a file.

use std::fs::File;
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
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock = File::create(&name).map_err(|error| StoreError::Unavailable(error.into()))?;
    lock.try_lock().map_err(|_| {
        StoreError::Conflict(format!(
            "another throng serves {} (it holds {}); stop it first, or set another DATABASE_URL",
            path.display(),
            Path::new(&name).display()
        ))
    })?;
    Ok(Claim { _lock: lock })
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
        drop(claim);
        url.claim().unwrap();
    }
}
