//! The settings that have a flag.

use clap::Args;

use super::console::write_message;
use crate::config::{Config, Faults, Sources, Wait};

/// Settings that have a flag. Flags take precedence over the environment and `.env` files.
#[derive(Debug, Args)]
#[command(next_help_heading = "Settings")]
pub(super) struct Flags {
    /// Address and port to serve on
    #[arg(long, global = true, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Database of polls and ballots, such as sqlite://var/throng.db
    #[arg(long, global = true, value_name = "URL")]
    database_url: Option<String>,
    /// Environment: dev or prod
    #[arg(long, global = true, value_name = "ENV")]
    app_env: Option<String>,
    /// Poll of the compatibility routes and of /
    #[arg(long, global = true, value_name = "SLUG")]
    default_poll: Option<String>,
    /// How long to wait for an unavailable database or broker: seconds, or `forever`
    #[arg(long, global = true, value_name = "SECONDS")]
    wait: Option<String>,
}

impl Flags {
    /// The configuration of a command. Without `--wait` it doesn't wait for unavailable services: a user sees the error.
    pub(super) fn config(&self) -> Result<Config, Faults> {
        let config = Config::read(&self.sources())?;
        for warning in &config.warnings {
            write_message(&format!("warning: {warning}"));
        }
        Ok(Config { wait: if self.wait.is_some() { config.wait } else { Wait::NONE }, ..config })
    }

    /// The configuration of a worker.
    pub(super) fn config_to_work(&self) -> Result<Config, Faults> {
        Config::read(&self.sources())
    }

    pub(super) fn config_to_serve(&self) -> Result<Config, Faults> {
        Config::read_to_serve(&self.sources())
    }

    /// The settings given by flags.
    pub(super) fn given(&self) -> impl Iterator<Item = (&'static str, String)> {
        let flags = [
            ("LISTEN", &self.listen),
            ("DATABASE_URL", &self.database_url),
            ("APP_ENV", &self.app_env),
            ("DEFAULT_POLL", &self.default_poll),
            ("WAIT", &self.wait),
        ];
        flags.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)))
    }

    pub(super) fn sources(&self) -> Sources {
        Sources::read(self.given(), std::env::vars_os(), std::path::Path::new("."))
    }
}
