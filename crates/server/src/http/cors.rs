//! Which pages of other sites may call the public routes.
//!
//! No route that may be called from elsewhere looks at a cookie, so no answer allows credentials.

use std::str::FromStr;

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, HeaderValue, VARY,
};
use hyper::{HeaderMap, Uri};

/// What a page may read beside the body: the version of a result, and when to come again.
const EXPOSED: HeaderValue = HeaderValue::from_static("etag, retry-after");

/// The origins that may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CorsOrigins {
    /// Every one.
    Any,
    /// These; with none, only pages of this server itself.
    Listed(Vec<HeaderValue>),
}

impl CorsOrigins {
    /// Adds to the answer's headers what lets a page of `origin` read it.
    ///
    /// An answer that a cache may keep says so even where nobody asked: the next one to get it may.
    pub fn allow(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        match self {
            Self::Any if origin.is_none() && !headers.contains_key(CACHE_CONTROL) => {}
            Self::Any => {
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
                headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
            }
            Self::Listed(origins) => {
                headers.append(VARY, HeaderValue::from_static("Origin"));
                if let Some(origin) = origin.filter(|origin| origins.contains(origin)) {
                    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
                }
            }
        }
    }

    /// Adds to the answer to a browser's question, asked before it sends JSON, what it may send.
    pub fn allow_sending(headers: &mut HeaderMap) {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type, if-none-match"));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    }
}

/// `*`, or origins such as `https://www.example.com`, separated by commas.
impl FromStr for CorsOrigins {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim() == "*" {
            return Ok(Self::Any);
        }
        let listed = text.split(',').map(str::trim).filter(|origin| !origin.is_empty()).map(origin);
        listed.collect::<Result<_, _>>().map(Self::Listed)
    }
}

fn origin(text: &str) -> Result<HeaderValue, String> {
    let wrong = || format!("`{text}` is no origin: write it like https://www.example.com, without a path");
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(wrong()) };
    if !matches!(scheme, "http" | "https") || format!("{scheme}://{authority}") != text {
        return Err(wrong());
    }
    HeaderValue::from_str(text).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_exact() {
        let listed: CorsOrigins = "https://a.example, http://b.example:8080".parse().unwrap();
        let allowed = |origin: &'static str| {
            let mut headers = HeaderMap::new();
            listed.allow(Some(&HeaderValue::from_static(origin)), &mut headers);
            assert_eq!(headers[VARY], "Origin");
            headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN)
        };
        assert!(allowed("https://a.example") && allowed("http://b.example:8080"));
        for other in ["null", "http://a.example", "https://a.example.evil.com", "https://evil.com"] {
            assert!(!allowed(other), "{other}");
        }
        for wrong in ["a.example", "https://a.example/", "ftp://a.example", "https://a.example,*"] {
            assert!(wrong.parse::<CorsOrigins>().is_err(), "{wrong}");
        }
    }
}
