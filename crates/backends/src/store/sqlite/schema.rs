//! The schema, embedded and applied step by step, forward only.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use throng_domain::store::MigrationState;

use super::error::{StoreResult, read_error, write_error};
use super::writer::first_marks;
use crate::store::migration::{self, Migration};

/// Every step, in order.
pub fn migrations() -> &'static [Migration] {
    const {
        &[
            Migration {
                version: 1,
                name: "0001_polls_and_ballots",
                sql: include_str!("../../../migrations/sqlite/0001_polls_and_ballots.sql"),
            },
            Migration {
                version: 2,
                name: "0002_end_of_a_poll",
                sql: include_str!("../../../migrations/sqlite/0002_end_of_a_poll.sql"),
            },
            Migration {
                version: 3,
                name: "0003_rounds",
                sql: include_str!("../../../migrations/sqlite/0003_rounds.sql"),
            },
            Migration {
                version: 4,
                name: "0004_result",
                sql: include_str!("../../../migrations/sqlite/0004_result.sql"),
            },
            Migration {
                version: 5,
                name: "0005_policies",
                sql: include_str!("../../../migrations/sqlite/0005_policies.sql"),
            },
            Migration {
                version: 6,
                name: "0006_proof",
                sql: include_str!("../../../migrations/sqlite/0006_proof.sql"),
            },
            Migration {
                version: 7,
                name: "0007_changeable",
                sql: include_str!("../../../migrations/sqlite/0007_changeable.sql"),
            },
            Migration {
                version: 8,
                name: "0008_codes",
                sql: include_str!("../../../migrations/sqlite/0008_codes.sql"),
            },
            Migration {
                version: 9,
                name: "0009_edits",
                sql: include_str!("../../../migrations/sqlite/0009_edits.sql"),
            },
            Migration {
                version: 10,
                name: "0010_admin_tokens",
                sql: include_str!("../../../migrations/sqlite/0010_admin_tokens.sql"),
            },
            Migration {
                version: 11,
                name: "0011_changed_polls",
                sql: include_str!("../../../migrations/sqlite/0011_changed_polls.sql"),
            },
            Migration {
                version: 12,
                name: "0012_ranked_and_score",
                sql: include_str!("../../../migrations/sqlite/0012_ranked_and_score.sql"),
            },
            Migration {
                version: 13,
                name: "0013_origins_and_locale",
                sql: include_str!("../../../migrations/sqlite/0013_origins_and_locale.sql"),
            },
            Migration {
                version: 14,
                name: "0014_rehearsals_and_webhooks",
                sql: include_str!("../../../migrations/sqlite/0014_rehearsals_and_webhooks.sql"),
            },
            Migration {
                version: 15,
                name: "0015_shows",
                sql: include_str!("../../../migrations/sqlite/0015_shows.sql"),
            },
        ]
    }
}

pub(super) fn migrate(writer: &mut Connection) -> StoreResult<Vec<&'static str>> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(read_error)?;
    let current = known_version(&transaction)?;
    let applied = apply_missing(&transaction)?;
    if current == 0 && !applied.is_empty() {
        let marks = first_marks(&transaction)?;
        transaction.pragma_update(None, "application_id", marks.id()).map_err(write_error)?;
    }
    if !applied.is_empty() {
        transaction.pragma_update(None, "user_version", migrations().len()).map_err(write_error)?;
        transaction.commit().map_err(write_error)?;
    }
    Ok(applied)
}

/// Applies the missing steps in the caller's transaction, and returns their names; doesn't store the new version.
pub(super) fn apply_missing(transaction: &Connection) -> StoreResult<Vec<&'static str>> {
    let current = known_version(transaction)?;
    let mut applied = Vec::new();
    for migration in migrations().iter().filter(|migration| migration.version > current) {
        transaction.execute_batch(migration.sql).map_err(write_error)?;
        applied.push(migration.name);
    }
    Ok(applied)
}

pub(super) fn states(reader: &Connection) -> StoreResult<Vec<MigrationState>> {
    migration::states(migrations(), version(reader).map_err(read_error)?)
}

/// The number of the last step applied; an error if it is a step of a later version of Throng.
fn known_version(reader: &Connection) -> StoreResult<u32> {
    migration::known(migrations(), version(reader).map_err(read_error)?)
}

/// The number of the last step applied: stored in the file's header.
fn version(reader: &Connection) -> rusqlite::Result<u32> {
    Ok(reader.query_row("PRAGMA user_version", [], |row| row.get(0)).optional()?.unwrap_or(0))
}
