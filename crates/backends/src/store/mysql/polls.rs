//! Polls and their options.

use std::collections::BTreeMap;

use sqlx::mysql::{MySqlArguments, MySqlConnection, MySqlRow};
use sqlx::{MySql, Row as _};
use throng_domain::audit::{Action, Author, all_fields, changes};
use throng_domain::imported;
use throng_domain::new_poll::NewPoll;
use throng_domain::policy::Quota;
use throng_domain::poll::{OptionId, Poll, PollId, PollOption, Slug};
use throng_domain::poll_change::{self, PollChange};
use throng_domain::store::{Mark, PollEntry, Rules, StoreError, Window};
use throng_domain::void::to_stored;

use super::columns::{
    NOW, list, natural, now, stored_counting, stored_imported, stored_origins, stored_voids, text, timestamp, word,
};
use super::connection::simple_query;
use super::error::{StoreResult, before_commit, corrupt, is_duplicate};
use super::{audit, tallies, webhooks};

/// One row per option; a poll has at least two, and both are written together.
const POLLS: &str = "SELECT poll.id, slug, title, intro, kind, min_choices, max_choices, opens_at, closes_at, results, \
                     percent_base, version, closed_at, final_at, policy, quota, option_quota, proof, changeable, consent, \
                     archived_at, last_option, voids, imported, counting, allowed_origins, locale, option_order, rehearsal, \
                     o.id AS option_id, label FROM poll JOIN `option` AS o ON o.poll_id = poll.id";

pub(super) async fn all(reader: &mut MySqlConnection) -> sqlx::Result<Vec<Poll>> {
    let rows = sqlx::query(&format!("{POLLS} ORDER BY poll.id, position")).fetch_all(reader).await?;
    polls_from(&rows)
}

pub(super) async fn version(reader: &mut MySqlConnection) -> sqlx::Result<u64> {
    let row = sqlx::query("SELECT version FROM polls_version").fetch_one(reader).await?;
    natural(&row, 0)
}

pub(super) async fn entries(reader: &mut MySqlConnection, after: u64) -> sqlx::Result<Vec<PollEntry>> {
    let all = "SELECT id, slug, version, changed, opens_at, closes_at, closed_at IS NOT NULL, \
               final_at IS NOT NULL, archived_at IS NOT NULL FROM poll";
    // Polls that no version is known of are found with all others only.
    let changed = if after > 0 { "WHERE changed > ?" } else { "WHERE changed >= ?" };
    let rows = sqlx::query(&format!("{all} {changed} ORDER BY id")).bind(after).fetch_all(reader).await?;
    rows.iter().map(entry_from).collect()
}

fn entry_from(row: &MySqlRow) -> sqlx::Result<PollEntry> {
    Ok(PollEntry {
        id: PollId(row.try_get(0)?),
        slug: word(row, 1)?,
        version: natural(row, 2)?,
        changed: natural(row, 3)?,
        opens_at: timestamp(row, 4)?,
        closes_at: timestamp(row, 5)?,
        is_closed: row.try_get(6)?,
        is_final: row.try_get(7)?,
        is_archived: row.try_get(8)?,
    })
}

pub(super) async fn latest_slugs(reader: &mut MySqlConnection, limit: usize) -> sqlx::Result<Vec<Slug>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = sqlx::query("SELECT slug FROM poll ORDER BY id DESC LIMIT ?").bind(limit).fetch_all(reader).await?;
    rows.iter().map(|row| word(row, 0)).collect()
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
pub(super) async fn create(writer: &mut MySqlConnection, new: NewPoll, by: &Author) -> StoreResult<Poll> {
    let faults = new.faults();
    if !faults.is_empty() {
        return Err(StoreError::Rejected(faults.join("; ")));
    }
    let mut poll = new.into_poll(PollId(0));
    simple_query(&mut *writer, "START TRANSACTION").await.map_err(before_commit)?;
    poll.id = insert(writer, &poll).await.map_err(|error| {
        if is_duplicate(&error) {
            StoreError::Conflict(format!("there is a poll `{}` already; choose another slug", poll.slug))
        } else {
            before_commit(error)
        }
    })?;
    insert_options(writer, &poll).await.map_err(before_commit)?;
    audit::append(writer, Action::Create, Some(&poll.slug), &all_fields(&poll), by).await.map_err(before_commit)?;
    bump_version(writer, &[poll.id]).await.map_err(before_commit)?;
    Ok(poll)
}

/// Changes the poll in a transaction that the caller commits. What decides is read once the poll's row is locked: batches that
/// are being recorded lock it, so what was recorded by other rules is committed by then.
pub(super) async fn change(
    writer: &mut MySqlConnection,
    shard: u64,
    poll: PollId,
    version: u64,
    change: &PollChange,
    by: &Author,
) -> StoreResult<Poll> {
    let stored = poll_change::at_version(locked(writer, poll).await.map_err(before_commit)?, version)?;
    let has_ballots = change.depends_on_ballots() && has_ballots(writer, poll).await.map_err(before_commit)?;
    let changed = change.apply(&stored, now(writer).await.map_err(before_commit)?, has_ballots)?;
    update(writer, &changed).await.map_err(before_commit)?;
    if changed.options != stored.options {
        delete_from(writer, "`option`", poll).await.map_err(before_commit)?;
        insert_options(writer, &changed).await.map_err(before_commit)?;
        let removed = "DELETE FROM tally WHERE poll_id = ? AND option_id > 0 \
                       AND option_id NOT IN (SELECT id FROM `option` WHERE poll_id = ?)";
        sqlx::query(removed).bind(poll.0).bind(poll.0).execute(&mut *writer).await.map_err(before_commit)?;
    }
    if let Some(change) = change.tally_change(&stored, &changed) {
        tallies::run(writer, tallies::add(&[change], shard)).await.map_err(before_commit)?;
    }
    let fields = changes(&stored, &changed);
    audit::append(writer, change.action(), Some(&changed.slug), &fields, by).await.map_err(before_commit)?;
    bump_version(writer, &[poll]).await.map_err(before_commit)?;
    Ok(changed)
}

/// Deletes the draft in a transaction that the caller commits.
pub(super) async fn delete(writer: &mut MySqlConnection, poll: PollId, version: u64, by: &Author) -> StoreResult<()> {
    let stored = poll_change::at_version(locked(writer, poll).await.map_err(before_commit)?, version)?;
    stored.require_deletable(has_ballots(writer, poll).await.map_err(before_commit)?)?;
    for table in ["code", "code_batch", "tally", "tally_detail", "result", "`option`"] {
        delete_from(writer, table, poll).await.map_err(before_commit)?;
    }
    sqlx::query("DELETE FROM poll WHERE id = ?").bind(poll.0).execute(&mut *writer).await.map_err(before_commit)?;
    audit::append(writer, Action::Delete, Some(&stored.slug), &all_fields(&stored), by).await.map_err(before_commit)?;
    bump_version(writer, &[]).await.map_err(before_commit)
}

async fn has_ballots(reader: &mut MySqlConnection, poll: PollId) -> sqlx::Result<bool> {
    let first = sqlx::query("SELECT 1 FROM ballot WHERE poll_id = ? LIMIT 1").bind(poll.0);
    Ok(first.fetch_optional(reader).await?.is_some())
}

async fn delete_from(writer: &mut MySqlConnection, table: &str, poll: PollId) -> sqlx::Result<()> {
    sqlx::query(&format!("DELETE FROM {table} WHERE poll_id = ?")).bind(poll.0).execute(writer).await?;
    Ok(())
}

async fn insert(writer: &mut MySqlConnection, poll: &Poll) -> sqlx::Result<PollId> {
    let sql = "INSERT INTO poll (title, intro, consent, kind, min_choices, max_choices, opens_at, closes_at, closed_at, \
               final_at, archived_at, results, percent_base, policy, quota, option_quota, proof, changeable, last_option, \
               version, voids, imported, counting, allowed_origins, locale, option_order, rehearsal, slug) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let inserted = with_fields(sqlx::query(sql), poll).bind(poll.slug.as_str()).execute(writer).await?;
    i64::try_from(inserted.last_insert_id()).map(PollId).map_err(corrupt)
}

async fn update(writer: &mut MySqlConnection, poll: &Poll) -> sqlx::Result<()> {
    let sql = "UPDATE poll SET title = ?, intro = ?, consent = ?, kind = ?, min_choices = ?, max_choices = ?, \
               opens_at = ?, closes_at = ?, closed_at = ?, final_at = ?, archived_at = ?, results = ?, percent_base = ?, \
               policy = ?, quota = ?, option_quota = ?, proof = ?, changeable = ?, last_option = ?, version = ?, voids = ?, imported = ?, counting = ?, \
               allowed_origins = ?, locale = ?, option_order = ?, rehearsal = ? \
               WHERE id = ?";
    with_fields(sqlx::query(sql), poll).bind(poll.id.0).execute(writer).await?;
    Ok(())
}

type Query<'q> = sqlx::query::Query<'q, MySql, MySqlArguments>;

/// The query with a poll's fields as its first parameters.
fn with_fields<'q>(query: Query<'q>, poll: &'q Poll) -> Query<'q> {
    query
        .bind(&poll.title)
        .bind(&poll.intro)
        .bind(&poll.consent)
        .bind(poll.kind.as_str())
        .bind(poll.min_choices)
        .bind(poll.max_choices)
        .bind(poll.opens_at.map(|at| at.0))
        .bind(poll.closes_at.map(|at| at.0))
        .bind(poll.closed_at.map(|at| at.0))
        .bind(poll.final_at.map(|at| at.0))
        .bind(poll.archived_at.map(|at| at.0))
        .bind(poll.results.as_str())
        .bind(poll.percent_base.as_str())
        .bind(poll.policy.as_str())
        .bind(poll.quota.ballots)
        .bind(poll.quota.per_option)
        .bind(poll.proof.as_str())
        .bind(poll.changeable)
        .bind(poll.last_option.0)
        .bind(poll.version)
        .bind(to_stored(&poll.voids))
        .bind(imported::to_stored(&poll.imported))
        .bind(poll.counting.to_stored())
        .bind(poll.allowed_origins.to_stored())
        .bind(poll.locale.as_str())
        .bind(poll.option_order.as_str())
        .bind(poll.rehearsal)
}

async fn insert_options(writer: &mut MySqlConnection, poll: &Poll) -> sqlx::Result<()> {
    for (position, option) in (0_u32..).zip(&poll.options) {
        sqlx::query("INSERT INTO `option` (poll_id, id, label, position) VALUES (?, ?, ?, ?)")
            .bind(poll.id.0)
            .bind(option.id.0)
            .bind(&option.label)
            .bind(position)
            .execute(&mut *writer)
            .await?;
    }
    Ok(())
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
    let mut marked = Vec::new();
    for (poll, version) in polls {
        let sql = format!(
            "UPDATE poll SET {set}, version = version + 1 \
             WHERE id = ? AND version = ? AND {column} IS NULL AND closes_at + {} <= {NOW}",
            mark.due_after_ms()
        );
        let update = sqlx::query(&sql).bind(poll.0).bind(version);
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

async fn locked(writer: &mut MySqlConnection, poll: PollId) -> sqlx::Result<Option<Poll>> {
    simple_query(&mut *writer, "START TRANSACTION").await?;
    sqlx::query("SELECT id FROM poll WHERE id = ? FOR UPDATE").bind(poll.0).execute(&mut *writer).await?;
    let sql = format!("{POLLS} WHERE poll.id = ? ORDER BY position");
    let rows = sqlx::query(&sql).bind(poll.0).fetch_all(writer).await?;
    Ok(polls_from(&rows)?.pop())
}

/// Begins a transaction, and returns what the polls' ballots are judged by; a poll that doesn't exist is missing. The polls don't
/// change until the end of the transaction: their rows are locked. If `alone`, no other transaction records in them meanwhile.
pub(super) async fn begin_with_rules(
    writer: &mut MySqlConnection,
    polls: &[PollId],
    alone: bool,
) -> sqlx::Result<BTreeMap<PollId, Rules>> {
    let sql = format!(
        "START TRANSACTION; SELECT id, opens_at, closes_at, final_at, quota, option_quota, changeable, voids FROM poll \
         WHERE id IN ({}) ORDER BY id {}",
        list(polls),
        if alone { "FOR UPDATE" } else { "LOCK IN SHARE MODE" }
    );
    let rows = simple_query(writer, &sql).await?;
    let rules = rows.iter().map(|row| {
        let window = Window { opens_at: timestamp(row, 1)?, closes_at: timestamp(row, 2)? };
        let window = window.judging(timestamp(row, 3)?.is_some());
        Ok((
            PollId(row.try_get(0)?),
            Rules { window, quota: quota(row, 4)?, changeable: row.try_get(6)?, voids: stored_voids(row, 7)?.into() },
        ))
    });
    rules.collect()
}

/// Gives all polls their next version, and notes it with those that changed.
async fn bump_version(writer: &mut MySqlConnection, changed: &[PollId]) -> sqlx::Result<()> {
    let mut statements = "UPDATE polls_version SET version = version + 1".to_owned();
    if !changed.is_empty() {
        let note = "; UPDATE poll SET changed = (SELECT version FROM polls_version) WHERE id IN";
        statements.push_str(&format!("{note} ({})", list(changed)));
    }
    simple_query(writer, &statements).await?;
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
        let poll = polls.last_mut().expect("a poll was pushed if there was none");
        poll.last_option = poll.last_option.max(option.id);
        poll.options.push(option);
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
        consent: text(row, 19)?.to_owned(),
        archived_at: timestamp(row, 20)?,
        last_option: OptionId(natural(row, 21)?),
        voids: stored_voids(row, 22)?,
        imported: stored_imported(row, 23)?,
        counting: stored_counting(row, 24)?,
        allowed_origins: stored_origins(row, 25)?,
        locale: word(row, 26)?,
        option_order: word(row, 27)?,
        rehearsal: row.try_get(28)?,
        options: Vec::new(),
    })
}

/// A quota in this column and the next one.
fn quota(row: &MySqlRow, column: usize) -> sqlx::Result<Quota> {
    let per_option: Option<i64> = row.try_get(column + 1)?;
    let per_option = per_option.map(u8::try_from).transpose().map_err(corrupt)?;
    Ok(Quota { ballots: natural(row, column)?, per_option })
}
