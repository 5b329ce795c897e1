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
use super::server::{Counting, Server};
use super::{
    App, Broker, CoreState, Parts, StartupWait, cant_use, create_demo_poll, open_cache, open_database, refuse_lossy,
};
use crate::config::{AppEnv, Config};
use crate::http::{self, Dependency, Front};
use crate::intake::{BALLOTS_WAITING_MAX, BallotIds, Complaints, Courier, Desk, Recorder, RecorderThread};
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
        let Frame { config, desks, metrics, tls, entrance } =
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
        let frame = Frame { config, desks, metrics, tls, entrance: entrance.into_inner() };
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
    desks: Vec<Arc<Desk>>,
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
        let desks: Vec<_> = (0..cores).map(|_| Desk::new(ballots_waiting_max / cores)).collect();
        let metrics = Metrics::new(&desks);
        let entrance = Entrance::new(&config, clock, &metrics.http, tls.clone(), missing);
        Ok(Self { config, desks, metrics, tls, entrance })
    }

    fn complete(self, origin: Origin, polls: LivePolls, broker: Option<Broker>) -> anyhow::Result<Server> {
        let Self { config, desks, metrics, tls, entrance } = self;
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
        let counting = match broker {
            Some(Broker { publishers, announcements, .. }) => {
                Counting::ByWorkers { couriers: couriers(&app, &desks, publishers), announcements }
            }
            None => Counting::Here(start_recorder(&app, &desks)?),
        };
        let cores = entrance.open(fronts(&app, &desks, &counting))?;
        Ok(Server { app, cores, tls, desks, counting, database_clock: None, depth: None, _claim: None })
    }
}

/// The configured broker, if there is one.
async fn connect_broker(config: &Config, key: Option<&MessageKey>, cores: usize) -> anyhow::Result<Option<Broker>> {
    let (Some(url), Some(key)) = (&config.queue, key) else { return Ok(None) };
    let connecting = queue::connect_server(url, &config.queue_prefix.0, key.clone(), cores);
    let queue::ServerSides { queue, publishers, announcements } = connecting.await.with_context(|| cant_use(url))?;
    if let Some(publisher) = publishers.first() {
        refuse_lossy(&**publisher, config.app_env).await.with_context(|| cant_use(url))?;
    }
    Ok(Some(Broker { queue, publishers, announcements }))
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

fn start_recorder(app: &App, desks: &[Arc<Desk>]) -> anyhow::Result<RecorderThread> {
    let recorder = Recorder {
        desks: desks.to_vec(),
        store: Arc::clone(&app.origin.store),
        polls: Arc::clone(&app.polls),
        clock: Arc::clone(&app.clock),
        metrics: Arc::clone(&app.metrics.intake),
        complaints: Arc::default(),
        database_log: app.metrics.database_log.clone(),
        writable: Arc::clone(&app.writable),
        failed: app.intake_failed.clone(),
    };
    recorder.start().context("the recorder's thread can't be started")
}

fn couriers(app: &App, desks: &[Arc<Desk>], publishers: Vec<Arc<dyn Publisher>>) -> Vec<Arc<Courier>> {
    let complaints: Arc<Complaints> = Arc::default();
    let courier = |(desk, publisher): (&Arc<Desk>, Arc<dyn Publisher>)| Courier {
        desk: Arc::clone(desk),
        publisher,
        polls: Arc::clone(&app.polls),
        metrics: Arc::clone(&app.metrics.intake),
        clock: Arc::clone(&app.clock),
        complaints: Arc::clone(&complaints),
    };
    desks.iter().zip(publishers).map(|parts| Arc::new(courier(parts))).collect()
}

/// Each core's front, and what carries its ballots.
fn fronts(app: &Arc<App>, desks: &[Arc<Desk>], counting: &Counting) -> Vec<(Front, Beside)> {
    let front = |(number, metrics): (usize, &Arc<HttpMetrics>)| {
        let desk = Arc::clone(&desks[number]);
        let (carries, publisher) = counting.on_core(number, &desk, &app.shutdown);
        let failed = app.intake_failed.clone();
        let (app, metrics) = (Arc::clone(app), Arc::clone(metrics));
        let core = Arc::new(CoreState { app, desk: Arc::clone(&desk), metrics, publisher });
        let beside: Beside = Box::pin(async move {
            let unless_ended = Unless(Some((desk, failed)));
            carries.await;
            unless_ended.ended();
        });
        (Front::new(http::router(Arc::clone(&core)), core), beside)
    };
    app.metrics.http.iter().enumerate().map(front).collect()
}

/// Sees to a core whose porter or courier doesn't come to its end: it answers no vote any more, so the server ends, and
/// nobody is left waiting at its desk.
struct Unless(Option<(Arc<Desk>, CancellationToken)>);

impl Unless {
    fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Unless {
    fn drop(&mut self) {
        if let Some((desk, failed)) = self.0.take() {
            failed.cancel();
            desk.abandon();
        }
    }
}
