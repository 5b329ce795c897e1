//! A line to the broker on which messages are sent, and which mends itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lapin::BasicProperties;
use lapin::uri::AMQPUri;
use throng_domain::queue::QueueError;
use tokio::sync::{Notify, Semaphore, SemaphorePermit, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::alarms::{Alarm, Alarms};
use super::connection::{ANSWER_MAX, Session};
use super::failure::no_answer;
use super::lane::{Address, Lane};
use super::supervision::supervise;
use super::unconfirmed::Unconfirmed;
use super::{Broker, SEND_MAX};

/// The messages that may be on their way at once.
const LANES_MAX: usize = 64;

/// A connection for sending, with as many lanes as messages were ever on their way on it at once. It is made anew when it is
/// lost, for as long as the line exists. May be used from any runtime; it is looked after on the one that opened it. Pipes go
/// where it leads, and send nothing while it says no.
#[derive(Debug)]
pub(super) struct Line {
    state: Arc<LineState>,
    supervision: AbortHandle,
}

/// What a line's users and its supervision share.
#[derive(Debug)]
pub(super) struct LineState {
    pub(super) broker: Broker,
    pub(super) purpose: &'static str,
    /// Whether it is watched for what loses messages that were confirmed.
    pub(super) has_canary: bool,
    /// Whether it is known if messages can be sent.
    is_known: watch::Sender<bool>,
    /// Rung when somebody has a reason to doubt that the broker takes messages.
    pub(super) doubts: Notify,
    /// What the pipes that go the same way have heard.
    alarms: Arc<Alarms>,
    /// The connections made so far.
    generation: AtomicU64,
    free: Semaphore,
    condition: Mutex<Condition>,
}

#[derive(Debug, Default)]
struct Condition {
    /// `None` while there is no connection.
    session: Option<Arc<Session>>,
    /// The lanes of this session that carry nothing.
    idle: Vec<Lane>,
    /// The broker's words, while it takes nothing for want of memory or disk.
    blocked: Option<String>,
    /// Why no message is to be sent: the broker would lose it, or refuses it for its size.
    rejected: Option<String>,
    /// Nothing was looked at yet on this connection, or a message was not confirmed in time, or came back; whether the next one would fare better isn't known.
    in_doubt: bool,
}

/// A lane in use.
struct Leased<'a> {
    lane: Lane,
    /// What it belongs to.
    session: Arc<Session>,
    permit: SemaphorePermit<'a>,
}

impl Line {
    /// Connects, and declares what is to be there. With a canary, returns once it is known whether messages can be sent, or a
    /// few seconds have passed.
    pub(super) async fn open(broker: Broker, purpose: &'static str, has_canary: bool) -> Result<Self, QueueError> {
        let state = Arc::new(LineState {
            broker,
            purpose,
            has_canary,
            is_known: watch::Sender::new(false),
            doubts: Notify::new(),
            alarms: Arc::default(),
            generation: AtomicU64::new(0),
            free: Semaphore::new(LANES_MAX),
            condition: Mutex::default(),
        });
        let (session, control) = state.connect().await?;
        state.connected(Arc::clone(&session));
        let supervision = tokio::spawn(supervise(Arc::clone(&state), session, control)).abort_handle();
        let line = Self { state, supervision };
        // A broker that falls silent now is one that is away: it will be back.
        let _ = timeout(ANSWER_MAX, line.state.is_known.subscribe().wait_for(|is_known| *is_known)).await;
        match line.refusal() {
            Err(error @ QueueError::Rejected(_)) => Err(error),
            Ok(()) | Err(QueueError::Unavailable(_) | QueueError::Unknown(_)) => Ok(line),
        }
    }

    /// Why nothing is sent now.
    pub(super) fn refusal(&self) -> Result<(), QueueError> {
        self.state.condition().refusal()?;
        self.state.alarms.words().map_or(Ok(()), |words| Err(takes_nothing(&words)))
    }

    /// Where the line leads, and its [`Self::generation`].
    pub(super) fn way(&self) -> Result<(AMQPUri, u64), QueueError> {
        let condition = self.state.condition();
        condition.refusal()?;
        let session = condition.session.as_ref().ok_or_else(is_away)?;
        Ok((session.uri().clone(), self.generation()))
    }

    /// Where the line leads, whether or not messages can be sent.
    pub(super) fn uri(&self) -> Result<AMQPUri, QueueError> {
        self.state.condition().session.as_ref().map(|session| session.uri().clone()).ok_or_else(is_away)
    }

    /// Which of its connections the line is at.
    pub(super) fn generation(&self) -> u64 {
        self.state.generation.load(Ordering::Acquire)
    }

    /// For a pipe that goes the same way, to say what it hears.
    pub(super) fn alarm(&self) -> Alarm {
        self.state.alarms.of_connection()
    }

    /// Whether a pipe has heard that the broker takes nothing for now.
    pub(super) fn is_alarmed(&self) -> bool {
        self.state.alarms.words().is_some()
    }

    /// Has it looked at whether the broker and its queues are there; until it is known, nothing is sent.
    pub(super) fn doubt(&self) {
        self.state.doubt();
    }

    /// Sends a message; returns once the broker has confirmed that it has it.
    pub(super) async fn send(
        &self,
        to: Address<'_>,
        body: &[u8],
        properties: BasicProperties,
    ) -> Result<(), QueueError> {
        let (state, deadline) = (&*self.state, Instant::now() + SEND_MAX);
        state.condition().refusal()?;
        let Ok(lane) = timeout_at(deadline, state.lane()).await else {
            state.doubt();
            return Err(no_answer("the broker didn't answer in time, and nothing was sent"));
        };
        let Leased { lane, session, permit: _permit } = lane?;
        let (lane, sent) = lane.send(to, body, properties, deadline).await;
        match &sent {
            Ok(()) | Err(Unconfirmed::Refused) => {}
            Err(Unconfirmed::Returned(_) | Unconfirmed::NoAnswer) => state.doubt(),
            // The supervision hears of a connection's loss as soon as we do, and a channel's loss is no other's.
            Err(Unconfirmed::NotSent | Unconfirmed::Lost(_) | Unconfirmed::NotAsked) => {}
        }
        if let Some(lane) = lane {
            state.give_back(lane, &session);
        }
        Ok(sent?)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.supervision.abort();
    }
}

impl LineState {
    /// A lane that carries nothing.
    async fn lane(&self) -> Result<Leased<'_>, QueueError> {
        let permit = self.free.acquire().await.map_err(|error| QueueError::Unavailable(Box::new(error)))?;
        let (session, idle) = {
            let mut condition = self.condition();
            condition.refusal()?;
            let session = condition.session.clone().ok_or_else(is_away)?;
            (session, condition.idle.pop())
        };
        let lane = match idle {
            Some(lane) => lane,
            None => Lane::open(&session).await?,
        };
        Ok(Leased { lane, session, permit })
    }

    fn give_back(&self, lane: Lane, of: &Arc<Session>) {
        let mut condition = self.condition();
        if condition.session.as_ref().is_some_and(|session| Arc::ptr_eq(session, of)) {
            condition.idle.push(lane);
        }
    }

    fn doubt(&self) {
        self.update(|condition| condition.in_doubt = true);
        self.doubts.notify_one();
    }

    pub(super) fn connected(&self, session: Arc<Session>) {
        self.update(|condition| {
            let rejected = condition.rejected.take();
            let session = Some(session);
            *condition = Condition { session, rejected, in_doubt: self.has_canary, ..Condition::default() };
            self.generation.fetch_add(1, Ordering::AcqRel);
        });
    }

    pub(super) fn disconnected(&self) {
        self.update(|condition| {
            *condition = Condition { rejected: condition.rejected.take(), ..Condition::default() };
        });
    }

    pub(super) fn blocked(&self, words: Option<String>) {
        self.update(|condition| condition.blocked = words);
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.condition().blocked.is_some()
    }

    /// All is there; no message is to be sent if it was `rejected`, for that reason.
    pub(super) fn judged(&self, rejected: Option<String>) {
        self.update(|condition| (condition.in_doubt, condition.rejected) = (false, rejected));
    }

    fn update(&self, change: impl FnOnce(&mut Condition)) {
        let mut condition = self.condition();
        change(&mut condition);
        self.is_known.send_replace(!condition.in_doubt || condition.blocked.is_some());
    }

    fn condition(&self) -> MutexGuard<'_, Condition> {
        self.condition.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Condition {
    /// Why nothing is sent now.
    fn refusal(&self) -> Result<(), QueueError> {
        match self {
            // It holds until the broker was looked at again.
            Self { rejected: Some(words), .. } => Err(QueueError::Rejected(words.clone())),
            Self { session: None, .. } => Err(is_away()),
            Self { blocked: Some(words), .. } => Err(takes_nothing(words)),
            Self { in_doubt: true, .. } => {
                Err(no_answer("the broker is being checked, after it connected or didn't confirm a message"))
            }
            Self { in_doubt: false, .. } => Ok(()),
        }
    }
}

fn is_away() -> QueueError {
    no_answer("the broker is away")
}

fn takes_nothing(words: &str) -> QueueError {
    no_answer(&format!("the broker takes nothing for now: {words}"))
}
