//! Casting a ballot: the one place where a vote becomes a ballot and is submitted, whatever route it arrived by.

mod cast;
mod challenge;
mod code;
mod hex;
mod policy;
mod proof_demand;
mod proof_of_work;
mod receipt;
mod refusal;
mod rehearsal;
mod sender;
mod share;
mod standing;
mod voter;

pub use self::cast::{Cast, MissingId, Status, Vote, cast};
pub use self::challenge::challenge;
pub use self::policy::{Device, DeviceToken, PolicyKey, TokenFault, VoterToken, code_voter};
pub use self::proof_of_work::Challenge;
pub use self::receipt::{Receipt, ReceiptKey};
pub use self::refusal::{Earlier, Refusal};
pub use self::rehearsal::{PASS_LIFETIME_MAX_MS, RehearsalKey, RehearsalPass};
pub use self::sender::Sender;
pub use self::share::take_share;
pub use self::standing::{standing, withdraw};
