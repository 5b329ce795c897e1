//! An HTTP/1.1 response, parsed from the bytes received so far.

use httparse::{EMPTY_HEADER, Header, Status, parse_chunk_size, parse_headers};

/// Maximum headers of a response.
const HEADERS_MAX: usize = 64;

/// A complete response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// Whether the connection may be reused.
    pub(crate) keeps_alive: bool,
}

/// The bytes aren't an HTTP/1.1 response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// How the end of a response's body is determined.
enum Framing {
    Length(usize),
    Chunks,
    Close,
}

impl Response {
    /// The response in `bytes`, which are all that the connection has received since the request; `None` if it is incomplete.
    /// `ended`: no more bytes will arrive.
    ///
    /// # Errors
    /// If the bytes aren't a response.
    pub(crate) fn parse(bytes: &[u8], ended: bool) -> Result<Option<Self>, Unreadable> {
        let mut headers = [EMPTY_HEADER; HEADERS_MAX];
        let mut head = httparse::Response::new(&mut headers);
        let Status::Complete(head_length) = head.parse(bytes).map_err(|_| Unreadable)? else { return Ok(None) };
        let status = head.code.ok_or(Unreadable)?;
        let rest = bytes.get(head_length..).ok_or(Unreadable)?;
        let framing = Framing::of(status, head.headers)?;
        let body = match framing {
            Framing::Length(length) => rest.get(..length).map(|body| (body.to_vec(), length)),
            Framing::Chunks => join_chunks(rest)?,
            Framing::Close => ended.then(|| (rest.to_vec(), rest.len())),
        };
        let Some((body, length)) = body else { return Ok(None) };
        // Bytes after the response belong to no request.
        let keeps_alive = !ended
            && rest.len() == length
            && head.version == Some(1)
            && !has(head.headers, "connection", "close")
            && !matches!(framing, Framing::Close);
        Ok(Some(Self { status, body, keeps_alive }))
    }
}

impl Framing {
    fn of(status: u16, headers: &[Header<'_>]) -> Result<Self, Unreadable> {
        if matches!(status, 204 | 304) {
            return Ok(Self::Length(0));
        }
        if has(headers, "transfer-encoding", "chunked") {
            return Ok(Self::Chunks);
        }
        let Some(length) = headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length")) else {
            return Ok(Self::Close);
        };
        let length = std::str::from_utf8(length.value).ok().and_then(|text| text.trim().parse().ok());
        length.map(Self::Length).ok_or(Unreadable)
    }
}

/// Whether a header of this name has this token in its list of values.
fn has(headers: &[Header<'_>], name: &str, token: &str) -> bool {
    let named = headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
    named
        .filter_map(|header| std::str::from_utf8(header.value).ok())
        .any(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(token)))
}

/// The body in these chunks, and the bytes that they take; `None` if the last one is missing.
fn join_chunks(chunks: &[u8]) -> Result<Option<(Vec<u8>, usize)>, Unreadable> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let rest = chunks.get(at..).unwrap_or_default();
        let Status::Complete((start, size)) = parse_chunk_size(rest).map_err(|_| Unreadable)? else { return Ok(None) };
        let size = usize::try_from(size).map_err(|_| Unreadable)?;
        if size == 0 {
            let mut trailers = [EMPTY_HEADER; HEADERS_MAX];
            let trailers = parse_headers(rest.get(start..).unwrap_or_default(), &mut trailers);
            let Status::Complete((length, _)) = trailers.map_err(|_| Unreadable)? else { return Ok(None) };
            return Ok(Some((body, at + start + length)));
        }
        let end = start.checked_add(size).ok_or(Unreadable)?;
        let Some(chunk) = rest.get(start..end) else { return Ok(None) };
        match rest.get(end..end.saturating_add(2)) {
            Some(b"\r\n") => body.extend_from_slice(chunk),
            Some(_) => return Err(Unreadable),
            None => return Ok(None),
        }
        at += end + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The response in `text`. No prefix of it may be parsed as one.
    #[track_caller]
    fn complete(text: &str) -> Response {
        for length in 0..text.len() {
            assert_eq!(Response::parse(&text.as_bytes()[..length], false), Ok(None), "at {length}");
        }
        Response::parse(text.as_bytes(), false).unwrap().expect("a complete response")
    }

    #[test]
    fn body_ends_at_its_content_length() {
        let response = complete("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"1\":2}");
        assert_eq!(response, Response { status: 200, body: b"{\"1\":2}".to_vec(), keeps_alive: true });
        assert_eq!(complete("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n").status, 503);
        assert_eq!(complete("HTTP/1.1 204 No Content\r\n\r\n").body, b"");
    }

    #[test]
    fn body_ends_with_its_last_chunk() {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let response = complete(&format!("{chunked}3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"));
        assert_eq!((response.body.as_slice(), response.keeps_alive), (&b"abcde"[..], true));
        assert_eq!(complete(&format!("{chunked}0\r\nsum: 1\r\n\r\n")).body, b"");
    }

    #[test]
    fn body_without_length_ends_with_the_connection() {
        let text = b"HTTP/1.1 200 OK\r\n\r\n{}";
        assert_eq!(Response::parse(text, false), Ok(None));
        assert_eq!(
            Response::parse(text, true),
            Ok(Some(Response { status: 200, body: b"{}".to_vec(), keeps_alive: false }))
        );
    }

    #[test]
    fn connection_is_reused_only_where_allowed() {
        assert!(!complete("HTTP/1.1 200 OK\r\nconnection: Close\r\ncontent-length: 0\r\n\r\n").keeps_alive);
        assert!(!complete("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n").keeps_alive);
        let more = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nabc";
        assert!(
            Response::parse(more, false)
                .unwrap()
                .is_some_and(|response| !response.keeps_alive && response.body == b"a")
        );
    }

    #[test]
    fn other_bytes_are_unreadable() {
        for text in [
            "SSH-2.0-OpenSSH\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc\r\n",
        ] {
            assert_eq!(Response::parse(text.as_bytes(), false), Err(Unreadable), "{text}");
        }
    }
}
