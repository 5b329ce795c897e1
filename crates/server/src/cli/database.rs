//! The database, for commands that work beside a server or without one.

use anyhow::{Context as _, bail};
use throng_backends::store::sqlite::SqliteStore;
use throng_domain::store::StoreError;

use crate::config::{Config, Database};

/// How often a write is tried that another process's write, or change of the same poll, got in the way of. Each try
/// waits for the other by itself.
const TRIES_MAX: usize = 5;

/// The database, which must be there and of this version's schema: a command that looks at polls neither makes a
/// database nor changes one.
pub(super) fn open_current(config: &Config) -> anyhow::Result<SqliteStore> {
    let Database::Sqlite(path) = &config.database;
    let store = open_existing(config)?;
    let states = store.migration_states().with_context(|| path.display().to_string())?;
    if states.iter().any(|state| !state.applied) {
        bail!("{}: the schema isn't up to date; run `throng schema migrate`, then this again", path.display());
    }
    Ok(store)
}

/// The database, which must be there.
pub(super) fn open_existing(config: &Config) -> anyhow::Result<SqliteStore> {
    let Database::Sqlite(path) = &config.database;
    let opened = SqliteStore::open_existing(path).with_context(|| cant_open(config))?;
    opened.with_context(|| {
        format!(
            "there is no database {}; make it with `throng schema create`, or start `throng`, or set DATABASE_URL",
            path.display()
        )
    })
}

/// The database, made if it isn't there.
pub(super) fn open_or_make(config: &Config) -> anyhow::Result<SqliteStore> {
    let Database::Sqlite(path) = &config.database;
    SqliteStore::open(path).with_context(|| cant_open(config))
}

/// The database as it is called in what is printed.
pub(super) fn name(config: &Config) -> String {
    let Database::Sqlite(path) = &config.database;
    path.display().to_string()
}

/// Does `write` again for as long as somebody else's write gets in its way: a poll has to be closed while a crowd
/// votes in it. `write` must judge anew what it is to write.
pub(super) async fn persist<T>(mut write: impl AsyncFnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
    for _ in 1..TRIES_MAX {
        match write().await {
            Err(error) if is_in_the_way(&error) => {}
            done => return done,
        }
    }
    write().await.map_err(|error| {
        if is_in_the_way(&error) {
            error.context("nothing was changed; try again when less is going on")
        } else {
            error
        }
    })
}

fn is_in_the_way(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(StoreError::Conflict(_) | StoreError::Unavailable(_)))
}

fn cant_open(config: &Config) -> String {
    format!("can't open {}", name(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn tries(failures: usize, error: fn() -> anyhow::Error) -> (usize, anyhow::Result<()>) {
        let mut tried = 0;
        let done = persist(async || {
            tried += 1;
            if tried > failures { Ok(()) } else { Err(error()) }
        });
        let done = done.await;
        (tried, done)
    }

    #[tokio::test]
    async fn what_was_in_the_way_is_tried_again_and_given_up_on() {
        let conflict = || StoreError::Conflict("changed meanwhile".to_owned()).into();
        assert!(matches!(tries(2, conflict).await, (3, Ok(()))));
        let (tried, done) = tries(100, conflict).await;
        assert_eq!(tried, TRIES_MAX);
        assert!(done.unwrap_err().to_string().contains("nothing was changed"));
    }

    #[tokio::test]
    async fn what_will_not_work_later_is_tried_once() {
        let rejected = || StoreError::Rejected("no".to_owned()).into();
        assert!(matches!(tries(1, rejected).await, (1, Err(_))));
    }
}
