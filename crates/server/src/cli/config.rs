//! `throng config`: the settings in effect, and whether they can be used.

use std::io::Write;

use anyhow::bail;
use clap::Subcommand;
use serde::Serialize;

use super::console::{Json, print, write_json};
use super::flags::Flags;
use super::table::{Side, Table};
use crate::config::{Config, Faults, Shown, show};

/// Subcommands of `throng config`.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Check that a server can start with the settings in effect here
    ///
    /// Opens nothing but the files that the settings name; `throng doctor` checks the database, broker and cache. Exits with 1
    /// if a setting can't be used, and reports every fault with its source.
    Check(Json),
    /// Print every setting in effect and its source
    ///
    /// Passwords and secrets are not shown. Exits with 1 if a setting can't be used.
    Show(Json),
}

/// Result of the check, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Checked<'a> {
    ok: bool,
    faults: &'a [String],
    warnings: &'a [String],
}

/// The settings, as `--json` prints them.
#[derive(Debug, Serialize)]
struct Settings<'a> {
    settings: &'a [Shown],
    faults: &'a [String],
    warnings: &'a [String],
}

pub(super) fn run(command: ConfigCommand, flags: &Flags) -> anyhow::Result<()> {
    let sources = flags.sources();
    let (faults, warnings) = match Config::read_to_serve(&sources) {
        Ok(config) => (Vec::new(), config.warnings),
        Err(Faults(faults)) => (faults, sources.warnings().to_vec()),
    };
    match command {
        ConfigCommand::Check(Json { json: true }) => {
            print(|out| write_json(out, &Checked { ok: faults.is_empty(), faults: &faults, warnings: &warnings }))?;
        }
        ConfigCommand::Check(Json { json: false }) => {
            print(|out| Ok(warnings.iter().try_for_each(|warning| writeln!(out, "warning: {warning}"))?))?;
        }
        ConfigCommand::Show(Json { json: true }) => {
            let settings = &show(&sources);
            print(|out| write_json(out, &Settings { settings, faults: &faults, warnings: &warnings }))?;
        }
        ConfigCommand::Show(Json { json: false }) => print(|out| write_settings(&show(&sources), out))?,
    }
    if !faults.is_empty() {
        bail!(Faults(faults));
    }
    if let ConfigCommand::Check(Json { json: false }) = command {
        print(|out| Ok(writeln!(out, "The configuration can be used.")?))?;
    }
    Ok(())
}

fn write_settings(settings: &[Shown], out: &mut dyn Write) -> anyhow::Result<()> {
    let mut table = Table::new([Side::Left, Side::Left, Side::Left]);
    table.row(["NAME", "VALUE", "FROM"].map(str::to_owned));
    for Shown { name, value, from } in settings {
        table.row([(*name).to_owned(), value.clone(), from.clone()]);
    }
    Ok(table.write(out, "")?)
}
