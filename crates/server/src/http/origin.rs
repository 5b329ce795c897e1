//! Whether a ballot comes from a page that may send one: ours, or one of `CORS_ALLOW_ORIGIN`.
//!
//! A browser lets any page send a ballot as text or by a form, in its visitor's name, and only keeps the response from
//! it. So the ballot itself has to be refused. Every browser says which page sends (`Origin`), and all current ones, over
//! HTTPS, whether that is the server's own (`Sec-Fetch-Site`); no page can change either. What has neither was sent by no
//! page.

use std::net::IpAddr;

use hyper::header::{HOST, HeaderName, HeaderValue, ORIGIN};
use hyper::{HeaderMap, Uri};

use super::cors::CorsOrigins;
use crate::config::Config;

/// Where a request comes from, as seen from the server: `same-origin`, `same-site`, `cross-site` or `none`.
pub const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Whether a request with this target and these headers, sent by `peer`, may carry a ballot.
pub fn may_vote(config: &Config, uri: &Uri, headers: &HeaderMap, peer: IpAddr) -> bool {
    if config.cors_origins == CorsOrigins::Any {
        return true;
    }
    let site = headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
    let mut origins = headers.get_all(ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (None, _) => !matches!(site, Some(b"cross-site" | b"same-site")),
        (Some(origin), None) if config.cors_origins.names(origin.as_bytes()) => true,
        (Some(origin), None) if config.public_url.origin().is_some_and(|public| origin == public) => true,
        (Some(origin), None) => match site {
            // Also where `Origin` is `null`: a referrer policy that somebody in front has set does that to our own forms. A
            // sandboxed page, whose origin is `null` too, is same-origin with nobody.
            Some(b"same-origin") => true,
            Some(b"none") | None => is_own(config, origin, uri, headers, peer),
            Some(_) => false,
        },
        (Some(_), Some(_)) => false,
    }
}

/// Whether `origin` is the one that the request is sent to. Whether that is reached over HTTPS isn't known behind a proxy
/// that ends TLS, so there only the hosts are compared.
fn is_own(config: &Config, origin: &HeaderValue, uri: &Uri, headers: &HeaderMap, peer: IpAddr) -> bool {
    let Some((scheme, authority)) = origin.to_str().ok().and_then(|origin| origin.split_once("://")) else {
        return false;
    };
    let default_port = match scheme {
        "https" => "443",
        "http" if config.tls.is_none() => "80",
        _ => return false,
    };
    let sent_to = uri.authority().map(|authority| authority.as_str()).or_else(|| text(headers, &HOST));
    // Where a proxy of ours names another host to us, it tells the one that it was asked for.
    let forwarded = config.trusted_proxies.contain(peer).then(|| text(headers, &X_FORWARDED_HOST)).flatten();
    let forwarded = forwarded.and_then(|hosts| hosts.rsplit(',').next()).map(str::trim);
    [sent_to, forwarded].into_iter().flatten().any(|host| is_same(authority, host, default_port))
}

/// Whether an origin's authority is this host. A host without a port is that of any: proxies leave it out.
fn is_same(authority: &str, host: &str, default_port: &str) -> bool {
    let (own_name, own_port) = split_port(host);
    let (name, port) = split_port(authority);
    name.eq_ignore_ascii_case(own_name) && own_port.is_none_or(|own| own == port.unwrap_or(default_port))
}

/// The name and the port of `a.example:8080` or `[::1]:8080`.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        Some(_) | None => (authority, None),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    /// Whether a ballot may come from `origin` to `host`, which a browser of old sends: without `Sec-Fetch-Site`.
    fn may(settings: &[(&str, &str)], origin: &str, host: &str, forwarded_host: Option<&str>) -> bool {
        let settings = [settings, &[("APP_ENV", "prod")]].concat();
        let config = Config::read(&Sources::from_pairs(&settings)).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, HeaderValue::from_str(origin).unwrap());
        headers.insert(HOST, HeaderValue::from_str(host).unwrap());
        if let Some(host) = forwarded_host {
            headers.insert(X_FORWARDED_HOST, HeaderValue::from_str(host).unwrap());
        }
        may_vote(&config, &Uri::from_static("/api/submit"), &headers, [10, 0, 0, 1].into())
    }

    #[test]
    fn own_origin_is_the_host_asked_for() {
        for (origin, host) in [
            ("https://vote.example", "vote.example"),
            ("https://vote.example", "VOTE.example:443"),
            ("http://vote.example", "vote.example:80"),
            ("http://vote.example:8080", "vote.example:8080"),
            ("https://vote.example:8443", "vote.example"),
            ("http://[::1]:8080", "[::1]:8080"),
            ("http://[::1]", "[::1]"),
        ] {
            assert!(may(&[], origin, host, None), "{origin} to {host}");
        }
        for (origin, host) in [
            ("https://evil.example", "vote.example"),
            ("https://vote.example.evil.example", "vote.example"),
            ("https://vote.example", "vote.example:8080"),
            ("http://vote.example:81", "vote.example:80"),
            ("null", "null"),
            ("vote.example", "vote.example"),
            ("ftp://vote.example", "vote.example"),
            ("", ""),
        ] {
            assert!(!may(&[], origin, host, None), "{origin} to {host}");
        }
    }

    #[test]
    fn public_url_is_ours_whatever_host_is_passed_on() {
        let public = [("PUBLIC_URL", "https://site.example/vote")];
        assert!(may(&public, "https://site.example", "127.0.0.1:8080", None));
        assert!(!may(&public, "https://other.example", "127.0.0.1:8080", None));
    }

    #[test]
    fn with_tls_of_its_own_a_page_without_is_another() {
        let tls = [("TLS_CERTIFICATE", "certificate.pem"), ("TLS_KEY", "key.pem")];
        assert!(may(&tls, "https://vote.example", "vote.example", None));
        assert!(!may(&tls, "http://vote.example", "vote.example", None));
    }

    #[test]
    fn proxies_of_ours_tell_the_host_that_was_asked_for() {
        let ours = [("TRUSTED_PROXIES", "10.0.0.0/8")];
        let forwarded = Some("evil.example, vote.example");
        assert!(may(&ours, "https://vote.example", "127.0.0.1:8080", forwarded));
        assert!(!may(&ours, "https://evil.example", "127.0.0.1:8080", forwarded));
        assert!(!may(&[], "https://vote.example", "127.0.0.1:8080", forwarded));
    }
}
