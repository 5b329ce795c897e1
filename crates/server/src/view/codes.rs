//! Batches of invitation codes.

use schemars::JsonSchema;
use serde::Serialize;
use throng_domain::code::BatchName;
use throng_domain::store::CodeBatch;

use super::time::{Rfc3339, rfc3339_text};

/// A batch of codes in JSON.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "CodeBatch")]
pub struct BatchView<'a> {
    batch: &'a BatchName,
    codes: u64,
    #[schemars(with = "Rfc3339")]
    made_at: String,
    #[schemars(with = "Option<Rfc3339>")]
    exported_at: Option<String>,
    #[schemars(with = "Option<Rfc3339>")]
    revoked_at: Option<String>,
}

impl<'a> From<&'a CodeBatch> for BatchView<'a> {
    fn from(batch: &'a CodeBatch) -> Self {
        Self {
            batch: &batch.name,
            codes: batch.codes,
            made_at: rfc3339_text(batch.made_at),
            exported_at: batch.exported_at.map(rfc3339_text),
            revoked_at: batch.revoked_at.map(rfc3339_text),
        }
    }
}
