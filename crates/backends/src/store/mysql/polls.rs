//! Polls and their options.

use std::collections::BTreeMap;

use sqlx::Row as _;
use sqlx::mysql::{MySqlConnection, MySqlRow};
use throng_domain::clock::Timestamp;
use throng_domain::new_poll::NewPoll;
use throng_domain::policy::Quota;
use throng_domain::poll::{OptionId, Poll, PollId, PollOption, Slug};
use throng_domain::store::{Close, Mark, Rules, StoreError, Window};

use super::connection::simple_query;
use super::error::{StoreResult, before_commit, corrupt, is_duplicate};

/// One row per option; a poll has at least two, and both are written together.
const POLLS: &str = "SELECT poll.id, slug, title, intro, kind, min_choices, max_choices, opens_at, closes_at, results, \
                     percent_base, version, closed_at, final_at, policy, quota, option_quota, proof, changeable, \
                     o.id AS option_id, label FROM poll JOIN `option` AS o ON o.poll_id = poll.id";

/// The time by the server's clock, in milliseconds, when the statement processes the row.
const NOW: &str = "CAST(UNIX_TIMESTAMP(SYSDATE(3)) * 1000 AS SIGNED)";

pub(super) async fn all(reader: &mut MySqlConnection) -> sqlx::Result<Vec<Poll>> {
    let rows = sqlx::query(&format!("{POLLS} ORDER BY poll.id, position")).fetch_all(reader).await?;
    polls_from(&rows)
}

pub(super) async fn version(reader: &mut MySqlConnection) -> sqlx::Result<u64> {
    let row = sqlx::query("SELECT version FROM polls_version").fetch_one(reader).await?;
    natural(&row, 0)
}

pub(super) async fn versions(reader: &mut MySqlConnection) -> sqlx::Result<Vec<(PollId, u64)>> {
    let rows = sqlx::query("SELECT id, version FROM poll ORDER BY id").fetch_all(reader).await?;
    rows.iter().map(|row| Ok((PollId(row.try_get(0)?), natural(row, 1)?))).collect()
}

pub(super) async fn by_id(reader: &mut MySqlConnection, polls: &[PollId]) -> sqlx::Result<Vec<Poll>> {
    if polls.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!("{POLLS} WHERE poll.id IN ({}) ORDER BY poll.id, position", list(polls));
    polls_from(&sqlx::query(&sql).fetch_all(reader).await?)
}

pub(super) async fn by_slug(reader: &mut MySqlConnection, slug: &Slug) -> sqlx::Result<Option<Poll>> {
    let sql = format!("{POLLS} WHERE slug = ? ORDER BY position");
    let rows = sqlx::query(&sql).bind(slug.as_str()).fetch_all(reader).await?;
    Ok(polls_from(&rows)?.pop())
}

/// Creates the poll in a transaction that the caller commits.
pub(super) async fn create(writer: &mut MySqlConnection, new: NewPoll) -> StoreResult<Poll> {
    let faults = new.faults();
    if !faults.is_empty() {
        return Err(StoreError::Rejected(faults.join("; ")));
    }
    let mut poll = new.into_poll(PollId(0));
    match insert(writer, &poll).await {
        Ok(id) => {
            poll.id = id;
            Ok(poll)
        }
        Err(error) if is_duplicate(&error) => {
            Err(StoreError::Conflict(format!("there is a poll `{}` already; choose another slug", poll.slug)))
        }
        Err(error) => Err(before_commit(error)),
    }
}

async fn insert(writer: &mut MySqlConnection, poll: &Poll) -> sqlx::Result<PollId> {
    simple_query(&mut *writer, "START TRANSACTION").await?;
    let inserted = sqlx::query(
        "INSERT INTO poll (slug, title, intro, kind, min_choices, max_choices, opens_at, closes_at, results, \
         percent_base, policy, quota, option_quota, proof, changeable, version) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(poll.slug.as_str())
    .bind(&poll.title)
    .bind(&poll.intro)
    .bind(poll.kind.as_str())
    .bind(poll.min_choices)
    .bind(poll.max_choices)
    .bind(poll.opens_at.map(|at| at.0))
    .bind(poll.closes_at.map(|at| at.0))
    .bind(poll.results.as_str())
    .bind(poll.percent_base.as_str())
    .bind(poll.policy.as_str())
    .bind(poll.quota.ballots)
    .bind(poll.quota.per_option)
    .bind(poll.proof.as_str())
    .bind(poll.changeable)
    .bind(poll.version)
    .execute(&mut *writer)
    .await?;
    let id = i64::try_from(inserted.last_insert_id()).map_err(corrupt)?;
    for (position, option) in (0_u32..).zip(&poll.options) {
        sqlx::query("INSERT INTO `option` (poll_id, id, label, position) VALUES (?, ?, ?, ?)")
            .bind(id)
            .bind(option.id.0)
            .bind(&option.label)
            .bind(position)
            .execute(&mut *writer)
            .await?;
    }
    bump_version(writer).await?;
    Ok(PollId(id))
}

/// Sets the window in a transaction that the caller commits. Batches that are being recorded lock the poll's row, so
/// those that are judged by the old window are committed before this.
pub(super) async fn set_window(
    writer: &mut MySqlConnection,
    poll: PollId,
    version: u64,
    window: Window,
) -> StoreResult<Poll> {
    change(writer, poll, version, |_, _| Ok(window)).await
}

/// Closes the poll in a transaction that the caller commits. The closing time is determined once the poll's row is
/// locked: what was recorded by another window is committed by then.
pub(super) async fn close(writer: &mut MySqlConnection, poll: PollId, version: u64, close: Close) -> StoreResult<Poll> {
    let decide = |stored: &Poll, now| {
        let closes_at = close.moment(stored.closes_at, now);
        let closed = || StoreError::Conflict(format!("poll `{}` has closed meanwhile; check it again", stored.slug));
        Ok(Window { opens_at: stored.opens_at, closes_at: Some(closes_at.ok_or_else(closed)?) })
    };
    change(writer, poll, version, decide).await
}

/// Sets the window that `decide` determines for the poll as it is stored and the current time.
async fn change(
    writer: &mut MySqlConnection,
    poll: PollId,
    version: u64,
    decide: impl FnOnce(&Poll, Timestamp) -> StoreResult<Window>,
) -> StoreResult<Poll> {
    let Some(stored) = locked(writer, poll).await.map_err(before_commit)? else {
        return Err(StoreError::Conflict("the poll no longer exists".to_owned()));
    };
    if stored.version != version {
        return Err(StoreError::Conflict(format!(
            "poll `{}` was changed meanwhile (version {}, not {version}); check it again",
            stored.slug, stored.version
        )));
    }
    let Window { opens_at, closes_at } = decide(&stored, now(writer).await.map_err(before_commit)?)?;
    let changed = Poll { opens_at, closes_at, closed_at: None, final_at: None, version: version + 1, ..stored };
    update(writer, &changed).await.map_err(before_commit)?;
    Ok(changed)
}

/// Marks the polls that are due by the server's clock, in a transaction that the caller commits. Rows are locked in the
/// order in which batches lock them.
pub(super) async fn mark(writer: &mut MySqlConnection, polls: &[(PollId, u64)], mark: Mark) -> sqlx::Result<usize> {
    let (column, set) = match mark {
        Mark::Closed => ("closed_at", format!("closed_at = {NOW}")),
        Mark::Final => ("final_at", format!("closed_at = coalesce(closed_at, {NOW}), final_at = {NOW}")),
    };
    let mut polls = polls.to_vec();
    polls.sort_unstable();
    simple_query(&mut *writer, "START TRANSACTION").await?;
    let mut marked = 0;
    for (poll, version) in polls {
        let sql = format!(
            "UPDATE poll SET {set}, version = version + 1 \
             WHERE id = ? AND version = ? AND {column} IS NULL AND closes_at + {} <= {NOW}",
            mark.due_after_ms()
        );
        let update = sqlx::query(&sql).bind(poll.0).bind(version);
        marked += usize::try_from(update.execute(&mut *writer).await?.rows_affected()).map_err(corrupt)?;
    }
    if marked > 0 {
        bump_version(writer).await?;
    }
    Ok(marked)
}

/// The time by the server's clock.
pub(super) async fn now(reader: &mut MySqlConnection) -> sqlx::Result<Timestamp> {
    sqlx::query_scalar(&format!("SELECT {NOW}")).fetch_one(reader).await.map(Timestamp)
}

async fn locked(writer: &mut MySqlConnection, poll: PollId) -> sqlx::Result<Option<Poll>> {
    simple_query(&mut *writer, "START TRANSACTION").await?;
    sqlx::query("SELECT id FROM poll WHERE id = ? FOR UPDATE").bind(poll.0).execute(&mut *writer).await?;
    let sql = format!("{POLLS} WHERE poll.id = ? ORDER BY position");
    let rows = sqlx::query(&sql).bind(poll.0).fetch_all(writer).await?;
    Ok(polls_from(&rows)?.pop())
}

async fn update(writer: &mut MySqlConnection, poll: &Poll) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE poll SET opens_at = ?, closes_at = ?, closed_at = NULL, final_at = NULL, version = ? WHERE id = ?",
    )
    .bind(poll.opens_at.map(|at| at.0))
    .bind(poll.closes_at.map(|at| at.0))
    .bind(poll.version)
    .bind(poll.id.0)
    .execute(&mut *writer)
    .await?;
    bump_version(writer).await
}

/// Begins a transaction, and returns what the polls' ballots are judged by; a poll that doesn't exist is missing. The polls don't
/// change until the end of the transaction: their rows are locked. If `alone`, no other transaction records in them meanwhile.
pub(super) async fn begin_with_rules(
    writer: &mut MySqlConnection,
    polls: &[PollId],
    alone: bool,
) -> sqlx::Result<BTreeMap<PollId, Rules>> {
    let sql = format!(
        "START TRANSACTION; SELECT id, opens_at, closes_at, final_at, quota, option_quota, changeable FROM poll \
         WHERE id IN ({}) ORDER BY id {}",
        list(polls),
        if alone { "FOR UPDATE" } else { "LOCK IN SHARE MODE" }
    );
    let rows = simple_query(writer, &sql).await?;
    let rules = rows.iter().map(|row| {
        let window = Window { opens_at: timestamp(row, 1)?, closes_at: timestamp(row, 2)? };
        let window = window.judging(timestamp(row, 3)?.is_some());
        Ok((PollId(row.try_get(0)?), Rules { window, quota: quota(row, 4)?, changeable: row.try_get(6)? }))
    });
    rules.collect()
}

async fn bump_version(writer: &mut MySqlConnection) -> sqlx::Result<()> {
    simple_query(writer, "UPDATE polls_version SET version = version + 1").await?;
    Ok(())
}

/// The polls from rows that are ordered by poll.
fn polls_from(rows: &[MySqlRow]) -> sqlx::Result<Vec<Poll>> {
    let mut polls: Vec<Poll> = Vec::new();
    for row in rows {
        let id = PollId(row.try_get(0)?);
        if polls.last().is_none_or(|last| last.id != id) {
            polls.push(poll_from(row)?);
        }
        let option = PollOption { id: OptionId(natural(row, "option_id")?), label: text(row, "label")?.to_owned() };
        polls.last_mut().expect("a poll was pushed if there was none").options.push(option);
    }
    Ok(polls)
}

fn poll_from(row: &MySqlRow) -> sqlx::Result<Poll> {
    Ok(Poll {
        id: PollId(row.try_get(0)?),
        slug: word(row, 1)?,
        title: text(row, 2)?.to_owned(),
        intro: text(row, 3)?.to_owned(),
        kind: word(row, 4)?,
        min_choices: natural(row, 5)?,
        max_choices: natural(row, 6)?,
        opens_at: timestamp(row, 7)?,
        closes_at: timestamp(row, 8)?,
        results: word(row, 9)?,
        percent_base: word(row, 10)?,
        version: natural(row, 11)?,
        closed_at: timestamp(row, 12)?,
        final_at: timestamp(row, 13)?,
        policy: word(row, 14)?,
        quota: quota(row, 15)?,
        proof: word(row, 17)?,
        changeable: row.try_get(18)?,
        options: Vec::new(),
    })
}

/// A quota in this column and the next one.
fn quota(row: &MySqlRow, column: usize) -> sqlx::Result<Quota> {
    let per_option: Option<i64> = row.try_get(column + 1)?;
    let per_option = per_option.map(u8::try_from).transpose().map_err(corrupt)?;
    Ok(Quota { ballots: natural(row, column)?, per_option })
}

fn timestamp(row: &MySqlRow, column: usize) -> sqlx::Result<Option<Timestamp>> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(Timestamp))
}

/// A column that holds a non-negative number.
pub(super) fn natural<T>(row: &MySqlRow, column: impl sqlx::ColumnIndex<MySqlRow>) -> sqlx::Result<T>
where
    T: TryFrom<i64, Error: std::error::Error + Send + Sync + 'static>,
{
    row.try_get::<i64, _>(column)?.try_into().map_err(corrupt)
}

/// A column that holds text, which may be compared by its bytes: the library treats such a column as binary.
pub(super) fn text(row: &MySqlRow, column: impl sqlx::ColumnIndex<MySqlRow>) -> sqlx::Result<&str> {
    row.try_get_unchecked(column)
}

/// A column that holds one of a field's values.
pub(super) fn word<T>(row: &MySqlRow, column: usize) -> sqlx::Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    text(row, column)?.parse().map_err(corrupt)
}

/// The polls' ids, as a list for `IN`.
pub(super) fn list(polls: &[PollId]) -> String {
    let numbers: Vec<_> = polls.iter().map(|poll| poll.0.to_string()).collect();
    numbers.join(",")
}
