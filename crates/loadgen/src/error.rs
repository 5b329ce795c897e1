//! Why a load can't be run.

use std::io;
use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::error::Elapsed;

use crate::findings::Failure;

/// Why a load can't be run. A vote that fails is none of these: it is an outcome.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The limit of open files can't be raised to the hard limit.
    #[error("the limit of open files can't be raised")]
    RaiseLimit(#[source] io::Error),
    /// The hard limit of open files is too low.
    #[error("{clients} clients need {needed} open files, and this process may have {limit}")]
    TooManyClients {
        /// How many are requested.
        clients: u32,
        /// Open files that they need, together with all others.
        needed: u64,
        /// Open files that the process may have.
        limit: u64,
        /// How many clients that allows.
        clients_max: u64,
    },
    /// The server's host has no address.
    #[error("the host {host} can't be resolved")]
    UnknownHost {
        /// Its name.
        host: String,
        /// The resolver's error.
        source: io::Error,
    },
    /// None of the server's addresses accepts a connection.
    #[error("nothing answers at {url}")]
    NoServer {
        /// The server's URL.
        url: String,
        /// The last address's error.
        source: io::Error,
    },
    /// The server accepted a connection and closed it at once.
    #[error("the server closed the first connection")]
    Closed(#[source] io::Error),
    /// There is nothing to compare the count with.
    #[error("the result can't be read before the first vote")]
    NoResult(#[source] ResultError),
    /// The result has no options.
    #[error("{url} shows no options to vote for; does its default poll exist, and are its results public?")]
    NoOptions {
        /// The server's URL.
        url: String,
    },
    /// A load run can't vote in this poll.
    #[error("the poll `{slug}` can't be rehearsed: {why}")]
    NoRehearsal {
        /// Its slug.
        slug: String,
        /// Why not.
        why: &'static str,
    },
    /// A client has no connection.
    #[error("connection {number} of {count} can't be opened")]
    Unconnected {
        /// How many clients have one, and this client.
        number: usize,
        /// How many are requested.
        count: u32,
        /// Why it has none.
        source: ConnectError,
    },
    /// A client's task failed.
    #[error(transparent)]
    Client(JoinError),
}

/// Why a connection can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The server didn't accept it within this time.
    #[error("no connection within {0:?}")]
    TimedOut(Duration, #[source] Elapsed),
    /// The server refused it.
    #[error(transparent)]
    Refused(#[from] io::Error),
}

/// Why the server's result can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ResultError {
    /// There is no response.
    #[error("{route} doesn't respond")]
    NoResponse {
        /// The result's URL.
        route: String,
        /// Why there is none.
        source: ExchangeError,
    },
    /// The response isn't a result.
    #[error("{route} responds with status {status}; is this a poll server?")]
    Status {
        /// The result's URL.
        route: String,
        /// The response's status.
        status: u16,
    },
    /// The response has another body than a result.
    #[error("{route} doesn't respond with votes by option")]
    Unreadable {
        /// The result's URL.
        route: String,
        /// The parser's error.
        source: serde_json::Error,
    },
}

/// Why a request has no response.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// It took too long.
    #[error("deadline has elapsed")]
    TimedOut,
    /// There was no connection for it.
    #[error("there is no connection")]
    Unconnected(#[source] io::Error),
    /// The connection failed.
    #[error("the request was {}", .0.name())]
    Failed(Failure),
}
