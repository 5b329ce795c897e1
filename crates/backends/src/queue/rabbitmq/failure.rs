//! What the broker's refusals mean to a caller.

use lapin::ErrorKind;
use throng_domain::queue::QueueError;

const ACCESS_REFUSED: u16 = 403;
const NOT_FOUND: u16 = 404;
const PRECONDITION_FAILED: u16 = 406;
const NOT_ALLOWED: u16 = 530;

/// Nothing was taken, and trying again may help.
pub(super) fn unavailable(error: lapin::Error) -> QueueError {
    QueueError::Unavailable(Box::new(error))
}

/// Nothing was taken, for a reason of our own.
pub(super) fn no_answer(why: &str) -> QueueError {
    QueueError::Unavailable(why.into())
}

/// Whether what was asked for isn't there.
pub(super) fn is_missing(error: &lapin::Error) -> bool {
    matches!(refusal(error), Some((NOT_FOUND, _)))
}

/// Why a connection wasn't made.
pub(super) fn of_connecting(error: lapin::Error, vhost: &str) -> QueueError {
    match refusal(&error) {
        Some((ACCESS_REFUSED, words)) => {
            rejected("the broker refuses the user; check QUEUE_URL's user and password", words)
        }
        Some((NOT_ALLOWED, words)) => rejected(
            &format!(
                "the broker lets this user into no virtual host `{vhost}`; check the end of QUEUE_URL, or make it: rabbitmqctl add_vhost, rabbitmqctl set_permissions"
            ),
            words,
        ),
        Some(_) | None => unavailable(error),
    }
}

/// Why `name` couldn't be declared.
pub(super) fn of_declaring(error: lapin::Error, name: &str) -> QueueError {
    match refusal(&error) {
        Some((ACCESS_REFUSED, words)) => rejected(
            &format!("the broker doesn't let this user declare `{name}`; grant it: rabbitmqctl set_permissions"),
            words,
        ),
        Some((PRECONDITION_FAILED, words)) => rejected(
            &format!(
                "`{name}` exists on the broker and was declared otherwise, perhaps as a classic queue, which could lose what it confirmed: Throng needs a quorum queue. Empty and delete it, or set another QUEUE_PREFIX"
            ),
            words,
        ),
        Some(_) | None => unavailable(error),
    }
}

fn rejected(advice: &str, words: &str) -> QueueError {
    QueueError::Rejected(format!("{advice} ({words})"))
}

/// The broker's code and words, where it is the broker that refuses.
fn refusal(error: &lapin::Error) -> Option<(u16, &str)> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "what isn't the broker's word can't be listed for good")]
    match error.kind() {
        ErrorKind::ProtocolError(error) => Some((error.get_id(), error.get_message().as_str())),
        _ => None,
    }
}
