//! Who sent a vote, as far as its poll asks.

use std::net::IpAddr;

use throng_domain::code::{Code, NotACode};
use throng_domain::policy::Policy;

use super::policy::Device;

/// Who sent a vote, as the poll's policy identifies voters. Nothing else of the sender is looked at.
#[derive(Clone, Copy, Debug)]
pub enum Sender {
    /// The poll identifies no voters.
    Anybody,
    /// The device whose valid token the request has, if it has one.
    Device(Option<Device>),
    /// The client's address.
    Network(IpAddr),
    /// The invitation code in the request, if it has one, or that what is in its place isn't one.
    Code(Option<Result<Code, NotACode>>),
}

impl Sender {
    /// The sender of a request for a poll with this policy; `device`, `address` and `code` look into the request.
    pub fn of(
        policy: Policy,
        device: impl FnOnce() -> Option<Device>,
        address: impl FnOnce() -> IpAddr,
        code: impl FnOnce() -> Option<Result<Code, NotACode>>,
    ) -> Self {
        match policy {
            Policy::Unlimited => Self::Anybody,
            Policy::Device => Self::Device(device()),
            Policy::Network => Self::Network(address()),
            Policy::Code => Self::Code(code()),
        }
    }
}
