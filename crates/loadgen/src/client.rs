//! A voting client with its own connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use crate::connection::Connection;
use crate::error::{ConnectError, LoadError};
use crate::findings::{Ending, Failure};
use crate::response::Response;

/// Maximum connections being opened at once: more could overflow the server's backlog, which is no fault of the server.
const CONNECTING_MAX: usize = 256;

/// A client that votes.
#[derive(Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    connecting: Arc<Semaphore>,
    connection: Option<Connection>,
}

/// The part of a problem document that matters here.
#[derive(Deserialize)]
struct Problem {
    code: String,
}

impl Client {
    /// This number of clients, all of them connected.
    ///
    /// # Errors
    /// If one of them can't be connected within `connect_max`.
    pub(crate) async fn open_all(
        address: SocketAddr,
        count: u32,
        connect_max: Duration,
    ) -> Result<Vec<Self>, LoadError> {
        let connecting = Arc::new(Semaphore::new(CONNECTING_MAX));
        let mut opening = JoinSet::new();
        for _ in 0..count {
            let mut client = Self { address, connecting: Arc::clone(&connecting), connection: None };
            opening.spawn(async move { client.open(connect_max).await.map(|()| client) });
        }
        let mut clients = Vec::new();
        while let Some(opened) = opening.join_next().await {
            let number = clients.len() + 1;
            let opened = opened.map_err(LoadError::Client)?;
            clients.push(opened.map_err(|source| LoadError::Unconnected { number, count, source })?);
        }
        Ok(clients)
    }

    /// Opens the connection if it isn't open. A closed connection isn't an error here, since a server may close an idle one.
    pub(crate) async fn reopen(&mut self, deadline: Instant) {
        if self.connection.as_ref().is_some_and(Connection::is_open) {
            return;
        }
        self.connection = None;
        // Without a connection the vote fails with that reason.
        let _ = timeout_at(deadline, self.open(deadline.duration_since(Instant::now()))).await;
    }

    async fn open(&mut self, connect_max: Duration) -> Result<(), ConnectError> {
        let _permit = self.connecting.acquire().await.expect("the semaphore is never closed");
        let connected = timeout(connect_max, Connection::open(self.address)).await;
        self.connection = Some(connected.map_err(|elapsed| ConnectError::TimedOut(connect_max, elapsed))??);
        Ok(())
    }

    /// Votes, and waits for the response until the deadline.
    pub(crate) async fn vote(&mut self, request: &[u8], deadline: Instant) -> Ending {
        // Put back only if it can be reused.
        let Some(mut connection) = self.connection.take() else { return Ending::Failed(Failure::Unconnected) };
        match timeout_at(deadline, connection.exchange(request)).await {
            Err(_) => Ending::Failed(Failure::Unanswered),
            Ok(Err(failure)) => Ending::Failed(failure),
            Ok(Ok(response)) => {
                self.connection = response.keeps_alive.then_some(connection);
                ending(&response)
            }
        }
    }
}

/// How a vote ended, from its response.
fn ending(response: &Response) -> Ending {
    let status = response.status;
    match status {
        200..=299 => Ending::Acknowledged { status },
        // A gateway doesn't know what the server behind it did.
        502 | 504 => Ending::InDoubt { status },
        500 if is_outcome_unknown(&response.body) => Ending::InDoubt { status },
        _ => Ending::Refused { status },
    }
}

fn is_outcome_unknown(body: &[u8]) -> bool {
    serde_json::from_slice::<Problem>(body).is_ok_and(|problem| problem.code == "outcome_unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vote_is_in_doubt_only_if_its_outcome_is_unknown() {
        let ending = |status, body: &str| ending(&Response { status, body: body.into(), keeps_alive: true });
        assert_eq!(ending(200, "{}"), Ending::Acknowledged { status: 200 });
        assert_eq!(ending(202, ""), Ending::Acknowledged { status: 202 });
        assert_eq!(ending(500, r#"{"code":"outcome_unknown"}"#), Ending::InDoubt { status: 500 });
        assert_eq!(ending(500, "<html>"), Ending::Refused { status: 500 });
        assert_eq!(ending(503, r#"{"code":"overloaded"}"#), Ending::Refused { status: 503 });
        assert_eq!(ending(504, ""), Ending::InDoubt { status: 504 });
        assert_eq!(ending(302, ""), Ending::Refused { status: 302 });
        assert_eq!(ending(422, ""), Ending::Refused { status: 422 });
    }
}
