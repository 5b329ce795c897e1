//! Mapping of the broker's errors to [`QueueError`].

use lapin::ErrorKind;
use throng_domain::queue::{QueueError, Source};

const ACCESS_REFUSED: u16 = 403;
const NOT_FOUND: u16 = 404;
const PRECONDITION_FAILED: u16 = 406;
const NOT_ALLOWED: u16 = 530;

/// Nothing was enqueued; a retry may succeed.
pub(super) fn unavailable(error: lapin::Error) -> QueueError {
    QueueError::Unavailable(Box::new(error))
}

/// Nothing was enqueued, for a reason other than an error of the library.
pub(super) fn unavailable_because(reason: &str) -> QueueError {
    QueueError::Unavailable(reason.into())
}

/// Whether the requested queue or exchange doesn't exist.
pub(super) fn is_missing(error: &lapin::Error) -> bool {
    matches!(protocol_error(error), Some((NOT_FOUND, _)))
}

/// A queue or exchange that was declared no longer exists.
pub(super) fn of_missing(name: &str) -> QueueError {
    unavailable_because(&format!(
        "`{name}` no longer exists: it was deleted, or expired by a policy with `expires`; see `rabbitmqctl list_policies`"
    ))
}

/// The effect of a policy on messages that the broker has confirmed, and how to fix it.
pub(super) fn of_policy(prefix: &str, effect: &str) -> String {
    format!(
        "the broker loses messages that it has confirmed: {effect}. Check `rabbitmqctl list_policies` and \
         `rabbitmqctl list_operator_policies` for a policy that applies to the queues named {prefix}.*, and clear it or \
         narrow its pattern"
    )
}

/// Why a channel was closed after a message of this size was published.
pub(super) fn of_sending(source: Source, bytes: usize) -> QueueError {
    match source.downcast_ref::<lapin::Error>().and_then(protocol_error) {
        Some((PRECONDITION_FAILED, reply_text)) if reply_text.contains("size") => rejected(
            &format!("the broker refuses messages of {bytes} bytes; raise max_message_size in its rabbitmq.conf"),
            reply_text,
        ),
        Some(_) | None => QueueError::Unavailable(source),
    }
}

/// Why a connection could not be opened.
pub(super) fn of_connecting(error: lapin::Error, vhost: &str) -> QueueError {
    match protocol_error(&error) {
        Some((ACCESS_REFUSED, reply_text)) => {
            rejected("the broker refuses the user; check QUEUE_URL's user and password", reply_text)
        }
        Some((NOT_ALLOWED, reply_text)) => rejected(
            &format!(
                "the broker denies this user access to the virtual host `{vhost}`; check the end of QUEUE_URL, or create the \
                 virtual host and grant access: rabbitmqctl add_vhost, rabbitmqctl set_permissions"
            ),
            reply_text,
        ),
        Some(_) | None => unavailable(error),
    }
}

/// Why `name` could not be declared.
pub(super) fn of_declaring(error: lapin::Error, name: &str) -> QueueError {
    match protocol_error(&error) {
        Some((ACCESS_REFUSED, reply_text)) => rejected(
            &format!(
                "the broker denies this user permission to declare `{name}`; grant it: rabbitmqctl set_permissions"
            ),
            reply_text,
        ),
        Some((PRECONDITION_FAILED, reply_text)) => rejected(
            &format!(
                "`{name}` exists on the broker with different arguments, perhaps as a classic queue, which can lose confirmed \
                 messages: Throng needs a quorum queue. Empty and delete it, or set another QUEUE_PREFIX"
            ),
            reply_text,
        ),
        Some(_) | None => unavailable(error),
    }
}

fn rejected(advice: &str, reply_text: &str) -> QueueError {
    QueueError::Rejected(format!("{advice} ({reply_text})"))
}

/// The broker's reply code and text, if the error was reported by the broker.
fn protocol_error(error: &lapin::Error) -> Option<(u16, &str)> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the library adds kinds, and only this one is from the broker")]
    match error.kind() {
        ErrorKind::ProtocolError(error) => Some((error.get_id(), error.get_message().as_str())),
        _ => None,
    }
}
