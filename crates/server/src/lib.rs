//! Throng: a poll server for crowds that all vote at once.
//!
//! The way of a ballot: [`http`] parses it, [`intake`] admits it, batches it and has the store record it,
//! [`results`] serves what it adds up to. Behind a broker [`worker`] does the recording. [`app`] wires the parts; [`serve`] is the thread layout below HTTP.

pub mod app;
pub mod cli;
mod closing;
pub mod config;
pub mod http;
pub mod intake;
mod log_rate_limiter;
pub mod metrics;
pub mod results;
pub mod serve;
pub mod view;
pub mod worker;
