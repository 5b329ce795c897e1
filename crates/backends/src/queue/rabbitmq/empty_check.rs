//! Checks that the queues are empty: see [`throng_domain::rounds`].

use lapin::Channel;
use lapin::message::Delivery;
use throng_domain::queue::QueueError;

use super::failure::unavailable_because;
use super::topology::{Contents, Topology};

/// The result of [`check_empty`].
#[derive(Debug)]
pub(super) enum QueueState {
    /// No message is ready and no dead letter exists; the ballots' queue has this many consumers.
    Empty { consumers: u64 },
    /// Messages are ready, or dead letters exist or are being scanned, or a queue's leader is unreachable.
    NotEmpty,
    /// This message was ready, and is delivered now.
    Message(Box<Delivery>),
}

/// Checks both queues, on the channel of a consumer of the ballots.
///
/// Dead letters come first: `throng dead replay` moves them to the ballots' queue, and whatever is moved before the check of
/// the dead letters is counted by the next request.
///
/// A queue's message and consumer counts come from its leader; if that is unreachable, both are reported as 0. The ballots'
/// queue has at least one consumer, this one, so that 0 identifies this case. For the dead letters a `basic.get` in between
/// proves that the leader responds, since no other member can respond to it.
///
/// Consumers are counted before the `basic.get` and after it: one that was added or removed in between may have requeued or
/// taken a ballot.
///
/// The broker handles a channel's requests in order. Whatever it had delivered before its response to one request is sent
/// before its response to the next: so all deliveries that preceded the count of the ballots have arrived when this returns.
///
/// # Errors
/// If the broker doesn't respond, or delivers a dead letter that wasn't counted: then the connection has to be closed, which
/// requeues it, so that concurrent checks see it too.
pub(super) async fn check_empty(topology: &Topology, channel: &Channel) -> Result<QueueState, QueueError> {
    if !has_no_dead_letters(topology, channel).await? {
        return Ok(QueueState::NotEmpty);
    }
    if topology.get(channel, &topology.dead).await?.is_some() {
        return Err(unavailable_because("the dead-letter queue has a message that wasn't counted"));
    }
    if !has_no_dead_letters(topology, channel).await? {
        return Ok(QueueState::NotEmpty);
    }
    let Contents { messages, consumers } = topology.inspect(channel, &topology.ballots).await?;
    if messages > 0 || consumers == 0 {
        return Ok(QueueState::NotEmpty);
    }
    if let Some(message) = topology.get(channel, &topology.ballots).await? {
        return Ok(QueueState::Message(Box::new(message)));
    }
    match topology.inspect(channel, &topology.ballots).await? {
        Contents { messages: 0, consumers: same } if same == consumers => {
            Ok(QueueState::Empty { consumers: consumers.into() })
        }
        Contents { .. } => Ok(QueueState::NotEmpty),
    }
}

/// Whether there are no dead letters, and no consumer that scans them and could hold some.
async fn has_no_dead_letters(topology: &Topology, channel: &Channel) -> Result<bool, QueueError> {
    let Contents { messages, consumers } = topology.inspect(channel, &topology.dead).await?;
    Ok(messages == 0 && consumers == 0)
}
