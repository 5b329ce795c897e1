//! What a core notes of the votes that it receives, until the monitor takes it.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use throng_domain::ballot::{Choices, Form, VoterKey};
use throng_domain::poll::PollId;

use crate::net::network;

/// The most votes that a core notes between two updates: 80 KB.
const NOTED_MAX: usize = 2_048;

/// A vote, as its core sees it.
#[derive(Clone, Copy, Debug)]
pub struct Sighting<'a> {
    /// The poll.
    pub poll: PollId,
    /// What it is, as far as the core knows.
    pub kind: VoteKind,
    /// The sender's address, if it is known.
    pub address: Option<IpAddr>,
    /// The sender's device, where the poll's policy is `device`.
    pub device: Option<VoterKey>,
    /// Its choices.
    pub choices: &'a Choices,
}

/// What a vote is, as far as the core that receives it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoteKind {
    /// It needed no proof of work.
    Plain,
    /// It needed a proof of work and had one.
    Proven,
    /// It needed a proof of work and had none: it was refused.
    Unproven,
    /// Its proof of work wasn't valid: it was refused.
    Forged,
}

/// What is kept of a vote.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noted {
    pub(super) poll: PollId,
    pub(super) what: What,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// A vote has arrived.
    Vote(NotedVote),
    /// A vote that was noted before is refused: its voter has none left.
    Duplicate,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct NotedVote {
    pub(super) kind: VoteKind,
    /// A keyed hash of poll and network; 0 if the address isn't known.
    pub(super) network: u64,
    /// A part of the voter's pseudonym; 0 if there is none.
    pub(super) device: u64,
    /// A bit for each option chosen, by its id modulo 64.
    pub(super) choices: u64,
}

/// The votes that one core has noted since the last update, a sample of them if there are many.
#[derive(Debug)]
pub struct VoteBuffer {
    hasher: RandomState,
    noted: Mutex<Sample>,
}

/// Every `stride`-th of the votes.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) votes: Vec<Noted>,
    /// How many votes each of them stands for.
    pub(super) stride: u32,
    /// The votes since the last one that was noted.
    skipped: u32,
}

impl VoteBuffer {
    /// An empty buffer; networks are hashed by `hasher`, which is the same for all cores.
    pub(super) fn new(hasher: RandomState) -> Self {
        Self { hasher, noted: Mutex::new(Sample::EMPTY) }
    }

    /// Notes a vote that has arrived.
    pub fn note(&self, sighting: Sighting<'_>) {
        let Sighting { poll, kind, address, device, choices } = sighting;
        self.push(|| {
            let network = address.map_or(0, |address| self.hasher.hash_one((poll.0, network(address))));
            let device = device.map_or(0, |VoterKey(key)| u64::from_ne_bytes(*key.first_chunk().expect("15 bytes")));
            let choices = bits_of(choices);
            Noted { poll, what: What::Vote(NotedVote { kind, network, device, choices }) }
        });
    }

    /// Notes that a vote was refused because its voter has none left.
    pub fn note_duplicate(&self, poll: PollId) {
        self.push(|| Noted { poll, what: What::Duplicate });
    }

    fn push(&self, noted: impl FnOnce() -> Noted) {
        let mut sample = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        sample.skipped += 1;
        if sample.skipped < sample.stride {
            return;
        }
        if sample.votes.len() == NOTED_MAX {
            // This vote is one of those that aren't kept any more.
            sample.thin_out();
            return;
        }
        sample.skipped = 0;
        sample.votes.push(noted());
    }

    /// Takes what was noted.
    pub(super) fn take(&self) -> Sample {
        std::mem::replace(&mut *self.noted.lock().unwrap_or_else(PoisonError::into_inner), Sample::EMPTY)
    }
}

impl Sample {
    const EMPTY: Self = Self { votes: Vec::new(), stride: 1, skipped: 0 };

    /// Keeps every second vote, each of which then stands for twice as many.
    fn thin_out(&mut self) {
        let mut position = 0_usize;
        self.votes.retain(|_| {
            position += 1;
            position.is_multiple_of(2)
        });
        self.stride = self.stride.saturating_mul(2);
    }
}

/// Bits by which votes that say the same are recognized; others rarely have the same ones.
fn bits_of(choices: &Choices) -> u64 {
    let bit = |number: usize| 1_u64 << (number % 64);
    match choices.form() {
        Form::Chosen(options) => options.iter().fold(0, |bits, option| bits | bit(option.0.into())),
        // Most rankings and scores are of all options.
        Form::Ranked(options) => {
            (0..64).step_by(3).zip(options).fold(0, |bits, (rank, option)| bits ^ u64::from(option.0).rotate_left(rank))
        }
        Form::Scored(scores) => scores
            .iter()
            .fold(0, |bits, (option, score)| bits ^ (u64::from(score) + 1).rotate_left(u32::from(option.0) * 4)),
    }
}

#[cfg(test)]
mod tests {
    use throng_domain::poll::OptionId;

    use super::*;

    fn sent(buffer: &VoteBuffer, address: &str, options: &[u16]) {
        let choices = Choices::new(options.iter().map(|id| OptionId(*id))).unwrap();
        let address = Some(address.parse().unwrap());
        buffer.note(Sighting { poll: PollId(1), kind: VoteKind::Plain, address, device: None, choices: &choices });
    }

    fn votes(sample: &Sample) -> Vec<NotedVote> {
        let vote = |noted: &Noted| match noted.what {
            What::Vote(vote) => Some(vote),
            What::Duplicate => None,
        };
        sample.votes.iter().filter_map(vote).collect()
    }

    #[test]
    fn network_is_noted_as_a_hash() {
        let hasher = RandomState::new();
        let (buffer, other_core) = (VoteBuffer::new(hasher.clone()), VoteBuffer::new(hasher));
        for address in ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "192.0.2.1", "::ffff:192.0.2.1"] {
            sent(&buffer, address, &[1]);
        }
        sent(&other_core, "2001:db8::3", &[1, 3]);
        let (noted, elsewhere) = (votes(&buffer.take()), votes(&other_core.take()));
        let [first, same, other, v4, mapped] = noted.iter().map(|vote| vote.network).collect::<Vec<_>>()[..] else {
            panic!("{noted:?}")
        };
        assert_eq!((first, v4, first), (same, mapped, elsewhere[0].network));
        assert!(first != other && first != v4 && first != 0);
        assert_eq!((noted[0].choices, elsewhere[0].choices), (0b10, 0b1010));
        assert!(votes(&buffer.take()).is_empty(), "taken");
    }

    #[test]
    fn many_votes_are_sampled_evenly() {
        let buffer = VoteBuffer::new(RandomState::new());
        for vote in 0..100_000 {
            sent(&buffer, if vote % 9 == 0 { "192.0.2.1" } else { "192.0.2.2" }, &[1]);
        }
        let sample = buffer.take();
        assert!(sample.votes.len() <= NOTED_MAX && sample.votes.capacity() <= NOTED_MAX, "{}", sample.votes.len());
        let stands_for = sample.votes.len() as u32 * sample.stride;
        assert_eq!(stands_for + sample.skipped, 100_000);
        let votes = votes(&sample);
        let rarer = votes.iter().filter(|vote| vote.network != votes[1].network).count();
        assert!((votes.len() / 10..votes.len() / 8).contains(&rarer), "{rarer} of {}", votes.len());
        assert_eq!(buffer.take().stride, 1);
    }
}
