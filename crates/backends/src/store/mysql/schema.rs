//! The schema, embedded and applied step by step, forward only.

use sqlx::mysql::MySqlConnection;
use throng_domain::store::StoreError;

use super::columns::natural;
use super::connection::simple_query;
use super::error::{StoreResult, is_table_missing, open_error};
use crate::store::migration::{self, Migration};

/// The name of the lock. Locks are server-wide and have names of at most 64 characters, so the database's name is
/// included as a hash. It is SHA-2: MySQL from 9.6 on has no other without a component.
const LOCK: &str = "CONCAT('throng.schema.', LEFT(SHA2(DATABASE(), 256), 40))";

/// How long to wait for another process that is migrating, in seconds.
const LOCK_WAIT_S: u8 = 20;

/// Every step, in order.
pub fn migrations() -> &'static [Migration] {
    const {
        &[
            Migration {
                version: 1,
                name: "0001_polls_and_ballots",
                sql: include_str!("../../../migrations/mysql/0001_polls_and_ballots.sql"),
            },
            Migration {
                version: 2,
                name: "0002_end_of_a_poll",
                sql: include_str!("../../../migrations/mysql/0002_end_of_a_poll.sql"),
            },
            Migration {
                version: 3,
                name: "0003_rounds",
                sql: include_str!("../../../migrations/mysql/0003_rounds.sql"),
            },
            Migration {
                version: 4,
                name: "0004_result",
                sql: include_str!("../../../migrations/mysql/0004_result.sql"),
            },
            Migration {
                version: 5,
                name: "0005_policies",
                sql: include_str!("../../../migrations/mysql/0005_policies.sql"),
            },
            Migration { version: 6, name: "0006_proof", sql: include_str!("../../../migrations/mysql/0006_proof.sql") },
            Migration {
                version: 7,
                name: "0007_changeable",
                sql: include_str!("../../../migrations/mysql/0007_changeable.sql"),
            },
            Migration { version: 8, name: "0008_codes", sql: include_str!("../../../migrations/mysql/0008_codes.sql") },
            Migration { version: 9, name: "0009_edits", sql: include_str!("../../../migrations/mysql/0009_edits.sql") },
            Migration {
                version: 10,
                name: "0010_admin_tokens",
                sql: include_str!("../../../migrations/mysql/0010_admin_tokens.sql"),
            },
            Migration {
                version: 11,
                name: "0011_changed_polls",
                sql: include_str!("../../../migrations/mysql/0011_changed_polls.sql"),
            },
            Migration {
                version: 12,
                name: "0012_ranked_and_score",
                sql: include_str!("../../../migrations/mysql/0012_ranked_and_score.sql"),
            },
            Migration {
                version: 13,
                name: "0013_origins_and_locale",
                sql: include_str!("../../../migrations/mysql/0013_origins_and_locale.sql"),
            },
            Migration {
                version: 14,
                name: "0014_rehearsals_and_webhooks",
                sql: include_str!("../../../migrations/mysql/0014_rehearsals_and_webhooks.sql"),
            },
            Migration {
                version: 15,
                name: "0015_shows",
                sql: include_str!("../../../migrations/mysql/0015_shows.sql"),
            },
        ]
    }
}

/// Applies the missing steps, under a lock of the session, which ends with the session at the latest.
///
/// A step that fails halfway leaves its earlier statements applied, and is started over the next time: its statements
/// can be run again.
pub(super) async fn migrate(writer: &mut MySqlConnection) -> StoreResult<Vec<&'static str>> {
    lock(writer).await?;
    let create_table = "CREATE TABLE IF NOT EXISTS schema_migration (version INT NOT NULL PRIMARY KEY, \
                name VARCHAR(200) CHARACTER SET ascii COLLATE ascii_bin NOT NULL) ENGINE = InnoDB";
    let current = migration::known(migrations(), version(writer).await.map_err(open_error)?)?;
    let mut applied = Vec::new();
    for migration in migrations().iter().filter(|migration| migration.version > current) {
        simple_query(&mut *writer, create_table).await.map_err(open_error)?;
        apply(writer, migration).await.map_err(open_error)?;
        applied.push(migration.name);
    }
    let unlock = format!("DO RELEASE_LOCK({LOCK})");
    simple_query(writer, &unlock).await.map_err(open_error)?;
    Ok(applied)
}

async fn lock(writer: &mut MySqlConnection) -> StoreResult<()> {
    let lock = format!("SELECT GET_LOCK({LOCK}, {LOCK_WAIT_S})");
    match sqlx::query_scalar(&lock).fetch_one(writer).await.map_err(open_error)? {
        Some(1_i64) => Ok(()),
        Some(_) | None => Err(StoreError::Unavailable("another process is migrating the schema".into())),
    }
}

async fn apply(writer: &mut MySqlConnection, migration: &Migration) -> sqlx::Result<()> {
    for statement in migration.sql.split(";\n").filter(|statement| !statement.trim().is_empty()) {
        simple_query(&mut *writer, statement).await?;
    }
    sqlx::query("INSERT INTO schema_migration (version, name) VALUES (?, ?)")
        .bind(migration.version)
        .bind(migration.name)
        .execute(writer)
        .await?;
    Ok(())
}

/// The number of the last step applied; 0 in a database that has no table yet.
pub(super) async fn version(reader: &mut MySqlConnection) -> sqlx::Result<u32> {
    match sqlx::query("SELECT COALESCE(MAX(version), 0) FROM schema_migration").fetch_one(reader).await {
        Ok(row) => natural(&row, 0),
        Err(error) if is_table_missing(&error) => Ok(0),
        Err(error) => Err(error),
    }
}
