//! Connections: each belongs to one operation at a time, and is reused only after an operation that succeeded.
//!
//! An operation may be aborted anywhere: by its deadline, or by a caller that drops it. A connection in the middle of an
//! operation can't be used again, so the operation owns it and closes it; the server then rolls back what wasn't committed.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlRow, MySqlSslMode};
use sqlx::{ConnectOptions as _, Connection as _, Error, Executor as _};
use tokio::runtime::{self, Handle};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::error::StoreResult;
use crate::store::{ServerUrl, Tls, TlsMode};

/// How long a query may take; of a recount, each page.
pub(super) const READ_MAX: Duration = Duration::from_secs(5);

/// How long to wait for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// The most connections in use at once, and the most idle ones.
const CONNECTIONS_MAX: usize = 32;

/// How long a connection may have been idle and be reused without a check whether it is still alive.
const IDLE_TRUSTED: Duration = Duration::from_secs(1);

/// How long to wait for the check whether a connection is still alive: short enough that a new one can be made in its place.
const PING_MAX: Duration = Duration::from_secs(1);

/// How long a connection is kept idle: less than the session's `wait_timeout`.
const IDLE_MAX: Duration = Duration::from_secs(9);

/// The settings of every connection, whatever the server's defaults are.
///
/// - Strict mode: a value that doesn't fit is an error, and isn't truncated.
/// - `READ COMMITTED`: an insert locks no gap between keys.
/// - Short waits for locks: below the deadlines here, so that the server responds before the connection is given up.
/// - `wait_timeout`: if this machine fails in the middle of a transaction, its locks are released after this many seconds.
const SESSION: &str = "SET sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00', autocommit = 1, \
                       completion_type = 'NO_CHAIN', unique_checks = 1, foreign_key_checks = 1, \
                       innodb_lock_wait_timeout = 3, lock_wait_timeout = 3, wait_timeout = 12, NAMES utf8mb4; \
                       SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE";

/// The connections of one store.
pub(super) struct Connections {
    options: MySqlConnectOptions,
    permits: Semaphore,
    idle: Mutex<Vec<Idle>>,
}

/// An idle connection. It depends on the runtime in which it was made, so only that runtime may use it again.
#[derive(Debug)]
struct Idle {
    runtime: runtime::Id,
    since: Instant,
    connection: MySqlConnection,
}

/// A connection in use by one operation. Dropped, it is closed.
#[derive(Debug)]
pub(super) struct PooledConnection<'a> {
    connections: &'a Connections,
    connection: MySqlConnection,
    _permit: SemaphorePermit<'a>,
}

impl Connections {
    pub(super) fn new(url: &ServerUrl) -> Self {
        let options = MySqlConnectOptions::new()
            .host(&url.host)
            .port(url.port)
            .username(&url.user)
            .database(&url.name)
            // All of these are set by `SESSION`, with one request instead of two.
            .pipes_as_concat(false)
            .no_engine_substitution(false)
            .timezone(None)
            .set_names(false)
            // A statement can be as long as a batch.
            .disable_statement_logging();
        let options = with_tls(options, &url.tls);
        let options = if url.password.is_empty() { options } else { options.password(&url.password) };
        Self { options, permits: Semaphore::new(CONNECTIONS_MAX), idle: Mutex::default() }
    }

    /// A connection of the current runtime: an idle one if it is still alive, or a new one.
    pub(super) async fn take(&self) -> sqlx::Result<PooledConnection<'_>> {
        let taken = async {
            let permit = self.permits.acquire().await.map_err(|_| Error::PoolClosed)?;
            let connection = match self.take_idle().await {
                Some(connection) => connection,
                None => self.connect().await?,
            };
            Ok(PooledConnection { connections: self, connection, _permit: permit })
        };
        within(CONNECT_MAX, taken).await.flatten()
    }

    async fn take_idle(&self) -> Option<MySqlConnection> {
        let runtime = Handle::current().id();
        let Idle { since, mut connection, .. } = {
            let mut idle = self.lock();
            let last = idle.iter().rposition(|idle| idle.runtime == runtime)?;
            idle.swap_remove(last)
        };
        if since.elapsed() <= IDLE_TRUSTED || within(PING_MAX, connection.ping()).await.flatten().is_ok() {
            return Some(connection);
        }
        self.close_idle();
        None
    }

    async fn connect(&self) -> sqlx::Result<MySqlConnection> {
        let mut connection = self.options.connect().await?;
        simple_query(&mut connection, SESSION).await?;
        Ok(connection)
    }

    /// Closes the idle connections of this runtime.
    fn close_idle(&self) {
        let runtime = Handle::current().id();
        self.lock().retain(|idle| idle.runtime != runtime);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without the options, which hold the password.
impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("idle", &self.lock().len()).finish_non_exhaustive()
    }
}

impl PooledConnection<'_> {
    /// Ends an operation that, if it succeeded, left no transaction open: then the connection is kept for reuse.
    pub(super) fn end<T>(self, result: StoreResult<T>) -> StoreResult<T> {
        match &result {
            Ok(_) => self.release(),
            // If one connection failed, the server was restarted or replaced: the idle ones have failed too.
            Err(error) if error.is_retryable() => self.connections.close_idle(),
            Err(_) => {}
        }
        result
    }

    fn release(self) {
        let mut idle = self.connections.lock();
        // The server has closed these, or is about to.
        idle.retain(|idle| idle.since.elapsed() < IDLE_MAX);
        if idle.len() < CONNECTIONS_MAX {
            idle.push(Idle { runtime: Handle::current().id(), since: Instant::now(), connection: self.connection });
        }
    }
}

impl Deref for PooledConnection<'_> {
    type Target = MySqlConnection;

    fn deref(&self) -> &MySqlConnection {
        &self.connection
    }
}

impl DerefMut for PooledConnection<'_> {
    fn deref_mut(&mut self) -> &mut MySqlConnection {
        &mut self.connection
    }
}

fn with_tls(options: MySqlConnectOptions, tls: &Tls) -> MySqlConnectOptions {
    let options = match tls.mode {
        None => options,
        Some(TlsMode::Disable) => options.ssl_mode(MySqlSslMode::Disabled),
        Some(TlsMode::Prefer) => options.ssl_mode(MySqlSslMode::Preferred),
        Some(TlsMode::NoVerify) => options.ssl_mode(MySqlSslMode::Required),
        Some(TlsMode::VerifyCa) => options.ssl_mode(MySqlSslMode::VerifyCa),
        Some(TlsMode::VerifyFull) => options.ssl_mode(MySqlSslMode::VerifyIdentity),
    };
    match &tls.root_certificate {
        Some(file) => options.ssl_ca(file),
        None => options,
    }
}

/// The result, if it arrives in time.
pub(super) async fn within<T>(max: Duration, future: impl Future<Output = T>) -> sqlx::Result<T> {
    let timed_out = || std::io::Error::new(std::io::ErrorKind::TimedOut, "the database didn't respond in time");
    tokio::time::timeout(max, future).await.map_err(|_| Error::Io(timed_out()))
}

/// Runs statements without placeholders in one round trip, and returns the rows of all of them.
pub(super) async fn simple_query(connection: &mut MySqlConnection, sql: &str) -> sqlx::Result<Vec<MySqlRow>> {
    connection.fetch_all(sql).await
}
