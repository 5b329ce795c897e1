//! What a message says.

use serde::Serialize;
use throng_domain::clock::Timestamp;
use throng_domain::poll::Poll;
use throng_domain::tally::DetailedTallies;
use throng_domain::webhook::WebhookEvent;

use crate::view::{PollView, ResultsView, Tabulated, rfc3339_text};

/// A message, in the form that Standard Webhooks recommends.
#[derive(Serialize)]
struct Message<T> {
    r#type: String,
    /// When it happened.
    timestamp: String,
    data: T,
}

#[derive(Serialize)]
struct AboutPoll<'a> {
    poll: PollView<'a>,
    /// The result, once it is final.
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<ResultsView<'a>>,
}

#[derive(Serialize)]
struct Nothing {}

/// The message that something happened to a poll, which is as it is at `now`; with its result, if that is final. For a million
/// different rankings it takes about a second.
pub fn about_poll(
    event: WebhookEvent,
    occurred_at: Timestamp,
    poll: &Poll,
    result: Option<DetailedTallies>,
    now: Timestamp,
) -> String {
    let result = result.map(|DetailedTallies { tallies, details }| (tallies, Tabulated::of(poll, details)));
    let results = result
        .as_ref()
        .map(|(tallies, tabulated)| ResultsView::new(poll, tallies, now, now, false).with(tabulated.as_ref()));
    let data = AboutPoll { poll: PollView::new(poll, now), results };
    text(&Message { r#type: format!("poll.{}", event.as_str()), timestamp: rfc3339_text(occurred_at), data })
}

/// The message of a test.
pub fn test(now: Timestamp) -> String {
    text(&Message { r#type: "webhook.test".to_owned(), timestamp: rfc3339_text(now), data: Nothing {} })
}

fn text<T: Serialize>(message: &Message<T>) -> String {
    serde_json::to_string(message).expect("a message has only strings for keys")
}
