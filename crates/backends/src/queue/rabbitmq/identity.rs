//! By which name nodes and workers on one database know a queue of ballots.
//!
//! Not by its prefix alone: with two brokers on one database, as while a system moves from one to the other, each has a
//! queue of that prefix, and both have to be recorded.

use std::fmt::Write as _;
use std::sync::Arc;

use amq_protocol::uri::AMQPUri;
use sha2::{Digest as _, Sha256};
use throng_domain::queue::QueueError;
use throng_domain::rounds::QUEUE_NAME_MAX;
use tokio::time::timeout;

use super::alarms::Alarms;
use super::connection::ANSWER_MAX;
use super::failure::no_answer;
use super::pipe::Pipe;
use super::topology::Topology;

/// The bytes of a digest that stands for the end of a name which is too long.
const DIGEST_BYTES: usize = 16;

/// The name of the queue of ballots at the broker that `uri` leads to. The AMQP library doesn't tell what a broker says of itself,
/// so this asks on a connection of its own.
///
/// # Errors
/// If the broker doesn't answer.
pub(super) async fn ask(uri: &AMQPUri, topology: &Topology) -> Result<String, QueueError> {
    let alarm = Arc::<Alarms>::default().of_connection();
    let asking = async {
        let pipe = Pipe::open(uri, "identity", &topology.ballots, alarm).await?;
        let name = name(topology.prefix(), pipe.cluster(), &uri.vhost);
        pipe.leave().await;
        Ok(name)
    };
    timeout(ANSWER_MAX, asking).await.unwrap_or_else(|_| Err(no_answer("it doesn't say which broker it is")))
}

/// The name of the queue of this prefix at this cluster and virtual host: `throng@rabbit@host/%2f`. It can be written in
/// SQL between quotes.
pub(super) fn name(prefix: &str, cluster: Option<&str>, vhost: &str) -> String {
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

/// Adds `text`, with all but letters, digits and some signs in hexadecimal.
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
    fn queues_of_one_prefix_at_different_brokers_have_different_names() {
        assert_eq!(name("throng", Some("rabbit@a.example"), "/"), "throng@rabbit@a.example/%2f");
        assert_eq!(name("throng", Some("rabbit@b.example"), "/"), "throng@rabbit@b.example/%2f");
        assert_eq!(name("throng", Some("it's/Zürich"), "votes"), "throng@it%27s%2fZ%c3%bcrich/votes");
        assert_eq!(name("throng", None, "votes"), "throng@/votes");
    }

    #[test]
    fn a_long_name_is_cut_and_still_its_own() {
        let (a, b) = ("ü".repeat(200), format!("{}u", "ü".repeat(199)));
        let names = [&a, &b].map(|vhost| name("throng", Some("rabbit@a"), vhost));
        assert!(names.iter().all(|name| name.len() == QUEUE_NAME_MAX && name.starts_with("throng@rabbit@a/%c3%bc")));
        assert_ne!(names[0], names[1]);
    }
}
