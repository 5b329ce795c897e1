//! A whole server in this process.

pub mod codes;
mod database;
mod gated_store;
pub mod polls;
mod workers;

use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use throng_domain::audit::Author;
use throng_domain::poll_change::PollChange;

use throng::app::{BrokerClients, Parts, Server};
use throng::config::{Config, Sources};
use throng::intake::IntakeFailure;
use throng::net::IdleTimeouts;
use throng::state::App;

use throng_backends::store::DatabaseUrl;
use throng_backends::store::sqlite::SqliteStore;
use throng_domain::clock::{Clock, ManualClock, Timestamp};
use throng_domain::new_poll::NewPoll;
use throng_domain::poll::Poll;
use throng_domain::store::{Database, Schema as _, Window};
use throng_domain::tally::Tallies;
use tokio::sync::oneshot;

pub use self::database::TestDatabase;
pub use self::gated_store::GatedStore;
use self::workers::TestWorker;
use crate::http::{Answer, Connection};
use crate::wait::{WAIT_MAX, eventually};

/// How long a test's broker may take to confirm a message.
const CONFIRM_MAX: Duration = Duration::from_secs(20);

/// The threads that a server of parts serves on.
pub const CORES: usize = 2;

/// When the servers' clock stands, unless a test moves it.
pub const NOW: Timestamp = Timestamp(4_102_444_800_000);

/// A server on a port of its own, with a database of its own and a clock that stands still.
pub struct TestServer {
    /// Where it serves.
    pub address: SocketAddr,
    /// Its clock, which stands still unless a test moves it.
    pub clock: Arc<ManualClock>,
    /// What its routes share.
    pub app: Arc<App>,
    /// Where it stands behind a broker. Dropped before the database.
    worker: Option<TestWorker>,
    /// Its database.
    pub database: TestDatabase,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), IntakeFailure>>>,
}

impl TestServer {
    /// A server with the demo poll.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// A server with these settings beside its own address and database.
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        let beside = workers::settings();
        let mut all: Vec<_> = beside.iter().map(|(name, value)| (*name, value.as_str())).collect();
        all.extend(settings);
        let mut server = Self::launch(TestDatabase::new(), &all, async |config, clock| {
            // On a busy machine a confirm may take longer than voters are to wait.
            let queue = config.queue.clone().map(|queue| queue.with_confirm_max(CONFIRM_MAX));
            Server::start(Config { queue, ..config }, Some(clock), 2).await
        });
        let clock: Arc<dyn Clock> = server.clock.clone();
        if server.app.config.queue.is_some() {
            server.worker = Some(TestWorker::start(&server.app.config, clock));
            // On a busy machine a node may lose the broker again just after its start.
            eventually("it is ready", || (server.get("/readyz").status == 200).then_some(()));
        }
        server
    }

    /// A server with these bounds of idle connections, and these settings beside its own.
    pub fn start_idle(idle: IdleTimeouts, settings: &[(&str, &str)]) -> Self {
        Self::launch(TestDatabase::file(), settings, async move |config, clock| {
            Server::start(Config { idle, ..config }, Some(clock), CORES).await
        })
    }

    /// A server whose store does what the test says, at whose ballot queues so many ballots may wait altogether.
    pub fn start_gated(ballots_waiting_max: usize) -> (Self, Arc<GatedStore>) {
        Self::start_gated_with(ballots_waiting_max, &[])
    }

    /// A server whose store does what the test says, with these settings beside its own address and database.
    pub fn start_gated_with(ballots_waiting_max: usize, settings: &[(&str, &str)]) -> (Self, Arc<GatedStore>) {
        Self::start_parts(ballots_waiting_max, None, settings)
    }

    /// A server behind this broker, with the store that workers are to record in.
    pub fn start_behind(broker: BrokerClients) -> (Self, Arc<GatedStore>) {
        Self::start_parts(1_000, Some(broker), &[])
    }

    fn start_parts(
        ballots_waiting_max: usize,
        broker: Option<BrokerClients>,
        settings: &[(&str, &str)],
    ) -> (Self, Arc<GatedStore>) {
        let (made, makes) = mpsc::channel();
        let server = Self::launch(TestDatabase::file(), settings, async move |config, clock| {
            let DatabaseUrl::Sqlite(path) = &config.database else { panic!("gated stores are SQLite's") };
            let sqlite = SqliteStore::open(path)?;
            sqlite.migrate().await?;
            let store = Arc::new(GatedStore::new(sqlite));
            made.send(Arc::clone(&store)).unwrap();
            let parts = Parts { store, clock, cores: CORES, ballots_waiting_max, broker, cache: None };
            Server::start_with(config, parts).await
        });
        (server, makes.recv().unwrap())
    }

    fn launch(
        database: TestDatabase,
        settings: &[(&str, &str)],
        start: impl AsyncFnOnce(Config, Arc<ManualClock>) -> anyhow::Result<Server> + Send + 'static,
    ) -> Self {
        let mut pairs = vec![("LISTEN", "127.0.0.1:0"), ("DATABASE_URL", &database.url)];
        pairs.extend(settings);
        let config = Config::read(&Sources::from_pairs(&pairs)).unwrap();
        let clock = Arc::new(ManualClock::new(NOW));
        let (started, starts) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let server_clock = Arc::clone(&clock);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let server = start(config, server_clock).await.unwrap();
                started.send((server.address(), Arc::clone(server.app()))).unwrap();
                server.run_until(async { stopped.await.unwrap_or(()) }).await
            })
        });
        let (address, app) = starts.recv_timeout(WAIT_MAX).expect("the server starts");
        Self { address, clock, app, database, worker: None, stop: Some(stop), thread: Some(thread) }
    }

    /// Creates a poll as another process does, on a handle of its own, and waits until the server has seen it; a draft is
    /// seen with the next poll that isn't one.
    pub fn create_poll(&self, poll: NewPoll) {
        let slug = poll.slug.clone();
        let created = self.database.with_store(async |store| store.create_poll(poll, &Author::THRONG).await.unwrap());
        if created.is_draft() {
            return;
        }
        eventually("the server sees the new poll", || self.poll(slug.as_str()));
    }

    /// Sets when a poll opens and closes, as another process does, and waits until the server has seen it.
    pub fn set_window(&self, slug: &str, opens_at: Option<Timestamp>, closes_at: Option<Timestamp>) {
        let window = Window { opens_at, closes_at };
        let name = slug.parse().unwrap();
        let changed = async |store: Arc<dyn Database>| {
            let poll = store.poll(&name).await.unwrap().unwrap();
            store.change_poll(poll.id, poll.version, PollChange::Window(window), &Author::THRONG).await.unwrap()
        };
        let version = self.database.with_store(changed).version;
        // It may have marked the poll as closed by then, which is a change too.
        eventually("the server sees the change", || self.poll(slug).filter(|poll| poll.version >= version));
    }

    /// Waits until it is stored that a poll's result is final; its state then. A database server judges that by its own clock,
    /// which is not this one's, and behind a broker it isn't certain while a worker runs: there the poll goes on closing.
    pub fn ended(&self, slug: &str) -> &'static str {
        if self.is_behind_a_broker() || self.app.config.database.is_shared() {
            return "closing";
        }
        eventually("its result is final", || self.poll(slug).filter(|poll| poll.final_at.is_some()));
        "final"
    }

    /// A poll as the server has it.
    fn poll(&self, slug: &str) -> Option<Poll> {
        self.app.polls.current().by_slug(slug).map(|live| live.poll.clone())
    }

    /// Whether ballots go to a broker first: then they are accepted, and counted soon after.
    pub fn is_behind_a_broker(&self) -> bool {
        self.worker.is_some()
    }

    /// Votes by the compatibility route; the result in its answer, or behind a broker the one it comes to.
    #[track_caller]
    pub fn vote(&self, body: &[u8]) -> String {
        let answer = self.post("/api/submit", body);
        assert_eq!(answer.status, 200, "{answer:?}");
        let answer = if self.is_behind_a_broker() { self.get("/api/result") } else { answer };
        answer.text().to_owned()
    }

    /// A vote by the compatibility route was answered with this result. Behind a broker its own ballot isn't in it yet.
    #[track_caller]
    pub fn assert_result(&self, answer: &Answer, result: &str) {
        assert_eq!(answer.status, 200, "{answer:?}");
        if !self.is_behind_a_broker() {
            assert_eq!(answer.text(), result);
        }
    }

    /// The status of a ballot that was taken.
    pub fn taken(&self) -> u16 {
        if self.is_behind_a_broker() { 202 } else { 201 }
    }

    /// Waits until every ballot that was accepted is recorded, and its tallies have come here.
    pub fn settle(&self) {
        let Some(worker) = &self.worker else { return };
        let accepted = || workers::sum(&self.app.metrics.text(), "throng_ballots_accepted_total");
        eventually("all is recorded", || (worker.recorded() >= accepted()).then_some(()));
        let stored = self.database.with_store(async |store| {
            let mut tallies = Vec::new();
            for poll in store.polls().await.unwrap() {
                tallies.push(store.tallies(poll.id).await.unwrap());
            }
            tallies
        });
        for Tallies { poll, seq, .. } in stored {
            let shown = || self.app.polls.latest(poll).is_none_or(|shown| shown.tallies.seq >= seq);
            eventually("the tallies are heard of", || shown().then_some(()));
        }
    }

    /// How many ballots the default poll's result counts.
    pub fn voters(&self) -> u64 {
        self.get("/api/v1/polls/demo/results").json()["voters"].as_u64().unwrap()
    }

    /// How many ballots the database has for the demo poll; fails where its tallies say otherwise.
    pub fn stored_voters(&self) -> u64 {
        self.settle();
        self.database.with_store(async |store| {
            let poll = store.poll(&"demo".parse().unwrap()).await.unwrap().unwrap();
            let recount = store.recount(poll.id).await.unwrap();
            assert!(recount.agrees(), "{recount:?}");
            recount.ballots.voters
        })
    }

    /// The sum of a metric's samples; `name` is what their lines begin with.
    pub fn metric(&self, name: &str) -> u64 {
        workers::sum(&self.app.metrics.text(), name)
    }

    /// Begins the shutdown; [`Self::join`] waits for its end.
    pub fn begin_stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }

    /// Stops the server and waits for its end.
    pub fn join(&mut self) {
        self.begin_stop();
        if self.thread.is_some() {
            self.end().unwrap();
        }
    }

    /// Waits for the server's end, without stopping it.
    pub fn end(&mut self) -> Result<(), IntakeFailure> {
        self.thread.take().expect("a server ends once").join().unwrap()
    }

    /// A new connection, whose answers have to be as the API is described.
    pub fn connect(&self) -> Connection {
        Connection::open(self.address).checked()
    }

    /// The answer to a GET, with everything in it that was accepted before.
    pub fn get(&self, path: &str) -> Answer {
        self.settle();
        self.connect().request("GET", path, &[], b"")
    }

    /// The answer to a POST of JSON.
    pub fn post(&self, path: &str, body: &[u8]) -> Answer {
        self.connect().request("POST", path, &[("content-type", "application/json")], body)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.join();
        }
    }
}
