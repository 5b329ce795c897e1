//! The command line: the binary itself, in a directory of its own, without an environment.
#![allow(clippy::unwrap_used, reason = "a test fails where it can't go on")]

#[path = "../support/mod.rs"]
mod support;

mod backup;
mod configuration;
mod container;
mod logging;
mod manual;
mod polls;
mod schema;
mod serving;
mod waiting;
mod workspace;
