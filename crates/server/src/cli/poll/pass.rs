//! `throng poll pass`.

use std::io::Write;

use clap::Args;
use throng_domain::poll::Slug;

use super::advice::advise;
use crate::cli::console::{Json, write_json};
use crate::config::Config;
use crate::polls::{PollService, TimeArg};
use crate::view::PassView;

/// Make a pass for load runs in a rehearsal, and print it
///
/// Who has it may vote in this poll, and see its result, until it expires; in no other one. It is derived from APP_SECRET, so the
/// servers have to have the same.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Pass {
    /// Slug of the rehearsal
    slug: Slug,
    /// When it expires: a time, or a delay from now; in 7 days at the latest
    #[arg(long, value_name = "WHEN", default_value = "+1h", allow_hyphen_values = true)]
    expires_at: TimeArg,
    #[command(flatten)]
    json: Json,
}

const EXAMPLES: &str = "\
Examples:
  throng poll pass song-test > pass
  throng bench --rehearse song-test --pass-file pass --url http://vote.example --clients 5000";

impl Pass {
    pub(super) async fn run(self, polls: PollService<'_>, config: &Config, out: &mut dyn Write) -> anyhow::Result<()> {
        let pass = polls.pass(&self.slug, self.expires_at, &config.rehearsal_key()?).await.map_err(advise)?;
        if self.json.json {
            return write_json(out, &PassView::new(&pass.text, pass.expires_at));
        }
        Ok(writeln!(out, "{}", pass.text)?)
    }
}
