//! Changes that were made.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use throng_domain::audit::{Action, AuditEntry};

use super::time::{Rfc3339, rfc3339_text};

/// A change in JSON.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "Change")]
pub struct AuditView<'a> {
    number: u64,
    #[schemars(with = "Rfc3339")]
    at: String,
    author: &'a str,
    reason: &'a str,
    action: Action,
    poll: Option<&'a str>,
    /// The fields that were changed, each with its value before and after.
    changes: &'a Value,
}

impl<'a> From<&'a AuditEntry> for AuditView<'a> {
    fn from(entry: &'a AuditEntry) -> Self {
        let AuditEntry { number, at, author, reason, action, poll, changes } = entry;
        let poll = poll.as_ref().map(|poll| poll.as_str());
        Self { number: *number, at: rfc3339_text(*at), author, reason, action: *action, poll, changes }
    }
}
