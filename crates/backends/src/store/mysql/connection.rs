//! Connections to MySQL or MariaDB, and their settings.

use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlRow, MySqlSslMode};
use sqlx::{ConnectOptions as _, Executor as _};

use super::error::StoreResult;
use crate::store::pool::{self, Limits, Pool};
use crate::store::{ServerUrl, Tls, TlsMode};

/// How long a query may take; of a recount, each page.
pub(super) const READ_MAX: Duration = Duration::from_secs(5);

const LIMITS: Limits = Limits {
    in_use: 32,
    idle: 32,
    idle_trusted: Duration::from_secs(1),
    // Less than the session's `wait_timeout`, after which the server closes it.
    idle_max: Duration::from_secs(9),
};

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
pub(super) type Connections = Pool<MySqlConnection>;

/// A connection in use by one operation. Dropped, it is closed.
pub(super) type PooledConnection<'a> = pool::PooledConnection<'a, MySqlConnection>;

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
        Self::with_options(options, |options| Box::pin(connect(options)), LIMITS)
    }
}

impl PooledConnection<'_> {
    /// Ends an operation that, if it succeeded, left no transaction open: then the connection is kept for reuse.
    pub(super) fn end<T>(self, result: StoreResult<T>) -> StoreResult<T> {
        match &result {
            Ok(_) => self.release(),
            Err(error) if error.is_retryable() => self.pool().close_idle(),
            Err(_) => {}
        }
        result
    }
}

async fn connect(options: MySqlConnectOptions) -> sqlx::Result<MySqlConnection> {
    let mut connection = options.connect().await?;
    simple_query(&mut connection, SESSION).await?;
    Ok(connection)
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

/// Runs statements without placeholders in one round trip, and returns the rows of all of them.
pub(super) async fn simple_query(connection: &mut MySqlConnection, sql: &str) -> sqlx::Result<Vec<MySqlRow>> {
    connection.fetch_all(sql).await
}
