//! Error responses at the HTTP level, in the same form as all other errors.
//!
//! hyper itself responds to a request that it can't parse (an unknown version, two lengths, a head too long), with a status and
//! no body, and has no setting to change that. Such a response is the last on its connection and the only one with an error
//! status and no body, so it is recognized when hyper writes it, and replaced by one with a body.

use axum::body::Body;
use bytes::{Buf as _, Bytes};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};

use super::super::service::ErrorBody;

const STATUS_LINE: &[u8] = b"HTTP/1.1 4";
const END_OF_HEAD: &[u8] = b"\r\n\r\n";
const DATE: &[u8] = b"date: ";
const NO_BODY: &[u8] = b"\r\ncontent-length: 0\r\n";

/// The response to a request that was rejected because of overload, before any processing.
pub(in crate::net) fn overloaded(body: ErrorBody) -> Response<Body> {
    let mut response = error_response(StatusCode::SERVICE_UNAVAILABLE, body);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// The response to a request that the library could parse but HTTP doesn't allow.
pub(in crate::net) fn error_response(status: StatusCode, body: ErrorBody) -> Response<Body> {
    let mut response = Response::new(Body::from(body(status)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Replaces hyper's error responses; holds the unsent bytes of a replacement.
#[derive(Debug)]
pub(super) struct Replacement {
    body: ErrorBody,
    unsent: Bytes,
}

impl Replacement {
    pub(super) fn new(body: ErrorBody) -> Self {
        Self { body, unsent: Bytes::new() }
    }

    /// Replaces `bytes` if they end in an error response of hyper's own, and returns whether they did. The bytes to send
    /// instead are then in [`Self::unsent`].
    pub(super) fn replace(&mut self, bytes: &[u8]) -> bool {
        let Some((before, bare, status)) = split_bare_error(bytes) else { return false };
        let body = (self.body)(status);
        let mut response = before.to_vec();
        response.extend_from_slice(
            format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\
                 cache-control: no-store\r\nconnection: close\r\n",
                body.len()
            )
            .as_bytes(),
        );
        let date = bare.split_inclusive(|byte| *byte == b'\n').find(|line| line.starts_with(DATE));
        response.extend_from_slice(date.unwrap_or_default());
        response.extend_from_slice(b"\r\n");
        response.extend_from_slice(&body);
        self.unsent = response.into();
        true
    }

    /// The bytes left to send, if any.
    pub(super) fn unsent(&self) -> Option<Bytes> {
        (!self.unsent.is_empty()).then(|| self.unsent.clone())
    }

    /// Removes `count` sent bytes from [`Self::unsent`].
    pub(super) fn sent(&mut self, count: usize) {
        self.unsent.advance(count);
    }
}

/// The bytes before an error response of hyper's own, that response, and its status.
fn split_bare_error(bytes: &[u8]) -> Option<(&[u8], &[u8], StatusCode)> {
    if !bytes.ends_with(END_OF_HEAD) {
        return None;
    }
    let start = bytes.windows(STATUS_LINE.len()).rposition(|window| window == STATUS_LINE)?;
    let (before, response) = bytes.split_at(start);
    let without_body = response.windows(NO_BODY.len()).any(|window| window == NO_BODY);
    let status = StatusCode::from_bytes(response.get(9..12)?).ok()?;
    without_body.then_some((before, response, status))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARE: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\ndate: x\r\n\r\n";

    fn sent(bytes: &[u8]) -> Option<String> {
        let mut replacement = Replacement::new(|status| Bytes::from(status.as_str().to_owned()));
        replacement.replace(bytes).then(|| String::from_utf8(replacement.unsent().unwrap().to_vec()).unwrap())
    }

    #[test]
    fn bare_error_gets_a_body() {
        let response = sent(BARE).unwrap();
        assert!(
            response.starts_with("HTTP/1.1 400 Bad Request\r\n") && response.ends_with("\r\n\r\n400"),
            "{response}"
        );
        assert!(response.contains("application/problem+json") && response.contains("\r\ndate: x\r\n"), "{response}");
    }

    #[test]
    fn responses_before_it_are_unchanged() {
        let before = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        let response = sent(&[before, BARE].concat()).unwrap();
        assert!(response.starts_with("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}HTTP/1.1 400"), "{response}");
    }

    #[test]
    fn other_responses_are_unchanged() {
        for bytes in [
            &b"HTTP/1.1 304 Not Modified\r\netag: x\r\n\r\n"[..],
            b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            b"",
        ] {
            assert_eq!(sent(bytes), None);
        }
    }
}
