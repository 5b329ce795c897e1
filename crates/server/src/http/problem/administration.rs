//! The problems of those who administer polls.

use hyper::StatusCode;
use throng_domain::poll_change::EditFault;
use throng_domain::store::StoreError;
use throng_domain::window::WindowFault;

use crate::access::AccessError;
use crate::polls::PollError;
use crate::view::rfc3339_text;

/// Status, code and title where the database can't be reached.
const STORE_UNAVAILABLE: (StatusCode, &str, &str) =
    (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", "The database is unavailable");

/// Status, code and title of a request that isn't allowed.
pub(super) fn access_kind(error: &AccessError) -> (StatusCode, &'static str, &'static str) {
    match error {
        AccessError::Missing => (StatusCode::UNAUTHORIZED, "token_required", "This needs a token"),
        AccessError::Invalid => (StatusCode::UNAUTHORIZED, "token_invalid", "The token isn't valid"),
        AccessError::Throttled { .. } => {
            (StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", "Too many invalid tokens from this network")
        }
        AccessError::Forbidden { .. } => {
            (StatusCode::FORBIDDEN, "role_insufficient", "The token's role doesn't allow this")
        }
        AccessError::Unavailable(_) => STORE_UNAVAILABLE,
    }
}

/// What the sender of a request that isn't allowed can do next.
pub(super) fn access_detail(error: &AccessError) -> String {
    match error {
        AccessError::Missing => {
            "Send a token as `Authorization: Bearer TOKEN`. An operator makes one with `throng token create`.".into()
        }
        AccessError::Invalid => {
            "It doesn't exist, is mistyped, has expired or was revoked. An operator makes one with `throng token create`."
                .into()
        }
        AccessError::Throttled { .. } => {
            "Check the token. Another invalid one from this network is looked at after the number of seconds in Retry-After.".into()
        }
        AccessError::Forbidden { .. } => format!("Nothing was done: {error}."),
        AccessError::Unavailable(_) => TRY_AGAIN.into(),
    }
}

const TRY_AGAIN: &str = "Nothing was changed. Send the request again after the number of seconds in Retry-After.";

/// Status, code and title where a poll wasn't changed.
pub(super) fn poll_kind(error: &PollError) -> (StatusCode, &'static str, &'static str) {
    const UNCHANGED: &str = "The poll was not changed";
    match error {
        PollError::NotFound { .. } => (StatusCode::NOT_FOUND, "poll_not_found", "There is no such poll"),
        PollError::NoSuchBatch { .. } => (StatusCode::NOT_FOUND, "batch_not_found", "There is no such batch of codes"),
        PollError::SlugTaken(_) => (StatusCode::CONFLICT, "slug_taken", "Another poll has this slug"),
        PollError::Invalid(_)
        | PollError::NoOpeningToCountFrom
        | PollError::Edit { fault: EditFault::Invalid(_), .. } => {
            (StatusCode::UNPROCESSABLE_ENTITY, "invalid_poll", "The poll would break a rule")
        }
        PollError::Window { .. } => (StatusCode::CONFLICT, "invalid_window", UNCHANGED),
        PollError::Edit { fault: EditFault::Fixed(_), .. } => (StatusCode::CONFLICT, "poll_fixed", UNCHANGED),
        PollError::OtherVersion { .. } => {
            (StatusCode::PRECONDITION_FAILED, "version_mismatch", "The poll was changed meanwhile")
        }
        PollError::RehearsalForGood { .. } => (StatusCode::CONFLICT, "rehearsal_fixed", UNCHANGED),
        PollError::NotARehearsal(_) => (StatusCode::CONFLICT, "not_a_rehearsal", "The poll isn't a rehearsal"),
        PollError::ShowNotFound(_) => (StatusCode::NOT_FOUND, "show_not_found", "There is no such show"),
        PollError::InvalidShow(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_show", "The show would break a rule"),
        PollError::OtherShowVersion { .. } => {
            (StatusCode::PRECONDITION_FAILED, "version_mismatch", "The show was changed meanwhile")
        }
        PollError::InvalidPass(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_body", "The body isn't valid"),
        PollError::HasNoCodes { .. } => (StatusCode::CONFLICT, "no_codes", "The poll has no invitation codes"),
        PollError::RecordDisagrees(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "record_disagrees", "The ballots don't add up")
        }
        PollError::NotFinal(_) => (StatusCode::CONFLICT, "not_final", "The result isn't final yet"),
        PollError::Busy(_) | PollError::DiffersAgain(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, "busy", "Other changes were faster")
        }
        PollError::Store(error) => store_kind(error),
    }
}

fn store_kind(error: &StoreError) -> (StatusCode, &'static str, &'static str) {
    match error {
        StoreError::Unavailable(_) => STORE_UNAVAILABLE,
        StoreError::Conflict(_) => (StatusCode::CONFLICT, "conflict", "Another change was faster"),
        StoreError::Rejected(_) => (StatusCode::CONFLICT, "not_allowed", "This can't be done"),
        StoreError::Unknown(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "outcome_unknown", "It is unknown whether this was done")
        }
        StoreError::WriteFailed(_) | StoreError::Displaced(_) | StoreError::Corrupt(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal server error")
        }
    }
}

/// What the sender of a change that wasn't made can do next.
pub(super) fn poll_detail(error: &PollError) -> String {
    match error {
        PollError::NotFound { .. } => "Check the poll's slug in the address.".into(),
        PollError::NoSuchBatch { name, .. } => {
            format!("The poll has no batch `{name}`; GET …/codes lists those that it has.")
        }
        PollError::SlugTaken(_) => "Nothing was created. Choose another slug, or change that poll.".into(),
        PollError::Invalid(_) | PollError::Edit { fault: EditFault::Invalid(_), .. } => {
            "Nothing was changed. `faults` has every rule that the poll would break.".into()
        }
        PollError::NoOpeningToCountFrom => {
            "Nothing was created: a delay in closes_at counts from opens_at, which isn't given.".into()
        }
        PollError::Window { fault, .. } => window_detail(*fault),
        PollError::Edit { fault: fault @ EditFault::Fixed(_), .. } => format!("Nothing was changed: {fault}."),
        PollError::OtherVersion { version, .. } => {
            format!("Nothing was changed. The poll is at version {version}: read it again, then decide.")
        }
        PollError::RehearsalForGood { .. } => {
            "Nothing was changed: whether a poll is a rehearsal is decided when it is created, for good. Create another poll.".into()
        }
        PollError::NotARehearsal(_) => {
            "No load run may vote in it. Create a poll with `rehearsal`, and ask for a pass for that.".into()
        }
        PollError::ShowNotFound(_) => "Check the show's slug in the address.".into(),
        PollError::InvalidShow(_) => "Nothing was changed. `faults` has every rule that the show would break.".into(),
        PollError::OtherShowVersion { version, .. } => {
            format!("Nothing was changed. The show is at version {version}: read it again, then decide.")
        }
        PollError::InvalidPass(why) => format!("No pass was made: {why}."),
        PollError::HasNoCodes { .. } => "Codes are for polls with the policy `code`.".into(),
        PollError::RecordDisagrees(_) => {
            "What was read isn't what was counted, so there is no record. Keep a copy of the database.".into()
        }
        PollError::NotFinal(_) => "A record is made once no ballot can be added: see the poll's state.".into(),
        PollError::Busy(_) => "Nothing was changed. Send the request again when there is less load.".into(),
        PollError::DiffersAgain(_) => {
            "The tallies were corrected, and differ from the ballots again. Send the request again.".into()
        }
        PollError::Store(error) => store_detail(error),
    }
}

fn store_detail(error: &StoreError) -> String {
    match error {
        StoreError::Unavailable(_) => TRY_AGAIN.into(),
        StoreError::Conflict(why) | StoreError::Rejected(why) => format!("Nothing was changed: {why}."),
        StoreError::Unknown(_) => {
            "The connection to the database was lost meanwhile. Read the poll again, then decide.".into()
        }
        StoreError::WriteFailed(_) | StoreError::Displaced(_) | StoreError::Corrupt(_) => {
            "The error is logged. Read the poll again before you repeat a change.".into()
        }
    }
}

fn window_detail(fault: WindowFault) -> String {
    let why = match fault {
        WindowFault::Draft => "it is a draft, so there is nothing to close".to_owned(),
        WindowFault::NotOpenYet { opens_at } => format!("it opens only at {}; close it later", rfc3339_text(opens_at)),
        WindowFault::Open { opens_at } => format!("it is open already, since {}", rfc3339_text(opens_at)),
        WindowFault::Closed { closes_at } => {
            format!("it is closed already, since {}; `again` lets it accept ballots again", rfc3339_text(closes_at))
        }
        WindowFault::NotClosed => "it isn't closed, so it can't be opened again".to_owned(),
        WindowFault::ClosesInThePast { closes_at } => format!(
            "{} has passed, and what was counted since would have come too late; give a later time",
            rfc3339_text(closes_at)
        ),
        WindowFault::ClosesBeforeOpening { opens_at, closes_at } => {
            format!("it would close at {}, before it opens at {}", rfc3339_text(closes_at), rfc3339_text(opens_at))
        }
    };
    format!("Nothing was changed: {why}.")
}

/// Every rule that the poll would break.
pub(super) fn faults(error: &PollError) -> &[String] {
    if let PollError::Invalid(faults)
    | PollError::InvalidShow(faults)
    | PollError::Edit { fault: EditFault::Invalid(faults), .. } = error
    {
        faults
    } else {
        &[]
    }
}
