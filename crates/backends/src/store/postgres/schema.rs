//! The schema, embedded and applied step by step, forward only.

use sqlx::PgConnection;
use throng_domain::store::MigrationState;

use super::connection::{Connections, simple_query};
use super::error::{StoreResult, migrate_error};
use crate::store::migration::{self, Migration};

/// The lock under which the schema is changed. Those of polls have other numbers: no poll has the id 0.
const LOCK: i64 = super::locks::LOCKS;

/// Every step, in order.
pub fn migrations() -> &'static [Migration] {
    const {
        &[
            Migration {
                version: 1,
                name: "0001_polls_and_ballots",
                sql: include_str!("../../../migrations/postgres/0001_polls_and_ballots.sql"),
            },
            Migration {
                version: 2,
                name: "0002_end_of_a_poll",
                sql: include_str!("../../../migrations/postgres/0002_end_of_a_poll.sql"),
            },
            Migration {
                version: 3,
                name: "0003_rounds",
                sql: include_str!("../../../migrations/postgres/0003_rounds.sql"),
            },
            Migration {
                version: 4,
                name: "0004_result",
                sql: include_str!("../../../migrations/postgres/0004_result.sql"),
            },
            Migration {
                version: 5,
                name: "0005_policies",
                sql: include_str!("../../../migrations/postgres/0005_policies.sql"),
            },
            Migration {
                version: 6,
                name: "0006_proof",
                sql: include_str!("../../../migrations/postgres/0006_proof.sql"),
            },
            Migration {
                version: 7,
                name: "0007_changeable",
                sql: include_str!("../../../migrations/postgres/0007_changeable.sql"),
            },
            Migration {
                version: 8,
                name: "0008_codes",
                sql: include_str!("../../../migrations/postgres/0008_codes.sql"),
            },
            Migration {
                version: 9,
                name: "0009_edits",
                sql: include_str!("../../../migrations/postgres/0009_edits.sql"),
            },
            Migration {
                version: 10,
                name: "0010_admin_tokens",
                sql: include_str!("../../../migrations/postgres/0010_admin_tokens.sql"),
            },
            Migration {
                version: 11,
                name: "0011_changed_polls",
                sql: include_str!("../../../migrations/postgres/0011_changed_polls.sql"),
            },
            Migration {
                version: 12,
                name: "0012_ranked_and_score",
                sql: include_str!("../../../migrations/postgres/0012_ranked_and_score.sql"),
            },
            Migration {
                version: 13,
                name: "0013_origins_and_locale",
                sql: include_str!("../../../migrations/postgres/0013_origins_and_locale.sql"),
            },
            Migration {
                version: 14,
                name: "0014_rehearsals_and_webhooks",
                sql: include_str!("../../../migrations/postgres/0014_rehearsals_and_webhooks.sql"),
            },
            Migration {
                version: 15,
                name: "0015_shows",
                sql: include_str!("../../../migrations/postgres/0015_shows.sql"),
            },
        ]
    }
}

pub(super) async fn migrate(connections: &Connections) -> StoreResult<Vec<&'static str>> {
    let mut applied = Vec::new();
    // Read first, so that a user who may not change tables can start where there is nothing to change.
    while connections.read(version).await.and_then(known)? < newest() {
        let step = connections.write(async |writer| next_step(writer, connections.user()).await).await?;
        applied.extend(step.map(|migration| migration.name));
    }
    Ok(applied)
}

/// Applies the first step that is missing, unless another process has just applied it.
async fn next_step(writer: &mut PgConnection, user: &str) -> StoreResult<Option<&'static Migration>> {
    let current = lock(writer).await.map_err(|error| migrate_error(error, user)).and_then(known)?;
    let Some(next) = migrations().iter().find(|migration| migration.version > current) else { return Ok(None) };
    apply(writer, next).await.map_err(|error| migrate_error(error, user))?;
    Ok(Some(next))
}

/// Excludes all other processes that change the schema until this transaction ends; returns the number of the last step
/// applied.
async fn lock(writer: &mut PgConnection) -> sqlx::Result<u32> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *writer).await?;
    // Its existence isn't checked first: while this session waited for the lock, it wasn't notified that the table was created.
    let create_table = "CREATE TABLE IF NOT EXISTS schema_migration (version INTEGER PRIMARY KEY, name TEXT NOT NULL)";
    simple_query(&mut *writer, create_table).await?;
    listed_version(writer).await
}

async fn apply(writer: &mut PgConnection, migration: &'static Migration) -> sqlx::Result<()> {
    simple_query(&mut *writer, migration.sql).await?;
    sqlx::query("INSERT INTO schema_migration (version, name) VALUES ($1, $2)")
        .bind(migration.version.cast_signed())
        .bind(migration.name)
        .execute(writer)
        .await?;
    Ok(())
}

pub(super) async fn states(connections: &Connections) -> StoreResult<Vec<MigrationState>> {
    migration::states(migrations(), connections.read(version).await?)
}

/// The number of the last step applied; an error if it is a step of a later version of Throng.
fn known(version: u32) -> StoreResult<u32> {
    migration::known(migrations(), version)
}

fn newest() -> u32 {
    migrations().last().map_or(0, |migration| migration.version)
}

/// The number of the last step applied; 0 where there is none yet.
async fn version(reader: &mut PgConnection) -> sqlx::Result<u32> {
    let table_exists = sqlx::query_scalar("SELECT to_regclass('schema_migration') IS NOT NULL");
    if table_exists.fetch_one(&mut *reader).await? { listed_version(reader).await } else { Ok(0) }
}

async fn listed_version(reader: &mut PgConnection) -> sqlx::Result<u32> {
    let version: i32 =
        sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM schema_migration").fetch_one(reader).await?;
    u32::try_from(version).map_err(|error| sqlx::Error::Decode(error.into()))
}
