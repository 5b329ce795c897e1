//! HTTP's requirements for requests that the library doesn't check: one host, one framing, a head of limited size.

use std::net::Ipv6Addr;

use hyper::header::{HOST, TRANSFER_ENCODING};
use hyper::{Request, StatusCode, Version};

/// The longest request head (request line and headers), in bytes.
pub(super) const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The status with which an HTTP/1 request is rejected, if it breaks a rule.
pub(super) fn http1_fault<B>(request: &Request<B>) -> Option<StatusCode> {
    if head_bytes(request) > HEAD_BYTES_MAX {
        return Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    (!has_valid_host(request) || !has_valid_framing(request)).then_some(StatusCode::BAD_REQUEST)
}

/// The status with which an HTTP/2 request is rejected, if it breaks a rule: if it has both an authority and a host, they must
/// be the same (RFC 9113, 8.3.1). The library limits its head.
pub(super) fn http2_fault<B>(request: &Request<B>) -> Option<StatusCode> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (host, second) = (hosts.next().map(|host| host.as_bytes()), hosts.next());
    let authority = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let is_valid = match (authority, host) {
        (Some(authority), Some(host)) => is_host(authority) && same_host(authority, host),
        (Some(only), None) | (None, Some(only)) => is_host(only),
        (None, None) => false,
    };
    (!is_valid || second.is_some()).then_some(StatusCode::BAD_REQUEST)
}

/// The length of a head on the wire, in bytes. The library limits the bytes that it has read without finding the head's end,
/// but behind another request it may read twice as many at once.
fn head_bytes<B>(request: &Request<B>) -> usize {
    const PER_LINE: usize = ": \r\n".len();
    let uri = request.uri();
    let target = uri.path().len() + uri.query().map_or(0, |query| 1 + query.len());
    let line = request.method().as_str().len() + target + "  HTTP/1.1\r\n".len();
    let fields = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + PER_LINE);
    line + fields.sum::<usize>() + "\r\n".len()
}

/// Whether the request has exactly one host, as it must: a proxy in front might use the other of two (RFC 9112, 3.2).
fn has_valid_host<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => request.version() < Version::HTTP_11,
        (Some(host), None) => is_host(host.as_bytes()),
        (Some(_), Some(_)) => false,
    }
}

/// Whether the request's body has a length, or `chunked` as its only transfer coding: the library accepts any list of codings
/// that ends in `chunked`, and a proxy in front may not (RFC 9112, 6.1).
fn has_valid_framing<B>(request: &Request<B>) -> bool {
    let mut codings = request.headers().get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    }
}

/// Whether `value` is a host, with or without a port. Of the characters that RFC 3986 allows in a name, only those that names
/// have are accepted: a comma or a quotation mark is a mistake, or the result of two joined headers.
pub(super) fn is_host(value: &[u8]) -> bool {
    let (host, port) = match value.strip_prefix(b"[") {
        Some(rest) => {
            let Some(end) = rest.iter().position(|byte| *byte == b']') else { return false };
            let (address, port) = (&rest[..end], &rest[end + 1..]);
            let address = std::str::from_utf8(address).ok().and_then(|address| address.parse::<Ipv6Addr>().ok());
            return address.is_some() && is_port(port);
        }
        None => value.split_at(value.iter().position(|byte| *byte == b':').unwrap_or(value.len())),
    };
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'~' | b'%');
    !host.is_empty() && host.iter().all(is_name) && is_port(port)
}

/// Whether `text` is empty, or a colon and an optional number up to 65535.
fn is_port(text: &[u8]) -> bool {
    let Some((colon, digits)) = text.split_first() else { return true };
    let number = || digits.iter().fold(0, |number: u32, digit| number * 10 + u32::from(digit - b'0'));
    *colon == b':' && digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit) && number() <= u32::from(u16::MAX)
}

/// Whether two hosts are the same, with the ports of HTTP and HTTPS as defaults.
fn same_host(one: &[u8], other: &[u8]) -> bool {
    fn bare(host: &[u8]) -> &[u8] {
        host.strip_suffix(b":443").or(host.strip_suffix(b":80")).unwrap_or(host)
    }
    bare(one).eq_ignore_ascii_case(bare(other))
}
