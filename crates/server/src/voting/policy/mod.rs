//! What identifies a voter under each policy, and the voter's pseudonym in the poll: the only trace of it that is stored.
//!
//! Everything here is the start of HMAC-SHA256 under one key, which is derived from `APP_SECRET`, over a text:
//!
//! | what | bits | text |
//! |---|---|---|
//! | the signature in a device's token, and after it the device's pseudonym | 128 + 120 | `device {poll} {device}` |
//! | the id of a device that has no token yet | 128 | `device of ballot {poll} {ballot id}` |
//! | a network's pseudonym | 120 | `network voter {poll} {day} {network}` |
//! | the pseudonym of a publisher's user | 120 | `signed voter {poll} {sub}` |
//! | the pseudonym of who has a code | 120 | `code voter {poll} {code}` |
//!
//! `{poll}` is the poll's number in its store and `{day}` the number of days since 1970; both are decimal. `{device}` and
//! `{network}` are 32 hexadecimal digits; `{sub}` is the claim of that name in the user's token; `{code}` is written as
//! `ABCD-EFGH-JKMN-PQRS`.

mod code;
mod device;
mod key;
pub(super) mod network;
mod signed;

pub use self::code::code_voter;
pub use self::device::{Device, DeviceToken};
pub use self::key::PolicyKey;
pub use self::signed::{TokenFault, VoterToken};
