//! Who sent a request: what the log says of it. Nothing of it is worked out unless the log is to say something.

use std::net::IpAddr;

use hyper::HeaderMap;
use hyper::header::{FORWARDED, HeaderName, HeaderValue};
use tokio::time::Instant;

use super::forwarded::{X_FORWARDED_FOR, client_address};
use super::proxies::TrustedProxies;
use crate::serve::PlainRequest;

/// The header by which a proxy's log, ours and a caller's complaint find each other.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest request id that is taken over, in characters.
const REQUEST_ID_CHARACTERS_MAX: usize = 64;

/// What is believed of a proxy's headers.
const BELIEVED: [HeaderName; 3] = [X_REQUEST_ID, X_FORWARDED_FOR, FORWARDED];

/// The sender of a request.
#[derive(Debug)]
pub struct Asker {
    peer: IpAddr,
    told: Told,
    /// When the request came; none where that isn't logged.
    pub came: Option<Instant>,
}

/// What a trusted proxy told of a request, as it came.
#[derive(Debug)]
enum Told {
    Nothing,
    /// In the head of a plain request.
    InHead(Box<[u8]>),
    InHeaders(Box<HeaderMap>),
}

impl Asker {
    /// The sender of a plain request that `peer` has sent, now.
    pub fn of_plain(request: &PlainRequest<'_>, peer: IpAddr, trusted: &TrustedProxies, came: Option<Instant>) -> Self {
        let told = if trusted.contain(peer) { Told::InHead(request.head.into()) } else { Told::Nothing };
        Self { peer, told, came }
    }

    /// The sender of a request with these headers that `peer` has sent, now.
    pub fn of(headers: &HeaderMap, peer: IpAddr, trusted: &TrustedProxies, came: Option<Instant>) -> Self {
        let told = if trusted.contain(peer) { Told::InHeaders(Box::new(believed(headers))) } else { Told::Nothing };
        Self { peer, told, came }
    }

    /// The name of the request in logs, and the client's address: as a trusted proxy says; else a new name, and the
    /// peer's address.
    pub fn identify(self, trusted: &TrustedProxies) -> (HeaderValue, IpAddr) {
        let headers = match self.told {
            Told::Nothing => return (new_request_id(), self.peer.to_canonical()),
            Told::InHead(head) => in_head(&head),
            Told::InHeaders(headers) => *headers,
        };
        let request_id = headers.get(&X_REQUEST_ID).filter(|id| is_request_id(id)).cloned();
        (request_id.unwrap_or_else(new_request_id), client_address(self.peer, &headers, trusted))
    }
}

fn believed(headers: &HeaderMap) -> HeaderMap {
    let each = |name: &HeaderName| headers.get_all(name).iter().map(|value| (name.clone(), value.clone())).collect();
    BELIEVED.iter().flat_map(|name| -> Vec<_> { each(name) }).collect()
}

/// The headers in the head of a plain request, which was read before without a fault.
fn in_head(head: &[u8]) -> HeaderMap {
    let pairs = PlainRequest::headers(head);
    let name = |name: &str| BELIEVED.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(name));
    pairs.filter_map(|(called, value)| Some((name(called)?, HeaderValue::from_bytes(value).ok()?))).collect()
}

/// Visible characters and not too many: nothing that a log or a header could be broken with.
fn is_request_id(id: &HeaderValue) -> bool {
    (1..=REQUEST_ID_CHARACTERS_MAX).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}

/// 64 random bits.
fn new_request_id() -> HeaderValue {
    HeaderValue::from_str(&format!("{:016x}", rand::random::<u64>())).expect("digits and letters fit in a header")
}
