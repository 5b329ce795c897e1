//! The problems that several operations have in common, as examples of each.

use hyper::StatusCode;
use throng_domain::admin_token::Role;
use throng_domain::poll::Slug;
use throng_domain::store::StoreError;

use crate::access::AccessError;
use crate::http::problem::Problem;
use crate::polls::PollError;
use crate::state::Dependency;
use crate::voting::{Refusal, TokenFault};

/// Those of every operation.
pub(super) fn common_problems() -> Vec<Problem> {
    vec![
        Problem::BadRequest(StatusCode::BAD_REQUEST),
        Problem::Internal(None),
        Problem::Refused(Refusal::Overloaded),
        Problem::NotReady(Dependency::Store, None),
        Problem::NotReady(Dependency::Queue, None),
    ]
}

/// Those of an operation that needs a token with this role.
pub fn token_problems(needed: Role) -> Vec<Problem> {
    let mut problems = vec![
        Problem::Access(AccessError::Missing),
        Problem::Access(AccessError::Invalid),
        Problem::CrossSite,
        Problem::Access(AccessError::Throttled { retry_after_s: 60 }),
    ];
    // Every token has this role or a higher one.
    if needed != Role::Viewer {
        problems.push(Problem::Access(AccessError::Forbidden { role: Role::Viewer, needed }));
    }
    problems
}

/// Those of a body of at most so many bytes.
pub fn body_problems(bytes_max: usize) -> Vec<Problem> {
    vec![
        Problem::BodyUnreadable,
        Problem::RequestTimeout,
        Problem::TooLarge { bytes_max },
        Problem::UnsupportedContentEncoding,
    ]
}

/// Those of every change by an administrator: what `If-Match` and the query say, and what the store can't do.
pub fn change_problems() -> Vec<Problem> {
    let busy = StoreError::Conflict("the poll was changed meanwhile".to_owned());
    vec![
        Problem::InvalidHeader("If-Match takes an entity tag, such as \"3\", or *".to_owned()),
        Problem::InvalidQuery("unknown field `raeson`, expected `reason` or `apply`".to_owned()),
        Problem::Poll(PollError::Busy(busy)),
        Problem::from(StoreError::Rejected("poll `song` is archived; take it back first".to_owned())),
        Problem::from(StoreError::Unknown("the connection was closed".into())),
    ]
}

/// Those of a voter whom the poll's policy can't identify.
pub fn voter_problems() -> Vec<Problem> {
    let refusals = [
        Refusal::VoterTokenMissing,
        Refusal::VoterTokenInvalid(TokenFault::Expired),
        Refusal::VoterKeysMissing,
        Refusal::CodeRequired,
        Refusal::CodeInvalid,
        Refusal::PollNotOpen,
    ];
    refusals.map(Problem::Refused).into()
}

/// A poll for examples.
pub fn song() -> Slug {
    "song".parse().expect("it has only letters")
}
