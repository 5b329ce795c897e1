//! Access to the database for commands, with or without a running server.

use std::fmt::Display;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use throng_backends::store;
use throng_domain::clock::{Asked, Clock, RemoteClock, SystemClock};
use throng_domain::store::{Database, StoreError};

use super::console::write_message;
use crate::app::StartupWait;
use crate::config::Config;

/// The database, which must exist and have this version's schema: a command on polls neither creates a database nor migrates
/// one.
pub(super) async fn open_current(config: &Config) -> anyhow::Result<Arc<dyn Database>> {
    let (database, states) = retry_unavailable(config, &config.database, async || {
        let database = existing(config).await?;
        let states = database.migration_states().await.with_context(|| config.database.to_string())?;
        Ok((database, states))
    })
    .await?;
    if states.iter().any(|state| !state.applied) {
        bail!("{}: the schema isn't up to date; run `throng schema migrate`, then this again", config.database);
    }
    Ok(database)
}

/// The database, which must exist.
pub(super) async fn open_existing(config: &Config) -> anyhow::Result<Arc<dyn Database>> {
    retry_unavailable(config, &config.database, async || existing(config).await).await
}

async fn existing(config: &Config) -> anyhow::Result<Arc<dyn Database>> {
    let opened = store::open_existing(&config.database).await.with_context(|| cant_open(config))?;
    opened.with_context(|| {
        format!(
            "there is no database {}; make it with `throng schema create`, or start `throng`, or set DATABASE_URL",
            config.database
        )
    })
}

/// The database, created if it doesn't exist.
pub(super) async fn open_or_create(config: &Config) -> anyhow::Result<Arc<dyn Database>> {
    let open = async || store::open(&config.database, None).await.with_context(|| cant_open(config));
    retry_unavailable(config, &config.database, open).await
}

/// The clock that the database's servers go by: this machine's for a file, and otherwise the database server's.
///
/// # Errors
/// Those of the store.
pub(super) async fn clock(config: &Config, database: &dyn Database) -> Result<Box<dyn Clock>, StoreError> {
    if !config.database.is_shared() {
        return Ok(Box::new(SystemClock));
    }
    let before = Asked::now();
    Ok(Box::new(RemoteClock::new(before, database.now().await?)))
}

/// The result of `attempt`, retried for as long as `--wait` allows while `server` is unavailable.
pub(super) async fn retry_unavailable<T>(
    config: &Config,
    server: &impl Display,
    attempt: impl AsyncFnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut is_reported = false;
    let on_unavailable = || {
        if !std::mem::replace(&mut is_reported, true) {
            write_message(&format!("waiting for {server}"));
        }
        Ok(())
    };
    StartupWait::new(config, &clock).until_available(on_unavailable, attempt).await
}

fn cant_open(config: &Config) -> String {
    format!("can't open {}", config.database)
}
