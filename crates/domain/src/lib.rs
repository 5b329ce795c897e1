//! The domain of Throng: polls, options, ballots and tallies, and the rules that hold between them.
//!
//! Nothing here uses SQL or HTTP, reads a clock (except [`clock`]) or draws a random number. Start with [`ballot::Ballot`], the
//! one thing that this system must never lose. [`poll::Poll`] determines who may cast one and when; [`store`] has the
//! interfaces to the database that stores it, [`queue`] those to the broker that carries it there.
//!
//! To add a database, implement the traits of [`store`] and run the suite of the `contract` module (feature `contract`)
//! against it: the traits' documentation is the contract, the suite verifies it.

pub mod admin_token;
pub mod audit;
pub mod ballot;
pub mod cache;
mod choices;
pub mod clock;
pub mod code;
#[cfg(feature = "contract")]
pub mod contract;
pub mod counting;
mod ids;
pub mod imported;
pub mod new_poll;
pub mod object;
pub mod origins;
pub mod policy;
pub mod poll;
pub mod poll_change;
mod poll_rules;
pub mod queue;
pub mod rounds;
pub mod show;
pub mod store;
pub mod submission;
pub mod tabulation;
pub mod tally;
pub mod tally_detail;
pub mod text;
pub mod void;
pub mod waits_for;
pub mod webhook;
pub mod window;
mod words;
