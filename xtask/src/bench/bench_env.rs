//! What every benchmark needs: the binaries, and a directory.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::command;

/// The binaries that are measured, and a directory for their files.
pub(super) struct BenchEnv {
    pub(super) dist: PathBuf,
    pub(super) scratch: PathBuf,
}

impl BenchEnv {
    /// Builds the binaries.
    pub(super) fn open() -> anyhow::Result<Self> {
        let build = "build --profile dist --package throng --bin throng --example empty_axum --example empty_own";
        command::run(&mut command::cargo(build))?;
        Self::without_build()
    }

    /// As they were built last, if they were.
    pub(super) fn without_build() -> anyhow::Result<Self> {
        let metadata = command::metadata()?;
        let target = metadata["target_directory"].as_str().context("`cargo metadata` names no target directory")?;
        let (dist, scratch) = (PathBuf::from(target).join("dist"), PathBuf::from(target).join("bench"));
        std::fs::create_dir_all(&scratch)?;
        Ok(Self { dist, scratch })
    }

    pub(super) fn throng(&self) -> PathBuf {
        self.dist.join("throng")
    }

    pub(super) fn example(&self, name: &str) -> PathBuf {
        self.dist.join("examples").join(name)
    }
}
