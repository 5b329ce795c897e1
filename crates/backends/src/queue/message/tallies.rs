//! The encoding of tallies: `count`, then for each poll its id, `seq`, number of voters, number of options, and each option
//! with its count.

use throng_domain::poll::{OptionId, PollId};
use throng_domain::tally::Tallies;

use super::reader::Reader;
use super::{Kind, MessageKey, NotAMessage, TALLIES_VERSION, TooMuch, begin, open, seal, write_number, write_signed};

/// The maximum number of tallies in a message.
pub const TALLIES_MAX: usize = 1_000;

/// The maximum number of options in a poll's tallies: more than any poll has.
const OPTIONS_MAX: usize = 1_000;

/// Encodes tallies as one message.
///
/// # Errors
/// [`TooMuch`] if they exceed the limits of one message.
pub fn encode_tallies(key: &MessageKey, tallies: &[Tallies]) -> Result<Vec<u8>, TooMuch> {
    let too_much = TooMuch { what: "tallies", max: TALLIES_MAX };
    if tallies.len() > TALLIES_MAX || tallies.iter().any(|tallies| tallies.counts.len() > OPTIONS_MAX) {
        return Err(too_much);
    }
    let mut message = begin(TALLIES_VERSION, Kind::Tallies, 10 + tallies.len() * 64);
    write_number(&mut message, tallies.len() as u64);
    for Tallies { poll, seq, voters, counts } in tallies {
        write_signed(&mut message, poll.0);
        write_number(&mut message, *seq);
        write_number(&mut message, *voters);
        write_number(&mut message, counts.len() as u64);
        for (option, count) in counts {
            write_number(&mut message, option.0.into());
            write_number(&mut message, *count);
        }
    }
    seal(key, message, too_much)
}

/// Decodes a message of tallies.
///
/// # Errors
/// [`NotAMessage`]: the check that failed.
pub fn decode_tallies(key: &MessageKey, message: &[u8]) -> Result<Vec<Tallies>, NotAMessage> {
    let (_, contents) = open(key, message, Kind::Tallies)?;
    let mut reader = Reader::new(contents);
    let count = reader.count(TALLIES_MAX, 4)?;
    let tallies = (0..count).map(|_| read_tallies(&mut reader)).collect::<Result<_, _>>()?;
    reader.finish()?;
    Ok(tallies)
}

fn read_tallies(reader: &mut Reader<'_>) -> Result<Tallies, NotAMessage> {
    let (poll, seq, voters) = (PollId(reader.signed()?), reader.number()?, reader.number()?);
    let counts = (0..reader.count(OPTIONS_MAX, 2)?).map(|_| read_count(reader)).collect::<Result<_, _>>()?;
    Ok(Tallies { poll, seq, voters, counts })
}

fn read_count(reader: &mut Reader<'_>) -> Result<(OptionId, u64), NotAMessage> {
    let option = u16::try_from(reader.number()?).map_err(|_| NotAMessage::Malformed("an option is too large"))?;
    Ok((OptionId(option), reader.number()?))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn key() -> MessageKey {
        MessageKey::new(&[7; 32])
    }

    fn any_tallies() -> impl Strategy<Value = Tallies> {
        (any::<i64>(), any::<u64>(), any::<u64>(), vec((any::<u16>(), any::<u64>()), 0..9)).prop_map(
            |(poll, seq, voters, counts)| {
                let counts = counts.into_iter().map(|(option, count)| (OptionId(option), count)).collect();
                Tallies { poll: PollId(poll), seq, voters, counts }
            },
        )
    }

    proptest! {
        #[test]
        fn encoded_tallies_are_decoded(tallies in vec(any_tallies(), 0..20)) {
            let message = encode_tallies(&key(), &tallies).unwrap();
            prop_assert_eq!(decode_tallies(&key(), &message).unwrap(), tallies);
        }

        #[test]
        fn authentic_contents_have_one_encoding_or_are_rejected(contents in vec(any::<u8>(), 0..100)) {
            let mut message = begin(TALLIES_VERSION, Kind::Tallies, 0);
            message.extend(contents);
            let message = seal(&key(), message, TooMuch { what: "", max: 0 }).unwrap();
            if let Ok(tallies) = decode_tallies(&key(), &message) {
                prop_assert_eq!(encode_tallies(&key(), &tallies).unwrap(), message);
            }
        }
    }
}
