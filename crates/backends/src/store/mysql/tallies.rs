//! Tallies: changed together with the ballots, read separately.

use std::fmt::Write as _;

use sqlx::Row as _;
use sqlx::mysql::{MySqlConnection, MySqlRow};
use throng_domain::poll::{OptionId, PollId};
use throng_domain::store::Recount;
use throng_domain::tally::Tallies;

use super::READ_MAX;
use super::connection::{simple_query, within};
use super::error::corrupt;
use super::polls::natural;
use super::record::{self, list};
use crate::store::record_plan::{self, Change};

/// How many shards a tally has: stores that record at the same time mostly write to different ones, and don't wait for
/// each other's commits.
pub(super) const SHARDS: u64 = 64;

/// The ballots that a recount reads at a time.
const RECOUNT_PAGE: usize = 10_000;

/// The statement that adds to the stored counts, in the order given; `None` if there is nothing to add.
pub(super) fn add(changes: &[Change], shard: u64) -> Option<String> {
    if changes.is_empty() {
        return None;
    }
    // The added counts are a derived table: `VALUES(count)` is deprecated in MySQL, with a warning for every statement,
    // and MySQL's replacement, an alias, isn't supported by MariaDB.
    let mut sql = "INSERT INTO tally (poll_id, option_id, shard, count) SELECT * FROM (".to_owned();
    for (position, Change { poll, option, count }) in changes.iter().enumerate() {
        let row = if position == 0 { "SELECT" } else { " UNION ALL SELECT" };
        write!(sql, "{row} {} AS p,{option} AS o,{shard} AS s,{count} AS n", poll.0)
            .expect("writing to a String can't fail");
    }
    sql.push_str(") AS added ON DUPLICATE KEY UPDATE count = tally.count + added.n");
    Some(sql)
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

/// One statement, so one snapshot: the options in rows without a count, then the sums.
fn select(polls: &[PollId]) -> String {
    let polls = list(polls);
    format!(
        "SELECT poll_id, id, NULL AS count FROM `option` WHERE poll_id IN ({polls}) UNION ALL \
         SELECT poll_id, option_id, CAST(SUM(count) AS SIGNED) FROM tally WHERE poll_id IN ({polls}) \
         GROUP BY poll_id, option_id"
    )
}

fn sums(polls: &[PollId], rows: &[MySqlRow]) -> sqlx::Result<Vec<Tallies>> {
    let stored: Vec<Stored> = rows.iter().map(Stored::from_row).collect::<sqlx::Result<_>>()?;
    let sums = polls.iter().map(|poll| {
        let of_poll = || stored.iter().filter(|stored| stored.poll == *poll);
        let options = of_poll().filter(|stored| stored.count.is_none()).map(|stored| stored.option);
        let counts = of_poll().filter_map(|stored| stored.count.map(|count| (stored.option, count)));
        record_plan::sum(*poll, options, counts).map_err(corrupt)
    });
    sums.filter_map(Result::transpose).collect()
}

/// Reads page by page, so that neither side holds all ballots and each page has its own deadline; all in one snapshot,
/// in a transaction that the caller ends.
pub(super) async fn recount(reader: &mut MySqlConnection, poll: PollId) -> sqlx::Result<Option<Recount>> {
    let begin =
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";
    within(READ_MAX, simple_query(&mut *reader, begin)).await??;
    let Some(tallies) = within(READ_MAX, of_poll(reader, poll)).await?? else { return Ok(None) };
    let zero = tallies.counts.iter().map(|(option, _)| (*option, 0)).collect();
    let mut ballots = Tallies { voters: 0, counts: zero, ..tallies.clone() };
    let mut after = None;
    loop {
        let page = within(READ_MAX, record::stored(reader, poll, after, RECOUNT_PAGE)).await??;
        let Some(last) = page.last() else { return Ok(Some(Recount { tallies, ballots })) };
        after = Some(last.key);
        page.iter().for_each(|ballot| ballots.add(&ballot.choices));
    }
}

/// An option of a poll, or the sum of its tally.
struct Stored {
    poll: PollId,
    option: OptionId,
    count: Option<u64>,
}

impl Stored {
    fn from_row(row: &MySqlRow) -> sqlx::Result<Self> {
        let count = row.try_get::<Option<i64>, _>(2)?.map(u64::try_from).transpose().map_err(corrupt)?;
        Ok(Self { poll: PollId(row.try_get(0)?), option: OptionId(natural(row, 1)?), count })
    }
}
