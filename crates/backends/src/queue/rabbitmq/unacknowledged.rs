//! What the broker has delivered and not been told about yet.

use std::collections::BTreeSet;

/// The deliveries of one connection, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Unacknowledged(BTreeSet<u64>);

/// What the broker is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ack {
    pub(super) number: u64,
    /// Whether all deliveries before it are meant too.
    pub(super) multiple: bool,
}

impl Unacknowledged {
    pub(super) fn delivered(&mut self, number: u64) {
        self.0.insert(number);
    }

    /// Takes out `numbers`; returns the fewest acknowledgements that name them and no other. A number that isn't there
    /// is passed over: the broker ends a connection that acknowledges twice.
    pub(super) fn done(&mut self, numbers: impl IntoIterator<Item = u64>) -> Vec<Ack> {
        let done: BTreeSet<u64> = numbers.into_iter().filter(|number| self.0.remove(number)).collect();
        let first_kept = self.0.first().copied().unwrap_or(u64::MAX);
        let together = done.range(..first_kept).next_back().copied();
        let together = together.map(|number| Ack { number, multiple: true });
        let singly = done.range(first_kept..).map(|number| Ack { number: *number, multiple: false });
        together.into_iter().chain(singly).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn one(number: u64) -> Ack {
        Ack { number, multiple: false }
    }

    fn up_to(number: u64) -> Ack {
        Ack { number, multiple: true }
    }

    fn delivered(numbers: impl IntoIterator<Item = u64>) -> Unacknowledged {
        let mut unacknowledged = Unacknowledged::default();
        numbers.into_iter().for_each(|number| unacknowledged.delivered(number));
        unacknowledged
    }

    #[test]
    fn what_was_delivered_first_is_acknowledged_together() {
        let mut unacknowledged = delivered(1..=9);
        assert_eq!(unacknowledged.done([3, 1, 2]), [up_to(3)]);
        assert_eq!(unacknowledged.done([4, 6, 8]), [up_to(4), one(6), one(8)]);
        assert_eq!(unacknowledged.done([5, 9]), [up_to(6 - 1), one(9)]);
        assert_eq!(unacknowledged.done([7]), [up_to(7)]);
    }

    #[test]
    fn nothing_is_acknowledged_twice() {
        let mut unacknowledged = delivered([1, 2]);
        assert_eq!(unacknowledged.done([1, 1]), [up_to(1)]);
        assert_eq!(unacknowledged.done([1, 7]), []);
    }

    proptest! {
        /// A broker that keeps to the protocol has told us exactly what was done, and never complains.
        #[test]
        fn the_broker_hears_exactly_what_was_done(batches in vec(vec(1..40_u64, 0..8), 0..12)) {
            let mut unacknowledged = delivered(1..40);
            let (mut kept, mut broker): (BTreeSet<u64>, BTreeSet<u64>) = ((1..40).collect(), (1..40).collect());
            for numbers in batches {
                for Ack { number, multiple } in unacknowledged.done(numbers.iter().copied()) {
                    prop_assert!(broker.remove(&number), "{number} is acknowledged twice");
                    broker.retain(|kept| !multiple || *kept > number);
                }
                kept.retain(|number| !numbers.contains(number));
                prop_assert_eq!(&broker, &kept);
            }
        }
    }
}
