//! Tokens by which people and programs administer polls over HTTP, and what each may do.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::{NAME_PATTERN, is_name};
use crate::words::words;

words! {
    /// What a token allows. Each role includes the ones before it.
    #[derive(PartialOrd, Ord)]
    Role {
        /// Reading polls, results that are hidden from voters, and the audit log.
        Viewer = "viewer",
        /// Creating and changing polls, and exporting their ballots.
        Editor = "editor",
        /// Making and revoking tokens.
        Admin = "admin",
    }
}

impl Role {
    /// Whether a token with this role may do what `needed` allows.
    pub fn includes(self, needed: Self) -> bool {
        self >= needed
    }
}

/// A token's name, under which its changes are noted in the audit log: of the same characters as a poll's slug.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
#[schemars(!into, !try_from, transparent)]
pub struct TokenName(#[schemars(regex(pattern = NAME_PATTERN), length(min = 1, max = 64))] String);

impl TokenName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for TokenName {
    type Err = InvalidTokenName;

    fn from_str(text: &str) -> Result<Self, InvalidTokenName> {
        if is_name(text) { Ok(Self(text.to_owned())) } else { Err(InvalidTokenName(text.chars().take(80).collect())) }
    }
}

impl TryFrom<String> for TokenName {
    type Error = InvalidTokenName;

    fn try_from(text: String) -> Result<Self, InvalidTokenName> {
        text.parse()
    }
}

impl From<TokenName> for String {
    fn from(name: TokenName) -> Self {
        name.0
    }
}

/// A string that isn't a valid name of a token.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` can't be a token's name: use 1 to 64 of a-z, 0-9 and -, such as `anna` or `cms-production`")]
pub struct InvalidTokenName(String);

/// The SHA-256 hash of a token's secret. The secret has 256 random bits, so a hash that is fast to compute is enough.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretHash(pub [u8; 32]);

/// Without the hash, which belongs in no log.
impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

/// A token to be stored.
#[derive(Clone, Debug)]
pub struct NewAdminToken {
    /// Its name. Several tokens may have the same one, such as while one replaces another.
    pub name: TokenName,
    /// What it allows.
    pub role: Role,
    /// When it expires; `None` for never.
    pub expires_at: Option<Timestamp>,
    /// The hash of its secret.
    pub hash: SecretHash,
}

/// A token as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminToken {
    /// Its number, from 1, which is part of its text.
    pub number: u32,
    /// Its name.
    pub name: TokenName,
    /// What it allows.
    pub role: Role,
    /// When it was made, by the database's clock.
    pub made_at: Timestamp,
    /// When it expires; `None` for never.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// The hash of its secret.
    pub hash: SecretHash,
}

impl AdminToken {
    /// Whether it allows anything at `now`.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|expires_at| now < expires_at)
    }

    /// What the audit log says of it.
    pub fn audited(&self) -> serde_json::Value {
        let Self { number, name, role, expires_at, .. } = self;
        serde_json::json!({ "token": { "number": number, "name": name, "role": role, "expires_at": expires_at } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_include_lower_ones() {
        let allowed = |role: Role| [Role::Viewer, Role::Editor, Role::Admin].map(|needed| role.includes(needed));
        assert_eq!(allowed(Role::Viewer), [true, false, false]);
        assert_eq!(allowed(Role::Editor), [true, true, false]);
        assert_eq!(allowed(Role::Admin), [true, true, true]);
    }

    #[test]
    fn names_have_a_fixed_alphabet() {
        assert_eq!("cms-1".parse::<TokenName>().unwrap().as_str(), "cms-1");
        for bad in ["", "Anna", "a\nb", "a b"] {
            assert!(bad.parse::<TokenName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn token_is_valid_until_it_expires_or_is_revoked() {
        let token = AdminToken {
            number: 1,
            name: "anna".parse().unwrap(),
            role: Role::Editor,
            made_at: Timestamp(0),
            expires_at: Some(Timestamp(10)),
            revoked_at: None,
            hash: SecretHash([7; 32]),
        };
        assert!(token.is_valid(Timestamp(9)) && !token.is_valid(Timestamp(10)));
        assert!(!AdminToken { revoked_at: Some(Timestamp(5)), ..token.clone() }.is_valid(Timestamp(5)));
        assert!(!format!("{token:?}").contains('7'), "{token:?}");
    }
}
