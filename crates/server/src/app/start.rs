//! A server's start: its parts are opened, waited for where they are away, and put together.

use std::cell::RefCell;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use throng_backends::queue::{self, MessageKey};
use throng_domain::cache::ResultCache;
use throng_domain::clock::{Clock, SteadyClock, SystemClock};
use throng_domain::queue::Publisher;
use throng_domain::store::Store;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::database_clock::DatabaseClock;
use super::entrance::{Entrance, cant_serve};
use super::server::{RecordMode, Server};
use super::{
    App, Broker, CoreState, Parts, StartupWait, cant_use, create_demo_poll, open_cache, open_database, refuse_lossy,
};
use crate::config::{AppEnv, Config};
use crate::http::{self, Dependency, Front};
use crate::intake::{
    BALLOTS_WAITING_MAX, BallotIds, BallotQueue, BatchFailureLog, PublishLoop, Recorder, RecorderThread,
};
use crate::metrics::{HttpMetrics, Metrics};
use crate::results::{LivePolls, Origin};
use crate::serve::{self, Beside, Tls};

impl Server {
    /// Opens the database and, where they are configured, the broker and the cache, and serves on `cores` threads. While the
    /// database or the broker is away it waits, for as long as `WAIT` says, and answers that it isn't ready.
    ///
    /// Polls are judged by the clock of the database's server, or where the database is a file by this machine's; a test may
    /// give another `clock`.
    ///
    /// # Errors
    /// If one of them, the address or a thread can't be had.
    pub async fn start(config: Config, clock: Option<Arc<dyn Clock>>, cores: usize) -> anyhow::Result<Self> {
        // Before a database is made for a server that can't serve.
        serve::ensure_descriptors(cores)?;
        serve::find_free(config.listen).with_context(|| cant_serve(config.listen))?;
        // Who records claims the database.
        let claim = if config.queue.is_none() {
            config.database.claim().with_context(|| format!("can't serve {}", config.database))?
        } else {
            None
        };
        let machine = clock.clone().unwrap_or_else(|| Arc::new(SystemClock));
        let wait = StartupWait::new(&config, &machine);
        let Frame { config, ballot_queues, metrics, tls, entrance } =
            Frame::new(config, &machine, cores, BALLOTS_WAITING_MAX, &wait.missing())?;
        let entrance = RefCell::new(entrance);
        let on_away = || answer_meanwhile(&mut entrance.borrow_mut());
        let key = config.queue.as_ref().map(|_| config.message_key()).transpose()?;
        let open = async || open_database(&config, claim.as_ref()).await;
        let connect = async || connect_broker(&config, key.as_ref(), cores).await;
        // At the same time: whichever comes back last, the other is there by then.
        let (store, broker) =
            tokio::try_join!(wait.until_available(&on_away, open), wait.until_available(&on_away, connect))?;
        let database_clock = if clock.is_none() && config.database.is_shared() {
            let ask = async || Ok(DatabaseClock::start(Arc::clone(&store)).await?);
            Some(wait.until_available(&on_away, ask).await?)
        } else {
            None
        };
        let clock = clock.or_else(|| database_clock.as_ref().map(DatabaseClock::clock));
        let clock = clock.unwrap_or_else(|| Arc::new(SteadyClock::new()));
        // Without a broker each server looks for the others' ballots itself, and more often.
        let cache = config.queue.as_ref().and_then(|_| open_cache(&config));
        let origin = origin(&config, &clock, &metrics, store, cache);
        let load = async || {
            note_queue(&*origin.store, broker.as_ref()).await?;
            load_polls(&config, &origin).await
        };
        let polls = wait.until_available(&on_away, load).await?;
        let depth = config.queue.as_ref().map(|url| queue::depth(url, &config.queue_prefix.0));
        let frame = Frame { config, ballot_queues, metrics, tls, entrance: entrance.into_inner() };
        Ok(Self { _claim: claim, database_clock, depth, ..frame.complete(origin, polls, broker)? })
    }

    /// Serves with these parts, whatever the configuration names.
    ///
    /// # Errors
    /// If the certificate or the store can't be read, or the address or a thread can't be had.
    pub async fn start_with(config: Config, parts: Parts) -> anyhow::Result<Self> {
        let Parts { store, clock, cores, ballots_waiting_max, broker, cache } = parts;
        let missing = watch::Sender::new(Dependency::Store).subscribe();
        let frame = Frame::new(config, &clock, cores, ballots_waiting_max, &missing)?;
        let origin = origin(&frame.config, &clock, &frame.metrics, store, cache);
        note_queue(&*origin.store, broker.as_ref()).await?;
        let polls = load_polls(&frame.config, &origin).await?;
        frame.complete(origin, polls, broker)
    }
}

/// What there is of a server before its database and broker are there.
struct Frame {
    config: Config,
    ballot_queues: Vec<Arc<BallotQueue>>,
    metrics: Metrics,
    tls: Option<Arc<Tls>>,
    entrance: Entrance,
}

impl Frame {
    /// `clock` is the machine's: answers have its date.
    fn new(
        config: Config,
        clock: &Arc<dyn Clock>,
        cores: usize,
        ballots_waiting_max: usize,
        missing: &watch::Receiver<Dependency>,
    ) -> anyhow::Result<Self> {
        let tls = config.tls.clone().map(Tls::open).transpose()?.map(Arc::new);
        let ballot_queues: Vec<_> = (0..cores).map(|_| BallotQueue::new(ballots_waiting_max / cores)).collect();
        let metrics = Metrics::new(&ballot_queues);
        let entrance = Entrance::new(&config, clock, &metrics.http, tls.clone(), missing);
        Ok(Self { config, ballot_queues, metrics, tls, entrance })
    }

    fn complete(self, origin: Origin, polls: LivePolls, broker: Option<Broker>) -> anyhow::Result<Server> {
        let Self { config, ballot_queues, metrics, tls, entrance } = self;
        let app = Arc::new(App {
            shutdown: Arc::clone(entrance.shutdown()),
            ballot_ids: Mutex::new(BallotIds::new(rand::random())),
            receipts: config.receipt_key()?,
            config,
            clock: Arc::clone(&origin.clock),
            origin,
            polls: Arc::new(polls),
            metrics,
            intake_failed: CancellationToken::new(),
            writable: Arc::new(AtomicBool::new(true)),
            behind_broker: broker.is_some(),
            queues: Mutex::default(),
        });
        let record_mode = match broker {
            Some(Broker { publishers, result_subscriber, .. }) => RecordMode::Workers {
                publish_loops: publish_loops(&app, &ballot_queues, publishers),
                result_subscriber,
            },
            None => RecordMode::Local(start_recorder(&app, &ballot_queues)?),
        };
        let cores = entrance.open(fronts(&app, &ballot_queues, &record_mode))?;
        Ok(Server { app, cores, tls, ballot_queues, record_mode, database_clock: None, depth: None, _claim: None })
    }
}

/// The configured broker, if there is one.
async fn connect_broker(config: &Config, key: Option<&MessageKey>, cores: usize) -> anyhow::Result<Option<Broker>> {
    let (Some(url), Some(key)) = (&config.queue, key) else { return Ok(None) };
    let connecting = queue::connect_server(url, &config.queue_prefix.0, key.clone(), cores);
    let queue::ServerSides { queue, publishers, result_subscriber } =
        connecting.await.with_context(|| cant_use(url))?;
    if let Some(publisher) = publishers.first() {
        refuse_lossy(&**publisher, config.app_env).await.with_context(|| cant_use(url))?;
    }
    Ok(Some(Broker { queue, publishers, result_subscriber }))
}

/// Has requests answered while something is waited for.
fn answer_meanwhile(entrance: &mut Entrance) -> anyhow::Result<()> {
    if let Some(address) = entrance.listen()? {
        info!("not ready yet; /livez and /readyz are answered on {address}");
    }
    Ok(())
}

fn origin(
    config: &Config,
    clock: &Arc<dyn Clock>,
    metrics: &Metrics,
    store: Arc<dyn Store>,
    cache: Option<Arc<dyn ResultCache>>,
) -> Origin {
    let (life_ms, metrics) = (config.cache_life_ms, Arc::clone(&metrics.results));
    Origin { store, clock: Arc::clone(clock), cache, life_ms, metrics }
}

/// Before the first ballot goes there, it is noted which queue it goes to: none is final until that is recorded.
async fn note_queue(store: &dyn Store, broker: Option<&Broker>) -> anyhow::Result<()> {
    if let Some(Broker { queue, .. }) = broker {
        store.add_queue(queue).await?;
    }
    Ok(())
}

/// The polls to serve; in dev, with the demo poll if there is none.
async fn load_polls(config: &Config, origin: &Origin) -> anyhow::Result<LivePolls> {
    if config.app_env == AppEnv::Dev {
        create_demo_poll(&*origin.store, &config.default_poll, &*origin.clock).await?;
    }
    let polls = LivePolls::load(config.default_poll.clone(), origin).await?;
    if polls.current().default_poll().is_none() {
        warn!(poll = %config.default_poll, "there is no such poll yet, or it is a draft; make it with `throng poll create`, open it with `throng poll open`");
    }
    Ok(polls)
}

fn start_recorder(app: &App, ballot_queues: &[Arc<BallotQueue>]) -> anyhow::Result<RecorderThread> {
    let recorder = Recorder {
        ballot_queues: ballot_queues.to_vec(),
        store: Arc::clone(&app.origin.store),
        polls: Arc::clone(&app.polls),
        clock: Arc::clone(&app.clock),
        metrics: Arc::clone(&app.metrics.intake),
        failure_log: Arc::default(),
        database_log: app.metrics.database_log.clone(),
        writable: Arc::clone(&app.writable),
        failed: app.intake_failed.clone(),
    };
    recorder.start().context("the recorder's thread can't be started")
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

/// Each core's front, and what carries its ballots.
fn fronts(app: &Arc<App>, ballot_queues: &[Arc<BallotQueue>], record_mode: &RecordMode) -> Vec<(Front, Beside)> {
    let front = |(number, metrics): (usize, &Arc<HttpMetrics>)| {
        let ballot_queue = Arc::clone(&ballot_queues[number]);
        let (carries, publisher) = record_mode.on_core(number, &ballot_queue, &app.shutdown);
        let failed = app.intake_failed.clone();
        let (app, metrics) = (Arc::clone(app), Arc::clone(metrics));
        let core = Arc::new(CoreState { app, ballot_queue: Arc::clone(&ballot_queue), metrics, publisher });
        let beside: Beside = Box::pin(async move {
            let unless_ended = AbortOnDrop(Some((ballot_queue, failed)));
            carries.await;
            unless_ended.ended();
        });
        (Front::new(http::router(Arc::clone(&core)), core), beside)
    };
    app.metrics.http.iter().enumerate().map(front).collect()
}

/// Stops the server when a core's dispatch or publish loop ends early, since that core answers no vote any more, and fails the
/// ballots that wait in its queue.
struct AbortOnDrop(Option<(Arc<BallotQueue>, CancellationToken)>);

impl AbortOnDrop {
    fn ended(mut self) {
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
