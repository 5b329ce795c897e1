//! A database server's URL: `scheme://user:password@host:port/name?sslmode=…`.

use std::fmt;

use super::tls::Tls;
use crate::url_parts::{decode, encode, is_default_password, no_account, parse_host};

/// A database on a server, with all that is needed to reach it.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl {
    pub(super) user: String,
    pub(super) password: String,
    pub(super) host: String,
    pub(super) port: u16,
    /// The database's name.
    pub(super) name: String,
    pub(super) tls: Tls,
    scheme: &'static str,
}

impl ServerUrl {
    /// Whether everybody knows the password, such as `postgres` or none for an administrator.
    pub(super) fn has_default_password(&self) -> bool {
        is_default_password(&self.user, &self.password)
    }

    /// Parses what follows `scheme://`.
    ///
    /// # Errors
    /// The message says how to write the URL. The given one isn't repeated, since it may contain a password.
    pub(super) fn parse(scheme: &'static str, default_port: u16, rest: &str) -> Result<Self, String> {
        let example = format!("{scheme}://user:password@host:{default_port}/throng");
        if rest.contains('#') {
            return Err(format!("in a password write ? as %3f and # as %23, as in {example}"));
        }
        let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
        let tls = Tls::parse(options, &example)?;
        let (authority, name) = rest.split_once('/').unwrap_or((rest, ""));
        let (account, host) = authority.rsplit_once('@').ok_or_else(|| no_account(rest, &example))?;
        let (user, password) = account.split_once(':').unwrap_or((account, ""));
        let (host, port) = parse_host(host, default_port, &example)?;
        let (user, name) = (decode(user, &example)?, decode(name, &example)?);
        if user.is_empty() || name.is_empty() || name.contains(['/', '\0']) {
            return Err(format!("name a user and a database, as in {example}"));
        }
        Ok(Self { user, password: decode(password, &example)?, host, port, name, tls, scheme })
    }
}

/// For display and logs: without its password, and without the options that concern this client alone.
impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port, .. } = self;
        let (user, name) = (encode(&self.user), encode(&self.name));
        if host.contains(':') {
            write!(f, "{scheme}://{user}@[{host}]:{port}/{name}")
        } else {
            write!(f, "{scheme}://{user}@{host}:{port}/{name}")
        }
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerUrl({self})")
    }
}
