//! Counts ranked and score polls: pure functions from a poll's distinct rankings or scores to its result.
//!
//! A ranked poll is counted by [`instant_runoff`] under its [`RankedRule`], and [`pairwise`] compares its options two by two; a
//! score poll is counted by [`score`] under its [`ScoreRule`]. [`write_blt`] and [`write_soi`] write the rankings in the formats
//! that other programs read, so that anybody can count them again.
//!
//! # What callers guarantee
//! A ranking has at least one option, no option twice and only options of the poll; an option outside the poll is passed over.
//! The same ranking may be given several times. All ballots of a poll together are fewer than 2⁶⁴.
//!
//! # Cost
//! Linear in the number of rankings, however many rounds there are: each round moves only the ballots of the options that it
//! eliminates.

mod blt;
mod instant_runoff;
#[cfg(test)]
mod model;
mod pairwise;
mod preflib;
mod profile;
mod rule;
mod run_off;
mod scores;

pub use blt::write_blt;
pub use instant_runoff::instant_runoff;
pub use pairwise::{Pairwise, pairwise};
pub use preflib::write_soi;
pub use profile::{Profile, Ranking};
pub use rule::{RankedRule, ScoreRule, TieBreak};
pub use run_off::{BrokenTie, OptionCount, Round, RunOff};
pub use scores::{OptionScore, ScoreCount, Scored, score};
