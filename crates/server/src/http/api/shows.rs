//! Shows for the public: the same object for everybody, which a cache in front may keep for one second.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, State};
use axum::response::Response;
use hyper::HeaderMap;
use hyper::http::request::Parts;
use sha2::{Digest as _, Sha256};
use throng_domain::clock::Timestamp;
use throng_domain::show::{self, Show};

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
