//! The network layer: one thread and one single-threaded runtime per core, each with its own listening socket on the same port
//! (`SO_REUSEPORT`), so that the kernel distributes connections and a request never changes its core.
//!
//! It differs from `axum::serve` in six ways: no work moves between threads (some 15 to 25 percent more requests per second on
//! two cores), no thread moves between processors (see [`affinity`](crate::sched::affinity)), a core's thread preempts no other
//! and handles all pending events once it runs (see [`policy`](crate::sched::policy)), simple requests bypass the HTTP library
//! (see `http1/fast_path.rs`; a quarter more at 1,000 connections), every connection has timeouts (see
//! `http1/timeout_stream.rs`), and a shutdown closes no connection to which a client could still be writing.
//!
//! Everything unusual about how Throng serves is in this module; what it serves is a [`Service`].

mod addresses;
mod connection;
mod core_context;
mod cores;
mod date;
mod deadlines;
mod error_response;
mod http1;
mod http2;
mod listen;
mod opening;
mod proxy_protocol;
mod rewound;
mod rules;
mod service;
mod shutdown;
mod tls;
mod write_timeout;

pub use self::addresses::{IsProxy, network};
pub use self::cores::{Background, Core, Cores, Listen};
pub use self::deadlines::IdleTimeouts;
pub use self::http1::simple_request::{SimpleMethod, SimpleRequest};
pub use self::listen::{TooFewDescriptors, ensure_descriptors, find_free};
pub use self::service::{ErrorBody, FastPath, RequestBody, Service};
pub use self::shutdown::Shutdown;
pub use self::tls::{Tls, TlsFaults, TlsFiles};
