//! The clocks of nodes on one database are set forward and back, at random, while a poll opens, closes and is final, and
//! nodes are killed and started again with whatever their clocks show.
//!
//! The database's clock is right: it is this process's, on the same machine.

use std::process::Command;
use std::time::Duration;

use rand::RngExt as _;
use rand::SeedableRng as _;
use rand::rngs::Xoshiro256PlusPlus;
use serde_json::Value;
use tempfile::TempDir;
use throng_domain::clock::{Clock as _, SystemClock};
use throng_testkit::{Client, Reply, ThrongProcess, wait_until};
use tokio::time::Instant;

use crate::fake_clock::{DAY, FakeClock, HOUR};
use crate::ledger::seed;
use crate::scaled_out::servers::shared;
use crate::scaled_out::system::{Kind, System};
use crate::scaled_out::trial::rounds_asked;

/// In how many seconds the poll opens once it is made, and closes once there are enough ballots.
const SOON_S: i64 = 2;

/// How many ballots each node takes at the least.
const BALLOTS_MIN: usize = 20;

/// How long a clock stays as it is while both nodes are voted at.
const TURN: Duration = Duration::from_millis(250);

/// How many turns there are after the close.
const TURNS_AFTER_CLOSE: usize = 8;

/// For how long a poll's life goes on at the most: a slow machine takes longer for the same turns.
const LIFE_MAX: Duration = Duration::from_secs(300);

/// How far what a node takes for the database's time may be from it. The database's answer tells the time to half of what
/// it took, which is a millisecond unless the machine has much else to do. Clocks are set by 3,600 times that and more.
const TOLERANCE_MS: i64 = 1_000;

const POLL: &str = "/api/v1/polls/stepped";

const STATES: [&str; 4] = ["scheduled", "open", "closing", "final"];

#[test]
fn mysql_one_nodes_clock_steps() {
    live_through_steps(Kind::MySql, [true, false]);
}

#[test]
fn mysql_both_nodes_clocks_step() {
    live_through_steps(Kind::MySql, [true, true]);
}

#[test]
fn postgres_one_nodes_clock_steps() {
    live_through_steps(Kind::Postgres, [true, false]);
}

#[test]
fn postgres_both_nodes_clocks_step() {
    live_through_steps(Kind::Postgres, [true, true]);
}

#[test]
fn wrong_clock_is_logged_and_named_by_the_doctor() {
    let _peace = shared();
    let system = System::new(Kind::Postgres, false, false);
    let mut machine = Machine::new(0);
    machine.clock.set(HOUR);
    machine.start(&system);
    let throng = machine.throng.as_mut().unwrap();
    throng.has_said("this machine's clock is not the database's");
    machine.clock.set(0);
    throng.has_said("this machine's clock agrees with the database's again");
    machine.clock.set(-DAY);
    let said = machine.command(&system, &["doctor", "--json"]).output().unwrap().stdout;
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains("ms from the database's, by which polls open and close"), "{said}");
}

/// A machine, whose clock is set as the test likes, and the node on it.
struct Machine {
    directory: TempDir,
    clock: FakeClock,
    throng: Option<ThrongProcess>,
    client: Client,
    /// The option that is voted for here, by which ballots are told from those of the other machine.
    option: usize,
    /// How far the poll had come, as a place in `STATES`.
    seen: usize,
    /// Between which moments each ballot was taken.
    taken: Vec<[i64; 2]>,
}

/// When the poll is open.
#[derive(Clone, Copy)]
struct Window {
    opens_at: i64,
    closes_at: i64,
}

/// Lives through as many polls as are asked for, each on two new nodes, of which these are on machines whose clocks step.
fn live_through_steps(kind: Kind, steps: [bool; 2]) {
    let _peace = shared();
    let seed = seed();
    println!("clock: seed {seed}");
    for round in 0..rounds_asked() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed.wrapping_add(round.into()));
        live(kind, steps, &mut random);
    }
}

fn live(kind: Kind, steps: [bool; 2], random: &mut Xoshiro256PlusPlus) {
    let mut system = System::new(kind, false, false);
    system.output(&["schema", "create"]);
    system.set("DEFAULT_POLL", "stepped");
    let mut machines = [Machine::new(1), Machine::new(2)];
    let set_clocks = |machines: &[Machine; 2], random: &mut Xoshiro256PlusPlus| {
        for (machine, _) in machines.iter().zip(steps).filter(|(_, steps)| *steps) {
            machine.clock.set([-DAY, -HOUR, 0, HOUR, DAY][random.random_range(0..5)]);
        }
    };
    set_clocks(&machines, random);
    machines.iter_mut().for_each(|machine| machine.start(&system));
    let mut window = machines[0].create_poll(&system);
    machines.iter_mut().for_each(Machine::wait_for_poll);
    let deadline = Instant::now() + LIFE_MAX;
    let mut turns_closed = 0;
    while turns_closed < TURNS_AFTER_CLOSE {
        assert!(Instant::now() < deadline, "{LIFE_MAX:?} later there were {turns_closed} turns after the close");
        set_clocks(&machines, random);
        if random.random_ratio(1, 5) {
            machines[random.random_range(0..2)].restart(&system);
        }
        let until = Instant::now() + TURN;
        while Instant::now() < until {
            machines.iter_mut().for_each(|machine| machine.look_and_vote(window));
        }
        turns_closed += usize::from(machines.iter().all(|machine| machine.seen >= 2));
        if window.closes_at == i64::MAX && machines.iter().all(|machine| machine.taken.len() >= BALLOTS_MIN) {
            window.closes_at = machines[0].close_poll(&system);
        }
    }
    for machine in &mut machines {
        wait_until("the result is final", || {
            machine.look_and_vote(window);
            machine.seen == 3
        });
    }
    check_ballots(&system, &machines, window);
    let taken = machines.map(|machine| machine.taken.len());
    println!("{taken:?} ballots taken on the nodes, none outside the poll's window, none lost, nothing reopened");
}

impl Machine {
    fn new(option: usize) -> Self {
        let directory = throng_testkit::directory_on_disk();
        let clock = FakeClock::new(directory.path().join("offset"));
        let client = Client::new(([127, 0, 0, 1], 0).into());
        Self { directory, clock, throng: None, client, option, seen: 0, taken: Vec::new() }
    }

    fn command(&self, system: &System, arguments: &[&str]) -> Command {
        let mut command = system.command(arguments);
        self.clock.show_to(&mut command);
        command.current_dir(self.directory.path());
        command
    }

    fn start(&mut self, system: &System) {
        let throng = ThrongProcess::spawn(self.command(system, &["serve"])).once_it_serves();
        self.client = Client::new(throng.address);
        self.throng = Some(throng);
    }

    fn restart(&mut self, system: &System) {
        self.throng.take().unwrap().kill();
        self.start(system);
    }

    /// Makes the poll, by the command line of this machine.
    fn create_poll(&self, system: &System) -> Window {
        let what = ["create", "stepped", "--title", "Which?", "--option", "A", "--option", "B", "--opens-at"];
        Window { opens_at: self.soon(system, &what, "opens_at"), closes_at: i64::MAX }
    }

    /// The same for its close; returns when that is.
    fn close_poll(&self, system: &System) -> i64 {
        self.soon(system, &["close", "stepped", "--at"], "closes_at")
    }

    /// Has something happen to the poll in `SOON_S`; returns when that is by what the command says, and fails if it isn't.
    fn soon(&self, system: &System, what: &[&str], when: &str) -> i64 {
        let asked = SystemClock.now().0;
        let soon = format!("+{SOON_S}s");
        let said = self.command(system, &[&["poll"], what, &[soon.as_str(), "--json"]].concat()).output().unwrap();
        let poll: Value = serde_json::from_slice(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"));
        let found = milliseconds(&poll[when]) - SOON_S * 1_000;
        let right = asked - TOLERANCE_MS..=SystemClock.now().0 + TOLERANCE_MS;
        assert!(right.contains(&found), "{what:?} {SOON_S} s after {right:?}: {poll}");
        found + SOON_S * 1_000
    }

    fn wait_for_poll(&mut self) {
        wait_until(
            "the node knows the poll",
            || matches!(self.client.get(POLL), Reply::Answer(answer) if answer.status == 200),
        );
    }

    /// Looks how far the poll is, and votes; fails if either isn't what it should be at the time that it really is.
    fn look_and_vote(&mut self, window: Window) {
        let asked = SystemClock.now().0;
        let poll = self.client.get_json(POLL);
        let state = STATES.iter().position(|state| poll["state"] == *state).unwrap_or_else(|| panic!("{poll}"));
        assert!(state >= self.seen, "a poll that was {} is {}", STATES[self.seen], STATES[state]);
        self.seen = state;
        window.check(state, asked, SystemClock.now().0, "the poll's state");
        let sent = SystemClock.now().0;
        let Reply::Answer(answer) = self.client.post("/api/submit", &format!("[{}]", self.option)) else {
            panic!("a ballot was not answered");
        };
        let answered = SystemClock.now().0;
        match answer.status {
            200 => {
                assert!(state < 2, "a ballot was taken after the poll was {}", STATES[state]);
                self.taken.push([sent, answered]);
                window.check(1, sent, answered, "a ballot was taken");
            }
            409 => window.check(0, sent, answered, "a ballot came too early"),
            410 => window.check(2, sent, answered, "a ballot came too late"),
            status => panic!("a ballot was answered {status}: {answer:?}"),
        }
    }
}

impl Window {
    /// Fails unless the poll was in this state somewhen between two moments.
    fn check(self, state: usize, from: i64, to: i64, what: &str) {
        let Self { opens_at, closes_at } = self;
        let (begins, ends) = match state {
            0 => (i64::MIN, opens_at),
            1 => (opens_at, closes_at),
            _ => (closes_at, i64::MAX),
        };
        let is_right = to >= begins.saturating_add(-TOLERANCE_MS) && from < ends.saturating_add(TOLERANCE_MS);
        assert!(is_right, "{what} ({}), from {from} to {to}: open is from {opens_at} to {closes_at}", STATES[state]);
    }
}

/// Each ballot that was taken is there once, in the order in which they were, with the time that it was, and no other.
fn check_ballots(system: &System, machines: &[Machine; 2], window: Window) {
    let exported = String::from_utf8(system.output(&["poll", "export", "stepped", "--json"])).unwrap();
    // In the order of their ids.
    let ballots: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for machine in machines {
        let own = ballots.iter().filter(|ballot| ballot["choices"][0] == machine.option);
        let times: Vec<i64> = own.map(|ballot| milliseconds(&ballot["accepted_at"])).collect();
        assert_eq!(times.len(), machine.taken.len(), "ballots that are stored, and that were taken");
        assert!(times.is_sorted(), "ids and times are in another order: {times:?}");
        for (at, [sent, answered]) in times.iter().zip(&machine.taken) {
            assert!((window.opens_at..window.closes_at).contains(at), "{at} is outside the window");
            let taken = sent - TOLERANCE_MS..=answered + TOLERANCE_MS;
            assert!(taken.contains(at), "taken from {sent} to {answered}, stored as {at}");
        }
    }
    assert_eq!(ballots.len(), machines.iter().map(|machine| machine.taken.len()).sum::<usize>());
}

/// A moment that a command printed.
fn milliseconds(moment: &Value) -> i64 {
    let moment: jiff::Timestamp = moment.as_str().unwrap_or_else(|| panic!("{moment}")).parse().unwrap();
    moment.as_millisecond()
}
