//! Shows for the public: the same object for everybody, which a cache in front may keep for one second.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, State};
use axum::response::Response;
use hyper::http::request::Parts;
use hyper::{HeaderMap, StatusCode};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use throng_domain::clock::Timestamp;
use throng_domain::poll::Slug;
use throng_domain::show::{self, Show};

use super::polls::{ETAG_MEANS, IF_NONE_MATCH_MEANS, NOT_MODIFIED_MEANS};
use crate::http::openapi::{Operation, Tag};
use crate::http::problem::Problem;
use crate::http::response::tagged;
use crate::results::LivePoll;
use crate::state::CoreState;
use crate::view::ShowView;

/// A show, and those of its polls that the public may know of: neither drafts nor rehearsals.
#[derive(Debug)]
pub struct ShowPath {
    /// The show.
    pub show: Arc<Show>,
    polls: Vec<Arc<LivePoll>>,
}

impl ShowPath {
    /// The poll to show at `now`, if there is one.
    pub fn current(&self, now: Timestamp) -> Option<&Arc<LivePoll>> {
        let current = show::current(self.polls.iter().map(|live| &live.poll), now)?;
        self.polls.iter().find(|live| live.poll.id == current.id)
    }
}

/// The show whose slug is in the path.
impl FromRequestParts<Arc<CoreState>> for ShowPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, core: &Arc<CoreState>) -> Result<Self, Problem> {
        let Path(slug) = Path::<String>::from_request_parts(parts, core).await.map_err(|_| Problem::ShowNotFound)?;
        let app = &core.app;
        let show = app.shows.find(&slug).ok_or(Problem::ShowNotFound)?;
        let mut polls = Vec::new();
        for slug in &show.polls {
            let live = app.polls.find(slug.as_str(), &app.source).await.map_err(Problem::store_not_ready)?;
            polls.extend(live.filter(|live| !live.poll.rehearsal));
        }
        Ok(Self { show, polls })
    }
}

/// How [`show`] is described.
pub fn describe_show() -> Operation {
    let example = json!({
        "slug": "evening",
        "title": "Tonight",
        "current": "song",
        "polls": [{
            "slug": "song",
            "title": "Best song?",
            "state": "open",
            "opens_at": "2026-07-01T20:00:00.000Z",
            "closes_at": null,
            "url": "https://vote.example/polls/song",
            "api_url": "https://vote.example/api/v1/polls/song",
        }],
    });
    Operation::new(Tag::Voting, "showPublicShow", "A show: its polls, and which one is on")
        .path::<Slug>("slug", "The show's name in addresses.", json!("evening"))
        .header::<String>("If-None-Match", IF_NONE_MATCH_MEANS, json!("\"0123\""))
        .responds::<ShowView<'_>>(StatusCode::OK, "The show.", example)
        .with_header("ETag", ETAG_MEANS)
        .responds_empty(StatusCode::NOT_MODIFIED, NOT_MODIFIED_MEANS)
        .with_header("ETag", ETAG_MEANS)
        .problems([Problem::ShowNotFound])
}

/// `GET /api/v1/shows/{slug}`. Its tag is of its bytes, which depend on several polls and on the time.
pub async fn show(State(core): State<Arc<CoreState>>, path: ShowPath, headers: HeaderMap) -> Response {
    let (site, now) = (core.app.config.public_url.to_string(), core.app.clock.now());
    let polls: Vec<_> = path.polls.iter().map(|live| &live.poll).collect();
    let view = ShowView::new(&path.show, &polls, &site, now);
    let body = serde_json::to_vec(&view).expect("a show has only strings for keys");
    let hash: [u8; 32] = Sha256::digest(&body).into();
    let tag: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    tagged(body.into(), &format!("\"{tag}\""), &headers)
}
