//! Tokens of those who administer polls.

use schemars::JsonSchema;
use serde::Serialize;
use throng_domain::admin_token::{AdminToken, Role, TokenName};

use super::time::{Rfc3339, rfc3339_text};

/// A token in JSON, without its secret.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "AdminToken")]
pub struct TokenView<'a> {
    number: u32,
    name: &'a TokenName,
    role: Role,
    #[schemars(with = "Rfc3339")]
    made_at: String,
    #[schemars(with = "Option<Rfc3339>")]
    expires_at: Option<String>,
    #[schemars(with = "Option<Rfc3339>")]
    revoked_at: Option<String>,
    /// Its text, when it has just been made.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl<'a> TokenView<'a> {
    /// A token that has just been made, with its text.
    pub fn with_text(token: &'a AdminToken, text: String) -> Self {
        Self { token: Some(text), ..Self::from(token) }
    }
}

impl<'a> From<&'a AdminToken> for TokenView<'a> {
    fn from(token: &'a AdminToken) -> Self {
        Self {
            number: token.number,
            name: &token.name,
            role: token.role,
            made_at: rfc3339_text(token.made_at),
            expires_at: token.expires_at.map(rfc3339_text),
            revoked_at: token.revoked_at.map(rfc3339_text),
            token: None,
        }
    }
}
