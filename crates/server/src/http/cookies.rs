//! The cookies of a request.

use hyper::HeaderMap;
use hyper::header::COOKIE;

/// The cookies of a request, as names and values, in the order sent. A cookie that isn't text, of another program on the same
/// site, hides no other.
pub fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let lists = headers.get_all(COOKIE).iter().flat_map(|list| list.as_bytes().split(|byte| *byte == b';'));
    lists.filter_map(|cookie| std::str::from_utf8(cookie).ok()?.trim().split_once('='))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn cookie_that_is_not_text_hides_no_other() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_bytes(b"a=1; b=\xff; c = 2;d; a=3=4").unwrap());
        headers.append(COOKIE, HeaderValue::from_static("e="));
        let found: Vec<_> = cookies(&headers).collect();
        assert_eq!(found, [("a", "1"), ("c ", " 2"), ("a", "3=4"), ("e", "")]);
    }
}
