//! A running server, until it has stopped.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use throng_backends::queue::Depth;
use throng_backends::store;
use throng_domain::queue::{Messages, Publisher, QueueError, ResultSubscriber};
use throng_domain::store::StoreError;
use throng_domain::waits_for::WaitsFor;
use tracing::{error, info, warn};

use super::anomaly_watch::watch_anomalies;
use super::clock_watch::ClockWatch;
use super::database_clock::DatabaseClock;
use super::poll_ends::PollEnds;
use crate::intake::{BallotQueue, IntakeFailure, PublishLoop, RecorderThread};
use crate::net::{Background, Cores, Shutdown, Tls};
use crate::sched::cpu_latency;
use crate::state::App;
use crate::telemetry::log_rate_limiter::LogRateLimiter;

/// The interval between checks for polls that another process, such as `throng poll close`, has changed.
const POLLS_RELOAD_EVERY: Duration = Duration::from_millis(100);

/// The interval between readings of the shows.
const SHOWS_RELOAD_EVERY: Duration = Duration::from_secs(1);

/// The interval between checks for messages to webhooks.
const WEBHOOKS_EVERY: Duration = Duration::from_millis(500);

/// The interval between checks of the broker's queues.
const DEPTH_EVERY: Duration = Duration::from_secs(5);

/// A running server.
#[derive(Debug)]
pub struct Server {
    pub(super) app: Arc<App>,
    pub(super) cores: Cores,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) ballot_queues: Vec<Arc<BallotQueue>>,
    pub(super) record_mode: RecordMode,
    /// The clock that the server follows, if that isn't this machine's.
    pub(super) database_clock: Option<DatabaseClock>,
    pub(super) depth: Option<Depth>,
    pub(super) _claim: Option<store::Claim>,
}

/// How ballots from the ballot queues are recorded.
#[derive(Debug)]
pub(super) enum RecordMode {
    /// This process records them.
    Local(RecorderThread),
    /// Workers record them, and send the results to the nodes.
    Workers { publish_loops: Vec<Arc<PublishLoop>>, result_subscriber: Box<dyn ResultSubscriber> },
}

impl Server {
    /// The address on which the server listens.
    pub fn address(&self) -> SocketAddr {
        self.cores.address
    }

    /// The state that all cores share.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Serves until `stop` completes or ballots can't be recorded any more; then responds to the requests it has accepted,
    /// records the ballots it has admitted, and returns.
    ///
    /// # Errors
    /// The failure that ended it, if `stop` didn't.
    pub async fn run_until(mut self, stop: impl Future<Output = ()>) -> Result<(), IntakeFailure> {
        let app = &self.app;
        let until_shut_down = async {
            tokio::select! {
                () = stop => info!("shutting down"),
                () = app.intake_failed.cancelled() => close_all(&self.ballot_queues),
            }
            app.shutdown.run().await;
        };
        let publisher = match &self.record_mode {
            RecordMode::Local(_) => None,
            RecordMode::Workers { publish_loops, .. } => {
                publish_loops.first().map(|publish_loop| Arc::clone(&publish_loop.publisher))
            }
        };
        // These run during the shutdown too, so that requests that still arrive are handled with current polls and time.
        tokio::select! {
            () = until_shut_down => {}
            never = reload_polls_regularly(app) => match never {},
            never = mark_ends_regularly(app, &self.ballot_queues) => match never {},
            never = follow_clock(self.database_clock.as_ref()) => match never {},
            never = app.polls.keep_refreshing(&app.source) => match never {},
            never = receive_results(app, &mut self.record_mode) => match never {},
            never = measure_queue(app, self.depth.as_ref(), publisher.as_deref()) => match never {},
            never = keep_certificate_current(self.tls.as_ref()) => match never {},
            never = keep_awake(app, &self.ballot_queues) => match never {},
            never = forget_networks(app) => match never {},
            never = app.code_checks.keep_checking(&*app.source.store, &*app.clock) => match never {},
            never = watch_anomalies(app) => match never {},
            never = send_to_webhooks(app) => match never {},
            never = reload_shows_regularly(app) => match never {},
        }
        close_all(&self.ballot_queues);
        // Publish loops that still publish need this runtime: it runs the connection that monitors whether the broker is
        // available.
        let cores = self.cores;
        if let Err(error) = tokio::task::spawn_blocking(move || cores.join()).await {
            std::panic::resume_unwind(error.into_panic());
        }
        // Read before the recorder finishes, since that cancels it too.
        let failed = self.app.intake_failed.is_cancelled();
        match self.record_mode {
            RecordMode::Local(recorder) => recorder.finish()?,
            // Publish loops have finished before their cores.
            RecordMode::Workers { .. } => {}
        }
        if failed { Err(IntakeFailure::Fault) } else { Ok(()) }
    }
}

impl RecordMode {
    /// The background work that dispatches or publishes this core's ballots until the shutdown has ended, and the publisher
    /// where workers record.
    pub(super) fn on_core(
        &self,
        number: usize,
        ballot_queue: &Arc<BallotQueue>,
        shutdown: &Arc<Shutdown>,
    ) -> (Background, Option<Arc<dyn Publisher>>) {
        let (ballot_queue, shutdown) = (Arc::clone(ballot_queue), Arc::clone(shutdown));
        match self {
            Self::Local(recorder) => {
                let recorder = recorder.thread();
                let dispatch = async move {
                    tokio::select! {
                        () = ballot_queue.run_dispatch(recorder) => {}
                        () = shutdown.ended() => {}
                    }
                };
                (Box::pin(dispatch), None)
            }
            Self::Workers { publish_loops, .. } => {
                let publish_loop = Arc::clone(&publish_loops[number]);
                let publisher = Arc::clone(&publish_loop.publisher);
                (Box::pin(async move { publish_loop.run_until(shutdown.ended()).await }), Some(publisher))
            }
        }
    }
}

fn close_all(ballot_queues: &[Arc<BallotQueue>]) {
    ballot_queues.iter().for_each(|ballot_queue| ballot_queue.close());
}

/// Reads the polls that have changed. Beside the marks of their ends, which wait for ballots that are being recorded: a close has to
/// be heard in time.
async fn reload_polls_regularly(app: &App) -> Infallible {
    let mut tick = tick_of_polls();
    let (log_limiter, mut watch) = (LogRateLimiter::new(1), ClockWatch::default());
    let whose = if app.config.database.is_shared() { "the database's" } else { "this machine's" };
    loop {
        tick.tick().await;
        watch.check(&*app.clock, whose);
        log_failure(app, app.polls.reload(&app.source).await, &log_limiter);
    }
}

/// Stores the ends of polls.
async fn mark_ends_regularly(app: &App, ballot_queues: &[Arc<BallotQueue>]) -> Infallible {
    let (mut tick, log_limiter) = (tick_of_polls(), LogRateLimiter::new(1));
    let mut ends = PollEnds::new(app, ballot_queues);
    loop {
        tick.tick().await;
        let marked = ends.mark_due().await;
        let reloaded = if matches!(marked, Ok(true)) { app.polls.reload(&app.source).await } else { Ok(()) };
        log_failure(app, marked.and(reloaded), &log_limiter);
    }
}

/// Reads the shows, which other processes may change.
async fn reload_shows_regularly(app: &App) -> Infallible {
    let log_limiter = LogRateLimiter::new(1);
    let mut tick = tokio::time::interval(SHOWS_RELOAD_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if let Err(error) = app.shows.reload(&*app.source.store).await
            && let Some(unlogged) = log_limiter.take(app.clock.now())
        {
            warn!(%error, unlogged, "shows can't be read; the known ones are still served");
        }
    }
}

/// Tells webhooks what has happened to polls.
async fn send_to_webhooks(app: &App) -> Infallible {
    let log_limiter = LogRateLimiter::new(1);
    let mut tick = tokio::time::interval(WEBHOOKS_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        match app.webhooks.send_due().await {
            Ok(()) => {}
            Err(error @ StoreError::WriteFailed(_)) => {
                error!(%error, "what webhooks were told can't be stored; no more ballots are recorded");
                app.intake_failed.cancel();
            }
            Err(error) => {
                if let Some(unlogged) = log_limiter.take(app.clock.now()) {
                    warn!(%error, unlogged, "webhooks can't be read; their messages are sent later");
                }
            }
        }
    }
}

fn tick_of_polls() -> tokio::time::Interval {
    let mut tick = tokio::time::interval(POLLS_RELOAD_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    tick
}

/// Logs that the store failed; if it can't be written any more, no ballot is recorded from now on.
fn log_failure(app: &App, done: Result<(), StoreError>, log_limiter: &LogRateLimiter) {
    let Err(error) = done else { return };
    if matches!(error, StoreError::WriteFailed(_)) {
        error!(%error, "a poll's end can't be stored; no more ballots are recorded");
        app.intake_failed.cancel();
    } else if let Some(unlogged) = log_limiter.take(app.clock.now()) {
        warn!(
            %error,
            unlogged,
            "polls can't be read, or their ends can't be stored; the known polls are still served"
        );
    }
}

async fn follow_clock(clock: Option<&DatabaseClock>) -> Infallible {
    match clock {
        Some(clock) => clock.keep_following().await,
        None => std::future::pending().await,
    }
}

/// Measures how many messages wait for workers, and logs problems. Web nodes do this, since there may be no worker left.
async fn measure_queue(app: &App, depth: Option<&Depth>, publisher: Option<&dyn Publisher>) -> Infallible {
    let Some(depth) = depth else { return std::future::pending().await };
    let mut last = Messages { ballots: 0, dead: 0, consumers: 1 };
    let mut tick = tokio::time::interval(DEPTH_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let messages = depth.messages().await;
        app.set_queues(messages);
        app.metrics.on_closing(closing(app), WaitsFor::of(messages));
        let is_unusable = publisher.is_some_and(|it| matches!(it.refusal(), Err(QueueError::Rejected(_))));
        app.metrics.on_queues(messages, is_unusable);
        if let Some(messages) = messages {
            log_change(last, messages);
            last = messages;
        }
    }
}

/// The number of polls that have closed and have no final result yet.
fn closing(app: &App) -> usize {
    app.polls.closing(app.clock.now()).len()
}

/// Logs each change that needs an operator's attention, once.
fn log_change(before: Messages, now: Messages) {
    if now.dead > before.dead {
        error!(
            messages = now.dead,
            "new messages are in the dead letter queue, and their ballots don't count; see `throng dead list`"
        );
    }
    match (before.consumers, now.consumers) {
        (1.., 0) => warn!(
            messages = now.ballots,
            "no worker consumes the queue: ballots stay on it and are not counted; start `throng worker`"
        ),
        (0, 1..) => info!("a worker consumes the queue"),
        (0, 0) | (1.., 1..) => {}
    }
}

async fn keep_certificate_current(tls: Option<&Arc<Tls>>) -> Infallible {
    match tls {
        Some(tls) => Arc::clone(tls).keep_current().await,
        None => std::future::pending().await,
    }
}

async fn keep_awake(app: &App, ballot_queues: &[Arc<BallotQueue>]) -> Infallible {
    if !app.config.keep_awake {
        return std::future::pending().await;
    }
    cpu_latency::limit_while_crowd(|| ballot_queues.iter().map(|ballot_queue| ballot_queue.admitted()).sum()).await
}

async fn forget_networks(app: &App) -> Infallible {
    match &app.network_limit {
        Some(limit) => limit.keep_forgetting().await,
        None => std::future::pending().await,
    }
}

/// Publishes the results that workers send.
async fn receive_results(app: &App, record_mode: &mut RecordMode) -> Infallible {
    let RecordMode::Workers { result_subscriber, .. } = record_mode else { return std::future::pending().await };
    loop {
        let received = result_subscriber.next().await;
        app.metrics.results.received.inc();
        for tallies in received {
            app.polls.publish(tallies, app.clock.now());
        }
    }
}
