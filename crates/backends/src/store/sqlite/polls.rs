//! Polls and their options.

use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, TransactionBehavior, params};
use throng_domain::audit::{Action, Author, all_fields, changes};
use throng_domain::imported;
use throng_domain::new_poll::NewPoll;
use throng_domain::policy::Quota;
use throng_domain::poll::{OptionId, Poll, PollId, PollOption, Slug};
use throng_domain::poll_change::{self, PollChange};
use throng_domain::store::{Mark, PollEntry, Rules, StoreError, Window};
use throng_domain::void::to_stored;

use super::columns::{now, stored_counting, stored_imported, stored_origins, stored_voids, timestamp, word};
use super::error::{StoreResult, read_error, write_error};
use super::{audit, tallies, webhooks};

/// The parameters ?1 to ?27, a poll's fields, and ?28, by which it is known.
macro_rules! fields {
    ($poll:expr, $key:expr) => {
        params![
            $poll.title,
            $poll.intro,
            $poll.consent,
            $poll.kind.as_str(),
            $poll.min_choices,
            $poll.max_choices,
            $poll.opens_at.map(|at| at.0),
            $poll.closes_at.map(|at| at.0),
            $poll.closed_at.map(|at| at.0),
            $poll.final_at.map(|at| at.0),
            $poll.archived_at.map(|at| at.0),
            $poll.results.as_str(),
            $poll.percent_base.as_str(),
            $poll.policy.as_str(),
            $poll.quota.ballots,
            $poll.quota.per_option,
            $poll.proof.as_str(),
            $poll.changeable,
            $poll.last_option.0,
            $poll.version,
            to_stored(&$poll.voids),
            imported::to_stored(&$poll.imported),
            $poll.counting.to_stored(),
            $poll.allowed_origins.to_stored(),
            $poll.locale.as_str(),
            $poll.option_order.as_str(),
            $poll.rehearsal,
            $key
        ]
    };
}

const COLUMNS: &str = "id, slug, title, intro, kind, min_choices, max_choices, opens_at, closes_at, results, \
                       percent_base, version, closed_at, final_at, policy, quota, option_quota, proof, changeable, consent, \
                       archived_at, last_option, voids, imported, counting, allowed_origins, locale, \
                       option_order, rehearsal";

pub(super) fn all(reader: &Connection) -> rusqlite::Result<Vec<Poll>> {
    let snapshot = reader.unchecked_transaction()?;
    let mut polls = snapshot
        .prepare_cached(&format!("SELECT {COLUMNS} FROM poll ORDER BY id"))?
        .query_map([], poll_from)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    for poll in &mut polls {
        read_options(&snapshot, poll)?;
    }
    Ok(polls)
}

/// The number and the slug of every poll.
pub(super) fn slugs(reader: &Connection) -> rusqlite::Result<Vec<(PollId, String)>> {
    let mut polls = reader.prepare_cached("SELECT id, slug FROM poll ORDER BY id")?;
    polls.query_map([], |row| Ok((PollId(row.get(0)?), row.get(1)?)))?.collect()
}

pub(super) fn version(reader: &Connection) -> rusqlite::Result<u64> {
    reader.prepare_cached("SELECT version FROM polls_version")?.query_row([], |row| row.get(0))
}

pub(super) fn entries(reader: &Connection, after: u64) -> rusqlite::Result<Vec<PollEntry>> {
    let all = "SELECT id, slug, version, changed, opens_at, closes_at, closed_at IS NOT NULL, \
               final_at IS NOT NULL, archived_at IS NOT NULL FROM poll";
    // Polls that no version is known of are found with all others only.
    let changed = if after > 0 { "WHERE changed > ?1" } else { "WHERE changed >= ?1" };
    let mut entries = reader.prepare_cached(&format!("{all} {changed} ORDER BY id"))?;
    entries.query_map([after], entry_from)?.collect()
}

fn entry_from(row: &Row<'_>) -> rusqlite::Result<PollEntry> {
    Ok(PollEntry {
        id: PollId(row.get(0)?),
        slug: word(row, 1)?,
        version: row.get(2)?,
        changed: row.get(3)?,
        opens_at: timestamp(row.get(4)?),
        closes_at: timestamp(row.get(5)?),
        is_closed: row.get(6)?,
        is_final: row.get(7)?,
        is_archived: row.get(8)?,
    })
}

pub(super) fn latest_slugs(reader: &Connection, limit: usize) -> rusqlite::Result<Vec<Slug>> {
    let mut slugs = reader.prepare_cached("SELECT slug FROM poll ORDER BY id DESC LIMIT ?1")?;
    slugs.query_map([limit], |row| word(row, 0))?.collect()
}

pub(super) fn by_id(reader: &Connection, polls: &[PollId]) -> rusqlite::Result<Vec<Poll>> {
    let snapshot = reader.unchecked_transaction()?;
    polls.iter().filter_map(|poll| one(&snapshot, "id = ?1", poll.0).transpose()).collect()
}

pub(super) fn by_slug(reader: &Connection, slug: &Slug) -> rusqlite::Result<Option<Poll>> {
    let snapshot = reader.unchecked_transaction()?;
    one(&snapshot, "slug = ?1", slug.as_str())
}

/// The number of the next poll: none that an earlier one had.
const NEXT_ID: &str = "(SELECT max(coalesce((SELECT max(id) FROM poll), 0), last_deleted) + 1 FROM polls_version)";

pub(super) fn create(writer: &mut Connection, new: NewPoll, by: &Author) -> StoreResult<Poll> {
    let faults = new.faults();
    if !faults.is_empty() {
        return Err(StoreError::Rejected(faults.join("; ")));
    }
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(write_error)?;
    let mut poll = new.into_poll(PollId(0));
    let inserted = transaction.execute(
        &format!(
            "INSERT INTO poll (title, intro, consent, kind, min_choices, max_choices, opens_at, closes_at, closed_at, \
             final_at, archived_at, results, percent_base, policy, quota, option_quota, proof, changeable, last_option, \
             version, voids, imported, counting, allowed_origins, locale, option_order, rehearsal, slug, id) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, \
             ?25, ?26, ?27, ?28, {NEXT_ID})"
        ),
        fields![poll, poll.slug.as_str()],
    );
    if let Err(error) = inserted {
        return Err(match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation) => {
                StoreError::Conflict(format!("there is a poll `{}` already; choose another slug", poll.slug))
            }
            _ => write_error(error),
        });
    }
    poll.id = PollId(transaction.last_insert_rowid());
    insert_options(&transaction, &poll).map_err(write_error)?;
    audit::append(&transaction, Action::Create, Some(&poll.slug), &all_fields(&poll), by).map_err(write_error)?;
    bump_version(&transaction, &[poll.id]).map_err(write_error)?;
    transaction.commit().map_err(write_error)?;
    Ok(poll)
}

/// What decides is read here, where no other process writes: everything recorded before arrived before this time.
pub(super) fn change(
    writer: &mut Connection,
    poll: PollId,
    version: u64,
    change: &PollChange,
    by: &Author,
) -> StoreResult<Poll> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(write_error)?;
    let stored = at_version(&transaction, poll, version)?;
    let has_ballots = change.depends_on_ballots() && has_ballots(&transaction, poll).map_err(read_error)?;
    let changed = change.apply(&stored, now(&transaction).map_err(read_error)?, has_ballots)?;
    transaction
        .execute(
            "UPDATE poll SET title = ?1, intro = ?2, consent = ?3, kind = ?4, min_choices = ?5, max_choices = ?6, \
             opens_at = ?7, closes_at = ?8, closed_at = ?9, final_at = ?10, archived_at = ?11, results = ?12, \
             percent_base = ?13, policy = ?14, quota = ?15, option_quota = ?16, proof = ?17, changeable = ?18, \
             last_option = ?19, version = ?20, voids = ?21, imported = ?22, counting = ?23, \
             allowed_origins = ?24, locale = ?25, option_order = ?26, rehearsal = ?27 WHERE id = ?28",
            fields![changed, poll.0],
        )
        .map_err(write_error)?;
    if changed.options != stored.options {
        transaction.execute("DELETE FROM option WHERE poll_id = ?1", [poll.0]).map_err(write_error)?;
        insert_options(&transaction, &changed).map_err(write_error)?;
        let removed = "DELETE FROM tally WHERE poll_id = ?1 AND option_id > 0 \
                       AND option_id NOT IN (SELECT id FROM option WHERE poll_id = ?1)";
        transaction.execute(removed, [poll.0]).map_err(write_error)?;
    }
    if let Some(change) = change.tally_change(&stored, &changed) {
        tallies::add(&transaction, &change).map_err(write_error)?;
    }
    audit::append(&transaction, change.action(), Some(&changed.slug), &changes(&stored, &changed), by)
        .map_err(write_error)?;
    bump_version(&transaction, &[poll]).map_err(write_error)?;
    transaction.commit().map_err(write_error)?;
    Ok(changed)
}

pub(super) fn delete(writer: &mut Connection, poll: PollId, version: u64, by: &Author) -> StoreResult<()> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(write_error)?;
    let stored = at_version(&transaction, poll, version)?;
    stored.require_deletable(has_ballots(&transaction, poll).map_err(read_error)?)?;
    for table in ["code", "code_batch", "tally", "tally_detail", "result", "option"] {
        transaction.execute(&format!("DELETE FROM {table} WHERE poll_id = ?1"), [poll.0]).map_err(write_error)?;
    }
    transaction.execute("DELETE FROM poll WHERE id = ?1", [poll.0]).map_err(write_error)?;
    transaction
        .execute("UPDATE polls_version SET last_deleted = max(last_deleted, ?1)", [poll.0])
        .map_err(write_error)?;
    audit::append(&transaction, Action::Delete, Some(&stored.slug), &all_fields(&stored), by).map_err(write_error)?;
    bump_version(&transaction, &[]).map_err(write_error)?;
    transaction.commit().map_err(write_error)
}

/// The poll as it is stored, which must still be at `version`.
fn at_version(reader: &Connection, poll: PollId, version: u64) -> StoreResult<Poll> {
    let stored = one(reader, "id = ?1", poll.0).map_err(read_error)?;
    poll_change::at_version(stored, version)
}

fn has_ballots(reader: &Connection, poll: PollId) -> rusqlite::Result<bool> {
    let exists = "SELECT EXISTS (SELECT 1 FROM ballot WHERE poll_id = ?1) \
                  OR EXISTS (SELECT 1 FROM voter_ballot WHERE poll_id = ?1)";
    reader.query_row(exists, [poll.0], |row| row.get(0))
}

fn insert_options(writer: &Connection, poll: &Poll) -> rusqlite::Result<()> {
    let mut insert =
        writer.prepare_cached("INSERT INTO option (poll_id, id, label, position) VALUES (?1, ?2, ?3, ?4)")?;
    for (position, option) in poll.options.iter().enumerate() {
        insert.execute(params![poll.id.0, option.id.0, option.label, position])?;
    }
    Ok(())
}

/// The file's clock is this machine's, by which the caller has already decided that the polls are due: this isn't
/// checked again.
pub(super) fn mark(writer: &mut Connection, polls: &[(PollId, u64)], mark: Mark) -> StoreResult<usize> {
    let (column, set) = match mark {
        Mark::Closed => ("closed_at", "closed_at = ?3"),
        Mark::Final => ("final_at", "closed_at = coalesce(closed_at, ?3), final_at = ?3"),
    };
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(write_error)?;
    let now = now(&transaction).map_err(read_error)?;
    let mut marked = Vec::new();
    for (poll, version) in polls {
        let update = format!(
            "UPDATE poll SET {set}, version = version + 1 \
             WHERE id = ?1 AND version = ?2 AND {column} IS NULL AND closes_at IS NOT NULL"
        );
        if transaction.execute(&update, params![poll.0, version, now.0]).map_err(write_error)? > 0 {
            marked.push(*poll);
        }
    }
    if !marked.is_empty() {
        webhooks::add_marks(&transaction, &marked, mark).map_err(write_error)?;
        bump_version(&transaction, &marked).map_err(write_error)?;
        transaction.commit().map_err(write_error)?;
    }
    Ok(marked.len())
}

/// What a poll's ballots are judged by; `None` if there is no such poll.
pub(super) fn rules(reader: &Connection, poll: PollId) -> rusqlite::Result<Option<Rules>> {
    reader
        .prepare_cached(
            "SELECT opens_at, closes_at, final_at IS NOT NULL, quota, option_quota, changeable, voids FROM poll WHERE id = ?1",
        )?
        .query_row([poll.0], |row| {
            let window = Window { opens_at: row.get(0).map(timestamp)?, closes_at: row.get(1).map(timestamp)? };
            let quota = Quota { ballots: row.get(3)?, per_option: row.get(4)? };
            let voids = stored_voids(row, 6)?.into();
            Ok(Rules { window: window.judging(row.get(2)?), quota, changeable: row.get(5)?, voids })
        })
        .optional()
}

fn one(reader: &Connection, condition: &str, value: impl rusqlite::ToSql) -> rusqlite::Result<Option<Poll>> {
    let found = reader
        .prepare_cached(&format!("SELECT {COLUMNS} FROM poll WHERE {condition}"))?
        .query_row([value], poll_from)
        .optional()?;
    let Some(mut poll) = found else { return Ok(None) };
    read_options(reader, &mut poll)?;
    Ok(Some(poll))
}

fn read_options(reader: &Connection, poll: &mut Poll) -> rusqlite::Result<()> {
    let mut options = reader.prepare_cached("SELECT id, label FROM option WHERE poll_id = ?1 ORDER BY position")?;
    let option = |row: &Row<'_>| Ok(PollOption { id: OptionId(row.get(0)?), label: row.get(1)? });
    poll.options = options.query_map([poll.id.0], option)?.collect::<rusqlite::Result<_>>()?;
    poll.last_option = poll.last_option.max(poll.highest_option());
    Ok(())
}

/// Gives all polls their next version, and notes it with those that changed.
fn bump_version(writer: &Connection, changed: &[PollId]) -> rusqlite::Result<()> {
    writer.execute("UPDATE polls_version SET version = version + 1", [])?;
    let mut note =
        writer.prepare_cached("UPDATE poll SET changed = (SELECT version FROM polls_version) WHERE id = ?1")?;
    changed.iter().try_for_each(|poll| note.execute([poll.0]).map(drop))
}

fn poll_from(row: &Row<'_>) -> rusqlite::Result<Poll> {
    Ok(Poll {
        id: PollId(row.get(0)?),
        slug: word(row, 1)?,
        title: row.get(2)?,
        intro: row.get(3)?,
        kind: word(row, 4)?,
        min_choices: row.get(5)?,
        max_choices: row.get(6)?,
        opens_at: row.get(7).map(timestamp)?,
        closes_at: row.get(8).map(timestamp)?,
        results: word(row, 9)?,
        percent_base: word(row, 10)?,
        version: row.get(11)?,
        closed_at: row.get(12).map(timestamp)?,
        final_at: row.get(13).map(timestamp)?,
        policy: word(row, 14)?,
        quota: Quota { ballots: row.get(15)?, per_option: row.get(16)? },
        proof: word(row, 17)?,
        changeable: row.get(18)?,
        consent: row.get(19)?,
        archived_at: row.get(20).map(timestamp)?,
        last_option: OptionId(row.get(21)?),
        voids: stored_voids(row, 22)?,
        imported: stored_imported(row, 23)?,
        counting: stored_counting(row, 24)?,
        allowed_origins: stored_origins(row, 25)?,
        locale: word(row, 26)?,
        option_order: word(row, 27)?,
        rehearsal: row.get(28)?,
        options: Vec::new(),
    })
}
