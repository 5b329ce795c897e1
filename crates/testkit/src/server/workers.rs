//! What stands between a test's server and its database where `THRONG_TEST_ROUTES_BEHIND` says so: a real broker with a
//! worker behind it (`broker`), and a real cache beside (`broker+cache`).

use std::env;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use throng::app::{open_cache, open_database};
use throng::config::Config;
use throng::telemetry::metrics::WorkerMetrics;
use throng::worker::{Consumer, ResultBroadcaster};
use throng_backends::queue;
use throng_domain::clock::Clock;
use throng_domain::queue::QueueError;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::environment::variable;
use crate::wait::{WAIT_MAX, eventually_async};

/// What a server is told, beside its own address and database.
pub fn settings() -> Vec<(&'static str, String)> {
    let behind = env::var("THRONG_TEST_ROUTES_BEHIND").ok();
    let cache = match behind.as_deref() {
        None => return Vec::new(),
        Some("broker") => false,
        Some("broker+cache") => true,
        Some(other) => panic!("THRONG_TEST_ROUTES_BEHIND is broker or broker+cache, not {other}"),
    };
    let name = format!("t{:032x}", rand::random::<u128>());
    let queue = format!("{}/%2f", variable("THRONG_TEST_RABBITMQ_URL"));
    let mut settings = vec![("QUEUE_URL", queue), ("QUEUE_PREFIX", name.clone()), ("APP_SECRET", name)];
    if cache {
        settings.push(("CACHE_URL", variable("THRONG_TEST_MEMCACHED_URL")));
    }
    settings
}

/// A worker in this process.
pub struct TestWorker {
    metrics: WorkerMetrics,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl TestWorker {
    /// One for what this configuration names, whose queue and schema a server has made.
    pub fn start(config: &Config, clock: Arc<dyn Clock>) -> Self {
        let (config, metrics, stop) = (config.clone(), WorkerMetrics::new(&clock), CancellationToken::new());
        let (line, told, stopped) = (metrics.consumer(), Arc::clone(&metrics.broadcaster), stop.clone());
        let (ready, is_ready) = mpsc::channel();
        let work = move || async move {
            let (url, prefix) = (config.queue.as_ref().unwrap(), &config.queue_prefix.0);
            let key = config.message_key().unwrap();
            // A broker that is busy with many tests' queues may fail to declare one in time, as it may in operation.
            let result_publisher = eventually_async("a connection for results", async || {
                available(queue::connect_result_publisher(url, prefix, key.clone()).await)
            })
            .await;
            let deliveries = eventually_async("a connection for ballots", async || {
                available(queue::connect_worker(url, prefix, key.clone(), Arc::clone(&clock)).await)
            })
            .await;
            let broadcaster =
                Arc::new(ResultBroadcaster::new(result_publisher, open_cache(&config), Arc::clone(&clock), told));
            let recording = Consumer {
                deliveries,
                store: open_database(&config, None).await.unwrap(),
                broadcaster: Arc::clone(&broadcaster),
                rounds: watch::Sender::default().subscribe(),
                metrics: line,
                stop: stopped.clone(),
            };
            ready.send(()).unwrap();
            let (recorded, ()) = tokio::join!(recording.run(), broadcaster.run(&stopped));
            recorded.unwrap();
        };
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let thread = std::thread::spawn(move || runtime().block_on(work()));
        is_ready.recv_timeout(WAIT_MAX).expect("the worker starts");
        Self { metrics, stop, thread: Some(thread) }
    }

    /// How many ballots it has recorded, whatever came of them.
    pub fn recorded(&self) -> u64 {
        sum(&self.metrics.text(), "throng_worker_ballots_total{")
    }
}

impl Drop for TestWorker {
    fn drop(&mut self) {
        self.stop.cancel();
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

/// The connection; none if the broker is unavailable at the moment.
fn available<T>(connected: Result<T, QueueError>) -> Option<T> {
    match connected {
        Ok(connection) => Some(connection),
        Err(QueueError::Unavailable(_)) => None,
        Err(error) => panic!("{error}"),
    }
}

/// The sum of a counter's samples in a text of metrics; `name` is what their lines begin with.
pub fn sum(metrics: &str, name: &str) -> u64 {
    let samples = metrics.lines().filter(|line| line.starts_with(name));
    samples.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}
