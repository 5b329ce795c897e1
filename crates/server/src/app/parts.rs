//! What a server or a worker is put together from.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use throng_backends::cache::{self, Namespace};
use throng_backends::queue::QueueUrl;
use throng_backends::store::{self, Claim};
use throng_domain::cache::ResultCache;
use throng_domain::clock::Clock;
use throng_domain::new_poll::NewPoll;
use throng_domain::poll::{Poll, Slug};
use throng_domain::queue::{Publisher, QueueError, ResultSubscriber};
use throng_domain::store::{Database, Store, StoreError};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::config::{AppEnv, Config};

/// What a server is put together from, beside its configuration.
#[derive(Debug)]
pub struct Parts {
    /// Where polls and ballots are kept, its schema up to date.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How many threads serve.
    pub cores: usize,
    /// How many ballots may wait at once.
    pub ballots_waiting_max: usize,
    /// What stands between this server and those who record its ballots; none where it records them itself.
    pub broker: Option<Broker>,
    /// What all nodes share, so that they ask the store together only once.
    pub cache: Option<Arc<dyn ResultCache>>,
}

/// The two sides of a broker that a server has to do with.
#[derive(Debug)]
pub struct Broker {
    /// The name by which nodes and workers on one database know the queue.
    pub queue: String,
    /// Take its ballots, one from each core.
    pub publishers: Vec<Arc<dyn Publisher>>,
    /// Brings the results.
    pub result_subscriber: Box<dyn ResultSubscriber>,
}

/// The configured database, its schema up to date, its settings safe; opened under this process's claim, where it has one.
///
/// # Errors
/// If it can't be had, or in production could lose ballots that were answered.
pub async fn open_database(config: &Config, claim: Option<&Claim>) -> anyhow::Result<Arc<dyn Database>> {
    let database =
        store::open(&config.database, claim).await.with_context(|| format!("can't open {}", config.database))?;
    for migration in database.migrate().await? {
        info!(migration, database = %config.database, "schema migrated");
    }
    refuse_unsafe(&*database, config.app_env).await?;
    Ok(database)
}

/// What to do about a broker that can't be used.
pub fn cant_use(url: &QueueUrl) -> String {
    format!("can't use the broker {url}; see that it runs and can be reached, or set QUEUE_URL")
}

/// How long [`watch_broker`] watches: policies that lose messages within a few seconds are seen.
pub const BROKER_WATCH: Duration = Duration::from_secs(6);

/// How often it looks meanwhile.
const BROKER_LOOK_EVERY: Duration = Duration::from_millis(200);

/// Watches whether the broker loses what it has confirmed.
///
/// # Errors
/// Why nothing would be published: as soon as that is known where somebody has to change the broker, and in the end where it
/// may pass by itself.
pub async fn watch_broker(publisher: &dyn Publisher) -> Result<(), QueueError> {
    let watched_until = Instant::now() + BROKER_WATCH;
    loop {
        match publisher.refusal() {
            Err(error @ QueueError::Rejected(_)) => return Err(error),
            refusal if Instant::now() >= watched_until => return refusal,
            Ok(()) | Err(QueueError::Unavailable(_) | QueueError::Unknown(_)) => {
                tokio::time::sleep(BROKER_LOOK_EVERY).await;
            }
        }
    }
}

/// Refuses a broker that is seen to lose what it has confirmed. In dev, where a start is not to take long, a node says so
/// later.
///
/// # Errors
/// What to change on the broker.
pub async fn refuse_lossy(publisher: &dyn Publisher, app_env: AppEnv) -> Result<(), QueueError> {
    match app_env {
        AppEnv::Dev => Ok(()),
        AppEnv::Prod => match watch_broker(publisher).await {
            Err(error @ QueueError::Rejected(_)) => Err(error),
            // It may be back soon.
            Ok(()) | Err(QueueError::Unavailable(_) | QueueError::Unknown(_)) => Ok(()),
        },
    }
}

/// The configured cache. Nodes that record in one database share it, and no others.
pub fn open_cache(config: &Config) -> Option<Arc<dyn ResultCache>> {
    let url = config.cache.as_ref()?;
    Some(cache::open(url, Namespace::of(&config.database.to_string())))
}

/// Refuses a database with which an answered ballot could be lost; in dev it only says so.
async fn refuse_unsafe(database: &dyn Database, app_env: AppEnv) -> anyhow::Result<()> {
    let settings = database.unsafe_settings().await?;
    match app_env {
        AppEnv::Prod if !settings.is_empty() => {
            bail!("the database could lose ballots that were answered: {}", settings.join("; "))
        }
        AppEnv::Prod | AppEnv::Dev => {
            for setting in settings {
                warn!("the database could lose ballots that were answered: {setting}");
            }
            Ok(())
        }
    }
}

/// Makes the demo poll, named `slug`, if there is no poll at all.
///
/// # Errors
/// Those of the store.
pub async fn create_demo_poll(store: &dyn Store, slug: &Slug, clock: &dyn Clock) -> Result<Option<Poll>, StoreError> {
    if !store.polls().await?.is_empty() {
        return Ok(None);
    }
    let poll = store.create_poll(NewPoll::demo(slug.clone(), clock.now())).await?;
    info!(poll = %poll.slug, "demo poll created");
    Ok(Some(poll))
}
