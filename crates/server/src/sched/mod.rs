//! How the system schedules Throng's threads and processors.

pub mod affinity;
pub mod cpu_latency;
pub mod policy;
