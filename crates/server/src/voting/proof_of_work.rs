//! Proof of work: where a poll asks for it, a ballot costs its sender some computing time.
//!
//! A client gets a challenge for the id of its ballot, solves it, and sends the proof with the ballot. Nothing is stored: a
//! challenge is signed, and belongs to one ballot of one poll and, where the poll identifies voters, of one voter. So a proof that
//! is used again is that ballot sent again, which counts once.
//!
//! A challenge is `1.<expires>.<difficulty>.<mac>`: the version of this format, the Unix time at which it expires in seconds, how
//! many hashes each of its puzzles takes on average, and the first 128 bits of an HMAC-SHA256, as 32 hexadecimal digits.
//!
//! A proof is the challenge, followed by the solutions of its 16 puzzles, each a `.` and a decimal number below 2³². The solution
//! of puzzle `i`, from 0, is a number `n` for which the SHA-256 of 24 bytes (the 16 of `mac`, `i` and `n` in 4 each, big-endian)
//! begins with a 32-bit number below 2³² / `difficulty`. Together, many small puzzles take about as long each time; a single large
//! one would take some voters several times as long as others. `web/proof.js` solves them in a browser.

use sha2::{Digest as _, Sha256};
use throng_domain::ballot::{BallotId, VoterKey};
use throng_domain::clock::Timestamp;
use throng_domain::poll::Poll;

use crate::config::DerivedKey;

/// The version of the format.
const VERSION: &str = "1";

/// The puzzles of a challenge.
const PUZZLES: u32 = 16;

/// The hashes that each puzzle takes on average: a second on a slow phone for all of them (ADR 14).
const DIFFICULTY: u32 = 10_000;

/// How long a challenge is valid, in seconds: it is solved when a voter begins to choose.
const LIFETIME_S: i64 = 300;

/// The key with which challenges are signed.
#[derive(Clone, Copy, Debug)]
pub struct ChallengeKey<'a>(pub &'a DerivedKey);

/// A challenge as it is given to a client.
#[derive(Debug)]
pub struct Challenge {
    /// What the client solves, and sends back with the solutions.
    pub text: String,
    /// How many hashes each of its puzzles takes on average.
    pub difficulty: u32,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// The ballot that a challenge is for.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its poll.
    pub poll: &'a Poll,
    /// Its id.
    pub ballot_id: BallotId,
    /// Its voter, where the poll identifies voters: two of them may use the same id.
    pub voter: Option<VoterKey>,
}

/// Why a ballot that needs a proof has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unproven {
    /// There is none with it.
    Missing,
    /// It is of another ballot or poll, has expired, or solves nothing.
    Invalid,
    /// There is no valid one with it, and the poll is closed.
    Closed,
}

/// Requires a valid proof of a ballot. In a closed poll, which adds no ballot, it may have expired: a ballot that was counted and is
/// sent again gets the same response as before.
///
/// # Errors
/// If there is none.
pub fn require(
    key: ChallengeKey<'_>,
    subject: Subject<'_>,
    proof: Option<&str>,
    now: Timestamp,
) -> Result<(), Unproven> {
    let is_closed = subject.poll.is_closed(now);
    match proof {
        Some(proof) if key.accepts(subject, proof, (!is_closed).then_some(now)) => Ok(()),
        _ if is_closed => Err(Unproven::Closed),
        Some(_) => Err(Unproven::Invalid),
        None => Err(Unproven::Missing),
    }
}

impl ChallengeKey<'_> {
    /// A challenge for this ballot.
    pub fn challenge(self, subject: Subject<'_>, now: Timestamp) -> Challenge {
        self.challenge_of(subject, now, DIFFICULTY)
    }

    fn challenge_of(self, subject: Subject<'_>, now: Timestamp, difficulty: u32) -> Challenge {
        let expires_s = seconds(now).saturating_add(LIFETIME_S);
        let mac = self.0.mac(signed_text(subject, expires_s, difficulty));
        Challenge {
            text: format!("{VERSION}.{expires_s}.{difficulty}.{mac:032x}"),
            difficulty,
            expires_at: Timestamp(expires_s.saturating_mul(1_000)),
        }
    }

    /// Whether the proof solves a challenge that was given for this ballot, and hasn't expired at `now`, if that is given. What is
    /// cheap is checked first.
    fn accepts(self, subject: Subject<'_>, proof: &str, now: Option<Timestamp>) -> bool {
        let mut fields = proof.split('.');
        let head = [(); 4].map(|()| fields.next());
        let [Some(VERSION), Some(expires), Some(difficulty), Some(mac)] = head else { return false };
        let (Ok(expires_s), Ok(difficulty)) = (expires.parse(), difficulty.parse()) else { return false };
        let Ok(mac) = u128::from_str_radix(mac, 16) else { return false };
        if now.is_some_and(|now| seconds(now) >= expires_s)
            || !self.0.verifies(signed_text(subject, expires_s, difficulty), mac)
        {
            return false;
        }
        let mac = mac.to_be_bytes();
        let mut solutions = fields.map(|solution| solution.parse().ok());
        (0..PUZZLES).all(|puzzle| solutions.next().flatten().is_some_and(|n| solves(mac, puzzle, n, difficulty)))
            && solutions.next().is_none()
    }
}

/// What the HMAC of a challenge is of.
fn signed_text(Subject { poll, ballot_id, voter }: Subject<'_>, expires_s: i64, difficulty: u32) -> String {
    let voter = voter.map_or_else(|| "-".to_owned(), |voter| voter.to_string());
    format!("challenge {VERSION} {} {ballot_id} {voter} {expires_s} {difficulty}", poll.id.0)
}

/// Whether `n` solves a puzzle of the challenge with this `mac`.
fn solves(mac: [u8; 16], puzzle: u32, n: u32, difficulty: u32) -> bool {
    let hash: [u8; 32] = Sha256::new()
        .chain_update(mac)
        .chain_update(puzzle.to_be_bytes())
        .chain_update(n.to_be_bytes())
        .finalize()
        .into();
    let first = u32::from_be_bytes(*hash.first_chunk().expect("32 bytes begin with 4"));
    u64::from(first) * u64::from(difficulty) < 1 << 32
}

fn seconds(at: Timestamp) -> i64 {
    at.0.div_euclid(1_000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use throng_domain::new_poll::NewPoll;
    use throng_domain::poll::{PollId, Proof};
    use throng_testkit::solve;
    use uuid::Uuid;

    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);
    const ID: BallotId = BallotId(Uuid::from_u128(7));
    const EASY: u32 = 4;

    fn poll(id: i64) -> Poll {
        let new = NewPoll::demo("demo".parse().unwrap(), NOW);
        NewPoll { proof: Proof::Always, closes_at: Some(NOW.plus_ms(3_600_000)), ..new }.into_poll(PollId(id))
    }

    fn of(poll: &Poll, ballot_id: BallotId) -> Subject<'_> {
        Subject { poll, ballot_id, voter: None }
    }

    /// A proof for the ballot `ID` in poll 1.
    fn proof() -> String {
        solve(&ChallengeKey(&DerivedKey::new([7; 32])).challenge_of(of(&poll(1), ID), NOW, EASY).text)
    }

    fn judged(poll: &Poll, id: BallotId, proof: &str, later_ms: i64) -> Result<(), Unproven> {
        require(ChallengeKey(&DerivedKey::new([7; 32])), of(poll, id), Some(proof), NOW.plus_ms(later_ms))
    }

    #[test]
    fn challenge_states_its_difficulty_and_end() {
        let given = ChallengeKey(&DerivedKey::new([7; 32])).challenge(of(&poll(1), ID), NOW);
        assert!(given.text.starts_with(&format!("1.1800000300.{DIFFICULTY}.")), "{given:?}");
        assert_eq!((given.difficulty, given.expires_at), (DIFFICULTY, NOW.plus_ms(300_000)));
    }

    #[test]
    fn proof_is_valid_on_any_node_for_five_minutes() {
        let proof = proof();
        assert_eq!(judged(&poll(1), ID, &proof, 0), Ok(()));
        assert_eq!(judged(&poll(1), ID, &proof, 299_999), Ok(()));
        assert_eq!(judged(&poll(1), ID, &proof, 300_000), Err(Unproven::Invalid));
    }

    #[test]
    fn proof_of_another_poll_ballot_or_key_is_refused() {
        let proof = proof();
        assert_eq!(judged(&poll(2), ID, &proof, 0), Err(Unproven::Invalid));
        assert_eq!(judged(&poll(1), BallotId(Uuid::from_u128(8)), &proof, 0), Err(Unproven::Invalid));
        let other = require(ChallengeKey(&DerivedKey::new([8; 32])), of(&poll(1), ID), Some(&proof), NOW);
        assert_eq!(other, Err(Unproven::Invalid));
    }

    #[test]
    fn proof_is_for_one_voter() {
        let (key, poll, proof) = (DerivedKey::new([7; 32]), poll(1), proof());
        let by = |voter| Subject { voter, ..of(&poll, ID) };
        let (one, other) = (Some(VoterKey([1; 15])), Some(VoterKey([2; 15])));
        let of_one = solve(&ChallengeKey(&key).challenge_of(by(one), NOW, EASY).text);
        let judged = |proof: &str, voter| require(ChallengeKey(&key), by(voter), Some(proof), NOW);
        assert_eq!((judged(&of_one, one), judged(&proof, None)), (Ok(()), Ok(())));
        for (proof, voter) in [(&of_one, other), (&of_one, None), (&proof, one)] {
            assert_eq!(judged(proof, voter), Err(Unproven::Invalid));
        }
    }

    #[test]
    fn changed_challenge_is_refused() {
        let proof = proof();
        let head: Vec<_> = proof.splitn(5, '.').collect();
        let [version, expires, difficulty, mac, solutions] = head[..] else { panic!("{proof}") };
        for (changed, field) in [
            (format!("2.{expires}.{difficulty}.{mac}.{solutions}"), "version"),
            (format!("{version}.1800000301.{difficulty}.{mac}.{solutions}"), "expiry"),
            (format!("{version}.{expires}.1.{mac}.{solutions}"), "a lower difficulty"),
            (format!("{version}.{expires}.{difficulty}.{:032x}.{solutions}", 7), "mac"),
            (solve(&format!("{version}.{expires}.1.{mac}")), "a lower difficulty, solved"),
        ] {
            assert_eq!(judged(&poll(1), ID, &changed, 0), Err(Unproven::Invalid), "{field}");
        }
    }

    #[test]
    fn every_puzzle_has_to_be_solved() {
        let proof = proof();
        let fields: Vec<_> = proof.split('.').collect();
        assert_eq!(fields.len(), 4 + 16);
        for puzzle in 4..fields.len() {
            let mac = u128::from_str_radix(fields[3], 16).unwrap().to_be_bytes();
            let wrong = (0..1_000).find(|n| !solves(mac, puzzle as u32 - 4, *n, EASY)).unwrap().to_string();
            for (put, name) in [(wrong.as_str(), "a number that solves nothing"), ("", "none"), ("4294967296", "large")]
            {
                let mut fields = fields.clone();
                fields[puzzle] = put;
                assert_eq!(judged(&poll(1), ID, &fields.join("."), 0), Err(Unproven::Invalid), "{puzzle}: {name}");
            }
        }
        for other in ["", "1", "....", &fields[..19].join("."), &format!("{proof}.0"), &format!("{proof}.")] {
            assert_eq!(judged(&poll(1), ID, other, 0), Err(Unproven::Invalid), "{other}");
        }
    }

    #[test]
    fn poll_that_asks_for_a_proof_requires_it() {
        let required = |poll: &Poll, later_ms| {
            require(ChallengeKey(&DerivedKey::new([7; 32])), of(poll, ID), None, NOW.plus_ms(later_ms))
        };
        assert_eq!(required(&poll(1), 0), Err(Unproven::Missing));
        assert_eq!(required(&poll(1), 3_600_000), Err(Unproven::Closed));
        assert_eq!(judged(&poll(1), ID, &proof(), 3_600_000), Ok(()), "closed, with a proof that has expired");
        assert_eq!(judged(&poll(1), BallotId(Uuid::from_u128(8)), &proof(), 3_600_000), Err(Unproven::Closed));
    }

    proptest! {
        /// Whatever a poll's score is, a client with a valid proof is never refused for its proof.
        #[test]
        fn valid_proof_is_accepted_of_every_ballot_and_voter(
            key: [u8; 32],
            id: u128,
            voter: Option<[u8; 15]>,
            later_ms in 0_i64..300_000,
        ) {
            let (key, poll) = (DerivedKey::new(key), poll(1));
            let voter = voter.map(VoterKey);
            let subject = Subject { poll: &poll, ballot_id: BallotId(Uuid::from_u128(id)), voter };
            let proof = solve(&ChallengeKey(&key).challenge_of(subject, NOW, EASY).text);
            prop_assert_eq!(require(ChallengeKey(&key), subject, Some(&proof), NOW.plus_ms(later_ms)), Ok(()));
        }
    }
}
