//! The cookie in which a browser keeps its device's token for one poll. Only a vote sets it, so every page stays the same for
//! all visitors.
//!
//! Over HTTPS its name has the prefix `__Host-`: a browser takes no such cookie from another host, so a sibling subdomain can't
//! give its visitors a token. A page of another site gets a cookie for its site alone (`Partitioned`), since browsers keep no
//! other of a third party.

use std::net::IpAddr;

use hyper::HeaderMap;
use hyper::header::{COOKIE, HeaderName, HeaderValue, ORIGIN};
use throng_domain::poll::{PollId, Slug};

use super::cookies::cookies;
use super::origin::SEC_FETCH_SITE;
use crate::config::Config;
use crate::voting::{Device, DeviceToken, PolicyKey};

/// Whether the client uses HTTPS, as the proxy in front knows.
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

const OWN_PAGE: &str = "Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=2592000";
const OTHER_SITE: &str = "Path=/; Secure; HttpOnly; SameSite=None; Partitioned; Max-Age=2592000";
const WITHOUT_TLS: &str = "Path=/; HttpOnly; SameSite=Lax; Max-Age=2592000";

/// A poll's cookie, as the browser that sent a request gets it.
#[derive(Debug)]
pub struct DeviceCookie {
    name: String,
    attributes: &'static str,
    /// The device that the request's own cookie names.
    pub device: Option<Device>,
}

impl DeviceCookie {
    /// The cookie of the poll in a request with these headers, received from `peer`. Of several with its name, as an old browser
    /// sends a partitioned one and another, the first valid one counts.
    pub fn of(
        config: &Config,
        key: PolicyKey<'_>,
        (poll, slug): (PollId, &Slug),
        headers: &HeaderMap,
        peer: IpAddr,
    ) -> Self {
        let is_https = is_https(config, headers, peer);
        let name = [if is_https { "__Host-throng-" } else { "throng-" }, slug.as_str()].concat();
        let attributes = match headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes) {
            _ if !is_https => WITHOUT_TLS,
            Some(b"cross-site") => OTHER_SITE,
            Some(_) | None => OWN_PAGE,
        };
        // A browser sends `__Host-` over HTTPS only, so it is read also where nothing else says that this is HTTPS: a page's own
        // GET has no `Origin`. A cookie without it may be another host's, unless there is no HTTPS.
        let device = if headers.contains_key(COOKIE) {
            let valid = |name: &str| {
                let mut own = cookies(headers).filter(|(found, _)| *found == name);
                own.find_map(|(_, token)| Device::of_token(key, poll, token))
            };
            valid(&format!("__Host-throng-{slug}")).or_else(|| valid(&name))
        } else {
            None
        };
        Self { name, attributes, device }
    }

    /// The value of `Set-Cookie` that makes the browser keep this token for 30 days.
    pub fn keeping(&self, token: &DeviceToken) -> HeaderValue {
        let cookie = [self.name.as_str(), "=", token.as_str(), "; ", self.attributes].concat();
        HeaderValue::try_from(cookie).expect("slugs and tokens fit in a header")
    }
}

/// Whether the client uses HTTPS, to this server or to a proxy in front.
fn is_https(config: &Config, headers: &HeaderMap, peer: IpAddr) -> bool {
    let is_https = |origin: &[u8]| origin.starts_with(b"https://");
    let is_proxy_asked = || {
        let values = headers.get_all(X_FORWARDED_PROTO).iter().filter_map(|value| value.to_str().ok());
        let mut schemes = values.flat_map(|value| value.split(','));
        config.trusted_proxies.contains(peer) && schemes.any(|scheme| scheme.trim().eq_ignore_ascii_case("https"))
    };
    config.tls.is_some()
        || config.public_url.origin().is_some_and(|origin| is_https(origin.as_bytes()))
        || headers.get(ORIGIN).is_some_and(|origin| is_https(origin.as_bytes()))
        || is_proxy_asked()
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use throng_domain::ballot::BallotId;
    use uuid::Uuid;

    use super::*;
    use crate::config::{DerivedKey, Sources};

    const POLL: PollId = PollId(1);
    static SECRET: LazyLock<DerivedKey> = LazyLock::new(|| DerivedKey::new([7; 32]));

    fn cookie(settings: &[(&str, &str)], lines: &[(&'static str, &str)]) -> DeviceCookie {
        let config = Config::read(&Sources::from_pairs(settings)).unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        let slug = "demo".parse().unwrap();
        DeviceCookie::of(&config, PolicyKey(&SECRET), (POLL, &slug), &headers, [10, 0, 0, 1].into())
    }

    fn device(number: u128) -> Device {
        Device::of_ballot(PolicyKey(&SECRET), POLL, BallotId(Uuid::from_u128(number)))
    }

    fn token(number: u128) -> String {
        device(number).token().as_str().to_owned()
    }

    /// S17: the attributes, by the site of the page that voted and the transport.
    #[test]
    fn attributes_depend_on_the_site_and_the_transport() {
        let https = ("origin", "https://vote.example");
        for (lines, name, attributes) in [
            (&[https, ("sec-fetch-site", "same-origin")][..], "__Host-throng-demo", OWN_PAGE),
            (&[https, ("sec-fetch-site", "same-site")], "__Host-throng-demo", OWN_PAGE),
            (&[https], "__Host-throng-demo", OWN_PAGE),
            (&[https, ("sec-fetch-site", "cross-site")], "__Host-throng-demo", OTHER_SITE),
            (&[("origin", "http://localhost:8080"), ("sec-fetch-site", "same-origin")], "throng-demo", WITHOUT_TLS),
            (&[("sec-fetch-site", "cross-site")], "throng-demo", WITHOUT_TLS),
            (&[], "throng-demo", WITHOUT_TLS),
        ] {
            let cookie = cookie(&[], lines);
            assert_eq!((cookie.name.as_str(), cookie.attributes), (name, attributes), "{lines:?}");
        }
        let set = cookie(&[], &[https]).keeping(&device(1).token());
        assert_eq!(set, format!("__Host-throng-demo={}; {OWN_PAGE}", token(1)));
    }

    #[test]
    fn https_is_known_from_settings_and_trusted_proxies() {
        let proxied = [("x-forwarded-proto", "https")];
        for (settings, lines, is_https) in [
            (&[("PUBLIC_URL", "https://vote.example")][..], &[][..], true),
            (&[("PUBLIC_URL", "http://vote.example")], &[], false),
            (&[("TLS_CERTIFICATE", "a.pem"), ("TLS_KEY", "b.pem")], &[], true),
            (&[("TRUSTED_PROXIES", "10.0.0.0/8")], &proxied, true),
            (&[("TRUSTED_PROXIES", "10.0.0.0/8")], &[("x-forwarded-proto", "http")], false),
            (&[("TRUSTED_PROXIES", "192.0.2.1")], &proxied, false),
            (&[], &proxied, false),
        ] {
            assert_eq!(cookie(settings, lines).name.starts_with("__Host-"), is_https, "{settings:?} {lines:?}");
        }
    }

    #[test]
    fn first_valid_cookie_of_the_name_counts() {
        let (one, two) = (token(1), token(2));
        let flipped = format!("{}0", &one[..63]);
        let of = |cookies: &str| cookie(&[], &[("cookie", cookies), ("origin", "https://vote.example")]).device;
        let named = |token: &str| format!("__Host-throng-demo={token}");
        assert_eq!(of(&format!("a=b; {}; {}", named(&one), named(&two))), Some(device(1)));
        assert_eq!(of(&format!("{}; {}", named("x"), named(&two))), Some(device(2)));
        assert_eq!(of(&named(&flipped)), None);
        // A page of a sibling subdomain can set a cookie without the prefix.
        assert_eq!(of(&format!("throng-demo={one}")), None);
        let without_tls = |cookies: &str| cookie(&[], &[(COOKIE.as_str(), cookies)]).device;
        assert_eq!(without_tls(&format!("throng-demo={one}")), Some(device(1)));
        // A page's own GET doesn't say that it was sent over HTTPS.
        assert_eq!(without_tls(&format!("throng-demo={one}; {}", named(&two))), Some(device(2)));
    }
}
