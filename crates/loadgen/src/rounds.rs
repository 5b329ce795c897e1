//! Rounds: in each, all clients vote at the same instant, and the next begins when all have their responses.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Barrier, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use crate::client::Client;
use crate::run_context::RunContext;

/// The synchronization of the clients between rounds.
struct StartLine {
    /// Shared by all clients and the task that starts the rounds.
    barrier: Barrier,
    /// The instant at which the current round was started.
    released: watch::Sender<Instant>,
}

/// Runs the rounds, and returns how long they took in total, each from its start to its last response.
///
/// # Errors
/// If a client's task fails, which isn't expected.
pub(crate) async fn run(clients: Vec<Client>, context: &Arc<RunContext>, rounds: u32) -> Result<Duration, JoinError> {
    let start_line =
        Arc::new(StartLine { barrier: Barrier::new(clients.len() + 1), released: watch::Sender::new(Instant::now()) });
    let mut tasks = JoinSet::new();
    for (number, client) in (0..).zip(clients) {
        tasks.spawn(vote(client, number, Arc::clone(context), rounds, Arc::clone(&start_line)));
    }
    let mut took = Duration::ZERO;
    for _ in 0..rounds {
        start_line.barrier.wait().await;
        let released = Instant::now();
        start_line.released.send_replace(released);
        start_line.barrier.wait().await;
        took += released.elapsed();
    }
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    Ok(took)
}

/// One client's votes.
async fn vote(mut client: Client, number: u64, context: Arc<RunContext>, rounds: u32, start_line: Arc<StartLine>) {
    let mut released = start_line.released.subscribe();
    for round in 0..rounds {
        client.reopen(Instant::now() + context.timeout).await;
        start_line.barrier.wait().await;
        if released.changed().await.is_err() {
            return;
        }
        let start = *released.borrow_and_update();
        let vote = number * u64::from(rounds) + u64::from(round);
        let request = context.request(number + u64::from(round), vote);
        let ending = client.vote(&request, start + context.timeout).await;
        context.findings.record(ending, start.elapsed());
        start_line.barrier.wait().await;
    }
}
