//! The name under which nodes and workers that share a database identify a queue of ballots.
//!
//! The prefix alone is not enough: with two brokers on one database, for instance during a migration from one to the other,
//! both have a queue with that prefix, and both have to be recorded.

use std::fmt::Write as _;
use std::sync::Arc;

use amq_protocol::uri::AMQPUri;
use sha2::{Digest as _, Sha256};
use throng_domain::queue::QueueError;
use throng_domain::rounds::QUEUE_NAME_MAX;
use tokio::time::timeout;

use super::alarms::Alarms;
use super::connection::RESPONSE_MAX;
use super::failure::unavailable_because;
use super::publisher_connection::PublisherConnection;
use super::topology::Topology;

/// The size of the digest that replaces the end of a name that is too long.
const DIGEST_BYTES: usize = 16;

/// Resolves the name of the queue of ballots at the broker with this `uri`. The AMQP library doesn't expose the server
/// properties, so this opens a publisher connection.
///
/// # Errors
/// If the broker doesn't respond.
pub(super) async fn resolve_queue_name(uri: &AMQPUri, topology: &Topology) -> Result<String, QueueError> {
    let alarm = Arc::<Alarms>::default().of_connection();
    let resolving = async {
        let connection = PublisherConnection::open(uri, "identity", &topology.ballots, alarm).await?;
        let name = queue_name(topology.prefix(), connection.cluster(), &uri.vhost);
        connection.close().await;
        Ok(name)
    };
    let resolved = timeout(RESPONSE_MAX, resolving).await;
    resolved.unwrap_or_else(|_| Err(unavailable_because("timed out reading the name of the broker's cluster")))
}

/// The name of the queue with this prefix in this cluster and virtual host: `throng@rabbit@host/%2f`. Contains no character
/// that is special in a quoted SQL string.
pub(super) fn queue_name(prefix: &str, cluster: Option<&str>, vhost: &str) -> String {
    let mut name = format!("{prefix}@");
    encode(&mut name, cluster.unwrap_or_default());
    name.push('/');
    encode(&mut name, vhost);
    if name.len() > QUEUE_NAME_MAX {
        let digest = Sha256::digest(&name);
        name.truncate(QUEUE_NAME_MAX - 2 * DIGEST_BYTES - 1);
        name.push('~');
        for byte in &digest[..DIGEST_BYTES] {
            let _ = write!(name, "{byte:02x}");
        }
    }
    name
}

/// Appends `text`, with all bytes but letters, digits and `-._@` percent-encoded.
fn encode(name: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._@".contains(&byte) {
            name.push(char::from(byte));
        } else {
            let _ = write!(name, "%{byte:02x}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_prefix_at_different_brokers_gives_different_names() {
        assert_eq!(queue_name("throng", Some("rabbit@a.example"), "/"), "throng@rabbit@a.example/%2f");
        assert_eq!(queue_name("throng", Some("rabbit@b.example"), "/"), "throng@rabbit@b.example/%2f");
        assert_eq!(queue_name("throng", Some("it's/Zürich"), "votes"), "throng@it%27s%2fZ%c3%bcrich/votes");
        assert_eq!(queue_name("throng", None, "votes"), "throng@/votes");
    }

    #[test]
    fn long_name_is_truncated_and_remains_unique() {
        let (a, b) = ("ü".repeat(200), format!("{}u", "ü".repeat(199)));
        let names = [&a, &b].map(|vhost| queue_name("throng", Some("rabbit@a"), vhost));
        assert!(names.iter().all(|name| name.len() == QUEUE_NAME_MAX && name.starts_with("throng@rabbit@a/%c3%bc")));
        assert_ne!(names[0], names[1]);
    }
}
