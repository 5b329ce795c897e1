//! The sender of a request, for the log. It is resolved only if the request failed or every request is logged.

use std::net::IpAddr;

use hyper::HeaderMap;
use hyper::header::{FORWARDED, HeaderName, HeaderValue};
use tokio::time::Instant;

use super::forwarded::{X_FORWARDED_FOR, client_address};
use crate::config::TrustedProxies;
use crate::net::SimpleRequest;

/// The header with the request id, which links a proxy's log, the server's log and a client's report.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest request id that is accepted from a proxy, in characters.
const REQUEST_ID_CHARACTERS_MAX: usize = 64;

/// The headers that are read from a trusted proxy.
const FORWARDED_HEADERS: [HeaderName; 3] = [X_REQUEST_ID, X_FORWARDED_FOR, FORWARDED];

/// The sender of a request.
#[derive(Debug)]
pub struct ClientInfo {
    peer: IpAddr,
    forwarded: ForwardedHeaders,
    /// The time at which the request arrived; `None` where its duration isn't logged.
    pub arrived_at: Option<Instant>,
}

/// The headers that a trusted proxy sent with a request, as received.
#[derive(Debug)]
enum ForwardedHeaders {
    Nothing,
    /// In the head of a simple request.
    InHead(Box<[u8]>),
    InHeaders(Box<HeaderMap>),
}

impl ClientInfo {
    /// The sender of a simple request received from `peer`.
    pub fn of_simple(
        request: &SimpleRequest<'_>,
        peer: IpAddr,
        trusted: &TrustedProxies,
        arrived_at: Option<Instant>,
    ) -> Self {
        let forwarded = if trusted.contains(peer) {
            ForwardedHeaders::InHead(request.head.into())
        } else {
            ForwardedHeaders::Nothing
        };
        Self { peer, forwarded, arrived_at }
    }

    /// The sender of a request with these headers, received from `peer`.
    pub fn of(headers: &HeaderMap, peer: IpAddr, trusted: &TrustedProxies, arrived_at: Option<Instant>) -> Self {
        let forwarded = if trusted.contains(peer) {
            ForwardedHeaders::InHeaders(Box::new(forwarded_headers(headers)))
        } else {
            ForwardedHeaders::Nothing
        };
        Self { peer, forwarded, arrived_at }
    }

    /// The request id and the client's address: those that a trusted proxy sent, otherwise a new id and the peer's address.
    pub fn resolve(self, trusted: &TrustedProxies) -> (HeaderValue, IpAddr) {
        let headers = match self.forwarded {
            ForwardedHeaders::Nothing => return (new_request_id(), self.peer.to_canonical()),
            ForwardedHeaders::InHead(head) => headers_in(&head, &FORWARDED_HEADERS),
            ForwardedHeaders::InHeaders(headers) => *headers,
        };
        let request_id = headers.get(&X_REQUEST_ID).filter(|id| is_request_id(id)).cloned();
        (request_id.unwrap_or_else(new_request_id), client_address(self.peer, &headers, trusted))
    }
}

fn forwarded_headers(headers: &HeaderMap) -> HeaderMap {
    let each = |name: &HeaderName| headers.get_all(name).iter().map(|value| (name.clone(), value.clone())).collect();
    FORWARDED_HEADERS.iter().flat_map(|name| -> Vec<_> { each(name) }).collect()
}

/// Those of these headers that are in the head of a simple request, which was parsed successfully before.
pub fn headers_in(head: &[u8], wanted: &[HeaderName]) -> HeaderMap {
    let pairs = SimpleRequest::headers(head);
    let known = |name: &str| wanted.iter().find(|header| header.as_str().eq_ignore_ascii_case(name)).cloned();
    pairs.filter_map(|(name, value)| Some((known(name)?, HeaderValue::from_bytes(value).ok()?))).collect()
}

/// Only visible ASCII characters and a limited length, so that it can corrupt neither a log nor a header.
fn is_request_id(id: &HeaderValue) -> bool {
    (1..=REQUEST_ID_CHARACTERS_MAX).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}

/// A new request id of 64 random bits, in hexadecimal.
fn new_request_id() -> HeaderValue {
    HeaderValue::from_str(&format!("{:016x}", rand::random::<u64>())).expect("digits and letters fit in a header")
}
