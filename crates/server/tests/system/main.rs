//! Real processes under faults: one server that is traced, killed or out of disk, and whole systems on real databases, brokers
//! and caches. `cargo xtask test` installs and starts what these tests need.
//!
//! `THRONG_FAULT_ROUNDS` sets the rounds of each fault, `THRONG_FAULT_SEED` the choices and moments, `THRONG_BIN` the binary
//! that is tested: `cargo xtask faults` sets them.
#![allow(clippy::unwrap_used, reason = "a test fails where it can't go on")]
#![allow(clippy::print_stdout, reason = "each test reports what it did")]

mod checker;
mod fake_clock;
mod ledger;
mod voters;

mod faults;
mod scaled_out;
mod supervised;
