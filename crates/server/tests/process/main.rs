//! The `throng` binary in processes of its own. These tests need nothing but Rust.
#![allow(clippy::unwrap_used, reason = "a test fails where it can't go on")]

#[path = "../system/process.rs"]
#[allow(dead_code, reason = "shared with another test binary")]
mod process;
#[path = "../support/mod.rs"]
mod support;

mod bench;
mod cli;
mod crowd;
#[cfg(feature = "otlp")]
mod otlp;
