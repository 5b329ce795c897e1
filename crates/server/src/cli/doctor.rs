//! `throng doctor`: whether everything that a deployment needs is available and durable.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

use anyhow::bail;
use serde::Serialize;
use throng_backends::queue::QueueUrl;
use throng_backends::store::{DatabaseUrl, sqlite};
use throng_backends::{cache, queue, store};
use throng_domain::clock::{Clock, SystemClock, Timestamp};
use throng_domain::policy::Policy;
use throng_domain::poll::{Poll, PollId, PollState};
use throng_domain::queue::Messages;
use throng_domain::store::{Database, LogReader, LogState, StoreError};
use throng_domain::waits_for::WaitsFor;

use super::console::{Json, print, write_json};
use super::counted::counted;
use super::flags::Flags;
use crate::app::{BROKER_WATCH, CLOCK_SKEW_MAX_MS, cant_use, watch_broker};
use crate::config::{AppEnv, Config, TokenKey, TokenKeys};

/// Maximum dead letters that are read for their reasons.
const LETTERS_MAX: usize = 100;

/// How long one check may take.
const CHECK_MAX: Duration = Duration::from_secs(10);

/// An id that no poll has.
const NO_POLL: PollId = PollId(-1);

/// What one check found.
#[derive(Debug, Serialize)]
struct Finding {
    /// What was checked.
    checked: &'static str,
    ok: bool,
    /// What was found, and what to do about it.
    found: String,
}

pub(super) fn run(Json { json }: Json, flags: &Flags) -> anyhow::Result<()> {
    let config = flags.config()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut findings = runtime.block_on(examine(&config));
    if config.tls.is_some() {
        findings.push(match flags.config_to_serve() {
            Ok(_) => passed("certificate", "it can be read, with its key".to_owned()),
            Err(faults) => fault("certificate", faults.to_string()),
        });
    }
    print(|out| write(&findings, json, out))?;
    match findings.iter().filter(|finding| !finding.ok).count() {
        0 => Ok(()),
        faults => bail!("{faults} of {} found a fault", counted(findings.len(), "check")),
    }
}

async fn examine(config: &Config) -> Vec<Finding> {
    // The broker's checks take long, so they run concurrently with the others.
    let ((mut findings, closing), (mut queue, messages)) =
        tokio::join!(examine_database_and_cache(config), examine_broker(config));
    queue.extend(messages.map(|messages| find_closing(closing, messages)));
    let before_cache = findings.iter().position(|finding| finding.checked == "cache").unwrap_or(findings.len());
    findings.splice(before_cache..before_cache, queue);
    findings
}

/// The findings, and how many polls have closed and have no final result yet.
async fn examine_database_and_cache(config: &Config) -> (Vec<Finding>, usize) {
    let (mut findings, mut closing) = (Vec::new(), 0);
    // Before this process opens the database: this opens and closes the file, and a close releases the process's locks.
    let log = examine_log(&config.database);
    match within(store::open_existing(&config.database)).await {
        Ok(Some(database)) => closing = examine_database(config, &*database, &mut findings).await,
        Ok(None) => {
            findings.push(fault("database", format!("{} doesn't exist; run `throng schema create`", config.database)))
        }
        Err(error) => findings.push(fault("database", format!("{}: {error}", config.database))),
    }
    findings.extend(log);
    if let Some(url) = &config.cache {
        findings.push(match cache::fault(url).await {
            Some(what) => fault("cache", format!("{what}. Results come from the database meanwhile")),
            None => passed("cache", format!("{url} responds")),
        });
    }
    (findings, closing)
}

async fn examine_database(config: &Config, database: &dyn Database, findings: &mut Vec<Finding>) -> usize {
    let mut closing = 0;
    findings.push(passed("database", format!("{} responds", config.database)));
    findings.push(match within(database.migration_states()).await {
        Ok(states) if states.iter().all(|state| state.applied) => passed("schema", "it is up to date".to_owned()),
        Ok(_) => fault("schema", "a table or a column is missing; run `throng schema migrate`".to_owned()),
        Err(error) => fault("schema", error),
    });
    match within(read_tables(database)).await {
        Ok(polls) => {
            findings.push(passed("tables", format!("they can be read; polls: {}", polls.len())));
            findings.push(find_default_poll(config, &polls));
            let now = SystemClock.now();
            findings.extend(find_token_keys(config, &polls, now));
            closing = polls.iter().filter(|poll| poll.state(now) == PollState::Closing).count();
        }
        Err(error) => findings.push(fault(
            "tables",
            format!("they can't be read ({error}); run `throng schema migrate`, or restore a backup"),
        )),
    }
    match within(database.unsafe_settings()).await {
        Ok(settings) if settings.is_empty() => findings.push(passed("durability", "commits are on disk".to_owned())),
        Ok(settings) => findings.extend(settings.into_iter().map(|setting| fault("durability", setting))),
        Err(error) => findings.push(fault("durability", error)),
    }
    let before = SystemClock.now();
    findings.push(match within(database.now()).await {
        Ok(there) => compare_clocks(before, there, SystemClock.now()),
        Err(error) => fault("clock", error),
    });
    closing
}

/// Whether every table exists with its columns: the list of migrations shows only what was once applied.
async fn read_tables(database: &dyn Database) -> Result<Vec<Poll>, StoreError> {
    let polls = database.polls().await?;
    database.ballots(NO_POLL, None, 1).await?;
    if let Some(poll) = polls.first() {
        database.tallies(poll.id).await?;
    }
    database.round().await?;
    database.queues().await?;
    database.reports(0).await?;
    Ok(polls)
}

/// Whether the log of a database in a file isn't too long, and if it is, which process reads the file.
fn examine_log(database: &DatabaseUrl) -> Option<Finding> {
    let DatabaseUrl::Sqlite(path) = database else { return None };
    let LogState { bytes, reader } = match sqlite::read_log_state(path) {
        Ok(state) => state,
        Err(error) => return Some(fault("log", error.to_string())),
    };
    let length = format!("{} MB are not in the database file yet", bytes >> 20);
    Some(match reader {
        _ if bytes <= sqlite::LOG_LONG_BYTES => passed("log", length),
        Some(LogReader { process, .. }) => fault(
            "log",
            format!(
                "{length}, while {process} reads it; end that program. throng_database_log_reader_seconds says for how long \
                 it has been"
            ),
        ),
        None => fault(
            "log",
            format!("{length}; a program has been reading it for a long time, or the server was killed since"),
        ),
    })
}

/// Without a default poll the compatibility routes return 404.
fn find_default_poll(config: &Config, polls: &[Poll]) -> Finding {
    let name = &config.default_poll;
    if polls.iter().any(|poll| poll.slug == *name) {
        passed("default poll", format!("`{name}` exists"))
    } else if polls.is_empty() && config.app_env == AppEnv::Dev {
        passed("default poll", format!("`{name}` doesn't exist yet; in dev the first start creates it"))
    } else {
        // No fault: a deployment that uses only version 1 of the API needs none.
        passed(
            "default poll",
            format!(
                "there is no `{name}`, so /, /api/submit and /api/result return 404; to use them, run `throng poll create \
                 {name}`, or set DEFAULT_POLL to another poll"
            ),
        )
    }
}

/// Whether the keys that verify voters' tokens can be used, where a poll needs them or the settings name them.
fn find_token_keys(config: &Config, polls: &[Poll], now: Timestamp) -> Option<Finding> {
    const CHECKED: &str = "voter keys";
    let needs_keys = |poll: &&Poll| poll.policy == Policy::Signed && !poll.is_closed(now);
    let poll = polls.iter().find(needs_keys);
    match (config.voter_keys.as_deref().map(TokenKeys::read), poll) {
        (None, None) => None,
        (None, Some(Poll { slug, .. })) => Some(fault(
            CHECKED,
            format!("the poll `{slug}` has the policy signed, so each of its votes gets 503; set VOTER_KEYS"),
        )),
        (Some(Ok(keys)), _) => {
            let name = |key: &TokenKey| format!("{} {}", key.algorithm(), key.id().unwrap_or("without a kid"));
            let names: Vec<_> = keys.iter().map(name).collect();
            Some(passed(CHECKED, format!("they can be read: {}", names.join(", "))))
        }
        (Some(Err(faults)), _) => Some(fault(CHECKED, faults.join("; "))),
    }
}

/// `there` was read at some time between `before` and `after` by this machine's clock.
fn compare_clocks(before: Timestamp, there: Timestamp, after: Timestamp) -> Finding {
    match (before.0 - there.0).max(there.0 - after.0) {
        skew if skew <= CLOCK_SKEW_MAX_MS => passed("clock", "it agrees with the database's".to_owned()),
        skew => fault(
            "clock",
            format!("it is {skew} ms from the database's, by which polls open and close: run NTP on both"),
        ),
    }
}

async fn examine_broker(config: &Config) -> (Vec<Finding>, Option<Messages>) {
    let Some(url) = &config.queue else { return (Vec::new(), None) };
    let mut findings = vec![examine_queue(config, url).await];
    let messages = queue::depth(url, &config.queue_prefix.0).messages().await;
    if let Some(messages) = messages {
        findings.push(find_workers(messages));
        findings.push(find_dead(config, url, messages).await);
    }
    (findings, messages)
}

/// Whether results of closed polls wait for something that needs an operator.
fn find_closing(polls: usize, messages: Messages) -> Finding {
    const CHECKED: &str = "closing polls";
    if polls == 0 {
        return passed(CHECKED, "none waits for its final result".to_owned());
    }
    let why = WaitsFor::of(Some(messages));
    let found = format!("{polls}; the result {}", why.words());
    if why.is_stuck() { fault(CHECKED, found) } else { passed(CHECKED, found) }
}

async fn examine_queue(config: &Config, url: &QueueUrl) -> Finding {
    let found = async {
        let key = config.message_key().map_err(|error| error.to_string())?;
        let connected = queue::connect_server(url, &config.queue_prefix.0, key, 1);
        let server = connected.await.map_err(|error| error.to_string())?;
        for publisher in &server.publishers {
            watch_broker(&**publisher).await.map_err(|refusal| refusal.to_string())?;
        }
        Ok::<_, String>(server.queue)
    };
    match tokio::time::timeout(CHECK_MAX + BROKER_WATCH, found).await {
        Ok(Ok(name)) => passed(
            "queue",
            format!(
                "{url} accepts ballots for {name}, its queues are durable, and it lost no message in {} s",
                BROKER_WATCH.as_secs()
            ),
        ),
        Ok(Err(error)) => fault("queue", format!("{}: {error}", cant_use(url))),
        Err(_) => fault("queue", format!("{url} doesn't respond")),
    }
}

fn find_workers(Messages { ballots, consumers, .. }: Messages) -> Finding {
    match consumers {
        0 => fault(
            "workers",
            format!(
                "none consumes the queue, so the ballots on it aren't counted: {}; start `throng worker`",
                counted(ballots, "message")
            ),
        ),
        consumers => passed("workers", format!("they consume the queue with {}", counted(consumers, "consumer"))),
    }
}

/// Whether there are accepted ballots that don't count, and why.
async fn find_dead(config: &Config, url: &QueueUrl, Messages { dead, .. }: Messages) -> Finding {
    if dead == 0 {
        return passed("dead letters", "there are none".to_owned());
    }
    let reasons = match why_dead(config, url).await {
        Ok(reasons) => reasons.join("; "),
        Err(error) => format!("the reasons can't be read ({error})"),
    };
    let advice =
        "see `throng dead list`; if the broker dead-lettered them, a policy is the cause: `rabbitmqctl list_policies`";
    fault(
        "dead letters",
        format!("{} set aside, with ballots that don't count: {reasons}; {advice}", counted(dead, "message")),
    )
}

/// The distinct reasons stored with the first dead letters.
async fn why_dead(config: &Config, url: &QueueUrl) -> anyhow::Result<Vec<String>> {
    let key = config.message_key()?;
    let letters = queue::connect_dead_letters(url, &config.queue_prefix.0, key).await?.list(LETTERS_MAX).await?;
    let reasons: BTreeSet<String> = letters.into_iter().map(|letter| letter.why).collect();
    Ok(reasons.into_iter().collect())
}

async fn within<T>(check: impl Future<Output = Result<T, StoreError>>) -> Result<T, String> {
    match tokio::time::timeout(CHECK_MAX, check).await {
        Ok(checked) => checked.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no response within {} s", CHECK_MAX.as_secs())),
    }
}

fn passed(checked: &'static str, found: String) -> Finding {
    Finding { checked, ok: true, found }
}

fn fault(checked: &'static str, found: String) -> Finding {
    Finding { checked, ok: false, found }
}

fn write(findings: &[Finding], json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    if json {
        return write_json(out, &findings);
    }
    for Finding { checked, ok, found } in findings {
        writeln!(out, "{:<6}{checked:<14}{found}", if *ok { "ok" } else { "FAULT" })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_skew_excludes_the_time_of_the_request() {
        let at = |there: i64| compare_clocks(Timestamp(10_000), Timestamp(there), Timestamp(14_000));
        for agreeing in [9_700, 10_000, 12_000, 14_300] {
            assert!(at(agreeing).ok, "{agreeing}");
        }
        assert!(at(9_699).found.contains("301 ms"), "{:?}", at(9_699));
        assert!(at(3_614_000).found.contains("3600000 ms"), "{:?}", at(3_614_000));
    }
}
