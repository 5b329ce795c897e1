//! Policies with which the broker would lose what it has confirmed: set before a node starts, while it starts, and while it serves.
//!
//! `THRONG_POLICY_VOTES` says how many votes are cast under each policy (60 unless told).

use std::time::Duration;

use throng_testkit::{Client, Reply, ThrongProcess, wait_until};

use crate::scaled_out::queue::Queue;
use crate::scaled_out::servers::{RABBITMQ, exclusive, shared};
use crate::scaled_out::system::{Kind, System};
use crate::scaled_out::trial::wait;

/// Each with the setting that the log must name.
pub const HARMFUL: [(&str, &str); 3] = [
    (r#"{"message-ttl":2000}"#, "message-ttl"),
    (r#"{"max-length":3,"overflow":"drop-head"}"#, "overflow"),
    (r#"{"expires":3000}"#, "expires"),
];

/// A policy on all queues of a system, until it is dropped.
pub struct Policy(String);

impl Policy {
    pub fn on(system: &System, definition: &str) -> Self {
        let (name, pattern) = (system.name().to_owned(), format!("^{}\\.", system.name()));
        RABBITMQ.control(&["set_policy", "--apply-to", "queues", &name, &pattern, definition]);
        Self(name)
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        RABBITMQ.control(&["clear_policy", &self.0]);
    }
}

/// Votes that are cast in one life of a system, at the most.
const MOST_IN_A_ROUND: usize = 2_000;

/// Voters at a time.
const VOTERS: usize = 4;

#[test]
fn messages_that_expire_are_lost_under_an_alarm_alone() {
    loses_nothing_without_an_alarm(HARMFUL[0]);
}

#[test]
fn messages_that_are_dropped_are_lost_under_an_alarm_alone() {
    loses_nothing_without_an_alarm(HARMFUL[1]);
}

#[test]
fn queues_that_expire_are_lost_under_an_alarm_alone() {
    loses_nothing_without_an_alarm(HARMFUL[2]);
}

/// How long an alarm lasts until what the node asked just before has gone unanswered for too long, and it asks no more.
const LONG_ALARM: Duration = Duration::from_secs(10);

/// The broker deletes a node's canary that nobody looked at for five minutes. While it is blocked, nobody can.
#[test]
fn canary_that_is_deleted_during_an_alarm_is_no_loss() {
    let _alone = exclusive();
    let system = System::new(Kind::Postgres, true, false);
    let mut node = system.web();
    let canary = wait_for_canary(&system);
    RABBITMQ.control(&["set_vm_memory_high_watermark", "0.00001"]);
    node.has_said("the broker takes nothing for now");
    wait(LONG_ALARM);
    RABBITMQ.control(&["delete_queue", &canary]);
    RABBITMQ.control(&["set_vm_memory_high_watermark", "0.4"]);
    node.has_said("the broker takes messages again");
    // It is looked at by then, and made again.
    wait_for_canary(&system);
    wait_until("votes are taken again", || {
        let voted = Client::new(node.address).post("/api/submit", "[1]");
        matches!(voted, Reply::Answer(answer) if answer.status == 200)
    });
    node.terminate();
    let (status, said) = node.ended();
    assert!(status.success() && !said.contains("the broker would lose"), "{said}");
}

/// A queue that is there and doesn't respond, as one may be that was made just before its broker was killed.
#[test]
fn canary_that_never_responds_again_is_replaced() {
    let _alone = exclusive();
    let system = System::new(Kind::Postgres, true, false);
    let node = system.web();
    let canary = wait_for_canary(&system);
    let stop = format!("ok = ra:stop_server(quorum_queues, {{'%2F_{canary}', node()}}).");
    RABBITMQ.control(&["eval", &stop]);
    wait_until_ready(&node, 503);
    wait_until_ready(&node, 200);
    RABBITMQ.control(&["delete_queue", &canary]);
}

/// Waits until the system has a canary; its name.
fn wait_for_canary(system: &System) -> String {
    let mut found = None;
    let begins = format!("{}.canary.", system.name());
    wait_until("a canary is there", || {
        let queues = RABBITMQ.control(&["list_queues", "--quiet", "--no-table-headers", "name"]);
        found = queues.lines().find(|queue| queue.starts_with(&begins)).map(str::to_owned);
        found.is_some()
    });
    found.unwrap()
}

/// No worker is there, so that everything waits. Either nothing that was answered is lost, or an alarm names the setting.
fn loses_nothing_without_an_alarm((definition, setting): (&str, &str)) {
    let _peace = shared();
    for set in [Set::BeforeTheStart, Set::DuringTheStart, Set::WhileItServes] {
        let mut all = Settled::default();
        while all.cast < votes() {
            all.add(round(definition, setting, set, votes().min(MOST_IN_A_ROUND)));
        }
        println!("{definition} {set:?}: {all:?}");
    }
}

/// When a policy is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    BeforeTheStart,
    DuringTheStart,
    WhileItServes,
}

/// What came of votes.
#[derive(Clone, Copy, Debug, Default)]
struct Settled {
    cast: usize,
    answered: usize,
    refused: usize,
    /// Those of which the voter was told that it isn't known whether they count.
    unknown: usize,
    counted: usize,
    /// Rounds in which the node refused to start.
    not_started: usize,
}

impl Settled {
    fn add(&mut self, other: Self) {
        self.cast += other.cast;
        self.answered += other.answered;
        self.refused += other.refused;
        self.unknown += other.unknown;
        self.counted += other.counted;
        self.not_started += other.not_started;
    }
}

/// How many votes are cast under each policy, set at each moment.
fn votes() -> usize {
    let votes = std::env::var("THRONG_POLICY_VOTES").ok();
    votes.map_or(60, |votes| votes.parse().expect("THRONG_POLICY_VOTES is a number"))
}

fn round(definition: &str, setting: &str, set: Set, votes: usize) -> Settled {
    let mut system = System::new(Kind::Postgres, true, false);
    system.output(&["schema", "create"]);
    system.set("APP_ENV", "prod");
    let mut policy = (set == Set::BeforeTheStart).then(|| Policy::on(&system, definition));
    let starting = system.starting_web();
    if set == Set::DuringTheStart {
        policy = Some(Policy::on(&system, definition));
    }
    let mut web = match starting.serves_or_ends() {
        Ok(web) => web,
        Err(said) => {
            assert!(said.contains(setting) && said.contains("list_policies"), "{said}");
            return Settled { cast: votes, refused: votes, not_started: 1, ..Settled::default() };
        }
    };
    assert_ne!(set, Set::BeforeTheStart, "it starts under {definition}");
    let mut all = cast(&web, votes / 2);
    let policy = policy.unwrap_or_else(|| Policy::on(&system, definition));
    all.add(cast(&web, votes - votes / 2));
    // Whatever is lost is lost under this alarm.
    wait_until_ready(&web, 503);
    web.has_said(setting);
    web.has_said("rabbitmqctl list_policies");
    drop(policy);
    wait_until_ready(&web, 200);
    let _worker = system.worker();
    wait_until_empty(&system);
    all.counted = usize::try_from(system.stored().voters).unwrap();
    assert!(all.counted <= all.answered + all.unknown, "{all:?}");
    all
}

/// Casts so many votes.
fn cast(web: &ThrongProcess, votes: usize) -> Settled {
    let address = web.address;
    let share = |voter: usize| {
        let mut client = Client::new(address);
        let mut settled = Settled::default();
        for _ in (0..votes).skip(voter).step_by(VOTERS) {
            let reply = client.post("/api/submit", "[1]");
            let Reply::Answer(answer) = &reply else { panic!("{reply:?}") };
            settled.cast += 1;
            match answer.status {
                200 => settled.answered += 1,
                503 => settled.refused += 1,
                500 if answer.json()["code"] == "outcome_unknown" => settled.unknown += 1,
                _ => panic!("{answer:?}"),
            }
        }
        settled
    };
    std::thread::scope(|scope| {
        let share = &share;
        let voters: Vec<_> = (0..VOTERS).map(|voter| scope.spawn(move || share(voter))).collect();
        let mut all = Settled::default();
        voters.into_iter().for_each(|voter| all.add(voter.join().unwrap()));
        all
    })
}

/// Waits until `/readyz` answers this.
#[track_caller]
pub fn wait_until_ready(web: &ThrongProcess, status: u16) {
    wait_until(
        &format!("/readyz answers {status}"),
        || matches!(Client::new(web.address).get("/readyz"), Reply::Answer(answer) if answer.status == status),
    );
}

/// Waits until workers have recorded all that is on the queue.
fn wait_until_empty(system: &System) {
    let queue = Queue::of(system);
    wait_until("no message waits", || queue.waiting() == 0);
    // What a worker has taken off is recorded before it asks for no more.
    wait(Duration::from_millis(500));
}
