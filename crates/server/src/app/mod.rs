//! The wiring of a server and of a worker: the only place where their parts are connected.

mod anomaly_watch;
mod begun_rounds;
mod clock_watch;
mod database_clock;
mod listener;
mod parts;
mod poll_ends;
mod server;
mod start;
mod startup_wait;
mod worker;

pub use self::database_clock::CLOCK_SKEW_MAX_MS;
pub use self::parts::{
    BROKER_WATCH, BrokerClients, Parts, cant_use, create_demo_poll, open_cache, open_database, refuse_lossy,
    watch_broker,
};
pub use self::server::Server;
pub use self::startup_wait::{StartupWait, with_causes};
pub use self::worker::work;
