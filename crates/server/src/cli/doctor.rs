//! `throng doctor`: whether everything that a deployment needs is there and safe.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

use anyhow::bail;
use serde::Serialize;
use throng_backends::queue::QueueUrl;
use throng_backends::queue::rabbitmq::Messages;
use throng_backends::store::{DatabaseUrl, sqlite};
use throng_backends::{cache, queue, store};
use throng_domain::clock::{Clock, SystemClock, Timestamp};
use throng_domain::poll::{Poll, PollId, PollState};
use throng_domain::store::{Database, LogReader, LogState, StoreError};

use super::counted::counted;
use super::{Flags, Json, print, write_json};
use crate::app::{BROKER_WATCH, CLOCK_SKEW_MAX_MS, cant_use, watch_broker};
use crate::closing::WaitsFor;
use crate::config::{AppEnv, Config};

/// The dead letters that are looked at for the reason.
const LETTERS_MAX: usize = 100;

/// How long one check may take.
const CHECK_MAX: Duration = Duration::from_secs(10);

/// A poll that nobody has.
const NO_POLL: PollId = PollId(-1);

/// What one check found.
#[derive(Debug, Serialize)]
struct Finding {
    /// What was looked at.
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
            Ok(_) => fine("certificate", "it can be read, with its key".to_owned()),
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
    // What takes long goes beside all else.
    let ((mut findings, closing), (mut queue, messages)) =
        tokio::join!(examine_database_and_cache(config), examine_broker(config));
    queue.extend(messages.map(|messages| find_closing(closing, messages)));
    let before_cache = findings.iter().position(|finding| finding.checked == "cache").unwrap_or(findings.len());
    findings.splice(before_cache..before_cache, queue);
    findings
}

/// What was found, and how many polls have closed and have no final result yet.
async fn examine_database_and_cache(config: &Config) -> (Vec<Finding>, usize) {
    let (mut findings, mut closing) = (Vec::new(), 0);
    // Before the file is opened here: it is closed again, and that would take locks along.
    let log = examine_log(&config.database);
    match within(store::open_existing(&config.database)).await {
        Ok(Some(database)) => closing = examine_database(config, &*database, &mut findings).await,
        Ok(None) => {
            findings.push(fault("database", format!("{} isn't there; run `throng schema create`", config.database)))
        }
        Err(error) => findings.push(fault("database", format!("{}: {error}", config.database))),
    }
    findings.extend(log);
    if let Some(url) = &config.cache {
        findings.push(match cache::fault(url).await {
            Some(what) => fault("cache", format!("{what}. Results come from the database meanwhile")),
            None => fine("cache", format!("{url} answers")),
        });
    }
    (findings, closing)
}

async fn examine_database(config: &Config, database: &dyn Database, findings: &mut Vec<Finding>) -> usize {
    let mut closing = 0;
    findings.push(fine("database", format!("{} answers", config.database)));
    findings.push(match within(database.migration_states()).await {
        Ok(states) if states.iter().all(|state| state.applied) => fine("schema", "it is up to date".to_owned()),
        Ok(_) => fault("schema", "a table or a column is missing; run `throng schema migrate`".to_owned()),
        Err(error) => fault("schema", error),
    });
    match within(read_tables(database)).await {
        Ok(polls) => {
            findings.push(fine("tables", format!("they can be read; polls: {}", polls.len())));
            findings.push(find_default_poll(config, &polls));
            let now = SystemClock.now();
            closing = polls.iter().filter(|poll| poll.state(now) == PollState::Closing).count();
        }
        Err(error) => findings.push(fault(
            "tables",
            format!("they can't be read ({error}); run `throng schema migrate`, or restore a backup"),
        )),
    }
    match within(database.unsafe_settings()).await {
        Ok(settings) if settings.is_empty() => findings.push(fine("durability", "a commit is on the disk".to_owned())),
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

/// Whether every table is there with the columns that it should have: the list of steps says only what was done once.
async fn read_tables(database: &dyn Database) -> Result<Vec<Poll>, StoreError> {
    let polls = database.polls().await?;
    database.ballots(NO_POLL, None, 1).await?;
    if let Some(poll) = polls.first() {
        database.tallies(poll.id).await?;
    }
    database.round().await?;
    database.queues().await?;
    database.answers(0).await?;
    Ok(polls)
}

/// Whether a database in a file has a log that isn't too long, and if it has, who reads the file.
fn examine_log(database: &DatabaseUrl) -> Option<Finding> {
    let DatabaseUrl::Sqlite(path) = database else { return None };
    let LogState { bytes, reader } = match sqlite::look_at_log(path) {
        Ok(state) => state,
        Err(error) => return Some(fault("log", error.to_string())),
    };
    let length = format!("{} MB are not in the database file yet", bytes >> 20);
    Some(match reader {
        _ if bytes <= sqlite::LOG_LONG_BYTES => fine("log", length),
        Some(LogReader { process, .. }) => fault(
            "log",
            format!(
                "{length}, while {process} reads it; end that program. throng_database_log_reader_seconds says for how long \
                 it has been"
            ),
        ),
        None => {
            fault("log", format!("{length}; a program has been reading it for long, or the server was killed since"))
        }
    })
}

/// Without it the original routes answer 404.
fn find_default_poll(config: &Config, polls: &[Poll]) -> Finding {
    let name = &config.default_poll;
    if polls.iter().any(|poll| poll.slug == *name) {
        fine("default poll", format!("`{name}` is there"))
    } else if polls.is_empty() && config.app_env == AppEnv::Dev {
        fine("default poll", format!("`{name}` isn't there yet; in dev the first start makes it"))
    } else {
        // Who uses version 1 of the API alone needs none.
        fine(
            "default poll",
            format!(
                "there is no `{name}`, so /, /api/submit and /api/result answer 404; if somebody is to use them, `throng \
                 poll create {name}`, or name another with DEFAULT_POLL"
            ),
        )
    }
}

/// `there` was read somewhen between the two moments here.
fn compare_clocks(before: Timestamp, there: Timestamp, after: Timestamp) -> Finding {
    match (before.0 - there.0).max(there.0 - after.0) {
        skew if skew <= CLOCK_SKEW_MAX_MS => fine("clock", "it agrees with the database's".to_owned()),
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

/// Whether results of closed polls wait for something that doesn't come by itself.
fn find_closing(polls: usize, messages: Messages) -> Finding {
    const CHECKED: &str = "closing polls";
    if polls == 0 {
        return fine(CHECKED, "none waits for its final result".to_owned());
    }
    let why = WaitsFor::of(Some(messages));
    let found = format!("{polls}; the result {}", why.words());
    if why.is_stuck() { fault(CHECKED, found) } else { fine(CHECKED, found) }
}

async fn examine_queue(config: &Config, url: &QueueUrl) -> Finding {
    let found = async {
        let key = config.message_key().map_err(|error| error.to_string())?;
        let connected = queue::connect_server(url, &config.queue_prefix.0, key, 1);
        let sides = connected.await.map_err(|error| error.to_string())?;
        for publisher in &sides.publishers {
            watch_broker(&**publisher).await.map_err(|refusal| refusal.to_string())?;
        }
        Ok::<_, String>(sides.queue)
    };
    match tokio::time::timeout(CHECK_MAX + BROKER_WATCH, found).await {
        Ok(Ok(name)) => fine(
            "queue",
            format!(
                "{url} takes ballots for {name}, its queues are durable, and it lost no message in {} s",
                BROKER_WATCH.as_secs()
            ),
        ),
        Ok(Err(error)) => fault("queue", format!("{}: {error}", cant_use(url))),
        Err(_) => fault("queue", format!("{url} doesn't answer")),
    }
}

fn find_workers(Messages { ballots, consumers, .. }: Messages) -> Finding {
    match consumers {
        0 => fault(
            "workers",
            format!(
                "none takes ballots off the queue, so what waits there isn't counted: {}; start `throng worker`",
                counted(ballots, "message")
            ),
        ),
        lines => fine("workers", format!("they take ballots off the queue in {}", counted(lines, "line"))),
    }
}

/// Whether there are ballots that were answered and don't count, and why.
async fn find_dead(config: &Config, url: &QueueUrl, Messages { dead, .. }: Messages) -> Finding {
    if dead == 0 {
        return fine("dead letters", "there are none".to_owned());
    }
    let reasons = match why_dead(config, url).await {
        Ok(reasons) => reasons.join("; "),
        Err(error) => format!("why can't be read ({error})"),
    };
    let advice =
        "see `throng dead list`; where the broker gave up on them, a policy had it do so: `rabbitmqctl list_policies`";
    fault(
        "dead letters",
        format!("ballots that don't count are in {} set aside: {reasons}; {advice}", counted(dead, "message")),
    )
}

/// The reasons that the first dead letters have with them, each once.
async fn why_dead(config: &Config, url: &QueueUrl) -> anyhow::Result<Vec<String>> {
    let key = config.message_key()?;
    let letters = queue::connect_dead_letters(url, &config.queue_prefix.0, key).await?.list(LETTERS_MAX).await?;
    let reasons: BTreeSet<String> = letters.into_iter().map(|letter| letter.why).collect();
    Ok(reasons.into_iter().collect())
}

async fn within<T>(check: impl Future<Output = Result<T, StoreError>>) -> Result<T, String> {
    match tokio::time::timeout(CHECK_MAX, check).await {
        Ok(checked) => checked.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", CHECK_MAX.as_secs())),
    }
}

fn fine(checked: &'static str, found: String) -> Finding {
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
    fn clocks_that_differ_are_told_and_the_time_that_asking_took_is_not() {
        let at = |there: i64| compare_clocks(Timestamp(10_000), Timestamp(there), Timestamp(14_000));
        for agreeing in [9_700, 10_000, 12_000, 14_300] {
            assert!(at(agreeing).ok, "{agreeing}");
        }
        assert!(at(9_699).found.contains("301 ms"), "{:?}", at(9_699));
        assert!(at(3_614_000).found.contains("3600000 ms"), "{:?}", at(3_614_000));
    }
}
