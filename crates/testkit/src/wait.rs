//! Waiting for what has no event: a look each millisecond, until a deadline that only a fault reaches.

use std::time::Duration;

use tokio::time::{Instant, timeout};

/// How long a test waits for anything before it fails, on a machine that has much else to do.
pub const WAIT_MAX: Duration = Duration::from_secs(60);

/// How long it leaves the processor to others before it looks again.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Returns what `look` finds, within a millisecond of its being there. Fails, saying `what`, after [`WAIT_MAX`].
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "what others do has no event; the processor is left to them")]
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + WAIT_MAX;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {WAIT_MAX:?}: {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Returns once `is_so` does so. Fails as [`eventually`] does.
#[track_caller]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    eventually(what, || is_so().then_some(()));
}

/// The same as [`eventually`] in an asynchronous test.
pub async fn eventually_async<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    within(WAIT_MAX, what, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    })
    .await
}

/// Returns the output of `future`. Fails, saying `what`, unless it completes within `at_most`.
pub async fn within<T>(at_most: Duration, what: &str, future: impl Future<Output = T>) -> T {
    timeout(at_most, future).await.unwrap_or_else(|_| panic!("not within {at_most:?}: {what}"))
}
