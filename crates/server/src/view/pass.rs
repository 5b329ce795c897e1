//! Passes for load runs in a rehearsal.

use schemars::JsonSchema;
use serde::Serialize;
use throng_domain::clock::Timestamp;

use super::time::{Rfc3339, rfc3339};

/// A pass in JSON.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "Pass")]
pub struct PassView<'a> {
    pass: &'a str,
    #[serde(serialize_with = "rfc3339")]
    #[schemars(with = "Rfc3339")]
    expires_at: Timestamp,
}

impl<'a> PassView<'a> {
    /// The pass with this text.
    pub fn new(pass: &'a str, expires_at: Timestamp) -> Self {
        Self { pass, expires_at }
    }
}
