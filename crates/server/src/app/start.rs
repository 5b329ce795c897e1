//! A server's start: opens its parts, waits for those that are unavailable, and connects them.

use std::cell::RefCell;
use std::hash::RandomState;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use throng_backends::queue::{self, MessageKey};
use throng_domain::cache::ResultCache;
use throng_domain::clock::{Clock, SteadyClock, SystemClock};
use throng_domain::queue::Publisher;
use throng_domain::store::Store;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::database_clock::DatabaseClock;
use super::listener::{Listener, cant_serve};
use super::server::{RecordMode, Server};
use super::{BrokerClients, Parts, StartupWait, cant_use, create_demo_poll, open_cache, open_database, refuse_lossy};
use crate::access::AdminAccess;
use crate::anomaly::AnomalyMonitor;
use crate::config::{AppEnv, Config};
use crate::http::{self, Gateway};
use crate::intake::{
    AdmissionCollector, BALLOTS_WAITING_MAX, BallotIds, BallotQueue, BatchFailureLog, CodeChecks, NetworkLimit,
    PublishLoop, Recorder, RecorderThread,
};
use crate::net::{self, Background, Tls};
use crate::results::{LivePolls, LiveShows, ResultSource};
use crate::state::{App, CoreState, Dependency, EXPORTS_MAX, LookUps};
use crate::telemetry::metrics::{HttpMetrics, Metrics};
use crate::webhooks::{SEND_MAX, WebhookClient, WebhookSender};

impl Server {
    /// Opens the database and, where they are configured, the broker and the cache, and serves on `cores` threads. While the
    /// database or the broker is unavailable it waits, for at most `WAIT`, and responds that it isn't ready.
    ///
    /// Polls open and close by the clock of the database's server, or by this machine's where the database is a file; a test
    /// may pass another `clock`.
    ///
    /// # Errors
    /// If one of them can't be opened, the address can't be bound, or a thread can't be created.
    pub async fn start(config: Config, clock: Option<Arc<dyn Clock>>, cores: usize) -> anyhow::Result<Self> {
        // Before a database is created for a server that can't serve.
        net::ensure_descriptors(cores)?;
        net::find_free(config.listen).with_context(|| cant_serve(config.listen))?;
        // A process that records claims the database.
        let claim = if config.queue.is_none() {
            config.database.claim().with_context(|| format!("can't serve {}", config.database))?
        } else {
            None
        };
        let machine = clock.clone().unwrap_or_else(|| Arc::new(SystemClock));
        let wait = StartupWait::new(&config, &machine);
        let Frame { config, ballot_queues, metrics, tls, listener } =
            Frame::new(config, &machine, cores, BALLOTS_WAITING_MAX, &wait.missing())?;
        let listener = RefCell::new(listener);
        let on_unavailable = || listen_meanwhile(&mut listener.borrow_mut());
        let key = config.queue.as_ref().map(|_| config.message_key()).transpose()?;
        let open = async || open_database(&config, claim.as_ref()).await;
        let connect = async || connect_broker(&config, key.as_ref(), cores).await;
        // Concurrently: once the last of them is available, the other one is connected already.
        let (store, broker) = tokio::try_join!(
            wait.until_available(&on_unavailable, open),
            wait.until_available(&on_unavailable, connect)
        )?;
        let database_clock = if clock.is_none() && config.database.is_shared() {
            let start = async || Ok(DatabaseClock::start(Arc::clone(&store)).await?);
            Some(wait.until_available(&on_unavailable, start).await?)
        } else {
            None
        };
        let clock = clock.or_else(|| database_clock.as_ref().map(DatabaseClock::clock));
        let clock = clock.unwrap_or_else(|| Arc::new(SteadyClock::new()));
        // No cache without a broker: each server then checks for the others' ballots itself, and more often.
        let cache = config.queue.as_ref().and_then(|_| open_cache(&config));
        let source = source(&config, &clock, &metrics, store, cache);
        let load = async || {
            register_queue(&*source.store, broker.as_ref()).await?;
            load_polls(&config, &source).await
        };
        let polls = wait.until_available(&on_unavailable, load).await?;
        let depth = config.queue.as_ref().map(|url| queue::depth(url, &config.queue_prefix.0));
        let frame = Frame { config, ballot_queues, metrics, tls, listener: listener.into_inner() };
        Ok(Self { _claim: claim, database_clock, depth, ..frame.complete(source, polls, broker)? })
    }

    /// Serves with these parts instead of the configured ones.
    ///
    /// # Errors
    /// If the certificate or the store can't be read, the address can't be bound, or a thread can't be created.
    pub async fn start_with(config: Config, parts: Parts) -> anyhow::Result<Self> {
        let Parts { store, clock, cores, ballots_waiting_max, broker, cache } = parts;
        let missing = watch::Sender::new(Dependency::Store).subscribe();
        let frame = Frame::new(config, &clock, cores, ballots_waiting_max, &missing)?;
        let source = source(&frame.config, &clock, &frame.metrics, store, cache);
        register_queue(&*source.store, broker.as_ref()).await?;
        let polls = load_polls(&frame.config, &source).await?;
        frame.complete(source, polls, broker)
    }
}

/// The parts of a server that exist before its database and broker are available.
struct Frame {
    config: Config,
    ballot_queues: Vec<Arc<BallotQueue>>,
    metrics: Metrics,
    tls: Option<Arc<Tls>>,
    listener: Listener,
}

impl Frame {
    /// `clock` is the machine's: responses have its date.
    fn new(
        config: Config,
        clock: &Arc<dyn Clock>,
        cores: usize,
        ballots_waiting_max: usize,
        missing: &watch::Receiver<Dependency>,
    ) -> anyhow::Result<Self> {
        let tls = config.tls.clone().map(Tls::open).transpose()?.map(Arc::new);
        let ballot_queues: Vec<_> = (0..cores).map(|_| BallotQueue::new(ballots_waiting_max / cores)).collect();
        let metrics = Metrics::new(cores, Box::new(AdmissionCollector(ballot_queues.clone())));
        let listener = Listener::new(&config, clock, &metrics.http, tls.clone(), missing);
        Ok(Self { config, ballot_queues, metrics, tls, listener })
    }

    fn complete(self, source: ResultSource, polls: LivePolls, broker: Option<BrokerClients>) -> anyhow::Result<Server> {
        let Self { config, ballot_queues, metrics, tls, listener } = self;
        let limit = |votes| NetworkLimit::new(votes, Arc::clone(&source.clock), metrics.network_limit.clone());
        let polls = Arc::new(polls);
        let webhooks = WebhookSender::new(
            Arc::clone(&source.store),
            Arc::clone(&polls),
            Arc::clone(&source.clock),
            config.webhook_key()?,
            WebhookClient::new(config.webhook_hosts.clone(), SEND_MAX),
            metrics.webhooks.clone(),
        );
        let app = Arc::new(App {
            webhooks,
            shows: LiveShows::default(),
            shutdown: Arc::clone(listener.shutdown()),
            ballot_ids: Mutex::new(BallotIds::new(rand::random())),
            receipt_key: config.receipt_key()?,
            ballot_receipt_key: config.ballot_receipt_key()?,
            record_key: config.record_key()?,
            rehearsal_key: config.rehearsal_key()?,
            policy_key: config.policy_key()?,
            token_keys: config.token_keys()?,
            challenge_key: config.challenge_key()?,
            network_limit: config.votes_per_network.map(limit),
            code_checks: CodeChecks::default(),
            access: AdminAccess::new(Arc::clone(&source.store), Arc::clone(&source.clock)),
            anomalies: AnomalyMonitor::new(ballot_queues.len(), &RandomState::new(), metrics.anomaly.clone()),
            config,
            clock: Arc::clone(&source.clock),
            source,
            polls,
            metrics,
            intake_failed: CancellationToken::new(),
            writable: Arc::new(AtomicBool::new(true)),
            behind_broker: broker.is_some(),
            queues: Mutex::default(),
            recounts: Semaphore::new(1),
            exports: Arc::new(Semaphore::new(EXPORTS_MAX)),
            look_ups: LookUps::default(),
        });
        let record_mode = match broker {
            Some(BrokerClients { publishers, result_subscriber, .. }) => RecordMode::Workers {
                publish_loops: publish_loops(&app, &ballot_queues, publishers),
                result_subscriber,
            },
            None => RecordMode::Local(start_recorder(&app, &ballot_queues)?),
        };
        let cores = listener.open(gateways(&app, &ballot_queues, &record_mode))?;
        Ok(Server { app, cores, tls, ballot_queues, record_mode, database_clock: None, depth: None, _claim: None })
    }
}

/// Connects to the configured broker, if there is one.
async fn connect_broker(
    config: &Config,
    key: Option<&MessageKey>,
    cores: usize,
) -> anyhow::Result<Option<BrokerClients>> {
    let (Some(url), Some(key)) = (&config.queue, key) else { return Ok(None) };
    let connecting = queue::connect_server(url, &config.queue_prefix.0, key.clone(), cores);
    let queue::ServerSides { queue, publishers, result_subscriber } =
        connecting.await.with_context(|| cant_use(url))?;
    if let Some(publisher) = publishers.first() {
        refuse_lossy(&**publisher, config.app_env).await.with_context(|| cant_use(url))?;
    }
    Ok(Some(BrokerClients { queue, publishers, result_subscriber }))
}

/// Starts listening while the server waits for a dependency.
fn listen_meanwhile(listener: &mut Listener) -> anyhow::Result<()> {
    if let Some(address) = listener.listen()? {
        info!("not ready yet; /livez and /readyz are answered on {address}");
    }
    Ok(())
}

fn source(
    config: &Config,
    clock: &Arc<dyn Clock>,
    metrics: &Metrics,
    store: Arc<dyn Store>,
    cache: Option<Arc<dyn ResultCache>>,
) -> ResultSource {
    let (life_ms, metrics) = (config.cache_life_ms, Arc::clone(&metrics.results));
    ResultSource { store, clock: Arc::clone(clock), cache, life_ms, metrics }
}

/// Registers the queue before the first ballot is published to it: no result is final until its ballots are recorded.
async fn register_queue(store: &dyn Store, broker: Option<&BrokerClients>) -> anyhow::Result<()> {
    if let Some(BrokerClients { queue, .. }) = broker {
        store.add_queue(queue).await?;
    }
    Ok(())
}

/// Loads the polls to serve; in dev, creates the demo poll if there is no poll.
async fn load_polls(config: &Config, source: &ResultSource) -> anyhow::Result<LivePolls> {
    if config.app_env == AppEnv::Dev {
        create_demo_poll(&*source.store, &config.default_poll, &*source.clock).await?;
    }
    let polls = LivePolls::load(config.default_poll.clone(), source).await?;
    if polls.current().default_poll().is_none() {
        warn!(
            poll = %config.default_poll,
            "this poll doesn't exist yet, is a draft or is a rehearsal; create it with `throng poll create`, or open it with `throng poll \
             open`"
        );
    }
    Ok(polls)
}

fn start_recorder(app: &App, ballot_queues: &[Arc<BallotQueue>]) -> anyhow::Result<RecorderThread> {
    let recorder = Recorder {
        ballot_queues: ballot_queues.to_vec(),
        store: Arc::<dyn Store>::clone(&app.source.store),
        polls: Arc::clone(&app.polls),
        clock: Arc::clone(&app.clock),
        metrics: Arc::clone(&app.metrics.intake),
        failure_log: Arc::default(),
        database_log: app.metrics.database_log.clone(),
        writable: Arc::clone(&app.writable),
        failed: app.intake_failed.clone(),
    };
    recorder.start().context("the recorder thread can't be started")
}

fn publish_loops(
    app: &App,
    ballot_queues: &[Arc<BallotQueue>],
    publishers: Vec<Arc<dyn Publisher>>,
) -> Vec<Arc<PublishLoop>> {
    let failure_log: Arc<BatchFailureLog> = Arc::default();
    let publish_loop = |(ballot_queue, publisher): (&Arc<BallotQueue>, Arc<dyn Publisher>)| PublishLoop {
        ballot_queue: Arc::clone(ballot_queue),
        publisher,
        polls: Arc::clone(&app.polls),
        metrics: Arc::clone(&app.metrics.intake),
        clock: Arc::clone(&app.clock),
        failure_log: Arc::clone(&failure_log),
    };
    ballot_queues.iter().zip(publishers).map(|parts| Arc::new(publish_loop(parts))).collect()
}

/// Each core's gateway, and the background work that dispatches its ballots.
fn gateways(
    app: &Arc<App>,
    ballot_queues: &[Arc<BallotQueue>],
    record_mode: &RecordMode,
) -> Vec<(Gateway, Background)> {
    let gateway = |(number, metrics): (usize, &Arc<HttpMetrics>)| {
        let ballot_queue = Arc::clone(&ballot_queues[number]);
        let (dispatch, publisher) = record_mode.on_core(number, &ballot_queue, &app.shutdown);
        let failed = app.intake_failed.clone();
        let (app, metrics) = (Arc::clone(app), Arc::clone(metrics));
        let votes_noted = app.anomalies.buffer(number);
        let core =
            Arc::new(CoreState { app, ballot_queue: Arc::clone(&ballot_queue), votes_noted, metrics, publisher });
        let background: Background = Box::pin(async move {
            let abort_on_drop = AbortOnDrop(Some((ballot_queue, failed)));
            dispatch.await;
            abort_on_drop.disarm();
        });
        (Gateway::new(http::router(Arc::clone(&core)), core), background)
    };
    app.metrics.http.iter().enumerate().map(gateway).collect()
}

/// Stops the server when a core's dispatch or publish loop ends early, since that core no longer responds to votes, and fails
/// the ballots that wait in its queue.
struct AbortOnDrop(Option<(Arc<BallotQueue>, CancellationToken)>);

impl AbortOnDrop {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some((ballot_queue, failed)) = self.0.take() {
            failed.cancel();
            ballot_queue.close_and_fail();
        }
    }
}
