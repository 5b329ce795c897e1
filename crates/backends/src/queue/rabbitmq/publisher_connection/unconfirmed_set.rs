//! The messages in flight that aren't confirmed yet.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use crate::queue::rabbitmq::confirm_channel::Unconfirmed;

/// Receives the outcome of a message.
pub(super) type Sender = oneshot::Sender<Result<(), Unconfirmed>>;

/// The messages published on one channel that wait for their confirm. Both sides number a channel's messages from 1, in the
/// order of publication.
#[derive(Debug, Default)]
pub(super) struct UnconfirmedSet {
    sent: u64,
    /// In the order of their numbers.
    waiting: VecDeque<Entry>,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    sender: Sender,
    /// The broker's reply text, if it returned the message: it confirms it nevertheless.
    returned: Option<String>,
}

impl UnconfirmedSet {
    /// Adds the next message; returns its number.
    pub(super) fn add(&mut self, sender: Sender) -> u64 {
        self.sent += 1;
        self.waiting.push_back(Entry { number: self.sent, sender, returned: None });
        self.sent
    }

    /// The broker has returned this message. Returns whether it was unconfirmed.
    pub(super) fn returned(&mut self, number: u64, reply_text: String) -> bool {
        let entry = self.waiting.iter_mut().find(|entry| entry.number == number);
        entry.map(|entry| entry.returned = Some(reply_text)).is_some()
    }

    /// The broker has acked or nacked this message, or with `multiple` all messages up to it. Returns whether a message with
    /// this number was ever published.
    pub(super) fn settle(&mut self, number: u64, multiple: bool, acked: bool) -> bool {
        if !(1..=self.sent).contains(&number) {
            return false;
        }
        while let Some(first) = self.waiting.pop_front_if(|first| multiple && first.number <= number) {
            first.settle(acked);
        }
        if let Some(at) = self.waiting.iter().position(|entry| entry.number == number)
            && let Some(entry) = self.waiting.remove(at)
        {
            entry.settle(acked);
        }
        true
    }

    /// The connection was lost: the outcome of all remaining messages is unknown.
    pub(super) fn fail_all(&mut self, why: &str) {
        for entry in self.waiting.drain(..) {
            let _ = entry.sender.send(Err(Unconfirmed::Lost(why.into())));
        }
    }
}

impl Entry {
    /// Reports the outcome. The receiver may have been dropped.
    fn settle(self, acked: bool) {
        let outcome = match (self.returned, acked) {
            (Some(reply_text), _) => Err(Unconfirmed::Returned(reply_text)),
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

    fn unconfirmed(messages: usize) -> (UnconfirmedSet, Vec<Outcome>) {
        let mut unconfirmed = UnconfirmedSet::default();
        let receivers = (0..messages).map(|_| {
            let (sender, receiver) = oneshot::channel();
            unconfirmed.add(sender);
            receiver
        });
        let receivers = receivers.collect();
        (unconfirmed, receivers)
    }

    /// One letter per message: confirmed, returned, refused (`f`), lost, or `.` if there is no outcome yet.
    fn outcomes(receivers: &mut [Outcome]) -> String {
        let letter = |receiver: &mut Outcome| match receiver.try_recv() {
            Ok(Ok(())) => 'c',
            Ok(Err(Unconfirmed::Returned(_))) => 'r',
            Ok(Err(Unconfirmed::Refused)) => 'f',
            Ok(Err(Unconfirmed::Lost(_))) => 'l',
            Ok(Err(other)) => panic!("{other}"),
            Err(_) => '.',
        };
        receivers.iter_mut().map(letter).collect()
    }

    #[test]
    fn confirms_arrive_in_any_order_and_several_at_once() {
        let (mut unconfirmed, mut receivers) = unconfirmed(5);
        assert!(unconfirmed.settle(4, false, true));
        assert_eq!(outcomes(&mut receivers), "...c.");
        assert!(unconfirmed.settle(2, true, true));
        assert_eq!(outcomes(&mut receivers), "cc...");
        assert!(unconfirmed.settle(5, true, false));
        assert_eq!(outcomes(&mut receivers), "..f.f");
    }

    #[test]
    fn returned_message_stays_returned_when_confirmed() {
        let (mut unconfirmed, mut receivers) = unconfirmed(3);
        assert!(unconfirmed.returned(2, "NO_ROUTE".to_owned()));
        assert_eq!(outcomes(&mut receivers), "...");
        assert!(unconfirmed.settle(1, false, true));
        assert!(unconfirmed.settle(3, true, true));
        assert_eq!(outcomes(&mut receivers), "crc");
        assert!(!unconfirmed.returned(2, "NO_ROUTE".to_owned()));
    }

    #[test]
    fn unsettled_messages_are_lost_with_the_connection() {
        let (mut unconfirmed, mut receivers) = unconfirmed(3);
        assert!(unconfirmed.settle(2, false, true));
        assert!(unconfirmed.settle(2, false, true));
        assert!(!unconfirmed.settle(0, true, true));
        assert!(!unconfirmed.settle(4, true, true));
        unconfirmed.fail_all("it ended");
        assert_eq!(outcomes(&mut receivers), "lcl");
    }
}
