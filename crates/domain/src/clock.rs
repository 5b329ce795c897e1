//! Time, passed in: code that depends on the time is given a clock, so that a test can set it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// How much slower a [`SteadyClock`] runs while it is ahead of the system's clock: by `1 / HELD_DIVISOR` of the time elapsed.
const HELD_DIVISOR: i64 = 10;

/// How far the held time may be behind the latest one, in milliseconds, before it counts as that of an earlier step.
const HELD_SLACK_MS: i64 = 100;

/// A time, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The time `ms` milliseconds after this one (before it, where negative).
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

/// A source of the current time.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The current time.
    fn now(&self) -> Timestamp;

    /// How far this clock is ahead of the system's, because the system's clock was set back, in milliseconds.
    fn ahead_ms(&self) -> i64 {
        0
    }
}

/// The machine's own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads it")]
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A request for the time: the uptime of the machine when it was sent.
#[derive(Clone, Copy, Debug)]
pub struct Asked(Duration);

impl Asked {
    /// A request that is sent now.
    pub fn now() -> Self {
        Self(uptime())
    }

    fn elapsed_ms(self) -> i64 {
        milliseconds(uptime().saturating_sub(self.0))
    }
}

/// How long ago the machine was started. Unlike [`Instant`], this advances while the machine is suspended: a machine
/// that resumes after a poll's close must not accept ballots for as long as it was suspended.
fn uptime() -> Duration {
    let since_start = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(since_start).unwrap_or_default()
}

/// The clock of another machine, which is queried from time to time. Between queries it advances with the time elapsed:
/// what this machine's clock is set to makes no difference.
///
/// It is as exact as the responses are fast: a response that took 4 ms gives the time to within 2 ms.
#[derive(Debug)]
pub struct RemoteClock {
    /// The first request.
    started: Asked,
    /// The other clock's time when it was sent, in milliseconds.
    started_ms: AtomicI64,
}

impl RemoteClock {
    /// The clock that showed `there` in the response, received just now, to `request`.
    pub fn new(request: Asked, there: Timestamp) -> Self {
        let took_ms = request.elapsed_ms();
        Self { started: request, started_ms: AtomicI64::new(there.0.saturating_sub(took_ms / 2)) }
    }

    /// Adjusts the clock to `there`, the time in the response, received just now, to `request`. Nothing changes while
    /// that agrees with the time shown here: the other clock was read at some time between request and response.
    pub fn follow(&self, request: Asked, there: Timestamp) {
        let (after_ms, took_ms) = (self.started.elapsed_ms(), request.elapsed_ms());
        // `there` was rounded down to a millisecond.
        let earliest = there.0.saturating_sub(after_ms).saturating_sub(1);
        let latest = earliest.saturating_add(took_ms).saturating_add(2);
        let started_ms = self.started_ms.load(Ordering::Relaxed).clamp(earliest, latest);
        self.started_ms.store(started_ms, Ordering::Relaxed);
    }
}

impl Clock for RemoteClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.started_ms.load(Ordering::Relaxed)).plus_ms(self.started.elapsed_ms())
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A clock that never goes back. It shows the time of `system`, the machine's clock, and follows it forward at once.
/// When the machine's clock is set back, this clock continues from the latest time that it showed, a tenth slower than
/// real time, until the system's clock has caught up.
///
/// For a process that decides which ballots arrived in time: a poll that it saw close stays closed, and ballots' times ascend.
#[derive(Debug)]
pub struct SteadyClock<S = SystemClock> {
    system: S,
    /// Where `elapsed_ms` starts.
    started: Instant,
    /// The latest time shown. Written at most once per millisecond, by the first thread that sees that time, and
    /// otherwise only read.
    latest_ms: AtomicI64,
    /// The time to which the slowed elapsed time is added while this clock is ahead.
    held_from_ms: AtomicI64,
}

impl SteadyClock {
    /// A clock that shows the machine's time until that is set back.
    pub fn new() -> Self {
        Self::over(SystemClock)
    }
}

impl Default for SteadyClock {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Clock> SteadyClock<S> {
    /// A clock that shows the time of `system` until that is set back.
    #[expect(clippy::disallowed_methods, reason = "other code is given this clock instead")]
    pub fn over(system: S) -> Self {
        let (latest_ms, held_from_ms) = (AtomicI64::new(i64::MIN), AtomicI64::new(i64::MIN));
        Self { system, started: Instant::now(), latest_ms, held_from_ms }
    }

    /// The clock that this one follows.
    pub fn source(&self) -> &S {
        &self.system
    }

    /// The time to show while the system's clock shows an earlier one than `latest_ms`.
    fn held_ms(&self, latest_ms: i64) -> i64 {
        let elapsed_ms = milliseconds(self.started.elapsed());
        let slowed_ms = elapsed_ms - elapsed_ms / HELD_DIVISOR;
        let held_ms = self.held_from_ms.load(Ordering::Relaxed).saturating_add(slowed_ms);
        if held_ms < latest_ms.saturating_sub(HELD_SLACK_MS) {
            // The system's clock has been ahead of this since, so it was set back again.
            self.held_from_ms.fetch_max(latest_ms - slowed_ms, Ordering::Relaxed);
        }
        held_ms.max(latest_ms)
    }
}

impl<S: Clock> Clock for SteadyClock<S> {
    fn now(&self) -> Timestamp {
        let system_ms = self.system.now().0;
        let latest_ms = self.latest_ms.load(Ordering::Relaxed);
        if system_ms == latest_ms {
            return Timestamp(latest_ms);
        }
        let now_ms = if system_ms > latest_ms { system_ms } else { self.held_ms(latest_ms) };
        if now_ms == latest_ms {
            return Timestamp(latest_ms);
        }
        // Another thread may have seen a later time meanwhile.
        Timestamp(self.latest_ms.fetch_max(now_ms, Ordering::Relaxed).max(now_ms))
    }

    fn ahead_ms(&self) -> i64 {
        let now_ms = self.now().0;
        now_ms.saturating_sub(self.system.now().0).max(0)
    }
}

/// A clock that stands still until it is set.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `at`.
    pub fn new(at: Timestamp) -> Self {
        Self(AtomicI64::new(at.0))
    }

    /// Moves the clock to `at`.
    pub fn set(&self, at: Timestamp) {
        self.0.store(at.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;
    const START: Timestamp = Timestamp(1_800_000_000_000);

    fn clock() -> SteadyClock<ManualClock> {
        SteadyClock::over(ManualClock::new(START))
    }

    fn step(clock: &SteadyClock<ManualClock>, ms: i64) {
        clock.system.set(clock.system.now().plus_ms(ms));
    }

    /// Reads the clock until it shows a later time than `seen`.
    fn later_than(clock: &impl Clock, seen: Timestamp) -> Timestamp {
        loop {
            let now = clock.now();
            if now > seen {
                return now;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn time_follows_steps_forward_and_continues_after_steps_back() {
        let clock = clock();
        assert_eq!(clock.now(), START);
        step(&clock, HOUR_MS);
        assert_eq!((clock.now(), clock.ahead_ms()), (START.plus_ms(HOUR_MS), 0));
        step(&clock, -HOUR_MS);
        let held = clock.now();
        assert!(held >= START.plus_ms(HOUR_MS) && clock.ahead_ms() >= HOUR_MS);
        assert!(later_than(&clock, held) < held.plus_ms(HOUR_MS));
        // The step is reversed.
        step(&clock, 2 * HOUR_MS);
        assert_eq!((clock.now(), clock.ahead_ms()), (START.plus_ms(2 * HOUR_MS), 0));
    }

    #[test]
    fn held_time_passes_slower_than_real_time() {
        let clock = clock();
        clock.now();
        step(&clock, -HOUR_MS);
        let (from, started) = (clock.now(), clock.started.elapsed());
        let mut now = from;
        while now < from.plus_ms(50) {
            now = later_than(&clock, now);
        }
        let passed = (clock.started.elapsed() - started).as_millis();
        // 50 ms by a clock a tenth slower; a rounded millisecond at each end.
        assert!(passed >= 53, "{passed}");
    }

    #[test]
    fn time_never_goes_back() {
        let clock = clock();
        let mut seed = 7_u64;
        let mut last = clock.now();
        for _ in 0..10_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            step(&clock, i64::try_from(seed >> 33).unwrap() % (24 * HOUR_MS) - 12 * HOUR_MS);
            let now = clock.now();
            assert!(now >= last, "{now:?} {last:?}");
            last = now;
        }
    }

    /// A request that was sent so long ago.
    fn sent_ms_ago(ms: u64) -> Asked {
        Asked(Asked::now().0 - Duration::from_millis(ms))
    }

    #[test]
    fn remote_clock_is_followed_within_response_times() {
        // Read at some time in the last 2 s, so the clock now shows a time from `START` to 2 s later.
        let clock = RemoteClock::new(sent_ms_ago(2_000), START);
        let shown = clock.now();
        assert!(shown >= START.plus_ms(999), "{shown:?}");
        // Consistent with the time shown.
        clock.follow(sent_ms_ago(60_000), START);
        assert!((shown..START.plus_ms(60_000)).contains(&clock.now()));
        for (there, took_ms) in [(START.plus_ms(24 * HOUR_MS), 0), (START.plus_ms(-HOUR_MS), 40), (START, 0)] {
            clock.follow(sent_ms_ago(took_ms), there);
            let now = clock.now();
            assert!(now >= there.plus_ms(-2), "{now:?} is before {there:?}");
            assert!(now < there.plus_ms(10_000), "{now:?} is long after {there:?}");
        }
    }

    #[test]
    fn threads_see_the_same_ascending_time() {
        let clock = SteadyClock::new();
        let latest = AtomicI64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        let seen_before = latest.load(Ordering::SeqCst);
                        let now = clock.now().0;
                        assert!(now >= seen_before);
                        latest.fetch_max(now, Ordering::SeqCst);
                    }
                });
            }
        });
    }
}
