//! The raw log of what was sent and what came of it: what the checker holds the database against.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;
use uuid::Uuid;

/// A ballot that was sent.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Its name; none if it was left to the server to make one, and then it isn't sent again.
    pub id: Option<Uuid>,
    /// Its choices, ascending.
    pub choices: Vec<u16>,
    pub fate: Fate,
}

/// What its sender knows of a ballot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Answered with 2xx: counted, or sure to be, and for good.
    Counted,
    /// Refused with a promise that it isn't counted, or never sent.
    NotCounted,
    /// Cut off, or answered that it isn't known.
    Unknown,
}

/// Every ballot sent to one database, and what was seen of its results.
pub struct Ledger {
    pub sent: Vec<Sent>,
    /// Ballots sent again after an unknown outcome.
    pub retried: usize,
    pub witness: Witness,
    pub random: Xoshiro256PlusPlus,
    pub manner: Manner,
}

/// How the server that is voted at takes ballots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// It counts each one, then answers.
    Counts,
    /// It answers once a broker has it. So that the end is known of every single one, all are named by their senders.
    Accepts,
}

impl Ledger {
    /// An empty one; `seed` decides on choices and moments.
    pub fn new(seed: u64) -> Self {
        let random = Xoshiro256PlusPlus::seed_from_u64(seed);
        Self { sent: Vec::new(), retried: 0, witness: Witness::default(), random, manner: Manner::Counts }
    }

    /// An empty one, for a server behind a broker.
    pub fn behind_broker(seed: u64) -> Self {
        Self { manner: Manner::Accepts, ..Self::new(seed) }
    }

    /// How many ballots have this fate.
    pub fn count(&self, fate: Fate) -> usize {
        self.sent.iter().filter(|sent| sent.fate == fate).count()
    }
}

/// The seed that was asked for, or a new one.
pub fn seed() -> u64 {
    let asked = std::env::var("THRONG_FAULT_SEED").ok();
    asked.map_or_else(rand::random, |seed| seed.parse().expect("THRONG_FAULT_SEED is a number"))
}

/// Some choices among the demo poll's five options.
pub fn choices(random: &mut Xoshiro256PlusPlus) -> Vec<u16> {
    let bits = random.random_range(1..32u16);
    (1..=5).filter(|option| bits & (1 << (option - 1)) != 0).collect()
}

/// Watches the results that clients see, over all clients and all of a database's servers: a result that was asked
/// for after another had come must not be older.
#[derive(Debug, Default)]
pub struct Witness {
    seq: AtomicU64,
    voters: AtomicU64,
    cuts: AtomicU64,
    broken: Mutex<Vec<String>>,
}

impl Witness {
    /// What was seen before a request is sent.
    pub fn before(&self) -> (u64, u64) {
        (self.seq.load(Ordering::SeqCst), self.voters.load(Ordering::SeqCst))
    }

    /// Takes in the result that came after `before`; `own` ballots of the caller's must be in it since then.
    pub fn saw(&self, results: &Value, before: (u64, u64), own: u64) {
        let (Some(seq), Some(voters)) = (results["seq"].as_u64(), results["voters"].as_u64()) else {
            return self.complain(format!("I5: a result without version or voters: {results}"));
        };
        if seq < before.0 {
            self.complain(format!("I5: results went back: version {seq} was shown after {}", before.0));
        }
        if voters < before.1 + own {
            let own = if own > 0 { " and a ballot more" } else { "" };
            self.complain(format!("I5: a result of {voters} ballots was shown after one of {}{own}", before.1));
        }
        self.seq.fetch_max(seq, Ordering::SeqCst);
        self.voters.fetch_max(voters, Ordering::SeqCst);
    }

    /// The newest version seen.
    pub fn seq(&self) -> u64 {
        self.seq.load(Ordering::SeqCst)
    }

    /// A request was cut off.
    pub fn was_cut(&self) {
        self.cuts.fetch_add(1, Ordering::SeqCst);
    }

    /// How many requests were cut off.
    pub fn cuts(&self) -> u64 {
        self.cuts.load(Ordering::SeqCst)
    }

    /// Something that must not happen did.
    pub fn complain(&self, what: String) {
        self.broken.lock().unwrap().push(what);
    }

    /// All that went wrong.
    pub fn broken(&self) -> Vec<String> {
        self.broken.lock().unwrap().clone()
    }
}
