//! Checks whether invitation codes are valid, against the store: one query at a time, with all codes that wait for one.
//!
//! So a crowd costs the store few large queries on one connection, not one query per vote, and a slow store few callers: those
//! beyond the limit are refused at once, and none waits for longer than a moment.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use throng_domain::ballot::VoterKey;
use throng_domain::clock::Clock;
use throng_domain::poll::PollId;
use throng_domain::store::{CODES_LOOKED_UP_MAX, CodeStore, StoreError};
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;
use tracing::warn;

use super::{BALLOTS_WAITING_MAX, SubmitError};
use crate::telemetry::log_rate_limiter::LogRateLimiter;

/// How long a vote waits until its code is checked: a ballot has to be recorded within seconds of its arrival.
const WAIT_MAX: Duration = Duration::from_secs(3);

/// The codes that wait for their check, on all cores.
#[derive(Debug)]
pub struct CodeChecks {
    waiting: Mutex<VecDeque<Check>>,
    wakeup: Notify,
    waiting_max: usize,
    log_limiter: LogRateLimiter,
}

#[derive(Debug)]
struct Check {
    poll: PollId,
    code: VoterKey,
    /// Dropped if the code can't be checked.
    answer: oneshot::Sender<bool>,
}

impl Default for CodeChecks {
    fn default() -> Self {
        Self::with_room(BALLOTS_WAITING_MAX)
    }
}

impl CodeChecks {
    fn with_room(waiting_max: usize) -> Self {
        Self { waiting: Mutex::default(), wakeup: Notify::new(), waiting_max, log_limiter: LogRateLimiter::new(1) }
    }

    /// Whether the poll has this code, and it isn't revoked.
    ///
    /// # Errors
    /// [`SubmitError::Busy`] if too many codes wait; [`SubmitError::Unavailable`] if the store can't be queried in time.
    pub async fn is_valid(&self, poll: PollId, code: VoterKey) -> Result<bool, SubmitError> {
        let (answer, answered) = oneshot::channel();
        {
            let mut waiting = self.lock();
            if waiting.len() >= self.waiting_max {
                return Err(SubmitError::Busy);
            }
            waiting.push_back(Check { poll, code, answer });
        }
        self.wakeup.notify_one();
        match timeout(WAIT_MAX, answered).await {
            Ok(Ok(is_valid)) => Ok(is_valid),
            Ok(Err(_)) | Err(_) => Err(SubmitError::Unavailable),
        }
    }

    /// Checks what waits.
    pub async fn keep_checking(&self, store: &dyn CodeStore, clock: &dyn Clock) -> Infallible {
        loop {
            self.wakeup.notified().await;
            loop {
                let batch = self.take();
                if batch.is_empty() {
                    break;
                }
                for (poll, checks) in by_poll(batch) {
                    let checked = timeout(WAIT_MAX, check(store, poll, checks)).await;
                    let checked =
                        checked.unwrap_or_else(|_| Err(StoreError::Unavailable("it didn't respond in time".into())));
                    if let Err(error) = checked
                        && let Some(unlogged) = self.log_limiter.take(clock.now())
                    {
                        warn!(%error, unlogged, "invitation codes can't be checked; their ballots are refused");
                    }
                }
            }
        }
    }

    /// The checks that waited longest, without those whose callers have left.
    fn take(&self) -> Vec<Check> {
        let mut waiting = self.lock();
        let mut taken = Vec::new();
        while taken.len() < CODES_LOOKED_UP_MAX
            && let Some(check) = waiting.pop_front()
        {
            if !check.answer.is_closed() {
                taken.push(check);
            }
        }
        taken
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Check>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn by_poll(checks: Vec<Check>) -> BTreeMap<PollId, Vec<Check>> {
    let mut polls: BTreeMap<PollId, Vec<Check>> = BTreeMap::new();
    for check in checks {
        polls.entry(check.poll).or_default().push(check);
    }
    polls
}

async fn check(store: &dyn CodeStore, poll: PollId, checks: Vec<Check>) -> Result<(), StoreError> {
    let mut codes: Vec<_> = checks.iter().map(|check| check.code).collect();
    codes.sort_unstable();
    codes.dedup();
    let mut valid = store.valid_codes(poll, &codes).await?;
    valid.sort_unstable();
    for Check { code, answer, .. } in checks {
        // A caller that has left needs no answer.
        let _ = answer.send(valid.binary_search(&code).is_ok());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use throng_domain::audit::Author;

    use throng_backends::store::sqlite::SqliteStore;
    use throng_domain::clock::{ManualClock, Timestamp};
    use throng_domain::code::BatchName;
    use throng_domain::new_poll::NewPoll;
    use throng_domain::store::{PollStore as _, Schema as _};

    use super::*;

    fn code(number: u16) -> VoterKey {
        let mut key = [0; 15];
        key[..2].copy_from_slice(&number.to_be_bytes());
        VoterKey(key)
    }

    #[tokio::test]
    async fn every_caller_gets_the_answer_for_its_own_code() {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&directory.path().join("throng.db")).unwrap();
        store.migrate().await.unwrap();
        let now = Timestamp(1_000);
        let mut polls = Vec::new();
        for slug in ["even", "odd"] {
            let poll = store.create_poll(NewPoll::demo(slug.parse().unwrap(), now), &Author::THRONG).await.unwrap().id;
            store.begin_code_batch(poll, &BatchName::of_number(1), now, &Author::THRONG).await.unwrap();
            polls.push(poll);
        }
        let known = |parity: u16| (0..1_000).filter(move |number| number % 2 == parity).map(code).collect::<Vec<_>>();
        store.add_codes(polls[0], 1, &known(0)).await.unwrap();
        store.add_codes(polls[1], 1, &known(1)).await.unwrap();
        let checks = Arc::new(CodeChecks::default());
        let (asking, clock) = (Arc::clone(&checks), ManualClock::new(now));
        let callers = async {
            let mut tasks = tokio::task::JoinSet::new();
            for number in 0..2_000_u16 {
                let (checks, poll, parity) = (Arc::clone(&asking), polls[usize::from(number % 3 % 2)], number % 3 % 2);
                tasks.spawn(async move { (number, parity, checks.is_valid(poll, code(number)).await) });
            }
            tasks.join_all().await
        };
        let answers = tokio::select! {
            answers = callers => answers,
            never = checks.keep_checking(&store, &clock) => match never {},
        };
        assert_eq!(answers.len(), 2_000);
        for (number, parity, answer) in answers {
            assert_eq!(answer, Ok(number < 1_000 && number % 2 == parity), "{number}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn callers_are_limited_and_wait_a_limited_time() {
        let checks = CodeChecks::with_room(2);
        let one = || checks.is_valid(PollId(1), code(1));
        let (first, second, third) = tokio::join!(one(), one(), one());
        assert_eq!(
            [first, second, third],
            [Err(SubmitError::Unavailable), Err(SubmitError::Unavailable), Err(SubmitError::Busy)]
        );
        // Those who have left are not looked up.
        assert!(checks.take().is_empty());
    }
}
