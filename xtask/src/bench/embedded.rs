//! `cargo xtask bench embedded`: what a durable vote costs, measured against servers that do nothing.

use anyhow::Context as _;

use super::bench_env::BenchEnv;
use super::contender::{Contender, Database, Kind, Processors};
use super::machine::Machine;
use super::plan::Plan;
use super::report::{Comparison, Fact, Ratio, Report, median};
use super::request::Request;
use super::runs::{self, Run};
use super::{contender, load, machine};
use crate::packages::{self, Program};

const NGINX: Program = Program { name: "nginx", package: "nginx" };

const CONNECTIONS: [usize; 3] = [64, 256, 1000];

/// How often Throng is started to measure its time to the first response.
const STARTS: usize = 5;

const EMPTY_AXUM: &str = "empty axum::serve";
const EMPTY_OWN: &str = "empty on our layout";
const EMPTY_FAST_PATH: &str = "empty on our lane";
const NGINX_200: &str = "nginx return 200";
const VOTE: &str = "durable vote";
const VOTE_ASLEEP: &str = "durable vote, processors may sleep";
const RESULT: &str = "result read";

const COMPARISONS: &[Comparison] = &[
    Comparison { top: VOTE, bottom: EMPTY_AXUM, bars: &[(64, Some(0.72)), (256, Some(0.95)), (1000, Some(0.95))] },
    Comparison { top: VOTE_ASLEEP, bottom: EMPTY_AXUM, bars: &[(64, None), (256, None), (1000, None)] },
    Comparison { top: VOTE, bottom: EMPTY_OWN, bars: &[(64, None), (256, None), (1000, Some(0.75))] },
    Comparison { top: VOTE, bottom: EMPTY_FAST_PATH, bars: &[(64, None), (256, None), (1000, None)] },
    Comparison { top: VOTE, bottom: NGINX_200, bars: &[(64, None), (256, None), (1000, Some(0.60))] },
    Comparison { top: RESULT, bottom: EMPTY_AXUM, bars: &[(64, Some(0.93)), (256, Some(0.93)), (1000, Some(0.93))] },
    Comparison { top: RESULT, bottom: EMPTY_OWN, bars: &[(64, None), (256, None), (1000, None)] },
];

/// Runs the benchmark, prints the report and stores it.
///
/// # Errors
/// If the benchmark can't run.
pub fn run(plan: &Plan) -> anyhow::Result<bool> {
    packages::ensure(&[load::WRK, packages::SETPRIV, NGINX])?;
    let bench_env = BenchEnv::open()?;
    let machine = Machine::describe(&bench_env.scratch)?;
    let mut facts = binary_facts(&bench_env)?;
    let contenders = contenders(&bench_env);
    let runs = runs::all(plan, &contenders, &CONNECTIONS, &bench_env.scratch)?;
    facts.extend(memory_fact(&runs));
    let ratios = Ratio::all(COMPARISONS, &runs);
    let faults = runs::faults(&runs);
    let date = machine::today();
    let notes = vec![
        "nginx answers with 2 workers. \"Beyond\" are ballots whose clients hung up at the end of the load: they were counted, \
         the answer found nobody."
            .to_owned(),
        "While votes come, Throng keeps the processors from sleeping, which `KEEP_AWAKE=false` turns off (\"may sleep\"); \
         the empty servers and nginx are measured with processors that may sleep. What a processor does awake and idle is not in \
         the CPU time."
            .to_owned(),
    ];
    Report { name: "embedded", date, machine, plan: Some(plan.clone()), notes, facts, ratios, runs }
        .publish(&plan.out)?;
    Ok(runs::print_faults(&faults))
}

fn contenders(bench_env: &BenchEnv) -> [Contender; 7] {
    let empty = |name, example, arguments| {
        let kind = Kind::Empty(bench_env.example(example), arguments);
        Contender { name, kind, request: Request::Vote }
    };
    let throng = |name, request, processors| {
        let kind = Kind::Throng(bench_env.throng(), Database::Fresh, processors);
        Contender { name, kind, request }
    };
    [
        empty(EMPTY_AXUM, "empty_axum", &[]),
        empty(EMPTY_OWN, "empty_own", &[]),
        empty(EMPTY_FAST_PATH, "empty_own", &["fast-path"]),
        Contender { name: NGINX_200, kind: Kind::Nginx, request: Request::Vote },
        throng(VOTE, Request::Vote, Processors::Awake),
        throng(VOTE_ASLEEP, Request::Vote, Processors::MaySleep),
        throng(RESULT, Request::Result, Processors::Awake),
    ]
}

/// The size of the binary, and the time from its start to its first response without an existing database.
fn binary_facts(bench_env: &BenchEnv) -> anyhow::Result<Vec<Fact>> {
    machine::wait_until_quiet()?;
    let mut starts_ms = Vec::new();
    for _ in 0..STARTS {
        let directory = tempfile::tempdir_in(&bench_env.scratch)?;
        let server = contender::start_throng(
            &bench_env.throng(),
            directory.path(),
            &directory.path().join("throng.db"),
            Processors::Awake,
        )?;
        starts_ms.push(server.started_in.as_secs_f64() * 1e3);
        server.stop()?;
    }
    let start_ms = median(starts_ms).context("Throng was never started")?;
    let size_mb = std::fs::metadata(bench_env.throng())?.len() as f64 / 1e6;
    Ok(vec![
        Fact::below("start to first answer, on a new file", start_ms, "ms", 100.0),
        Fact::below("stripped binary", size_mb, "MB", 25.0),
    ])
}

/// The peak memory with 1,000 voting clients.
fn memory_fact(runs: &[Run]) -> Option<Fact> {
    let votes = runs.iter().filter(|run| run.contender == VOTE && run.connections == 1000);
    let peak = votes.map(|run| run.memory_peak_mb).max_by(f64::total_cmp)?;
    Some(Fact::below("peak memory, 1,000 clients voting", peak, "MB", 64.0))
}
