//! An open loop: votes begin on a schedule that doesn't wait for the server.
//!
//! Latency counts from the scheduled start of a vote, so a stall shows in every vote that it delayed, not only in those in
//! flight (an error known as coordinated omission). The clients draw votes from the schedule in its order: a free client takes
//! the next one and waits for its start, or is late. So there is no queue, and since a vote times out relative to its scheduled
//! start, the run ends at most one timeout after the schedule's end.
//!
//! The runtime's timer has a resolution of one millisecond: a vote may begin up to that much late, which its latency includes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::client::Client;
use crate::findings::{Ending, Failure};
use crate::run_context::RunContext;
use crate::schedule::Schedule;

/// A schedule that has started.
struct Started {
    schedule: Schedule,
    start: Instant,
    next: AtomicU64,
}

impl Started {
    /// The next vote's number and when it is to begin; `None` after the last.
    fn draw(&self) -> Option<(u64, Instant)> {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        (n < self.schedule.votes).then(|| (n, self.start + self.schedule.due(n)))
    }
}

/// Runs the schedule, and returns how long it took, until the last vote's end.
///
/// # Errors
/// If a client's task fails, which isn't expected.
pub(crate) async fn run(
    clients: Vec<Client>,
    context: &Arc<RunContext>,
    schedule: Schedule,
) -> Result<Duration, JoinError> {
    let started = Arc::new(Started { schedule, start: Instant::now(), next: AtomicU64::new(0) });
    let mut tasks = JoinSet::new();
    for client in clients {
        tasks.spawn(vote(client, Arc::clone(context), Arc::clone(&started)));
    }
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    Ok(started.start.elapsed())
}

/// One client's votes.
async fn vote(mut client: Client, context: Arc<RunContext>, started: Arc<Started>) {
    while let Some((n, due)) = started.draw() {
        sleep_until(due).await;
        let deadline = due + context.timeout;
        let ending = if Instant::now() < deadline {
            client.reopen(deadline).await;
            client.vote(&context.request(n, n), deadline).await
        } else {
            Ending::Failed(Failure::Unsent)
        };
        context.findings.record(ending, due.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_vote_is_drawn_once_and_in_order() {
        let (schedule, start) = (Schedule::new(10, Duration::from_millis(300)), Instant::now());
        let started = Started { schedule, start, next: AtomicU64::new(0) };
        let drawn: Vec<_> = std::iter::from_fn(|| started.draw()).collect();
        let due = |ms| start + Duration::from_millis(ms);
        assert_eq!(drawn, [(0, due(0)), (1, due(100)), (2, due(200))]);
        assert_eq!(started.draw(), None);
    }
}
