//! Throng: a poll server for crowds that all vote at once.
//!
//! The path of a ballot: [`net`] reads the request, [`http`] parses it, [`voting`] decides whether it counts, [`intake`] admits
//! it to a batch and records that in the store, and [`results`] serves the new counts. Behind a broker, [`worker`] does the
//! recording. [`app`] wires the parts.

pub mod access;
pub mod anomaly;
pub mod app;
pub mod cli;
pub mod config;
pub mod http;
pub mod intake;
pub mod net;
pub mod polls;
pub mod results;
mod sched;
pub mod state;
pub mod telemetry;
pub mod view;
pub mod voting;
pub mod webhooks;
pub mod worker;
