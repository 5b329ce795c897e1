//! `cargo xtask bench embedded`: what a durable vote costs, measured against servers that do nothing.

use anyhow::Context as _;

use super::contender::{Contender, Database, Kind, Processors, Request};
use super::machine::Machine;
use super::report::{Comparison, Fact, Ratio, Report, median};
use super::runs::{self, Run};
use super::{Plan, Workshop, contender, load, machine, went_well};
use crate::packages::{self, Program};

const NGINX: Program = Program { name: "nginx", package: "nginx" };

const CONNECTIONS: [usize; 3] = [64, 256, 1000];

/// How often Throng is started to see how fast it answers.
const STARTS: usize = 5;

const EMPTY_AXUM: &str = "empty axum::serve";
const EMPTY_OWN: &str = "empty on our layout";
const EMPTY_LANE: &str = "empty on our lane";
const NGINX_200: &str = "nginx return 200";
const VOTE: &str = "durable vote";
const VOTE_ASLEEP: &str = "durable vote, processors may sleep";
const RESULT: &str = "result read";

const COMPARISONS: &[Comparison] = &[
    Comparison { top: VOTE, bottom: EMPTY_AXUM, bars: &[(64, Some(0.72)), (256, Some(0.95)), (1000, Some(0.95))] },
    Comparison { top: VOTE_ASLEEP, bottom: EMPTY_AXUM, bars: &[(64, None), (256, None), (1000, None)] },
    Comparison { top: VOTE, bottom: EMPTY_OWN, bars: &[(64, None), (256, None), (1000, Some(0.75))] },
    Comparison { top: VOTE, bottom: EMPTY_LANE, bars: &[(64, None), (256, None), (1000, None)] },
    Comparison { top: VOTE, bottom: NGINX_200, bars: &[(64, None), (256, None), (1000, Some(0.60))] },
    Comparison { top: RESULT, bottom: EMPTY_AXUM, bars: &[(64, Some(0.93)), (256, Some(0.93)), (1000, Some(0.93))] },
    Comparison { top: RESULT, bottom: EMPTY_OWN, bars: &[(64, None), (256, None), (1000, None)] },
];

/// Measures, prints and stores.
///
/// # Errors
/// If it can't be measured.
pub fn run(plan: &Plan) -> anyhow::Result<bool> {
    packages::ensure(&[load::WRK, packages::SETPRIV, NGINX])?;
    let workshop = Workshop::open()?;
    let machine = Machine::describe(&workshop.scratch)?;
    let mut facts = binary_facts(&workshop)?;
    let contenders = contenders(&workshop);
    let runs = runs::all(plan, &contenders, &CONNECTIONS, &workshop.scratch)?;
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
    Ok(went_well(&faults))
}

fn contenders(workshop: &Workshop) -> [Contender; 7] {
    let empty = |name, example, words| {
        let kind = Kind::Empty(workshop.example(example), words);
        Contender { name, kind, request: Request::Vote }
    };
    let throng = |name, request, processors| {
        let kind = Kind::Throng(workshop.throng(), Database::Fresh, processors);
        Contender { name, kind, request }
    };
    [
        empty(EMPTY_AXUM, "empty_axum", &[]),
        empty(EMPTY_OWN, "empty_own", &[]),
        empty(EMPTY_LANE, "empty_own", &["lane"]),
        Contender { name: NGINX_200, kind: Kind::Nginx, request: Request::Vote },
        throng(VOTE, Request::Vote, Processors::Awake),
        throng(VOTE_ASLEEP, Request::Vote, Processors::MaySleep),
        throng(RESULT, Request::Result, Processors::Awake),
    ]
}

/// How large the binary is, and how soon it answers on a machine that has no database yet.
fn binary_facts(workshop: &Workshop) -> anyhow::Result<Vec<Fact>> {
    machine::wait_until_quiet()?;
    let mut starts_ms = Vec::new();
    for _ in 0..STARTS {
        let directory = tempfile::tempdir_in(&workshop.scratch)?;
        let server = contender::start_throng(
            &workshop.throng(),
            directory.path(),
            &directory.path().join("throng.db"),
            Processors::Awake,
        )?;
        starts_ms.push(server.started_in.as_secs_f64() * 1e3);
        server.stop()?;
    }
    let start_ms = median(starts_ms).context("it was started")?;
    let size_mb = std::fs::metadata(workshop.throng())?.len() as f64 / 1e6;
    Ok(vec![
        Fact::below("start to first answer, on a new file", start_ms, "ms", 100.0),
        Fact::below("stripped binary", size_mb, "MB", 25.0),
    ])
}

/// The most memory that a thousand voting clients ever needed.
fn memory_fact(runs: &[Run]) -> Option<Fact> {
    let votes = runs.iter().filter(|run| run.contender == VOTE && run.connections == 1000);
    let most = votes.map(|run| run.memory_peak_mb).max_by(f64::total_cmp)?;
    Some(Fact::below("peak memory, 1,000 clients voting", most, "MB", 64.0))
}
