//! Connections to a database server: each belongs to one operation at a time, and is reused only after an operation that
//! succeeded.
//!
//! An operation may be aborted anywhere: by its deadline, or by a caller that drops it. A connection in the middle of an
//! operation can't be used again, so the operation owns it and closes it; the server then rolls back what wasn't committed.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::{Connection, Error};
use tokio::runtime::{self, Handle};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout};

/// How long to wait for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// How long to wait for the check whether a connection is still alive: short enough that a new one can be made in its place.
const PING_MAX: Duration = Duration::from_secs(1);

/// What differs between the servers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The connections of one store that may be in use at the same time; further callers wait.
    pub(super) in_use: usize,
    /// The idle connections kept.
    pub(super) idle: usize,
    /// How long a connection may have been idle and be reused without a check whether it is still alive.
    pub(super) idle_trusted: Duration,
    /// How long a connection is kept idle.
    pub(super) idle_max: Duration,
}

/// Opens a connection and prepares it for its first operation.
pub(super) type Connect<C> = fn(<C as Connection>::Options) -> Pin<Box<dyn Future<Output = sqlx::Result<C>> + Send>>;

/// The connections of one store.
pub(super) struct Pool<C: Connection> {
    options: C::Options,
    connect: Connect<C>,
    limits: Limits,
    permits: Semaphore,
    idle: Mutex<Vec<Idle<C>>>,
}

/// An idle connection.
///
/// The runtime in which it was made does its reads and writes, and only while that runtime runs. So a connection is
/// used only in its own runtime: on a server core, one of the recorder's would make no progress.
struct Idle<C> {
    connection: C,
    runtime: runtime::Id,
    since: Instant,
}

/// A connection in use by one operation. Dropped, it is closed.
pub(super) struct PooledConnection<'a, C: Connection> {
    connection: C,
    pool: &'a Pool<C>,
    _permit: SemaphorePermit<'a>,
}

impl<C: Connection> Pool<C> {
    /// No connection is opened yet: that happens where one is used.
    pub(super) fn with_options(options: C::Options, connect: Connect<C>, limits: Limits) -> Self {
        Self { options, connect, limits, permits: Semaphore::new(limits.in_use), idle: Mutex::default() }
    }

    /// A connection of the current runtime: an idle one if it is still alive, or a new one. The caller limits how long it waits
    /// while all are in use.
    pub(super) async fn take(&self) -> sqlx::Result<PooledConnection<'_, C>> {
        let permit = self.permits.acquire().await.map_err(|_| Error::PoolClosed)?;
        let connection = match self.take_idle().await {
            Some(connection) => connection,
            None => within(CONNECT_MAX, (self.connect)(self.options.clone())).await.flatten()?,
        };
        Ok(PooledConnection { connection, pool: self, _permit: permit })
    }

    async fn take_idle(&self) -> Option<C> {
        let runtime = Handle::current().id();
        let Idle { mut connection, since, .. } = {
            let mut idle = self.lock();
            let last = idle.iter().rposition(|idle| idle.runtime == runtime)?;
            idle.remove(last)
        };
        if since.elapsed() <= self.limits.idle_trusted || within(PING_MAX, connection.ping()).await.flatten().is_ok() {
            return Some(connection);
        }
        self.close_idle();
        None
    }

    /// How the server is reached.
    pub(super) fn options(&self) -> &C::Options {
        &self.options
    }

    /// Closes the idle connections of this runtime: if one connection failed, the server was restarted or replaced, and
    /// they have failed too.
    pub(super) fn close_idle(&self) {
        let runtime = Handle::current().id();
        self.lock().retain(|idle| idle.runtime != runtime);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle<C>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without the options, which hold the password.
impl<C: Connection> fmt::Debug for Pool<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("idle", &self.lock().len()).finish_non_exhaustive()
    }
}

impl<'a, C: Connection> PooledConnection<'a, C> {
    /// The pool that it belongs to.
    pub(super) fn pool(&self) -> &'a Pool<C> {
        self.pool
    }

    /// Returns the connection for reuse: no transaction is open, and every response was read.
    pub(super) fn release(self) {
        let Limits { idle: kept, idle_max, .. } = self.pool.limits;
        let mut idle = self.pool.lock();
        idle.retain(|idle| idle.since.elapsed() < idle_max);
        if idle.len() == kept {
            idle.remove(0);
        }
        idle.push(Idle { connection: self.connection, runtime: Handle::current().id(), since: Instant::now() });
    }
}

impl<C: Connection> Deref for PooledConnection<'_, C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.connection
    }
}

impl<C: Connection> DerefMut for PooledConnection<'_, C> {
    fn deref_mut(&mut self) -> &mut C {
        &mut self.connection
    }
}

/// The result, if it arrives in time.
pub(super) async fn within<T>(max: Duration, work: impl Future<Output = T>) -> sqlx::Result<T> {
    let timed_out = || std::io::Error::new(std::io::ErrorKind::TimedOut, "the database didn't respond in time");
    timeout(max, work).await.map_err(|_| Error::Io(timed_out()))
}
