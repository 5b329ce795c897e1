//! A result as the bytes that memcached stores. They are verified when they are read: any client of memcached can write there.
//!
//! ```text
//! throng-result/1 <poll> <seq> <voters> <as_of> <option>:<count>,… <checksum>
//! ```
//! The checksum covers the key and everything before it, so that a value is valid only under its own key.

use sha2::{Digest, Sha256};
use throng_domain::cache::CachedTallies;
use throng_domain::clock::Timestamp;
use throng_domain::poll::{OptionId, PollId};
use throng_domain::tally::Tallies;

/// The format above. Its number increases with every change: a value of another version is invalid.
const FORMAT: &str = "throng-result/1";

/// The value to be stored under `key`.
pub(super) fn encode(key: &str, CachedTallies { tallies, as_of }: &CachedTallies) -> String {
    let counts: Vec<_> = tallies.counts.iter().map(|(option, count)| format!("{option}:{count}")).collect();
    let (PollId(poll), Timestamp(as_of)) = (tallies.poll, as_of);
    let text = format!("{FORMAT} {poll} {} {} {as_of} {}", tallies.seq, tallies.voters, counts.join(","));
    let checksum = checksum(key, &text);
    format!("{text} {checksum}")
}

/// The result of `poll` that was stored under `key`; `None` for anything else.
pub(super) fn decode(key: &str, poll: PollId, bytes: &[u8]) -> Option<CachedTallies> {
    let (text, stored_checksum) = std::str::from_utf8(bytes).ok()?.rsplit_once(' ')?;
    if stored_checksum != checksum(key, text) {
        return None;
    }
    let fields: Vec<_> = text.split(' ').collect();
    let [FORMAT, stored_poll, seq, voters, as_of, counts] = fields[..] else { return None };
    let tallies = Tallies {
        poll: PollId(stored_poll.parse().ok()?),
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

fn checksum(key: &str, text: &str) -> String {
    let hash = Sha256::new().chain_update(key).chain_update(" ").chain_update(text).finalize();
    hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use throng_domain::contract::cache::result;

    use super::*;

    #[test]
    fn value_is_read_as_written() {
        let mut without_options = result(7, 3);
        without_options.tallies.counts.clear();
        for written in [result(7, 3), result(7, u64::MAX / 2), without_options] {
            let value = encode("key", &written);
            assert_eq!(decode("key", PollId(7), value.as_bytes()), Some(written), "{value}");
        }
    }

    #[test]
    fn value_changed_in_any_byte_is_none() {
        let value = encode("key", &result(7, 3)).into_bytes();
        for at in 0..value.len() {
            assert_eq!(decode("key", PollId(7), &value[..at]), None, "cut at {at}");
            let mut changed = value.clone();
            changed[at] ^= 1;
            assert_eq!(decode("key", PollId(7), &changed), None, "changed at {at}");
        }
    }

    #[test]
    fn value_of_another_poll_or_key_is_none() {
        let value = encode("key", &result(7, 3));
        assert_eq!(decode("key", PollId(8), value.as_bytes()), None);
        assert_eq!(decode("other", PollId(7), value.as_bytes()), None);
    }

    #[test]
    fn value_of_another_version_is_none() {
        let (text, _) = encode("key", &result(7, 3))
            .rsplit_once(' ')
            .map(|(text, checksum)| (text.to_owned(), checksum.to_owned()))
            .unwrap();
        let later = text.replace("result/1", "result/2");
        let value = format!("{later} {}", checksum("key", &later));
        assert_eq!(decode("key", PollId(7), value.as_bytes()), None);
    }
}
