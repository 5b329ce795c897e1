//! Who sent a vote, from its request, and how the response lets the voter's browser say so next time.

use std::net::IpAddr;

use hyper::HeaderMap;
use hyper::header::{COOKIE, FORWARDED, HeaderName, ORIGIN, SET_COOKIE};
use throng_domain::policy::Policy;
use throng_domain::poll::Poll;

use super::client_info::headers_in;
use super::device_cookie::{DeviceCookie, X_FORWARDED_PROTO};
use super::forwarded::{X_FORWARDED_FOR, client_address};
use super::origin::SEC_FETCH_SITE;
use crate::anomaly::is_scored;
use crate::net::SimpleRequest;
use crate::state::CoreState;
use crate::voting::{self, Device, DeviceToken, PolicyKey, Refusal, Sender, VoterToken};

/// A voter's token: of a device, where no cookie is kept, or of the publisher's user; or an invitation code.
pub const THRONG_VOTER: HeaderName = HeaderName::from_static("throng-voter");

/// The headers from which a sender is identified.
const IDENTIFYING: [HeaderName; 7] =
    [COOKIE, FORWARDED, ORIGIN, SEC_FETCH_SITE, THRONG_VOTER, X_FORWARDED_FOR, X_FORWARDED_PROTO];

/// Takes a vote from the share of the network that sent a request with these headers, received from `peer`. Every route does so
/// once, before it does anything costly.
///
/// # Errors
/// [`Refusal::RateLimited`] if the share is used up.
pub fn take_share(core: &CoreState, poll: &Poll, headers: &HeaderMap, peer: IpAddr) -> Result<(), Refusal> {
    voting::take_share(core, poll, || client_address(peer, headers, &core.app.config.trusted_proxies))
}

/// The sender of a request to vote in a poll.
#[derive(Debug)]
pub struct RequestSender {
    /// Who it is, as the poll's policy identifies voters.
    pub sender: Sender,
    /// The address that it sends from, where the poll's votes are scored; `None` if only a trusted proxy's is known.
    pub address: Option<IpAddr>,
    /// Where its device's token is kept.
    pub cookie: TokenCookie,
}

/// The cookie for the device's token; `None` if the policy isn't `device`. It is boxed because each connection has room for a vote's
/// future, which contains this while the vote waits.
#[derive(Debug)]
pub struct TokenCookie(Option<Box<DeviceCookie>>);

impl RequestSender {
    /// The sender of a request with these headers, received from `peer`, to vote in `poll`. `voter` is a token or code given in
    /// the body: it counts before one in a header, and a device's valid cookie before both.
    pub fn of(core: &CoreState, poll: &Poll, headers: &HeaderMap, peer: IpAddr, voter: Option<&str>) -> Self {
        let (config, key) = (&core.app.config, PolicyKey(&core.app.policy_key));
        let mut cookie = None;
        let given = || voter.or_else(|| headers.get(THRONG_VOTER).and_then(|voter| voter.to_str().ok()));
        let mut device = || {
            let own = DeviceCookie::of(config, key, (poll.id, &poll.slug), headers, peer);
            let in_cookie = cookie.insert(Box::new(own)).device;
            in_cookie.or_else(|| Device::of_token(key, poll.id, given()?))
        };
        let address = || client_address(peer, headers, &config.trusted_proxies);
        let sender = match poll.policy {
            Policy::Unlimited => Sender::Anybody,
            Policy::Device => Sender::Device(device()),
            Policy::Network => Sender::Network(address()),
            Policy::Signed => Sender::Signed(given().map(VoterToken::new)),
            Policy::Code => Sender::Code(given().filter(|typed| !typed.trim().is_empty()).map(str::parse)),
        };
        let address = is_scored(poll).then(address).filter(|address| !config.trusted_proxies.contains(*address));
        Self { sender, address, cookie: TokenCookie(cookie) }
    }

    /// The sender of a simple request, received from `peer`, to vote in the default poll. Its headers are parsed only if that
    /// poll identifies voters or its votes are scored, or if networks have a share.
    ///
    /// # Errors
    /// If the share of its network is used up: see [`take_share`].
    pub fn of_simple(core: &CoreState, request: &SimpleRequest<'_>, peer: IpAddr) -> Result<Self, Refusal> {
        let polls = core.app.polls.current();
        match polls.default_poll().map(|live| &live.poll) {
            Some(poll) if is_scored(poll) || core.app.network_limit.is_some() => {
                let headers = headers_in(request.head, &IDENTIFYING);
                take_share(core, poll, &headers, peer)?;
                Ok(Self::of(core, poll, &headers, peer, None))
            }
            Some(_) | None => Ok(Self { sender: Sender::Anybody, address: None, cookie: TokenCookie(None) }),
        }
    }
}

impl TokenCookie {
    /// Whether the request has no valid cookie: its browser may keep none.
    pub fn is_missing(&self) -> bool {
        self.0.as_ref().is_none_or(|cookie| cookie.device.is_none())
    }

    /// Lets the browser keep the token, where the ballot has one.
    pub fn keep(&self, token: Option<&DeviceToken>, headers: &mut HeaderMap) {
        if let (Some(cookie), Some(token)) = (&self.0, token) {
            headers.append(SET_COOKIE, cookie.keeping(token));
        }
    }
}
