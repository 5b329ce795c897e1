//! Faults, put to real `throng` processes: killed, starved of their disk, asked to stop, left by their clients. After
//! each one the checker holds what is stored against the log of what was sent.
//!
//! `THRONG_FAULT_ROUNDS` says how many kills (8 unless told), `THRONG_FAULT_SEED` which ones, `THRONG_BIN` which binary
//! is put to it: `cargo xtask faults` sets them.
#![allow(clippy::unwrap_used, reason = "a test fails where it can't go on")]
#![allow(clippy::print_stdout, reason = "each test reports what it did")]

mod checker;
mod client;
mod fake_clock;
#[allow(dead_code, reason = "shared with another test binary")]
mod ledger;
mod process;
mod strace;
#[allow(dead_code, reason = "shared with another test binary")]
mod voters;

mod backup;
mod broken_disk;
mod clock_steps;
mod close_under_load;
mod commit_path;
mod displaced_file;
mod foreign_reader;
mod gone_clients;
mod interrupted_restore;
mod kills;
mod syncs;
mod terminate;
