//! Where a webhook's messages are sent to.

use ::url::{Host, Url};
use rustls::pki_types::ServerName;
use throng_domain::webhook::WEBHOOK_URL_BYTES_MAX;

use super::address::is_loopback;
use crate::config::WebhookHosts;

/// The URL of a webhook: `https://`, or `http://` to a host that is allowed.
#[derive(Clone, Debug)]
pub struct WebhookUrl(Url);

/// Why a URL can't be a webhook's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// It isn't one.
    #[error("it isn't a URL: {0}; write it as https://HOST/PATH")]
    NotUrl(String),
    /// It is too long.
    #[error("it is longer than {WEBHOOK_URL_BYTES_MAX} bytes")]
    TooLong,
    /// It has another scheme than `https` or `http`, or no host.
    #[error("write it as https://HOST/PATH")]
    NotHttp,
    /// It has a user, a password or a fragment, which aren't sent.
    #[error("it must not contain a user, a password or a fragment; the signature shows who sends a message")]
    NotPlain,
    /// Its host is what no certificate can be for, such as `foo-.example.com`.
    #[error("its host isn't a name that a certificate can be for")]
    NoCertificateName,
    /// It isn't encrypted, and its host isn't allowed for that.
    #[error("http:// is for this machine, and for hosts that WEBHOOK_HOSTS names; use https://")]
    NotEncrypted,
}

/// Whether TLS can check a certificate of this host: a URL's host may have letters that no name on the Internet has.
fn is_name_of_certificate(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => ServerName::try_from(*name).is_ok(),
        Host::Ipv4(_) | Host::Ipv6(_) => true,
    }
}

impl WebhookUrl {
    /// The URL in this text.
    ///
    /// # Errors
    /// [`InvalidUrl`].
    pub fn parse(text: &str, allowed: &WebhookHosts) -> Result<Self, InvalidUrl> {
        if text.len() > WEBHOOK_URL_BYTES_MAX {
            return Err(InvalidUrl::TooLong);
        }
        let url: Url = text.parse().map_err(|error: ::url::ParseError| InvalidUrl::NotUrl(error.to_string()))?;
        let Some(host) = url.host() else { return Err(InvalidUrl::NotHttp) };
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(InvalidUrl::NotPlain);
        }
        let is_allowed = is_loopback(&host) || allowed.contains(&host.to_string());
        match url.scheme() {
            "https" if is_name_of_certificate(&host) => {}
            "https" => return Err(InvalidUrl::NoCertificateName),
            "http" if is_allowed => {}
            "http" => return Err(InvalidUrl::NotEncrypted),
            _ => return Err(InvalidUrl::NotHttp),
        }
        if url.as_str().len() > WEBHOOK_URL_BYTES_MAX { Err(InvalidUrl::TooLong) } else { Ok(Self(url)) }
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether messages are encrypted on the way.
    pub(super) fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Its host.
    pub(super) fn host(&self) -> Host<&str> {
        self.0.host().expect("a URL without a host was refused")
    }

    /// Its port.
    pub(super) fn port(&self) -> u16 {
        self.0.port_or_known_default().expect("http and https have one")
    }

    /// The target of a request: its path and query.
    pub(super) fn target(&self) -> &str {
        &self.0[::url::Position::BeforePath..::url::Position::AfterQuery]
    }

    /// The value of a request's header `Host`.
    pub(super) fn authority(&self) -> &str {
        &self.0[::url::Position::BeforeHost..::url::Position::AfterPort]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusable_url_is_refused_with_a_reason() {
        let allowed: WebhookHosts = "cms.internal".parse().unwrap();
        for good in [
            "https://a.example/x?y=z",
            "http://127.0.0.1:9/",
            "http://[::1]/",
            "http://localhost/",
            "http://CMS.internal/",
        ] {
            assert!(WebhookUrl::parse(good, &allowed).is_ok(), "{good}");
        }
        let url = WebhookUrl::parse("https://a.example:8443/x?y=z", &allowed).unwrap();
        assert_eq!((url.authority(), url.target(), url.port()), ("a.example:8443", "/x?y=z", 8443));
        let too_long = format!("https://a.example/{}", "x".repeat(WEBHOOK_URL_BYTES_MAX));
        for (bad, why) in [
            ("a.example", "https://HOST/PATH"),
            ("ftp://a.example/", "https://HOST/PATH"),
            ("file:///etc/passwd", "https://HOST/PATH"),
            ("http://a.example/", "WEBHOOK_HOSTS"),
            ("http://10.0.0.1/", "WEBHOOK_HOSTS"),
            ("https://a:b@c.example/", "password"),
            ("https://c.example/#x", "fragment"),
            ("https://c-.example.com/", "certificate"),
            ("https://c*.example/", "certificate"),
            (&*too_long, "longer"),
        ] {
            let refused = WebhookUrl::parse(bad, &allowed).unwrap_err().to_string();
            assert!(refused.contains(why), "{bad}: {refused}");
        }
    }
}
