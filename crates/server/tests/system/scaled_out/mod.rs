//! Throng scaled out: web nodes, a broker, workers, a database and a cache, each a process of its own, and the real ones.
//!
//! `THRONG_FAULT_ROUNDS` says how many rounds of each fault (1 unless told), `THRONG_FAULT_SEED` which choices and
//! moments: `cargo xtask faults` sets them.

mod broker;
mod cache;
mod clock;
mod close_at_the_peak;
mod database;
mod disk;
mod doctor;
mod final_results;
mod policy;
mod queue;
mod servers;
mod starts;
mod story;
mod system;
mod trial;
mod worker;
