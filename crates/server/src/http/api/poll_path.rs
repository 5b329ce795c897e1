//! The poll in the path of a request.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path};
use hyper::http::request::Parts;

use crate::http::problem::Problem;
use crate::results::LivePoll;
use crate::state::CoreState;

/// The poll whose slug is in the path. A slug that can't be decoded is treated as a poll that doesn't exist.
#[derive(Debug)]
pub struct PollPath(pub Arc<LivePoll>);

impl FromRequestParts<Arc<CoreState>> for PollPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, core: &Arc<CoreState>) -> Result<Self, Problem> {
        let Path(slug) = Path::<String>::from_request_parts(parts, core).await.map_err(|_| Problem::PollNotFound)?;
        core.app.polls.current().by_slug(&slug).cloned().map(Self).ok_or(Problem::PollNotFound)
    }
}
