//! The errors of all routes, as problem details (RFC 9457). No module but this maps errors to status codes.

mod administration;
mod refusal;

use std::panic::AssertUnwindSafe;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::FutureExt as _;
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use schemars::JsonSchema;
use serde::Serialize;
use throng_domain::ballot::BallotId;
use throng_domain::store::StoreError;
use throng_domain::submission::NotABallot;

use crate::access::AccessError;
use crate::polls::PollError;
use crate::state::{CoreState, Dependency};
use crate::view::ChoicesView;
use crate::voting::{Earlier, Refusal};

/// An error in handling a request.
#[derive(Debug)]
pub enum Problem {
    /// The request is not valid HTTP; with the status code that HTTP defines for it.
    BadRequest(StatusCode),
    /// There is no route for this address.
    NotFound,
    /// There is no such poll, or it isn't visible.
    PollNotFound,
    /// A page of a foreign origin that isn't allowed sent a ballot.
    OriginNotAllowed,
    /// A page of an origin that the poll doesn't list sent a ballot, or the withdrawal of one.
    OriginNotListed,
    /// The address exists, but doesn't support this method.
    MethodNotAllowed,
    /// The body is larger than the route accepts.
    TooLarge {
        /// The most that it accepts, in bytes.
        bytes_max: usize,
    },
    /// The body ended early or could not be read.
    BodyUnreadable,
    /// The body took too long to arrive.
    RequestTimeout,
    /// The body is compressed or has another content coding.
    UnsupportedContentEncoding,
    /// The body's media type isn't accepted at this address.
    UnsupportedMediaType,
    /// The body isn't a ballot.
    NotABallot(String),
    /// The vote isn't counted.
    Refused(Refusal),
    /// There is no receipt in the request, or none of this ballot.
    ReceiptInvalid,
    /// The results aren't visible now or to this client.
    ResultsHidden,
    /// The results can't be read.
    ResultsUnavailable(Cause),
    /// This server can't be used yet, or now, since this dependency is unavailable.
    NotReady(Dependency, Cause),
    /// The request may not administer polls, or not so.
    Access(AccessError),
    /// A page of another site sent a request to administer polls.
    CrossSite,
    /// The body isn't what the route takes.
    InvalidBody(String),
    /// The query isn't what the route takes.
    InvalidQuery(String),
    /// A header isn't what the route takes.
    InvalidHeader(String),
    /// There is no token with this number.
    TokenNotFound,
    /// There is no webhook with this number.
    WebhookNotFound,
    /// There is no such show.
    ShowNotFound,
    /// The request doesn't say which version of the poll it changes.
    IfMatchMissing,
    /// The poll wasn't changed.
    Poll(PollError),
    /// As many exports or recounts are running as may at the same time.
    LongReadsBusy,
    /// The body isn't JSON, where nothing else is accepted.
    NotJson,
    /// The server is shutting down; other servers may be ready.
    ShuttingDown,
    /// An internal error.
    Internal(Cause),
}

/// The cause of a failure as text for the log; `None` where it is already logged. Never part of a response.
pub type Cause = Option<String>;

/// What is logged of a 5xx response beside its status; carried in the extensions of the response.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The problem's code.
    pub code: &'static str,
    /// The cause.
    pub cause: Cause,
}

/// The value of `Retry-After` in a 503 response, in seconds.
const RETRY_AFTER_S: u32 = 1;

/// An error, as problem details (RFC 9457).
#[derive(JsonSchema, Serialize)]
#[schemars(rename = "Problem")]
pub struct Details<'a> {
    r#type: &'static str,
    /// What is wrong, in a few words.
    title: &'static str,
    /// The status of the response.
    status: u16,
    /// What the client can do next.
    detail: &'a str,
    /// The kind of the problem, for programs.
    code: &'static str,
    #[serde(flatten)]
    choices: Option<ChoicesView<'a>>,
    /// With `outcome_unknown`: the id to send the same ballot again with.
    #[serde(skip_serializing_if = "Option::is_none")]
    ballot_id: Option<BallotId>,
    /// With `proof_required` and `proof_invalid`: what to solve for this ballot.
    #[serde(skip_serializing_if = "Option::is_none")]
    challenge: Option<&'a str>,
    /// With `invalid_poll`: every rule that the poll would break.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    faults: &'a [String],
}

impl Problem {
    /// The problem's stable code, for programs.
    pub fn code(&self) -> &'static str {
        let (_, code, _) = self.kind();
        code
    }

    /// The status of its response.
    pub fn status(&self) -> StatusCode {
        let (status, ..) = self.kind();
        status
    }

    /// What is wrong, in a few words.
    pub fn title(&self) -> &'static str {
        let (.., title) = self.kind();
        title
    }

    /// Status, code and title. The code is stable: programs may rely on it.
    fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::BadRequest(status) => (*status, "bad_request", "Invalid request"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found", "There is nothing here"),
            Self::PollNotFound => (StatusCode::NOT_FOUND, "poll_not_found", "There is no such poll"),
            Self::OriginNotAllowed => (StatusCode::FORBIDDEN, "origin_not_allowed", "Origin not allowed"),
            Self::OriginNotListed => {
                (StatusCode::FORBIDDEN, "origin_not_listed", "Pages of this origin may not vote in this poll")
            }
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed"),
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The body is too large"),
            Self::BodyUnreadable => (StatusCode::BAD_REQUEST, "body_unreadable", "The body can't be read"),
            Self::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "request_timeout", "Request timeout"),
            Self::UnsupportedContentEncoding => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_content_encoding", "Unsupported content encoding")
            }
            Self::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "Unsupported media type")
            }
            Self::NotABallot(_) => (StatusCode::UNPROCESSABLE_ENTITY, "not_a_ballot", "The body isn't a ballot"),
            Self::Refused(refusal) => refusal::kind(refusal),
            Self::ReceiptInvalid => {
                (StatusCode::FORBIDDEN, "receipt_invalid", "There is no valid receipt for this ballot")
            }
            Self::ResultsHidden => (StatusCode::FORBIDDEN, "results_hidden", "The results aren't public"),
            Self::ResultsUnavailable(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "results_unavailable", "The results are temporarily unavailable")
            }
            Self::Access(error) => administration::access_kind(error),
            Self::CrossSite => (StatusCode::FORBIDDEN, "cross_site", "A page of another site sent this"),
            Self::InvalidBody(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_body", "The body isn't valid"),
            Self::InvalidQuery(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_query", "The query isn't valid"),
            Self::InvalidHeader(_) => (StatusCode::BAD_REQUEST, "invalid_header", "A header isn't valid"),
            Self::ShowNotFound => (StatusCode::NOT_FOUND, "show_not_found", "There is no such show"),
            Self::WebhookNotFound => (StatusCode::NOT_FOUND, "webhook_not_found", "There is no such webhook"),
            Self::TokenNotFound => (StatusCode::NOT_FOUND, "token_not_found", "There is no such token"),
            Self::IfMatchMissing => {
                (StatusCode::PRECONDITION_REQUIRED, "if_match_required", "The request needs the poll's version")
            }
            Self::Poll(error) => administration::poll_kind(error),
            Self::LongReadsBusy => {
                (StatusCode::SERVICE_UNAVAILABLE, "long_reads_busy", "Other exports or recounts are running")
            }
            Self::NotJson => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "Unsupported media type"),
            Self::NotReady(dependency, _) => refusal::unavailable(*dependency),
            Self::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, "shutting_down", "This server is shutting down"),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal server error"),
        }
    }

    /// What the client can do next, as text.
    fn detail(&self) -> String {
        match self {
            Self::BadRequest(_) => {
                "Send a well-formed HTTP/1.1 request with one host, one length and a head of at most 16 KB.".into()
            }
            Self::NotFound => "Check the address. The API's routes begin with /api/.".into(),
            Self::PollNotFound => "Check the poll's name in the address.".into(),
            Self::OriginNotAllowed => {
                "The ballot was not counted. To accept ballots from pages of this origin, add it to CORS_ALLOW_ORIGIN; \
                if it is the poll's own page, configure the proxy in front to pass on the original Host header."
                    .into()
            }
            Self::OriginNotListed => {
                "Nothing was counted or changed. This poll lists the origins whose pages may vote in it: to add this one, name it \
                with the others in throng poll edit --allow-origin (null for pages in sandboxed frames); if it is the poll's own \
                page, configure the proxy in front to pass on the original Host header."
                    .into()
            }
            Self::MethodNotAllowed => "The Allow header lists the methods that this address supports.".into(),
            Self::TooLarge { bytes_max } => format!("Send a body of at most {} KB.", bytes_max / 1_024),
            Self::BodyUnreadable => "Send the whole body, with the length given in Content-Length.".into(),
            Self::RequestTimeout => "Send the whole request within 8 seconds.".into(),
            Self::UnsupportedContentEncoding => "Send the body uncompressed, without Content-Encoding.".into(),
            Self::UnsupportedMediaType => "Send application/json or text/plain.".into(),
            Self::NotABallot(why) => why.clone(),
            Self::Refused(refusal) => refusal::detail(refusal),
            Self::ReceiptInvalid => {
                "Send, in the header Throng-Receipt, the receipt of the 2xx response to the ballot with exactly this id.".into()
            }
            Self::ResultsHidden => "The poll shows its results only to voters, only after its close, or never.".into(),
            Self::Access(error) => administration::access_detail(error),
            Self::CrossSite => {
                "Nothing was changed. Polls are administered by programs, and by this server's own pages.".into()
            }
            Self::InvalidBody(why) | Self::InvalidQuery(why) | Self::InvalidHeader(why) => format!("Nothing was done: {why}."),
            Self::ShowNotFound => "Check the show's name in the address.".into(),
            Self::WebhookNotFound => "GET /api/v1/admin/webhooks lists those that there are, with their numbers.".into(),
            Self::TokenNotFound => "GET /api/v1/admin/tokens lists those that there are, with their numbers.".into(),
            Self::IfMatchMissing => {
                "Nothing was changed. Send, as If-Match, the ETag of the poll as you have seen it, so that nobody else's change is \
                undone; or * for any version."
                    .into()
            }
            Self::Poll(error) => administration::poll_detail(error),
            Self::NotJson => "Send application/json.".into(),
            Self::LongReadsBusy => "Send the request again after the number of seconds in Retry-After.".into(),
            Self::ResultsUnavailable(_) => "Send the request again after the number of seconds in Retry-After.".into(),
            Self::NotReady(..) => refusal::NOTHING_ACCEPTED.into(),
            Self::ShuttingDown => "Send requests to another server, or to this one after its restart.".into(),
            Self::Internal(_) => {
                "The error is logged. A ballot sent again counts once if it has the same ballot_id, and may \
                count twice without one."
                    .into()
            }
        }
    }

    fn cause(&self) -> Cause {
        // An operator's mistake, which nothing else logs.
        if let Self::Refused(refusal @ Refusal::VoterKeysMissing) = self {
            return Some(refusal.to_string());
        }
        if let Self::Access(AccessError::Unavailable(error))
        | Self::Poll(PollError::Store(error) | PollError::Busy(error)) = self
        {
            return Some(error.to_string());
        }
        if let Self::ResultsUnavailable(cause) | Self::NotReady(_, cause) | Self::Internal(cause) = self {
            cause.clone()
        } else {
            None
        }
    }

    /// After how many seconds the same request may be successful, if it may.
    fn retry_after_s(&self) -> Option<u32> {
        if let Self::Refused(Refusal::RateLimited { retry_after_s }) = self {
            return Some(*retry_after_s);
        }
        if let Self::Access(AccessError::Throttled { retry_after_s }) = self {
            return Some(*retry_after_s);
        }
        let (status, ..) = self.kind();
        (status == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_AFTER_S)
    }

    /// The problem of a server whose store can't be read.
    pub fn store_not_ready(error: StoreError) -> Self {
        Self::NotReady(Dependency::Store, Some(error.to_string()))
    }

    /// Counts the vote that ended with this problem in the core's metrics.
    pub fn count_refused_ballot(&self, core: &CoreState) {
        core.metrics.ballot_refused(self.code());
    }

    /// The response for this problem.
    pub fn response<B: From<Bytes>>(&self) -> Response<B> {
        let (status, code, _) = self.kind();
        let mut response = Response::new(B::from(self.body()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_s() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status.is_server_error() {
            response.extensions_mut().insert(Failure { code, cause: self.cause() });
        }
        response
    }

    fn body(&self) -> Bytes {
        let (status, code, title) = self.kind();
        let choices = if let Self::Refused(Refusal::AlreadyVoted(Earlier::OfVoter { only, .. })) = self {
            only.as_ref().map(ChoicesView::from)
        } else {
            None
        };
        let ballot_id = if let Self::Refused(Refusal::OutcomeUnknown(id)) = self { Some(*id) } else { None };
        let challenge = if let Self::Refused(refusal) = self { refusal.challenge() } else { None };
        let faults = if let Self::Poll(error) = self { administration::faults(error) } else { &[] };
        let (detail, status) = (&*self.detail(), status.as_u16());
        let details =
            Details { r#type: "about:blank", title, status, detail, code, choices, ballot_id, challenge, faults };
        serde_json::to_vec(&details).expect("problem details have only strings for keys").into()
    }
}

/// The body of an error response that is sent before a request is routed.
pub fn error_body(status: StatusCode) -> Bytes {
    if status == StatusCode::SERVICE_UNAVAILABLE {
        Problem::Refused(Refusal::Overloaded).body()
    } else {
        Problem::BadRequest(status).body()
    }
}

/// The response of `route`; if it panics, that of [`Problem::Internal`]: one request doesn't end the others' connections.
pub fn catch_panic<B: From<Bytes>>(route: impl Future<Output = Response<B>>) -> impl Future<Output = Response<B>> {
    AssertUnwindSafe(route).catch_unwind().map(|done| {
        done.unwrap_or_else(|panic| {
            let message = panic.downcast_ref::<&str>().copied();
            let message = message.or(panic.downcast_ref::<String>().map(String::as_str));
            let message = message.unwrap_or("no message");
            Problem::Internal(Some(format!("panicked: {message}"))).response()
        })
    })
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.response()
    }
}

impl From<NotABallot> for Problem {
    fn from(error: NotABallot) -> Self {
        Self::NotABallot(format!("{error}."))
    }
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        Self::Access(error)
    }
}

impl From<PollError> for Problem {
    fn from(error: PollError) -> Self {
        Self::Poll(error)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::Poll(PollError::Store(error))
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

#[cfg(test)]
mod tests {
    use throng_domain::ballot::Choices;
    use throng_domain::poll::{InvalidChoice, OptionId};

    use super::*;
    use crate::telemetry::metrics::REFUSAL_REASONS;
    use crate::voting::TokenFault;

    /// One of every kind. A new variant is added here when the compiler asks for its status.
    fn every_problem() -> Vec<Problem> {
        let choices = Choices::new([OptionId(1), OptionId(3)]).expect("two choices");
        let id = BallotId(uuid::Uuid::nil());
        let refusals = [
            Refusal::InvalidChoice(InvalidChoice::None),
            Refusal::InvalidChoice(InvalidChoice::Unknown(OptionId(9))),
            Refusal::InvalidChoice(InvalidChoice::TooFew { min: 2 }),
            Refusal::InvalidChoice(InvalidChoice::TooMany { max: 2 }),
            Refusal::BallotIdMissing,
            Refusal::BallotIdReused,
            Refusal::AlreadyVoted(Earlier::OfVoter { ballots: 1, only: Some(choices) }),
            Refusal::AlreadyVoted(Earlier::OfNetwork { ballots: 100 }),
            Refusal::OptionQuotaUsed(OptionId(3)),
            Refusal::NotChangeable,
            Refusal::NothingToWithdraw,
            Refusal::CodeRequired,
            Refusal::CodeInvalid,
            Refusal::ProofRequired { challenge: None },
            Refusal::ProofRequired { challenge: Some("1.1800000300.10000.c0de".to_owned()) },
            Refusal::ProofInvalid { challenge: "1.1800000300.10000.c0de".to_owned() },
            Refusal::VoterTokenMissing,
            Refusal::VoterTokenInvalid(TokenFault::Expired),
            Refusal::VoterKeysMissing,
            Refusal::Rehearsal,
            Refusal::PollNotOpen,
            Refusal::PollClosed,
            Refusal::RateLimited { retry_after_s: 7 },
            Refusal::Overloaded,
            Refusal::Unavailable(Dependency::Store),
            Refusal::Unavailable(Dependency::Queue),
            Refusal::OutcomeUnknown(id),
        ];
        let others = [
            Problem::BadRequest(StatusCode::BAD_REQUEST),
            Problem::NotFound,
            Problem::PollNotFound,
            Problem::OriginNotAllowed,
            Problem::OriginNotListed,
            Problem::MethodNotAllowed,
            Problem::TooLarge { bytes_max: 16 * 1_024 },
            Problem::BodyUnreadable,
            Problem::RequestTimeout,
            Problem::UnsupportedContentEncoding,
            Problem::UnsupportedMediaType,
            Problem::NotABallot("Why it isn't one.".to_owned()),
            Problem::ReceiptInvalid,
            Problem::ResultsHidden,
            Problem::ResultsUnavailable(None),
            Problem::NotReady(Dependency::Store, Some("the cause, which is logged".to_owned())),
            Problem::NotReady(Dependency::Queue, None),
            Problem::ShuttingDown,
            Problem::Internal(Some("the cause, which is logged".to_owned())),
        ];
        refusals.map(Problem::Refused).into_iter().chain(others).collect()
    }

    #[test]
    fn every_refusal_is_counted_by_its_code() {
        for problem in every_problem() {
            if let Problem::Refused(_) = problem {
                assert!(REFUSAL_REASONS.contains(&problem.code()), "{}", problem.code());
            }
        }
    }

    #[test]
    fn responses_are_as_reviewed() {
        let mut all = String::new();
        for problem in every_problem() {
            let response: Response<Bytes> = problem.response();
            let details: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
            all.push_str(&format!("{} {details:#}\n", response.status()));
        }
        assert!(!all.contains("the cause"), "a response contains no cause");
        insta::assert_snapshot!(all);
    }
}
