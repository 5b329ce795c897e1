//! Whether a ballot comes from a page that may send one: a page of this server, or of an origin that the poll lists or, where it
//! lists none, of an origin in `CORS_ALLOW_ORIGIN`.
//!
//! A browser lets any page send a ballot as text or by a form on behalf of its visitor, and only withholds the response from
//! the page. So the ballot itself has to be rejected. Every browser sends the page's origin (`Origin`), and all current ones,
//! over HTTPS, send whether the page is the server's own (`Sec-Fetch-Site`); no page can change either. A request with neither
//! header was not sent by a page.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use hyper::header::{HOST, HeaderName, HeaderValue, ORIGIN};
use hyper::{HeaderMap, Method, Uri};
use throng_domain::origins::AllowedOrigins;

use super::problem::Problem;
use super::requested_poll::requested_poll;
use crate::config::{Config, CorsOrigins};
use crate::state::CoreState;

/// The relation of a request's origin to the server: `same-origin`, `same-site`, `cross-site` or `none`.
pub const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The address of the connection that a request arrived on; an extension of each request that takes the router.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// The response to a ballot whose page may not send one.
type Refuse = fn(&CoreState, Problem, &Uri, &HeaderMap) -> Response;

/// Refuses every `POST` to a route of `router` that was sent by a page which may not send ballots, before its body is read; and every
/// `DELETE` from a page that the ballot's poll doesn't list.
pub fn protect(router: Router<Arc<CoreState>>, core: &Arc<CoreState>, refuse: Refuse) -> Router<Arc<CoreState>> {
    router.layer(from_fn_with_state((Arc::clone(core), refuse), require_allowed_page))
}

async fn require_allowed_page(
    State((core, refuse)): State<(Arc<CoreState>, Refuse)>,
    Extension(Peer(peer)): Extension<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    let (is_post, is_delete) = (request.method() == Method::POST, request.method() == Method::DELETE);
    if is_post || is_delete {
        let live = requested_poll(&core, &mut request).await;
        let listed = live.as_deref().map(|live| &live.poll.allowed_origins).filter(|listed| !listed.is_empty());
        // A browser asks before a page of another site sends a `DELETE`: see `cors`.
        if (is_post || listed.is_some())
            && let Err(problem) = require_allowed(&core.app.config, listed, request.uri(), request.headers(), peer)
        {
            problem.count_refused_ballot(&core);
            return refuse(&core, problem, request.uri(), request.headers());
        }
    }
    next.run(request).await
}

/// Whether a request with this target and these headers, sent by `peer`, may carry a ballot in a poll that lists these origins.
///
/// # Errors
/// [`Problem::OriginNotListed`] or, where the poll lists no origins, [`Problem::OriginNotAllowed`].
pub fn require_allowed(
    config: &Config,
    listed: Option<&AllowedOrigins>,
    uri: &Uri,
    headers: &HeaderMap,
    peer: IpAddr,
) -> Result<(), Problem> {
    let (is_allowed, problem) = match listed.filter(|listed| !listed.is_empty()) {
        Some(listed) => {
            (may_vote(config, |origin| listed.contains(origin), uri, headers, peer), Problem::OriginNotListed)
        }
        None => {
            let configured = &config.cors_origins;
            let is_allowed = *configured == CorsOrigins::Any
                || may_vote(config, |origin| configured.contains(origin), uri, headers, peer);
            (is_allowed, Problem::OriginNotAllowed)
        }
    };
    if is_allowed { Ok(()) } else { Err(problem) }
}

/// Whether the request was sent by no page, or by one of this server's own, or by one of an origin in this list.
fn may_vote(config: &Config, is_listed: impl Fn(&[u8]) -> bool, uri: &Uri, headers: &HeaderMap, peer: IpAddr) -> bool {
    let site = headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
    let mut origins = headers.get_all(ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (None, _) => !matches!(site, Some(b"cross-site" | b"same-site")),
        (Some(origin), None) if is_listed(origin.as_bytes()) => true,
        (Some(origin), None) if config.public_url.origin().is_some_and(|public| origin == public) => true,
        (Some(origin), None) => match site {
            // Also where `Origin` is `null`, as on forms of this server's own pages when a proxy in front sets a referrer
            // policy. A sandboxed page, whose origin is `null` too, is never same-origin.
            Some(b"same-origin") => true,
            Some(b"none") | None => is_own(config, origin, uri, headers, peer),
            Some(_) => false,
        },
        (Some(_), Some(_)) => false,
    }
}

/// Whether a request was sent by no page, or by one of this server's own: by a browser that tells where it comes from.
pub fn is_from_own_page(config: &Config, uri: &Uri, headers: &HeaderMap, peer: IpAddr) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter();
    match (headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes), origins.next(), origins.next()) {
        (_, _, Some(_)) => false,
        (Some(b"same-origin"), _, None) | (Some(b"none") | None, None, None) => true,
        (Some(b"none") | None, Some(origin), None) => {
            config.public_url.origin().is_some_and(|public| origin == public)
                || is_own(config, origin, uri, headers, peer)
        }
        (Some(_), _, None) => false,
    }
}

/// Whether `origin` is the one that the request is sent to. Behind a proxy that terminates TLS it is not known whether the
/// client uses HTTPS, so there only the hosts are compared.
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
    // A trusted proxy that sends another `Host` puts the original one into `X-Forwarded-Host`.
    let forwarded = config.trusted_proxies.contains(peer).then(|| text(headers, &X_FORWARDED_HOST)).flatten();
    let forwarded = forwarded.and_then(|hosts| hosts.rsplit(',').next()).map(str::trim);
    [sent_to, forwarded].into_iter().flatten().any(|host| is_same(authority, host, default_port))
}

/// Whether an origin's authority is this host. A host without a port matches any port, since proxies omit it.
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

    /// Whether a ballot from `origin` to `host` is accepted from an old browser, which sends no `Sec-Fetch-Site`.
    fn accepts(settings: &[(&str, &str)], origin: &str, host: &str, forwarded_host: Option<&str>) -> bool {
        let settings = [settings, &[("APP_ENV", "prod")]].concat();
        let config = Config::read(&Sources::from_pairs(&settings)).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, HeaderValue::from_str(origin).unwrap());
        headers.insert(HOST, HeaderValue::from_str(host).unwrap());
        if let Some(host) = forwarded_host {
            headers.insert(X_FORWARDED_HOST, HeaderValue::from_str(host).unwrap());
        }
        require_allowed(&config, None, &Uri::from_static("/api/submit"), &headers, [10, 0, 0, 1].into()).is_ok()
    }

    #[test]
    fn own_origin_matches_the_request_host() {
        for (origin, host) in [
            ("https://vote.example", "vote.example"),
            ("https://vote.example", "VOTE.example:443"),
            ("http://vote.example", "vote.example:80"),
            ("http://vote.example:8080", "vote.example:8080"),
            ("https://vote.example:8443", "vote.example"),
            ("http://[::1]:8080", "[::1]:8080"),
            ("http://[::1]", "[::1]"),
        ] {
            assert!(accepts(&[], origin, host, None), "{origin} to {host}");
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
            assert!(!accepts(&[], origin, host, None), "{origin} to {host}");
        }
    }

    #[test]
    fn public_url_is_own_origin_for_any_host() {
        let public = [("PUBLIC_URL", "https://site.example/vote")];
        assert!(accepts(&public, "https://site.example", "127.0.0.1:8080", None));
        assert!(!accepts(&public, "https://other.example", "127.0.0.1:8080", None));
    }

    #[test]
    fn http_origin_is_foreign_when_tls_is_configured() {
        let tls = [("TLS_CERTIFICATE", "certificate.pem"), ("TLS_KEY", "key.pem")];
        assert!(accepts(&tls, "https://vote.example", "vote.example", None));
        assert!(!accepts(&tls, "http://vote.example", "vote.example", None));
    }

    #[test]
    fn forwarded_host_counts_from_trusted_proxies_only() {
        let trusting = [("TRUSTED_PROXIES", "10.0.0.0/8")];
        let forwarded = Some("evil.example, vote.example");
        assert!(accepts(&trusting, "https://vote.example", "127.0.0.1:8080", forwarded));
        assert!(!accepts(&trusting, "https://evil.example", "127.0.0.1:8080", forwarded));
        assert!(!accepts(&[], "https://vote.example", "127.0.0.1:8080", forwarded));
    }
}
