//! `throng schema`: the tables in which ballots are stored.

use std::io::Write;

use anyhow::bail;
use clap::Subcommand;
use serde::Serialize;
use throng_domain::store::MigrationState;

use super::console::{Json, print, write_json};
use super::database;
use super::flags::Flags;
use crate::app::create_demo_poll;
use crate::config::{AppEnv, Config};

/// Subcommands of `throng schema`.
#[derive(Debug, Subcommand)]
pub(super) enum SchemaCommand {
    /// Create the database with its tables; in dev also the demo poll
    ///
    /// An existing database is kept and migrated. `throng serve` does the same when it starts.
    Create(Json),
    /// Migrate an existing database
    ///
    /// `throng serve` does the same when it starts.
    Migrate(Json),
    /// List the migrations, and which of them the database has
    ///
    /// Ends with 0 if it has all of them; with 1 if one is missing or there is no database.
    Status(Json),
}

/// The outcome, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Changed<'a> {
    database: &'a str,
    applied: &'a [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    demo_poll: Option<String>,
}

/// The status, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Status<'a> {
    database: &'a str,
    current: bool,
    migrations: Vec<Step>,
}

#[derive(Debug, Serialize)]
struct Step {
    version: u32,
    name: &'static str,
    applied: bool,
}

pub(super) fn run(command: SchemaCommand, flags: &Flags) -> anyhow::Result<()> {
    let config = flags.config()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    print(|out| {
        runtime.block_on(async {
            match command {
                SchemaCommand::Create(Json { json }) => create(&config, json, out).await,
                SchemaCommand::Migrate(Json { json }) => migrate(&config, json, out).await,
                SchemaCommand::Status(Json { json }) => status(&config, json, out).await,
            }
        })
    })
}

async fn create(config: &Config, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let store = database::open_or_create(config).await?;
    let applied = store.migrate().await?;
    let demo_poll = match config.app_env {
        AppEnv::Dev => {
            let clock = database::clock(config, &*store).await?;
            let poll = create_demo_poll(&*store, &config.default_poll, &*clock).await?;
            poll.map(|poll| poll.slug.to_string())
        }
        AppEnv::Prod => None,
    };
    write_changed(config, &applied, demo_poll, json, out)
}

async fn migrate(config: &Config, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let applied = database::open_existing(config).await?.migrate().await?;
    write_changed(config, &applied, None, json, out)
}

fn write_changed(
    config: &Config,
    applied: &[&'static str],
    demo_poll: Option<String>,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let database = config.database.to_string();
    if json {
        return write_json(out, &Changed { database: &database, applied, demo_poll });
    }
    for name in applied {
        writeln!(out, "{database}: applied {name}")?;
    }
    if applied.is_empty() {
        writeln!(out, "{database}: the schema was up to date already")?;
    }
    if let Some(slug) = demo_poll {
        writeln!(out, "{database}: created the poll `{slug}`, which is open")?;
    }
    Ok(())
}

async fn status(config: &Config, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let states = database::open_existing(config).await?.migration_states().await?;
    let missing = states.iter().filter(|state| !state.applied).count();
    let database = config.database.to_string();
    if json {
        let migrations = states.iter().map(step).collect();
        write_json(out, &Status { database: &database, current: missing == 0, migrations })?;
    } else {
        for MigrationState { name, applied, .. } in &states {
            writeln!(out, "{}  {}", if *applied { "applied" } else { "missing" }, name)?;
        }
    }
    if missing > 0 {
        bail!("{database}: the schema isn't up to date; run `throng schema migrate`");
    }
    Ok(())
}

fn step(state: &MigrationState) -> Step {
    Step { version: state.version, name: state.name, applied: state.applied }
}
