//! The database, for commands that work beside a server or without one.

use std::fmt::Display;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use throng_backends::store;
use throng_domain::clock::{Asked, Clock, RemoteClock, SystemClock};
use throng_domain::store::{Database, StoreError};

use super::tell;
use crate::app::StartupWait;
use crate::config::Config;

/// How often a write is tried that another process's write, or change of the same poll, got in the way of. Each try
/// waits for the other by itself.
const TRIES_MAX: usize = 5;

/// The database, which must be there and of this version's schema: a command that looks at polls neither makes a
/// database nor changes one.
pub(super) async fn open_current(config: &Config) -> anyhow::Result<Arc<dyn Database>> {
    let (database, states) = waiting(config, &config.database, async || {
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

/// The database, which must be there.
pub(super) async fn open_existing(config: &Config) -> anyhow::Result<Arc<dyn Database>> {
    waiting(config, &config.database, async || existing(config).await).await
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

/// The database, made if it isn't there.
pub(super) async fn open_or_make(config: &Config) -> anyhow::Result<Arc<dyn Database>> {
    let open = async || store::open(&config.database, None).await.with_context(|| cant_open(config));
    waiting(config, &config.database, open).await
}

/// The database's clock, by which servers judge that share it: `now` here is `now` there.
///
/// # Errors
/// Those of the store.
pub(super) async fn clock(database: &dyn Database) -> Result<RemoteClock, StoreError> {
    let asked = Asked::now();
    Ok(RemoteClock::new(asked, database.now().await?))
}

/// What `attempt` gives, tried again for as long as `--wait` says while `server` is away.
pub(super) async fn waiting<T>(
    config: &Config,
    server: &impl Display,
    attempt: impl AsyncFnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut is_told = false;
    let on_away = || {
        if !std::mem::replace(&mut is_told, true) {
            tell(&format!("waiting for {server}"));
        }
        Ok(())
    };
    StartupWait::new(config, &clock).until_available(on_away, attempt).await
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
    format!("can't open {}", config.database)
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
