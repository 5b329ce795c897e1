//! Tallies: changed together with the ballots, read separately.

use rusqlite::{Connection, params};
use throng_domain::poll::{OptionId, PollId};
use throng_domain::store::Recount;
use throng_domain::tally::Tallies;

use super::polls::{option_ids, word};

/// The shard that this store writes to: there is one writer, so one shard is enough.
const SHARD: i64 = 0;

/// The tally that counts a poll's ballots: no option has this id.
const BALLOTS: OptionId = OptionId(0);

/// Adds `change`'s counts to the stored ones; its `seq` is ignored.
pub(super) fn add(writer: &Connection, change: &Tallies) -> rusqlite::Result<()> {
    let mut tally = writer.prepare_cached(
        "INSERT INTO tally (poll_id, option_id, shard, count) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (poll_id, option_id, shard) DO UPDATE SET count = count + excluded.count",
    )?;
    for (option, count) in [(BALLOTS, change.voters)].iter().chain(&change.counts) {
        tally.execute(params![change.poll.0, option.0, SHARD, count])?;
    }
    Ok(())
}

/// The poll's tallies; `None` if there is no such poll. The caller's transaction makes the reads one snapshot.
///
/// Every change of the result counts at least one ballot, so the number of ballots is the result's version.
pub(super) fn within(reader: &Connection, poll: PollId) -> rusqlite::Result<Option<Tallies>> {
    let options = option_ids(reader, poll)?;
    if options.is_empty() {
        return Ok(None);
    }
    let counts = options.into_iter().map(|option| (option, 0)).collect();
    let mut tallies = Tallies { poll, seq: 0, voters: 0, counts };
    let mut stored = reader.prepare_cached("SELECT option_id, count FROM tally WHERE poll_id = ?1")?;
    let mut rows = stored.query([poll.0])?;
    while let Some(row) = rows.next()? {
        let (option, count): (u16, u64) = (row.get(0)?, row.get(1)?);
        match tallies.counts.iter_mut().find(|(id, _)| id.0 == option) {
            Some((_, total)) => *total += count,
            None if option == BALLOTS.0 => tallies.voters += count,
            None => return Err(rusqlite::Error::IntegralValueOutOfRange(0, i64::from(option))),
        }
    }
    tallies.seq = tallies.voters;
    Ok(Some(tallies))
}

pub(super) fn of_poll(reader: &Connection, poll: PollId) -> rusqlite::Result<Option<Tallies>> {
    within(&*reader.unchecked_transaction()?, poll)
}

pub(super) fn recount(reader: &Connection, poll: PollId) -> rusqlite::Result<Option<Recount>> {
    let snapshot = reader.unchecked_transaction()?;
    let Some(tallies) = within(&snapshot, poll)? else { return Ok(None) };
    let zero = tallies.counts.iter().map(|(option, _)| (*option, 0)).collect();
    let mut ballots = Tallies { voters: 0, counts: zero, ..tallies.clone() };
    let mut all = snapshot.prepare("SELECT choices FROM ballot WHERE poll_id = ?1")?;
    let mut rows = all.query([poll.0])?;
    while let Some(row) = rows.next()? {
        ballots.add(&word(row, 0)?);
    }
    Ok(Some(Recount { tallies, ballots }))
}
