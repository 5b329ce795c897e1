//! `cargo xtask deny`: where the dependencies come from and what their licences ask.

use anyhow::bail;

use crate::{command, packages};

/// Checks all that can be checked without the network.
///
/// # Errors
/// If cargo-deny isn't installed, or finds something.
pub fn run() -> anyhow::Result<bool> {
    if packages::find("cargo-deny").is_none() {
        bail!("cargo-deny isn't installed; install it first: cargo install cargo-deny --locked");
    }
    command::run(&mut command::cargo("deny check --hide-inclusion-graph bans licenses sources"))?;
    Ok(true)
}
