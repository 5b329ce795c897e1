//! The message format: versioned, authenticated, compact, and parsed strictly.
//!
//! A message is `version, kind, contents, code`: one byte each for version and kind; the last 32 bytes are the HMAC-SHA256 of
//! everything before them. So write access to the broker isn't enough to cast ballots or publish results, and damaged
//! messages are detected. Numbers are LEB128 in their shortest form, signed ones zigzag-encoded: every message has exactly one
//! encoding.

mod ballots;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails where it can't go on")]
mod fixtures;
mod reader;
mod tallies;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

pub use self::ballots::{BALLOTS_MAX, decode_ballots, encode_ballots};
pub use self::tallies::{TALLIES_MAX, decode_tallies, encode_tallies};

/// The maximum size of a message that is encoded or decoded, in bytes.
pub const BYTES_MAX: usize = 4 * 1024 * 1024;

/// The message size that a broker must accept, in bytes: 1,000 ballots, the most that a node puts into one message, with 100
/// choices each.
pub const PUBLISHED_BYTES_MAX: usize = 512 * 1024;

/// The newest format: that of ballots.
const VERSION: u8 = 4;

/// The newest format of tallies.
const TALLIES_VERSION: u8 = 1;

/// The oldest format that is read: that of the release before. So workers are upgraded first, and read what both write. A worker
/// has to write results in the format of the release before: the web nodes that read them are upgraded last.
const VERSION_MIN: u8 = 1;

const HEADER_BYTES: usize = 2;
const CODE_BYTES: usize = 32;

/// The key that authenticates messages: the same in every process of a deployment.
#[derive(Clone)]
pub struct MessageKey(Hmac<Sha256>);

impl MessageKey {
    /// The key with these bytes, which must be derived from the deployment's secret for this purpose only.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(Hmac::new_from_slice(secret).expect("HMAC accepts keys of any length"))
    }
}

impl std::fmt::Debug for MessageKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MessageKey(…)")
    }
}

/// Why bytes aren't a valid message: the first check that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAMessage {
    /// Too many bytes, or too few.
    #[error("it has {0} bytes; a message has {min} to {BYTES_MAX}", min = HEADER_BYTES + CODE_BYTES)]
    Size(usize),
    /// Written by a newer version of Throng, or by other software.
    #[error("it has format version {0}; this version of Throng supports {VERSION_MIN} to {VERSION}")]
    Version(u8),
    /// Forged, damaged, or authenticated with another key.
    #[error("its authentication code is invalid: it was published with another APP_SECRET, or modified in transit")]
    Forged,
    /// Valid, but not for this queue.
    #[error("it is of kind {0}, which is not expected on this queue")]
    Kind(u8),
    /// Authentic, but not a valid encoding.
    #[error("its contents are malformed: {0}")]
    Malformed(&'static str),
}

/// The contents exceed the limits of one message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message holds at most {max} {what} and {BYTES_MAX} bytes")]
pub struct TooMuch {
    what: &'static str,
    max: usize,
}

/// The kind of a message's contents.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ballots = 1,
    Tallies = 2,
}

impl Kind {
    /// The newest format of this kind.
    fn newest(self) -> u8 {
        match self {
            Self::Ballots => VERSION,
            Self::Tallies => TALLIES_VERSION,
        }
    }
}

/// The header of a message, to which the contents are appended before [`seal`].
fn begin(version: u8, kind: Kind, capacity: usize) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER_BYTES + capacity + CODE_BYTES);
    message.extend([version, kind as u8]);
    message
}

/// Appends the authentication code. Returns `too_much` if the message is too long.
fn seal(key: &MessageKey, mut message: Vec<u8>, too_much: TooMuch) -> Result<Vec<u8>, TooMuch> {
    message.extend(key.0.clone().chain_update(&message).finalize().into_bytes());
    if message.len() > BYTES_MAX { Err(too_much) } else { Ok(message) }
}

/// The format and the contents of a message, once it is verified to be authentic and of this kind.
fn open<'a>(key: &MessageKey, message: &'a [u8], kind: Kind) -> Result<(u8, &'a [u8]), NotAMessage> {
    let size = NotAMessage::Size(message.len());
    if message.len() > BYTES_MAX {
        return Err(size);
    }
    let (signed, code) = message.split_last_chunk::<CODE_BYTES>().ok_or_else(|| size.clone())?;
    let (header, contents) = signed.split_first_chunk::<HEADER_BYTES>().ok_or(size)?;
    let [version, actual_kind] = *header;
    if !(VERSION_MIN..=kind.newest()).contains(&version) {
        return Err(NotAMessage::Version(version));
    }
    key.0.clone().chain_update(signed).verify_slice(code).map_err(|_| NotAMessage::Forged)?;
    if actual_kind != kind as u8 {
        return Err(NotAMessage::Kind(actual_kind));
    }
    Ok((version, contents))
}

fn write_number(message: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        message.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    message.push(number as u8);
}

fn write_signed(message: &mut Vec<u8>, number: i64) {
    write_number(message, ((number << 1) ^ (number >> 63)).cast_unsigned());
}
