//! `cargo xtask deny`: checks the sources and licences of dependencies, and that none is banned.

use anyhow::bail;

use crate::{command, packages};

/// Runs the checks that need no network.
///
/// # Errors
/// If cargo-deny isn't installed, or a check fails.
pub fn run() -> anyhow::Result<bool> {
    if packages::find("cargo-deny").is_none() {
        bail!("cargo-deny isn't installed; install it first: cargo install cargo-deny --locked");
    }
    command::run(&mut command::cargo("deny check --hide-inclusion-graph bans licenses sources"))?;
    Ok(true)
}
