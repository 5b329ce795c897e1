//! A load generator: votes on a poll server over HTTP, measures its responses, and checks that it counted the votes.
//!
//! [`Generator::connect`] opens the connections, [`Generator::run`] votes, and [`Run::count`] compares the server's result with
//! what it acknowledged. There are two loads ([`Load`]): rounds, in which all clients vote at the same instant, and a constant
//! rate that doesn't wait for the server.
//!
//! ```no_run
//! # use std::time::Duration;
//! # use throng_loadgen::{Generator, Load, Poll};
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let load = Load::Rounds { clients: 1_000, rounds: 10 };
//! let generator = Generator::connect("http://127.0.0.1:8080".parse()?, Poll::Default, load, Duration::from_secs(10)).await?;
//! let measurement = generator.run().await?.count(Duration::from_secs(10)).await;
//! assert!(measurement.votes.agree);
//! println!("p99 {:?}", measurement.latencies.p99);
//! # Ok(())
//! # }
//! ```
//!
//! It is meant for a runtime with one thread: a vote costs the generator little, and the other cores are left to the server,
//! which is usually on the same machine. No other client may vote meanwhile, or the count differs.

mod client;
mod connection;
mod counts;
mod descriptors;
mod error;
mod findings;
mod generator;
mod load;
mod open_loop;
mod poll;
mod request;
mod response;
mod rounds;
mod run_context;
mod schedule;
mod target;

pub use self::counts::Votes;
pub use self::error::{ConnectError, ExchangeError, LoadError, ResultError};
pub use self::findings::{Failure, Findings, Latencies, Outcomes};
pub use self::generator::{Generator, Measurement, Run};
pub use self::load::Load;
pub use self::poll::{Poll, Rehearsal};
pub use self::target::{InvalidTarget, Target};
