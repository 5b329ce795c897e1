//! What a group of contenders yields for the report.

use crate::bench::report::{Comparison, Fact};
use crate::bench::runs::Run;

/// What was measured of a group of contenders, which ran in turn with each other.
#[derive(Debug)]
pub struct Measured {
    /// The contenders to compare.
    pub comparisons: &'static [Comparison],
    /// Further information for readers.
    pub notes: Vec<String>,
    /// Single figures.
    pub facts: Vec<Fact>,
    /// Every single run.
    pub runs: Vec<Run>,
}
