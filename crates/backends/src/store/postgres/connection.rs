//! Connections, and how long anybody waits for one or for what is asked over it.
//!
//! A connection is kept for the next caller only after an answer that left nothing open on it. In every other case, an
//! error, a deadline, a caller that went away, it is closed, and the server undoes what wasn't committed.

use std::fmt;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgRow, PgSslMode};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};
use tokio::runtime::{self, Handle};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout};

use super::super::{ServerUrl, Tls, TlsMode};
use super::error::{StoreResult, commit_error, late, read_error};
use super::settings;

/// How long making a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// How long reading may take, or writing up to the commit, the making of a connection included.
pub(super) const WORK_MAX: Duration = Duration::from_secs(5);

/// How long a commit may take, and what is read together with it.
pub(super) const COMMIT_MAX: Duration = Duration::from_secs(4);

/// How long an idle connection is taken to be alive. One that was idle for longer is asked first.
const TRUSTED: Duration = Duration::from_millis(500);

/// How long an idle connection has to answer that it is alive.
const ALIVE_MAX: Duration = Duration::from_secs(1);

/// The connections of one store that may be in use at once; who comes later waits.
const CONNECTIONS_MAX: usize = 16;

/// The idle connections kept.
const IDLE_MAX: usize = 8;

/// All connections of one store.
pub(super) struct Connections {
    options: PgConnectOptions,
    idle: Mutex<Vec<Idle>>,
    in_use: Semaphore,
}

/// A connection that nobody uses.
///
/// The runtime that it was made in reads and writes for it, and only while that runtime runs. So a connection is used
/// in its own runtime alone: the recorder's would stand still in the hands of a server core.
struct Idle {
    connection: PgConnection,
    runtime: runtime::Id,
    since: Instant,
}

/// A connection in use. Dropped, it is closed.
pub(super) struct Lease<'a> {
    pub(super) connection: PgConnection,
    home: &'a Connections,
    _permit: SemaphorePermit<'a>,
}

impl Connections {
    /// None yet: they are made where they are used.
    pub(super) fn new(url: &ServerUrl) -> Self {
        let options = PgConnectOptions::new_without_pgpass()
            .host(&url.host)
            .port(url.port)
            .username(&url.user)
            .password(&url.password)
            .database(&url.name)
            .application_name("throng")
            // Nobody reads floating-point numbers here, and PgBouncer refuses a connection that sets this.
            .extra_float_digits(None)
            .disable_statement_logging();
        let options = with_tls(options, &url.tls);
        Self { options, idle: Mutex::new(Vec::new()), in_use: Semaphore::new(CONNECTIONS_MAX) }
    }

    /// What `query` answers.
    pub(super) async fn read<T>(
        &self,
        query: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> StoreResult<T> {
        self.ask(query).await.map_err(read_error)
    }

    /// What `query` answers, or its error as it came.
    pub(super) async fn ask<T>(
        &self,
        query: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> sqlx::Result<T> {
        let asked = async {
            let mut lease = self.lease().await?;
            let answer = query(&mut lease.connection).await?;
            lease.keep();
            Ok(answer)
        };
        within(WORK_MAX, asked).await
    }

    /// Does `change` in a transaction of its own. If it fails, nothing happened.
    pub(super) async fn write<T>(
        &self,
        change: impl AsyncFnOnce(&mut PgConnection) -> StoreResult<T>,
    ) -> StoreResult<T> {
        let changed = async {
            let mut lease = self.lease().await.map_err(read_error)?;
            simple_query(&mut lease.connection, settings::BEGIN).await.map_err(read_error)?;
            let value = change(&mut lease.connection).await?;
            Ok((lease, value))
        };
        let changed = timeout(WORK_MAX, changed).await.map_err(|_| read_error(late()));
        let (mut lease, value) = changed.flatten()?;
        let commit = simple_query(&mut lease.connection, "COMMIT");
        within(COMMIT_MAX, commit).await.map_err(commit_error)?;
        lease.keep();
        Ok(value)
    }

    /// A connection that is alive, as far as one can know.
    pub(super) async fn lease(&self) -> sqlx::Result<Lease<'_>> {
        let permit = self.in_use.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?;
        let connection = match self.kept().await {
            Some(connection) => connection,
            None => within(CONNECT_MAX, self.connect()).await?,
        };
        Ok(Lease { connection, home: self, _permit: permit })
    }

    /// The connection of this runtime that was used last, if it is alive. Where one is dead the others are too.
    async fn kept(&self) -> Option<PgConnection> {
        let Idle { mut connection, since, .. } = {
            let mut idle = self.idle();
            let here = Handle::current().id();
            let last = idle.iter().rposition(|idle| idle.runtime == here)?;
            idle.remove(last)
        };
        if since.elapsed() < TRUSTED {
            return Some(connection);
        }
        let alive = within(ALIVE_MAX, connection.ping()).await.is_ok();
        if !alive {
            self.idle().clear();
        }
        alive.then_some(connection)
    }

    async fn connect(&self) -> sqlx::Result<PgConnection> {
        self.options.connect().await
    }

    /// The user who logs in.
    pub(super) fn user(&self) -> &str {
        self.options.get_username()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease<'_> {
    /// Gives the connection back for the next one who asks: there is no transaction, and every answer was read.
    pub(super) fn keep(self) {
        let Self { connection, home, .. } = self;
        let mut idle = home.idle();
        if idle.len() == IDLE_MAX {
            idle.remove(0);
        }
        idle.push(Idle { connection, runtime: Handle::current().id(), since: Instant::now() });
    }
}

/// Without the options, which hold a password.
impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("idle", &self.idle().len()).finish_non_exhaustive()
    }
}

fn with_tls(options: PgConnectOptions, tls: &Tls) -> PgConnectOptions {
    let options = match tls.mode {
        None => options,
        Some(TlsMode::Disable) => options.ssl_mode(PgSslMode::Disable),
        Some(TlsMode::Prefer) => options.ssl_mode(PgSslMode::Prefer),
        Some(TlsMode::NoVerify) => options.ssl_mode(PgSslMode::Require),
        Some(TlsMode::VerifyCa) => options.ssl_mode(PgSslMode::VerifyCa),
        Some(TlsMode::VerifyFull) => options.ssl_mode(PgSslMode::VerifyFull),
    };
    match &tls.root_certificate {
        Some(file) => options.ssl_root_cert(file),
        None => options,
    }
}

/// Does `work`, or gives it up after `at_most`.
pub(super) async fn within<T>(at_most: Duration, work: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    timeout(at_most, work).await.unwrap_or_else(|_| Err(late()))
}

/// A statement with placeholders.
pub(super) type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, PgArguments>;

/// Runs statements without placeholders in one round trip, and returns the rows of all of them.
pub(super) async fn simple_query(connection: &mut PgConnection, sql: &str) -> sqlx::Result<Vec<PgRow>> {
    connection.fetch_all(sql).await
}
