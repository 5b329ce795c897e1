//! Proofs of work, as a client makes them.

use sha2::{Digest as _, Sha256};

/// Solves a challenge: the proof to send with its ballot.
pub fn solve(challenge: &str) -> String {
    let [_, _, difficulty, mac] = challenge.split('.').collect::<Vec<_>>()[..] else { panic!("{challenge}") };
    let (difficulty, mac): (u64, _) = (difficulty.parse().unwrap(), u128::from_str_radix(mac, 16).unwrap());
    let solution = |puzzle: u32| {
        let begun = Sha256::new_with_prefix(mac.to_be_bytes()).chain_update(puzzle.to_be_bytes());
        let is_solution = |n: &u32| {
            let hash = begun.clone().chain_update(n.to_be_bytes()).finalize();
            u64::from(u32::from_be_bytes(*hash.first_chunk().unwrap())) * difficulty < 1 << 32
        };
        (0..).find(is_solution).unwrap()
    };
    (0..16).map(solution).fold(challenge.to_owned(), |proof, n| format!("{proof}.{n}"))
}
