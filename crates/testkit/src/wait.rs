//! Waiting for what has no event: looks that become rarer, until a deadline that only a fault reaches.

use std::time::Duration;

use tokio::time::{Instant, timeout};

/// How long a test waits for anything before it fails, on a machine that has much else to do.
pub const WAIT_MAX: Duration = Duration::from_secs(120);

/// How long it leaves the processor to others before it looks again: at first, and at most.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// The part of the time waited so far that the next pause may add to it. A look may be a whole request, and many tests wait at
/// once: looks each millisecond took more of the processors than what they waited for.
const PAUSE_PART: u32 = 20;

/// The pause after this long a wait.
fn pause(waited: Duration) -> Duration {
    (waited / PAUSE_PART).clamp(PAUSE_MIN, PAUSE_MAX)
}

/// Returns what `look` finds, soon after it is there: see [`PAUSE_PART`]. Fails, saying `what`, after [`WAIT_MAX`].
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "what others do has no event; the processor is left to them")]
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < WAIT_MAX, "not within {WAIT_MAX:?}: {what}");
        std::thread::sleep(pause(began.elapsed()));
    }
}

/// Returns once `is_so` does so. Fails as [`eventually`] does.
#[track_caller]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    eventually(what, || is_so().then_some(()));
}

/// The same as [`eventually`] in an asynchronous test.
pub async fn eventually_async<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    within(WAIT_MAX, what, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(pause(began.elapsed())).await;
        }
    })
    .await
}

/// Returns the output of `future`. Fails, saying `what`, unless it completes within `at_most`.
pub async fn within<T>(at_most: Duration, what: &str, future: impl Future<Output = T>) -> T {
    timeout(at_most, future).await.unwrap_or_else(|_| panic!("not within {at_most:?}: {what}"))
}
