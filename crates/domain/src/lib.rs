//! The domain of Throng: what a poll, an option, a ballot and a tally are, and which rules hold between them.
//!
//! Nothing here knows SQL or HTTP, reads a clock or draws a random number. Start at [`ballot::Ballot`], the one
//! thing that this system must never lose; [`poll::Poll`] says who may cast one and when; [`store::Store`] is the
//! seam behind which a database keeps it, [`queue`] the ones behind which a broker carries it there.
//!
//! To add a database, implement [`store::Store`] and run the suite of the `contract` module (feature `contract`)
//! against it: the trait's documentation is the contract, the suite is its proof.

pub mod ballot;
pub mod cache;
pub mod clock;
#[cfg(feature = "contract")]
pub mod contract;
pub mod new_poll;
pub mod poll;
pub mod queue;
pub mod rounds;
pub mod store;
pub mod submission;
pub mod tally;
pub mod text;
pub mod window;
