//! What the broker's refusals mean to a caller.

use lapin::ErrorKind;
use throng_domain::queue::{QueueError, Source};

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

/// What was there is gone.
pub(super) fn of_missing(name: &str) -> QueueError {
    no_answer(&format!(
        "`{name}` is gone: somebody deleted it, or a policy with `expires` did; see `rabbitmqctl list_policies`"
    ))
}

/// What a policy does to messages that the broker has confirmed.
pub(super) fn of_policy(prefix: &str, effect: &str) -> String {
    format!(
        "the broker loses messages that it has confirmed: {effect}. Look for a policy that applies to the queues named \
         {prefix}.*, with `rabbitmqctl list_policies` and `rabbitmqctl list_operator_policies`, and clear it or narrow its \
         pattern"
    )
}

/// Why a channel ended on which a message of so many bytes was sent.
pub(super) fn of_sending(source: Source, bytes: usize) -> QueueError {
    match source.downcast_ref::<lapin::Error>().and_then(refusal) {
        Some((PRECONDITION_FAILED, words)) if words.contains("size") => rejected(
            &format!("the broker refuses messages of {bytes} bytes; raise max_message_size in its rabbitmq.conf"),
            words,
        ),
        Some(_) | None => QueueError::Unavailable(source),
    }
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
