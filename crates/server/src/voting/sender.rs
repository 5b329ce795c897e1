//! Who sent a vote, as far as its poll asks.

use std::net::IpAddr;

use throng_domain::code::{Code, NotACode};

use super::policy::{Device, VoterToken};

/// Who sent a vote, as the poll's policy identifies voters. Nothing else of the sender is looked at.
#[derive(Debug)]
pub enum Sender {
    /// The poll identifies no voters.
    Anybody,
    /// The device whose valid token the request has, if it has one.
    Device(Option<Device>),
    /// The client's address.
    Network(IpAddr),
    /// The token of the publisher's user that the request has, if it has one; not verified.
    Signed(Option<VoterToken>),
    /// The invitation code in the request, if it has one, or that what is in its place isn't one.
    Code(Option<Result<Code, NotACode>>),
}
