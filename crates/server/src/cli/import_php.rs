//! `throng import-php`.

use std::io::Write;

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;
use throng_backends::store::{DatabaseUrl, php_votes};
use throng_domain::poll::{OptionId, Slug};

use super::author::AuthorFlags;
use super::console::{Json, print, write_json};
use super::database;
use super::flags::Flags;
use super::poll::advise;
use super::table::{Side, Table};
use crate::polls::{Imported, PollService};

/// Take over the votes of the PHP system that Throng replaces
///
/// Reads the table `poll_entry` of its database, and changes nothing there. Without --apply it only shows the counts. They are added to
/// the poll's own, without voters, since the table doesn't say which options were chosen together: percentages become shares of
/// the selections. Run it again and the counts are replaced, so votes that were counted meanwhile are taken over once.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ImportPhp {
    /// Its database, as DATABASE_URL in its .env: mysql://…, postgresql://… or sqlite://…
    #[arg(value_name = "URL", env = "PHP_DATABASE_URL", hide_env_values = true)]
    from: String,
    /// Poll that takes the votes over [default: the default poll]
    #[arg(long, value_name = "SLUG")]
    poll: Option<Slug>,
    /// Take them over, instead of only showing it
    #[arg(long)]
    apply: bool,
    #[command(flatten)]
    author: AuthorFlags,
    #[command(flatten)]
    json: Json,
}

const EXAMPLES: &str = "\
Examples:
  throng import-php 'mysql://app:secret@127.0.0.1:3306/poll?serverVersion=5.7'
  throng import-php sqlite:///srv/poll/var/data.db --poll demo --apply --reason 'the switch-over'";

#[derive(Serialize)]
struct View<'a> {
    poll: &'a str,
    applied: bool,
    options: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    id: OptionId,
    label: &'a str,
    before: u64,
    after: u64,
}

impl ImportPhp {
    pub(super) fn run(self, flags: &Flags) -> anyhow::Result<()> {
        let config = flags.config()?;
        let from = php_votes::parse_url(&self.from).map_err(anyhow::Error::msg).context("the URL can't be used")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        print(|out| {
            runtime.block_on(async {
                let counts = read(&from).await?;
                let database = database::open_current(&config).await?;
                let clock = database::clock(&config, &*database).await?;
                let author = self.author.author();
                let polls = PollService::new(&*database, &*clock, &config, &author);
                let slug = self.poll.as_ref().unwrap_or(&config.default_poll);
                let imported = if self.apply {
                    polls.import(slug, &counts).await
                } else {
                    polls.preview_import(slug, &counts).await
                };
                self.write(&imported.map_err(advise)?, out)
            })
        })
    }

    fn write(&self, imported: &Imported, out: &mut dyn Write) -> anyhow::Result<()> {
        let labels = imported.poll.options.iter().map(|option| option.label.as_str());
        let rows: Vec<_> = labels
            .zip(&imported.counts)
            .map(|(label, (id, before, after))| Row { id: *id, label, before: *before, after: *after })
            .collect();
        if self.json.json {
            let view = View { poll: imported.poll.slug.as_str(), applied: self.apply, options: rows };
            return write_json(out, &view);
        }
        let mut table = Table::new([Side::Right, Side::Left, Side::Right, Side::Right]);
        table.row(["ID", "OPTION", "FROM PHP BEFORE", "NOW"].map(str::to_owned));
        for row in &rows {
            table.row([row.id.to_string(), row.label.to_owned(), row.before.to_string(), row.after.to_string()]);
        }
        table.write(out, "")?;
        match (imported.changes_any(), self.apply) {
            (false, _) => writeln!(out, "\nThe poll `{}` has these votes already.", imported.poll.slug)?,
            (true, true) => writeln!(out, "\nThe poll `{}` has these votes now.", imported.poll.slug)?,
            (true, false) => writeln!(
                out,
                "\nNothing was changed. To take them over, add: --apply. Percentages are shares of the selections then."
            )?,
        }
        Ok(())
    }
}

/// The votes, by option.
async fn read(from: &DatabaseUrl) -> anyhow::Result<Vec<(OptionId, u64)>> {
    let votes = php_votes::read(from).await.with_context(|| format!("can't read the votes of {from}"))?;
    if votes.iter().all(|(_, count)| *count == 0) {
        bail!("the table `poll_entry` of {from} has no votes");
    }
    let (mut counts, mut faulty) = (Vec::new(), Vec::new());
    for (label, count) in votes {
        match label.and_then(|label| u16::try_from(label).ok()).filter(|label| *label > 0) {
            Some(label) => counts.push((OptionId(label), count)),
            None => {
                faulty.push(format!("{} ({count})", label.map_or_else(|| "NULL".to_owned(), |label| label.to_string())))
            }
        }
    }
    if !faulty.is_empty() {
        bail!(
            "these labels in `poll_entry` are no options (and their votes): {}; correct or delete them there first",
            faulty.join(", ")
        );
    }
    Ok(counts)
}
