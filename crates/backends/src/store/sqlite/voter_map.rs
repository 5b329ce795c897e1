//! Where the ballots of one poll's voters are stored: a map, in memory, from their keys to the numbers of their rows.
//!
//! A key is random, so an index of keys in the file would be changed all over with every batch: with ten million voters SQLite
//! records 33,000 ballots per second into one, and 50 times as many into a table that grows at its end. The map finds a row, and
//! the row decides: what it contains is compared, so that two voters whose hashes are equal are still two.

use hashbrown::HashTable;
use throng_domain::ballot::BallotKey;

/// The tables of a map: the more, the shorter a ballot waits until one has grown. With ten million voters that is 150,000 entries.
const TABLES: usize = 64;

/// The bits of a hash that are kept: 7 bytes. Two of ten million voters have the same ones with a probability of 1 in 1,400.
const HASH_BITS: u32 = 56;

/// The bits by which a table is chosen: from here on, above those by which a table of hashbrown's places its entries, and below
/// those by which it tells them apart.
const TABLE_SHIFT: u32 = 40;

/// The key's hash and the row's number, in 7 and 5 bytes. A table has a byte of its own for each entry and is at least 7/16 full,
/// except for a few entries: that makes at most 30 bytes for each voter.
#[derive(Clone, Copy, Debug)]
struct Entry([u8; 12]);

/// The rows of one poll's voters, from the first row to [`last`](Self::last).
#[derive(Debug)]
pub(super) struct VoterMap {
    tables: [HashTable<Entry>; TABLES],
    last: u64,
}

/// Rows that are read to become a map. They are collected table by table, and then put into one table after the other: an entry in
/// turn to each of them misses the processor's caches, and with ten million entries that takes ten times as long.
#[derive(Debug)]
pub(super) struct CollectedRows {
    tables: [Vec<Entry>; TABLES],
    last: u64,
}

impl VoterMap {
    /// A map of no row.
    pub(super) fn new() -> Self {
        Self { tables: [const { HashTable::new() }; TABLES], last: 0 }
    }

    /// The number of the last row; 0 if there is none.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Adds a row, which must be in the file for good: the one after the last.
    pub(super) fn add(&mut self, key: BallotKey, number: u64) {
        let entry = Entry::new(hash(key), number);
        insert(&mut self.tables[table(entry.hash())], entry);
        self.last = number;
    }

    /// The numbers of the rows that may have this key: nearly always one if there is such a row, and none if there isn't.
    pub(super) fn candidates(&self, key: BallotKey) -> impl Iterator<Item = u64> {
        let hash = hash(key);
        let found = self.tables[table(hash)].iter_hash(spread(hash));
        found.filter(move |entry| entry.hash() == hash).map(|entry| entry.number())
    }

    /// The memory that it takes, in bytes.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.tables.iter().map(HashTable::allocation_size).sum::<usize>()
    }
}

impl CollectedRows {
    /// No row yet, but room for about so many.
    pub(super) fn with_room(rows: u64) -> Self {
        // The tables differ by a few entries in a thousand.
        let room = usize::try_from(rows + rows / 64).unwrap_or(0).div_ceil(TABLES);
        Self { tables: [(); TABLES].map(|()| Vec::with_capacity(room)), last: 0 }
    }

    /// The number of the last row; 0 if there is none.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Adds a row: the one after the last.
    pub(super) fn add(&mut self, key: BallotKey, number: u64) {
        let entry = Entry::new(hash(key), number);
        self.tables[table(entry.hash())].push(entry);
        self.last = number;
    }

    /// The map of these rows. Meanwhile they take no more memory than the map, since each table's are dropped when it is filled.
    pub(super) fn into_map(self) -> VoterMap {
        let tables = self.tables.map(|entries| {
            let mut table = HashTable::with_capacity(entries.len());
            entries.into_iter().for_each(|entry| insert(&mut table, entry));
            table
        });
        VoterMap { tables, last: self.last }
    }
}

fn insert(table: &mut HashTable<Entry>, entry: Entry) {
    table.insert_unique(spread(entry.hash()), entry, |entry| spread(entry.hash()));
}

impl Entry {
    fn new(hash: u64, number: u64) -> Self {
        let mut bytes = [0; 12];
        bytes[..7].copy_from_slice(&hash.to_le_bytes()[..7]);
        bytes[7..].copy_from_slice(&number.to_le_bytes()[..5]);
        Self(bytes)
    }

    fn hash(self) -> u64 {
        little_endian(&self.0[..7])
    }

    fn number(self) -> u64 {
        little_endian(&self.0[7..])
    }
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// A voter's key is a pseudonym made with a secret, so its bits are as good as any hash of them: nobody can choose voters whose
/// hashes are equal. The ballot's slot makes another hash for each of a voter's ballots.
fn hash(key: BallotKey) -> u64 {
    let voter = u64::from_le_bytes(*key.0.first_chunk().expect("16 bytes begin with 8"));
    voter.wrapping_add(u64::from(key.slot()).wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> (u64::BITS - HASH_BITS)
}

/// The hash as hashbrown wants it: by the lowest bits it places an entry, by the highest 7 it tells entries apart.
fn spread(hash: u64) -> u64 {
    hash | hash >> (HASH_BITS - 7) << (u64::BITS - 7)
}

fn table(hash: u64) -> usize {
    (hash >> TABLE_SHIFT) as usize % TABLES
}

#[cfg(test)]
mod tests {
    use throng_domain::ballot::VoterKey;

    use super::*;

    /// The key of the `number`th voter's first ballot, as random as a pseudonym: splitmix64.
    fn key(number: u64) -> BallotKey {
        let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let mut voter = [0; 15];
        voter[..8].copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
        BallotKey::of_voter(VoterKey(voter), 0)
    }

    fn found(map: &VoterMap, key: BallotKey) -> Vec<u64> {
        map.candidates(key).collect()
    }

    #[test]
    fn every_row_is_found_by_its_key() {
        const VOTERS: u64 = 100_000;
        let (mut map, mut collected) = (VoterMap::new(), CollectedRows::with_room(VOTERS));
        for number in 1..=VOTERS {
            map.add(key(number), number);
            collected.add(key(number), number);
        }
        for map in [map, collected.into_map()] {
            assert_eq!(map.last(), VOTERS);
            assert!((1..=VOTERS).all(|number| found(&map, key(number)) == [number]));
            assert!((VOTERS + 1..=2 * VOTERS).all(|number| found(&map, key(number)).is_empty()));
        }
    }

    #[test]
    fn voter_takes_at_most_32_bytes() {
        // Beside what each poll takes: empty tables, and the smallest size of each.
        let limit = |voters: u64| VoterMap::new().bytes() + 80 * TABLES + 32 * voters as usize;
        let (mut map, mut collected) = (VoterMap::new(), CollectedRows::with_room(0));
        for number in 1..=300_000 {
            map.add(key(number), number);
            collected.add(key(number), number);
            assert!(number % 97 > 0 || map.bytes() <= limit(number), "{number} take {}", map.bytes());
        }
        assert!(collected.into_map().bytes() <= limit(300_000));
    }

    #[test]
    fn rows_with_equal_hashes_are_all_candidates() {
        let mut map = VoterMap::new();
        let [one, other] = [1, 2].map(|last| {
            let mut voter = [7; 15];
            voter[14] = last;
            BallotKey::of_voter(VoterKey(voter), 0)
        });
        map.add(one, 1);
        map.add(other, 2);
        let mut candidates = found(&map, one);
        candidates.sort_unstable();
        assert_eq!((candidates, found(&map, other).len()), (vec![1, 2], 2));
    }

    #[test]
    fn a_voters_ballots_have_different_hashes() {
        let mut map = VoterMap::new();
        let slots = (0..=u8::MAX).map(|slot| BallotKey::of_voter(VoterKey([7; 15]), slot));
        slots.clone().zip(1..).for_each(|(key, number)| map.add(key, number));
        assert!(slots.zip(1..).all(|(key, number)| found(&map, key) == [number]));
    }

    #[test]
    fn entry_holds_the_largest_number() {
        let (hash, number) = ((1 << HASH_BITS) - 1, (1 << 40) - 1);
        let entry = Entry::new(hash, number);
        assert_eq!((entry.hash(), entry.number(), size_of::<Entry>()), (hash, number, 12));
    }
}
