//! The parts from which a server or a worker is built.

use std::sync::Arc;
use std::time::Duration;
use throng_domain::audit::Author;

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

/// The parts of a server, beside its configuration.
#[derive(Debug)]
pub struct Parts {
    /// The store of polls and ballots, with its schema up to date.
    pub store: Arc<dyn Store>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The number of serving threads.
    pub cores: usize,
    /// The most ballots that may wait at once.
    pub ballots_waiting_max: usize,
    /// The broker between this server and the workers that record its ballots; none where it records them itself.
    pub broker: Option<BrokerClients>,
    /// The cache that all nodes share, so that only one of them queries the store.
    pub cache: Option<Arc<dyn ResultCache>>,
}

/// A server's clients of the broker.
#[derive(Debug)]
pub struct BrokerClients {
    /// The name by which nodes and workers on one database identify the queue.
    pub queue: String,
    /// Publish its ballots, one per core.
    pub publishers: Vec<Arc<dyn Publisher>>,
    /// Receives the results.
    pub result_subscriber: Box<dyn ResultSubscriber>,
}

/// Opens the configured database under this process's claim, if it has one, migrates its schema, and checks its durability
/// settings.
///
/// # Errors
/// If it can't be opened or migrated, or in production could lose accepted ballots.
pub async fn open_database(config: &Config, claim: Option<&Claim>) -> anyhow::Result<Arc<dyn Database>> {
    let database =
        store::open(&config.database, claim).await.with_context(|| format!("can't open {}", config.database))?;
    for migration in database.migrate().await? {
        info!(migration, database = %config.database, "schema migrated");
    }
    refuse_unsafe(&*database, config.app_env).await?;
    Ok(database)
}

/// The error message for a broker that can't be used, with advice.
pub fn cant_use(url: &QueueUrl) -> String {
    format!("can't use the broker {url}; see that it runs and can be reached, or set QUEUE_URL")
}

/// How long [`watch_broker`] checks the broker: long enough to detect policies that lose messages within a few seconds.
pub const BROKER_WATCH: Duration = Duration::from_secs(6);

/// The interval between its checks.
const BROKER_CHECK_EVERY: Duration = Duration::from_millis(200);

/// Checks, for [`BROKER_WATCH`], whether the broker loses what it has confirmed.
///
/// # Errors
/// Why nothing would be published: [`QueueError::Rejected`], where an operator has to change the broker, as soon as it is
/// known; an error that may pass by itself only at the end.
pub async fn watch_broker(publisher: &dyn Publisher) -> Result<(), QueueError> {
    let watched_until = Instant::now() + BROKER_WATCH;
    loop {
        match publisher.refusal() {
            Err(error @ QueueError::Rejected(_)) => return Err(error),
            refusal if Instant::now() >= watched_until => return refusal,
            Ok(()) | Err(QueueError::Unavailable(_) | QueueError::Unknown(_)) => {
                tokio::time::sleep(BROKER_CHECK_EVERY).await;
            }
        }
    }
}

/// Rejects a broker that is seen to lose what it has confirmed. Not in dev, where the start should be fast: there a node
/// reports it later.
///
/// # Errors
/// What to change on the broker.
pub async fn refuse_lossy(publisher: &dyn Publisher, app_env: AppEnv) -> Result<(), QueueError> {
    match app_env {
        AppEnv::Dev => Ok(()),
        AppEnv::Prod => match watch_broker(publisher).await {
            Err(error @ QueueError::Rejected(_)) => Err(error),
            // It may be available again soon.
            Ok(()) | Err(QueueError::Unavailable(_) | QueueError::Unknown(_)) => Ok(()),
        },
    }
}

/// The configured cache, shared only by nodes that record in the same database.
pub fn open_cache(config: &Config) -> Option<Arc<dyn ResultCache>> {
    let url = config.cache.as_ref()?;
    Some(cache::open(url, Namespace::of(&config.database.to_string())))
}

/// Rejects a database whose settings could lose an accepted ballot; in dev it only logs a warning.
async fn refuse_unsafe(database: &dyn Database, app_env: AppEnv) -> anyhow::Result<()> {
    let settings = database.unsafe_settings().await?;
    match app_env {
        AppEnv::Prod if !settings.is_empty() => {
            bail!("the database could lose accepted ballots: {}", settings.join("; "))
        }
        AppEnv::Prod | AppEnv::Dev => {
            for setting in settings {
                warn!("the database could lose accepted ballots: {setting}");
            }
            Ok(())
        }
    }
}

/// Creates the demo poll, with this `slug`, if there is no poll at all.
///
/// # Errors
/// Those of the store.
pub async fn create_demo_poll(store: &dyn Store, slug: &Slug, clock: &dyn Clock) -> Result<Option<Poll>, StoreError> {
    if !store.latest_slugs(1).await?.is_empty() {
        return Ok(None);
    }
    let poll = store.create_poll(NewPoll::demo(slug.clone(), clock.now()), &Author::THRONG).await?;
    info!(poll = %poll.slug, "demo poll created");
    Ok(Some(poll))
}
