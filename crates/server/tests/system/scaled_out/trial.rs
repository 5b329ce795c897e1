//! A system that is voted at while something happens to it, and what must hold afterwards.

use std::time::Duration;

use throng_testkit::{ThrongProcess, wait_until};
use tokio::time::Instant;

use crate::checker;
use crate::ledger::{Fate, Ledger, seed};
use crate::scaled_out::queue::Queue;
use crate::scaled_out::servers::{self, exclusive};
use crate::scaled_out::system::{System, wait_until_shown_within};

/// Voters at a time: enough to have something on its way everywhere, few enough to leave a processor to the others.
pub const VOTERS: usize = 6;

/// How long after a fault's end votes may be refused, by I6. What a server needs to start again comes before.
const RECOVERY_MAX: Duration = Duration::from_secs(10);

/// How long a server that was killed may take to be back.
const RESTART_MAX: Duration = Duration::from_secs(60);

/// The memory that a server may take at its peak, in MB: what a worker may with two million ballots before it.
const PEAK_MB_MAX: u64 = 200;

/// The file descriptors that a server may hold when it is over, beyond those before: connections of the voters, and to the
/// broker, database and cache that it had no use for yet. What a fault's reconnecting would leave behind comes on top.
const DESCRIPTORS_MORE_MAX: usize = 20;

/// A web node and a worker under load.
pub struct Trial<'a> {
    pub system: &'a System,
    pub web: ThrongProcess,
    pub worker: Option<ThrongProcess>,
    pub ledger: Ledger,
    /// The file descriptors that web node and worker held in the beginning.
    held: [usize; 2],
}

/// How many rounds are asked for.
pub fn rounds_asked() -> u32 {
    let rounds = std::env::var("THRONG_FAULT_ROUNDS").ok();
    rounds.map_or(1, |rounds| rounds.parse().expect("THRONG_FAULT_ROUNDS is a number"))
}

/// Runs `round` as often as asked for, with nobody else at the servers.
pub fn rounds(mut round: impl FnMut()) {
    let _alone = exclusive();
    (0..rounds_asked()).for_each(|_| round());
}

impl<'a> Trial<'a> {
    /// A web node and a worker of this system, which nobody has voted at.
    pub fn of(system: &'a System) -> Self {
        let (seed, web) = (seed(), system.web());
        let ledger = if system.has_broker() { Ledger::behind_broker(seed) } else { Ledger::new(seed) };
        let worker = system.has_broker().then(|| system.worker());
        let held = [Some(&web), worker.as_ref()].map(|process| process.map_or(0, |it| Held::by(it.pid()).descriptors));
        Self { system, web, worker, ledger, held }
    }

    /// Has voters vote while `fault` happens.
    pub fn under_load<T>(&mut self, fault: impl FnOnce() -> T) -> T {
        self.ledger.voters_while(self.web.address, VOTERS, fault)
    }

    /// Waits, under no load, until a vote is taken again; `killed` is a server that has to start before.
    #[track_caller]
    pub fn recovers(&mut self, killed: Option<servers::ExternalServer>) {
        let began = Instant::now();
        let at_most = RECOVERY_MAX + killed.map_or(Duration::ZERO, |_| RESTART_MAX);
        let refused = self.ledger.vote_until_counted(self.web.address, at_most);
        println!(
            "votes are taken again {:.1} s after the fault, {refused} were refused meanwhile",
            began.elapsed().as_secs_f64()
        );
    }

    /// Sends again what nobody knows the outcome of, waits until all is counted, and fails unless every promise holds.
    #[track_caller]
    pub fn settle(mut self) {
        if self.worker.is_none() && self.system.has_broker() {
            self.worker = Some(self.system.worker());
        }
        self.ledger.retry_unknown(self.web.address);
        checker::assert_settled(&self.ledger);
        let (counted, refused) = (self.ledger.count(Fate::Counted), self.ledger.count(Fate::NotCounted));
        // Those without a name couldn't be sent again: they may be there.
        let unknown = self.ledger.count(Fate::Unknown);
        wait_until_shown_within(&self.web, counted as u64..=(counted + unknown) as u64);
        checker::check_stored(self.system.stored(), &self.web, &self.ledger);
        let held = self.check_bounds();
        println!("{held}");
        println!(
            "{counted} ballots acknowledged, {refused} refused, {} sent again; lost 0, doubled 0",
            self.ledger.retried
        );
    }

    /// Fails unless everything has stayed within its bounds, by I7; says what was held.
    #[track_caller]
    fn check_bounds(&self) -> String {
        let mut held = Vec::new();
        let processes = [Some(("web node", &self.web)), self.worker.as_ref().map(|worker| ("worker", worker))];
        for ((name, process), before) in processes.into_iter().flatten().zip(self.held) {
            let Held { peak_mb, descriptors } = Held::by(process.pid());
            let words = format!("{name}: {peak_mb} MB at its peak, {descriptors} file descriptors, {before} before");
            assert!(peak_mb < PEAK_MB_MAX && descriptors <= before + DESCRIPTORS_MORE_MAX, "I7: {words}");
            held.push(words);
        }
        if self.system.has_broker() {
            let queue = Queue::of(self.system);
            wait_until("I6: no message waits, all counted", || queue.waiting() == 0);
        }
        held.join("; ")
    }
}

/// What a process holds.
struct Held {
    /// The most memory that it ever had, in MB.
    peak_mb: u64,
    /// The file descriptors that are open now.
    descriptors: usize,
}

impl Held {
    fn by(pid: u32) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let peak_kb: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        Self { peak_mb: peak_kb / 1024, descriptors }
    }
}

#[expect(clippy::disallowed_methods, reason = "a fault lasts for a while, not until an event")]
pub fn wait(moment: Duration) {
    std::thread::sleep(moment);
}
