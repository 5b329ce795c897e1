//! What was sent and isn't confirmed yet.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use crate::queue::rabbitmq::unconfirmed::Unconfirmed;

/// Told what came of a message.
pub(super) type Sender = oneshot::Sender<Result<(), Unconfirmed>>;

/// The messages that were sent on one channel and wait for their confirm. A channel's messages are numbered from 1, by both
/// sides, in the order they are sent.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    sent: u64,
    /// In the order of their numbers.
    waiting: VecDeque<Entry>,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    sender: Sender,
    /// The broker's words, if it returned the message: it will confirm it all the same.
    returned: Option<String>,
}

impl Ledger {
    /// Enters the next message; returns its number.
    pub(super) fn enter(&mut self, sender: Sender) -> u64 {
        self.sent += 1;
        self.waiting.push_back(Entry { number: self.sent, sender, returned: None });
        self.sent
    }

    /// The broker has sent this message back. Returns whether it waited.
    pub(super) fn returned(&mut self, number: u64, words: String) -> bool {
        let entry = self.waiting.iter_mut().find(|entry| entry.number == number);
        entry.map(|entry| entry.returned = Some(words)).is_some()
    }

    /// The broker has said its last word on this message, or with `and_before` on all up to it: whether it `took` them. Returns
    /// whether such a message was ever sent.
    pub(super) fn settle(&mut self, number: u64, and_before: bool, took: bool) -> bool {
        if !(1..=self.sent).contains(&number) {
            return false;
        }
        while let Some(first) = self.waiting.pop_front_if(|first| and_before && first.number <= number) {
            first.settle(took);
        }
        if let Some(at) = self.waiting.iter().position(|entry| entry.number == number)
            && let Some(entry) = self.waiting.remove(at)
        {
            entry.settle(took);
        }
        true
    }

    /// The broker will say nothing more: what came of the rest isn't known.
    pub(super) fn lose(&mut self, why: &str) {
        for entry in self.waiting.drain(..) {
            let _ = entry.sender.send(Err(Unconfirmed::Lost(why.into())));
        }
    }
}

impl Entry {
    /// A sender that went away doesn't need to know.
    fn settle(self, took: bool) {
        let outcome = match (self.returned, took) {
            (Some(words), _) => Err(Unconfirmed::Returned(words)),
            (None, true) => Ok(()),
            (None, false) => Err(Unconfirmed::Refused),
        };
        let _ = self.sender.send(outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = oneshot::Receiver<Result<(), Unconfirmed>>;

    fn ledger(messages: usize) -> (Ledger, Vec<Outcome>) {
        let mut ledger = Ledger::default();
        let outcomes = (0..messages).map(|_| {
            let (sender, outcome) = oneshot::channel();
            ledger.enter(sender);
            outcome
        });
        let outcomes = outcomes.collect();
        (ledger, outcomes)
    }

    /// What each sender was told, in short.
    fn told(outcomes: &mut [Outcome]) -> String {
        let word = |outcome: &mut Outcome| match outcome.try_recv() {
            Ok(Ok(())) => 'c',
            Ok(Err(Unconfirmed::Returned(_))) => 'r',
            Ok(Err(Unconfirmed::Refused)) => 'f',
            Ok(Err(Unconfirmed::Lost(_))) => 'l',
            Ok(Err(other)) => panic!("{other}"),
            Err(_) => '.',
        };
        outcomes.iter_mut().map(word).collect()
    }

    #[test]
    fn confirms_come_in_any_order_and_several_at_once() {
        let (mut ledger, mut outcomes) = ledger(5);
        assert!(ledger.settle(4, false, true));
        assert_eq!(told(&mut outcomes), "...c.");
        assert!(ledger.settle(2, true, true));
        assert_eq!(told(&mut outcomes), "cc...");
        assert!(ledger.settle(5, true, false));
        assert_eq!(told(&mut outcomes), "..f.f");
    }

    #[test]
    fn a_message_that_was_returned_is_not_taken_though_it_is_confirmed_and_no_other_is_taken_for_it() {
        let (mut ledger, mut outcomes) = ledger(3);
        assert!(ledger.returned(2, "NO_ROUTE".to_owned()));
        assert_eq!(told(&mut outcomes), "...");
        assert!(ledger.settle(1, false, true));
        assert!(ledger.settle(3, true, true));
        assert_eq!(told(&mut outcomes), "crc");
        assert!(!ledger.returned(2, "NO_ROUTE".to_owned()));
    }

    #[test]
    fn what_was_sent_and_is_not_settled_is_lost_with_the_connection() {
        let (mut ledger, mut outcomes) = ledger(3);
        assert!(ledger.settle(2, false, true));
        assert!(ledger.settle(2, false, true));
        assert!(!ledger.settle(0, true, true));
        assert!(!ledger.settle(4, true, true));
        ledger.lose("it ended");
        assert_eq!(told(&mut outcomes), "lcl");
    }
}
