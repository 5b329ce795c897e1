//! Faults, put to real `throng` processes: killed, starved of their disk, asked to stop, left by their clients. After
//! each one the checker holds what is stored against the log of what was sent.
//!
//! `THRONG_FAULT_ROUNDS` says how many kills (8 unless told), `THRONG_FAULT_SEED` which ones, `THRONG_BIN` which binary
//! is put to it: `cargo xtask faults` sets them.

mod strace;

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
