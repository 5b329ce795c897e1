//! Tallies: changed together with the ballots, read separately.

use std::collections::BTreeMap;

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};
use throng_domain::poll::{OptionId, PollId};
use throng_domain::store::Recount;
use throng_domain::tally::Tallies;

use super::super::record_plan::{self, Change};
use super::connection::{Connections, Query, WORK_MAX, simple_query, within};
use super::error::{StoreResult, read_error};
use super::polls::{Numbers, option_id, unsigned, word};
use super::settings;

/// The ballots read at once by a recount.
const PAGE: usize = 10_000;

/// The number of parameters in [`add_statement`].
pub(super) const ADD_PARAMETERS: usize = 4;

/// Adds the changes to `shard`. They are in ascending order, so that two transactions that write to one shard don't deadlock.
pub(super) async fn add(writer: &mut PgConnection, shard: i32, changes: &[Change]) -> sqlx::Result<()> {
    if !changes.is_empty() {
        bind_changes(sqlx::query(&add_statement("")), shard, changes).execute(writer).await?;
    }
    Ok(())
}

/// The statement that adds the changes bound by [`bind_changes`], under `condition` (a `WHERE`, or empty).
pub(super) fn add_statement(condition: &str) -> String {
    format!(
        "INSERT INTO tally (poll_id, option_id, shard, count) \
         SELECT poll_id, option_id, $1, count \
         FROM unnest($2::bigint[], $3::integer[], $4::bigint[]) AS change (poll_id, option_id, count) {condition} \
         ON CONFLICT (poll_id, option_id, shard) DO UPDATE SET count = tally.count + excluded.count"
    )
}

pub(super) fn bind_changes<'q>(query: Query<'q>, shard: i32, changes: &[Change]) -> Query<'q> {
    query
        .bind(shard)
        .bind(changes.iter().map(|change| change.poll.0).collect::<Vec<_>>())
        .bind(changes.iter().map(|change| i32::from(change.option.0)).collect::<Vec<_>>())
        .bind(changes.iter().map(|change| change.count.cast_signed()).collect::<Vec<_>>())
}

/// Commits, and reads the tallies of those of the polls that exist, ascending.
///
/// They are read in one request with the commit, by a statement after it: before the commit, what others have committed
/// meanwhile would not be visible. Later reads see at least as many ballots, so their number never decreases.
pub(super) async fn commit(writer: &mut PgConnection, polls: &[PollId]) -> sqlx::Result<Vec<Tallies>> {
    from(&simple_query(writer, &format!("COMMIT; {}", select(polls))).await?)
}

/// The poll's tallies; `None` if there is no such poll.
pub(super) async fn of_poll(reader: &mut PgConnection, poll: PollId) -> sqlx::Result<Option<Tallies>> {
    let rows = simple_query(reader, &select(&[poll])).await?;
    Ok(from(&rows)?.pop())
}

/// Every option of the polls, without a count, and every option with a tally, with its count: one statement, so one snapshot.
fn select(polls: &[PollId]) -> String {
    let numbers = Numbers(polls);
    format!(
        "SELECT poll_id, id, NULL::bigint FROM option WHERE poll_id IN ({numbers}) \
         UNION ALL SELECT poll_id, option_id, sum(count)::bigint FROM tally WHERE poll_id IN ({numbers}) \
         GROUP BY poll_id, option_id"
    )
}

/// A poll's options, and the counts of those that have a tally.
type OfPoll = (Vec<OptionId>, Vec<(OptionId, u64)>);

fn from(rows: &[PgRow]) -> sqlx::Result<Vec<Tallies>> {
    let mut polls: BTreeMap<PollId, OfPoll> = BTreeMap::new();
    for row in rows {
        let (options, counts) = polls.entry(PollId(row.try_get(0)?)).or_default();
        let option = option_id(row.try_get(1)?)?;
        match row.try_get::<Option<i64>, _>(2)? {
            Some(count) => counts.push((option, unsigned(count)?)),
            None => options.push(option),
        }
    }
    let sum = |(poll, (options, counts))| record_plan::sum(poll, options, counts).transpose();
    polls.into_iter().filter_map(sum).map(|sum| sum.map_err(|error| sqlx::Error::Decode(error.into()))).collect()
}

/// Reads page by page, each with its own deadline: how long all of it takes depends on the poll.
pub(super) async fn recount(connections: &Connections, poll: PollId) -> StoreResult<Option<Recount>> {
    let counted = async {
        let mut pooled = within(WORK_MAX, connections.take()).await?;
        let reader = &mut pooled.connection;
        let Some(tallies) = within(WORK_MAX, open_ballots(reader, poll)).await? else { return Ok(None) };
        let zero = tallies.counts.iter().map(|(option, _)| (*option, 0)).collect();
        let mut ballots = Tallies { voters: 0, counts: zero, ..tallies.clone() };
        let fetch = format!("FETCH {PAGE} FROM ballots");
        loop {
            let page = simple_query(&mut *reader, &fetch);
            let page = within(WORK_MAX, page).await?;
            for row in &page {
                ballots.add(&word(row, 0)?);
            }
            if page.len() < PAGE {
                break;
            }
        }
        within(WORK_MAX, simple_query(reader, "COMMIT")).await?;
        pooled.release();
        Ok(Some(Recount { tallies, ballots }))
    };
    counted.await.map_err(read_error)
}

/// Begins a snapshot in which the poll's ballots can be fetched, and reads its tallies in it.
async fn open_ballots(reader: &mut PgConnection, poll: PollId) -> sqlx::Result<Option<Tallies>> {
    let begin = format!(
        "{}; DECLARE ballots NO SCROLL CURSOR FOR SELECT choices FROM ballot WHERE poll_id = {}",
        settings::BEGIN_SNAPSHOT,
        poll.0
    );
    simple_query(&mut *reader, &begin).await?;
    of_poll(reader, poll).await
}
