//! What the broker has delivered and not been told about yet.

use std::collections::BTreeSet;

/// The deliveries of one connection, by their numbers, which the broker counts from 1.
#[derive(Debug, Default)]
pub(super) struct Unacknowledged {
    open: BTreeSet<u64>,
    /// Those that were sent before one that is here, and aren't here yet: a message that was asked for comes by another way
    /// than those that come by themselves.
    coming: BTreeSet<u64>,
    last: u64,
}

/// What the broker is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ack {
    pub(super) number: u64,
    /// Whether all deliveries before it are meant too.
    pub(super) multiple: bool,
}

impl Unacknowledged {
    pub(super) fn delivered(&mut self, number: u64) {
        self.coming.extend(self.last + 1..number);
        self.coming.remove(&number);
        self.last = self.last.max(number);
        self.open.insert(number);
    }

    /// The greatest number that was delivered; 0 before the first.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Whether all up to this number were delivered and done with.
    pub(super) fn are_done_up_to(&self, number: u64) -> bool {
        self.first_kept() > number
    }

    /// Takes out `numbers`; returns the fewest acknowledgements that name them and no other. A number that isn't there
    /// is passed over: the broker ends a connection that acknowledges twice.
    pub(super) fn done(&mut self, numbers: impl IntoIterator<Item = u64>) -> Vec<Ack> {
        let done: BTreeSet<u64> = numbers.into_iter().filter(|number| self.open.remove(number)).collect();
        let first_kept = self.first_kept();
        let together = done.range(..first_kept).next_back().copied();
        let together = together.map(|number| Ack { number, multiple: true });
        let singly = done.range(first_kept..).map(|number| Ack { number: *number, multiple: false });
        together.into_iter().chain(singly).collect()
    }

    /// The first that isn't done with, here or on its way.
    fn first_kept(&self) -> u64 {
        self.open.first().into_iter().chain(self.coming.first()).min().copied().unwrap_or(u64::MAX)
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

    #[test]
    fn what_is_still_coming_is_not_acknowledged_together_with_what_came_before_it() {
        let mut unacknowledged = delivered([1, 4]);
        assert_eq!(unacknowledged.done([4]), [one(4)]);
        assert!(!unacknowledged.are_done_up_to(1));
        assert_eq!(unacknowledged.done([1]), [up_to(1)]);
        assert!(unacknowledged.are_done_up_to(1) && !unacknowledged.are_done_up_to(2));
        (2..4).for_each(|number| unacknowledged.delivered(number));
        assert!(!unacknowledged.are_done_up_to(4));
        assert_eq!(unacknowledged.done([2, 3]), [up_to(3)]);
        assert!(unacknowledged.are_done_up_to(4) && unacknowledged.last() == 4);
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
