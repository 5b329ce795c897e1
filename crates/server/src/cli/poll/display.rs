//! A poll as commands show it.

use std::io::Write;

use throng_domain::clock::Timestamp;
use throng_domain::poll::{Poll, PollState};

use crate::cli::console::{Json, write_json};
use crate::view::{AdminPollView, rfc3339_text};

/// The poll's state at `now`, as text for operators.
pub(super) fn state_text(poll: &Poll, now: Timestamp) -> String {
    let opens = poll.opens_at.map_or_else(String::new, rfc3339_text);
    let closes = poll.closes_at.map_or_else(String::new, rfc3339_text);
    match (poll.state(now), poll.closes_at) {
        (PollState::Draft, _) => "a draft; it isn't open for voting yet".to_owned(),
        (PollState::Scheduled, None) => format!("scheduled; it opens at {opens}"),
        (PollState::Scheduled, Some(_)) => format!("scheduled; it opens at {opens} and closes at {closes}"),
        (PollState::Open, None) => format!("open since {opens}"),
        (PollState::Open, Some(_)) => format!("open since {opens}; it closes at {closes}"),
        (PollState::Closing, _) => format!("closed since {closes}; the last ballots may still be counted"),
        (PollState::Final, _) => format!("closed since {closes}; its result is final"),
    }
}

/// Writes the poll after a change.
pub(super) fn write_poll(poll: &Poll, now: Timestamp, json: Json, out: &mut dyn Write) -> anyhow::Result<()> {
    if json.json {
        return write_json(out, &AdminPollView::new(poll, now));
    }
    writeln!(out, "The poll `{}` is {}.", poll.slug, state_text(poll, now))?;
    if poll.state(now) == PollState::Draft {
        writeln!(out, "To open it: throng poll open {}", poll.slug)?;
    }
    Ok(())
}
