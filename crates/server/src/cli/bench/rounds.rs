//! Rounds: in each, all clients vote at the same instant, and the next begins when all have their answers.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Barrier, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Course;
use super::client::Client;

/// Where the clients stand between the rounds.
struct Line {
    /// All clients, and the starter.
    barrier: Barrier,
    /// The instant at which the starter let them go.
    released: watch::Sender<Instant>,
}

/// Runs the rounds, and returns how long they took together, from each release to the last answer.
///
/// # Errors
/// If a client's task fails, which none should.
pub(super) async fn run(clients: Vec<Client>, course: &Arc<Course>, rounds: u32) -> anyhow::Result<Duration> {
    let line =
        Arc::new(Line { barrier: Barrier::new(clients.len() + 1), released: watch::Sender::new(Instant::now()) });
    let mut tasks = JoinSet::new();
    for (number, client) in (0..).zip(clients) {
        tasks.spawn(vote(client, number, Arc::clone(course), rounds, Arc::clone(&line)));
    }
    let mut took = Duration::ZERO;
    for _ in 0..rounds {
        line.barrier.wait().await;
        let released = Instant::now();
        line.released.send_replace(released);
        line.barrier.wait().await;
        took += released.elapsed();
    }
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    Ok(took)
}

/// One client's votes.
async fn vote(mut client: Client, number: u64, course: Arc<Course>, rounds: u32, line: Arc<Line>) {
    let mut released = line.released.subscribe();
    for round in 0..rounds {
        client.reopen(Instant::now() + course.timeout).await;
        line.barrier.wait().await;
        if released.changed().await.is_err() {
            return;
        }
        let start = *released.borrow_and_update();
        let request = course.request(number + u64::from(round));
        let ending = client.vote(request, start + course.timeout).await;
        course.findings.record(ending, start.elapsed());
        line.barrier.wait().await;
    }
}
