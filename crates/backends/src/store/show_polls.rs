//! The polls of a show in a column: their slugs, separated by spaces.

use throng_domain::poll::{InvalidSlug, Slug};

/// The polls that are stored so.
///
/// # Errors
/// If one isn't a slug.
pub(super) fn from_stored(stored: &str) -> Result<Vec<Slug>, InvalidSlug> {
    stored.split_whitespace().map(str::parse).collect()
}

/// How these polls are stored.
pub(super) fn to_stored(polls: &[Slug]) -> String {
    polls.iter().map(Slug::as_str).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polls_are_read_as_they_were_stored() {
        for stored in ["", "a", "b a c-1"] {
            assert_eq!(to_stored(&from_stored(stored).unwrap()), stored);
        }
        assert!(from_stored("A").is_err());
    }
}
