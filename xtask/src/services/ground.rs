//! Where the servers keep their data: on a disk, within reach of the users they run as, and gone afterwards.

use std::fs::{self, File, Permissions};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::TempDir;

use crate::command;

/// The directory of one run's servers. It is removed when this is dropped; what a run that was killed left behind is
/// removed by the next one.
#[derive(Debug)]
pub struct Ground {
    /// Where it is.
    pub directory: PathBuf,
    // Locked as long as this lives, which tells other runs to leave the directory alone.
    _lock: File,
    _removed: TempDir,
}

/// The file that is locked in each.
const LOCK: &str = "lock";

impl Ground {
    /// Makes one below `target`; below `/var/tmp` if other users can't get through to `target`.
    ///
    /// # Errors
    /// If it can't be made.
    pub fn open() -> anyhow::Result<Self> {
        let metadata = command::metadata()?;
        let target = metadata["target_directory"].as_str().context("`cargo metadata` names no target directory")?;
        let below_target = Path::new(target).join("services");
        fs::create_dir_all(&below_target)?;
        let is_root = rustix::process::geteuid().is_root();
        if is_root && !is_open_to_all(&below_target) {
            return Self::below(Path::new("/var/tmp/throng-services"));
        }
        Self::below(&below_target)
    }

    fn below(base: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(base)?;
        fs::set_permissions(base, Permissions::from_mode(0o711))?;
        // One run at a time looks for what others have left, and makes its own.
        let gate = File::create(base.join("gate"))?;
        gate.lock()?;
        sweep(base)?;
        let removed = TempDir::new_in(base)?;
        fs::set_permissions(removed.path(), Permissions::from_mode(0o711))?;
        let lock = File::create(removed.path().join(LOCK))?;
        lock.lock()?;
        Ok(Self { directory: removed.path().to_owned(), _lock: lock, _removed: removed })
    }
}

/// Removes the directories of runs that are over.
fn sweep(base: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(base)? {
        let directory = entry?.path();
        if File::open(directory.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok()) {
            fs::remove_dir_all(&directory).with_context(|| format!("{} can't be removed", directory.display()))?;
        }
    }
    Ok(())
}

/// Whether every user may pass through all directories down to this one.
fn is_open_to_all(directory: &Path) -> bool {
    directory.ancestors().all(|one| fs::metadata(one).is_ok_and(|found| found.permissions().mode() & 0o001 != 0))
}

/// A password that nobody guesses: whoever has it may do anything to the server.
///
/// # Errors
/// If the system has no randomness.
pub fn password() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_left_behind_is_swept_and_what_is_in_use_is_not() {
        let base = TempDir::new().unwrap();
        let left = base.path().join("left");
        fs::create_dir(&left).unwrap();
        File::create(left.join(LOCK)).unwrap();
        let first = Ground::below(base.path()).unwrap();
        assert!(!left.exists() && first.directory.is_dir());
        let second = Ground::below(base.path()).unwrap();
        assert!(first.directory.is_dir() && second.directory.is_dir());
        let directory = first.directory.clone();
        drop(first);
        assert!(!directory.exists());
    }

    #[test]
    fn a_closed_directory_on_the_way_is_noticed() {
        let base = TempDir::new().unwrap();
        let below = base.path().join("below");
        fs::create_dir(&below).unwrap();
        for (mode, open) in [(0o700, false), (0o711, true), (0o755, true)] {
            fs::set_permissions(base.path(), Permissions::from_mode(mode)).unwrap();
            assert_eq!(is_open_to_all(&below), open, "{mode:o}");
        }
    }
}
