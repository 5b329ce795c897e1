//! The policy `signed` on an SQLite file, against the same requests where everyone may vote any number of times.

use anyhow::Context as _;

use super::measured::Measured;
use super::tokens::{self, Algorithm, Tokens};
use crate::bench::bench_env::BenchEnv;
use crate::bench::contender::{Contender, Kind};
use crate::bench::plan::Plan;
use crate::bench::report::Comparison;
use crate::bench::request::Request;
use crate::bench::runs::{self, Run};
use crate::bench::signed_votes::{SLUG, SignedVotes};
use crate::packages;
use crate::services::OPENSSL;
use crate::stopwatch::Stopwatch;

const CONNECTIONS: [usize; 1] = [1000];

/// What the poll is created with: a token is never refused, whatever the rate of votes.
const POLICY: &[&str] = &["--policy", "signed", "--quota", "255"];

const HS256: &str = "vote, policy signed, HS256";
const HS256_UNLIMITED: &str = "vote, unlimited, with these tokens of HS256";
const RS256: &str = "vote, policy signed, RS256";
const RS256_UNLIMITED: &str = "vote, unlimited, with these tokens of RS256";

const COMPARISONS: &[Comparison] = &[
    Comparison { top: HS256, bottom: HS256_UNLIMITED, bars: &[(1000, Some(0.80))] },
    Comparison { top: RS256, bottom: RS256_UNLIMITED, bars: &[(1000, Some(0.35))] },
];

/// The tokens for each second of load. Before a ballot is recorded, its voter's earlier ones are read, one by one: with few tokens
/// that would be measured. With HS256 each voter votes once, up to this rate. With RS256, signing a token takes a while, and
/// verifying it takes much longer than reading the voter's few ballots.
const HS256_PER_S: u64 = 120_000;
const RS256_PER_S: u64 = 10_000;

/// Measures both algorithms.
///
/// # Errors
/// If the benchmark can't run.
pub fn measure(plan: &Plan, bench_env: &BenchEnv) -> anyhow::Result<Measured> {
    packages::ensure(&[OPENSSL])?;
    let directory = tempfile::tempdir_in(&bench_env.scratch)?;
    let load_s = u64::from(plan.seconds) + u64::from(runs::WARM_UP_S);
    let (mut contenders, mut made) = (Vec::new(), Vec::new());
    for (algorithm, per_s, signed, unlimited) in [
        (Algorithm::Hs256, HS256_PER_S, HS256, HS256_UNLIMITED),
        (Algorithm::Rs256, RS256_PER_S, RS256, RS256_UNLIMITED),
    ] {
        let count = per_s * load_s;
        println!("signing {count} tokens: {algorithm:?}");
        let watch = Stopwatch::start();
        let Tokens { tokens, keys } = tokens::make(algorithm, count, SLUG, directory.path())?;
        made.push((signed, count, watch.elapsed().as_secs_f64()));
        let contender = |name, poll| {
            let votes = SignedVotes { throng: bench_env.throng(), tokens: tokens.clone(), keys: keys.clone(), poll };
            Contender { name, kind: Kind::Signed(votes), request: Request::Vote }
        };
        contenders.extend([contender(signed, POLICY), contender(unlimited, &[])]);
    }
    let runs = runs::all(plan, &contenders, &CONNECTIONS, &bench_env.scratch)?;
    let notes =
        made.into_iter().map(|(name, count, took_s)| note(name, count, took_s, &runs)).collect::<Result<_, _>>()?;
    Ok(Measured { comparisons: COMPARISONS, notes, facts: Vec::new(), runs })
}

/// How many tokens there were, how often each was used, and what was refused.
fn note(name: &str, count: u64, took_s: f64, runs: &[Run]) -> anyhow::Result<String> {
    let of_contender = || runs.iter().filter(|run| run.contender == name);
    let refused: u64 = of_contender().map(|run| run.errors).sum();
    let votes = of_contender().filter_map(|run| run.ballots).map(|ballots| ballots.answered).max();
    let per_token = votes.context("nothing was measured")? as f64 / count as f64;
    Ok(format!(
        "{name}: {count} voters with a token each, signed in {took_s:.0} s, voted {per_token:.1} times on average in the run with \
         the most votes, with a quota of 255. {refused} votes were refused or failed."
    ))
}
