//! Tallies: changed together with the ballots, read separately.

use std::collections::BTreeMap;

use sqlx::Row as _;
use sqlx::mysql::{MySqlConnection, MySqlRow};
use throng_domain::ballot::Ballot;
use throng_domain::poll::{OptionId, PollId};
use throng_domain::store::{BallotSum, Recount, StoreError};
use throng_domain::tally::{DetailedTallies, Tallies, TallyChange};
use throng_domain::tally_detail::TallyDetail;
use throng_domain::void::Void;

use super::ballots;
use super::columns::{list, stored_imported, stored_voids, word};
use super::connection::{READ_MAX, simple_query};
use super::error::{StoreResult, before_commit, corrupt};
use crate::store::pool::within;
use crate::store::tally_sums::{Sums, detail_sums};

/// How many shards a tally has: stores that record at the same time mostly write to different ones, and don't wait for
/// each other's commits.
pub(super) const SHARDS: u64 = 64;

/// The ballots that a recount reads at a time.
const RECOUNT_PAGE: usize = 10_000;

/// The most details that one statement adds to: below 200 KB. A correction may be of as many as there are rankings.
const DETAILS_AT_ONCE: usize = 1_000;

const BEGIN_SNAPSHOT: &str =
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";

/// The statements that add to the stored counts, in the order given; none if there is nothing to add.
pub(super) fn add(changes: &[TallyChange], shard: u64) -> Vec<String> {
    let results = changes.iter().map(|change| {
        let TallyChange { poll, voters, .. } = change;
        format!("{} AS p,{shard} AS s,{} AS q,{voters} AS n", poll.0, change.seq_increase())
    });
    let counts = changes.iter().flat_map(|change| {
        let row = |(option, count): &(OptionId, i64)| {
            format!("{} AS p,{option} AS o,{shard} AS s,{count} AS n", change.poll.0)
        };
        change.counts.iter().map(row)
    });
    let results = upsert(
        "result (poll_id, shard, seq, voters)",
        results,
        "seq = result.seq + added.q, voters = result.voters + added.n",
    );
    let counts = upsert("tally (poll_id, option_id, shard, count)", counts, "count = tally.count + added.n");
    // Of the letters 0-9, `>` and `=`.
    let details = changes.iter().flat_map(|change| {
        let row = |(detail, count): (&TallyDetail, &i64)| {
            format!("{} AS p,'{detail}' AS d,{shard} AS s,{count} AS n", change.poll.0)
        };
        change.details.iter().map(row)
    });
    let details: Vec<_> = details.collect();
    let details = details.chunks(DETAILS_AT_ONCE).filter_map(|rows| {
        let rows = rows.iter().cloned();
        upsert("tally_detail (poll_id, detail, shard, count)", rows, "count = tally_detail.count + added.n")
    });
    results.into_iter().chain(counts).chain(details).collect()
}

/// Inserts rows, or updates the stored ones by them.
fn upsert(table: &str, rows: impl Iterator<Item = String>, update: &str) -> Option<String> {
    // The rows are a derived table: `VALUES(count)` is deprecated in MySQL, with a warning for every statement, and MySQL's
    // replacement, an alias, isn't supported by MariaDB.
    let rows = rows.collect::<Vec<_>>();
    let added = rows.join(" UNION ALL SELECT ");
    (!rows.is_empty()).then(|| {
        format!("INSERT INTO {table} SELECT * FROM (SELECT {added}) AS added ON DUPLICATE KEY UPDATE {update}")
    })
}

/// Adds a change in a transaction that the caller commits, unless that is rejected. No ballot is recorded in the poll meanwhile.
pub(super) async fn change(writer: &mut MySqlConnection, shard: u64, change: &TallyChange) -> StoreResult<()> {
    let begin = format!("START TRANSACTION; SELECT id FROM poll WHERE id = {} FOR UPDATE", change.poll.0);
    simple_query(&mut *writer, &begin).await.map_err(before_commit)?;
    let before = of_poll(writer, change.poll).await.map_err(before_commit)?;
    let before = before.ok_or_else(|| StoreError::no_such_poll(change.poll))?;
    before.check_change(change).map_err(StoreError::Rejected)?;
    run(writer, add(std::slice::from_ref(change), shard)).await.map_err(before_commit)
}

/// Runs statements, one request each: together they may be longer than a server accepts.
pub(super) async fn run(writer: &mut MySqlConnection, statements: Vec<String>) -> sqlx::Result<()> {
    for statement in statements {
        simple_query(&mut *writer, &statement).await?;
    }
    Ok(())
}

/// Commits, and reads the tallies of each of the polls that exist, in one request and response.
pub(super) async fn commit_and_read(writer: &mut MySqlConnection, polls: &[PollId]) -> sqlx::Result<Vec<Tallies>> {
    let sql = if polls.is_empty() { "COMMIT".to_owned() } else { format!("COMMIT; {}", select(polls)) };
    sums(polls, &simple_query(writer, &sql).await?)
}

/// The poll's tallies; `None` if there is no such poll.
pub(super) async fn of_poll(reader: &mut MySqlConnection, poll: PollId) -> sqlx::Result<Option<Tallies>> {
    let polls = [poll];
    Ok(sums(&polls, &simple_query(reader, &select(&polls)).await?)?.pop())
}

/// The poll's tallies with their details; `None` if there is no such poll. The caller's transaction makes the reads one snapshot.
async fn detailed_within(reader: &mut MySqlConnection, poll: PollId) -> sqlx::Result<Option<DetailedTallies>> {
    let Some(tallies) = of_poll(reader, poll).await? else { return Ok(None) };
    let details = format!(
        "SELECT detail, CAST(SUM(count) AS SIGNED) FROM tally_detail WHERE poll_id = {} GROUP BY detail",
        poll.0
    );
    let rows = simple_query(reader, &details).await?;
    let details = rows.iter().map(|row| Ok((word::<TallyDetail>(row, 0)?, row.try_get(1)?)));
    Ok(Some(DetailedTallies { tallies, details: detail_sums(details.collect::<sqlx::Result<_>>()?) }))
}

/// The same, in a transaction of its own.
pub(super) async fn detailed(reader: &mut MySqlConnection, poll: PollId) -> sqlx::Result<Option<DetailedTallies>> {
    simple_query(&mut *reader, BEGIN_SNAPSHOT).await?;
    let detailed = detailed_within(reader, poll).await?;
    simple_query(reader, "COMMIT").await?;
    Ok(detailed)
}

/// One statement, so one snapshot: the options in rows without a count, then the sums of the tallies, then those of the results
/// in rows without an option.
fn select(polls: &[PollId]) -> String {
    let polls = list(polls);
    format!(
        "SELECT poll_id, id, NULL AS count, NULL AS seq FROM `option` WHERE poll_id IN ({polls}) UNION ALL \
         SELECT poll_id, option_id, CAST(SUM(count) AS SIGNED), NULL FROM tally WHERE poll_id IN ({polls}) \
         GROUP BY poll_id, option_id UNION ALL \
         SELECT poll_id, NULL, CAST(SUM(voters) AS SIGNED), CAST(SUM(seq) AS SIGNED) FROM result \
         WHERE poll_id IN ({polls}) GROUP BY poll_id"
    )
}

fn sums(polls: &[PollId], rows: &[MySqlRow]) -> sqlx::Result<Vec<Tallies>> {
    let mut sums: BTreeMap<PollId, Sums> = BTreeMap::new();
    for row in rows {
        let sums = sums.entry(PollId(row.try_get(0)?)).or_default();
        let option = row.try_get::<Option<i64>, _>(1)?.map(u16::try_from).transpose().map_err(corrupt)?;
        match (option.map(OptionId), row.try_get::<Option<i64>, _>(2)?) {
            (Some(option), Some(count)) => sums.counts.push((option, count)),
            (Some(option), None) => sums.options.push(option),
            (None, Some(voters)) => (sums.voters, sums.seq) = (voters, row.try_get(3)?),
            (None, None) => {}
        }
    }
    let tallies = |poll: &PollId| sums.remove(poll).and_then(|sums| sums.tallies(*poll).map_err(corrupt).transpose());
    polls.iter().filter_map(tallies).collect()
}

/// Reads page by page, so that neither side holds all ballots and each page has its own deadline; all in one snapshot,
/// in a transaction that the caller ends.
pub(super) async fn recount(
    reader: &mut MySqlConnection,
    poll: PollId,
    voids: Option<Vec<Void>>,
) -> sqlx::Result<Option<Recount>> {
    within(READ_MAX, simple_query(&mut *reader, BEGIN_SNAPSHOT)).await??;
    let Some(tallies) = within(READ_MAX, detailed_within(reader, poll)).await?? else { return Ok(None) };
    let of_poll = format!("SELECT changeable, voids, imported FROM poll WHERE id = {}", poll.0);
    let of_poll = within(READ_MAX, simple_query(&mut *reader, &of_poll)).await??;
    let Some(of_poll) = of_poll.first() else { return Ok(None) };
    let (changeable, stored) = (of_poll.try_get(0)?, stored_voids(of_poll, 1)?);
    let imported = stored_imported(of_poll, 2)?;
    let mut ballots = BallotSum::new(poll, changeable, voids.unwrap_or(stored), &imported);
    let mut after = None;
    loop {
        let page = within(READ_MAX, ballots::stored(reader, poll, after, RECOUNT_PAGE)).await??;
        for Ballot { key, id, accepted_at, choices, .. } in &page.ballots {
            ballots.add(*key, *id, *accepted_at, choices);
        }
        match page.next {
            Some(_) => after = page.next,
            None => return Ok(Some(Recount::new(tallies, ballots.finish()))),
        }
    }
}
