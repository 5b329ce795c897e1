//! One memcached server, asked within a deadline or not at all.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use memcache::exp::{AsyncMetaClient, Error};
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::breaker::{Breaker, Change};

/// How long a call may take, whatever it is made of. In a network of one house an answer takes less than one.
pub(super) const DEADLINE: Duration = Duration::from_millis(50);

/// The most connections of a node to a server: results are asked for a few times a second and poll.
const CONNECTIONS_MAX: usize = 8;

#[derive(Debug)]
pub(super) struct Server {
    host: String,
    breaker: Breaker,
    client: Mutex<Option<Client>>,
}

/// The library's client says nothing of itself.
#[derive(Clone)]
struct Client(AsyncMetaClient);

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Server {
    pub(super) fn new(host: String) -> Self {
        Self { host, breaker: Breaker::default(), client: Mutex::new(None) }
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// What `call` gives; `None` where the server isn't asked, fails, or takes too long.
    pub(super) async fn ask<T, F>(&self, call: impl FnOnce(AsyncMetaClient) -> F) -> Option<T>
    where
        F: Future<Output = Result<T, Error>>,
    {
        if !self.breaker.admits(Instant::now()) {
            return None;
        }
        let answer = timeout(DEADLINE, async { call(self.client().await?).await }).await;
        let why = match answer {
            Ok(Ok(value)) => {
                self.note(self.breaker.succeeded(), "it answers");
                return Some(value);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} ms", DEADLINE.as_millis()),
        };
        self.note(self.breaker.failed(Instant::now()), &why);
        None
    }

    /// The client, made when it is first needed: its host's name is looked up then.
    async fn client(&self) -> Result<AsyncMetaClient, Error> {
        if let Some(Client(client)) = self.held().clone() {
            return Ok(client);
        }
        let client = AsyncMetaClient::builder()
            .connect_timeout(Some(DEADLINE))
            .io_timeout(Some(DEADLINE))
            .max_connections(Some(CONNECTIONS_MAX))
            .connect_async(self.host.clone())
            .await?;
        Ok(self.held().get_or_insert(Client(client)).0.clone())
    }

    fn note(&self, change: Change, why: &str) {
        match change {
            Change::None => {}
            Change::Away => {
                // The next try looks its name up again.
                *self.held() = None;
                warn!(host = self.host, why, "a cache server is away: results come from the database meanwhile");
            }
            Change::Back => info!(host = self.host, "a cache server is back"),
        }
    }

    fn held(&self) -> MutexGuard<'_, Option<Client>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
