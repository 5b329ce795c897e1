//! Numbers of things, in messages.

use std::fmt::Display;

/// `1 poll`, `2 polls`, `0 polls`: `thing` is a word that takes an `s`.
pub(super) fn counted(count: impl Display, thing: &str) -> String {
    let count = count.to_string();
    let plural = if count == "1" { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_not_several() {
        assert_eq!([0, 1, 2, 11].map(|count| counted(count, "poll")), ["0 polls", "1 poll", "2 polls", "11 polls"]);
    }
}
