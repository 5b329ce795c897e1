//! The whole server, wired: the only place where parts are put together.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use throng_backends::store::{self, Claim};
use throng_domain::ballot::BallotId;
use throng_domain::clock::{Clock, Timestamp};
use throng_domain::new_poll::NewPoll;
use throng_domain::poll::{Poll, Slug};
use throng_domain::store::{Database, Store, StoreError};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::{AppEnv, Config};
use crate::http::{self, Front};
use crate::intake::{BALLOTS_WAITING_MAX, BallotIds, Desk, Recorder, RecorderThread, WriteFailure};
use crate::metrics::{HttpMetrics, Metrics};
use crate::results::LivePolls;
use crate::serve::{Core, Cores, Shutdown};

/// How often it is looked whether another process, such as `throng poll close`, changed a poll.
const POLLS_REFRESH: Duration = Duration::from_millis(250);

/// What all cores share.
#[derive(Debug)]
pub struct App {
    /// The configuration.
    pub config: Config,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where ballots are kept.
    pub store: Arc<dyn Store>,
    /// The polls served, with their results.
    pub polls: Arc<LivePolls>,
    /// What is measured.
    pub metrics: Metrics,
    /// The end, in steps.
    pub shutdown: Arc<Shutdown>,
    /// Cancelled when ballots can't be recorded any more.
    pub recorder_failed: CancellationToken,
    /// Shared by all cores, so that their ids ascend together: the index that they go to grows at its end.
    ballot_ids: Mutex<BallotIds>,
}

impl App {
    /// An id for a ballot that came without one.
    pub fn next_ballot_id(&self, now: Timestamp) -> BallotId {
        self.ballot_ids.lock().unwrap_or_else(PoisonError::into_inner).next(now)
    }
}

/// What one core has to itself, beside what all share.
#[derive(Debug)]
pub struct CoreState {
    /// What all share.
    pub app: Arc<App>,
    /// Where this core's ballots wait.
    pub desk: Arc<Desk>,
    /// What this core's HTTP measures.
    pub metrics: Arc<HttpMetrics>,
}

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    app: Arc<App>,
    cores: Cores,
    desks: Vec<Arc<Desk>>,
    recorder: RecorderThread,
    _claim: Option<Claim>,
}

/// What a server is put together from, beside its configuration.
#[derive(Debug)]
pub struct Parts {
    /// Where ballots are kept, its schema up to date.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How many threads serve.
    pub cores: usize,
    /// How many ballots may wait for the disk at once.
    pub ballots_waiting_max: usize,
}

impl Server {
    /// Opens the database, brings its schema up to date, and serves on `cores` threads.
    ///
    /// # Errors
    /// If the database, the address or a thread can't be had.
    pub async fn start(config: Config, clock: Arc<dyn Clock>, cores: usize) -> anyhow::Result<Self> {
        let claim = config.database.claim()?;
        let database =
            store::open(&config.database).await.with_context(|| format!("can't open {}", config.database))?;
        for migration in database.migrate().await? {
            info!(migration, "schema migrated");
        }
        refuse_unsafe(&*database, config.app_env).await?;
        let parts = Parts { store: database, clock, cores, ballots_waiting_max: BALLOTS_WAITING_MAX };
        Ok(Self { _claim: claim, ..Self::start_with(config, parts).await? })
    }

    /// Serves with these parts, whatever database the configuration names.
    ///
    /// # Errors
    /// If the store can't be read, or the address or a thread can't be had.
    pub async fn start_with(config: Config, parts: Parts) -> anyhow::Result<Self> {
        let Parts { store, clock, cores, ballots_waiting_max } = parts;
        if config.app_env == AppEnv::Dev {
            create_demo_poll(&*store, &config.default_poll, &*clock).await?;
        }
        let polls = Arc::new(LivePolls::load(config.default_poll.clone(), &*store, &*clock).await?);
        if polls.current().default_poll().is_none() {
            warn!(poll = %config.default_poll, "there is no such poll yet; make it with `throng poll create`");
        }

        let desks: Vec<_> = (0..cores).map(|_| Desk::new(ballots_waiting_max / cores)).collect();
        let metrics = Metrics::new(&desks);
        let recorder_failed = CancellationToken::new();
        let recorder = Recorder {
            desks: desks.clone(),
            store: Arc::clone(&store),
            polls: Arc::clone(&polls),
            clock: Arc::clone(&clock),
            metrics: Arc::clone(&metrics.intake),
            failed: recorder_failed.clone(),
        };
        let recorder = recorder.start().context("the recorder's thread can't be started")?;
        let shutdown = Arc::new(Shutdown::default());
        let listen = config.listen;
        let ballot_ids = Mutex::new(BallotIds::new(rand::random()));
        let app = Arc::new(App { config, clock, store, polls, metrics, shutdown, recorder_failed, ballot_ids });

        let cores = desks.iter().zip(&app.metrics.http).map(|(desk, metrics)| {
            let core =
                Arc::new(CoreState { app: Arc::clone(&app), desk: Arc::clone(desk), metrics: Arc::clone(metrics) });
            let (desk, recorder) = (Arc::clone(desk), recorder.thread());
            let failed = app.recorder_failed.clone();
            Core {
                connections: metrics.connections.clone(),
                service: Front::new(http::router(Arc::clone(&core)), core),
                beside: Box::pin(async move {
                    // Without its porter a core answers no vote.
                    let _end = failed.drop_guard();
                    desk.carry(recorder).await;
                }),
            }
        });
        let shutdown = Arc::clone(&app.shutdown);
        let cores = Cores::start(listen, cores.collect(), http::refusal_body, &app.clock, shutdown)
            .with_context(|| format!("can't serve on {listen}; is something else running there? Set LISTEN"))?;
        Ok(Self { app, cores, desks, recorder, _claim: None })
    }

    /// The address served on.
    pub fn address(&self) -> SocketAddr {
        self.cores.address
    }

    /// What all cores share.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Serves until `stop` is done or ballots can't be recorded any more; then answers what was accepted, records
    /// what was admitted, and returns.
    ///
    /// # Errors
    /// The failed write, if one ended it.
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> Result<(), WriteFailure> {
        tokio::select! {
            () = stop => info!("shutting down"),
            () = self.app.recorder_failed.cancelled() => {}
            never = keep_polls_fresh(&self.app) => match never {},
        }
        self.app.shutdown.run().await;
        self.desks.iter().for_each(|desk| desk.close());
        self.cores.join();
        self.recorder.finish()
    }
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

async fn keep_polls_fresh(app: &App) -> std::convert::Infallible {
    let mut tick = tokio::time::interval(POLLS_REFRESH);
    loop {
        tick.tick().await;
        if let Err(error) = app.polls.refresh(&*app.store, &*app.clock).await {
            warn!(%error, "polls can't be read; those known are served on");
        }
    }
}

/// Makes the demo poll, named `slug`, if there is no poll at all.
pub(crate) async fn create_demo_poll(
    store: &dyn Store,
    slug: &Slug,
    clock: &dyn Clock,
) -> Result<Option<Poll>, StoreError> {
    if !store.polls().await?.is_empty() {
        return Ok(None);
    }
    let poll = store.create_poll(NewPoll::demo(slug.clone(), clock.now())).await?;
    info!(poll = %poll.slug, "demo poll created");
    Ok(Some(poll))
}
