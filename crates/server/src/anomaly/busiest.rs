//! The busiest senders of a stream of votes, in bounded memory.
//!
//! Misra and Gries, "Finding repeated elements" (1982), with weights. A sender is never counted with more votes than it sent,
//! and with at most a 65th of all votes less: a crowd of many senders raises no count, and one that sends a fifth of the votes
//! can't hide in it.

use std::collections::HashMap;

/// How many senders are counted at once.
const SENDERS_MAX: usize = 64;

/// The busiest senders.
#[derive(Debug, Default)]
pub struct Busiest(HashMap<u64, Sender>);

/// A sender's votes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sender {
    /// How many.
    pub votes: f64,
    /// The choices of most of them, if there are such: by the majority vote algorithm of Boyer and Moore.
    choices: u64,
    /// By how many votes these choices lead all others together.
    pub lead: f64,
}

impl Busiest {
    /// Counts `weight` votes of this sender, with these choices.
    pub fn add(&mut self, sender: u64, choices: u64, weight: f64) {
        if let Some(known) = self.0.get_mut(&sender) {
            known.add(Sender { votes: weight, choices, lead: weight });
        } else if self.0.len() < SENDERS_MAX {
            self.0.insert(sender, Sender { votes: weight, choices, lead: weight });
        } else {
            let fewest = self.0.values().map(|sender| sender.votes).fold(weight, f64::min);
            self.0.retain(|_, sender| {
                sender.votes -= fewest;
                sender.lead = sender.lead.min(sender.votes);
                sender.votes > 0.0
            });
            let rest = weight - fewest;
            if rest > 0.0 {
                self.0.insert(sender, Sender { votes: rest, choices, lead: rest });
            }
        }
    }

    /// The senders by their votes, the busiest first: those counted here, and `share` of those counted in `before`.
    pub fn with(&self, before: &Self, share: f64) -> Vec<Sender> {
        let mut all = self.0.clone();
        for (id, sender) in &before.0 {
            let scaled = Sender { votes: sender.votes * share, lead: sender.lead * share, ..*sender };
            all.entry(*id).and_modify(|known| known.add(scaled)).or_insert(scaled);
        }
        let mut all: Vec<_> = all.into_values().collect();
        all.sort_unstable_by(|one, other| other.votes.total_cmp(&one.votes));
        all
    }
}

impl Sender {
    fn add(&mut self, more: Self) {
        self.votes += more.votes;
        if self.choices == more.choices {
            self.lead += more.lead;
        } else if self.lead >= more.lead {
            self.lead -= more.lead;
        } else {
            (self.choices, self.lead) = (more.choices, more.lead - self.lead);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counted(votes: impl IntoIterator<Item = (u64, u64)>) -> Busiest {
        let mut busiest = Busiest::default();
        votes.into_iter().for_each(|(sender, choices)| busiest.add(sender, choices, 1.0));
        busiest
    }

    #[test]
    fn majority_choices_lead_the_others() {
        let busiest = counted((0..100).map(|vote| (7, if vote % 10 == 0 { 2 } else { 1 })));
        let [sender] = busiest.with(&Busiest::default(), 1.0)[..] else { panic!("{busiest:?}") };
        assert_eq!((sender.votes, sender.lead), (100.0, 80.0));
        let both = busiest.with(&busiest, 0.5);
        assert_eq!((both[0].votes, both[0].lead), (150.0, 120.0));
    }

    proptest! {
        /// S29, for the score: however many senders there are, memory stays bounded and no count is too high.
        #[test]
        fn count_is_a_65th_of_all_votes_too_low_at_most(senders in proptest::collection::vec(0_u64..200, 0..4_000)) {
            let busiest = counted(senders.iter().map(|sender| (*sender, 1)));
            prop_assert!(busiest.0.len() <= SENDERS_MAX);
            for sender in 0..200 {
                let sent = senders.iter().filter(|other| **other == sender).count() as f64;
                let count = busiest.0.get(&sender).map_or(0.0, |known| known.votes);
                prop_assert!(count <= sent && sent - count <= senders.len() as f64 / 65.0, "{} of {}", count, sent);
            }
        }
    }
}
