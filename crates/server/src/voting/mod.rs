//! Casting a ballot: the one place where a vote becomes a ballot and is submitted, whatever route it arrived by.

mod cast;
mod refusal;

pub use self::cast::{Cast, MissingId, Status, Vote, cast};
pub use self::refusal::Refusal;
