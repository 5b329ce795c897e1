//! The `throng` binary in processes of its own. These tests need nothing but Rust.
#![allow(clippy::unwrap_used, reason = "a test fails where it can't go on")]

mod bench;
mod cli;
mod crowd;
#[cfg(feature = "otlp")]
mod otlp;
