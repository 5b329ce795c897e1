//! One memcached server. Each call has a deadline, and none is made while the breaker is open.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use memcache::exp::{AsyncMetaClient, Error};
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::breaker::{Breaker, Change};

/// How long a call may take, however many requests it makes. In a local network a response takes less than a millisecond.
const DEADLINE: Duration = Duration::from_millis(50);

/// The most connections of a node to a server: results are requested a few times per second and poll.
const CONNECTIONS_MAX: usize = 8;

#[derive(Debug)]
pub(super) struct Server {
    host: String,
    breaker: Breaker,
    deadline: Duration,
    client: Mutex<Option<Client>>,
}

/// The library's client doesn't implement `Debug`.
#[derive(Clone)]
struct Client(AsyncMetaClient);

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Server {
    pub(super) fn new(host: String) -> Self {
        Self { host, breaker: Breaker::default(), deadline: DEADLINE, client: Mutex::new(None) }
    }

    pub(super) fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The result of `request`; `None` where the breaker is open, or the request fails or takes too long.
    pub(super) async fn call<T, F>(&self, request: impl FnOnce(AsyncMetaClient) -> F) -> Option<T>
    where
        F: Future<Output = Result<T, Error>>,
    {
        if !self.breaker.admits(Instant::now()) {
            return None;
        }
        let result = timeout(self.deadline, async { request(self.client().await?).await }).await;
        let why = match result {
            Ok(Ok(value)) => {
                self.log(self.breaker.succeeded(), "it responds");
                return Some(value);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no response within {} ms", self.deadline.as_millis()),
        };
        self.log(self.breaker.failed(Instant::now()), &why);
        None
    }

    /// The client, created when it is first needed, which resolves the name of its host.
    async fn client(&self) -> Result<AsyncMetaClient, Error> {
        if let Some(Client(client)) = self.lock_client().clone() {
            return Ok(client);
        }
        let client = AsyncMetaClient::builder()
            .connect_timeout(Some(self.deadline))
            .io_timeout(Some(self.deadline))
            .max_connections(Some(CONNECTIONS_MAX))
            .connect_async(self.host.clone())
            .await?;
        Ok(self.lock_client().get_or_insert(Client(client)).0.clone())
    }

    fn log(&self, change: Change, why: &str) {
        match change {
            Change::None => {}
            Change::Opened => {
                // The next attempt resolves its name again.
                *self.lock_client() = None;
                warn!(
                    host = self.host,
                    why, "a cache server is unavailable: results are read from the database meanwhile"
                );
            }
            Change::Closed => info!(host = self.host, "a cache server is available again"),
        }
    }

    fn lock_client(&self) -> MutexGuard<'_, Option<Client>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
