//! Polls and their options.

use rusqlite::types::Type;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, TransactionBehavior, params};
use throng_domain::clock::Timestamp;
use throng_domain::new_poll::NewPoll;
use throng_domain::policy::Quota;
use throng_domain::poll::{OptionId, Poll, PollId, PollOption, Slug};
use throng_domain::store::{Close, Mark, Rules, StoreError, Window};

use super::error::{StoreResult, read_error, write_error};

const COLUMNS: &str = "id, slug, title, intro, kind, min_choices, max_choices, opens_at, closes_at, results, \
                       percent_base, version, closed_at, final_at, policy, quota, option_quota, proof, changeable";

pub(super) fn all(reader: &Connection) -> rusqlite::Result<Vec<Poll>> {
    let snapshot = reader.unchecked_transaction()?;
    let mut polls = snapshot
        .prepare_cached(&format!("SELECT {COLUMNS} FROM poll ORDER BY id"))?
        .query_map([], poll_from)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    for poll in &mut polls {
        poll.options = options(&snapshot, poll.id)?;
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

pub(super) fn versions(reader: &Connection) -> rusqlite::Result<Vec<(PollId, u64)>> {
    let mut polls = reader.prepare_cached("SELECT id, version FROM poll ORDER BY id")?;
    polls.query_map([], |row| Ok((PollId(row.get(0)?), row.get(1)?)))?.collect()
}

pub(super) fn by_id(reader: &Connection, polls: &[PollId]) -> rusqlite::Result<Vec<Poll>> {
    let snapshot = reader.unchecked_transaction()?;
    polls.iter().filter_map(|poll| one(&snapshot, "id = ?1", poll.0).transpose()).collect()
}

pub(super) fn by_slug(reader: &Connection, slug: &Slug) -> rusqlite::Result<Option<Poll>> {
    let snapshot = reader.unchecked_transaction()?;
    one(&snapshot, "slug = ?1", slug.as_str())
}

pub(super) fn create(writer: &mut Connection, new: NewPoll) -> StoreResult<Poll> {
    let faults = new.faults();
    if !faults.is_empty() {
        return Err(StoreError::Rejected(faults.join("; ")));
    }
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(write_error)?;
    let mut poll = new.into_poll(PollId(0));
    let inserted = transaction.execute(
        "INSERT INTO poll (slug, title, intro, kind, min_choices, max_choices, opens_at, closes_at, results, \
         percent_base, policy, quota, option_quota, proof, changeable, version) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
        params![
            poll.slug.as_str(),
            poll.title,
            poll.intro,
            poll.kind.as_str(),
            poll.min_choices,
            poll.max_choices,
            poll.opens_at.map(|at| at.0),
            poll.closes_at.map(|at| at.0),
            poll.results.as_str(),
            poll.percent_base.as_str(),
            poll.policy.as_str(),
            poll.quota.ballots,
            poll.quota.per_option,
            poll.proof.as_str(),
            poll.changeable,
            poll.version,
        ],
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
    for (position, option) in poll.options.iter().enumerate() {
        transaction
            .execute(
                "INSERT INTO option (poll_id, id, label, position) VALUES (?1, ?2, ?3, ?4)",
                params![poll.id.0, option.id.0, option.label, position],
            )
            .map_err(write_error)?;
    }
    bump_version(&transaction).map_err(write_error)?;
    transaction.commit().map_err(write_error)?;
    Ok(poll)
}

pub(super) fn set_window(writer: &mut Connection, poll: PollId, version: u64, window: Window) -> StoreResult<Poll> {
    change(writer, poll, version, |_, _| Ok(window))
}

/// The closing time is determined here, where no other process writes: everything recorded before arrived before this time.
pub(super) fn close(writer: &mut Connection, poll: PollId, version: u64, close: Close) -> StoreResult<Poll> {
    change(writer, poll, version, |stored, now| {
        let closes_at = close.moment(stored.closes_at, now);
        let closed = || StoreError::Conflict(format!("poll `{}` has closed meanwhile; check it again", stored.slug));
        Ok(Window { opens_at: stored.opens_at, closes_at: Some(closes_at.ok_or_else(closed)?) })
    })
}

/// Sets the window that `decide` determines for the poll as it is stored and the current time.
fn change(
    writer: &mut Connection,
    poll: PollId,
    version: u64,
    decide: impl FnOnce(&Poll, Timestamp) -> StoreResult<Window>,
) -> StoreResult<Poll> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(write_error)?;
    let Some(stored) = one(&transaction, "id = ?1", poll.0).map_err(read_error)? else {
        return Err(StoreError::Conflict("the poll no longer exists".to_owned()));
    };
    if stored.version != version {
        return Err(StoreError::Conflict(format!(
            "poll `{}` was changed meanwhile (version {}, not {version}); check it again",
            stored.slug, stored.version
        )));
    }
    let Window { opens_at, closes_at } = decide(&stored, now(&transaction).map_err(read_error)?)?;
    let changed = Poll { opens_at, closes_at, closed_at: None, final_at: None, version: version + 1, ..stored };
    transaction
        .execute(
            "UPDATE poll SET opens_at = ?2, closes_at = ?3, closed_at = NULL, final_at = NULL, version = ?4 WHERE id = ?1",
            params![poll.0, opens_at.map(|at| at.0), closes_at.map(|at| at.0), changed.version],
        )
        .map_err(write_error)?;
    bump_version(&transaction).map_err(write_error)?;
    transaction.commit().map_err(write_error)?;
    Ok(changed)
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
    let mut marked = 0;
    for (poll, version) in polls {
        let update = format!(
            "UPDATE poll SET {set}, version = version + 1 \
             WHERE id = ?1 AND version = ?2 AND {column} IS NULL AND closes_at IS NOT NULL"
        );
        marked += transaction.execute(&update, params![poll.0, version, now.0]).map_err(write_error)?;
    }
    if marked > 0 {
        bump_version(&transaction).map_err(write_error)?;
        transaction.commit().map_err(write_error)?;
    }
    Ok(marked)
}

/// The time by this machine's clock.
pub(super) fn now(reader: &Connection) -> rusqlite::Result<Timestamp> {
    let now = "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)";
    reader.query_row(now, [], |row| row.get(0).map(Timestamp))
}

/// What a poll's ballots are judged by; `None` if there is no such poll.
pub(super) fn rules(reader: &Connection, poll: PollId) -> rusqlite::Result<Option<Rules>> {
    reader
        .prepare_cached(
            "SELECT opens_at, closes_at, final_at IS NOT NULL, quota, option_quota, changeable FROM poll WHERE id = ?1",
        )?
        .query_row([poll.0], |row| {
            let window = Window { opens_at: row.get(0).map(timestamp)?, closes_at: row.get(1).map(timestamp)? };
            let quota = Quota { ballots: row.get(3)?, per_option: row.get(4)? };
            Ok(Rules { window: window.judging(row.get(2)?), quota, changeable: row.get(5)? })
        })
        .optional()
}

/// The ids of a poll's options, ascending; empty if there is no such poll.
pub(super) fn option_ids(reader: &Connection, poll: PollId) -> rusqlite::Result<Vec<OptionId>> {
    reader
        .prepare_cached("SELECT id FROM option WHERE poll_id = ?1 ORDER BY id")?
        .query_map([poll.0], |row| row.get(0).map(OptionId))?
        .collect()
}

fn one(reader: &Connection, condition: &str, value: impl rusqlite::ToSql) -> rusqlite::Result<Option<Poll>> {
    let found = reader
        .prepare_cached(&format!("SELECT {COLUMNS} FROM poll WHERE {condition}"))?
        .query_row([value], poll_from)
        .optional()?;
    let Some(mut poll) = found else { return Ok(None) };
    poll.options = options(reader, poll.id)?;
    Ok(Some(poll))
}

fn options(reader: &Connection, poll: PollId) -> rusqlite::Result<Vec<PollOption>> {
    reader
        .prepare_cached("SELECT id, label FROM option WHERE poll_id = ?1 ORDER BY position")?
        .query_map([poll.0], |row| Ok(PollOption { id: OptionId(row.get(0)?), label: row.get(1)? }))?
        .collect()
}

fn bump_version(writer: &Connection) -> rusqlite::Result<usize> {
    writer.execute("UPDATE polls_version SET version = version + 1", [])
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
        options: Vec::new(),
    })
}

fn timestamp(stored: Option<i64>) -> Option<Timestamp> {
    stored.map(Timestamp)
}

/// A column that holds one of a field's values.
pub(super) fn word<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let stored = row.get_ref(column)?.as_str()?;
    stored
        .parse()
        .map_err(|error: T::Err| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}
