//! The origins whose pages may vote in a poll.
//!
//! An origin (RFC 6454) is where a page comes from: its scheme, host and port. A browser sends it with every vote, and no page can
//! change it.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

/// The most origins that a poll lists.
pub const ORIGINS_MAX: usize = 50;

/// The most bytes of all of them together: they fit in a response header, which proxies limit to 4 KB with all others.
pub const ORIGINS_BYTES_MAX: usize = 2_048;

/// The origin that browsers send for pages that have none of their own, such as those in a sandboxed frame.
const OPAQUE: &str = "null";

/// An origin as browsers send it: in lower case, without the default port of its scheme, an internationalized name as `xn--…`. Or
/// `null`, for every page that has no origin of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Origin(String);

/// Why a text isn't an origin.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an origin: {why}, such as https://www.example.com")]
pub struct InvalidOrigin {
    text: String,
    why: &'static str,
}

/// The origins whose pages may vote in a poll; if there are none, the server's configuration decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(from = "Vec<Origin>")]
pub struct AllowedOrigins(Vec<Origin>);

impl Origin {
    /// The origin as browsers send it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is `null`, which stands for any page without an origin of its own.
    pub fn is_opaque(&self) -> bool {
        self.0 == OPAQUE
    }

    /// The origin that `text` means, in the form that browsers send. Hybrid apps have a scheme of their own, such as
    /// `capacitor://localhost`.
    ///
    /// # Errors
    /// [`InvalidOrigin`], also for `null`.
    pub fn parse_tuple(text: &str) -> Result<Self, InvalidOrigin> {
        let wrong = |why| InvalidOrigin { text: text.to_owned(), why };
        if text.contains('*') {
            return Err(wrong("write each origin in full, without `*`"));
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
        Ok(Self(format!("{}://{host}{port}", url.scheme())))
    }
}

/// An origin, or `null`.
impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        if text == OPAQUE { Ok(Self(text.to_owned())) } else { Self::parse_tuple(text) }
    }
}

impl TryFrom<String> for Origin {
    type Error = InvalidOrigin;

    fn try_from(text: String) -> Result<Self, InvalidOrigin> {
        text.parse()
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> Self {
        origin.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A URL with a host, as browsers parse it; but they take `https:///page` for `https://page`, and nobody means that.
pub fn parse_url(text: &str) -> Option<Url> {
    let names_host = text.split_once("://").is_some_and(|(_, rest)| !rest.starts_with('/'));
    Url::parse(text).ok().filter(|url| names_host && url.has_host())
}

impl AllowedOrigins {
    /// Whether the poll lists no origin.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The origins, in the order given.
    pub fn iter(&self) -> impl Iterator<Item = &Origin> {
        self.0.iter()
    }

    /// Whether pages of the origin that a browser has sent are listed. Nothing but the very same text is the same origin.
    pub fn contains(&self, sent: &[u8]) -> bool {
        self.0.iter().any(|origin| origin.0.as_bytes() == sent)
    }

    /// The text under which a store keeps them; `None` if there are none.
    pub fn to_stored(&self) -> Option<String> {
        // Texts always have a form in JSON.
        (!self.is_empty()).then(|| serde_json::to_string(self).unwrap_or_default())
    }

    /// The origins from that text.
    ///
    /// # Errors
    /// If it isn't such a text.
    pub fn from_stored(stored: Option<&str>) -> Result<Self, serde_json::Error> {
        stored.map_or(Ok(Self::default()), serde_json::from_str)
    }

    /// A message to the operator for each rule that the list breaks.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let bytes: usize = self.0.iter().map(|origin| origin.0.len() + 1).sum();
        if self.0.len() > ORIGINS_MAX || bytes > ORIGINS_BYTES_MAX {
            faults.push(format!(
                "a poll lists at most {ORIGINS_MAX} origins, of {ORIGINS_BYTES_MAX} bytes together; these are {} of {bytes}",
                self.0.len()
            ));
        }
        faults
    }
}

impl From<Vec<Origin>> for AllowedOrigins {
    fn from(origins: Vec<Origin>) -> Self {
        origins.into_iter().collect()
    }
}

/// The origins in this order, each once. Of too many, some may be there twice: they are refused anyway.
impl FromIterator<Origin> for AllowedOrigins {
    fn from_iter<I: IntoIterator<Item = Origin>>(origins: I) -> Self {
        let mut listed = Vec::new();
        for origin in origins {
            if listed.len() > ORIGINS_MAX || !listed.contains(&origin) {
                listed.push(origin);
            }
        }
        Self(listed)
    }
}

impl fmt::Display for AllowedOrigins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, origin) in self.0.iter().enumerate() {
            write!(f, "{}{origin}", if position > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(origins: &[&str]) -> AllowedOrigins {
        origins.iter().map(|origin| origin.parse().unwrap()).collect()
    }

    /// S15: neither `null` nor a look-alike is a listed origin.
    #[test]
    fn origins_are_exact() {
        let origins = listed(&["https://ok.example", "http://b.example:8080", "https://OK.example:443/"]);
        assert_eq!(origins.to_string(), "https://ok.example, http://b.example:8080", "each once");
        assert!(origins.contains(b"https://ok.example") && origins.contains(b"http://b.example:8080"));
        for other in [
            "null",
            "",
            "http://ok.example",
            "https://ok.example/",
            "https://ok.example:443",
            "HTTPS://ok.example",
            "https://ok.example.evil.com",
            "https://evil.com#https://ok.example",
            "https://ok.example https://evil.com",
        ] {
            assert!(!origins.contains(other.as_bytes()), "{other}");
        }
        assert!(listed(&["null"]).contains(b"null"), "a switch of its own");
    }

    #[test]
    fn origins_are_written_as_browsers_do() {
        for (text, sent) in [
            ("HTTPS://News.Example", "https://news.example"),
            ("https://news.example/", "https://news.example"),
            ("https://news.example:443", "https://news.example"),
            ("http://news.example:443", "http://news.example:443"),
            ("https://b\u{fc}cher.example", "https://xn--bcher-kva.example"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("capacitor://localhost", "capacitor://localhost"),
            ("null", "null"),
        ] {
            assert_eq!(text.parse::<Origin>().unwrap().as_str(), sent, "{text}");
        }
    }

    /// S14: what isn't an origin can't add a directive to a page's policy, or a line to its head.
    #[test]
    fn other_texts_are_no_origins() {
        for wrong in [
            "*",
            "",
            "NULL",
            "'self'",
            "https:",
            "https://*.a.example",
            "https://a.example/page",
            "https://a.example/?",
            "https://a.example; script-src *",
            "https://a;b.example",
            "https://a.example\r\nx: y",
            "https://user@a.example",
            "data:text/html,x",
            "file:///etc/passwd",
            "a.example",
        ] {
            // The URL parser leaves out line breaks, as browsers do; what remains has no such character.
            match wrong.parse::<Origin>() {
                Err(error) => {
                    assert!(error.to_string().contains("such as https://www.example.com"), "{wrong}: {error}")
                }
                Ok(origin) => panic!("{wrong:?} is taken for {origin}"),
            }
        }
    }

    #[test]
    fn lists_are_stored_and_bounded() {
        let origins = listed(&["https://a.example", "null"]);
        assert_eq!(AllowedOrigins::from_stored(origins.to_stored().as_deref()).unwrap(), origins);
        assert_eq!(AllowedOrigins::default().to_stored(), None);
        assert_eq!(AllowedOrigins::from_stored(None).unwrap(), AllowedOrigins::default());
        assert!(AllowedOrigins::from_stored(Some(r#"["https://a.example/page"]"#)).is_err());
        assert!(origins.faults().is_empty());
        let many: AllowedOrigins = (0..=ORIGINS_MAX).map(|n| format!("https://{n}.x").parse().unwrap()).collect();
        assert_eq!(many.faults().len(), 1);
        let long = format!("https://{}.example", "a.".repeat(1_100));
        assert!(long.parse().is_ok_and(|origin: Origin| !AllowedOrigins(vec![origin]).faults().is_empty()));
    }
}
