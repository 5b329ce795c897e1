//! What is sent through the broker: versioned, authenticated, compact, and read strictly.
//!
//! A message is `version, kind, contents, code`: a byte each for version and kind, and as the last 32 bytes the
//! HMAC-SHA256 over all before it. So nobody who can merely write to the broker can cast ballots or announce results,
//! and a message damaged on its way is noticed. Numbers are in LEB128, each in its shortest form, those that may be
//! negative zigzagged: what was written is the only way to write it.

mod ballots;
mod reader;
mod tallies;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

pub use self::ballots::{BALLOTS_MAX, decode_ballots, encode_ballots};
pub use self::tallies::{TALLIES_MAX, decode_tallies, encode_tallies};

/// The longest message that is made or read, in bytes.
pub const BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a broker has to take in one message: 1,000 ballots, the most that a node puts into one, with 100 choices on each.
pub const PUBLISHED_BYTES_MAX: usize = 512 * 1024;

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 2;
const CODE_BYTES: usize = 32;

/// The key that messages are authenticated with: the same in every process of a deployment.
#[derive(Clone)]
pub struct MessageKey(Hmac<Sha256>);

impl MessageKey {
    /// The key made of these bytes, which must come from the deployment's secret and serve nothing else.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(Hmac::new_from_slice(secret).expect("an HMAC takes a key of any length"))
    }
}

impl std::fmt::Debug for MessageKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MessageKey(…)")
    }
}

/// Why bytes aren't a message, by the first check that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAMessage {
    /// Too many bytes, or too few.
    #[error("it has {0} bytes, and a message has {least} to {BYTES_MAX}", least = HEAD_BYTES + CODE_BYTES)]
    Size(usize),
    /// Written by a Throng that knows more than this one, or by something else.
    #[error("it is of version {0}, and this Throng knows version {VERSION} alone")]
    Version(u8),
    /// Forged, damaged, or made under another key.
    #[error("its authentication code is wrong: it was made under another APP_SECRET, or changed on its way")]
    Forged,
    /// Ours, but not for this queue.
    #[error("it is of kind {0}, which doesn't belong here")]
    Kind(u8),
    /// Ours, and yet not as we write them.
    #[error("its contents are malformed: {0}")]
    Malformed(&'static str),
}

/// More than one message holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("one message holds at most {max} {what}, and {BYTES_MAX} bytes")]
pub struct TooMuch {
    what: &'static str,
    max: usize,
}

/// What a message holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ballots = 1,
    Tallies = 2,
}

/// The beginning of a message; its contents are appended, then it is sealed.
fn begin(kind: Kind, capacity: usize) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEAD_BYTES + capacity + CODE_BYTES);
    message.extend([VERSION, kind as u8]);
    message
}

fn seal(key: &MessageKey, mut message: Vec<u8>, or: TooMuch) -> Result<Vec<u8>, TooMuch> {
    message.extend(key.0.clone().chain_update(&message).finalize().into_bytes());
    if message.len() > BYTES_MAX { Err(or) } else { Ok(message) }
}

/// The contents of a message that is authentic and of this kind.
fn open<'a>(key: &MessageKey, message: &'a [u8], kind: Kind) -> Result<&'a [u8], NotAMessage> {
    let size = NotAMessage::Size(message.len());
    if message.len() > BYTES_MAX {
        return Err(size);
    }
    let (signed, code) = message.split_last_chunk::<CODE_BYTES>().ok_or_else(|| size.clone())?;
    let (head, contents) = signed.split_first_chunk::<HEAD_BYTES>().ok_or(size)?;
    let [version, actual_kind] = *head;
    if version != VERSION {
        return Err(NotAMessage::Version(version));
    }
    key.0.clone().chain_update(signed).verify_slice(code).map_err(|_| NotAMessage::Forged)?;
    if actual_kind != kind as u8 {
        return Err(NotAMessage::Kind(actual_kind));
    }
    Ok(contents)
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
