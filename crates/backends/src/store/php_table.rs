//! The table `poll_entry` of the PHP system that Throng replaces, which is only read.
//!
//! It has a row for each option chosen, with an `id` and a `label` (1 to 5); in an early version it has a row per option, with its
//! votes in the column `count`. Which options were chosen together isn't stored, so these are counts without voters.

use std::time::Duration;

use throng_domain::store::StoreError;

/// How long the table may take to be read.
pub(super) const READ_MAX: Duration = Duration::from_secs(300);

/// How many votes each label has, by label; `None` for rows without one.
pub type PhpVotes = Vec<(Option<i64>, u64)>;

/// The query of a table that has these columns.
pub(super) fn query(columns: &[String], count: &str) -> Result<String, StoreError> {
    let has = |name: &str| columns.iter().any(|column| column.eq_ignore_ascii_case(name));
    if columns.is_empty() {
        return Err(StoreError::Rejected("the database has no table `poll_entry`; is it the PHP system's?".to_owned()));
    }
    if !has("label") {
        let columns = columns.join(", ");
        return Err(StoreError::Rejected(format!("the table `poll_entry` has no column `label`; it has {columns}")));
    }
    let sum = if has("count") { format!("SUM({count})") } else { "COUNT(*)".to_owned() };
    Ok(format!("SELECT label, CAST({sum} AS {{bigint}}) FROM poll_entry GROUP BY label ORDER BY label"))
}

/// The count in a row; negative ones are no votes.
pub(super) fn count(stored: Option<i64>) -> Result<u64, StoreError> {
    u64::try_from(stored.unwrap_or(0))
        .map_err(|_| StoreError::Rejected("the table `poll_entry` has a negative count".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_tells_what_it_counts() {
        let columns = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert!(query(&columns(&["id", "label"]), "count").unwrap().contains("COUNT(*)"));
        assert!(query(&columns(&["id", "label", "Count"]), "count").unwrap().contains("SUM(count)"));
        for (wrong, part) in [(columns(&[]), "no table"), (columns(&["id", "name"]), "id, name")] {
            let Err(StoreError::Rejected(why)) = query(&wrong, "count") else { panic!("{wrong:?}") };
            assert!(why.contains(part), "{why}");
        }
    }
}
