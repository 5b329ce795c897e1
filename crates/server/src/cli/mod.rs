//! The command line.

mod serve;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, Faults, SETTINGS, Sources};

/// A poll server for crowds that all vote at once.
#[derive(Debug, Parser)]
#[command(name = "throng", version, after_help = settings_help())]
struct Cli {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Settings that a flag can give; the environment and `.env` files come after.
#[derive(Debug, Args)]
struct Flags {
    /// Address and port to serve on
    #[arg(long, global = true, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Where ballots are kept, such as sqlite://var/throng.db
    #[arg(long, global = true, value_name = "URL")]
    database_url: Option<String>,
    /// dev or prod
    #[arg(long, global = true, value_name = "ENV")]
    app_env: Option<String>,
    /// The poll of the original routes and of /
    #[arg(long, global = true, value_name = "SLUG")]
    default_poll: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve polls over HTTP (the default)
    Serve,
}

/// Runs the command line.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => serve::run(&cli.flags),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "this is where a command says why it failed")]
fn complain(error: &anyhow::Error) {
    eprintln!("throng: {error:#}");
}

impl Flags {
    fn config(&self) -> Result<Config, Faults> {
        let given = [
            ("LISTEN", &self.listen),
            ("DATABASE_URL", &self.database_url),
            ("APP_ENV", &self.app_env),
            ("DEFAULT_POLL", &self.default_poll),
        ];
        let flags = given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
        // A value that isn't text can't be a setting of ours.
        let environment = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        Config::read(&Sources::read(flags, environment, std::path::Path::new("."))?)
    }
}

fn settings_help() -> String {
    let mut help = String::from("Settings, from the environment or an .env file (flags come first):\n");
    for setting in SETTINGS {
        help.push_str(&format!("  {:<18} {} [default: {}]\n", setting.name, setting.meaning, setting.default));
    }
    help
}
