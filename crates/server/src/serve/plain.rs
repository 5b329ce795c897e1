//! Plain requests: whole in one piece and without anything unusual, as nearly every vote is.

use std::mem::MaybeUninit;

use super::rules::is_host;

/// The most headers of a plain request; browsers send some twenty.
const HEADERS_MAX: usize = 32;

/// A request that says all in its first bytes: HTTP/1.1, a `GET` without a body or a `POST` with one of a known
/// length, the connection kept, and nothing after it.
#[derive(Debug, PartialEq, Eq)]
pub struct PlainRequest<'a> {
    /// What is asked for.
    pub method: PlainMethod,
    /// The path, without a query.
    pub path: &'a str,
    /// The page that sends it, where a browser says so.
    pub origin: Option<&'a [u8]>,
    /// Whether a browser says whose page sends it, in `Sec-Fetch-Site`.
    pub has_fetch_site: bool,
    /// The body; empty for a `GET`.
    pub body: &'a [u8],
    /// The first line and the headers, as they came.
    pub head: &'a [u8],
}

/// The method of a plain request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainMethod {
    /// `GET`
    Get,
    /// `POST`
    Post,
}

impl<'a> PlainRequest<'a> {
    /// The request that `bytes` are; `None` for anything else, be it unusual, unfinished, or not HTTP at all.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut []);
        let Ok(httparse::Status::Complete(head_length)) = request.parse_with_uninit_headers(bytes, &mut headers) else {
            return None;
        };
        let method = match request.method? {
            "GET" => PlainMethod::Get,
            "POST" => PlainMethod::Post,
            _ => return None,
        };
        let path = request.path.filter(|path| !path.contains('?'))?;
        let (mut host, mut length, mut origin, mut has_fetch_site) = (None, None, None, false);
        for header in &*request.headers {
            let first = match Kind::of(header.name) {
                Kind::Other => true,
                Kind::Host => host.replace(()).is_none() && is_host(header.value),
                Kind::Connection => header.value.eq_ignore_ascii_case(b"keep-alive"),
                Kind::ContentLength => length.replace(digits(header.value)?).is_none(),
                Kind::Origin => origin.replace(header.value).is_none(),
                Kind::FetchSite => {
                    has_fetch_site = true;
                    true
                }
                Kind::Unusual => false,
            };
            if !first {
                return None;
            }
        }
        host?;
        let (head, body) = bytes.split_at_checked(head_length)?;
        let body_length = match (method, length) {
            (PlainMethod::Get, None) => 0,
            (PlainMethod::Post, Some(length)) => length,
            (PlainMethod::Get, Some(_)) | (PlainMethod::Post, None) => return None,
        };
        let is_whole = request.version == Some(1) && body.len() == body_length;
        is_whole.then_some(Self { method, path, origin, has_fetch_site, body, head })
    }

    /// The headers in the [`Self::head`] of a plain request, names as they came.
    pub fn headers(head: &[u8]) -> impl Iterator<Item = (&str, &[u8])> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let read = httparse::Request::new(&mut headers).parse(head).is_ok();
        headers
            .into_iter()
            .take_while(move |header| read && !header.name.is_empty())
            .map(|header| (header.name, header.value))
    }
}

/// What a header means here.
enum Kind {
    /// Nothing.
    Other,
    Host,
    Connection,
    ContentLength,
    Origin,
    FetchSite,
    /// It changes how the request is to be read or answered.
    Unusual,
}

impl Kind {
    fn of(name: &str) -> Self {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        // Few headers have one of these lengths, so few are compared at all.
        match name.len() {
            4 if is("host") => Self::Host,
            6 if is("origin") => Self::Origin,
            6 if is("expect") => Self::Unusual,
            7 if is("upgrade") => Self::Unusual,
            10 if is("connection") => Self::Connection,
            14 if is("content-length") => Self::ContentLength,
            14 if is("sec-fetch-site") => Self::FetchSite,
            15 if is("idempotency-key") => Self::Unusual,
            16 if is("content-encoding") => Self::Unusual,
            17 if is("transfer-encoding") => Self::Unusual,
            _ => Self::Other,
        }
    }
}

/// A number of at most five digits: longer bodies are not plain.
fn digits(value: &[u8]) -> Option<usize> {
    let plain = (1..=5).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    plain.then(|| value.iter().fold(0, |number, digit| number * 10 + usize::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<PlainRequest<'_>> {
        PlainRequest::parse(text.as_bytes())
    }

    #[test]
    fn a_vote_is_plain() {
        let text = "POST /api/submit HTTP/1.1\r\nHost: a\r\nConnection: Keep-Alive\r\nOrigin: https://a.example\r\n\
                    Content-Length: 5\r\n\r\n[1,3]";
        let origin = Some(&b"https://a.example"[..]);
        let head = text.strip_suffix("[1,3]").unwrap().as_bytes();
        let (path, body) = ("/api/submit", &b"[1,3]"[..]);
        let expected = PlainRequest { method: PlainMethod::Post, path, origin, has_fetch_site: false, body, head };
        assert_eq!(parse(text), Some(expected));
        let text = text.replace("Connection: Keep-Alive", "sec-Fetch-site: none");
        assert!(parse(&text).unwrap().has_fetch_site);
        let text = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
        let head = text.as_bytes();
        let (method, body) = (PlainMethod::Get, &b""[..]);
        let expected = PlainRequest { method, path: "/x", origin: None, has_fetch_site: false, body, head };
        assert_eq!(parse(text), Some(expected));
    }

    #[test]
    fn its_headers_can_be_read_again() {
        let request = parse("GET /x HTTP/1.1\r\nHost: a\r\nX-Id:  7 \r\nX-Id: 8\r\n\r\n").unwrap();
        let headers: Vec<_> = PlainRequest::headers(request.head).collect();
        assert_eq!(headers, [("Host", &b"a"[..]), ("X-Id", b"7"), ("X-Id", b"8")]);
    }

    #[test]
    fn every_unfinished_vote_is_left_to_the_library() {
        let text = "POST /api/submit HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n[1,3]";
        assert!(parse(text).is_some());
        for end in 0..text.len() {
            assert_eq!(parse(&text[..end]), None, "{}", &text[..end]);
        }
        assert_eq!(parse(&format!("{text}P")), None, "the next request has begun");
    }

    #[test]
    fn the_unusual_is_left_to_the_library() {
        for (method, headers, body) in [
            ("POST", "Content-Length: 3\r\nContent-Length: 3\r\n", "[1]"),
            ("POST", "Content-Length: 3\r\nContent-Length: 4\r\n", "[1]"),
            ("POST", "Content-Length: +3\r\n", "[1]"),
            ("POST", "Content-Length: 3, 3\r\n", "[1]"),
            ("POST", "Content-Length: 000003\r\n", "[1]"),
            ("POST", "Content-Length: \r\n", ""),
            ("POST", "Transfer-Encoding: chunked\r\n", "3\r\n[1]\r\n0\r\n\r\n"),
            ("POST", "Content-Length: 3\r\ntransfer-encoding: chunked\r\n", "[1]"),
            ("POST", "Content-Length: 3\r\nTransfer-Encoding : chunked\r\n", "[1]"),
            ("POST", "Content-Length: 3\r\nX: a\r\n b\r\n", "[1]"),
            ("POST", "Content-Length: 3\r\nConnection: close\r\n", "[1]"),
            ("POST", "Content-Length: 3\r\nExpect: 100-continue\r\n", "[1]"),
            ("POST", "Content-Length: 3\r\nUpgrade: h2c\r\n", "[1]"),
            ("POST", "Content-Length: 3\r\nContent-Encoding: gzip\r\n", "[1]"),
            ("POST", "Content-Length: 3\r\nIdempotency-Key: \"x\"\r\n", "[1]"),
            ("POST", "Content-Length: 3\r\nOrigin: a\r\nOrigin: b\r\n", "[1]"),
            ("POST", "", ""),
            ("GET", "Content-Length: 0\r\n", ""),
            ("HEAD", "", ""),
            ("PUT", "Content-Length: 3\r\n", "[1]"),
        ] {
            let text = format!("{method} /api/submit HTTP/1.1\r\nHost: a\r\n{headers}\r\n{body}");
            assert_eq!(parse(&text), None, "{text}");
        }
        for start in ["GET /x HTTP/1.0", "GET /x?y HTTP/1.1", "GET /x", "GET  /x HTTP/1.1", "\u{16}\u{3}\u{1}"] {
            assert_eq!(parse(&format!("{start}\r\nHost: a\r\n\r\n")), None, "{start}");
        }
        assert_eq!(parse("GET /x HTTP/1.1\r\n\r\n"), None);
        assert_eq!(parse("GET /x HTTP/1.1\r\nHost: a b\r\n\r\n"), None);
        assert_eq!(parse("GET /x HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), None);
        let many = "X: y\r\n".repeat(HEADERS_MAX + 1);
        assert_eq!(parse(&format!("GET /x HTTP/1.1\r\nHost: a\r\n{many}\r\n")), None);
    }
}
