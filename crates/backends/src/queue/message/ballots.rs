//! The encoding of ballots.
//!
//! `count`, then for each ballot: flags, policy (in format 2), poll (omitted if it is that of the previous ballot), id, key
//! (omitted if it equals the id), acceptance time as the difference from the previous ballot, number of choices, choices as
//! differences. A ballot of an unlimited poll takes about 20 bytes. In format 4 a byte before the choices tells their form: chosen; ranked,
//! with each option as it is, in order; or scored, with a byte for the score after each difference.
//!
//! Format 2 is written only where a poll's policy identifies voters, format 3 only with a withdrawal, which has no choices, and
//! format 4 only with rankings or scores: so workers of the release before read all the others.

use throng_domain::ballot::{Ballot, BallotId, BallotKey, Choices, Form};
use throng_domain::clock::Timestamp;
use throng_domain::policy::Policy;
use throng_domain::poll::{OptionId, PollId};
use uuid::Uuid;

use super::reader::Reader;
use super::{Kind, MessageKey, NotAMessage, TooMuch, begin, open, seal, write_number, write_signed};

/// The maximum number of ballots in a message.
pub const BALLOTS_MAX: usize = 10_000;

/// The maximum number of choices on a ballot: more than any poll has options.
const CHOICES_MAX: usize = 1_000;

/// The minimum size of a ballot: flags, id, acceptance time, number of choices.
const BALLOT_BYTES_MIN: usize = 19;

const CHOSEN: u8 = 0;
const RANKED: u8 = 1;
const SCORED: u8 = 2;

const KEY_IS_ID: u8 = 1;
const SAME_POLL: u8 = 2;

/// Encodes ballots as one message.
///
/// # Errors
/// [`TooMuch`] if they exceed the limits of one message.
pub fn encode_ballots(key: &MessageKey, ballots: &[Ballot]) -> Result<Vec<u8>, TooMuch> {
    let too_much = TooMuch { what: "ballots", max: BALLOTS_MAX };
    if ballots.len() > BALLOTS_MAX || ballots.iter().any(|ballot| ballot.choices.as_slice().len() > CHOICES_MAX) {
        return Err(too_much);
    }
    let version = format_of(ballots);
    let mut message = begin(version, Kind::Ballots, 10 + ballots.len() * 2 * BALLOT_BYTES_MIN);
    write_number(&mut message, ballots.len() as u64);
    let (mut poll, mut accepted_at) = (None, 0);
    for ballot in ballots {
        let key_is_id = ballot.key.0 == *ballot.id.0.as_bytes();
        let same_poll = poll == Some(ballot.poll);
        message.push((u8::from(key_is_id) * KEY_IS_ID) | (u8::from(same_poll) * SAME_POLL));
        if version > 1 {
            message.push(policy_code(ballot.policy));
        }
        if !same_poll {
            write_signed(&mut message, ballot.poll.0);
        }
        message.extend(ballot.id.0.as_bytes());
        if !key_is_id {
            message.extend(ballot.key.0);
        }
        write_signed(&mut message, ballot.accepted_at.0.wrapping_sub(accepted_at));
        write_choices(&mut message, version, &ballot.choices);
        (poll, accepted_at) = (Some(ballot.poll), ballot.accepted_at.0);
    }
    seal(key, message, too_much)
}

/// Decodes a message of ballots.
///
/// # Errors
/// [`NotAMessage`]: the check that failed.
pub fn decode_ballots(key: &MessageKey, message: &[u8]) -> Result<Vec<Ballot>, NotAMessage> {
    let (version, contents) = open(key, message, Kind::Ballots)?;
    let mut reader = Reader::new(contents);
    let count = reader.count(BALLOTS_MAX, BALLOT_BYTES_MIN)?;
    let mut ballots = Vec::with_capacity(count);
    for _ in 0..count {
        let ballot = read_ballot(&mut reader, version, ballots.last())?;
        ballots.push(ballot);
    }
    reader.finish()?;
    if version != format_of(&ballots) {
        return Err(NotAMessage::Malformed("its ballots make it one of another format"));
    }
    Ok(ballots)
}

/// The format of a message with these ballots: the first one that can express them.
fn format_of(ballots: &[Ballot]) -> u8 {
    if ballots.iter().any(|ballot| !matches!(ballot.choices.form(), Form::Chosen(_))) {
        4
    } else if ballots.iter().any(|ballot| ballot.choices.is_blank()) {
        3
    } else if ballots.iter().any(|ballot| ballot.policy != Policy::Unlimited) {
        2
    } else {
        1
    }
}

fn read_ballot(reader: &mut Reader<'_>, version: u8, previous: Option<&Ballot>) -> Result<Ballot, NotAMessage> {
    let flags = reader.byte()?;
    if flags & !(KEY_IS_ID | SAME_POLL) != 0 {
        return Err(NotAMessage::Malformed("a ballot has unknown flags"));
    }
    let policy = if version > 1 { policy_of(reader.byte()?)? } else { Policy::Unlimited };
    let previous_poll = previous.map(|ballot| ballot.poll);
    let poll = if flags & SAME_POLL != 0 {
        previous_poll.ok_or(NotAMessage::Malformed("the first ballot refers to a previous one"))?
    } else {
        Some(PollId(reader.signed()?))
            .filter(|poll| Some(*poll) != previous_poll)
            .ok_or(NotAMessage::Malformed("a ballot repeats the poll of the previous one"))?
    };
    let id = reader.array()?;
    let key = if flags & KEY_IS_ID != 0 {
        id
    } else {
        Some(reader.array()?)
            .filter(|key| *key != id)
            .ok_or(NotAMessage::Malformed("a ballot repeats its id as its key"))?
    };
    let previous_accepted_at = previous.map_or(0, |ballot| ballot.accepted_at.0);
    let accepted_at = Timestamp(previous_accepted_at.wrapping_add(reader.signed()?));
    let choices = read_choices(reader, version)?;
    Ok(Ballot { poll, key: BallotKey(key), id: BallotId(Uuid::from_bytes(id)), choices, accepted_at, policy })
}

/// The code of a policy; a code is never used again for another one.
fn policy_code(policy: Policy) -> u8 {
    match policy {
        Policy::Unlimited => 0,
        Policy::Device => 1,
        Policy::Network => 2,
        Policy::Signed => 3,
        Policy::Code => 4,
    }
}

fn policy_of(code: u8) -> Result<Policy, NotAMessage> {
    match code {
        0 => Ok(Policy::Unlimited),
        1 => Ok(Policy::Device),
        2 => Ok(Policy::Network),
        3 => Ok(Policy::Signed),
        4 => Ok(Policy::Code),
        _ => Err(NotAMessage::Malformed("a ballot has an unknown policy")),
    }
}

fn write_choices(message: &mut Vec<u8>, version: u8, choices: &Choices) {
    let form = choices.form();
    if version > 3 {
        message.push(match form {
            Form::Chosen(_) => CHOSEN,
            Form::Ranked(_) => RANKED,
            Form::Scored(_) => SCORED,
        });
    }
    write_number(message, choices.as_slice().len() as u64);
    // Options that are in ascending order: the minimum of the next one.
    let mut min = 0;
    let mut write_ascending = |message: &mut Vec<u8>, OptionId(option): OptionId| {
        write_number(message, u64::from(option) - min);
        min = u64::from(option) + 1;
    };
    match form {
        Form::Chosen(options) => options.iter().for_each(|option| write_ascending(message, *option)),
        Form::Ranked(options) => options.iter().for_each(|OptionId(option)| write_number(message, u64::from(*option))),
        Form::Scored(scores) => scores.iter().for_each(|(option, score)| {
            write_ascending(message, option);
            message.push(score);
        }),
    }
}

fn read_choices(reader: &mut Reader<'_>, version: u8) -> Result<Choices, NotAMessage> {
    let form = if version > 3 { reader.byte()? } else { CHOSEN };
    let count = reader.count(CHOICES_MAX, 1)?;
    let mut min: u64 = 0;
    let mut read_ascending = |reader: &mut Reader<'_>| {
        let option = option(min.checked_add(reader.number()?))?;
        min = u64::from(option.0) + 1;
        Ok(option)
    };
    let choices = match form {
        CHOSEN if count == 0 && version > 2 => return Ok(Choices::blank()),
        CHOSEN => Choices::new((0..count).map(|_| read_ascending(reader)).collect::<Result<Vec<_>, _>>()?),
        RANKED => Choices::ranking((0..count).map(|_| option(Some(reader.number()?))).collect::<Result<Vec<_>, _>>()?),
        SCORED => {
            let scores = (0..count).map(|_| Ok((read_ascending(reader)?, reader.byte()?)));
            Choices::scores(scores.collect::<Result<Vec<_>, NotAMessage>>()?)
        }
        _ => return Err(NotAMessage::Malformed("a ballot has choices of an unknown form")),
    };
    choices.ok_or(NotAMessage::Malformed("a ballot has no choices, or an option twice"))
}

fn option(number: Option<u64>) -> Result<OptionId, NotAMessage> {
    let id = number.and_then(|number| u16::try_from(number).ok());
    id.map(OptionId).ok_or(NotAMessage::Malformed("a choice is too large"))
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;

    use super::*;

    fn key() -> MessageKey {
        MessageKey::new(&[7; 32])
    }

    fn any_ballot() -> impl Strategy<Value = Ballot> {
        let poll = prop_oneof![Just(1), any::<i64>()];
        let choices = (btree_set(any::<u16>(), 0..9), 0..3, any::<u8>());
        let policy = prop::sample::select(vec![
            Policy::Unlimited,
            Policy::Device,
            Policy::Network,
            Policy::Signed,
            Policy::Code,
        ]);
        (poll, any::<u128>(), any::<Option<[u8; 16]>>(), choices, any::<i64>(), policy).prop_map(
            |(poll, id, key, choices, accepted_at, policy)| {
                let id = Uuid::from_u128(id);
                let key = BallotKey(key.unwrap_or(id.into_bytes()));
                let (options, form, score) = choices;
                let options = options.into_iter().map(OptionId);
                let choices = match form {
                    0 => Choices::new(options),
                    // Not ascending.
                    1 => Choices::ranking(options.rev()),
                    _ => Choices::scores(options.map(|option| (option, score ^ option.0 as u8))),
                };
                let choices = choices.unwrap_or_else(Choices::blank);
                let accepted_at = Timestamp(accepted_at);
                Ballot { poll: PollId(poll), key, id: BallotId(id), choices, accepted_at, policy }
            },
        )
    }

    /// A node's batch has at most 1,000 ballots, a poll at most 100 options.
    #[test]
    fn largest_batch_of_a_node_fits_into_one_message() {
        let choices = Choices::new((0..100).map(|option| OptionId(u16::MAX - 600 * option))).unwrap();
        let ballot = |number: u128| Ballot {
            poll: PollId(if number.is_multiple_of(2) { i64::MIN } else { i64::MAX }),
            key: BallotKey([7; 16]),
            id: BallotId(Uuid::from_u128(number)),
            choices: choices.clone(),
            accepted_at: Timestamp(if number.is_multiple_of(2) { i64::MIN } else { i64::MAX }),
            policy: Policy::Device,
        };
        let message = encode_ballots(&key(), &(0..1_000).map(ballot).collect::<Vec<_>>()).unwrap();
        assert!(message.len() <= super::super::PUBLISHED_BYTES_MAX, "{}", message.len());
    }

    proptest! {
        #[test]
        fn encoded_ballots_are_decoded(ballots in vec(any_ballot(), 0..40)) {
            let message = encode_ballots(&key(), &ballots).unwrap();
            prop_assert_eq!(decode_ballots(&key(), &message).unwrap(), ballots);
        }

        #[test]
        fn any_flipped_bit_is_detected(ballots in vec(any_ballot(), 0..10), at: prop::sample::Index, bit in 0u8..8) {
            let mut message = encode_ballots(&key(), &ballots).unwrap();
            let at = at.index(message.len());
            message[at] ^= 1u8 << bit;
            let is_read = (super::super::VERSION_MIN..=super::super::VERSION).contains(&message[0]);
            let expected = if is_read { NotAMessage::Forged } else { NotAMessage::Version(message[0]) };
            prop_assert_eq!(decode_ballots(&key(), &message).unwrap_err(), expected);
        }

        #[test]
        fn arbitrary_bytes_are_rejected(bytes in vec(any::<u8>(), 0..200)) {
            prop_assert!(decode_ballots(&key(), &bytes).is_err());
        }

        /// With a valid authentication code, so that the contents are parsed.
        #[test]
        fn authentic_contents_have_one_encoding_or_are_rejected(
            contents in vec(any::<u8>(), 0..200),
            count in 0u8..4,
            version in 1u8..=4,
        ) {
            let mut message = begin(version, Kind::Ballots, 0);
            message.push(count);
            message.extend(contents);
            let message = seal(&key(), message, TooMuch { what: "", max: 0 }).unwrap();
            if let Ok(ballots) = decode_ballots(&key(), &message) {
                prop_assert_eq!(encode_ballots(&key(), &ballots).unwrap(), message);
            }
        }
    }

    #[test]
    fn ballot_takes_about_20_bytes() {
        let ballots: Vec<_> = (0..100)
            .map(|number| {
                let choices = Choices::new([OptionId(3)]).unwrap();
                let id = BallotId(Uuid::from_u128(number));
                Ballot::unlimited(PollId(1), id, choices, Timestamp(1_700_000_000_000))
            })
            .collect();
        assert!(encode_ballots(&key(), &ballots).unwrap().len() < 100 * 21);
    }

    #[test]
    fn error_names_the_failed_check() {
        let message = encode_ballots(&key(), &[]).unwrap();
        let wrong = |message: &[u8]| decode_ballots(&key(), message).unwrap_err();
        assert_eq!(wrong(&message[..33]), NotAMessage::Size(33));
        assert_eq!(wrong(&message[..34]), NotAMessage::Forged);
        assert_eq!(decode_ballots(&MessageKey::new(&[8; 32]), &message), Err(NotAMessage::Forged));
        let tallies = super::super::encode_tallies(&key(), &[]).unwrap();
        assert_eq!(wrong(&tallies), NotAMessage::Kind(2));
        assert_eq!(wrong(&vec![0; super::super::BYTES_MAX + 1]), NotAMessage::Size(super::super::BYTES_MAX + 1));
    }

    #[test]
    fn message_is_bounded() {
        let choices = Choices::new([OptionId(1)]).unwrap();
        let ballot = Ballot::unlimited(PollId(1), BallotId(Uuid::from_u128(1)), choices, Timestamp(1));
        assert!(encode_ballots(&key(), &vec![ballot.clone(); BALLOTS_MAX]).is_ok());
        assert!(encode_ballots(&key(), &vec![ballot.clone(); BALLOTS_MAX + 1]).is_err());
        let choices = Choices::new((0..=1_000).map(OptionId)).unwrap();
        assert!(encode_ballots(&key(), &[Ballot { choices, ..ballot }]).is_err());
    }
}
