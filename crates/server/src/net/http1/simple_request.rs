//! Simple requests: complete in one read and without unusual features, as nearly every vote is.

use std::mem::MaybeUninit;

use super::rules::is_host;

/// The maximum number of headers in a simple request; browsers send about twenty.
const HEADERS_MAX: usize = 32;

/// A request that is complete in its first bytes: HTTP/1.1, a `GET` without a body or a `POST` with a body of known length, on
/// a connection that is kept alive, and followed by nothing.
#[derive(Debug, PartialEq, Eq)]
pub struct SimpleRequest<'a> {
    /// The method.
    pub method: SimpleMethod,
    /// The path, without a query.
    pub path: &'a str,
    /// The `Origin` header: the origin of the page that sent the request, if a browser sends it.
    pub origin: Option<&'a [u8]>,
    /// Whether the request has a `Sec-Fetch-Site` header.
    pub has_fetch_site: bool,
    /// The body; empty for a `GET`.
    pub body: &'a [u8],
    /// The request line and the headers, as received.
    pub head: &'a [u8],
}

/// The method of a simple request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimpleMethod {
    /// `GET`
    Get,
    /// `POST`
    Post,
}

impl<'a> SimpleRequest<'a> {
    /// Parses `bytes`; `None` if they are anything but one simple request: unusual, incomplete, or not HTTP.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut []);
        let Ok(httparse::Status::Complete(head_length)) = request.parse_with_uninit_headers(bytes, &mut headers) else {
            return None;
        };
        let method = match request.method? {
            "GET" => SimpleMethod::Get,
            "POST" => SimpleMethod::Post,
            _ => return None,
        };
        let path = request.path.filter(|path| !path.contains('?'))?;
        let (mut host, mut length, mut origin, mut has_fetch_site) = (None, None, None, false);
        for header in &*request.headers {
            let is_simple = match Kind::of(header.name) {
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
            if !is_simple {
                return None;
            }
        }
        host?;
        let (head, body) = bytes.split_at_checked(head_length)?;
        let body_length = match (method, length) {
            (SimpleMethod::Get, None) => 0,
            (SimpleMethod::Post, Some(length)) => length,
            (SimpleMethod::Get, Some(_)) | (SimpleMethod::Post, None) => return None,
        };
        let is_complete = request.version == Some(1) && body.len() == body_length;
        is_complete.then_some(Self { method, path, origin, has_fetch_site, body, head })
    }

    /// The headers in the [`Self::head`] of a simple request, with names as received.
    pub fn headers(head: &[u8]) -> impl Iterator<Item = (&str, &[u8])> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let is_parsed = httparse::Request::new(&mut headers).parse(head).is_ok();
        headers
            .into_iter()
            .take_while(move |header| is_parsed && !header.name.is_empty())
            .map(|header| (header.name, header.value))
    }
}

/// What a header means to the parser.
enum Kind {
    /// No meaning.
    Other,
    Host,
    Connection,
    ContentLength,
    Origin,
    FetchSite,
    /// It changes how the request must be read or responded to.
    Unusual,
}

impl Kind {
    fn of(name: &str) -> Self {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        // Few headers have one of these lengths, so most are not compared.
        match name.len() {
            4 if is("host") => Self::Host,
            6 if is("origin") => Self::Origin,
            6 if is("expect") => Self::Unusual,
            7 if is("upgrade") => Self::Unusual,
            10 if is("connection") => Self::Connection,
            12 if is("throng-proof") => Self::Unusual,
            14 if is("content-length") => Self::ContentLength,
            14 if is("sec-fetch-site") => Self::FetchSite,
            15 if is("idempotency-key") => Self::Unusual,
            16 if is("content-encoding") => Self::Unusual,
            17 if is("transfer-encoding") => Self::Unusual,
            _ => Self::Other,
        }
    }
}

/// A number of at most five digits: requests with longer bodies aren't simple.
fn digits(value: &[u8]) -> Option<usize> {
    let is_number = (1..=5).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    is_number.then(|| value.iter().fold(0, |number, digit| number * 10 + usize::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<SimpleRequest<'_>> {
        SimpleRequest::parse(text.as_bytes())
    }

    #[test]
    fn a_vote_is_simple() {
        let text = "POST /api/submit HTTP/1.1\r\nHost: a\r\nConnection: Keep-Alive\r\nOrigin: https://a.example\r\n\
                    Content-Length: 5\r\n\r\n[1,3]";
        let origin = Some(&b"https://a.example"[..]);
        let head = text.strip_suffix("[1,3]").unwrap().as_bytes();
        let (path, body) = ("/api/submit", &b"[1,3]"[..]);
        let expected = SimpleRequest { method: SimpleMethod::Post, path, origin, has_fetch_site: false, body, head };
        assert_eq!(parse(text), Some(expected));
        let text = text.replace("Connection: Keep-Alive", "sec-Fetch-site: none");
        assert!(parse(&text).unwrap().has_fetch_site);
        let text = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
        let head = text.as_bytes();
        let (method, body) = (SimpleMethod::Get, &b""[..]);
        let expected = SimpleRequest { method, path: "/x", origin: None, has_fetch_site: false, body, head };
        assert_eq!(parse(text), Some(expected));
    }

    #[test]
    fn headers_are_parsed_from_the_head() {
        let request = parse("GET /x HTTP/1.1\r\nHost: a\r\nX-Id:  7 \r\nX-Id: 8\r\n\r\n").unwrap();
        let headers: Vec<_> = SimpleRequest::headers(request.head).collect();
        assert_eq!(headers, [("Host", &b"a"[..]), ("X-Id", b"7"), ("X-Id", b"8")]);
    }

    #[test]
    fn incomplete_votes_are_left_to_the_library() {
        let text = "POST /api/submit HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n[1,3]";
        assert!(parse(text).is_some());
        for end in 0..text.len() {
            assert_eq!(parse(&text[..end]), None, "{}", &text[..end]);
        }
        assert_eq!(parse(&format!("{text}P")), None, "the next request has begun");
    }

    #[test]
    fn unusual_requests_are_left_to_the_library() {
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
            ("POST", "Content-Length: 3\r\nThrong-Proof: 1.2.3\r\n", "[1]"),
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
