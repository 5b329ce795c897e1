//! A server, from its start to its end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use throng_backends::queue::rabbitmq::Depth;
use throng_backends::{queue, store};
use throng_domain::clock::Clock;
use throng_domain::queue::{Announcements, Publisher};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::awake::keep_processors_awake;
use super::{App, Broker, CoreState, Parts, cant_use, create_demo_poll, open_cache, open_database};
use crate::allowance::Allowance;
use crate::config::{AppEnv, Config};
use crate::http::{self, Front};
use crate::intake::{BALLOTS_WAITING_MAX, BallotIds, Complaints, Courier, Desk, Failed, Recorder, RecorderThread};
use crate::metrics::{HttpMetrics, Metrics};
use crate::results::{LivePolls, Origin};
use crate::serve::{self, Beside, Core, Cores, Listen, Shutdown, Tls};

/// How often it is looked whether another process, such as `throng poll close`, changed a poll.
const POLLS_REFRESH: Duration = Duration::from_millis(250);

/// How often the broker is asked how much waits.
const DEPTH_REFRESH: Duration = Duration::from_secs(5);

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    app: Arc<App>,
    cores: Cores,
    tls: Option<Arc<Tls>>,
    desks: Vec<Arc<Desk>>,
    counting: Counting,
    depth: Option<Depth>,
    _claim: Option<store::Claim>,
}

/// Who takes the ballots from the desks.
#[derive(Debug)]
enum Counting {
    /// This process records them.
    Here(RecorderThread),
    /// Workers do, and announce what they counted.
    ByWorkers { couriers: Vec<Arc<Courier>>, announcements: Box<dyn Announcements> },
}

impl Server {
    /// Opens the database and, where they are configured, the broker and the cache, and serves on `cores` threads.
    ///
    /// # Errors
    /// If one of them, the address or a thread can't be had.
    pub async fn start(config: Config, clock: Arc<dyn Clock>, cores: usize) -> anyhow::Result<Self> {
        // Before a database is made for a server that can't serve.
        serve::find_free(config.listen).with_context(|| cant_serve(config.listen))?;
        // Who records claims the database.
        let claim = if config.queue.is_none() {
            config.database.claim().with_context(|| format!("can't serve {}", config.database))?
        } else {
            None
        };
        let store = open_database(&config, claim.as_ref()).await?;
        let broker = match &config.queue {
            Some(url) => {
                let connecting = queue::connect_server(url, &config.queue_prefix.0, config.message_key()?, cores);
                let (publishers, announcements) = connecting.await.with_context(|| cant_use(url))?;
                Some(Broker { publishers, announcements })
            }
            None => None,
        };
        // Without a broker each server looks for the others' ballots itself, and more often.
        let cache = config.queue.as_ref().and_then(|_| open_cache(&config));
        let ballots_waiting_max = BALLOTS_WAITING_MAX;
        let parts = Parts { store, clock, cores, ballots_waiting_max, broker, cache };
        let depth = config.queue.as_ref().map(|url| queue::depth(url, &config.queue_prefix.0));
        Ok(Self { _claim: claim, depth, ..Self::start_with(config, parts).await? })
    }

    /// Serves with these parts, whatever the configuration names.
    ///
    /// # Errors
    /// If the certificate or the store can't be read, or the address or a thread can't be had.
    pub async fn start_with(config: Config, parts: Parts) -> anyhow::Result<Self> {
        let Parts { store, clock, cores, ballots_waiting_max, broker, cache } = parts;
        let tls = config.tls.clone().map(Tls::open).transpose()?.map(Arc::new);
        if config.app_env == AppEnv::Dev {
            create_demo_poll(&*store, &config.default_poll, &*clock).await?;
        }
        let desks: Vec<_> = (0..cores).map(|_| Desk::new(ballots_waiting_max / cores)).collect();
        let metrics = Metrics::new(&desks);
        let (life_ms, measured) = (config.cache_life_ms, Arc::clone(&metrics.results));
        let origin = Origin { store, clock: Arc::clone(&clock), cache, life_ms, metrics: measured };
        let polls = Arc::new(LivePolls::load(config.default_poll.clone(), &origin).await?);
        if polls.current().default_poll().is_none() {
            warn!(poll = %config.default_poll, "there is no such poll yet, or it is a draft; make it with `throng poll create`, open it with `throng poll open`");
        }
        let intake_failed = CancellationToken::new();
        let app = Arc::new(App {
            shutdown: Arc::new(Shutdown::default()),
            ballot_ids: Mutex::new(BallotIds::new(rand::random())),
            config,
            clock,
            origin,
            polls,
            metrics,
            intake_failed,
            writable: Arc::new(AtomicBool::new(true)),
            behind_broker: broker.is_some(),
        });
        let counting = match broker {
            Some(Broker { publishers, announcements }) => {
                Counting::ByWorkers { couriers: couriers(&app, &desks, publishers), announcements }
            }
            None => Counting::Here(start_recorder(&app, &desks)?),
        };
        let cores = start_cores(&app, &desks, &counting, tls.clone())?;
        Ok(Self { app, cores, tls, desks, counting, depth: None, _claim: None })
    }

    /// The address served on.
    pub fn address(&self) -> SocketAddr {
        self.cores.address
    }

    /// What all cores share.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Serves until `stop` is done or ballots can't be made safe any more; then answers what was accepted, makes safe
    /// what was admitted, and returns.
    ///
    /// # Errors
    /// What ended it, if that wasn't `stop`.
    pub async fn run_until(mut self, stop: impl Future<Output = ()>) -> Result<(), Failed> {
        let app = &self.app;
        let to_the_end = async {
            tokio::select! {
                () = stop => info!("shutting down"),
                () = app.intake_failed.cancelled() => self.desks.iter().for_each(|desk| desk.close()),
            }
            app.shutdown.run().await;
        };
        // Those who still come are judged and answered by what is true now.
        tokio::select! {
            () = to_the_end => {}
            never = keep_polls_fresh(app) => match never {},
            never = app.polls.keep_renewing(&app.origin) => match never {},
            never = hear(app, &mut self.counting) => match never {},
            never = measure_queue(app, self.depth.as_ref()) => match never {},
            never = keep_certificate_current(self.tls.as_ref()) => match never {},
            never = keep_awake(app, &self.desks) => match never {},
        }
        self.desks.iter().for_each(|desk| desk.close());
        // What couriers still publish needs this runtime: it looks after the connection that knows whether the broker is there.
        let cores = self.cores;
        if let Err(error) = tokio::task::spawn_blocking(move || cores.join()).await {
            std::panic::resume_unwind(error.into_panic());
        }
        // A recorder that finishes cancels it as well.
        let failed = self.app.intake_failed.is_cancelled();
        match self.counting {
            Counting::Here(recorder) => recorder.finish()?,
            // Couriers finish before their cores do.
            Counting::ByWorkers { .. } => {}
        }
        if failed { Err(Failed::Fault) } else { Ok(()) }
    }
}

impl Counting {
    /// What carries ballots from this core's desk until the shutdown has ended, and where they go if that is a broker.
    fn on_core(
        &self,
        number: usize,
        desk: &Arc<Desk>,
        shutdown: &Arc<Shutdown>,
    ) -> (Beside, Option<Arc<dyn Publisher>>) {
        let (desk, shutdown) = (Arc::clone(desk), Arc::clone(shutdown));
        match self {
            Self::Here(recorder) => {
                let recorder = recorder.thread();
                let carries = async move {
                    tokio::select! {
                        () = desk.carry(recorder) => {}
                        () = shutdown.ended() => {}
                    }
                };
                (Box::pin(carries), None)
            }
            Self::ByWorkers { couriers, .. } => {
                let courier = Arc::clone(&couriers[number]);
                let publisher = Arc::clone(&courier.publisher);
                (Box::pin(async move { courier.carry_until(shutdown.ended()).await }), Some(publisher))
            }
        }
    }
}

fn start_recorder(app: &App, desks: &[Arc<Desk>]) -> anyhow::Result<RecorderThread> {
    let recorder = Recorder {
        desks: desks.to_vec(),
        store: Arc::clone(&app.origin.store),
        polls: Arc::clone(&app.polls),
        clock: Arc::clone(&app.clock),
        metrics: Arc::clone(&app.metrics.intake),
        complaints: Arc::default(),
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

fn start_cores(
    app: &Arc<App>,
    desks: &[Arc<Desk>],
    counting: &Counting,
    tls: Option<Arc<Tls>>,
) -> anyhow::Result<Cores> {
    let core = |(number, metrics): (usize, &Arc<HttpMetrics>)| {
        let desk = Arc::clone(&desks[number]);
        let (carries, publisher) = counting.on_core(number, &desk, &app.shutdown);
        let failed = app.intake_failed.clone();
        let (connections, unsent_bytes) = (metrics.connections.clone(), metrics.unsent_bytes.clone());
        let (app, metrics) = (Arc::clone(app), Arc::clone(metrics));
        let core = Arc::new(CoreState { app, desk: Arc::clone(&desk), metrics, publisher });
        Core {
            connections,
            unsent_bytes,
            service: Front::new(http::router(Arc::clone(&core)), core),
            beside: Box::pin(async move {
                let unless_ended = Unless(Some((desk, failed)));
                carries.await;
                unless_ended.ended();
            }),
        }
    };
    let listen = Listen { address: app.config.listen, tls };
    let cores = app.metrics.http.iter().enumerate().map(core).collect();
    Cores::start(&listen, cores, http::refusal_body, &app.clock, Arc::clone(&app.shutdown))
        .with_context(|| cant_serve(listen.address))
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

fn cant_serve(address: SocketAddr) -> String {
    format!("can't serve on {address}; is something else running there? Set LISTEN")
}

async fn keep_polls_fresh(app: &App) -> Infallible {
    let mut tick = tokio::time::interval(POLLS_REFRESH);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let complaints = Allowance::new(1);
    loop {
        tick.tick().await;
        if let Err(error) = app.polls.refresh(&app.origin).await
            && let Some(unlogged) = complaints.take(app.clock.now())
        {
            warn!(%error, unlogged, "polls can't be read; those known are served on");
        }
    }
}

/// Measures how much waits for workers. Web nodes do, since there may be no worker left to.
async fn measure_queue(app: &App, depth: Option<&Depth>) -> Infallible {
    let Some(depth) = depth else { return std::future::pending().await };
    let mut tick = tokio::time::interval(DEPTH_REFRESH);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        app.metrics.on_queues(depth.messages().await);
    }
}

async fn keep_certificate_current(tls: Option<&Arc<Tls>>) -> Infallible {
    match tls {
        Some(tls) => Arc::clone(tls).keep_current().await,
        None => std::future::pending().await,
    }
}

async fn keep_awake(app: &App, desks: &[Arc<Desk>]) -> Infallible {
    if app.config.keep_awake { keep_processors_awake(desks).await } else { std::future::pending().await }
}

/// Takes in the results that workers announce.
async fn hear(app: &App, counting: &mut Counting) -> Infallible {
    let Counting::ByWorkers { announcements, .. } = counting else { return std::future::pending().await };
    loop {
        let heard = announcements.next().await;
        app.metrics.results.heard.inc();
        for tallies in heard {
            app.polls.publish(tallies, app.clock.now());
        }
    }
}
