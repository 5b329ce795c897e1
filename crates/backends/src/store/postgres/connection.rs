//! Connections, and how long callers wait for one or for the responses on it.
//!
//! A connection is kept for reuse only after a response that left nothing open on it. In every other case (an error, a
//! deadline, a caller that was dropped) it is closed, and the server rolls back what wasn't committed.

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
use super::error::{StoreResult, commit_error, read_error, timed_out};
use super::settings;

/// How long it may take to open a connection.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// How long a read may take, or a write up to the commit, including the opening of a connection.
pub(super) const WORK_MAX: Duration = Duration::from_secs(5);

/// How long a commit may take, together with what is read in the same request.
pub(super) const COMMIT_MAX: Duration = Duration::from_secs(4);

/// How long an idle connection is assumed to be alive. One that was idle for longer is checked first.
const IDLE_TRUSTED: Duration = Duration::from_millis(500);

/// How long an idle connection may take to respond to that check.
const PING_MAX: Duration = Duration::from_secs(1);

/// The connections of one store that may be in use at the same time; further callers wait.
const CONNECTIONS_MAX: usize = 16;

/// The idle connections kept.
const IDLE_MAX: usize = 8;

/// All connections of one store.
pub(super) struct Connections {
    options: PgConnectOptions,
    idle: Mutex<Vec<Idle>>,
    in_use: Semaphore,
}

/// An idle connection.
///
/// The runtime in which it was made does its reads and writes, and only while that runtime runs. So a connection is
/// used only in its own runtime: on a server core, one of the recorder's would make no progress.
struct Idle {
    connection: PgConnection,
    runtime: runtime::Id,
    since: Instant,
}

/// A connection in use. Dropped, it is closed.
pub(super) struct PooledConnection<'a> {
    pub(super) connection: PgConnection,
    connections: &'a Connections,
    _permit: SemaphorePermit<'a>,
}

impl Connections {
    /// No connection is opened yet: that happens where one is used.
    pub(super) fn new(url: &ServerUrl) -> Self {
        let options = PgConnectOptions::new_without_pgpass()
            .host(&url.host)
            .port(url.port)
            .username(&url.user)
            .password(&url.password)
            .database(&url.name)
            .application_name("throng")
            // No floating-point numbers are read here, and PgBouncer rejects a connection that sets this.
            .extra_float_digits(None)
            .disable_statement_logging();
        let options = with_tls(options, &url.tls);
        Self { options, idle: Mutex::new(Vec::new()), in_use: Semaphore::new(CONNECTIONS_MAX) }
    }

    /// The result of `query`.
    pub(super) async fn read<T>(
        &self,
        query: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> StoreResult<T> {
        self.read_raw(query).await.map_err(read_error)
    }

    /// The result of `query`, or its error unchanged.
    pub(super) async fn read_raw<T>(
        &self,
        query: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> sqlx::Result<T> {
        let read = async {
            let mut pooled = self.take().await?;
            let result = query(&mut pooled.connection).await?;
            pooled.release();
            Ok(result)
        };
        within(WORK_MAX, read).await
    }

    /// Applies `change` in a transaction of its own. If it fails, nothing happened.
    pub(super) async fn write<T>(
        &self,
        change: impl AsyncFnOnce(&mut PgConnection) -> StoreResult<T>,
    ) -> StoreResult<T> {
        let changed = async {
            let mut pooled = self.take().await.map_err(read_error)?;
            simple_query(&mut pooled.connection, settings::BEGIN).await.map_err(read_error)?;
            let value = change(&mut pooled.connection).await?;
            Ok((pooled, value))
        };
        let changed = timeout(WORK_MAX, changed).await.map_err(|_| read_error(timed_out()));
        let (mut pooled, value) = changed.flatten()?;
        let commit = simple_query(&mut pooled.connection, "COMMIT");
        within(COMMIT_MAX, commit).await.map_err(commit_error)?;
        pooled.release();
        Ok(value)
    }

    /// A connection that is alive, as far as is known.
    pub(super) async fn take(&self) -> sqlx::Result<PooledConnection<'_>> {
        let permit = self.in_use.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?;
        let connection = match self.take_idle().await {
            Some(connection) => connection,
            None => within(CONNECT_MAX, self.connect()).await?,
        };
        Ok(PooledConnection { connection, connections: self, _permit: permit })
    }

    /// The connection of this runtime that was used last, if it is alive. If it is dead, the others are too.
    async fn take_idle(&self) -> Option<PgConnection> {
        let Idle { mut connection, since, .. } = {
            let mut idle = self.idle();
            let runtime = Handle::current().id();
            let last = idle.iter().rposition(|idle| idle.runtime == runtime)?;
            idle.remove(last)
        };
        if since.elapsed() < IDLE_TRUSTED {
            return Some(connection);
        }
        let alive = within(PING_MAX, connection.ping()).await.is_ok();
        if !alive {
            self.idle().clear();
        }
        alive.then_some(connection)
    }

    async fn connect(&self) -> sqlx::Result<PgConnection> {
        self.options.connect().await
    }

    /// The user that logs in.
    pub(super) fn user(&self) -> &str {
        self.options.get_username()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PooledConnection<'_> {
    /// Returns the connection for reuse: no transaction is open, and every response was read.
    pub(super) fn release(self) {
        let Self { connection, connections, .. } = self;
        let mut idle = connections.idle();
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

/// Awaits `work` for `at_most` this long, and then fails.
pub(super) async fn within<T>(at_most: Duration, work: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    timeout(at_most, work).await.unwrap_or_else(|_| Err(timed_out()))
}

/// A statement with placeholders.
pub(super) type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, PgArguments>;

/// Runs statements without placeholders in one round trip, and returns the rows of all of them.
pub(super) async fn simple_query(connection: &mut PgConnection, sql: &str) -> sqlx::Result<Vec<PgRow>> {
    connection.fetch_all(sql).await
}
