//! Throng scaled out: web nodes, a broker, workers, a database and a cache, each a process of its own, and the real ones.
//!
//! `THRONG_FAULT_ROUNDS` says how many rounds of each fault (1 unless told), `THRONG_FAULT_SEED` which choices and
//! moments: `cargo xtask faults` sets them.
#![allow(clippy::unwrap_used, reason = "a test fails where it can't go on")]
#![allow(clippy::print_stdout, reason = "each test reports what it did")]

#[path = "../faults/checker.rs"]
#[allow(dead_code, reason = "shared with another test binary")]
mod checker;
#[path = "../faults/client.rs"]
#[allow(dead_code, reason = "shared with another test binary")]
mod client;
#[path = "../faults/fake_clock.rs"]
mod fake_clock;
#[path = "../faults/ledger.rs"]
#[allow(dead_code, reason = "shared with another test binary")]
mod ledger;
#[path = "../faults/process.rs"]
#[allow(dead_code, reason = "shared with another test binary")]
mod process;
#[path = "../faults/voters.rs"]
#[allow(dead_code, reason = "shared with another test binary")]
mod voters;

mod broker;
mod cache;
mod clock;
mod database;
mod disk;
mod doctor;
mod final_results;
mod link;
mod policy;
mod queue;
mod servers;
mod starts;
mod story;
mod system;
mod trial;
mod worker;
