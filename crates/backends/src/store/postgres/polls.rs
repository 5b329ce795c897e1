//! Polls and their options.

use std::collections::BTreeMap;

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};
use throng_domain::clock::Timestamp;
use throng_domain::new_poll::NewPoll;
use throng_domain::policy::Quota;
use throng_domain::poll::{OptionId, Poll, PollId, PollOption, Slug};
use throng_domain::store::{Close, Mark, Rules, StoreError, Window};

use super::connection::simple_query;
use super::error::{StoreResult, is_key_taken, read_error};
use super::settings;

/// The first of our lock numbers (`throng` and two zero bytes); a poll's own is in the lower bits.
///
/// Transactions that record share the poll's lock; one that changes the poll holds it exclusively. So a window is never
/// changed while ballots are recorded by it. The server grants these locks in the order of the requests; with a lock on
/// the poll's row, many recording transactions could starve the one that wants to close.
pub(super) const LOCKS: i64 = 0x7468_726f_6e67_0000;

/// A poll and its options in one row, so that they are of one snapshot.
const SELECT: &str = "\
    SELECT id, slug, title, intro, kind, min_choices, max_choices, opens_at, closes_at, results, percent_base, version, \
    ARRAY(SELECT id FROM option WHERE poll_id = poll.id ORDER BY position), \
    ARRAY(SELECT label FROM option WHERE poll_id = poll.id ORDER BY position), closed_at, final_at, policy, quota, option_quota, \
    proof, changeable FROM poll";

/// The time by the server's clock, in milliseconds.
const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

pub(super) async fn all(reader: &mut PgConnection) -> sqlx::Result<Vec<Poll>> {
    let rows = sqlx::query(&format!("{SELECT} ORDER BY id")).fetch_all(reader).await?;
    rows.iter().map(poll_from).collect()
}

pub(super) async fn version(reader: &mut PgConnection) -> sqlx::Result<u64> {
    let version: i64 = sqlx::query_scalar("SELECT version FROM polls_version").fetch_one(reader).await?;
    unsigned(version)
}

pub(super) async fn versions(reader: &mut PgConnection) -> sqlx::Result<Vec<(PollId, u64)>> {
    let rows = sqlx::query("SELECT id, version FROM poll ORDER BY id").fetch_all(reader).await?;
    rows.iter().map(|row| Ok((PollId(row.try_get(0)?), unsigned(row.try_get::<i64, _>(1)?)?))).collect()
}

pub(super) async fn by_id(reader: &mut PgConnection, polls: &[PollId]) -> sqlx::Result<Vec<Poll>> {
    let ids: Vec<i64> = polls.iter().map(|poll| poll.0).collect();
    let rows = sqlx::query(&format!("{SELECT} WHERE id = ANY($1)")).bind(ids).fetch_all(reader).await?;
    rows.iter().map(poll_from).collect()
}

pub(super) async fn by_slug(reader: &mut PgConnection, slug: &Slug) -> sqlx::Result<Option<Poll>> {
    let sql = format!("{SELECT} WHERE slug = $1");
    sqlx::query(&sql).bind(slug.as_str()).fetch_optional(reader).await?.as_ref().map(poll_from).transpose()
}

pub(super) async fn create(writer: &mut PgConnection, new: NewPoll) -> StoreResult<Poll> {
    let mut poll = new.into_poll(PollId(0));
    poll.id = insert(writer, &poll).await.map_err(|error| {
        if is_key_taken(&error) {
            StoreError::Conflict(format!("there is a poll `{}` already; choose another slug", poll.slug))
        } else {
            read_error(error)
        }
    })?;
    insert_options(writer, &poll).await.map_err(read_error)?;
    bump_version(writer).await.map_err(read_error)?;
    Ok(poll)
}

pub(super) async fn set_window(
    writer: &mut PgConnection,
    poll: PollId,
    version: u64,
    window: Window,
) -> StoreResult<Poll> {
    change(writer, poll, version, |_, _| Ok(window)).await
}

/// The closing time is determined once the poll's lock is held exclusively: what was recorded by another window is
/// committed by then.
pub(super) async fn close(writer: &mut PgConnection, poll: PollId, version: u64, close: Close) -> StoreResult<Poll> {
    let decide = |stored: &Poll, now| {
        let closes_at = close.moment(stored.closes_at, now);
        let closed = || StoreError::Conflict(format!("poll `{}` has closed meanwhile; check it again", stored.slug));
        Ok(Window { opens_at: stored.opens_at, closes_at: Some(closes_at.ok_or_else(closed)?) })
    };
    change(writer, poll, version, decide).await
}

/// Sets the window that `decide` determines for the poll as it is stored and the current time.
async fn change(
    writer: &mut PgConnection,
    poll: PollId,
    version: u64,
    decide: impl FnOnce(&Poll, Timestamp) -> StoreResult<Window>,
) -> StoreResult<Poll> {
    let Some(stored) = lock_and_read(writer, poll).await.map_err(read_error)? else {
        return Err(StoreError::Conflict("the poll no longer exists".to_owned()));
    };
    if stored.version != version {
        return Err(StoreError::Conflict(format!(
            "poll `{}` was changed meanwhile (version {}, not {version}); check it again",
            stored.slug, stored.version
        )));
    }
    let Window { opens_at, closes_at } = decide(&stored, now(writer).await.map_err(read_error)?)?;
    let changed = Poll { opens_at, closes_at, closed_at: None, final_at: None, version: version + 1, ..stored };
    let update =
        "UPDATE poll SET opens_at = $2, closes_at = $3, closed_at = NULL, final_at = NULL, version = $4 WHERE id = $1";
    sqlx::query(update)
        .bind(poll.0)
        .bind(opens_at.map(|at| at.0))
        .bind(closes_at.map(|at| at.0))
        .bind(changed.version.cast_signed())
        .execute(&mut *writer)
        .await
        .map_err(read_error)?;
    bump_version(writer).await.map_err(read_error)?;
    Ok(changed)
}

/// Marks the polls that are due by the server's clock. Polls are locked in the order in which batches lock them.
pub(super) async fn mark(writer: &mut PgConnection, polls: &[(PollId, u64)], mark: Mark) -> sqlx::Result<usize> {
    let (column, set) = match mark {
        Mark::Closed => ("closed_at", format!("closed_at = {NOW}")),
        Mark::Final => ("final_at", format!("closed_at = coalesce(closed_at, {NOW}), final_at = {NOW}")),
    };
    let mut polls = polls.to_vec();
    polls.sort_unstable();
    let mut marked = 0;
    for (poll, version) in polls {
        lock_exclusively(writer, poll).await?;
        let sql = format!(
            "UPDATE poll SET {set}, version = version + 1 \
             WHERE id = $1 AND version = $2 AND {column} IS NULL AND closes_at + $3 <= {NOW}"
        );
        let update = sqlx::query(&sql).bind(poll.0).bind(version.cast_signed()).bind(mark.due_after_ms());
        marked += unsigned::<u64, usize>(update.execute(&mut *writer).await?.rows_affected())?;
    }
    if marked > 0 {
        bump_version(writer).await?;
    }
    Ok(marked)
}

/// The time by the server's clock.
pub(super) async fn now(reader: &mut PgConnection) -> sqlx::Result<Timestamp> {
    sqlx::query_scalar(&format!("SELECT {NOW}")).fetch_one(reader).await.map(Timestamp)
}

/// Begins a transaction in which none of these polls changes, and returns what their ballots are judged by; a poll that doesn't
/// exist is missing. If `alone`, no other transaction records in them either. One request to the server: its statements run one
/// after the other, so the rules are read once the locks are held.
pub(super) async fn begin(
    writer: &mut PgConnection,
    polls: &[PollId],
    alone: bool,
) -> sqlx::Result<BTreeMap<PollId, Rules>> {
    let numbers = Numbers(polls);
    let lock = if alone { "pg_advisory_xact_lock" } else { "pg_advisory_xact_lock_shared" };
    let locks = polls.iter().map(|poll| format!("SELECT {lock}({})", lock_of(*poll)));
    let locks = locks.collect::<Vec<_>>().join("; ");
    let rules = "SELECT id, opens_at, closes_at, final_at, quota, option_quota, changeable FROM poll";
    let sql = format!("{}; {locks}; {rules} WHERE id IN ({numbers})", settings::BEGIN);
    let rows = simple_query(writer, &sql).await?;
    // The statements that begin the transaction, and every lock, return rows of one column.
    rows.iter().filter(|row| row.len() == 7).map(rules_from).collect()
}

/// Reads a poll once no other transaction changes it or records in it, until this transaction ends.
async fn lock_and_read(writer: &mut PgConnection, poll: PollId) -> sqlx::Result<Option<Poll>> {
    lock_exclusively(writer, poll).await?;
    let sql = format!("{SELECT} WHERE id = $1");
    sqlx::query(&sql).bind(poll.0).fetch_optional(writer).await?.as_ref().map(poll_from).transpose()
}

pub(super) async fn lock_exclusively(writer: &mut PgConnection, poll: PollId) -> sqlx::Result<()> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(lock_of(poll)).execute(writer).await?;
    Ok(())
}

fn lock_of(poll: PollId) -> i64 {
    LOCKS ^ poll.0
}

async fn insert(writer: &mut PgConnection, poll: &Poll) -> sqlx::Result<PollId> {
    let id = sqlx::query_scalar(
        "INSERT INTO poll (slug, title, intro, kind, min_choices, max_choices, opens_at, closes_at, results, \
         percent_base, policy, quota, option_quota, proof, changeable, version) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) RETURNING id",
    )
    .bind(poll.slug.as_str())
    .bind(&poll.title)
    .bind(&poll.intro)
    .bind(poll.kind.as_str())
    .bind(i32::from(poll.min_choices))
    .bind(i32::from(poll.max_choices))
    .bind(poll.opens_at.map(|at| at.0))
    .bind(poll.closes_at.map(|at| at.0))
    .bind(poll.results.as_str())
    .bind(poll.percent_base.as_str())
    .bind(poll.policy.as_str())
    .bind(i16::from(poll.quota.ballots))
    .bind(poll.quota.per_option.map(i16::from))
    .bind(poll.proof.as_str())
    .bind(poll.changeable)
    .bind(poll.version.cast_signed())
    .fetch_one(writer)
    .await?;
    Ok(PollId(id))
}

async fn insert_options(writer: &mut PgConnection, poll: &Poll) -> sqlx::Result<()> {
    let (ids, labels): (Vec<_>, Vec<_>) =
        poll.options.iter().map(|option| (i32::from(option.id.0), option.label.as_str())).unzip();
    sqlx::query(
        "INSERT INTO option (poll_id, id, label, position) \
         SELECT $1, id, label, place - 1 FROM unnest($2::integer[], $3::text[]) WITH ORDINALITY AS o (id, label, place)",
    )
    .bind(poll.id.0)
    .bind(ids)
    .bind(labels)
    .execute(writer)
    .await?;
    Ok(())
}

async fn bump_version(writer: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("UPDATE polls_version SET version = version + 1").execute(writer).await?;
    Ok(())
}

fn poll_from(row: &PgRow) -> sqlx::Result<Poll> {
    let (ids, labels): (Vec<i32>, Vec<String>) = (row.try_get(12)?, row.try_get(13)?);
    let option = |(id, label)| Ok(PollOption { id: option_id(id)?, label });
    Ok(Poll {
        id: PollId(row.try_get(0)?),
        slug: word(row, 1)?,
        title: row.try_get(2)?,
        intro: row.try_get(3)?,
        kind: word(row, 4)?,
        min_choices: unsigned(row.try_get::<i32, _>(5)?)?,
        max_choices: unsigned(row.try_get::<i32, _>(6)?)?,
        opens_at: row.try_get(7).map(timestamp)?,
        closes_at: row.try_get(8).map(timestamp)?,
        results: word(row, 9)?,
        percent_base: word(row, 10)?,
        version: unsigned(row.try_get::<i64, _>(11)?)?,
        closed_at: row.try_get(14).map(timestamp)?,
        final_at: row.try_get(15).map(timestamp)?,
        policy: word(row, 16)?,
        quota: quota(row, 17)?,
        proof: word(row, 19)?,
        changeable: row.try_get(20)?,
        options: ids.into_iter().zip(labels).map(option).collect::<sqlx::Result<_>>()?,
    })
}

fn rules_from(row: &PgRow) -> sqlx::Result<(PollId, Rules)> {
    let window = Window { opens_at: row.try_get(1).map(timestamp)?, closes_at: row.try_get(2).map(timestamp)? };
    let window = window.judging(row.try_get(3).map(timestamp)?.is_some());
    Ok((PollId(row.try_get(0)?), Rules { window, quota: quota(row, 4)?, changeable: row.try_get(6)? }))
}

/// A quota in this column and the next one.
fn quota(row: &PgRow, column: usize) -> sqlx::Result<Quota> {
    let per_option: Option<i16> = row.try_get(column + 1)?;
    let ballots: i16 = row.try_get(column)?;
    Ok(Quota { ballots: unsigned(ballots)?, per_option: per_option.map(unsigned).transpose()? })
}

fn timestamp(stored: Option<i64>) -> Option<Timestamp> {
    stored.map(Timestamp)
}

pub(super) fn option_id(stored: i32) -> sqlx::Result<OptionId> {
    unsigned(stored).map(OptionId)
}

/// A column that holds a non-negative number.
pub(super) fn unsigned<T, U>(stored: T) -> sqlx::Result<U>
where
    U: TryFrom<T, Error: std::error::Error + Send + Sync + 'static>,
{
    U::try_from(stored).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// A column that holds one of a field's values.
pub(super) fn word<T>(row: &PgRow, column: usize) -> sqlx::Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let stored: &str = row.try_get(column)?;
    stored
        .parse()
        .map_err(|error: T::Err| sqlx::Error::ColumnDecode { index: column.to_string(), source: error.into() })
}

/// The polls' ids as a list in SQL.
pub(super) struct Numbers<'a>(pub(super) &'a [PollId]);

impl std::fmt::Display for Numbers<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (position, poll) in self.0.iter().enumerate() {
            let comma = if position > 0 { ", " } else { "" };
            write!(f, "{comma}{}", poll.0)?;
        }
        Ok(())
    }
}
