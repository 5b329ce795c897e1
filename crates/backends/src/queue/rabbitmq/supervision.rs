//! Supervision of a connection: detects a broker that is unreachable, blocked or not responding, and reconnects.

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
use super::failure::{self, unavailable_because};
use super::next;
use super::supervised_connection::SupervisionState;

/// The interval of checks of the topology, when none is requested earlier.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// Keeps a connection open for as long as it is polled.
pub(super) async fn supervise(state: Arc<SupervisionState>, mut session: Arc<Session>, mut control: Channel) {
    let mut canary = state.has_canary.then(Canary::default);
    loop {
        let connected_at = Instant::now();
        let lost = tokio::select! {
            lost = listen(&state, &session) => lost,
            lost = check(&state, &session, &control, canary.as_mut()) => lost,
        };
        canary.iter_mut().for_each(Canary::reconnected);
        state.disconnected();
        session.abort();
        warn!(why = %lost, purpose = state.purpose, "connection to the broker lost; nothing is published until it is restored");
        // Limits the rate of reconnects, which are expensive for the broker, where each connection is lost at once.
        sleep_until(connected_at + CHECK_EVERY).await;
        (session, control) = reconnect(&state).await;
        state.connected(Arc::clone(&session));
        info!(purpose = state.purpose, "reconnected to the broker");
    }
}

/// Handles the connection's events until it is lost; returns why.
async fn listen(state: &SupervisionState, session: &Session) -> QueueError {
    let mut events = pin!(session.events());
    while let Some(event) = next(events.as_mut()).await {
        match event {
            Event::ConnectionBlocked(reason) => {
                warn!(reason, purpose = state.purpose, "the broker takes nothing for now");
                state.blocked(Some(reason));
            }
            Event::ConnectionUnblocked => {
                info!(purpose = state.purpose, "the broker takes messages again");
                state.blocked(None);
            }
            // Errors of channels arrive here as well; the users of the channel handle them.
            Event::Error(error) if !session.is_open() => return QueueError::Unavailable(Box::new(error)),
            Event::Error(_) | Event::Connected | Event::SendFlow(_) => {}
            _ => {}
        }
    }
    unavailable_because("the connection is closed")
}

/// Checks periodically that the topology exists and works, until something is missing or the broker doesn't respond; returns
/// why. Skipped while the broker blocks publishers: it doesn't read requests then.
async fn check(
    state: &SupervisionState,
    session: &Session,
    control: &Channel,
    mut canary: Option<&mut Canary>,
) -> QueueError {
    let mut due = interval(CHECK_EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = due.tick() => {}
            () = state.check_requested.notified() => {}
        }
        if state.is_blocked() {
            // Its queue isn't used meanwhile, so that the broker may expire it.
            if let Some(canary) = &mut canary {
                canary.reconnected();
            }
            continue;
        }
        let topology = &state.broker.topology;
        let checked = async {
            if let Some(missing) = topology.missing(control).await? {
                let error = failure::of_missing(missing);
                if let Some(canary) = &mut canary {
                    error!(%error, "a queue or exchange was deleted; it is declared again");
                    if topology.is_never_consumed(missing) {
                        canary.queue_was_deleted(topology);
                        state.checked(canary.loss());
                    }
                }
                return Err(error);
            }
            match &mut canary {
                Some(canary) => canary.check(topology, session).await,
                None => Ok(()),
            }
        };
        match checked.await {
            Ok(()) => state.checked(None),
            Err(QueueError::Rejected(reason)) => state.checked(Some(reason)),
            Err(_) if state.is_blocked() => {}
            Err(error) => return error,
        }
    }
}

async fn reconnect(state: &SupervisionState) -> (Arc<Session>, Channel) {
    let (mut backoff, mut logged) = (Backoff::default(), false);
    loop {
        match state.connect().await {
            Ok(connected) => return connected,
            Err(error @ QueueError::Rejected(_)) if !logged => {
                error!(%error, purpose = state.purpose, "the broker is reachable, but can't be used");
                logged = true;
            }
            Err(QueueError::Rejected(_) | QueueError::Unavailable(_) | QueueError::Unknown(_)) => {}
        }
        backoff.wait().await;
    }
}

impl SupervisionState {
    /// Connects and declares the topology.
    pub(super) async fn connect(&self) -> Result<(Arc<Session>, Channel), QueueError> {
        let session = Session::open(&self.broker.url, self.purpose).await?;
        let control = self.broker.topology.establish(&session).await?;
        Ok((Arc::new(session), control))
    }
}
