//! A small disk, for a database that is to fill it.

use std::ffi::CString;
use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;

use crate::scaled_out::servers::ExternalServer;

/// What fits on it, in bytes: an empty database, and some 100,000 ballots.
const ROOM: u64 = 48 * 1024 * 1024;

/// A file system in memory, gone when this is dropped.
pub struct SmallDisk {
    place: TempDir,
    /// The server's directory, as the server names it.
    directory: PathBuf,
}

impl SmallDisk {
    /// One with a directory for this server.
    pub fn of(server: ExternalServer) -> Self {
        // A server may run in a root directory of its own. Every user may go here, unlike to this project's directory.
        let root = fs::read_link(server.process().join("root")).unwrap();
        let place = TempDir::new_in(root.join("var/tmp")).unwrap();
        fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
        let options = CString::new(format!("size={ROOM},mode=0755")).unwrap();
        mount("tmpfs", place.path(), "tmpfs", MountFlags::empty(), Some(options.as_c_str())).unwrap_or_else(|error| {
            panic!("no small disk can be made ({error}): run this as root, with the right to mount (SYS_ADMIN)")
        });
        let server = fs::metadata(server.process()).unwrap();
        let directory = place.path().join("data");
        fs::create_dir(&directory).unwrap();
        // The one around it too: a server removes its directory with its database.
        for directory in [place.path(), &directory] {
            chown(directory, Some(server.uid()), Some(server.gid())).unwrap();
        }
        let directory = Path::new("/").join(directory.strip_prefix(&root).unwrap());
        Self { place, directory }
    }

    /// The server's directory, as the server names it.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Takes all the room that is left, until what is returned is dropped.
    pub fn fill(&self) -> DiskFiller {
        let filler = DiskFiller(self.place.path().join("filler"));
        let mut file = File::create(&filler.0).unwrap();
        // A write that doesn't fit fails; a smaller one may still fit.
        for size in [1024 * 1024, 1024] {
            let bytes = vec![0; size];
            while file.write_all(&bytes).is_ok() {}
        }
        filler
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Detached: a server may still have a file open there.
        let _ = unmount(self.place.path(), UnmountFlags::DETACH);
    }
}

/// What fills the disk.
pub struct DiskFiller(PathBuf);

impl Drop for DiskFiller {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
