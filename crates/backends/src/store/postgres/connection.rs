//! Connections to PostgreSQL, and how long callers wait for the responses on them.

use std::time::Duration;

use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgRow, PgSslMode};
use sqlx::{ConnectOptions as _, Executor as _};

use super::error::{StoreResult, commit_error, read_error};
use super::settings;
use crate::store::pool::{self, Limits, Pool, within};
use crate::store::{ServerUrl, Tls, TlsMode};

/// How long a read may take, or a write up to the commit, including the opening of a connection.
pub(super) const WORK_MAX: Duration = Duration::from_secs(5);

/// How long a commit may take, together with what is read in the same request.
pub(super) const COMMIT_MAX: Duration = Duration::from_secs(4);

const LIMITS: Limits =
    Limits { in_use: 16, idle: 8, idle_trusted: Duration::from_millis(500), idle_max: Duration::MAX };

/// The connections of one store.
pub(super) type Connections = Pool<PgConnection>;

/// A connection in use. Dropped, it is closed.
pub(super) type PooledConnection<'a> = pool::PooledConnection<'a, PgConnection>;

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
        Self::with_options(options, |options| Box::pin(async move { options.connect().await }), LIMITS)
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
            let result = query(&mut pooled).await?;
            pooled.release();
            Ok(result)
        };
        within(WORK_MAX, read).await.flatten()
    }

    /// Applies `change` in a transaction of its own. If it fails, nothing happened.
    pub(super) async fn write<T>(
        &self,
        change: impl AsyncFnOnce(&mut PgConnection) -> StoreResult<T>,
    ) -> StoreResult<T> {
        let changed = async {
            let mut pooled = self.take().await.map_err(read_error)?;
            simple_query(&mut pooled, settings::BEGIN).await.map_err(read_error)?;
            let value = change(&mut pooled).await?;
            Ok((pooled, value))
        };
        let (mut pooled, value) = within(WORK_MAX, changed).await.map_err(read_error).flatten()?;
        let commit = simple_query(&mut pooled, "COMMIT");
        within(COMMIT_MAX, commit).await.flatten().map_err(commit_error)?;
        pooled.release();
        Ok(value)
    }

    /// The user that logs in.
    pub(super) fn user(&self) -> &str {
        self.options().get_username()
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

/// A statement with placeholders.
pub(super) type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, PgArguments>;

/// Runs statements without placeholders in one round trip, and returns the rows of all of them.
pub(super) async fn simple_query(connection: &mut PgConnection, sql: &str) -> sqlx::Result<Vec<PgRow>> {
    connection.fetch_all(sql).await
}
