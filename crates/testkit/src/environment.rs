//! What the environment says of the servers that tests use, and of the binary under test.

use std::env;
use std::path::PathBuf;

/// The value of a variable that names a server for tests. Fails if it isn't set.
#[track_caller]
pub fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| {
        panic!("{name} isn't set: run `cargo xtask test`, or `cargo xtask services` and what it prints")
    })
}

/// The `throng` binary that cargo has built for the tests of its package.
pub fn built_throng() -> PathBuf {
    env::var_os("CARGO_BIN_EXE_throng").expect("the tests of `throng` are run by cargo").into()
}

/// The `throng` binary that is put to faults: the one of `THRONG_BIN`, or the built one.
pub fn throng_under_test() -> PathBuf {
    env::var_os("THRONG_BIN").map_or_else(built_throng, PathBuf::from)
}

/// A directory on a real disk, below cargo's target directory: a `/tmp` in memory would make syncs mean nothing.
pub fn directory_on_disk() -> tempfile::TempDir {
    let throng = built_throng();
    let target = throng.ancestors().nth(2).expect("cargo builds in a directory of the target directory");
    let directory = target.join("tmp");
    std::fs::create_dir_all(&directory).unwrap();
    tempfile::tempdir_in(directory).unwrap()
}
