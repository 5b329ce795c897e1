//! How much of a crowd may come from one network.

use std::net::IpAddr;

use throng_domain::poll::Poll;

use super::Refusal;
use crate::intake::ShareUsed;
use crate::state::CoreState;

/// Takes a vote from the share that the sender's network has in `poll`, where shares are limited. `address` finds out the
/// sender's address.
///
/// A trusted proxy's own address is nobody's network: it stands for all voters whose addresses the proxy doesn't tell.
///
/// # Errors
/// [`Refusal::RateLimited`] if the share is used up.
pub fn take_share(core: &CoreState, poll: &Poll, address: impl FnOnce() -> IpAddr) -> Result<(), Refusal> {
    let Some(limit) = &core.app.network_limit else { return Ok(()) };
    let address = address();
    if core.app.config.trusted_proxies.contains(address) {
        return Ok(());
    }
    limit.take(poll.id, address).map_err(|ShareUsed { retry_after_s }| Refusal::RateLimited { retry_after_s })
}
