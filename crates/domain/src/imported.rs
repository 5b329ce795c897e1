//! Counts that were taken over from an earlier system, as a store keeps them.

use crate::ids::OptionId;

/// The text under which a store keeps them: `[[1,5],[3,2]]`, an option and its count each; `None` if there are none.
pub fn to_stored(counts: &[(OptionId, u64)]) -> Option<String> {
    // Numbers always have a form in JSON.
    (!counts.is_empty()).then(|| serde_json::to_string(counts).unwrap_or_default())
}

/// The counts from that text.
///
/// # Errors
/// If it isn't such a text.
pub fn from_stored(stored: Option<&str>) -> Result<Vec<(OptionId, u64)>, serde_json::Error> {
    stored.map_or(Ok(Vec::new()), serde_json::from_str)
}
