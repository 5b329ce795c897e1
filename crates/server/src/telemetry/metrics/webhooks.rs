//! Metrics of webhooks.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// How an attempt to send a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookOutcome {
    /// The receiver has it.
    Delivered,
    /// It is sent again.
    Failed,
    /// It isn't sent again.
    GivenUp,
}

impl WebhookOutcome {
    const ALL: [Self; 3] = [Self::Delivered, Self::Failed, Self::GivenUp];

    fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::GivenUp => "given_up",
        }
    }
}

/// The webhooks' metrics; clones share them.
#[derive(Clone, Debug, Default)]
pub struct WebhookMetrics {
    /// The messages that wait to be sent, or sent again, on all nodes.
    pub pending: Gauge,
    attempts: Family<[(&'static str, &'static str); 1], Counter>,
}

impl WebhookMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "webhook_messages_pending",
            "Messages to webhooks that wait to be sent, or sent again, on all nodes",
            metrics.pending.clone(),
        );
        registry.register(
            "webhook_attempts",
            "Attempts to send a message to a webhook, by their outcome",
            metrics.attempts.clone(),
        );
        for outcome in WebhookOutcome::ALL {
            drop(metrics.attempts.get_or_create(&[("outcome", outcome.name())]));
        }
        metrics
    }

    /// Counts an attempt.
    pub fn count(&self, outcome: WebhookOutcome) {
        self.attempts.get_or_create(&[("outcome", outcome.name())]).inc();
    }
}
