//! The poll that an address names.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path};
use hyper::http::request::Parts;

use super::error::Problem;
use crate::app::CoreState;
use crate::results::LivePoll;

/// The poll whose slug is in the address. A name that can't be read is a poll that isn't there.
#[derive(Debug)]
pub struct PollPath(pub Arc<LivePoll>);

impl FromRequestParts<Arc<CoreState>> for PollPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, core: &Arc<CoreState>) -> Result<Self, Problem> {
        let Path(slug) = Path::<String>::from_request_parts(parts, core).await.map_err(|_| Problem::PollNotFound)?;
        core.app.polls.current().by_slug(&slug).cloned().map(Self).ok_or(Problem::PollNotFound)
    }
}
