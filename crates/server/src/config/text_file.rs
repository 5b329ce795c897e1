//! Reading a small file of settings, and refusing anything else at its path.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::path::Path;

/// Maximum size of a file that is read, in bytes.
const BYTES_MAX: u64 = 1024 * 1024;

/// The text of a file; `None` if there is none.
///
/// # Errors
/// What is wrong with it, as text that follows its name. A directory, a pipe or a device is refused before it is read: Docker
/// creates a directory if the source of a mount is missing, and a pipe may never end.
pub(super) fn read(path: &Path) -> Result<Option<String>, String> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return match fs::symlink_metadata(path) {
                Ok(_) => Err("is a link to a file that doesn't exist; fix or remove the link".to_owned()),
                Err(_) => Ok(None),
            };
        }
        Err(error) => return Err(format!("can't be read: {error}")),
    };
    if metadata.is_dir() {
        return Err(
            "is a directory; Docker makes one where the file of a mount is missing: put the file there, or remove \
                    the mount"
                .to_owned(),
        );
    }
    if !metadata.is_file() {
        return Err("is no regular file; put a file there".to_owned());
    }
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut bytes));
    read.map_err(|error| format!("can't be read: {error}"))?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(format!("has more than {} KB, the maximum for a file of settings", BYTES_MAX / 1024));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let line =
            1 + error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        format!("isn't UTF-8 in line {line}; save it as UTF-8")
    })?;
    // Some editors on Windows write a byte order mark at the start of a file.
    Ok(Some(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_without_a_byte_order_mark() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        assert_eq!(read(&path), Ok(None));
        fs::write(&path, "\u{feff}LOG=info\n").unwrap();
        assert_eq!(read(&path), Ok(Some("LOG=info\n".to_owned())));
    }

    #[test]
    fn anything_but_a_text_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("latin1"), b"A=1\nB=\xe9\n").unwrap();
        File::create(path("huge")).unwrap().set_len(BYTES_MAX + 1).unwrap();
        std::os::unix::fs::symlink("nowhere", path("link")).unwrap();
        let socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        for (name, expected) in [
            (".", "is a directory"),
            ("latin1", "isn't UTF-8 in line 2"),
            ("huge", "more than 1024 KB"),
            ("link", "a link to a file that doesn't exist"),
            ("socket", "no regular file"),
        ] {
            let fault = read(&path(name)).unwrap_err();
            assert!(fault.contains(expected), "{name}: {fault}");
        }
        drop(socket);
    }
}
