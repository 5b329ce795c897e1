//! Examples in the document, as the types that are described write them.

use serde_json::Value;
use throng_domain::clock::Timestamp;
use throng_domain::new_poll::NewPoll;
use throng_domain::poll::{OptionId, Poll, PollId};
use throng_domain::tally::Tallies;

use crate::view::{AdminPollView, PollView, ResultsView};

/// 2026-07-01T20:00:00Z.
const OPENED: Timestamp = Timestamp(1_782_936_000_000);

/// A minute later.
const NOW: Timestamp = Timestamp(OPENED.0 + 60_000);

/// A ballot's id.
pub const BALLOT_ID: &str = "018f4d1e-7c00-7000-8000-000000000001";

/// A ballot's receipt, which no server has issued.
pub const RECEIPT: &str = "1-018f4d1e7c0070008000000000000001-1782936060000-00000000000000000000000000000000";

/// A poll as anybody sees it.
pub fn poll() -> Value {
    json(&PollView::new(&demo(), NOW))
}

/// A poll as its administrators see it.
pub fn admin_poll() -> Value {
    json(&AdminPollView::new(&demo(), NOW))
}

/// A result.
pub fn results() -> Value {
    let poll = demo();
    let counts = poll.options.iter().map(|option| (option.id, u64::from(option.id == OptionId(2)))).collect();
    let tallies = Tallies { poll: poll.id, seq: 1, voters: 1, counts };
    json(&ResultsView::new(&poll, &tallies, NOW, NOW, false))
}

fn demo() -> Poll {
    NewPoll::demo("demo".parse().expect("it has only letters"), OPENED).into_poll(PollId(1))
}

fn json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("it has only strings for keys")
}
