//! `throng poll codes revoke`.

use std::io::Write;

use clap::Args;
use throng_domain::code::BatchName;
use throng_domain::poll::Slug;

use super::super::advice::advise;
use crate::cli::console::{Json, write_json};
use crate::cli::counted::counted;
use crate::polls::PollService;
use crate::view::BatchView;

/// Revoke a batch of codes
///
/// From now on no ballot is accepted with one of its codes. Ballots that were cast with them stay. It can't be undone.
#[derive(Debug, Args)]
pub(in crate::cli) struct Revoke {
    /// Slug of the poll
    slug: Slug,
    /// Name of the batch
    batch: BatchName,
    #[command(flatten)]
    json: Json,
}

impl Revoke {
    pub(super) async fn run(self, polls: PollService<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
        let batch = polls.revoke_batch(&self.slug, &self.batch).await.map_err(advise)?;
        if self.json.json {
            return write_json(out, &BatchView::from(&batch));
        }
        Ok(writeln!(
            out,
            "The batch `{}` of `{}`, with {}, is revoked. Ballots that were cast with them stay.",
            batch.name,
            self.slug,
            counted(batch.codes, "code")
        )?)
    }
}
