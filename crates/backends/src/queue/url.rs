//! The URL of a broker.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::url_parts::{decode, encode, is_default_password, no_account, parse_host};

/// How long sending a message may take, its confirm included, unless set otherwise.
const CONFIRM_MAX: Duration = Duration::from_secs(3);

const EXAMPLE: &str = "amqp://user:password@host:5672/vhost";

/// The address and credentials of a broker: `amqp://user:password@host:port/vhost`, or `amqps://` for TLS. Several nodes of
/// one cluster may be given, `host1,host2:5673`; they are tried in order. The default user is `guest`, the default virtual
/// host `/`, encoded as `%2f`.
#[derive(Clone, PartialEq, Eq)]
pub struct QueueUrl {
    pub(super) tls: bool,
    pub(super) user: String,
    pub(super) password: String,
    pub(super) hosts: Vec<(String, u16)>,
    pub(super) vhost: String,
    /// How long sending a message may take, its confirm included.
    pub(super) confirm_max: Duration,
}

impl QueueUrl {
    /// Whether everybody knows the password, such as that of RabbitMQ's own account `guest`.
    pub fn has_default_password(&self) -> bool {
        is_default_password(&self.user, &self.password)
    }

    /// The same with another limit for sending a message, its confirm included; 3 seconds by default. A busy machine that runs
    /// tests may take longer.
    #[must_use]
    pub fn with_confirm_max(self, confirm_max: Duration) -> Self {
        Self { confirm_max, ..self }
    }
}

/// For display and logs: without the password.
impl fmt::Display for QueueUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}@", if self.tls { "amqps" } else { "amqp" }, encode(&self.user))?;
        for (position, (host, port)) in self.hosts.iter().enumerate() {
            let comma = if position > 0 { "," } else { "" };
            if host.contains(':') { write!(f, "{comma}[{host}]:{port}")? } else { write!(f, "{comma}{host}:{port}")? }
        }
        write!(f, "/{}", encode(&self.vhost))
    }
}

impl fmt::Debug for QueueUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueueUrl({self})")
    }
}

impl FromStr for QueueUrl {
    type Err = String;

    // Invalid input may contain a password, so no error message repeats it.
    fn from_str(url: &str) -> Result<Self, String> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| format!("write it as a URL, such as {EXAMPLE}"))?;
        let tls = match scheme {
            "amqp" => false,
            "amqps" => true,
            other => {
                return Err(format!("`{other}://` isn't a queue that this version of Throng knows; use {EXAMPLE}"));
            }
        };
        if rest.contains(['?', '#']) {
            return Err(format!(
                "{scheme}:// takes no options; in a password write ? as %3f and # as %23, as in {EXAMPLE}"
            ));
        }
        let (authority, vhost) = rest.split_once('/').unwrap_or((rest, ""));
        if !authority.contains('@') && vhost.contains('@') {
            return Err(no_account(rest, EXAMPLE));
        }
        let (account, hosts) = authority.rsplit_once('@').unwrap_or(("guest:guest", authority));
        let (user, password) = account.split_once(':').ok_or_else(|| format!("name a password, as in {EXAMPLE}"))?;
        let default_port = if tls { 5671 } else { 5672 };
        let vhost = decode(vhost, EXAMPLE)?;
        Ok(Self {
            tls,
            user: decode(user, EXAMPLE)?,
            password: decode(password, EXAMPLE)?,
            hosts: hosts.split(',').map(|host| parse_host(host, default_port, EXAMPLE)).collect::<Result<_, _>>()?,
            vhost: if vhost.is_empty() { "/".to_owned() } else { vhost },
            confirm_max: CONFIRM_MAX,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> QueueUrl {
        url.parse().unwrap()
    }

    #[test]
    fn every_part_is_parsed() {
        let url = parse("amqps://ann:p%40ss:%2f@one,two:5673,[::1]:5674/%2fvotes");
        assert!(url.tls);
        assert_eq!((url.user.as_str(), url.password.as_str(), url.vhost.as_str()), ("ann", "p@ss:/", "/votes"));
        let hosts: Vec<_> = url.hosts.iter().map(|(host, port)| (host.as_str(), *port)).collect();
        assert_eq!(hosts, [("one", 5671), ("two", 5673), ("::1", 5674)]);
    }

    #[test]
    fn omitted_parts_have_defaults() {
        let url = parse("amqp://localhost");
        assert!(url.has_default_password());
        assert_eq!(url, parse("amqp://guest:guest@localhost:5672/%2F"));
        assert_eq!(url, parse("amqp://localhost/"));
    }

    #[test]
    fn password_with_a_slash_gets_an_encoding_hint() {
        let error = "amqp://ann:sec/ret@host/%2f".parse::<QueueUrl>().unwrap_err();
        assert!(error.contains("write / as %2f") && !error.contains("sec"), "{error}");
    }

    #[test]
    fn password_is_never_shown() {
        let url = parse("amqp://ann:secret@one,[::1]:7/a%20b");
        assert_eq!(url.to_string(), "amqp://ann@one:5672,[::1]:7/a%20b");
        assert!(!format!("{url:?}").contains("secret"));
        for wrong in [
            "amqp:secret",
            "secret://h",
            "amqp://a:secret@",
            "amqp://a:secret@h:x",
            "amqp://a:secret%zz@h",
            "amqp://a:secret?@h",
            "amqp://secret@h",
            "amqp://a:secret%2",
        ] {
            let error = wrong.parse::<QueueUrl>().unwrap_err();
            assert!(error.contains(EXAMPLE), "{error}");
            assert!(wrong.starts_with("secret") || !error.contains("secret"), "{error}");
        }
    }
}
