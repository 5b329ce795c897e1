//! Keeps processors out of idle states while a crowd votes.
//!
//! An idle processor takes 30 to 50 µs to wake up in a virtual machine, and more from a deep idle state of real hardware. A
//! commit waits for the disk twice, and twice finds processors idle: on two cores with 64 clients that was a quarter of a
//! commit. Linux's PM QoS interface lets a process that may write to `/dev/cpu_dma_latency` limit the wake-up latency for as
//! long as it holds the file open (tuned's profile `latency-performance` uses it too). With a limit of 0, idle processors poll,
//! which uses as much energy as work; so it is set only while a crowd votes.

use std::convert::Infallible;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tracing::{debug, warn};

/// Linux's PM QoS device.
const DEVICE: &str = "/dev/cpu_dma_latency";

/// How often the rate of ballots is checked.
const CHECK_EVERY: Duration = Duration::from_millis(100);

/// The ballots between two checks that count as a crowd: 1,000 per second.
const CROWD: u64 = 100;

/// The checks without a crowd after which processors may be idle again: half a second.
const CHECKS_UNTIL_QUIET: u32 = 5;

/// No idle states: the limit of the wake-up latency, in microseconds.
const NO_IDLE_US: i32 = 0;

/// No limit: the kernel's own default, `PM_QOS_CPU_LATENCY_DEFAULT_VALUE`, in microseconds.
const NO_LIMIT_US: i32 = 2_000_000_000;

/// Keeps processors out of idle states while a crowd votes, if this process may. `admitted` is the number of ballots admitted
/// so far.
pub async fn limit_while_crowd(admitted: impl Fn() -> u64) -> Infallible {
    let mut limit = match LatencyLimit::open(Path::new(DEVICE)) {
        Ok(limit) => limit,
        Err(error) => {
            debug!(%error, "{DEVICE} can't be opened: processors may be idle while a crowd votes");
            return std::future::pending().await;
        }
    };
    let mut tick = tokio::time::interval(CHECK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut crowd = Crowd::default();
    loop {
        tick.tick().await;
        let is_present = crowd.is_present(admitted());
        if let Err(error) = limit.set(is_present) {
            warn!(%error, "{DEVICE} can't be written: processors may be idle while a crowd votes");
            break;
        }
    }
    // Closing the device removes the limit.
    drop(limit);
    std::future::pending().await
}

/// Detects a crowd by the rate of ballots.
#[derive(Default)]
struct Crowd {
    admitted: u64,
    /// The remaining checks for which the crowd counts as present.
    checks_left: u32,
}

impl Crowd {
    /// Whether a crowd votes, given the number of ballots admitted so far.
    fn is_present(&mut self, admitted: u64) -> bool {
        let new = admitted - std::mem::replace(&mut self.admitted, admitted);
        self.checks_left = if new >= CROWD { CHECKS_UNTIL_QUIET } else { self.checks_left.saturating_sub(1) };
        self.checks_left > 0
    }
}

/// The limit of the wake-up latency; removed when this is dropped.
struct LatencyLimit {
    device: File,
    is_set: bool,
}

impl LatencyLimit {
    fn open(device: &Path) -> io::Result<Self> {
        Ok(Self { device: OpenOptions::new().write(true).open(device)?, is_set: false })
    }

    fn set(&mut self, is_set: bool) -> io::Result<()> {
        if is_set != self.is_set {
            let latency_us = if is_set { NO_IDLE_US } else { NO_LIMIT_US };
            self.device.write_all(&latency_us.to_ne_bytes())?;
            self.is_set = is_set;
            let change = if is_set { "set" } else { "removed" };
            debug!(latency_us, "the limit of processors' wake-up latency was {change}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crowd_counts_as_present_for_half_a_second() {
        let (mut crowd, mut admitted) = (Crowd::default(), 0);
        let mut check = |new| {
            admitted += new;
            crowd.is_present(admitted)
        };
        assert!(!check(0) && !check(CROWD - 1));
        assert!(check(CROWD) && check(0) && check(CROWD));
        let checks: Vec<bool> = (0..6).map(|_| check(CROWD - 1)).collect();
        assert_eq!(checks, [true, true, true, true, false, false]);
        assert!(check(CROWD));
    }

    #[test]
    fn device_is_written_on_changes_only() {
        let device = tempfile::NamedTempFile::new().unwrap();
        let mut limit = LatencyLimit::open(device.path()).unwrap();
        for is_set in [false, true, true, false, false] {
            limit.set(is_set).unwrap();
        }
        let written = [NO_IDLE_US.to_ne_bytes(), NO_LIMIT_US.to_ne_bytes()].concat();
        assert_eq!(std::fs::read(device.path()).unwrap(), written);
    }
}
