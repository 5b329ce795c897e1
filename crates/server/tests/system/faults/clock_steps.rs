//! The machine's clock is set forward and back, at random, while a poll lives and servers come and go.
//!
//! `THRONG_CLOCK_ROUNDS` says how many polls live through it (1 unless told).

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use rand::RngExt as _;
use throng_domain::clock::{Clock as _, SystemClock};
use throng_testkit::{Client, DataDir, Reply, ThrongProcess, wait_until};
use tokio::time::Instant;

use crate::fake_clock::{DAY, FakeClock, HOUR};
use crate::ledger::{Ledger, seed};

/// How long a poll is open, if no step ends it.
const OPEN_MS: i64 = 2_500;

/// How long a round goes on after the poll was seen closed.
const STEPS_AFTER_CLOSE: usize = 8;

const POLL: &str = "/api/v1/polls/demo";

/// For how long a poll's life goes on at the most: a slow machine takes longer for the same steps.
const LIFE_MAX: Duration = Duration::from_secs(300);

/// A machine whose clock is set as the test likes.
struct Machine {
    data_dir: DataDir,
    clock: FakeClock,
}

impl Machine {
    fn new() -> Self {
        let data_dir = DataDir::new();
        let clock = FakeClock::new(data_dir.path("offset"));
        Self { data_dir, clock }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.data_dir.command(arguments);
        self.clock.show_to(&mut command);
        command
    }

    fn start(&self) -> ThrongProcess {
        ThrongProcess::spawn(self.command(&[])).once_it_serves()
    }

    fn run(&self, arguments: &[&str]) -> String {
        let ran = self.command(arguments).output().unwrap();
        assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    }
}

#[test]
fn a_clock_set_forward_and_back_reopens_nothing() {
    let rounds = std::env::var("THRONG_CLOCK_ROUNDS").ok();
    let rounds = rounds.map_or(1, |rounds| rounds.parse().expect("THRONG_CLOCK_ROUNDS is a number"));
    let seed = seed();
    println!("clock: seed {seed}");
    let mut taken = 0;
    for round in 0..rounds {
        taken += live_through_steps(&mut Ledger::new(seed.wrapping_add(round)));
    }
    println!("clock: {rounds} polls, {taken} ballots taken, none outside its poll's window, nothing reopened");
}

#[test]
fn date_follows_a_clock_that_is_set_back() {
    let machine = Machine::new();
    machine.clock.set(DAY);
    let throng = machine.start();
    // The first is answered without the HTTP library, the other with it.
    for path in ["/api/result", "/livez"] {
        for offset in [DAY, 0, HOUR, -HOUR, -DAY] {
            machine.clock.set(offset);
            wait_until("the date follows", || {
                let late_s = date_s(throng.address, path) - (SystemClock.now().0 / 1_000 + offset);
                // It is written twice a second, and a slow machine may be late.
                late_s.abs() < 60
            });
        }
    }
}

/// The date in the head of an answer, in seconds.
fn date_s(address: SocketAddr, path: &str) -> i64 {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let date = answer.lines().find_map(|line| line.strip_prefix("date: ")).unwrap_or_else(|| panic!("{answer}"));
    jiff::fmt::rfc2822::parse(date).unwrap().timestamp().as_second()
}

/// One poll's life; returns how many ballots were taken.
fn live_through_steps(ledger: &mut Ledger) -> usize {
    let machine = Machine::new();
    let mut throng = machine.start();
    let closes_at = SystemClock.now().plus_ms(OPEN_MS).0;
    let closes_at = format!("{}.{:03}Z", rfc3339(closes_at / 1_000), closes_at % 1_000);
    machine.run(&["poll", "close", "demo", "--at", &closes_at]);
    let (mut taken, mut steps_closed, mut closed_before) = (0, 0, false);
    let deadline = Instant::now() + LIFE_MAX;
    while steps_closed < STEPS_AFTER_CLOSE {
        assert!(
            Instant::now() < deadline,
            "{LIFE_MAX:?} later the poll is closed: {closed_before}, for {steps_closed} steps"
        );
        let random = &mut ledger.random;
        let offset = [-DAY, -HOUR, 0, 0, HOUR, DAY][random.random_range(0..6)];
        // Forward before the poll has closed only now and then: that ends it at once.
        machine.clock.set(if closed_before || random.random_ratio(1, 4) { offset } else { offset.min(0) });
        let mut client = Client::new(throng.address);
        let until = Instant::now() + Duration::from_millis(300);
        while Instant::now() < until {
            let state_before = state(&mut client);
            let was_taken = vote(&mut client);
            let closed = matches!(state_before.as_str(), "closing" | "final");
            assert!(!(closed && was_taken), "a ballot was taken after the poll was {state_before}");
            assert!(closed || !closed_before, "a closed poll is {state_before}");
            taken += usize::from(was_taken);
            closed_before |= closed;
        }
        steps_closed += usize::from(closed_before);
        if closed_before && random.random_ratio(1, 3) {
            // A quarter of a second after the close at the latest, the database has it.
            wait_until("the close is stored", || client.get_json(POLL)["version"].as_u64() >= Some(3));
            throng.kill();
            throng = machine.start();
        }
    }
    machine.clock.set(DAY);
    let mut client = Client::new(throng.address);
    wait_until("the result is final", || state(&mut client) == "final");
    assert!(!vote(&mut client));
    check_ballots(&machine, taken);
    taken
}

fn state(client: &mut Client) -> String {
    client.get_json(POLL)["state"].as_str().unwrap().to_owned()
}

/// Whether a ballot was taken.
fn vote(client: &mut Client) -> bool {
    match client.post("/api/submit", "[1]") {
        Reply::Answer(answer) => match answer.status {
            200 => true,
            409 | 410 => false,
            status => panic!("a ballot was answered {status}"),
        },
        reply @ (Reply::NotSent | Reply::Cut) => panic!("a ballot was not answered: {reply:?}"),
    }
}

/// Each ballot that was taken is there once, arrived within the window, and no later than those after it.
fn check_ballots(machine: &Machine, taken: usize) {
    let poll: serde_json::Value = serde_json::from_str(&machine.run(&["poll", "show", "demo", "--json"])).unwrap();
    let (opens_at, closes_at) = (poll["opens_at"].as_str().unwrap(), poll["closes_at"].as_str().unwrap());
    let exported = machine.run(&["poll", "export", "demo"]);
    // In the order of their ids, which were given as they came.
    let times: Vec<_> = exported.lines().skip(1).map(|line| line.split(',').nth(1).unwrap()).collect();
    assert_eq!(times.len(), taken);
    assert!(times.is_sorted(), "ids and times are in another order: {times:?}");
    assert!(times.iter().all(|at| (opens_at..closes_at).contains(at)), "{opens_at} {closes_at} {times:?}");
}

fn rfc3339(seconds: i64) -> String {
    let date = Command::new("date").args(["--utc", "--date", &format!("@{seconds}"), "+%Y-%m-%dT%H:%M:%S"]).output();
    String::from_utf8(date.unwrap().stdout).unwrap().trim().to_owned()
}
