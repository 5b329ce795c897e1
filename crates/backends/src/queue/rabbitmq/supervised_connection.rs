//! A connection for publishing that is monitored and reconnected in the background.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lapin::uri::AMQPUri;
use lapin::{BasicProperties, Channel, Event};
use throng_domain::queue::QueueError;
use tokio::sync::{Notify, Semaphore, SemaphorePermit, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout, timeout_at};
use tracing::{error, info, warn};

use super::alarms::{Alarm, Alarms};
use super::canary::Canary;
use super::confirm_channel::{Address, ConfirmChannel, Unconfirmed};
use super::connection::{Backoff, RESPONSE_MAX, Session, next};
use super::failure::{self, unavailable_because};
use super::topology::BrokerConfig;

/// The channels, and so the messages in flight, of one connection.
const CHANNELS_MAX: usize = 64;

/// The interval of checks of the topology, when none is requested earlier.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// A connection for publishing, with one channel per message in flight; channels are reused. It reconnects until it is
/// dropped. May be used from any runtime; its supervision runs on the one that opened it. Publisher connections connect to
/// the same endpoint, and publish only while [`Self::refusal`] returns no error.
#[derive(Debug)]
pub(super) struct SupervisedConnection {
    state: Arc<SupervisionState>,
    supervision: AbortHandle,
}

/// State shared by a connection's users and its supervision.
#[derive(Debug)]
struct SupervisionState {
    broker: BrokerConfig,
    purpose: &'static str,
    /// Whether a canary detects policies that lose confirmed messages.
    has_canary: bool,
    /// Whether it is known if messages can be published.
    is_known: watch::Sender<bool>,
    /// Requests an immediate check.
    check_requested: Notify,
    /// The alarms reported on the publisher connections to the same endpoint.
    alarms: Arc<Alarms>,
    /// The number of connections so far.
    generation: AtomicU64,
    permits: Semaphore,
    condition: Mutex<Condition>,
}

#[derive(Debug, Default)]
struct Condition {
    /// `None` while disconnected.
    session: Option<Arc<Session>>,
    /// The unused channels of this session.
    idle: Vec<ConfirmChannel>,
    /// The broker's reason while it blocks publishers, for lack of memory or disk space.
    blocked: Option<String>,
    /// Why nothing may be published: the broker would lose the message, or refuses it because of its size.
    rejected: Option<String>,
    /// This connection hasn't been checked since it was opened, or since a message was returned or not confirmed in time.
    check_pending: bool,
}

/// A channel in use.
struct LeasedChannel<'a> {
    channel: ConfirmChannel,
    /// The session that it belongs to.
    session: Arc<Session>,
    permit: SemaphorePermit<'a>,
}

impl SupervisedConnection {
    /// Connects and declares the topology. With a canary, returns once it is known whether messages can be published, or
    /// after a few seconds.
    pub(super) async fn open(
        broker: BrokerConfig,
        purpose: &'static str,
        has_canary: bool,
    ) -> Result<Self, QueueError> {
        let state = Arc::new(SupervisionState {
            broker,
            purpose,
            has_canary,
            is_known: watch::Sender::new(false),
            check_requested: Notify::new(),
            alarms: Arc::default(),
            generation: AtomicU64::new(0),
            permits: Semaphore::new(CHANNELS_MAX),
            condition: Mutex::default(),
        });
        let (session, control) = state.connect().await?;
        state.connected(Arc::clone(&session));
        let supervision = tokio::spawn(supervise(Arc::clone(&state), session, control)).abort_handle();
        let connection = Self { state, supervision };
        // A broker that stops responding now is treated as temporarily unavailable.
        let _ = timeout(RESPONSE_MAX, connection.state.is_known.subscribe().wait_for(|is_known| *is_known)).await;
        match connection.refusal() {
            Err(error @ QueueError::Rejected(_)) => Err(error),
            Ok(()) | Err(QueueError::Unavailable(_) | QueueError::Unknown(_)) => Ok(connection),
        }
    }

    /// Why nothing can be published at present.
    pub(super) fn refusal(&self) -> Result<(), QueueError> {
        self.state.condition().refusal()?;
        self.state.alarms.reason().map_or(Ok(()), |reason| Err(blocked_error(&reason)))
    }

    /// The broker to which messages can be published at present, and [`Self::generation`].
    pub(super) fn endpoint(&self) -> Result<(AMQPUri, u64), QueueError> {
        let condition = self.state.condition();
        condition.refusal()?;
        let session = condition.session.as_ref().ok_or_else(disconnected_error)?;
        Ok((session.uri().clone(), self.generation()))
    }

    /// The broker that it is connected to, whether or not messages can be published.
    pub(super) fn uri(&self) -> Result<AMQPUri, QueueError> {
        self.state.condition().session.as_ref().map(|session| session.uri().clone()).ok_or_else(disconnected_error)
    }

    /// The number of connections opened so far, which identifies the current one.
    pub(super) fn generation(&self) -> u64 {
        self.state.generation.load(Ordering::Acquire)
    }

    /// The alarm of a new publisher connection to the same endpoint.
    pub(super) fn alarm(&self) -> Alarm {
        self.state.alarms.of_connection()
    }

    /// Whether an alarm was reported on a publisher connection.
    pub(super) fn is_alarmed(&self) -> bool {
        self.state.alarms.reason().is_some()
    }

    /// Requests a check of the broker and its queues; until it has completed, nothing is published.
    pub(super) fn request_check(&self) {
        self.state.request_check();
    }

    /// Publishes a message; returns once the broker has confirmed it.
    pub(super) async fn send(
        &self,
        to: Address<'_>,
        body: &[u8],
        properties: BasicProperties,
    ) -> Result<(), QueueError> {
        let state = &*self.state;
        let deadline = Instant::now() + state.broker.url.confirm_max;
        state.condition().refusal()?;
        let Ok(leased) = timeout_at(deadline, state.lease_channel()).await else {
            state.request_check();
            return Err(unavailable_because("timed out opening a channel; nothing was published"));
        };
        let LeasedChannel { channel, session, permit: _permit } = leased?;
        let (channel, sent) = channel.send(to, body, properties, deadline).await;
        match &sent {
            Ok(()) | Err(Unconfirmed::Refused) => {}
            Err(Unconfirmed::Returned(_) | Unconfirmed::TimedOut) => state.request_check(),
            // The supervision detects the loss of the connection itself; the loss of a channel affects no other.
            Err(Unconfirmed::NotSent | Unconfirmed::Lost(_) | Unconfirmed::NotRequested) => {}
        }
        if let Some(channel) = channel {
            state.release(channel, &session);
        }
        Ok(sent?)
    }
}

impl Drop for SupervisedConnection {
    fn drop(&mut self) {
        self.supervision.abort();
    }
}

impl SupervisionState {
    /// Connects and declares the topology.
    async fn connect(&self) -> Result<(Arc<Session>, Channel), QueueError> {
        let session = Session::open(&self.broker.url, self.purpose).await?;
        let control = self.broker.topology.establish(&session).await?;
        Ok((Arc::new(session), control))
    }

    /// An unused channel, opened if there is none.
    async fn lease_channel(&self) -> Result<LeasedChannel<'_>, QueueError> {
        let permit = self.permits.acquire().await.map_err(|error| QueueError::Unavailable(Box::new(error)))?;
        let (session, idle) = {
            let mut condition = self.condition();
            condition.refusal()?;
            let session = condition.session.clone().ok_or_else(disconnected_error)?;
            (session, condition.idle.pop())
        };
        let channel = match idle {
            Some(channel) => channel,
            None => ConfirmChannel::open(&session).await?,
        };
        Ok(LeasedChannel { channel, session, permit })
    }

    /// Makes a channel of the session `of` available again, unless that session has been replaced.
    fn release(&self, channel: ConfirmChannel, of: &Arc<Session>) {
        let mut condition = self.condition();
        if condition.session.as_ref().is_some_and(|session| Arc::ptr_eq(session, of)) {
            condition.idle.push(channel);
        }
    }

    fn request_check(&self) {
        self.update(|condition| condition.check_pending = true);
        self.check_requested.notify_one();
    }

    fn connected(&self, session: Arc<Session>) {
        self.update(|condition| {
            let rejected = condition.rejected.take();
            let session = Some(session);
            *condition = Condition { session, rejected, check_pending: self.has_canary, ..Condition::default() };
            self.generation.fetch_add(1, Ordering::AcqRel);
        });
    }

    fn disconnected(&self) {
        self.update(|condition| {
            *condition = Condition { rejected: condition.rejected.take(), ..Condition::default() };
        });
    }

    fn blocked(&self, reason: Option<String>) {
        self.update(|condition| condition.blocked = reason);
    }

    fn is_blocked(&self) -> bool {
        self.condition().blocked.is_some()
    }

    /// The check has completed: the topology exists, and messages may be published unless there is a reason for `rejected`.
    fn checked(&self, rejected: Option<String>) {
        self.update(|condition| (condition.check_pending, condition.rejected) = (false, rejected));
    }

    fn update(&self, change: impl FnOnce(&mut Condition)) {
        let mut condition = self.condition();
        change(&mut condition);
        self.is_known.send_replace(!condition.check_pending || condition.blocked.is_some());
    }

    fn condition(&self) -> MutexGuard<'_, Condition> {
        self.condition.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a connection open for as long as it is polled.
async fn supervise(state: Arc<SupervisionState>, mut session: Arc<Session>, mut control: Channel) {
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

impl Condition {
    /// Why nothing can be published at present.
    fn refusal(&self) -> Result<(), QueueError> {
        match self {
            // Remains until the next check, also across a reconnect.
            Self { rejected: Some(reason), .. } => Err(QueueError::Rejected(reason.clone())),
            Self { session: None, .. } => Err(disconnected_error()),
            Self { blocked: Some(reason), .. } => Err(blocked_error(reason)),
            Self { check_pending: true, .. } => {
                Err(unavailable_because("the broker is being checked, after a reconnect or an unconfirmed message"))
            }
            Self { check_pending: false, .. } => Ok(()),
        }
    }
}

fn disconnected_error() -> QueueError {
    unavailable_because("there is no connection to the broker")
}

fn blocked_error(reason: &str) -> QueueError {
    unavailable_because(&format!("the broker takes nothing for now: {reason}"))
}
