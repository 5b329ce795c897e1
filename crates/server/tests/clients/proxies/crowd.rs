//! A crowd behind a proxy that votes at the same moment, so that each vote has a connection of its own from the proxy to the
//! server, and stays away for a while, so that the proxy and the server have nothing but idle connections between them.

use std::io::{ErrorKind, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::ops::AddAssign;
use std::sync::Arc;
use std::time::Duration;

use throng_testkit::{Connection, GatedStore, TestServer, WAIT_MAX};
use tokio::time::Instant;

use crate::front::Front;
use crate::proxies::stay_away;

/// No id: sent a second time, it is another ballot.
const VOTE: &[u8] = b"POST /api/submit HTTP/1.1\r\nhost: throng.test\r\ncontent-length: 3\r\n\r\n[1]";

/// The voters of a proxy and a server of their own.
pub struct Crowd {
    front: Front,
    store: Arc<GatedStore>,
    server: TestServer,
    voters: u64,
}

/// What became of votes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Votes {
    pub sent: u64,
    /// Those that the server got on a connection which it had before.
    pub reused: u64,
    /// Those that were answered otherwise than with 2xx, or not at all.
    pub failed: u64,
}

impl AddAssign for Votes {
    fn add_assign(&mut self, Self { sent, reused, failed }: Self) {
        self.sent += sent;
        self.reused += reused;
        self.failed += failed;
    }
}

impl Crowd {
    /// So many voters; all of the server's settings are as they are by default, unless `settings` say otherwise.
    pub fn gather(start: fn(SocketAddr) -> Front, voters: u64, settings: &[(&str, &str)]) -> Self {
        let (server, store) = TestServer::start_gated_with(10_000, settings);
        Self { front: start(server.address), store, server, voters }
    }

    /// Each votes once. The server answers none of them before it has all their votes.
    pub fn vote(&self) -> Votes {
        let (accepted, answered) = self.counters();
        self.store.shut();
        let connections: Vec<TcpStream> = (0..self.voters).map(|_| self.send_vote()).collect();
        self.wait_for_all(&connections);
        self.store.open();
        let answers = connections.into_iter().map(|connection| Connection::over(connection).try_answer());
        let counted = answers.flatten().filter(|answer| (200..300).contains(&answer.status)).count();
        let (accepted_since, answered_since) = self.counters();
        let (opened, requests) = (accepted_since - accepted, answered_since - answered);
        Votes {
            sent: self.voters,
            reused: requests.saturating_sub(opened),
            failed: self.voters - u64::try_from(counted).unwrap(),
        }
    }

    /// How many ballots the server has counted.
    pub fn counted(&self) -> u64 {
        self.server.stored_voters()
    }

    fn send_vote(&self) -> TcpStream {
        let mut connection = Connection::tcp(self.front.address);
        connection.write_all(VOTE).unwrap();
        connection
    }

    /// Waits until the server has each vote, or its voter an answer, which then is the proxy's own.
    fn wait_for_all(&self, connections: &[TcpStream]) {
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            let waiting = self.server.metric("throng_ballots_waiting");
            let answered = connections.iter().filter(|connection| is_answered(connection)).count();
            if waiting + u64::try_from(answered).unwrap() >= self.voters {
                return;
            }
            assert!(Instant::now() < deadline, "{waiting} votes came, {answered} were answered, of {}", self.voters);
            stay_away(Duration::from_millis(1));
        }
    }

    /// How many connections the server has accepted, and how many requests it has answered.
    fn counters(&self) -> (u64, u64) {
        (self.server.metric("throng_connections_accepted_total"), self.server.metric("throng_http_responses_total"))
    }
}

/// Whether something came back, or the connection was closed.
fn is_answered(connection: &TcpStream) -> bool {
    connection.set_nonblocking(true).unwrap();
    let seen = connection.peek(&mut [0]);
    connection.set_nonblocking(false).unwrap();
    !matches!(seen, Err(error) if error.kind() == ErrorKind::WouldBlock)
}
