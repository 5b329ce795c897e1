//! Tallies: changed together with the ballots, read separately.

use std::collections::BTreeMap;

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};
use throng_domain::ballot::BallotKey;
use throng_domain::poll::PollId;
use throng_domain::store::{BallotSum, CastBallot, Recount, StoreError};
use throng_domain::tally::{DetailedTallies, Tallies, TallyChange};
use throng_domain::tally_detail::TallyDetail;
use throng_domain::void::Void;

use super::super::pool::within;
use super::super::tally_sums::{Sums, detail_sums};
use super::ballots::{bytes, cast_from};
use super::columns::{Numbers, option_id, stored_imported, stored_voids, word};
use super::connection::{Connections, Query, WORK_MAX, simple_query};
use super::error::{StoreResult, read_error};
use super::locks;
use super::settings;

/// The ballots read at once by a recount.
const PAGE: usize = 10_000;

/// The number of parameters in [`add_statement`].
pub(super) fn add_parameters(has_details: bool) -> usize {
    if has_details { 10 } else { 7 }
}

/// Whether the changes are of ballots with rankings or scores.
pub(super) fn have_details(changes: &[TallyChange]) -> bool {
    changes.iter().any(|change| !change.details.is_empty())
}

/// Adds the changes to `shard`. They are in ascending order, so that two transactions that write to one shard don't deadlock.
pub(super) async fn add(writer: &mut PgConnection, shard: i32, changes: &[TallyChange]) -> sqlx::Result<()> {
    if !changes.is_empty() {
        let sql = add_statement("", "", have_details(changes));
        bind_changes(sqlx::query(&sql), shard, changes).execute(writer).await?;
    }
    Ok(())
}

/// The statement that adds the changes bound by [`bind_changes`], after the common table expressions in `with` and under
/// `condition` (a `WHERE`, or empty). Rows are locked in one order, those of results first: each part waits for the one before.
/// Details have a part only where there are some, since every part costs each batch time.
pub(super) fn add_statement(with: &str, condition: &str, has_details: bool) -> String {
    let (detailed, last) = if has_details {
        let detailed = "\
            detailed AS (\
            INSERT INTO tally_detail (poll_id, detail, shard, count) SELECT poll_id, detail, $1, count \
            FROM unnest($8::bigint[], $9::text[], $10::bigint[]) AS change (poll_id, detail, count) \
            WHERE (SELECT count(*) FROM changed) > 0 \
            ON CONFLICT (poll_id, detail, shard) DO UPDATE SET count = tally_detail.count + excluded.count RETURNING 1)";
        (format!(", {detailed}"), "detailed")
    } else {
        (String::new(), "changed")
    };
    format!(
        "WITH {with} changed AS (\
         INSERT INTO result (poll_id, shard, seq, voters) SELECT poll_id, $1, seq, voters \
         FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS change (poll_id, seq, voters) {condition} \
         ON CONFLICT (poll_id, shard) \
         DO UPDATE SET seq = result.seq + excluded.seq, voters = result.voters + excluded.voters RETURNING 1){detailed} \
         INSERT INTO tally (poll_id, option_id, shard, count) SELECT poll_id, option_id, $1, count \
         FROM unnest($5::bigint[], $6::integer[], $7::bigint[]) AS change (poll_id, option_id, count) \
         WHERE (SELECT count(*) FROM {last}) > 0 \
         ON CONFLICT (poll_id, option_id, shard) DO UPDATE SET count = tally.count + excluded.count"
    )
}

pub(super) fn bind_changes<'q>(query: Query<'q>, shard: i32, changes: &[TallyChange]) -> Query<'q> {
    let polls = changes.iter().map(|change| change.poll.0).collect::<Vec<_>>();
    let counts = || changes.iter().flat_map(|change| change.counts.iter().map(|count| (change.poll, count)));
    let details = || changes.iter().flat_map(|change| change.details.iter().map(|detail| (change.poll, detail)));
    let query = query
        .bind(shard)
        .bind(polls)
        .bind(changes.iter().map(TallyChange::seq_increase).collect::<Vec<_>>())
        .bind(changes.iter().map(|change| change.voters).collect::<Vec<_>>())
        .bind(counts().map(|(poll, _)| poll.0).collect::<Vec<_>>())
        .bind(counts().map(|(_, (option, _))| i32::from(option.0)).collect::<Vec<_>>())
        .bind(counts().map(|(_, (_, count))| *count).collect::<Vec<_>>());
    if !have_details(changes) {
        return query;
    }
    query
        .bind(details().map(|(poll, _)| poll.0).collect::<Vec<_>>())
        .bind(details().map(|(_, (detail, _))| detail.to_string()).collect::<Vec<_>>())
        .bind(details().map(|(_, (_, count))| *count).collect::<Vec<_>>())
}

/// Adds a change in a transaction that the caller has begun and commits, unless that is rejected. No ballot is recorded in the
/// poll meanwhile.
pub(super) async fn change(writer: &mut PgConnection, shard: i32, change: &TallyChange) -> StoreResult<Tallies> {
    locks::lock_exclusively(writer, change.poll).await.map_err(read_error)?;
    let before =
        of_poll(writer, change.poll).await.map_err(read_error)?.ok_or_else(|| StoreError::no_such_poll(change.poll))?;
    before.check_change(change).map_err(StoreError::Rejected)?;
    add(writer, shard, std::slice::from_ref(change)).await.map_err(read_error)?;
    of_poll(writer, change.poll).await.map_err(read_error)?.ok_or_else(|| StoreError::no_such_poll(change.poll))
}

/// Commits, and reads the tallies of those of the polls that exist, ascending.
///
/// They are read in one request with the commit, by a statement after it: before the commit, what others have committed
/// meanwhile would not be visible. Later reads see at least these changes, so that `seq` never
/// decreases.
pub(super) async fn commit(writer: &mut PgConnection, polls: &[PollId]) -> sqlx::Result<Vec<Tallies>> {
    from(&simple_query(writer, &format!("COMMIT; {}", select(polls))).await?)
}

/// The poll's tallies; `None` if there is no such poll.
pub(super) async fn of_poll(reader: &mut PgConnection, poll: PollId) -> sqlx::Result<Option<Tallies>> {
    let rows = simple_query(reader, &select(&[poll])).await?;
    Ok(from(&rows)?.pop())
}

/// The poll's tallies with their details; `None` if there is no such poll.
pub(super) async fn detailed(connections: &Connections, poll: PollId) -> StoreResult<Option<DetailedTallies>> {
    let read = async {
        let mut pooled = connections.take().await?;
        let reader = &mut *pooled;
        simple_query(&mut *reader, settings::BEGIN_SNAPSHOT).await?;
        let detailed = detailed_within(reader, poll).await?;
        simple_query(reader, "COMMIT").await?;
        pooled.release();
        Ok(detailed)
    };
    within(WORK_MAX, read).await.flatten().map_err(read_error)
}

/// The same, in the caller's transaction.
async fn detailed_within(reader: &mut PgConnection, poll: PollId) -> sqlx::Result<Option<DetailedTallies>> {
    let Some(tallies) = of_poll(reader, poll).await? else { return Ok(None) };
    let details = "SELECT detail, sum(count)::bigint FROM tally_detail WHERE poll_id = $1 GROUP BY detail";
    let rows = sqlx::query(details).bind(poll.0).fetch_all(reader).await?;
    let details = rows.iter().map(|row| Ok((word::<TallyDetail>(row, 0)?, row.try_get(1)?)));
    Ok(Some(DetailedTallies { tallies, details: detail_sums(details.collect::<sqlx::Result<_>>()?) }))
}

/// Every option of the polls, every option with a tally and its count, and the rest of their results: one statement, so one
/// snapshot. Rows of the poll, an option or null, a count or the voters, and `seq`.
fn select(polls: &[PollId]) -> String {
    let numbers = Numbers(polls);
    format!(
        "SELECT poll_id, id, NULL::bigint, NULL::bigint FROM option WHERE poll_id IN ({numbers}) \
         UNION ALL SELECT poll_id, option_id, sum(count)::bigint, NULL FROM tally WHERE poll_id IN ({numbers}) \
         GROUP BY poll_id, option_id \
         UNION ALL SELECT poll_id, NULL, sum(voters)::bigint, sum(seq)::bigint FROM result \
         WHERE poll_id IN ({numbers}) GROUP BY poll_id"
    )
}

fn from(rows: &[PgRow]) -> sqlx::Result<Vec<Tallies>> {
    let mut polls: BTreeMap<PollId, Sums> = BTreeMap::new();
    for row in rows {
        let sums = polls.entry(PollId(row.try_get(0)?)).or_default();
        let (option, count) = (row.try_get::<Option<i32>, _>(1)?, row.try_get::<Option<i64>, _>(2)?);
        match (option.map(option_id).transpose()?, count) {
            (Some(option), Some(count)) => sums.counts.push((option, count)),
            (Some(option), None) => sums.options.push(option),
            (None, Some(voters)) => (sums.voters, sums.seq) = (voters, row.try_get(3)?),
            (None, None) => {}
        }
    }
    let tallies = |(poll, sums): (PollId, Sums)| sums.tallies(poll).transpose();
    let tallies = polls.into_iter().filter_map(tallies);
    tallies.map(|tallies| tallies.map_err(|error| sqlx::Error::Decode(error.into()))).collect()
}

/// Reads page by page, each with its own deadline: how long all of it takes depends on the poll.
pub(super) async fn recount(
    connections: &Connections,
    poll: PollId,
    voids: Option<Vec<Void>>,
) -> StoreResult<Option<Recount>> {
    let counted = async {
        let mut pooled = connections.take().await?;
        let reader = &mut *pooled;
        let opened = within(WORK_MAX, open_ballots(reader, poll, voids)).await??;
        let Some((tallies, mut ballots)) = opened else { return Ok(None) };
        let fetch = format!("FETCH {PAGE} FROM ballots");
        loop {
            let page = simple_query(&mut *reader, &fetch);
            let page = within(WORK_MAX, page).await??;
            for row in &page {
                let CastBallot { id, choices, accepted_at, .. } = cast_from(row, 0)?;
                ballots.add(BallotKey(bytes(row, 0)?), id, accepted_at, &choices);
            }
            if page.len() < PAGE {
                break;
            }
        }
        within(WORK_MAX, simple_query(reader, "COMMIT")).await??;
        pooled.release();
        Ok(Some(Recount::new(tallies, ballots.finish())))
    };
    counted.await.map_err(read_error)
}

/// Begins a snapshot in which the poll's ballots can be fetched, and reads its tallies in it; with a sum of no ballot yet.
async fn open_ballots(
    reader: &mut PgConnection,
    poll: PollId,
    voids: Option<Vec<Void>>,
) -> sqlx::Result<Option<(DetailedTallies, BallotSum)>> {
    simple_query(&mut *reader, settings::BEGIN_SNAPSHOT).await?;
    let Some(tallies) = detailed_within(reader, poll).await? else { return Ok(None) };
    let of_poll = sqlx::query("SELECT changeable, voids, imported FROM poll WHERE id = $1").bind(poll.0);
    let of_poll = of_poll.fetch_one(&mut *reader).await?;
    let (changeable, stored) = (of_poll.try_get(0)?, stored_voids(&of_poll, 1)?);
    let imported = stored_imported(&of_poll, 2)?;
    let declare = format!(
        "DECLARE ballots NO SCROLL CURSOR FOR SELECT key, coalesce(ballot_id, key), choices, accepted_at FROM ballot \
         WHERE poll_id = {} {}",
        poll.0,
        // A voter's ballots follow each other then.
        if changeable { "ORDER BY key" } else { "" }
    );
    simple_query(reader, &declare).await?;
    Ok(Some((tallies, BallotSum::new(poll, changeable, voids.unwrap_or(stored), &imported))))
}
