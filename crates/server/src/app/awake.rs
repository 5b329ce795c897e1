//! Processors kept awake while a crowd votes.
//!
//! A processor with nothing to do goes to sleep, and takes its time to wake: 30 to 50 µs in a virtual machine, more in
//! the deep sleep of a real one. A commit waits for the disk twice, and twice finds processors asleep: on two cores with 64
//! clients that was a quarter of a commit. Linux lets a process that may write to `/dev/cpu_dma_latency` say how long waking
//! may take, for as long as it holds the file open (its PM QoS interface, which tuned's profile `latency-performance`
//! uses too). With 0 they wait awake, which uses energy as work does; so it is said while a crowd votes, and only then.

use std::convert::Infallible;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tracing::{debug, warn};

use crate::intake::BallotQueue;

/// Where Linux is told.
const DEVICE: &str = "/dev/cpu_dma_latency";

/// How often it is looked whether a crowd votes.
const LOOK: Duration = Duration::from_millis(100);

/// The ballots between two looks that make a crowd: 1,000 a second.
const CROWD: u64 = 100;

/// The looks without a crowd after which processors may sleep again: half a second.
const LOOKS_UNTIL_QUIET: u32 = 5;

/// No processor may sleep: the longest that waking may take, in microseconds.
const AWAKE_US: i32 = 0;

/// Any sleep is fine: the kernel's own default, `PM_QOS_CPU_LATENCY_DEFAULT_VALUE`, in microseconds.
const ANY_SLEEP_US: i32 = 2_000_000_000;

/// Keeps processors awake while the ballots that come to `ballot_queues` are a crowd's, if this process may.
pub(super) async fn keep_processors_awake(ballot_queues: &[Arc<BallotQueue>]) -> Infallible {
    let mut processors = match Processors::at(Path::new(DEVICE)) {
        Ok(processors) => processors,
        Err(error) => {
            debug!(%error, "{DEVICE} can't be opened: processors may sleep while a crowd votes");
            return std::future::pending().await;
        }
    };
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut crowd = Crowd::default();
    loop {
        tick.tick().await;
        let votes = crowd.votes(ballot_queues.iter().map(|ballot_queue| ballot_queue.admitted()).sum());
        if let Err(error) = processors.let_sleep(!votes) {
            warn!(%error, "{DEVICE} takes no latency: processors may sleep while a crowd votes");
            break;
        }
    }
    // With the device closed, nothing that was said holds any more.
    drop(processors);
    std::future::pending().await
}

/// Tells a crowd by what comes from look to look.
#[derive(Default)]
struct Crowd {
    admitted: u64,
    /// The looks for which it still counts as there.
    looks_left: u32,
}

impl Crowd {
    /// Whether one votes, now that so many ballots were admitted in all.
    fn votes(&mut self, admitted: u64) -> bool {
        let came = admitted - std::mem::replace(&mut self.admitted, admitted);
        self.looks_left = if came >= CROWD { LOOKS_UNTIL_QUIET } else { self.looks_left.saturating_sub(1) };
        self.looks_left > 0
    }
}

/// The processors, as far as this process has a say. What it said ends when this is dropped.
struct Processors {
    device: File,
    may_sleep: bool,
}

impl Processors {
    fn at(device: &Path) -> io::Result<Self> {
        Ok(Self { device: OpenOptions::new().write(true).open(device)?, may_sleep: true })
    }

    fn let_sleep(&mut self, may_sleep: bool) -> io::Result<()> {
        if may_sleep != self.may_sleep {
            let latency_us = if may_sleep { ANY_SLEEP_US } else { AWAKE_US };
            self.device.write_all(&latency_us.to_ne_bytes())?;
            self.may_sleep = may_sleep;
            debug!(
                "{}",
                if may_sleep {
                    "the crowd has gone: processors may sleep"
                } else {
                    "a crowd votes: processors stay awake"
                }
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_is_there_until_it_was_quiet_for_a_while() {
        let (mut crowd, mut admitted) = (Crowd::default(), 0);
        let mut look = |came| {
            admitted += came;
            crowd.votes(admitted)
        };
        assert!(!look(0) && !look(CROWD - 1));
        assert!(look(CROWD) && look(0) && look(CROWD));
        let looks: Vec<bool> = (0..6).map(|_| look(CROWD - 1)).collect();
        assert_eq!(looks, [true, true, true, true, false, false]);
        assert!(look(CROWD));
    }

    #[test]
    fn the_system_is_told_of_changes_alone() {
        let device = tempfile::NamedTempFile::new().unwrap();
        let mut processors = Processors::at(device.path()).unwrap();
        for may_sleep in [true, false, false, true, true] {
            processors.let_sleep(may_sleep).unwrap();
        }
        let told = [AWAKE_US.to_ne_bytes(), ANY_SLEEP_US.to_ne_bytes()].concat();
        assert_eq!(std::fs::read(device.path()).unwrap(), told);
    }
}
