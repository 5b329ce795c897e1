//! The origins of other sites' pages that may call the public routes: `CORS_ALLOW_ORIGIN`.

use std::str::FromStr;

use hyper::header::HeaderValue;
use throng_domain::origins::Origin;

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

/// One origin in the form that browsers send.
///
/// # Errors
/// A description of what is wrong with it.
pub fn browser_origin(text: &str) -> Result<HeaderValue, String> {
    if text.contains('*') {
        return Err(format!(
            "`{text}` is not an origin: write `*` alone to allow every origin, or list each origin, such as \
             https://www.example.com"
        ));
    }
    let origin = Origin::parse_tuple(text).map_err(|error| error.to_string())?;
    HeaderValue::from_str(origin.as_str()).map_err(|error| error.to_string())
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
}
