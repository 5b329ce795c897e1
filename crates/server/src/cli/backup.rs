//! `throng backup` and `throng restore`: copying and restoring the database file.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;
use throng_backends::store::{DatabaseUrl, sqlite};

use super::console::{Json, print, write_json};
use super::counted::counted;
use super::flags::Flags;
use super::output::Output;

/// Arguments of `throng backup`.
#[derive(Debug, Args)]
pub(super) struct Backup {
    /// Path of the copy
    #[arg(value_name = "FILE")]
    to: PathBuf,
    /// Replace an existing file
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    json: Json,
}

/// Arguments of `throng restore`.
#[derive(Debug, Args)]
pub(super) struct Restore {
    /// Copy to restore
    #[arg(value_name = "FILE")]
    from: PathBuf,
    #[command(flatten)]
    json: Json,
}

/// The outcome, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Done<'a> {
    database: String,
    file: &'a Path,
    polls: usize,
    ballots: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<PathBuf>,
}

impl Backup {
    pub(super) fn run(self, flags: &Flags) -> anyhow::Result<()> {
        let config = flags.config()?;
        let to = self.to.as_path();
        let database = file(&config.database, "make a copy")?;
        if !database.exists() {
            bail!("there is no database {}; set DATABASE_URL", config.database);
        }
        let copy = || -> anyhow::Result<sqlite::Checked> {
            sqlite::reject_leftover_files(to)?;
            let output = Output::create(to, self.force, &config)?;
            let checked = sqlite::copy(database, output.partial.path())?;
            output.finish()?;
            Ok(checked)
        };
        let sqlite::Checked { polls, ballots } =
            copy().with_context(|| format!("no backup was made at {}", to.display()))?;
        print(|out| {
            if self.json.json {
                return write_json(
                    out,
                    &Done { database: config.database.to_string(), file: to, polls, ballots, kept: None },
                );
            }
            Ok(writeln!(
                out,
                "{}: {} in {}, from {}; checked and recounted",
                to.display(),
                counted(ballots, "ballot"),
                counted(polls, "poll"),
                config.database
            )?)
        })
    }
}

impl Restore {
    pub(super) fn run(self, flags: &Flags) -> anyhow::Result<()> {
        let config = flags.config()?;
        let from = self.from.as_path();
        let database = file(&config.database, "restore a copy")?;
        let restored = sqlite::restore(database, from)
            .with_context(|| format!("{} was not restored from {}", config.database, from.display()))?;
        let sqlite::Checked { polls, ballots } = restored.checked;
        print(|out| {
            if self.json.json {
                let kept = restored.kept;
                return write_json(
                    out,
                    &Done { database: config.database.to_string(), file: from, polls, ballots, kept },
                );
            }
            let (ballots, polls) = (counted(ballots, "ballot"), counted(polls, "poll"));
            writeln!(out, "{}: {ballots} in {polls}; checked and recounted", config.database)?;
            if let Some(kept) = restored.kept {
                writeln!(out, "What was there before is kept at {}.", kept.display())?;
            }
            Ok(())
        })
    }
}

/// The database's file; for a database on a server, an error that names the server's own tools.
fn file<'a>(database: &'a DatabaseUrl, what: &str) -> anyhow::Result<&'a Path> {
    match database {
        DatabaseUrl::Sqlite(path) => Ok(path),
        DatabaseUrl::MySql(_) => bail!(
            "{database} is on a server; to {what}, use the server's own tools: `mariadb-dump --single-transaction` or \
             `mysqldump --single-transaction`, and `mariadb` or `mysql` to read the dump"
        ),
        DatabaseUrl::Postgres(_) => {
            bail!(
                "{database} is on a server; to {what}, use the server's own tools: `pg_dump`, and `psql` or `pg_restore`"
            )
        }
    }
}
