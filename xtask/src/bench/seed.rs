//! A database that already contains many ballots.

use std::path::Path;

use anyhow::{Context as _, ensure};
use rusqlite::{Connection, Transaction, params};

/// The rate of the votes, in ballots per millisecond.
const BALLOTS_PER_MS: u64 = 100;

/// How long ago the last vote was, in milliseconds.
const AGO_MS: u64 = 3_600_000;

/// Whose ballots a file is seeded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voters {
    /// Everyone's, any number of times.
    Unlimited,
    /// One of each voter: the poll's policy becomes `device`.
    Identified,
}

/// Adds `count` ballots to the only poll of `file`, with the tallies that recording them would have produced: in time order, so
/// that new ballots are stored after them, as in operation. `now_ms` is the time in milliseconds since 1970.
///
/// No other process may have the file open. It is on the disk when this returns.
///
/// # Errors
/// If the file isn't a fresh database of Throng's.
pub fn seed(file: &Path, voters: Voters, count: u64, now_ms: u64) -> anyhow::Result<()> {
    let mut database = Connection::open(file)?;
    // After a loss of power the file is created again, so nothing needs to be written twice.
    database.pragma_update(None, "journal_mode", "OFF")?;
    database.pragma_update(None, "synchronous", "OFF")?;
    let transaction = database.transaction()?;
    let poll: i64 = transaction.query_row("SELECT id FROM poll", [], |row| row.get(0)).context("it has no poll")?;
    let before = "SELECT (SELECT count(*) FROM ballot) + (SELECT count(*) FROM voter_ballot)";
    let before: u64 = transaction.query_row(before, [], |row| row.get(0))?;
    ensure!(before == 0, "it has {before} ballots already");
    let first_ms = now_ms - AGO_MS - count / BALLOTS_PER_MS;
    transaction.execute("UPDATE poll SET opens_at = ?1", [first_ms])?;
    if voters == Voters::Identified {
        transaction.execute("UPDATE poll SET policy = 'device'", [])?;
    }
    let tallies = insert_ballots(&transaction, poll, voters, count, first_ms)?;
    transaction
        .execute("INSERT INTO result (poll_id, shard, seq, voters) VALUES (?1, 0, ?2, ?2)", params![poll, count])?;
    for (option, tally) in &tallies {
        transaction.execute(
            "INSERT INTO tally (poll_id, option_id, shard, count) VALUES (?1, ?2, 0, ?3)",
            params![poll, option, tally],
        )?;
    }
    transaction.commit()?;
    database.pragma_update(None, "journal_mode", "WAL")?;
    database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    drop(database);
    // The measurement must not include the time of writes that the system has delayed.
    Ok(std::fs::File::open(file)?.sync_all()?)
}

/// Inserts the ballots; returns each option with the number of ballots that chose it. The ballots cycle through all
/// non-empty sets of options.
fn insert_ballots(
    transaction: &Transaction<'_>,
    poll: i64,
    voters: Voters,
    count: u64,
    first_ms: u64,
) -> anyhow::Result<Vec<(u16, u64)>> {
    let options: Vec<u16> = transaction
        .prepare("SELECT id FROM option WHERE poll_id = ?1 ORDER BY id")?
        .query_map([poll], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    ensure!((2..=8).contains(&options.len()), "its poll has {} options", options.len());
    let sets: Vec<Vec<u16>> = (1..1_u32 << options.len()).map(|bits| chosen(&options, bits)).collect();
    let texts = sets.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
    let mut cast = vec![0; sets.len()];
    let mut insert = transaction.prepare(match voters {
        Voters::Unlimited => "INSERT INTO ballot (poll_id, key, choices, accepted_at) VALUES (?1, ?2, ?3, ?4)",
        Voters::Identified => {
            "INSERT INTO voter_ballot (poll_id, ballot_id, choices, accepted_at, number, key, policy) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'device')"
        }
    })?;
    for (number, set) in (0..count).zip((0..sets.len()).cycle()) {
        let at_ms = first_ms + number / BALLOTS_PER_MS;
        let id = ballot_id(at_ms, number);
        match voters {
            Voters::Unlimited => insert.execute(params![poll, id, texts[set], at_ms])?,
            Voters::Identified => {
                insert.execute(params![poll, id, texts[set], at_ms, number + 1, voter_key(number)])?
            }
        };
        cast[set] += 1;
    }
    let tally = |option: u16| {
        let with = sets.iter().zip(&cast).filter(|(set, _)| set.contains(&option));
        (option, with.map(|(_, cast)| cast).sum())
    };
    Ok(options.into_iter().map(tally).collect())
}

fn chosen(options: &[u16], bits: u32) -> Vec<u16> {
    options.iter().enumerate().filter(|(place, _)| bits & (1 << place) != 0).map(|(_, option)| *option).collect()
}

/// A UUID of version 7 (RFC 9562, method 1) for the ballot of this number: its random bits are derived from
/// the number, so that the file is always the same.
fn ballot_id(at_ms: u64, number: u64) -> [u8; 16] {
    let high = (at_ms << 16) | 0x7000 | (number % BALLOTS_PER_MS);
    let low = (mixed(number) >> 2) | (0b10 << 62);
    (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
}

/// The key of the first ballot of the voter with this number: 15 bytes as random as a pseudonym, and the ballot's slot, 0.
fn voter_key(number: u64) -> [u8; 16] {
    (u128::from(mixed(number)) << 64 | u128::from(mixed(!number) & !0xff)).to_be_bytes()
}

/// splitmix64.
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use throng_backends::store::sqlite::SqliteStore;
    use throng_domain::audit::Author;
    use throng_domain::clock::Timestamp;
    use throng_domain::new_poll::NewPoll;
    use throng_domain::store::{BallotStore as _, PollStore as _, Schema as _};

    use super::*;

    const NOW_MS: u64 = 1_800_000_000_000;

    #[tokio::test]
    async fn a_recount_of_what_was_seeded_agrees() {
        for voters in [Voters::Unlimited, Voters::Identified] {
            seeded_agrees(voters).await;
        }
    }

    async fn seeded_agrees(voters: Voters) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("throng.db");
        let store = SqliteStore::open(&file).unwrap();
        store.migrate().await.unwrap();
        let new = NewPoll::demo("demo".parse().unwrap(), Timestamp(0));
        let poll = store.create_poll(new, &Author::THRONG).await.unwrap().id;
        drop(store);

        seed(&file, voters, 2_500, NOW_MS).unwrap();
        assert!(seed(&file, voters, 1, NOW_MS).is_err(), "a file is seeded once");

        let store = SqliteStore::open(&file).unwrap();
        let recount = store.recount(poll).await.unwrap();
        assert_eq!((recount.tallies.voters, recount.tallies.seq), (2_500, 2_500));
        assert_eq!(recount.tallies.counts, recount.ballots.counts);
        assert_eq!(recount.tallies.voters, recount.ballots.voters);
        let first = &store.ballots(poll, None, 1).await.unwrap().ballots[0];
        assert_eq!(first.policy.identifies_voters(), voters == Voters::Identified);
    }

    #[test]
    fn ids_ascend_and_are_of_version_7() {
        let ids: Vec<_> = (0..1_000).map(|number| ballot_id(NOW_MS + number / BALLOTS_PER_MS, number)).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
        assert!(ids.iter().all(|id| id[6] >> 4 == 7 && id[8] >> 6 == 0b10));
    }
}
