//! The votes of one poll within the last minute.

use throng_domain::clock::Timestamp;

use super::busiest::Busiest;
use super::vote_buffer::{NotedVote, VoteKind, What};

/// The length of the window, in milliseconds.
const WINDOW_MS: i64 = 60_000;

/// A network is busy from so many votes in the window: more than one person sends.
const BUSY_VOTES: f64 = 60.0;

/// So many of the busiest networks are looked at.
const BUSY_NETWORKS: usize = 8;

/// A sliding window over a poll's votes, of two buckets: the current minute, and of the minute before it as much as the window
/// still reaches, as if its votes had been spread evenly.
#[derive(Debug, Default)]
pub struct Window {
    /// The current minute, in minutes since 1970.
    minute: i64,
    current: Bucket,
    before: Bucket,
}

/// A minute's votes.
#[derive(Debug, Default)]
struct Bucket {
    votes: f64,
    proven: f64,
    unproven: f64,
    forged: f64,
    duplicates: f64,
    networks: Busiest,
    devices: Busiest,
}

/// What is known of the votes in the window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// The votes that arrived: counted, accepted, sent again, or refused as duplicates or for want of a proof of work.
    pub votes: f64,
    /// Those of the largest network.
    pub largest_network: f64,
    /// Those of the up to eight busiest networks that sent at least 60 each.
    pub busy_networks: f64,
    /// By how many of the votes of those networks each one's most frequent choices lead all others.
    pub busy_lead: f64,
    /// Those of the busiest device.
    pub busiest_device: f64,
    /// Those refused since their voter had none left.
    pub duplicates: f64,
    /// Those with an invalid proof of work, and those without one that aren't balanced by a vote with one.
    pub bad_proofs: f64,
}

impl Window {
    /// Moves on to `now`; a time that was before doesn't come again.
    pub fn advance(&mut self, now: Timestamp) {
        let minute = now.0.div_euclid(WINDOW_MS);
        if minute > self.minute {
            let last = std::mem::take(&mut self.current);
            self.before = if minute == self.minute + 1 { last } else { Bucket::default() };
            self.minute = minute;
        }
    }

    /// Adds what was noted, which stands for `stride` votes, to the current minute.
    pub fn add(&mut self, what: What, stride: u32) {
        let (bucket, weight) = (&mut self.current, f64::from(stride));
        let NotedVote { kind, network, device, choices } = match what {
            What::Vote(vote) => vote,
            What::Duplicate => {
                bucket.duplicates += weight;
                return;
            }
        };
        bucket.votes += weight;
        match kind {
            VoteKind::Plain => {}
            VoteKind::Proven => bucket.proven += weight,
            VoteKind::Unproven => bucket.unproven += weight,
            VoteKind::Forged => bucket.forged += weight,
        }
        if network != 0 {
            bucket.networks.add(network, choices, weight);
        }
        if device != 0 {
            bucket.devices.add(device, choices, weight);
        }
    }

    /// The votes in the window.
    pub fn votes(&self, now: Timestamp) -> f64 {
        self.sum(now, |bucket| bucket.votes)
    }

    /// What is known of the votes in the window.
    pub fn counts(&self, now: Timestamp) -> Counts {
        let share = self.share_of_before(now);
        let networks = self.current.networks.with(&self.before.networks, share);
        let devices = self.current.devices.with(&self.before.devices, share);
        let busy = || networks.iter().take(BUSY_NETWORKS).take_while(|network| network.votes >= BUSY_VOTES);
        let missing = self.sum(now, |bucket| bucket.unproven) - self.sum(now, |bucket| bucket.proven);
        Counts {
            votes: self.votes(now),
            largest_network: networks.first().map_or(0.0, |network| network.votes),
            busy_networks: busy().map(|network| network.votes).sum(),
            busy_lead: busy().map(|network| network.lead).sum(),
            busiest_device: devices.first().map_or(0.0, |device| device.votes),
            duplicates: self.sum(now, |bucket| bucket.duplicates),
            // An honest client is refused once, and comes back with a proof.
            bad_proofs: self.sum(now, |bucket| bucket.forged) + missing.max(0.0),
        }
    }

    /// Whether nothing has been noted for a minute at least.
    pub fn is_empty(&self) -> bool {
        [&self.current, &self.before].iter().all(|bucket| bucket.votes + bucket.duplicates == 0.0)
    }

    fn sum(&self, now: Timestamp, of: impl Fn(&Bucket) -> f64) -> f64 {
        of(&self.current) + of(&self.before) * self.share_of_before(now)
    }

    fn share_of_before(&self, now: Timestamp) -> f64 {
        let elapsed_ms = (now.0 - self.minute.saturating_mul(WINDOW_MS)).clamp(0, WINDOW_MS);
        1.0 - elapsed_ms as f64 / WINDOW_MS as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_800_000_000_000);

    fn vote(kind: VoteKind, network: u64) -> What {
        What::Vote(NotedVote { kind, network, device: 0, choices: 1 })
    }

    fn window(votes: impl IntoIterator<Item = What>) -> Window {
        let mut window = Window::default();
        window.advance(START);
        votes.into_iter().for_each(|what| window.add(what, 1));
        window
    }

    #[test]
    fn votes_leave_the_window_within_two_minutes() {
        let mut window = window((0..100).map(|_| vote(VoteKind::Plain, 1)));
        let mut after = |ms| {
            window.advance(START.plus_ms(ms));
            let counts = window.counts(START.plus_ms(ms));
            (counts.votes, counts.largest_network)
        };
        assert_eq!(after(59_999), (100.0, 100.0));
        assert_eq!(after(60_000), (100.0, 100.0));
        assert_eq!(after(90_000), (50.0, 50.0));
        assert_eq!(after(30_000), (100.0, 100.0), "a clock that was set back");
        assert_eq!(after(120_000), (0.0, 0.0));
        assert!(window.is_empty());
    }

    #[test]
    fn busy_networks_are_eight_that_send_more_than_a_person() {
        let networks = |count: u64, each: u64| (0..count * each).map(move |vote| vote % count + 1);
        let counts =
            |votes: Vec<u64>| window(votes.into_iter().map(|network| vote(VoteKind::Plain, network))).counts(START);
        assert_eq!(counts(networks(10, 59).collect()).busy_networks, 0.0);
        assert_eq!(counts(networks(10, 60).collect()).busy_networks, 480.0);
        assert_eq!(counts(networks(3, 100).collect()).busy_networks, 300.0);
        assert_eq!(counts(vec![0; 300]).largest_network, 0.0, "senders whose address isn't known");
    }

    #[test]
    fn missing_proof_is_balanced_by_one_that_comes_later() {
        let bad = |kinds: &[VoteKind]| window(kinds.iter().map(|kind| vote(*kind, 1))).counts(START).bad_proofs;
        assert_eq!(bad(&[VoteKind::Unproven, VoteKind::Unproven, VoteKind::Plain]), 2.0);
        assert_eq!(bad(&[VoteKind::Unproven, VoteKind::Proven]), 0.0);
        assert_eq!(bad(&[VoteKind::Proven, VoteKind::Proven, VoteKind::Forged]), 1.0);
    }
}
