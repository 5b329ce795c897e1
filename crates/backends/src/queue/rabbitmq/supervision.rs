//! Looking after a line: noticing that the broker is away, blocked or frozen, and connecting again.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use lapin::{Channel, Event};
use throng_domain::queue::QueueError;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tracing::{error, info, warn};

use super::backoff::Backoff;
use super::canary::Canary;
use super::connection::Session;
use super::failure::{self, no_answer};
use super::line::LineState;
use super::next;

/// How often the broker is asked whether all is there, when nobody has a doubt.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// Keeps a line connected for as long as it is polled.
pub(super) async fn supervise(state: Arc<LineState>, mut session: Arc<Session>, mut control: Channel) {
    let mut canary = state.has_canary.then(Canary::default);
    loop {
        let connected_at = Instant::now();
        let lost = tokio::select! {
            lost = listen(&state, &session) => lost,
            lost = check(&state, &session, &control, canary.as_mut()) => lost,
        };
        canary.iter_mut().for_each(Canary::reconnected);
        state.disconnected();
        session.cut();
        warn!(why = %lost, purpose = state.purpose, "the broker is away; nothing is sent until it is back");
        // A connection that is lost at once, again and again, costs a broker much.
        sleep_until(connected_at + CHECK_EVERY).await;
        (session, control) = reconnect(&state).await;
        state.connected(Arc::clone(&session));
        info!(purpose = state.purpose, "the broker is back");
    }
}

/// Hears what befalls the connection, until it is lost.
async fn listen(state: &LineState, session: &Session) -> QueueError {
    let mut events = pin!(session.events());
    while let Some(event) = next(events.as_mut()).await {
        match event {
            Event::ConnectionBlocked(words) => {
                warn!(words, purpose = state.purpose, "the broker takes nothing for now");
                state.blocked(Some(words));
            }
            Event::ConnectionUnblocked => {
                info!(purpose = state.purpose, "the broker takes messages again");
                state.blocked(None);
            }
            // A channel's error is told too, and is its users' alone.
            Event::Error(error) if !session.is_open() => return QueueError::Unavailable(Box::new(error)),
            Event::Error(_) | Event::Connected | Event::SendFlow(_) => {}
            _ => {}
        }
    }
    no_answer("the connection has ended")
}

/// Asks again and again whether all is there and as it must be, until something isn't there or no answer comes. A broker that
/// is blocked doesn't read what is asked.
async fn check(state: &LineState, session: &Session, control: &Channel, mut canary: Option<&mut Canary>) -> QueueError {
    let mut due = interval(CHECK_EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = due.tick() => {}
            () = state.doubts.notified() => {}
        }
        if state.is_blocked() {
            // Its queue isn't looked at meanwhile, and the broker deletes it after a while.
            if let Some(canary) = &mut canary {
                canary.reconnected();
            }
            continue;
        }
        let topology = &state.broker.topology;
        let looked = async {
            if let Some(missing) = topology.missing(control).await? {
                let error = failure::of_missing(missing);
                if let Some(canary) = &mut canary {
                    error!(%error, "a queue or exchange was deleted; it is made again");
                    if topology.is_never_consumed(missing) {
                        canary.queue_was_deleted(topology);
                        state.judged(canary.loss());
                    }
                }
                return Err(error);
            }
            match &mut canary {
                Some(canary) => canary.check(topology, session).await,
                None => Ok(()),
            }
        };
        match looked.await {
            Ok(()) => state.judged(None),
            Err(QueueError::Rejected(words)) => state.judged(Some(words)),
            Err(_) if state.is_blocked() => {}
            Err(error) => return error,
        }
    }
}

async fn reconnect(state: &LineState) -> (Arc<Session>, Channel) {
    let (mut backoff, mut told) = (Backoff::default(), false);
    loop {
        match state.connect().await {
            Ok(connected) => return connected,
            Err(error @ QueueError::Rejected(_)) if !told => {
                error!(%error, purpose = state.purpose, "the broker is there, and can't be used");
                told = true;
            }
            Err(QueueError::Rejected(_) | QueueError::Unavailable(_) | QueueError::Unknown(_)) => {}
        }
        backoff.wait().await;
    }
}

impl LineState {
    /// Connects, and declares what is to be there.
    pub(super) async fn connect(&self) -> Result<(Arc<Session>, Channel), QueueError> {
        let session = Session::open(&self.broker.url, self.purpose).await?;
        let control = self.broker.topology.establish(&session).await?;
        Ok((Arc::new(session), control))
    }
}
