//! Where the file is: whether what this process has open is still what is found at its path.
//!
//! SQLite continues to write to a file that was moved, deleted or replaced, and to such a log; the next process to
//! start finds neither. So each is checked by its device and inode, after every commit and before its response.

use std::fs::{File, Metadata, metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use throng_domain::store::StoreError;

use super::error::StoreResult;
use super::header::Header;

/// `path` with `suffix` appended, as SQLite names the files that belong to a database.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// An open database's file, its log and the log's index.
#[derive(Debug)]
pub(super) struct Place {
    file: Part,
    log: Part,
    index: Part,
    /// The file that this process has claimed, if any.
    claimed: Option<Arc<File>>,
}

/// One of these files, as it was when it was opened.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    id: FileId,
}

/// The identity of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl Place {
    /// The place of a file that was opened under `path` and is in WAL mode.
    pub(super) fn of(path: &Path, claimed: Option<Arc<File>>) -> StoreResult<Self> {
        let real = path.canonicalize().map_err(unavailable)?;
        let place = Self {
            file: Part::at(path.to_owned())?,
            log: Part::at(with_suffix(&real, "-wal"))?,
            index: Part::at(with_suffix(&real, "-shm"))?,
            claimed,
        };
        match &place.claimed {
            Some(claimed) if FileId::of(&claimed.metadata().map_err(unavailable)?) != place.file.id => {
                Err(place.file.displaced("replaced"))
            }
            Some(_) | None => Ok(place),
        }
    }

    /// The file's path.
    pub(super) fn file(&self) -> &Path {
        &self.file.path
    }

    /// The log's path.
    pub(super) fn log(&self) -> &Path {
        &self.log.path
    }

    /// Checks that the file and its log are where they were: two `stat`s, some microseconds.
    pub(super) fn check(&self) -> StoreResult<()> {
        self.file.check()?;
        self.log.check()
    }

    /// [`Self::check`], and that the log's index exists, without which other processes would create another.
    pub(super) fn check_all(&self) -> StoreResult<()> {
        self.check()?;
        self.index.check()
    }

    /// The header of the claimed file as it is on the disk, without its log.
    pub(super) fn header(&self) -> StoreResult<Option<Header>> {
        let Some(claimed) = &self.claimed else { return Ok(None) };
        let mut bytes = [0; Header::BYTES];
        match claimed.read_exact_at(&mut bytes, 0) {
            Ok(()) => Ok(Header::parse(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// The error that says what happened to the file.
    pub(super) fn displaced(&self, what: &str) -> StoreError {
        self.file.displaced(what)
    }

    /// Whether the claimed file has no name any more, so that it is lost once this process ends.
    pub(super) fn is_deleted(&self) -> bool {
        let claimed = self.claimed.as_ref().and_then(|file| file.metadata().ok());
        claimed.is_some_and(|metadata| metadata.nlink() == 0)
    }
}

impl Part {
    fn at(path: PathBuf) -> StoreResult<Self> {
        let id = FileId::of(&metadata(&path).map_err(unavailable)?);
        Ok(Self { path, id })
    }

    fn check(&self) -> StoreResult<()> {
        match metadata(&self.path) {
            Ok(metadata) if FileId::of(&metadata) == self.id => Ok(()),
            Ok(_) => Err(self.displaced("replaced")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(self.displaced("moved or deleted")),
            // For example, the directory is no longer accessible: the state is unknown.
            Err(error) => Err(self.displaced(&format!("made unreachable ({error})"))),
        }
    }

    fn displaced(&self, what: &str) -> StoreError {
        StoreError::Displaced(format!("{} was {what} while it was in use", self.path.display()))
    }
}

impl FileId {
    fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

fn unavailable(error: io::Error) -> StoreError {
    StoreError::Unavailable(error.into())
}
