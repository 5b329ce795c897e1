//! Looking whether nothing is on the queues: see [`throng_domain::rounds`].

use lapin::Channel;
use lapin::message::Delivery;
use throng_domain::queue::QueueError;

use super::failure::no_answer;
use super::topology::{Contents, Topology};

/// What a look found.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing waits, and nothing was set aside; so many consumers take from the queue.
    Nothing { consumers: u64 },
    /// Something waits or was set aside, or somebody goes through what was, or the queues' leaders can't be reached.
    Something,
    /// This waited, and was delivered.
    Message(Box<Delivery>),
}

/// Looks, on the channel of a consumer of the ballots.
///
/// Dead letters first: `throng dead replay` moves them to the ballots, and what is moved before this look at them is on the
/// ballots' queue by the next question.
///
/// How many messages and consumers a queue has is said by its leader, and where that can't be reached the answer is 0 and 0. The
/// ballots' queue has one consumer at least, ours, so that 0 is known for what it is. Of the dead letters' the leader is asked
/// for a message in between, which nobody else can give.
///
/// Consumers are counted before that message is asked for and after it: who comes or goes meanwhile may have brought a ballot back
/// or taken one along.
///
/// The broker answers the questions of a channel one after the other. What it had delivered here before it answers one has been
/// sent before its answer to the next: so all that had been when the ballots were counted is here when this returns.
///
/// # Errors
/// If no answer comes, or a dead letter was taken off that wasn't counted: the connection has to be given up, which puts it
/// back, and leaves no doubt for others who look at the same time.
pub(super) async fn look(topology: &Topology, channel: &Channel) -> Result<Found, QueueError> {
    if !has_no_letters(topology, channel).await? {
        return Ok(Found::Something);
    }
    if topology.take(channel, &topology.dead).await?.is_some() {
        return Err(no_answer("the queue of dead letters has one that wasn't counted"));
    }
    if !has_no_letters(topology, channel).await? {
        return Ok(Found::Something);
    }
    let Contents { messages, consumers } = topology.inspect(channel, &topology.ballots).await?;
    if messages > 0 || consumers == 0 {
        return Ok(Found::Something);
    }
    if let Some(message) = topology.take(channel, &topology.ballots).await? {
        return Ok(Found::Message(Box::new(message)));
    }
    match topology.inspect(channel, &topology.ballots).await? {
        Contents { messages: 0, consumers: same } if same == consumers => {
            Ok(Found::Nothing { consumers: consumers.into() })
        }
        Contents { .. } => Ok(Found::Something),
    }
}

/// Whether there are none, and nobody who goes through them and could hold some.
async fn has_no_letters(topology: &Topology, channel: &Channel) -> Result<bool, QueueError> {
    let Contents { messages, consumers } = topology.inspect(channel, &topology.dead).await?;
    Ok(messages == 0 && consumers == 0)
}
