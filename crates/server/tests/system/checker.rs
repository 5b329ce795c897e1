//! The invariants: what the database holds against the log of what was sent.
//!
//! - I1: each ballot answered with 2xx is counted, with its choices.
//! - I2: none is counted twice.
//! - I3: none is counted that was never sent, or that was refused.
//! - I4: the tallies are the count over the ballots, and a recount from the log.
//! - I5: a result's version never goes back.
//! - I9: in the end nothing is pending.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use throng_testkit::{Client, DataDir, ThrongProcess};
use uuid::Uuid;

use crate::ledger::{Fate, Ledger};

/// How many of a kind of fault are told.
const EXAMPLES: usize = 3;

/// What a database holds.
pub struct Stored {
    pub ballots: Vec<(Uuid, Vec<u16>)>,
    pub tallies: BTreeMap<u16, u64>,
    pub voters: u64,
    pub seq: u64,
    /// `ok`, or what is damaged.
    pub integrity: String,
}

impl Stored {
    /// Reads it past the server, as one snapshot.
    pub fn read(database: &Path) -> Self {
        let mut connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let integrity = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        let snapshot = connection.transaction().unwrap();
        let ballots = "SELECT coalesce(ballot_id, key), choices FROM ballot \
                       UNION ALL SELECT ballot_id, choices FROM voter_ballot";
        let mut ballots = snapshot.prepare(ballots).unwrap();
        let ballots = ballots.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?))).unwrap();
        let ballots = ballots.map(Result::unwrap);
        let ballots = ballots.map(|(id, choices)| (Uuid::from_bytes(id), serde_json::from_str(&choices).unwrap()));
        // In no test a process of an earlier version counts voters under option 0.
        let result = "SELECT coalesce(sum(voters), 0), coalesce(sum(seq), 0) FROM result";
        let (voters, seq) = snapshot.query_row(result, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let tallies = "SELECT option_id, sum(count) FROM tally GROUP BY option_id";
        let mut tallies = snapshot.prepare(tallies).unwrap();
        let tallies = tallies.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let tallies = tallies.map(Result::unwrap).collect();
        Self { ballots: ballots.collect(), tallies, voters, seq, integrity }
    }

    /// How many ballots there are.
    pub fn ballots(&self) -> usize {
        self.ballots.len()
    }

    /// Where the tallies aren't the count over the ballots, or the file is damaged.
    pub fn disagreements(&self) -> Vec<String> {
        let mut broken = Vec::new();
        if self.integrity != "ok" {
            broken.push(format!("integrity_check: {}", self.integrity));
        }
        let rows = self.ballots.len() as u64;
        if self.voters != rows {
            broken.push(format!("I4: {} voters are tallied, {rows} ballots are stored", self.voters));
        }
        let counted = count(self.ballots.iter().map(|(_, choices)| choices));
        for option in 1..=5 {
            let (tally, count) = (at(&self.tallies, option), at(&counted, option));
            if tally != count {
                broken.push(format!("I4: option {option} is tallied {tally} times, on {count} ballots"));
            }
        }
        broken
    }

    /// Every invariant that doesn't hold, in words.
    pub fn broken(&self, ledger: &Ledger) -> Vec<String> {
        let mut broken = self.disagreements();
        broken.extend(self.named_ballots(ledger));
        broken.extend(self.nameless_ballots(ledger));
        broken.extend(self.recount(ledger));
        if self.seq < ledger.witness.seq() {
            broken.push(format!("I5: version {} is stored, {} was shown", self.seq, ledger.witness.seq()));
        }
        broken.extend(ledger.witness.broken());
        broken
    }

    /// I1 to I3 for the ballots that their senders named.
    fn named_ballots(&self, ledger: &Ledger) -> Vec<String> {
        let mut stored: HashMap<Uuid, Vec<&Vec<u16>>> = HashMap::new();
        for (id, choices) in &self.ballots {
            stored.entry(*id).or_default().push(choices);
        }
        let (mut lost, mut changed, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        for sent in &ledger.sent {
            let Some(id) = sent.id else { continue };
            match (sent.fate, stored.get(&id).and_then(|found| found.first())) {
                (Fate::Counted, None) => lost.push(id),
                (Fate::NotCounted, Some(_)) => refused.push(id),
                (_, Some(found)) if **found != sent.choices => changed.push(id),
                (Fate::Counted | Fate::NotCounted | Fate::Unknown, _) => {}
            }
        }
        let doubled: Vec<Uuid> = stored.iter().filter(|(_, found)| found.len() > 1).map(|(id, _)| *id).collect();
        let mut broken = Vec::new();
        broken.extend(told("I1: acknowledged ballots are lost", &lost));
        broken.extend(told("I1: ballots are stored with other choices", &changed));
        broken.extend(told("I2: ballots are counted more than once", &doubled));
        broken.extend(told("I3: refused ballots are counted", &refused));
        broken
    }

    /// I1 and I3 for the ballots that the server named: as many of each kind as were sent.
    fn nameless_ballots(&self, ledger: &Ledger) -> Vec<String> {
        let named: HashMap<Uuid, ()> = ledger.sent.iter().filter_map(|sent| Some((sent.id?, ()))).collect();
        let mut stored: HashMap<&[u16], u64> = HashMap::new();
        for (_, choices) in self.ballots.iter().filter(|(id, _)| !named.contains_key(id)) {
            *stored.entry(choices).or_default() += 1;
        }
        let mut sent: HashMap<&[u16], (u64, u64)> = stored.keys().map(|choices| (*choices, (0, 0))).collect();
        for ballot in ledger.sent.iter().filter(|ballot| ballot.id.is_none()) {
            let (least, most) = sent.entry(&ballot.choices).or_default();
            *least += u64::from(ballot.fate == Fate::Counted);
            *most += u64::from(ballot.fate != Fate::NotCounted);
        }
        let mut broken = Vec::new();
        for (choices, (least, most)) in sent {
            let stored = stored.get(choices).copied().unwrap_or(0);
            if stored < least {
                broken
                    .push(format!("I1: {stored} of {least} acknowledged ballots {choices:?} without an id are stored"));
            }
            if stored > most {
                broken.push(format!("I3: {stored} ballots {choices:?} are stored that nobody named, {most} were sent"));
            }
        }
        broken
    }

    /// I4 against the log: what was acknowledged at the least, and what is unknown on top at the most.
    fn recount(&self, ledger: &Ledger) -> Vec<String> {
        let of = |fate| {
            let ballots = ledger.sent.iter().filter(move |sent| sent.fate == fate);
            count(ballots.map(|sent| &sent.choices))
        };
        let (counted, unknown) = (of(Fate::Counted), of(Fate::Unknown));
        let mut broken = Vec::new();
        for option in 1..=5 {
            let (tally, least) = (at(&self.tallies, option), at(&counted, option));
            let most = least + at(&unknown, option);
            if !(least..=most).contains(&tally) {
                broken.push(format!("I4: option {option} is tallied {tally} times; the log has {least} to {most}"));
            }
        }
        broken
    }
}

/// Fails unless every invariant holds, in the file and in what its server shows.
#[track_caller]
pub fn check(data_dir: &DataDir, throng: &ThrongProcess, ledger: &Ledger) -> Stored {
    check_stored(Stored::read(&data_dir.database()), throng, ledger)
}

/// Fails unless every invariant holds, in `stored` and in what a server shows.
#[track_caller]
pub fn check_stored(stored: Stored, throng: &ThrongProcess, ledger: &Ledger) -> Stored {
    let before = ledger.witness.before();
    let results = Client::new(throng.address).get_json("/api/v1/polls/demo/results");
    ledger.witness.saw(&results, before, 0);
    let mut broken = stored.broken(ledger);
    if results["seq"] != stored.seq || results["voters"] != stored.voters {
        broken.push(format!("I4: version {} of {} ballots is stored, shown is {results}", stored.seq, stored.voters));
    }
    assert!(broken.is_empty(), "the promise is broken:\n{}", broken.join("\n"));
    stored
}

/// Fails unless every named ballot has a known end as well.
#[track_caller]
pub fn check_settled(data_dir: &DataDir, throng: &ThrongProcess, ledger: &Ledger) -> Stored {
    assert_settled(ledger);
    check(data_dir, throng, ledger)
}

/// Fails unless every named ballot has a known end.
#[track_caller]
pub fn assert_settled(ledger: &Ledger) {
    let pending = ledger.sent.iter().filter(|sent| sent.id.is_some() && sent.fate == Fate::Unknown).count();
    assert_eq!(pending, 0, "I9: ballots have no known end");
}

fn count<'a>(ballots: impl Iterator<Item = &'a Vec<u16>>) -> BTreeMap<u16, u64> {
    let mut counts = BTreeMap::new();
    for option in ballots.flatten() {
        *counts.entry(*option).or_default() += 1;
    }
    counts
}

fn at(counts: &BTreeMap<u16, u64>, option: u16) -> u64 {
    counts.get(&option).copied().unwrap_or(0)
}

fn told(what: &str, ids: &[Uuid]) -> Option<String> {
    let examples: Vec<String> = ids.iter().take(EXAMPLES).map(Uuid::to_string).collect();
    (!ids.is_empty()).then(|| format!("{what}: {}, such as {}", ids.len(), examples.join(", ")))
}
