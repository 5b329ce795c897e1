//! What requests to administer polls have in common: who sends them and why, a body of JSON, a poll's version.

use std::sync::Arc;

use axum::extract::{Extension, FromRequest, FromRequestParts, Path, Query, Request};
use axum::response::{IntoResponse as _, Response};
use hyper::header::{CONTENT_TYPE, ETAG, HeaderValue, IF_MATCH};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, StatusCode};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use throng_domain::admin_token::AdminToken;
use throng_domain::audit::Author;
use throng_domain::poll::{Poll, Slug};
use throng_domain::store::StoreError;
use tokio::sync::SemaphorePermit;
use tracing::error;

use crate::http::body::{read, require_no_coding};
use crate::http::openapi::{Operation, body_problems, change_problems, examples, song};
use crate::http::problem::Problem;
use crate::http::response;
use crate::polls::{PollError, PollService};
use crate::state::CoreState;
use crate::view::AdminPollView;

/// The largest body, in bytes: enough for a poll with as many options as it may have, each as long as it may be.
const BODY_BYTES_MAX: usize = 256 * 1_024;

/// Who sends a request, and what it says of any change: the token's name and number, the query's `reason` and `apply`, and the
/// version of the poll in `If-Match`.
#[derive(Debug)]
pub struct Administrator {
    /// Who, and why.
    pub author: Author,
    /// Whether a change is made that would otherwise only be shown.
    pub apply: bool,
    /// The version of the poll that is to be changed; any, if none is given.
    version: Option<u64>,
}

/// The query of a request that changes something.
#[derive(Default, JsonSchema, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChangeQuery {
    /// Why, for the audit log.
    reason: String,
    /// Whether a change is made that would otherwise only be shown, such as of rules that void ballots.
    apply: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for Administrator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Extension(token) = Extension::<AdminToken>::from_request_parts(parts, state)
            .await
            .map_err(|error| Problem::Internal(Some(error.to_string())))?;
        let reads = parts.method == Method::GET || parts.method == Method::HEAD;
        let Parameters(ChangeQuery { reason, apply }) = Parameters::from_request_parts(parts, state).await?;
        let version = if reads { None } else { if_match(&parts.headers)?.flatten() };
        let author = Author::new(&format!("{}#{}@api", token.name, token.number), &reason);
        Ok(Self { author, apply, version })
    }
}

impl Administrator {
    /// The polls, changed by this administrator.
    pub fn polls<'a>(&'a self, core: &'a CoreState) -> PollService<'a> {
        let app = &core.app;
        PollService::new(&*app.source.store, &*app.clock, &app.config, &self.author).at(self.version)
    }

    /// Checks that a reason is given.
    ///
    /// # Errors
    /// [`Problem::InvalidQuery`].
    pub fn require_reason(&self) -> Result<(), Problem> {
        if self.author.reason.trim().is_empty() {
            return Err(Problem::InvalidQuery(
                "give a reason, for those who read the audit log later: ?reason=…".to_owned(),
            ));
        }
        Ok(())
    }
}

/// The version in `If-Match`: `Some(None)` is any, `None` is none given.
fn if_match(headers: &HeaderMap) -> Result<Option<Option<u64>>, Problem> {
    let Some(tag) = headers.get(IF_MATCH) else { return Ok(None) };
    let tag = tag.to_str().unwrap_or_default().trim();
    if tag == "*" {
        return Ok(Some(None));
    }
    let tags = entity_tags(tag).ok_or_else(|| invalid("If-Match takes an entity tag, such as \"3\", or *"))?;
    let mut versions = tags.iter().filter_map(|tag| tag.parse().ok());
    match (versions.next(), versions.next()) {
        (Some(version), None) => Ok(Some(Some(version))),
        // They are of something else, so no version of a poll fits.
        (None, _) => Ok(Some(Some(NO_VERSION))),
        (Some(_), Some(_)) => Err(invalid("If-Match takes one version of a poll")),
    }
}

/// A version that no poll has.
const NO_VERSION: u64 = 0;

fn invalid(why: &str) -> Problem {
    Problem::InvalidHeader(why.to_owned())
}

/// The strong ones of a list of entity tags, without their quotes (RFC 9110, 8.8.3); `None` if it is no such list. A weak one never fits
/// in `If-Match`.
fn entity_tags(list: &str) -> Option<Vec<&str>> {
    let (mut strong, mut rest) = (Vec::new(), list);
    loop {
        let is_weak = rest.starts_with("W/");
        let (tag, after) = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"')?.split_once('"')?;
        if !is_weak {
            strong.push(tag);
        }
        match after.trim_start() {
            "" => return Some(strong),
            more => rest = more.strip_prefix(',')?.trim_start(),
        }
    }
}

/// Checks that a request says which version of the poll it changes, or that any will do.
///
/// # Errors
/// [`Problem::IfMatchMissing`].
pub fn require_if_match(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.contains_key(IF_MATCH) { Ok(()) } else { Err(Problem::IfMatchMissing) }
}

/// How a change is described.
pub fn with_change(operation: Operation) -> Operation {
    operation.query::<ChangeQuery>().problems(change_problems())
}

/// How a change of a poll is described: its `If-Match` may be left out.
pub fn with_version(operation: Operation) -> Operation {
    let operation = operation.header::<String>("If-Match", IF_MATCH_MEANS, json!("*"));
    with_change(operation).problems([other_version()])
}

/// How a change is described that has to say which version of the poll it changes.
pub fn with_required_version(operation: Operation) -> Operation {
    let operation = operation.required_header::<String>("If-Match", IF_MATCH_MEANS, json!("*"));
    with_change(operation).problems([other_version(), Problem::IfMatchMissing])
}

fn other_version() -> Problem {
    Problem::Poll(PollError::OtherVersion { slug: song(), expected: 3, version: 4 })
}

const IF_MATCH_MEANS: &str =
    "The `ETag` of the poll as the sender has seen it, or `*`; if the poll was changed since, nothing is done.";

/// How a body of JSON is described.
pub fn with_json_body<T: JsonSchema>(operation: Operation, example: Value) -> Operation {
    operation
        .body::<T>(example)
        .problems(body_problems(BODY_BYTES_MAX))
        .problems([Problem::NotJson, Problem::InvalidBody("unknown field `votes` at line 1 column 8".to_owned())])
}

/// How the slug in the path is described.
pub fn with_slug(operation: Operation) -> Operation {
    operation.path::<Slug>("slug", "The poll's name in addresses.", json!("song")).problems([Problem::PollNotFound])
}

/// How a response with the poll is described.
pub fn responds_poll(operation: Operation, status: StatusCode, description: &'static str) -> Operation {
    operation
        .responds::<AdminPollView<'_>>(status, description, examples::admin_poll())
        .with_header("ETag", "The poll's version, for `If-Match`.")
}

/// A poll to be created, as an example.
pub fn new_poll_example() -> Value {
    json!({ "slug": "song", "title": "Best song?", "options": ["Alpha", "Beta"], "opens_at": "now", "closes_at": "+2h" })
}

/// The parameters in the query.
#[derive(Debug)]
pub struct Parameters<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Query(parameters) = Query::try_from_uri(&parts.uri)
            .map_err(|error| Problem::InvalidQuery(without_prefix(&error.body_text())))?;
        Ok(Self(parameters))
    }
}

/// What is wrong, without the library's words before it.
fn without_prefix(text: &str) -> String {
    text.strip_prefix("Failed to deserialize query string: ").unwrap_or(text).to_owned()
}

/// What is in the path; if it can't be that, there is nothing there.
#[derive(Debug)]
pub struct PathParameters<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for PathParameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(parameters) = Path::from_request_parts(parts, state).await.map_err(|_| Problem::NotFound)?;
        Ok(Self(parameters))
    }
}

/// The slug in the path; one that can't be a slug is treated as that of a poll that doesn't exist.
#[derive(Debug)]
pub struct SlugPath(pub Slug);

impl<S: Send + Sync> FromRequestParts<S> for SlugPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        struct Named {
            slug: Slug,
        }
        let Path(Named { slug }) = Path::from_request_parts(parts, state).await.map_err(|_| Problem::PollNotFound)?;
        Ok(Self(slug))
    }
}

/// A body of JSON. Only `application/json` is accepted, which no form of another site's page can send.
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        require_no_coding(request.headers())?;
        if !is_json(request.headers()) {
            return Err(Problem::NotJson);
        }
        let body = read(request.into_body(), BODY_BYTES_MAX).await?;
        // A list would be taken for the fields in their order.
        if body.trim_ascii_start().first() != Some(&b'{') {
            return Err(Problem::InvalidBody("it has to be a JSON object".to_owned()));
        }
        serde_json::from_slice(&body).map(Self).map_err(|error| Problem::InvalidBody(error.to_string()))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    media_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// A permit to read all ballots of a poll, which occupies one of the few threads for that: one at a time.
///
/// # Errors
/// [`Problem::LongReadsBusy`].
pub fn long_read(core: &CoreState) -> Result<SemaphorePermit<'_>, Problem> {
    core.app.recounts.try_acquire().map_err(|_| Problem::LongReadsBusy)
}

/// The poll after a change, which this server knows of at once.
pub async fn changed(core: &Arc<CoreState>, poll: &Poll) -> Response {
    reload(core).await;
    poll_response(core, poll)
}

/// Lets this server know of a change. Others, and this one if it fails here, see it within a second.
pub async fn reload(core: &CoreState) {
    let _ = core.app.polls.reload(&core.app.source).await;
}

/// The poll, with its version as entity tag.
pub fn poll_response(core: &CoreState, poll: &Poll) -> Response {
    let mut response = json_response(&AdminPollView::new(poll, core.app.clock.now()));
    let etag = HeaderValue::from_str(&format!("\"{}\"", poll.version)).expect("digits fit in a header");
    response.headers_mut().insert(ETAG, etag);
    response
}

/// The response with this status.
pub fn with_status(status: StatusCode, mut response: Response) -> Response {
    *response.status_mut() = status;
    response
}

/// A response of JSON.
pub fn json_response(value: &impl Serialize) -> Response {
    response::json(serde_json::to_vec(value).expect("it has only strings for keys").into())
}

/// A response without a body.
pub fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// The problem of a change that failed. If the database can't be written any more, this server stops, as it would with a vote.
pub fn failed(core: &CoreState, error: PollError) -> Problem {
    if let PollError::Store(error @ StoreError::WriteFailed(_)) = &error {
        error!(%error, "a change of a poll can't be stored; no more ballots are recorded");
        core.app.intake_failed.cancel();
    }
    Problem::from(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Result<Option<Option<u64>>, &'static str> {
        let headers = [(IF_MATCH, value.parse().unwrap())].into_iter().collect();
        if_match(&headers).map_err(|problem| problem.code())
    }

    #[test]
    fn versions_are_read_from_entity_tags() {
        assert_eq!(read("*"), Ok(Some(None)));
        assert_eq!(read("\"3\""), Ok(Some(Some(3))));
        assert_eq!(read("\"of another, resource\" , \"3\""), Ok(Some(Some(3))));
        // Weak tags and those of something else fit no version (RFC 9110, 13.1.1).
        for other in ["W/\"3\"", "\"a\"", "\"\"", "\"a\", W/\"b\"", "\"-1\""] {
            assert_eq!(read(other), Ok(Some(Some(NO_VERSION))), "{other}");
        }
        for malformed in ["", "3", "\"3", "\"3\" \"4\"", "\"3\",", "w/\"3\"", "\"3\", \"4\""] {
            assert_eq!(read(malformed), Err("invalid_header"), "{malformed}");
        }
    }
}
