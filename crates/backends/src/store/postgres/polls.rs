//! Polls and their options.

use std::collections::BTreeMap;

use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::{Postgres, Row as _};
use throng_domain::audit::{Action, Author, all_fields, changes};
use throng_domain::imported;
use throng_domain::new_poll::NewPoll;
use throng_domain::policy::Quota;
use throng_domain::poll::{Poll, PollId, PollOption, Slug};
use throng_domain::poll_change::{self, PollChange};
use throng_domain::store::{Mark, PollEntry, Rules, StoreError, Window};
use throng_domain::void::to_stored;

use super::columns::{
    NOW, Numbers, now, option_id, stored_counting, stored_imported, stored_origins, stored_voids, timestamp, unsigned,
    word,
};
use super::connection::simple_query;
use super::error::{StoreResult, is_key_taken, read_error};
use super::locks::{lock_exclusively, lock_of};
use super::{audit, settings, tallies, webhooks};

/// A poll and its options in one row, so that they are of one snapshot.
const SELECT: &str = "\
    SELECT id, slug, title, intro, kind, min_choices, max_choices, opens_at, closes_at, results, percent_base, version, \
    ARRAY(SELECT id FROM option WHERE poll_id = poll.id ORDER BY position), \
    ARRAY(SELECT label FROM option WHERE poll_id = poll.id ORDER BY position), closed_at, final_at, policy, quota, option_quota, \
    proof, changeable, consent, archived_at, last_option, voids, \
    imported, counting, allowed_origins, locale, option_order, rehearsal FROM poll";

pub(super) async fn all(reader: &mut PgConnection) -> sqlx::Result<Vec<Poll>> {
    let rows = sqlx::query(&format!("{SELECT} ORDER BY id")).fetch_all(reader).await?;
    rows.iter().map(poll_from).collect()
}

pub(super) async fn version(reader: &mut PgConnection) -> sqlx::Result<u64> {
    let version: i64 = sqlx::query_scalar("SELECT version FROM polls_version").fetch_one(reader).await?;
    unsigned(version)
}

pub(super) async fn entries(reader: &mut PgConnection, after: u64) -> sqlx::Result<Vec<PollEntry>> {
    let all = "SELECT id, slug, version, changed, opens_at, closes_at, closed_at IS NOT NULL, \
               final_at IS NOT NULL, archived_at IS NOT NULL FROM poll";
    // Polls that no version is known of are found with all others only.
    let changed = if after > 0 { "WHERE changed > $1" } else { "WHERE changed >= $1" };
    let entries = format!("{all} {changed} ORDER BY id");
    let rows = sqlx::query(&entries).bind(after.cast_signed()).fetch_all(reader).await?;
    rows.iter().map(entry_from).collect()
}

fn entry_from(row: &PgRow) -> sqlx::Result<PollEntry> {
    Ok(PollEntry {
        id: PollId(row.try_get(0)?),
        slug: word(row, 1)?,
        version: unsigned(row.try_get::<i64, _>(2)?)?,
        changed: unsigned(row.try_get::<i64, _>(3)?)?,
        opens_at: timestamp(row.try_get(4)?),
        closes_at: timestamp(row.try_get(5)?),
        is_closed: row.try_get(6)?,
        is_final: row.try_get(7)?,
        is_archived: row.try_get(8)?,
    })
}

pub(super) async fn latest_slugs(reader: &mut PgConnection, limit: usize) -> sqlx::Result<Vec<Slug>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = sqlx::query("SELECT slug FROM poll ORDER BY id DESC LIMIT $1").bind(limit).fetch_all(reader).await?;
    rows.iter().map(|row| word(row, 0)).collect()
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

pub(super) async fn create(writer: &mut PgConnection, new: NewPoll, by: &Author) -> StoreResult<Poll> {
    let mut poll = new.into_poll(PollId(0));
    poll.id = insert(writer, &poll).await.map_err(|error| {
        if is_key_taken(&error) {
            StoreError::Conflict(format!("there is a poll `{}` already; choose another slug", poll.slug))
        } else {
            read_error(error)
        }
    })?;
    insert_options(writer, &poll).await.map_err(read_error)?;
    audit::append(writer, Action::Create, Some(&poll.slug), &all_fields(&poll), by).await.map_err(read_error)?;
    bump_version(writer, &[poll.id]).await.map_err(read_error)?;
    Ok(poll)
}

/// What decides is read once the poll's lock is held exclusively: what was recorded by other rules is committed by then.
pub(super) async fn change(
    writer: &mut PgConnection,
    shard: i32,
    poll: PollId,
    version: u64,
    change: &PollChange,
    by: &Author,
) -> StoreResult<Poll> {
    let stored = poll_change::at_version(lock_and_read(writer, poll).await.map_err(read_error)?, version)?;
    let has_ballots = change.depends_on_ballots() && has_ballots(writer, poll).await.map_err(read_error)?;
    let changed = change.apply(&stored, now(writer).await.map_err(read_error)?, has_ballots)?;
    update(writer, &changed).await.map_err(read_error)?;
    if changed.options != stored.options {
        delete_from(writer, "option", poll).await.map_err(read_error)?;
        insert_options(writer, &changed).await.map_err(read_error)?;
        let removed = "DELETE FROM tally WHERE poll_id = $1 AND option_id > 0 \
                       AND option_id NOT IN (SELECT id FROM option WHERE poll_id = $1)";
        sqlx::query(removed).bind(poll.0).execute(&mut *writer).await.map_err(read_error)?;
    }
    if let Some(change) = change.tally_change(&stored, &changed) {
        tallies::add(writer, shard, &[change]).await.map_err(read_error)?;
    }
    let fields = changes(&stored, &changed);
    audit::append(writer, change.action(), Some(&changed.slug), &fields, by).await.map_err(read_error)?;
    bump_version(writer, &[poll]).await.map_err(read_error)?;
    Ok(changed)
}

pub(super) async fn delete(writer: &mut PgConnection, poll: PollId, version: u64, by: &Author) -> StoreResult<()> {
    let stored = poll_change::at_version(lock_and_read(writer, poll).await.map_err(read_error)?, version)?;
    stored.require_deletable(has_ballots(writer, poll).await.map_err(read_error)?)?;
    for table in ["code", "code_batch", "tally", "tally_detail", "result", "option"] {
        delete_from(writer, table, poll).await.map_err(read_error)?;
    }
    sqlx::query("DELETE FROM poll WHERE id = $1").bind(poll.0).execute(&mut *writer).await.map_err(read_error)?;
    audit::append(writer, Action::Delete, Some(&stored.slug), &all_fields(&stored), by).await.map_err(read_error)?;
    bump_version(writer, &[]).await.map_err(read_error)
}

async fn has_ballots(reader: &mut PgConnection, poll: PollId) -> sqlx::Result<bool> {
    let exists = "SELECT EXISTS (SELECT 1 FROM ballot WHERE poll_id = $1)";
    sqlx::query_scalar(exists).bind(poll.0).fetch_one(reader).await
}

async fn delete_from(writer: &mut PgConnection, table: &str, poll: PollId) -> sqlx::Result<()> {
    sqlx::query(&format!("DELETE FROM {table} WHERE poll_id = $1")).bind(poll.0).execute(writer).await?;
    Ok(())
}

/// Marks the polls that are due by the server's clock. Polls are locked in the order in which batches lock them.
pub(super) async fn mark(writer: &mut PgConnection, polls: &[(PollId, u64)], mark: Mark) -> sqlx::Result<usize> {
    let (column, set) = match mark {
        Mark::Closed => ("closed_at", format!("closed_at = {NOW}")),
        Mark::Final => ("final_at", format!("closed_at = coalesce(closed_at, {NOW}), final_at = {NOW}")),
    };
    let mut polls = polls.to_vec();
    polls.sort_unstable();
    let mut marked = Vec::new();
    for (poll, version) in polls {
        lock_exclusively(writer, poll).await?;
        let sql = format!(
            "UPDATE poll SET {set}, version = version + 1 \
             WHERE id = $1 AND version = $2 AND {column} IS NULL AND closes_at + $3 <= {NOW}"
        );
        let update = sqlx::query(&sql).bind(poll.0).bind(version.cast_signed()).bind(mark.due_after_ms());
        if update.execute(&mut *writer).await?.rows_affected() > 0 {
            marked.push(poll);
        }
    }
    if !marked.is_empty() {
        webhooks::add_marks(writer, &marked, mark).await?;
        bump_version(writer, &marked).await?;
    }
    Ok(marked.len())
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
    let rules = "SELECT id, opens_at, closes_at, final_at, quota, option_quota, changeable, voids FROM poll";
    let sql = format!("{}; {locks}; {rules} WHERE id IN ({numbers})", settings::BEGIN);
    let rows = simple_query(writer, &sql).await?;
    // The statements that begin the transaction, and every lock, return rows of one column.
    rows.iter().filter(|row| row.len() == 8).map(rules_from).collect()
}

/// Reads a poll once no other transaction changes it or records in it, until this transaction ends.
async fn lock_and_read(writer: &mut PgConnection, poll: PollId) -> sqlx::Result<Option<Poll>> {
    lock_exclusively(writer, poll).await?;
    let sql = format!("{SELECT} WHERE id = $1");
    sqlx::query(&sql).bind(poll.0).fetch_optional(writer).await?.as_ref().map(poll_from).transpose()
}

async fn insert(writer: &mut PgConnection, poll: &Poll) -> sqlx::Result<PollId> {
    let sql = "INSERT INTO poll (title, intro, consent, kind, min_choices, max_choices, opens_at, closes_at, closed_at, \
               final_at, archived_at, results, percent_base, policy, quota, option_quota, proof, changeable, last_option, \
               version, voids, imported, counting, allowed_origins, locale, option_order, rehearsal, slug) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, \
               $25, $26, $27, $28) \
               RETURNING id";
    let inserted = with_fields(sqlx::query(sql), poll).bind(poll.slug.as_str()).fetch_one(writer).await?;
    inserted.try_get(0).map(PollId)
}

async fn update(writer: &mut PgConnection, poll: &Poll) -> sqlx::Result<()> {
    let sql = "UPDATE poll SET title = $1, intro = $2, consent = $3, kind = $4, min_choices = $5, max_choices = $6, \
               opens_at = $7, closes_at = $8, closed_at = $9, final_at = $10, archived_at = $11, results = $12, \
               percent_base = $13, policy = $14, quota = $15, option_quota = $16, proof = $17, changeable = $18, \
               last_option = $19, version = $20, voids = $21, imported = $22, counting = $23, \
               allowed_origins = $24, locale = $25, option_order = $26, rehearsal = $27 \
               WHERE id = $28";
    with_fields(sqlx::query(sql), poll).bind(poll.id.0).execute(writer).await?;
    Ok(())
}

type Query<'q> = sqlx::query::Query<'q, Postgres, PgArguments>;

/// The query with the parameters $1 to $27, a poll's fields.
fn with_fields<'q>(query: Query<'q>, poll: &'q Poll) -> Query<'q> {
    query
        .bind(&poll.title)
        .bind(&poll.intro)
        .bind(&poll.consent)
        .bind(poll.kind.as_str())
        .bind(i32::from(poll.min_choices))
        .bind(i32::from(poll.max_choices))
        .bind(poll.opens_at.map(|at| at.0))
        .bind(poll.closes_at.map(|at| at.0))
        .bind(poll.closed_at.map(|at| at.0))
        .bind(poll.final_at.map(|at| at.0))
        .bind(poll.archived_at.map(|at| at.0))
        .bind(poll.results.as_str())
        .bind(poll.percent_base.as_str())
        .bind(poll.policy.as_str())
        .bind(i16::from(poll.quota.ballots))
        .bind(poll.quota.per_option.map(i16::from))
        .bind(poll.proof.as_str())
        .bind(poll.changeable)
        .bind(i32::from(poll.last_option.0))
        .bind(poll.version.cast_signed())
        .bind(to_stored(&poll.voids))
        .bind(imported::to_stored(&poll.imported))
        .bind(poll.counting.to_stored())
        .bind(poll.allowed_origins.to_stored())
        .bind(poll.locale.as_str())
        .bind(poll.option_order.as_str())
        .bind(poll.rehearsal)
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

/// Gives all polls their next version, and notes it with those that changed.
async fn bump_version(writer: &mut PgConnection, changed: &[PollId]) -> sqlx::Result<()> {
    let bump = "UPDATE polls_version SET version = version + 1 RETURNING version";
    let version: i64 = sqlx::query_scalar(bump).fetch_one(&mut *writer).await?;
    let ids: Vec<i64> = changed.iter().map(|poll| poll.0).collect();
    let note = sqlx::query("UPDATE poll SET changed = $1 WHERE id = ANY($2)").bind(version).bind(ids);
    note.execute(writer).await?;
    Ok(())
}

fn poll_from(row: &PgRow) -> sqlx::Result<Poll> {
    let (ids, labels): (Vec<i32>, Vec<String>) = (row.try_get(12)?, row.try_get(13)?);
    let option = |(id, label)| Ok(PollOption { id: option_id(id)?, label });
    let mut poll = Poll {
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
        consent: row.try_get(21)?,
        archived_at: row.try_get(22).map(timestamp)?,
        last_option: option_id(row.try_get(23)?)?,
        voids: stored_voids(row, 24)?,
        imported: stored_imported(row, 25)?,
        counting: stored_counting(row, 26)?,
        allowed_origins: stored_origins(row, 27)?,
        locale: word(row, 28)?,
        option_order: word(row, 29)?,
        rehearsal: row.try_get(30)?,
        options: ids.into_iter().zip(labels).map(option).collect::<sqlx::Result<_>>()?,
    };
    poll.last_option = poll.last_option.max(poll.highest_option());
    Ok(poll)
}

fn rules_from(row: &PgRow) -> sqlx::Result<(PollId, Rules)> {
    let window = Window { opens_at: row.try_get(1).map(timestamp)?, closes_at: row.try_get(2).map(timestamp)? };
    let window = window.judging(row.try_get(3).map(timestamp)?.is_some());
    Ok((
        PollId(row.try_get(0)?),
        Rules { window, quota: quota(row, 4)?, changeable: row.try_get(6)?, voids: stored_voids(row, 7)?.into() },
    ))
}

/// A quota in this column and the next one.
fn quota(row: &PgRow, column: usize) -> sqlx::Result<Quota> {
    let per_option: Option<i16> = row.try_get(column + 1)?;
    let ballots: i16 = row.try_get(column)?;
    Ok(Quota { ballots: unsigned(ballots)?, per_option: per_option.map(unsigned).transpose()? })
}
