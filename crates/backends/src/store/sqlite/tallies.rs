//! Tallies: changed together with the ballots, read separately.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use throng_domain::ballot::BallotKey;
use throng_domain::clock::Timestamp;
use throng_domain::poll::{OptionId, PollId};
use throng_domain::store::{BallotSum, Recount, StoreError};
use throng_domain::tally::{DetailedTallies, Tallies, TallyChange};
use throng_domain::tally_detail::TallyDetail;
use throng_domain::void::Void;

use super::ballots::id_from;
use super::columns::{option_ids, stored_imported, stored_voids, word};
use super::error::{StoreResult, read_error, write_error};
use crate::store::tally_sums::{Sums, detail_sums};

/// The shard that this store writes to: there is one writer, so one shard is enough.
const SHARD: i64 = 0;

/// Adds a change to the stored counts.
pub(super) fn add(writer: &Connection, change: &TallyChange) -> rusqlite::Result<()> {
    let mut result = writer.prepare_cached(
        "INSERT INTO result (poll_id, shard, seq, voters) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (poll_id, shard) DO UPDATE SET seq = seq + excluded.seq, voters = voters + excluded.voters",
    )?;
    result.execute(params![change.poll.0, SHARD, change.seq_increase(), change.voters])?;
    let mut tally = writer.prepare_cached(
        "INSERT INTO tally (poll_id, option_id, shard, count) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (poll_id, option_id, shard) DO UPDATE SET count = count + excluded.count",
    )?;
    for (option, count) in &change.counts {
        tally.execute(params![change.poll.0, option.0, SHARD, count])?;
    }
    add_details(writer, change)
}

fn add_details(writer: &Connection, change: &TallyChange) -> rusqlite::Result<()> {
    if change.details.is_empty() {
        return Ok(());
    }
    let mut add = writer.prepare_cached(
        "INSERT INTO tally_detail (poll_id, detail, shard, count) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (poll_id, detail, shard) DO UPDATE SET count = count + excluded.count",
    )?;
    for (detail, count) in &change.details {
        add.execute(params![change.poll.0, detail.to_string(), SHARD, count])?;
    }
    Ok(())
}

/// Adds a change in a transaction of its own, unless that is rejected.
pub(super) fn change(writer: &mut Connection, change: &TallyChange) -> StoreResult<Tallies> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(read_error)?;
    let before = within(&transaction, change.poll).map_err(read_error)?;
    let before = before.ok_or_else(|| StoreError::Rejected(format!("there is no poll number {}", change.poll.0)))?;
    before.check_change(change).map_err(StoreError::Rejected)?;
    add(&transaction, change).map_err(write_error)?;
    let after = within(&transaction, change.poll).map_err(write_error)?;
    transaction.commit().map_err(write_error)?;
    Ok(after.unwrap_or(before))
}

/// The poll's tallies; `None` if there is no such poll. The caller's transaction makes the reads one snapshot.
pub(super) fn within(reader: &Connection, poll: PollId) -> rusqlite::Result<Option<Tallies>> {
    let options = option_ids(reader, poll)?;
    if options.is_empty() {
        return Ok(None);
    }
    let mut result = reader.prepare_cached("SELECT seq, voters FROM result WHERE poll_id = ?1 AND shard = ?2")?;
    let result = result.query_row([poll.0, SHARD], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (seq, voters) = result.unwrap_or_default();
    let mut stored = reader.prepare_cached("SELECT option_id, count FROM tally WHERE poll_id = ?1")?;
    let counts = stored.query_map([poll.0], |row| Ok((OptionId(row.get(0)?), row.get(1)?)))?;
    let sums = Sums { options, counts: counts.collect::<rusqlite::Result<_>>()?, seq, voters };
    sums.tallies(poll).map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Integer, error.into()))
}

pub(super) fn of_poll(reader: &Connection, poll: PollId) -> rusqlite::Result<Option<Tallies>> {
    within(&*reader.unchecked_transaction()?, poll)
}

pub(super) fn detailed(reader: &Connection, poll: PollId) -> rusqlite::Result<Option<DetailedTallies>> {
    detailed_within(&*reader.unchecked_transaction()?, poll)
}

/// As [`detailed`], in the caller's transaction.
fn detailed_within(reader: &Connection, poll: PollId) -> rusqlite::Result<Option<DetailedTallies>> {
    let Some(tallies) = within(reader, poll)? else { return Ok(None) };
    let mut details = reader.prepare_cached("SELECT detail, count FROM tally_detail WHERE poll_id = ?1")?;
    let details = details.query_map([poll.0], |row| Ok((word::<TallyDetail>(row, 0)?, row.get(1)?)))?;
    let details = detail_sums(details.collect::<rusqlite::Result<Vec<_>>>()?);
    Ok(Some(DetailedTallies { tallies, details }))
}

pub(super) fn recount(
    reader: &Connection,
    poll: PollId,
    voids: Option<Vec<Void>>,
) -> rusqlite::Result<Option<Recount>> {
    recount_within(&*reader.unchecked_transaction()?, poll, voids)
}

/// As [`recount`], in the caller's transaction.
pub(super) fn recount_within(
    snapshot: &Connection,
    poll: PollId,
    voids: Option<Vec<Void>>,
) -> rusqlite::Result<Option<Recount>> {
    let Some(stored_tallies) = detailed_within(snapshot, poll)? else { return Ok(None) };
    let of_poll = "SELECT changeable, voids, imported FROM poll WHERE id = ?1";
    let (changeable, stored, imported) = snapshot
        .query_row(of_poll, [poll.0], |row| Ok((row.get(0)?, stored_voids(row, 1)?, stored_imported(row, 2)?)))?;
    let mut ballots = BallotSum::new(poll, changeable, voids.unwrap_or(stored), &imported);
    let mut all = snapshot.prepare(&format!(
        "SELECT key, coalesce(ballot_id, key), choices, accepted_at FROM ballot WHERE poll_id = ?1 UNION ALL \
         SELECT key, ballot_id, choices, accepted_at FROM voter_ballot WHERE poll_id = ?1 {}",
        // A voter's ballots follow each other then.
        if changeable { "ORDER BY key" } else { "" }
    ))?;
    let mut rows = all.query([poll.0])?;
    while let Some(row) = rows.next()? {
        ballots.add(BallotKey(row.get(0)?), id_from(row.get(1)?), Timestamp(row.get(3)?), &word(row, 2)?);
    }
    Ok(Some(Recount::new(stored_tallies, ballots.finish())))
}
