//! Telemetry of the process: metrics, and log lines at a limited rate.

pub mod log_rate_limiter;
pub mod metrics;
