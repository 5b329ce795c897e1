//! Counts with their nouns, in messages.

use std::fmt::Display;

/// `1 poll`, `2 polls`, `0 polls`: `noun` forms its plural with an `s`.
pub(super) fn counted(count: impl Display, noun: &str) -> String {
    let count = count.to_string();
    let plural = if count == "1" { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular() {
        assert_eq!([0, 1, 2, 11].map(|count| counted(count, "poll")), ["0 polls", "1 poll", "2 polls", "11 polls"]);
    }
}
