//! A result as the bytes that memcached keeps, which are checked when they come back: anybody may write there.
//!
//! ```text
//! throng-result/1 <poll> <seq> <voters> <as_of> <option>:<count>,… <sum>
//! ```
//! The sum is taken over the key and all that stands before it, so that a value is good under its own key only.

use sha2::{Digest, Sha256};
use throng_domain::cache::CachedTallies;
use throng_domain::clock::Timestamp;
use throng_domain::poll::{OptionId, PollId};
use throng_domain::tally::Tallies;

/// The form above. Whoever changes it counts up: another version's value is no value.
const FORM: &str = "throng-result/1";

/// The value to be kept under `key`.
pub(super) fn encode(key: &str, CachedTallies { tallies, as_of }: &CachedTallies) -> String {
    let counts: Vec<_> = tallies.counts.iter().map(|(option, count)| format!("{option}:{count}")).collect();
    let (PollId(poll), Timestamp(as_of)) = (tallies.poll, as_of);
    let text = format!("{FORM} {poll} {} {} {as_of} {}", tallies.seq, tallies.voters, counts.join(","));
    let sum = sum(key, &text);
    format!("{text} {sum}")
}

/// The result of `poll` that was kept under `key`; `None` for anything else.
pub(super) fn decode(key: &str, poll: PollId, bytes: &[u8]) -> Option<CachedTallies> {
    let (text, its_sum) = std::str::from_utf8(bytes).ok()?.rsplit_once(' ')?;
    if its_sum != sum(key, text) {
        return None;
    }
    let fields: Vec<_> = text.split(' ').collect();
    let [FORM, its_poll, seq, voters, as_of, counts] = fields[..] else { return None };
    let tallies = Tallies {
        poll: PollId(its_poll.parse().ok()?),
        seq: seq.parse().ok()?,
        voters: voters.parse().ok()?,
        counts: counts.split(',').filter(|count| !count.is_empty()).map(count).collect::<Option<_>>()?,
    };
    (tallies.poll == poll).then_some(CachedTallies { tallies, as_of: Timestamp(as_of.parse().ok()?) })
}

fn count(text: &str) -> Option<(OptionId, u64)> {
    let (option, count) = text.split_once(':')?;
    Some((OptionId(option.parse().ok()?), count.parse().ok()?))
}

fn sum(key: &str, text: &str) -> String {
    let hash = Sha256::new().chain_update(key).chain_update(" ").chain_update(text).finalize();
    hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use throng_domain::contract::cache::result;

    use super::*;

    #[test]
    fn a_value_reads_as_it_was_written() {
        let mut without_options = result(7, 3);
        without_options.tallies.counts.clear();
        for written in [result(7, 3), result(7, u64::MAX / 2), without_options] {
            let value = encode("key", &written);
            assert_eq!(decode("key", PollId(7), value.as_bytes()), Some(written), "{value}");
        }
    }

    #[test]
    fn a_value_that_was_touched_in_any_byte_is_none() {
        let value = encode("key", &result(7, 3)).into_bytes();
        for at in 0..value.len() {
            assert_eq!(decode("key", PollId(7), &value[..at]), None, "cut at {at}");
            let mut touched = value.clone();
            touched[at] ^= 1;
            assert_eq!(decode("key", PollId(7), &touched), None, "touched at {at}");
        }
    }

    #[test]
    fn another_polls_value_and_another_keys_are_none() {
        let value = encode("key", &result(7, 3));
        assert_eq!(decode("key", PollId(8), value.as_bytes()), None);
        assert_eq!(decode("other", PollId(7), value.as_bytes()), None);
    }

    #[test]
    fn another_versions_value_is_none() {
        let (text, _) =
            encode("key", &result(7, 3)).rsplit_once(' ').map(|(text, sum)| (text.to_owned(), sum.to_owned())).unwrap();
        let later = text.replace("result/1", "result/2");
        let value = format!("{later} {}", sum("key", &later));
        assert_eq!(decode("key", PollId(7), value.as_bytes()), None);
    }
}
