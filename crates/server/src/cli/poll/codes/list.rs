//! `throng poll codes list`.

use std::io::Write;

use clap::Args;
use throng_domain::poll::Slug;
use throng_domain::store::CodeBatch;

use super::super::advice::advise;
use crate::cli::console::{Json, write_json};
use crate::cli::table::{Side, Table};
use crate::polls::PollService;
use crate::view::{BatchView, rfc3339_text};

/// List the batches of a poll's codes
///
/// The codes themselves aren't stored, so they can't be listed.
#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    /// Slug of the poll
    slug: Slug,
    #[command(flatten)]
    json: Json,
}

impl List {
    pub(super) async fn run(self, polls: PollService<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
        let batches = polls.batches(&self.slug).await.map_err(advise)?;
        if self.json.json {
            return write_json(out, &batches.iter().map(BatchView::from).collect::<Vec<_>>());
        }
        if batches.is_empty() {
            let slug = &self.slug;
            return Ok(writeln!(
                out,
                "There are no codes yet. To make some: throng poll codes create {slug} --count 100 --output codes.csv"
            )?);
        }
        let mut table = Table::new([Side::Left, Side::Right, Side::Left, Side::Left]);
        table.row(["BATCH", "CODES", "MADE", "STATE"].map(str::to_owned));
        for batch in &batches {
            table.row([
                batch.name.to_string(),
                batch.codes.to_string(),
                rfc3339_text(batch.made_at),
                state_text(batch),
            ]);
        }
        Ok(table.write(out, "")?)
    }
}

fn state_text(batch: &CodeBatch) -> String {
    match (batch.revoked_at, batch.exported_at) {
        (Some(at), _) => format!("revoked at {}", rfc3339_text(at)),
        (None, Some(_)) => "valid".to_owned(),
        (None, None) => "incomplete: it is being made, or that was interrupted; then revoke it".to_owned(),
    }
}
