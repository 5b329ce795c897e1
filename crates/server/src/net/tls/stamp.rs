//! Detects that a certificate's files were replaced or written to.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::certificate::TlsFiles;

/// Metadata of two files, which changes if one of them is replaced or written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp([Option<[i64; 5]>; 2]);

impl Stamp {
    pub(super) fn of(files: &TlsFiles) -> Self {
        let stamp = |path: &Path| std::fs::metadata(path).ok().map(|metadata| stamp(&metadata));
        Self([stamp(&files.certificate), stamp(&files.key)])
    }
}

fn stamp(metadata: &Metadata) -> [i64; 5] {
    let (device, file, size) = (metadata.dev(), metadata.ino(), metadata.size());
    [device.cast_signed(), file.cast_signed(), size.cast_signed(), metadata.mtime(), metadata.mtime_nsec()]
}
