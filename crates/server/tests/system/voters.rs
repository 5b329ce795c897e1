//! Voters: each sends ballot after ballot over a connection that it keeps, and writes down what came of each.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use throng::intake::BallotIds;
use throng_domain::clock::{Clock as _, SystemClock};
use throng_testkit::{Client, Reply};
use uuid::Uuid;

use crate::ledger::{Fate, Ledger, Manner, Sent, Witness, choices};

const BALLOTS: &str = "/api/v1/polls/demo/ballots";

/// One ballot in this many goes to the compatibility route, which gives it a name there.
const NAMELESS: u32 = 8;

/// One counted ballot in this many is sent a second time, as by a client that lost its answer.
const SENT_TWICE: u32 = 16;

/// How long a voter who was refused stays away.
const STAY_AWAY: Duration = Duration::from_millis(5);

struct Voter<'a> {
    client: Client,
    manner: Manner,
    witness: &'a Witness,
    ids: BallotIds,
    random: Xoshiro256PlusPlus,
    sent: Vec<Sent>,
}

impl<'a> Voter<'a> {
    fn new(address: SocketAddr, manner: Manner, witness: &'a Witness, seed: u64) -> Self {
        let random = Xoshiro256PlusPlus::seed_from_u64(seed);
        // Names come from their own randomness: with the same seed on the same file they would meet again.
        let ids = BallotIds::new(rand::random());
        Self { client: Client::new(address), manner, witness, ids, random, sent: Vec::new() }
    }

    /// Sends a new ballot; whether the server is still there for the next.
    fn vote(&mut self) -> bool {
        let nameless = self.manner == Manner::Counts && self.random.random_ratio(1, NAMELESS);
        let id = (!nameless).then(|| self.ids.next(SystemClock.now()).0);
        let choices = choices(&mut self.random);
        let (reply, fate) = cast(&mut self.client, self.witness, id, &choices, self.manner.own());
        let mut open = stays_open(&reply);
        if let (true, Some(id), Fate::Counted) = (open, id, fate)
            && self.random.random_ratio(1, SENT_TWICE)
        {
            open = self.vote_again(id, &choices);
        }
        self.sent.push(Sent { id, choices, fate });
        if matches!(&reply, Reply::Answer(answer) if answer.status == 503) {
            stay_away();
        }
        open
    }

    /// Sends a counted ballot again; whether the server is still there for the next.
    fn vote_again(&mut self, id: Uuid, choices: &[u16]) -> bool {
        let (reply, fate) = cast(&mut self.client, self.witness, Some(id), choices, 0);
        if let (Reply::Answer(answer), Fate::NotCounted) = (&reply, fate) {
            // Refusing for want of room is allowed at any time.
            if answer.status != 503 {
                self.witness.complain(format!("I1: a counted ballot sent again was refused: {answer:?}"));
            }
        }
        stays_open(&reply)
    }
}

impl Manner {
    /// How many ballots a result must have gained by one that was just answered with 2xx.
    fn own(self) -> u64 {
        match self {
            Self::Counts => 1,
            Self::Accepts => 0,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "whoever is refused comes back later, which no event announces")]
fn stay_away() {
    thread::sleep(STAY_AWAY);
}

fn stays_open(reply: &Reply) -> bool {
    matches!(reply, Reply::Answer(answer) if !answer.closes())
}

/// Sends a ballot and judges the answer; `own` says how many ballots the result must have gained by it.
fn cast(client: &mut Client, witness: &Witness, id: Option<Uuid>, choices: &[u16], own: u64) -> (Reply, Fate) {
    let before = witness.before();
    let reply = match id {
        Some(id) => client.post(BALLOTS, &body(id, choices)),
        None => client.post("/api/submit", &format!("{choices:?}")),
    };
    let fate = match &reply {
        Reply::NotSent => Fate::NotCounted,
        Reply::Cut => {
            witness.was_cut();
            Fate::Unknown
        }
        Reply::Answer(answer) => match answer.status {
            200..=299 => {
                if id.is_some() {
                    witness.saw(&answer.json()["results"], before, own);
                }
                Fate::Counted
            }
            400..=499 | 503 => Fate::NotCounted,
            _ => Fate::Unknown,
        },
    };
    (reply, fate)
}

fn body(id: Uuid, choices: &[u16]) -> String {
    format!(r#"{{"ballot_id":"{id}","choices":{choices:?}}}"#)
}

/// Sends one ballot, whoever else votes; what came of it.
pub fn vote_once(address: SocketAddr) -> Sent {
    let (id, choices) = (BallotIds::new(rand::random()).next(SystemClock.now()).0, vec![1]);
    let (_, fate) = cast(&mut Client::new(address), &Witness::default(), Some(id), &choices, 0);
    Sent { id: Some(id), choices, fate }
}

impl Ledger {
    /// Has `count` voters, all connected before, vote until `meanwhile` is over, or the server has gone or closed their connections.
    pub fn voters_while<T>(&mut self, address: SocketAddr, count: usize, meanwhile: impl FnOnce() -> T) -> T {
        let seeds: Vec<u64> = (0..count).map(|_| self.random.next_u64()).collect();
        let (manner, witness, over) = (self.manner, &self.witness, &AtomicBool::new(false));
        let ready = &Barrier::new(count + 1);
        let (sent, result) = thread::scope(|scope| {
            let voting = seeds.into_iter().map(|seed| {
                scope.spawn(move || {
                    let mut voter = Voter::new(address, manner, witness, seed);
                    voter.client.connect();
                    ready.wait();
                    while voter.vote() && !over.load(Ordering::Relaxed) {}
                    voter.sent
                })
            });
            let voting: Vec<_> = voting.collect();
            ready.wait();
            // A panic must not leave the voters voting: the scope waits for them.
            let result = catch_unwind(AssertUnwindSafe(meanwhile));
            over.store(true, Ordering::Relaxed);
            let sent: Vec<Sent> = voting.into_iter().flat_map(|voter| voter.join().unwrap()).collect();
            (sent, result)
        });
        self.sent.extend(sent);
        result.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Has `count` voters, all connected before, send one named ballot each at the same instant; whether all were
    /// told that theirs counts.
    pub fn vote_together(&mut self, address: SocketAddr, count: usize) -> bool {
        let ready = Barrier::new(count);
        let ballots: Vec<_> = (0..count).map(|_| (self.new_id(), choices(&mut self.random))).collect();
        let (own, witness, ready) = (self.manner.own(), &self.witness, &ready);
        let sent: Vec<Sent> = thread::scope(|scope| {
            let voting = ballots.into_iter().map(|(id, choices)| {
                scope.spawn(move || {
                    let mut client = Client::new(address);
                    client.connect();
                    ready.wait();
                    let (_, fate) = cast(&mut client, witness, Some(id), &choices, own);
                    Sent { id: Some(id), choices, fate }
                })
            });
            let voting: Vec<_> = voting.collect();
            voting.into_iter().map(|voter| voter.join().unwrap()).collect()
        });
        let all = sent.iter().all(|sent| sent.fate == Fate::Counted);
        self.sent.extend(sent);
        all
    }

    /// Sends a named ballot and leaves before its answer.
    pub fn vote_and_leave(&mut self, address: SocketAddr) {
        let (id, choices) = (self.new_id(), choices(&mut self.random));
        Client::new(address).post_and_leave(BALLOTS, &body(id, &choices));
        self.sent.push(Sent { id: Some(id), choices, fate: Fate::Unknown });
    }

    /// Sends every named ballot whose outcome is unknown again, until each is known to count: at once, with a server
    /// that is whole again.
    #[track_caller]
    pub fn retry_unknown(&mut self, address: SocketAddr) {
        let mut client = Client::new(address);
        for ballot in self.sent.iter_mut().filter(|sent| sent.fate == Fate::Unknown && sent.id.is_some()) {
            let (reply, fate) = cast(&mut client, &self.witness, ballot.id, &ballot.choices, 0);
            assert_eq!(fate, Fate::Counted, "I6: a retry is answered with {reply:?}");
            ballot.fate = fate;
            self.retried += 1;
        }
    }

    /// Sends new ballots, one at a time, until one is taken; how many were not. Fails after `at_most`.
    #[track_caller]
    pub fn vote_until_counted(&mut self, address: SocketAddr, at_most: Duration) -> usize {
        let deadline = tokio::time::Instant::now() + at_most;
        let mut refused = 0;
        loop {
            let (id, choices) = (self.new_id(), choices(&mut self.random));
            let (reply, fate) = cast(&mut Client::new(address), &self.witness, Some(id), &choices, self.manner.own());
            self.sent.push(Sent { id: Some(id), choices, fate });
            if fate == Fate::Counted {
                return refused;
            }
            refused += 1;
            assert!(tokio::time::Instant::now() < deadline, "I6: no vote is taken within {at_most:?}: {reply:?}");
            stay_away();
        }
    }

    fn new_id(&mut self) -> Uuid {
        BallotIds::new(rand::random()).next(SystemClock.now()).0
    }
}
