//! The directory for the servers' data: on a disk, accessible to the users that they run as, and removed afterwards.

use std::fs::{self, File, Permissions};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::TempDir;

use crate::command;

/// The directory of one run's servers. It is removed when this is dropped; the directory of a run that was killed is removed
/// by the next run.
#[derive(Debug)]
pub struct WorkDir {
    /// Its path.
    pub directory: PathBuf,
    // Locked as long as this exists, so that other runs don't remove the directory.
    _lock: File,
    _temp_dir: TempDir,
}

/// The file in each directory that is locked.
const LOCK: &str = "lock";

impl WorkDir {
    /// Creates one below `target`, or below `/var/tmp` if other users can't access `target`.
    ///
    /// # Errors
    /// If it can't be created.
    pub fn open() -> anyhow::Result<Self> {
        let metadata = command::metadata()?;
        let target = metadata["target_directory"].as_str().context("`cargo metadata` names no target directory")?;
        let below_target = Path::new(target).join("services");
        fs::create_dir_all(&below_target)?;
        let is_root = rustix::process::geteuid().is_root();
        if is_root && !is_accessible_to_all(&below_target) {
            return Self::below(Path::new("/var/tmp/throng-services"));
        }
        Self::below(&below_target)
    }

    fn below(base: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(base)?;
        fs::set_permissions(base, Permissions::from_mode(0o711))?;
        // One run at a time removes what others have left behind and creates its own directory.
        let sweep_lock = File::create(base.join("gate"))?;
        sweep_lock.lock()?;
        sweep(base)?;
        let temp_dir = TempDir::new_in(base)?;
        fs::set_permissions(temp_dir.path(), Permissions::from_mode(0o711))?;
        let lock = File::create(temp_dir.path().join(LOCK))?;
        lock.lock()?;
        Ok(Self { directory: temp_dir.path().to_owned(), _lock: lock, _temp_dir: temp_dir })
    }
}

/// Removes the directories of runs that have ended.
fn sweep(base: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(base)? {
        let directory = entry?.path();
        if File::open(directory.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok()) {
            fs::remove_dir_all(&directory).with_context(|| format!("{} can't be removed", directory.display()))?;
        }
    }
    Ok(())
}

/// Whether every user may traverse all directories down to this one.
fn is_accessible_to_all(directory: &Path) -> bool {
    directory
        .ancestors()
        .all(|path| fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0))
}

/// A random password, which gives full access to the server.
///
/// # Errors
/// If `/dev/urandom` can't be read.
pub fn password() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweep_removes_abandoned_directories_only() {
        let base = TempDir::new().unwrap();
        let left = base.path().join("left");
        fs::create_dir(&left).unwrap();
        File::create(left.join(LOCK)).unwrap();
        let first = WorkDir::below(base.path()).unwrap();
        assert!(!left.exists() && first.directory.is_dir());
        let second = WorkDir::below(base.path()).unwrap();
        assert!(first.directory.is_dir() && second.directory.is_dir());
        let directory = first.directory.clone();
        drop(first);
        assert!(!directory.exists());
    }

    #[test]
    fn inaccessible_parent_directory_is_detected() {
        let base = TempDir::new().unwrap();
        let below = base.path().join("below");
        fs::create_dir(&below).unwrap();
        for (mode, open) in [(0o700, false), (0o711, true), (0o755, true)] {
            fs::set_permissions(base.path(), Permissions::from_mode(mode)).unwrap();
            assert_eq!(is_accessible_to_all(&below), open, "{mode:o}");
        }
    }
}
