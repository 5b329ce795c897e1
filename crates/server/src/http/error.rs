//! Every error of every route, as problem details (RFC 9457): the one place that knows status codes.

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use serde::Serialize;
use throng_domain::ballot::{BallotId, Choices};
use throng_domain::poll::InvalidChoice;
use throng_domain::store::StoreError;
use throng_domain::submission::NotABallot;

/// What can go wrong with a request.
#[derive(Debug)]
pub enum Problem {
    /// HTTP that can't be read, with the status that HTTP gives it.
    BadRequest(StatusCode),
    /// No such address.
    NotFound,
    /// No such poll, or none that is to be seen.
    PollNotFound,
    /// A page that isn't ours, and isn't allowed to, sends a ballot.
    OriginNotAllowed,
    /// The address is there, but not for this method.
    MethodNotAllowed,
    /// The body is larger than [`BODY_BYTES_MAX`](super::body::BODY_BYTES_MAX).
    TooLarge,
    /// The body ended early, or could not be read.
    BodyUnreadable,
    /// The body took too long to arrive.
    RequestTimeout,
    /// The body is compressed, or in another content coding.
    UnsupportedContentEncoding,
    /// The body is of a kind that this address doesn't take.
    UnsupportedMediaType,
    /// The body isn't a ballot.
    NotABallot(String),
    /// The ballot's choices aren't possible in this poll.
    InvalidChoice(InvalidChoice),
    /// The form has no id for its ballot.
    BallotIdMissing,
    /// Another ballot of this id has other choices.
    BallotIdReused,
    /// The voter's ballot is there already.
    AlreadyVoted(Choices),
    /// The poll isn't open yet.
    PollNotOpen,
    /// The poll is closed.
    PollClosed,
    /// The results aren't to be seen, now or by this caller.
    ResultsHidden,
    /// The results can't be read.
    ResultsUnavailable(Cause),
    /// Too many ballots are waiting.
    Overloaded,
    /// The store can't be reached.
    StoreUnavailable(Cause),
    /// The broker takes no ballots.
    QueueUnavailable,
    /// The server is on its way out: others may be ready.
    ShuttingDown,
    /// A write failed: whether the ballot of this id is counted isn't known.
    OutcomeUnknown(Option<BallotId>, Cause),
    /// A fault of ours.
    Internal(Cause),
}

/// What brought a failure about, in words for the log; none where the log has it already. No answer tells it.
pub type Cause = Option<String>;

/// What the log says of an answer with a server's error, beside its status; it goes along with the answer.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The problem's code.
    pub code: &'static str,
    /// What brought it about.
    pub cause: Cause,
}

/// Seconds after which a refused request may be sent again.
const RETRY_AFTER_S: u16 = 1;

#[derive(Serialize)]
struct Details<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    choices: Option<&'a Choices>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ballot_id: Option<BallotId>,
}

impl Problem {
    /// What programs know it by.
    pub fn code(&self) -> &'static str {
        let (_, code, _) = self.kind();
        code
    }

    /// Status, code and title: the code is what programs may rely on.
    fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::BadRequest(status) => (*status, "bad_request", "The request can't be read"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found", "There is nothing here"),
            Self::PollNotFound => (StatusCode::NOT_FOUND, "poll_not_found", "There is no such poll"),
            Self::OriginNotAllowed => {
                (StatusCode::FORBIDDEN, "origin_not_allowed", "The page may not send ballots here")
            }
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Not with this method"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The body is too large"),
            Self::BodyUnreadable => (StatusCode::BAD_REQUEST, "body_unreadable", "The body can't be read"),
            Self::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "request_timeout", "Request timeout"),
            Self::UnsupportedContentEncoding => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_content_encoding", "Unsupported content encoding")
            }
            Self::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "The body is of the wrong type")
            }
            Self::NotABallot(_) => (StatusCode::UNPROCESSABLE_ENTITY, "not_a_ballot", "The body isn't a ballot"),
            Self::InvalidChoice(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_choice", "The choice isn't possible"),
            Self::BallotIdMissing => {
                (StatusCode::UNPROCESSABLE_ENTITY, "ballot_id_missing", "The form has no ballot id")
            }
            Self::BallotIdReused => {
                (StatusCode::UNPROCESSABLE_ENTITY, "ballot_id_reused", "The ballot id belongs to another ballot")
            }
            Self::AlreadyVoted(_) => (StatusCode::CONFLICT, "already_voted", "This voter has voted already"),
            Self::PollNotOpen => (StatusCode::CONFLICT, "poll_not_open", "The poll isn't open yet"),
            Self::PollClosed => (StatusCode::GONE, "poll_closed", "The poll is closed"),
            Self::ResultsHidden => (StatusCode::FORBIDDEN, "results_hidden", "The results aren't public"),
            Self::ResultsUnavailable(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "results_unavailable", "The results can't be read right now")
            }
            Self::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded", "Too many are voting at once"),
            Self::StoreUnavailable(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", "Ballots can't be stored right now")
            }
            Self::QueueUnavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "queue_unavailable", "Ballots can't be queued right now")
            }
            Self::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, "shutting_down", "This server is about to stop"),
            Self::OutcomeUnknown(..) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "outcome_unknown", "Whether the ballot was counted isn't known")
            }
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong here"),
        }
    }

    /// What to do next, in words.
    fn detail(&self) -> String {
        match self {
            Self::BadRequest(_) => {
                "Send a well-formed HTTP/1.1 request: one host, one length, a head of at most 16 KB.".into()
            }
            Self::NotFound => "Check the address. The API's routes begin with /api/.".into(),
            Self::PollNotFound => "Check the poll's name in the address.".into(),
            Self::OriginNotAllowed => {
                "Nothing was counted. To take ballots from pages of this origin, add it to CORS_ALLOW_ORIGIN; if it is the \
                poll's own page, have the proxy in front pass on the Host it was asked for."
                    .into()
            }
            Self::MethodNotAllowed => "The Allow header names the methods that this address takes.".into(),
            Self::TooLarge => "A body has at most 16 KB.".into(),
            Self::BodyUnreadable => "Send the whole body, as long as its Content-Length says.".into(),
            Self::RequestTimeout => "Send the whole request within 8 seconds.".into(),
            Self::UnsupportedContentEncoding => "Send the body uncompressed, without Content-Encoding.".into(),
            Self::UnsupportedMediaType => "Send application/json or text/plain.".into(),
            Self::NotABallot(why) => why.clone(),
            Self::InvalidChoice(why) => format!("{why}."),
            Self::BallotIdMissing => {
                "Send the form with a ballot_id, so that it counts once if it is sent twice.".into()
            }
            Self::BallotIdReused => {
                "A ballot of this id was sent with other choices. Make a new id for a new ballot.".into()
            }
            Self::AlreadyVoted(_) => "A voter has one vote in this poll; the first ballot stands.".into(),
            Self::PollNotOpen => {
                "Nothing was counted. The poll's opens_at says when it opens, if that is known.".into()
            }
            Self::PollClosed => "Nothing was counted: the ballot arrived after the poll's close.".into(),
            Self::ResultsHidden => "The poll shows its results to others, later, or not at all.".into(),
            Self::ResultsUnavailable(_) => "Ask again after the seconds in Retry-After.".into(),
            Self::Overloaded | Self::StoreUnavailable(_) | Self::QueueUnavailable => {
                "Nothing was taken. Send the same ballot again after the seconds in Retry-After.".into()
            }
            Self::ShuttingDown => "Send requests to another server, or to this one once it is back.".into(),
            Self::OutcomeUnknown(..) => {
                "Send the same ballot again with this ballot_id, to /api/submit as Idempotency-Key: it counts once. Sent \
                without it, it may count twice."
                    .into()
            }
            Self::Internal(_) => {
                "The fault is logged. A ballot sent again counts once if it has the same ballot_id, and may \
                count twice if it has none."
                    .into()
            }
        }
    }

    fn cause(&self) -> Cause {
        if let Self::ResultsUnavailable(cause)
        | Self::StoreUnavailable(cause)
        | Self::OutcomeUnknown(_, cause)
        | Self::Internal(cause) = self
        {
            cause.clone()
        } else {
            None
        }
    }

    /// The answer that says so.
    pub fn response<B: From<Bytes>>(&self) -> Response<B> {
        let (status, code, _) = self.kind();
        let mut response = Response::new(B::from(self.body()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
        }
        if status.is_server_error() {
            response.extensions_mut().insert(Failure { code, cause: self.cause() });
        }
        response
    }

    fn body(&self) -> Bytes {
        let (status, code, title) = self.kind();
        let choices = if let Self::AlreadyVoted(choices) = self { Some(choices) } else { None };
        let ballot_id = if let Self::OutcomeUnknown(ballot_id, _) = self { *ballot_id } else { None };
        let (detail, status) = (&*self.detail(), status.as_u16());
        let details = Details { r#type: "about:blank", title, status, detail, code, choices, ballot_id };
        serde_json::to_vec(&details).expect("problem details have only strings for keys").into()
    }
}

/// The body of an answer that is given before a request comes to its route.
pub fn refusal_body(status: StatusCode) -> Bytes {
    if status == StatusCode::SERVICE_UNAVAILABLE {
        Problem::Overloaded.body()
    } else {
        Problem::BadRequest(status).body()
    }
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

impl From<InvalidChoice> for Problem {
    fn from(error: InvalidChoice) -> Self {
        Self::InvalidChoice(error)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let cause = Some(error.to_string());
        match error {
            StoreError::Unavailable(_) | StoreError::Displaced(_) => Self::StoreUnavailable(cause),
            StoreError::Unknown(_) => Self::OutcomeUnknown(None, cause),
            StoreError::Conflict(_) | StoreError::Rejected(_) | StoreError::WriteFailed(_) | StoreError::Corrupt(_) => {
                Self::Internal(cause)
            }
        }
    }
}
