//! Hosts that webhooks may have without TLS or within private networks: `WEBHOOK_HOSTS`.

use std::str::FromStr;

use url::Host;

/// The hosts, as URLs have them: in lower case. Empty unless configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookHosts(Vec<String>);

impl WebhookHosts {
    /// Whether a URL's host is one of them.
    pub fn contains(&self, host: &str) -> bool {
        self.0.iter().any(|listed| listed == host)
    }
}

/// Names or addresses, separated by commas.
impl FromStr for WebhookHosts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let listed = text.split(',').map(str::trim).filter(|host| !host.is_empty());
        let host = |listed: &str| match Host::parse(listed) {
            Ok(host) => Ok(host.to_string()),
            Err(_) => Err(format!("`{listed}` is not a host: write it like cms.internal, 10.0.0.5 or [fd00::5]")),
        };
        listed.map(host).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_compared_as_urls_have_them() {
        let hosts: WebhookHosts = "CMS.internal, 10.0.0.5 ,[fd00::05]".parse().unwrap();
        for host in ["cms.internal", "10.0.0.5", "[fd00::5]"] {
            assert!(hosts.contains(host), "{host}");
        }
        assert!(!hosts.contains("internal"));
        for wrong in ["https://a.example", "10.0.0.0/8", "fd00::5", "a b"] {
            assert!(wrong.parse::<WebhookHosts>().is_err(), "{wrong}");
        }
    }
}
