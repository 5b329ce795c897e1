//! Scores the polls' votes regularly, and logs each poll whose score crosses the threshold.

use std::convert::Infallible;

use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use crate::anomaly::{AnomalyReport, Crossing, UPDATE_EVERY};
use crate::state::App;
use crate::telemetry::log_rate_limiter::LogRateLimiter;

/// The most log lines per second.
const LINES_MAX: u32 = 5;

/// Scores the votes for as long as it is polled.
pub(super) async fn watch_anomalies(app: &App) -> Infallible {
    let log_limiter = LogRateLimiter::new(LINES_MAX);
    let mut tick = tokio::time::interval(UPDATE_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let now = app.clock.now();
        for crossing in app.anomalies.update(now) {
            if let Some(unlogged) = log_limiter.take(now) {
                log(app, &crossing, unlogged);
            }
        }
    }
}

fn log(app: &App, Crossing { poll, is_over, report }: &Crossing, unlogged: Option<u64>) {
    let polls = app.polls.current();
    let poll = polls.by_id(*poll).map_or("", |live| live.poll.slug.as_str());
    let AnomalyReport { votes, score, .. } = *report;
    let reasons = reasons_text(report);
    if *is_over {
        warn!(
            poll,
            score,
            reasons,
            votes,
            unlogged,
            "the votes of this poll look unusual; they are counted, and if its proof is `adaptive`, each needs one now"
        );
    } else {
        info!(poll, score, reasons, votes, unlogged, "the votes of this poll don't look unusual any more");
    }
}

/// The reasons with their points, such as `one_network 70, same_choices 15`.
fn reasons_text(report: &AnomalyReport) -> String {
    let reasons = report.reasons.iter().map(|(reason, points)| format!("{} {points}", reason.name()));
    reasons.collect::<Vec<_>>().join(", ")
}
