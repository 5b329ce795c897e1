//! The address at which voters reach this server: `PUBLIC_URL`.

use std::fmt;
use std::str::FromStr;

use axum::http::header::LOCATION;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderValue, Uri};
use throng_domain::origins::parse_url;
use url::Position;

use super::cors_origins::browser_origin;

/// How the paths of the server's own routes begin, after the prefix.
const OWN_PATHS: [&str; 7] = ["/api/", "/polls/", "/shows/", "/assets/", "/livez", "/readyz", "/metrics"];

/// The address at which voters reach this server, where a proxy maps a part of another site to it. By default, the whole of
/// any requested site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublicUrl {
    /// `https://site.example`; empty by default.
    origin: String,
    /// `/vote`; empty if the address is the whole site.
    prefix: String,
}

impl PublicUrl {
    /// The prefix of the paths of all links: `/vote`, or empty.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The origin of pages at this address, `https://site.example`; `None` unless the address is set.
    pub fn origin(&self) -> Option<&str> {
        Some(&*self.origin).filter(|origin| !origin.is_empty())
    }

    /// Adds the prefix to the location of a redirect to one of this server's paths.
    pub fn prefix_location(&self, headers: &mut HeaderMap) {
        let Some(path) = headers.get(LOCATION).filter(|_| !self.prefix.is_empty()) else { return };
        let prefixed = [self.prefix.as_bytes(), path.as_bytes()].concat();
        headers.insert(LOCATION, HeaderValue::from_bytes(&prefixed).expect("a path before a path fits in a header"));
    }

    /// The target of a request without the prefix; `None` if it doesn't have the prefix, for example if the proxy has removed
    /// it.
    ///
    /// A prefix may equal one of the server's own paths: it is removed only if one of those follows it.
    pub fn without_prefix(&self, target: &Uri) -> Option<Uri> {
        let path = target.path().strip_prefix(&*self.prefix).filter(|_| !self.prefix.is_empty())?;
        if !matches!(path, "" | "/") && !OWN_PATHS.iter().any(|own| path.starts_with(own)) {
            return None;
        }
        let path = if path.is_empty() { "/" } else { path };
        let path = match target.query() {
            Some(query) => format!("{path}?{query}").parse::<PathAndQuery>().ok()?,
            None => path.parse().ok()?,
        };
        let mut parts = target.clone().into_parts();
        parts.path_and_query = Some(path);
        Uri::from_parts(parts).ok()
    }
}

/// The start of a link that other sites may store; the same as [`PublicUrl::prefix`] unless the address is set.
impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.prefix)
    }
}

impl FromStr for PublicUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| Err(format!("`{text}` {what}; write it like https://site.example/vote"));
        let Some(url) = parse_url(text).filter(|url| matches!(url.scheme(), "http" | "https")) else {
            return wrong("is not an address that begins with https:// or http:// and a host");
        };
        if url.query().is_some() || url.fragment().is_some() {
            return wrong("has a query or a fragment");
        }
        let prefix = url.path().strip_suffix('/').unwrap_or(url.path());
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if !prefix.is_empty() && !prefix[1..].split('/').all(|part| !part.is_empty() && part.bytes().all(is_plain)) {
            return wrong(
                "has a path with characters other than letters, digits, `-`, `.`, `_` and `~` between its slashes",
            );
        }
        let origin = browser_origin(&url[..Position::BeforePath])?;
        let origin = origin.to_str().expect("an origin that was read from text is text").to_owned();
        Ok(Self { origin, prefix: prefix.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_is_the_path_without_a_trailing_slash() {
        for (text, origin, prefix) in [
            ("https://site.example/vote", "https://site.example", "/vote"),
            ("https://site.example/vote/", "https://site.example", "/vote"),
            ("http://Site.Example:8080/a/b-c", "http://site.example:8080", "/a/b-c"),
            ("https://site.example", "https://site.example", ""),
            ("https://site.example:443/vote", "https://site.example", "/vote"),
            ("http://site.example:08080/vote", "http://site.example:8080", "/vote"),
            ("https://site.example/a/../b", "https://site.example", "/b"),
            ("https://[2001:db8::1]:8443/", "https://[2001:db8::1]:8443", ""),
        ] {
            let url: PublicUrl = text.parse().unwrap();
            assert_eq!((url.origin(), url.prefix()), (Some(origin), prefix));
        }
        assert_eq!((PublicUrl::default().origin(), PublicUrl::default().prefix()), (None, ""));
    }

    #[test]
    fn unusable_address_is_refused() {
        for text in [
            "site.example/vote",
            "/vote",
            "ftp://site.example",
            "https://",
            "https:///vote",
            "https://user:secret@site.example",
            "https://site.example/vote?a=b",
            "https://site.example/vote#a",
            "https://site.example//vote",
            "https://site.example/vote//",
            "https://site.example/\"><script>",
            "https://site.example/v%6fte",
            "https://site.example:port/",
            "https://a b/",
            "https://site.example;/",
        ] {
            assert!(text.parse::<PublicUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn prefix_is_removed_only_before_own_paths() {
        let without = |prefix: &str, target: &str| {
            let url: PublicUrl = format!("https://site.example{prefix}").parse().unwrap();
            url.without_prefix(&target.parse().unwrap()).map(|target| target.to_string())
        };
        for (prefix, target, right) in [
            ("/vote", "/vote/polls/demo?a=b", Some("/polls/demo?a=b")),
            ("/vote", "/vote", Some("/")),
            ("/vote", "/vote/?a", Some("/?a")),
            ("/vote", "/vote/api/submit", Some("/api/submit")),
            ("/vote", "/voter/polls/demo", None),
            ("/vote", "/polls/demo", None),
            ("/vote", "/vote/nowhere", None),
            ("/a/b", "http://site.example/a/b/polls/demo", Some("http://site.example/polls/demo")),
            ("/polls", "/polls/demo", None),
            ("/polls", "/polls/polls/demo", Some("/polls/demo")),
            ("/api", "/api/v1/polls/demo", None),
            ("/api", "/api/api/v1/polls/demo", Some("/api/v1/polls/demo")),
            ("", "/polls/demo", None),
        ] {
            assert_eq!(without(prefix, target).as_deref(), right, "{target} below {prefix}");
        }
    }
}
