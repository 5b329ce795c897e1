//! The origins of other sites' pages that may call the public routes: `CORS_ALLOW_ORIGIN`.

use std::str::FromStr;

use hyper::header::HeaderValue;
use url::Url;

/// The origins whose pages may call the public routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CorsOrigins {
    /// Every origin; never with credentials.
    Any,
    /// These origins; if empty, only that of this server.
    Listed(Vec<HeaderValue>),
    /// These origins, and their requests may carry credentials such as cookies.
    ListedWithCredentials(Vec<HeaderValue>),
}

/// The error text for allowing every origin together with credentials.
pub const ANY_WITH_CREDENTIALS: &str = "requires a list of origins, not `*`: browsers don't let a page read such a \
    response, and allowing each requesting origin instead would let any page act for its visitor; list your pages' \
    origins in CORS_ALLOW_ORIGIN, or set this to false";

impl CorsOrigins {
    /// The same origins, with credentials allowed; `None` for [`Self::Any`].
    pub fn with_credentials(self) -> Option<Self> {
        match self {
            Self::Any => None,
            Self::Listed(origins) | Self::ListedWithCredentials(origins) => Some(Self::ListedWithCredentials(origins)),
        }
    }

    /// Whether `origin` is listed, or every origin is allowed.
    pub fn contains(&self, origin: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(origins) | Self::ListedWithCredentials(origins) => {
                origins.iter().any(|listed| listed.as_bytes() == origin)
            }
        }
    }
}

/// `*`, or origins such as `https://www.example.com`, separated by commas.
impl FromStr for CorsOrigins {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim() == "*" {
            return Ok(Self::Any);
        }
        let listed = text.split(',').map(str::trim).filter(|origin| !origin.is_empty()).map(browser_origin);
        listed.collect::<Result<_, _>>().map(Self::Listed)
    }
}

/// One origin in the form that browsers send: in lower case, without the default port of its scheme, an internationalized name as
/// `xn--…`. Hybrid apps have a scheme of their own, such as `capacitor://localhost`.
///
/// # Errors
/// A description of what is wrong with it.
pub fn browser_origin(text: &str) -> Result<HeaderValue, String> {
    let wrong = |why: &str| format!("`{text}` is not an origin: {why}, such as https://www.example.com");
    if text.contains('*') {
        return Err(wrong("write `*` alone to allow every origin, or list each origin"));
    }
    let url = parse_url(text).ok_or_else(|| wrong("write a scheme and a host"))?;
    if matches!(url.scheme(), "ftp" | "file" | "ws" | "wss") {
        return Err(wrong("write http:// or https://"));
    }
    let has_account = !url.username().is_empty() || url.password().is_some();
    if has_account || !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("write a scheme, a host and optionally a port, and nothing after them"));
    }
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    let host = url.host_str().filter(|host| host.bytes().all(is_host)).unwrap_or_default().to_ascii_lowercase();
    if host.is_empty() {
        return Err(wrong("write a scheme and a host"));
    }
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    HeaderValue::from_str(&format!("{}://{host}{port}", url.scheme())).map_err(|_| wrong("write a scheme and a host"))
}

/// A URL with a host, as browsers parse it; but they take `https:///page` for `https://page`, and nobody means that.
pub fn parse_url(text: &str) -> Option<Url> {
    let names_host = text.split_once("://").is_some_and(|(_, rest)| !rest.starts_with('/'));
    Url::parse(text).ok().filter(|url| names_host && url.has_host())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_exact() {
        let listed: CorsOrigins = "https://a.example, http://b.example:8080".parse().unwrap();
        assert!(listed.contains(b"https://a.example") && listed.contains(b"http://b.example:8080"));
        for other in ["null", "http://a.example", "https://a.example.evil.com", "https://evil.com"] {
            assert!(!listed.contains(other.as_bytes()), "{other}");
        }
        for wrong in [
            "a.example",
            "null",
            "ftp://a.example",
            "https://a.example,*",
            "https://*.a.example",
            "https://a.example/page",
            "https://a.example/?",
            "https://a.example#top",
            "https://user@a.example",
            "https://a.example:99999",
            "https:///a.example",
            "https://a;b.example",
        ] {
            let error = wrong.parse::<CorsOrigins>().unwrap_err();
            assert!(error.contains("such as https://www.example.com"), "{wrong}: {error}");
        }
    }

    #[test]
    fn origins_are_written_as_browsers_do() {
        for (text, sent) in [
            ("HTTPS://News.Example", "https://news.example"),
            ("https://news.example/", "https://news.example"),
            ("https://news.example:443", "https://news.example"),
            ("http://news.example:80/", "http://news.example"),
            ("http://news.example:443", "http://news.example:443"),
            ("https://news.example:08443", "https://news.example:8443"),
            ("https://b\u{fc}cher.example", "https://xn--bcher-kva.example"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("capacitor://localhost", "capacitor://localhost"),
        ] {
            let expected = CorsOrigins::Listed(vec![HeaderValue::from_str(sent).unwrap()]);
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }
}
