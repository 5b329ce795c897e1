//! Shows.

use schemars::JsonSchema;
use serde::Serialize;
use throng_domain::clock::Timestamp;
use throng_domain::poll::{Poll, PollState};
use throng_domain::show::{Show, current};

use super::time::{Rfc3339, rfc3339_or_null};

/// A show for the public. Receivers are built to rely on this for many years (`docs/shows-api.md`): fields are added at the end of an
/// object, and none is removed or changes its meaning.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "PublicShow")]
pub struct ShowView<'a> {
    slug: &'a str,
    title: &'a str,
    /// The slug of the poll to show; `null` if there is none yet.
    current: Option<&'a str>,
    polls: Vec<ShowPollView<'a>>,
}

#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "PollOfShow")]
struct ShowPollView<'a> {
    slug: &'a str,
    title: &'a str,
    state: PollState,
    #[serde(serialize_with = "rfc3339_or_null")]
    #[schemars(with = "Option<Rfc3339>")]
    opens_at: Option<Timestamp>,
    #[serde(serialize_with = "rfc3339_or_null")]
    #[schemars(with = "Option<Rfc3339>")]
    closes_at: Option<Timestamp>,
    /// Its page.
    url: String,
    /// Its poll, in version 1 of the API.
    api_url: String,
}

impl<'a> ShowView<'a> {
    /// The show at `now`, with those of its polls that the public may know of, at this site.
    pub fn new(show: &'a Show, polls: &[&'a Poll], site: &str, now: Timestamp) -> Self {
        let view = |poll: &&'a Poll| ShowPollView {
            slug: poll.slug.as_str(),
            title: &poll.title,
            state: poll.state(now),
            opens_at: poll.opens_at,
            closes_at: poll.closes_at,
            url: format!("{site}/polls/{}", poll.slug),
            api_url: format!("{site}/api/v1/polls/{}", poll.slug),
        };
        Self {
            slug: show.slug.as_str(),
            title: &show.title,
            current: current(polls.iter().copied(), now).map(|poll| poll.slug.as_str()),
            polls: polls.iter().map(view).collect(),
        }
    }
}
