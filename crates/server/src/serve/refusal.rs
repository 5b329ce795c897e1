//! Answers that HTTP itself gives, in the form of all our errors.
//!
//! hyper answers a request that it can't read (an unknown version, two lengths, a head too long) by itself, with a
//! bare status line, and offers no way to say more. Such an answer is the last on its connection and the only one of
//! ours with an error status and no body, so it is known when it is written, and sent with a body instead.

use axum::body::Body;
use bytes::{Buf as _, Bytes};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};

use super::RefusalBody;

const STATUS_LINE: &[u8] = b"HTTP/1.1 4";
const END_OF_HEAD: &[u8] = b"\r\n\r\n";
const DATE: &[u8] = b"date: ";
const NO_BODY: &[u8] = b"\r\ncontent-length: 0\r\n";

/// The answer to a request for which nothing was done, because too much is to be done already.
pub(super) fn overloaded(body: RefusalBody) -> Response<Body> {
    let mut response = refused(StatusCode::SERVICE_UNAVAILABLE, body);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// The answer to a request that the library could read and HTTP doesn't allow.
pub(super) fn refused(status: StatusCode, body: RefusalBody) -> Response<Body> {
    let mut response = Response::new(Body::from(body(status)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// What is left to send of an answer that took the place of hyper's.
#[derive(Debug)]
pub(super) struct Refusal {
    body: RefusalBody,
    rest: Bytes,
}

impl Refusal {
    pub(super) fn new(body: RefusalBody) -> Self {
        Self { body, rest: Bytes::new() }
    }

    /// Takes `bytes` over if they end in an answer of hyper's own: what is to be sent in their place is then in
    /// [`Self::rest`].
    pub(super) fn take_over(&mut self, bytes: &[u8]) -> bool {
        let Some((before, own, status)) = split_refusal(bytes) else { return false };
        let body = (self.body)(status);
        let mut answer = before.to_vec();
        answer.extend_from_slice(
            format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\
                 cache-control: no-store\r\nconnection: close\r\n",
                body.len()
            )
            .as_bytes(),
        );
        let date = own.split_inclusive(|byte| *byte == b'\n').find(|line| line.starts_with(DATE));
        answer.extend_from_slice(date.unwrap_or_default());
        answer.extend_from_slice(b"\r\n");
        answer.extend_from_slice(&body);
        self.rest = answer.into();
        true
    }

    /// What is left to send, if anything.
    pub(super) fn rest(&self) -> Option<Bytes> {
        (!self.rest.is_empty()).then(|| self.rest.clone())
    }

    /// `count` bytes of the rest were sent.
    pub(super) fn sent(&mut self, count: usize) {
        self.rest.advance(count);
    }
}

/// The bytes before an answer of hyper's own, that answer, and its status.
fn split_refusal(bytes: &[u8]) -> Option<(&[u8], &[u8], StatusCode)> {
    if !bytes.ends_with(END_OF_HEAD) {
        return None;
    }
    let start = bytes.windows(STATUS_LINE.len()).rposition(|window| window == STATUS_LINE)?;
    let (before, answer) = bytes.split_at(start);
    let without_body = answer.windows(NO_BODY.len()).any(|window| window == NO_BODY);
    let status = StatusCode::from_bytes(answer.get(9..12)?).ok()?;
    without_body.then_some((before, answer, status))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARE: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\ndate: x\r\n\r\n";

    fn sent(bytes: &[u8]) -> Option<String> {
        let mut refusal = Refusal::new(|status| Bytes::from(status.as_str().to_owned()));
        refusal.take_over(bytes).then(|| String::from_utf8(refusal.rest().unwrap().to_vec()).unwrap())
    }

    #[test]
    fn a_bare_refusal_gets_a_body() {
        let answer = sent(BARE).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n") && answer.ends_with("\r\n\r\n400"), "{answer}");
        assert!(answer.contains("application/problem+json") && answer.contains("\r\ndate: x\r\n"), "{answer}");
    }

    #[test]
    fn answers_before_it_stay_as_they_are() {
        let before = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        let answer = sent(&[before, BARE].concat()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}HTTP/1.1 400"), "{answer}");
    }

    #[test]
    fn other_answers_are_left_alone() {
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
