//! Batches of invitation codes.

use serde::Serialize;
use throng_domain::code::BatchName;
use throng_domain::store::CodeBatch;

use super::time::rfc3339_text;

/// A batch of codes in JSON.
#[derive(Debug, Serialize)]
pub struct BatchView<'a> {
    batch: &'a BatchName,
    codes: u64,
    made_at: String,
    exported_at: Option<String>,
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
