//! `cargo xtask bench overload`: what a refused vote costs, beside one that is counted; and how many votes are still counted while
//! ten times as many clients vote at once as are needed for the highest rate.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use serde_json::Value;

use super::bench_env::BenchEnv;
use super::http::exchange;
use super::load;
use super::machine::{self, Machine};
use super::new_poll;
use super::plan::Plan;
use super::report::{Fact, Report, median};
use super::request::Request;
use super::server::Server;
use crate::stopwatch::{Stopwatch, wait_checking_rarely, wait_until};
use crate::{command, packages};

/// Clients that vote at once, where a vote's cost is measured.
const CLIENTS: usize = 256;

/// The numbers of clients among which the rate is highest, and ten times as many as the last of them.
const CLIENTS_AT_PEAK: [usize; 2] = [256, 1_000];
const CLIENTS_OVERLOADING: usize = 10_000;

/// How long the clients may take to connect, in seconds.
const CONNECTING_MAX_S: u32 = 10;

/// The ballot that the same request sends again and again.
const BALLOT_ID: &str = "018f4d1e-7c00-7000-8000-000000000001";

const SLUG: &str = "overload";

/// Votes that all have the same end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Votes {
    Unlimited,
    OfDevices,
    Duplicate,
    RateLimited,
    Closed,
    BadProof,
}

use Votes::{BadProof, Closed, Duplicate, OfDevices, RateLimited, Unlimited};

impl Votes {
    const ALL: [Self; 6] = [Unlimited, OfDevices, Duplicate, RateLimited, Closed, BadProof];

    fn name(self) -> &'static str {
        match self {
            Unlimited => "counted, unlimited",
            OfDevices => "counted, policy device",
            Duplicate => "409 already_voted, policy device",
            RateLimited => "429 rate_limited",
            Closed => "410 poll_closed, with a ballot id",
            BadProof => "428 proof_invalid, with a valid challenge",
        }
    }

    /// The counted votes that these are compared with; `None` if they are counted.
    fn counterpart(self) -> Option<Self> {
        match self {
            Unlimited | OfDevices => None,
            Duplicate => Some(OfDevices),
            RateLimited | Closed | BadProof => Some(Unlimited),
        }
    }

    /// What their poll is created with.
    fn poll(self) -> &'static [&'static str] {
        match self {
            Unlimited | RateLimited | Closed => &[],
            OfDevices | Duplicate => &["--policy", "device"],
            BadProof => &["--proof", "always"],
        }
    }

    /// The headers that each of their requests has.
    fn headers(self, server: &Server) -> anyhow::Result<Vec<String>> {
        let id = format!("Idempotency-Key: {BALLOT_ID}");
        let text = |body: &str, field: &str| {
            let body: Value = serde_json::from_str(body)?;
            body[field].as_str().map(str::to_owned).with_context(|| format!("no {field} in {body}"))
        };
        Ok(match self {
            Unlimited | OfDevices | RateLimited => Vec::new(),
            Closed => vec![id],
            Duplicate => {
                let ballot = format!(r#"{{"ballot_id":"{BALLOT_ID}","choices":[1]}}"#);
                let cast = exchange(server.address, "POST", "/api/v1/polls/overload/ballots", &ballot)?;
                vec![format!("Throng-Voter: {}", text(&cast, "voter")?)]
            }
            BadProof => {
                let path = format!("/api/v1/polls/overload/challenge?ballot_id={BALLOT_ID}");
                let challenge = text(&exchange(server.address, "GET", &path, "")?, "challenge")?;
                vec![id, format!("Throng-Proof: {challenge}{}", ".0".repeat(16))]
            }
        })
    }

    /// A server with their poll, in an empty directory.
    fn start(self, throng: &Path, directory: &Path) -> anyhow::Result<Server> {
        let database = new_poll::create(throng, directory, SLUG, self.poll())?;
        if self == Closed {
            let mut close = command::program(throng);
            close.args(["poll", "close", SLUG]).env("DATABASE_URL", &database).env("APP_ENV", "prod");
            command::output(close.current_dir(directory))?;
        }
        Server::start(throng, directory, Request::Result, |command, address| {
            command.args(["--listen", &address.to_string(), "--database-url", &database]);
            command.env("DEFAULT_POLL", SLUG).env("APP_ENV", "prod");
            if self == RateLimited {
                command.env("VOTES_PER_NETWORK", "1");
            }
            Ok(())
        })
    }
}

/// Runs the benchmark, prints the report and stores it.
///
/// # Errors
/// If the benchmark can't run, or votes have another end than they should.
pub fn run(plan: &Plan) -> anyhow::Result<bool> {
    packages::ensure(&[load::WRK, packages::SETPRIV])?;
    let bench_env = BenchEnv::open()?;
    machine::raise_descriptor_limit()?;
    let machine = Machine::describe(&bench_env.scratch)?;
    let (throng, scratch) = (bench_env.throng(), bench_env.scratch.as_path());
    let mut facts = costs(plan, &throng, scratch)?;
    facts.extend(goodput(plan, &throng, scratch)?);
    let notes = vec![format!(
        "Costs are the server's processor time per vote while {CLIENTS} clients vote, each with the next vote when it has its \
         response. In the overload each of {CLIENTS_OVERLOADING} clients does so, at a poll with the policy `device`, as a new voter \
         each time; its rate is the growth of the server's own count, once all clients are connected."
    )];
    let date = machine::today();
    let all_met = facts.iter().all(|fact| fact.met);
    let (ratios, runs) = (Vec::new(), Vec::new());
    Report { name: "overload", date, machine, plan: Some(plan.clone()), notes, facts, ratios, runs }
        .publish(&plan.out)?;
    Ok(all_met)
}

/// The processor time of votes with each end, and of the refused ones relative to those that are counted.
fn costs(plan: &Plan, throng: &Path, scratch: &Path) -> anyhow::Result<Vec<Fact>> {
    let mut costs: Vec<Vec<f64>> = vec![Vec::new(); Votes::ALL.len()];
    for round in 0..plan.rounds {
        for place in 0..Votes::ALL.len() {
            let which = (place + round) % Votes::ALL.len();
            let votes = Votes::ALL[which];
            let cost_us = cost_us(votes, plan, throng, scratch)?;
            println!("round {}/{} {:<45} {cost_us:>6.2} us", round + 1, plan.rounds, votes.name());
            costs[which].push(cost_us);
        }
    }
    let of = |votes: Votes| &costs[Votes::ALL.iter().position(|one| *one == votes).expect("all are measured")];
    let mut facts = Vec::new();
    for votes in Votes::ALL {
        let cost = median(of(votes).iter().copied()).context("no round")?;
        facts.push(Fact::shown(format!("a vote that is {}", votes.name()), cost, "us of processor time"));
        if let Some(counterpart) = votes.counterpart() {
            let ratios = of(votes).iter().zip(of(counterpart)).map(|(refused, counted)| refused / counted);
            let name = format!("{} / {}", votes.name(), counterpart.name());
            facts.push(Fact::below(name, median(ratios).context("no round")?, "", 1.0));
        }
    }
    Ok(facts)
}

/// The rate of counted votes and the response time under overload.
fn goodput(plan: &Plan, throng: &Path, scratch: &Path) -> anyhow::Result<[Fact; 3]> {
    let (mut ratios, mut peaks, mut p99s) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=plan.rounds {
        let rate = |clients| {
            let (rate, p99_ms) = rate_once_connected(clients, plan, throng, scratch)?;
            println!("round {round}/{} {clients:>6} clients {rate:>8.0}/s counted, p99 {p99_ms:.1} ms", plan.rounds);
            anyhow::Ok((rate, p99_ms))
        };
        let mut peak: f64 = 0.0;
        for clients in CLIENTS_AT_PEAK {
            peak = peak.max(rate(clients)?.0);
        }
        let (overloaded, p99_ms) = rate(CLIENTS_OVERLOADING)?;
        ratios.push(overloaded / peak);
        peaks.push(peak);
        p99s.push(p99_ms);
    }
    let middle = |values: Vec<f64>| median(values).context("no round");
    Ok([
        Fact::shown("votes counted per second at the peak, policy device", middle(peaks)?, "/s"),
        Fact::at_least("votes counted under overload / at the peak", middle(ratios)?, "", 0.9),
        Fact::below("p99 of the response time under overload", middle(p99s)?, "ms", 500.0),
    ])
}

/// The votes of devices that the server counts per second, by its own metrics, from when all of the clients are connected; and the
/// 99th percentile of the response time, in milliseconds, while they connect too.
fn rate_once_connected(clients: usize, plan: &Plan, throng: &Path, scratch: &Path) -> anyhow::Result<(f64, f64)> {
    machine::wait_until_quiet()?;
    let directory = tempfile::tempdir_in(scratch)?;
    let server = OfDevices.start(throng, directory.path())?;
    let to = server.address;
    let (rate, summary) = std::thread::scope(|scope| {
        let load = scope.spawn(move || load::send(Request::Vote, to, clients, CONNECTING_MAX_S + plan.seconds));
        let connected = || (metric(to, "throng_connections ").ok()? >= clients as f64).then_some(());
        wait_checking_rarely(Duration::from_secs(CONNECTING_MAX_S.into()), connected)
            .with_context(|| format!("{clients} clients don't connect within {CONNECTING_MAX_S} s"))?;
        let counted = || metric(to, "throng_ballots_total{outcome=\"counted\"} ");
        // Both times are those of the metrics' arrival, which takes some 100 ms under load.
        let (before, watch) = (counted()?, Stopwatch::start());
        let _ = wait_until::<()>(Duration::from_secs(plan.seconds.into()), || None);
        let rate = (counted()? - before) / watch.elapsed().as_secs_f64();
        let summary = load.join().map_err(|_| anyhow!("reading wrk's output panicked"))??;
        anyhow::Ok((rate, summary))
    })?;
    server.stop()?;
    Ok((rate, summary.p99_us as f64 / 1e3))
}

/// The value of the metric whose line begins so.
fn metric(of: SocketAddr, line: &str) -> anyhow::Result<f64> {
    let metrics = exchange(of, "GET", "/metrics", "")?;
    let value = metrics.lines().find_map(|found| found.strip_prefix(line));
    Ok(value.with_context(|| format!("no metric {line}"))?.parse()?)
}

/// The server's processor time per vote, in microseconds.
fn cost_us(votes: Votes, plan: &Plan, throng: &Path, scratch: &Path) -> anyhow::Result<f64> {
    machine::wait_until_quiet()?;
    let directory = tempfile::tempdir_in(scratch)?;
    let server = votes.start(throng, directory.path())?;
    let headers = votes.headers(&server)?;
    let processes = server.processes()?;
    let send = |seconds| load::send_with(Request::Vote, &headers, server.address, CLIENTS, seconds);
    send(1)?;
    let before_us = processes.cpu_us()?;
    let summary = send(plan.seconds)?;
    let cpu_us = processes.cpu_us()? - before_us;
    server.stop()?;
    let refused = summary.errors as f64 / summary.requests as f64;
    let is_refused = votes.counterpart().is_some();
    ensure!(is_refused == (refused > 0.99), "{}: {:.0} % are refused", votes.name(), 100.0 * refused);
    Ok(cpu_us as f64 / summary.requests as f64)
}
