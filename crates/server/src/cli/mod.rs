//! The command line.
//!
//! A command prints what it has to say on standard output and nothing else there; faults and progress go to standard
//! error. It ends with 0 if it did what it was asked, 1 if it couldn't, 2 if it wasn't understood.

mod backup;
mod bench;
mod config;
mod counted;
mod database;
mod dead;
mod doctor;
mod healthcheck;
mod log;
mod manual;
mod moment;
#[cfg(feature = "otlp")]
mod otlp;
mod output;
mod poll;
mod schema;
mod serve;
mod table;
mod worker;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use serde::Serialize;

use crate::app::with_causes;
use crate::config::{Config, Faults, SETTINGS, Sources, Wait, flag_of};

/// A poll server for crowds that all vote at once.
#[derive(Debug, Parser)]
#[command(name = "throng", version, after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{}", settings_help()))]
struct Cli {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Settings that a flag can give; the environment and `.env` files come after.
#[derive(Debug, Args)]
#[command(next_help_heading = "Settings")]
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
    /// How long to wait for a database or broker that is away: seconds, or `forever`
    #[arg(long, global = true, value_name = "SECONDS")]
    wait: Option<String>,
}

/// How long a command that failed waits until somebody has read why.
const COMPLAINT_MAX: Duration = Duration::from_secs(1);

/// How a command prints.
#[derive(Clone, Copy, Debug, Args)]
struct Json {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve polls over HTTP (the default)
    Serve,
    /// Record the ballots that web nodes have put on the queue
    ///
    /// Takes them from QUEUE_URL and records them at DATABASE_URL. Any number of workers may do so at once. Health and
    /// metrics are at WORKER_LISTEN.
    Worker(worker::Arguments),
    /// Make, open, close and count polls; also while a server runs
    #[command(subcommand)]
    Poll(poll::PollCommand),
    /// Create the database, or bring it up to date
    #[command(subcommand)]
    Schema(schema::SchemaCommand),
    /// Copy the SQLite file, also while a server writes to it, and check the copy
    ///
    /// The copy holds all that was recorded up to one moment. It is checked by SQLite, and each poll's tallies are compared
    /// with its ballots, before it appears under its name; only its owner may read it. While ballots come, this uses a quarter
    /// of one processor.
    Backup(backup::Backup),
    /// Put a copy of the SQLite file in its place, after checking it
    ///
    /// Stop the server first. The file that is there is kept under another name, together with its log.
    Restore(backup::Restore),
    /// The messages that no worker could read
    #[command(subcommand)]
    Dead(dead::DeadCommand),
    /// Check that all this deployment needs is there, safe and up to date
    ///
    /// The database, its schema, tables, clock and durability; the broker and its queues, which it declares as a server does;
    /// the cache: each with the settings that a server started here would have. Exits with 1 if it finds a fault, and says what
    /// to do.
    Doctor(Json),
    /// The settings in effect, and whether they can be used
    #[command(subcommand)]
    Config(config::ConfigCommand),
    Healthcheck(healthcheck::Healthcheck),
    /// Print a shell's completions
    Completions(manual::Completions),
    /// Print a manual page
    Man(manual::Man),
    /// Vote against a running server, a crowd at once or at a constant rate, and check its count
    ///
    /// A vote is POST /api/submit with one option; what the server counted is read from GET /api/result before and
    /// after, so nobody else may vote meanwhile. Exits with 1 if a vote failed or the count isn't what was acknowledged.
    Bench(bench::Arguments),
}

/// Runs the command line.
pub fn run() -> ExitCode {
    let given = command_line().get_matches();
    let Cli { flags, command } = Cli::from_arg_matches(&given).unwrap_or_else(|error| error.exit());
    let name = given.subcommand_name().unwrap_or_default();
    if let Some((flag, why)) =
        flags.given().find_map(|(setting, _)| Some((flag_of(setting), why_ignored(name, setting)?)))
    {
        complain(&anyhow::anyhow!("{flag} has no meaning here: {why}"));
        return ExitCode::from(2);
    }
    let command = command.unwrap_or(Command::Serve);
    let result = match command {
        Command::Serve => serve::run(&flags),
        Command::Worker(arguments) => worker::run(&arguments, &flags),
        Command::Poll(command) => poll::run(command, &flags),
        Command::Schema(command) => schema::run(command, &flags),
        Command::Backup(command) => command.run(&flags),
        Command::Restore(command) => command.run(&flags),
        Command::Dead(command) => dead::run(command, &flags),
        Command::Doctor(json) => doctor::run(json, &flags),
        Command::Config(command) => config::run(command, &flags),
        Command::Healthcheck(command) => command.run(&flags),
        Command::Completions(command) => print(|out| command.run(out)),
        Command::Man(command) => print(|out| command.run(out)),
        Command::Bench(arguments) => bench::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if reader_is_gone(&error) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// The command line, as its help and its manual show it: each command without the flags that mean nothing to it.
fn command_line() -> clap::Command {
    let throng = Cli::command();
    let flags: Vec<_> = throng.get_arguments().filter(|flag| flag.is_global_set()).cloned().collect();
    throng.mut_subcommands(|command| {
        let name = command.get_name().to_owned();
        let ignored = |flag: &&clap::Arg| why_ignored(&name, &flag.get_id().as_str().to_uppercase()).is_some();
        command.args(flags.iter().filter(ignored).map(|flag| flag.clone().hide(true)))
    })
}

/// Why a setting means nothing to a command, if it means nothing.
fn why_ignored(command: &str, setting: &str) -> Option<&'static str> {
    match (command, setting) {
        ("bench", _) => Some("--url says which server is voted at"),
        ("worker", "LISTEN") => Some("a worker's health and metrics are at WORKER_LISTEN"),
        ("poll" | "schema" | "dead" | "backup" | "restore", "LISTEN") => Some("this command serves nothing"),
        ("poll" | "schema" | "dead" | "worker" | "backup" | "restore", "DEFAULT_POLL") => {
            Some("only a server has a default poll")
        }
        ("dead", "DATABASE_URL") => Some("these messages are at QUEUE_URL"),
        ("doctor", "WAIT") => Some("it says what is away"),
        ("healthcheck", "DATABASE_URL" | "DEFAULT_POLL" | "WAIT") => Some("the server that is asked has its own"),
        ("completions" | "man", _) => Some("this command reads no settings"),
        _ => None,
    }
}

/// Has `write` write to standard output, and sees that all of it gets there.
fn print(write: impl FnOnce(&mut dyn io::Write) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let written = write(&mut out);
    // What was written before a fault is part of what the command has to say.
    let flushed = out.flush();
    written.and(flushed.map_err(Into::into))
}

/// Writes `value` as one line of JSON.
fn write_json(out: &mut dyn io::Write, value: &impl Serialize) -> anyhow::Result<()> {
    Ok(writeln!(out, "{}", serde_json::to_string(value)?)?)
}

/// Whether a command failed only because nobody reads its output any more, as in `throng poll export demo | head`.
fn reader_is_gone(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Says why a command failed.
fn complain(error: &anyhow::Error) {
    tell(&with_causes(error));
}

/// Says on standard error what a command's output is no place for. It goes on even if nobody reads that.
fn tell(words: &str) {
    let words = words.to_owned();
    #[expect(clippy::print_stderr, reason = "this is where a command speaks to whoever typed it")]
    log::within(COMPLAINT_MAX, move || eprintln!("throng: {words}"));
}

impl Flags {
    /// The configuration of a command, which waits for nothing unless its flag says so: who typed it is there to see.
    fn config(&self) -> Result<Config, Faults> {
        let config = Config::read(&self.sources())?;
        for warning in &config.warnings {
            tell(&format!("warning: {warning}"));
        }
        Ok(Config { wait: if self.wait.is_some() { config.wait } else { Wait::NONE }, ..config })
    }

    /// The configuration of a worker.
    fn config_to_work(&self) -> Result<Config, Faults> {
        Config::read(&self.sources())
    }

    fn config_to_serve(&self) -> Result<Config, Faults> {
        Config::read_to_serve(&self.sources())
    }

    /// The settings that flags gave.
    fn given(&self) -> impl Iterator<Item = (&'static str, String)> {
        let flags = [
            ("LISTEN", &self.listen),
            ("DATABASE_URL", &self.database_url),
            ("APP_ENV", &self.app_env),
            ("DEFAULT_POLL", &self.default_poll),
            ("WAIT", &self.wait),
        ];
        flags.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)))
    }

    fn sources(&self) -> Sources {
        Sources::read(self.given(), std::env::vars_os(), std::path::Path::new("."))
    }
}

const EXAMPLES: &str = "\
Examples:
  throng                                  serve; in dev the first start makes a demo poll
  throng poll create song --title 'Best song?' --option Alpha --option Beta --opens-at now
  throng poll list                        what there is, and how many voted
  throng poll results song --json         the result, as the API gives it
  throng poll close song                  now, or as soon as every server has heard of it
  throng poll export song --output song.csv
  throng backup votes.db                  a copy of the SQLite file, while it is served
  throng config show                      every setting in effect, and where it comes from
  throng doctor                           is all there that this deployment needs?
  throng help poll create                 more on any command";

fn settings_help() -> String {
    let mut help = String::from(
        "Settings, from flags, the environment, .env.$APP_ENV.local, .env.$APP_ENV, .env.local or .env (the first wins):",
    );
    for setting in SETTINGS {
        help.push_str(&format!("\n  {:<22} {} [default: {}]", setting.name, setting.meaning, setting.default));
    }
    let in_files = SETTINGS.iter().filter(|setting| setting.may_be_in_file).map(|setting| setting.name);
    let in_files = in_files.collect::<Vec<_>>().join(", ");
    help.push_str(&format!(
        "\n{in_files} may each be in a file of its own, named by the same name with _FILE after it, such as \
         DATABASE_URL_FILE=/run/secrets/database_url."
    ));
    help
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of a line as a shell splits it, with `'` for quotes.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
        for letter in line.chars() {
            match letter {
                '\'' => {
                    quoted = !quoted;
                    word.get_or_insert_default();
                }
                ' ' if !quoted => words.extend(word.take()),
                letter => word.get_or_insert_default().push(letter),
            }
        }
        words.extend(word);
        words
    }

    fn examples(command: &clap::Command, found: &mut Vec<String>) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default().replace("\\\n", " ");
        // What an example does is written behind it, after a gap.
        let lines = help.lines().map(str::trim).filter(|line| line.starts_with("throng"));
        found.extend(lines.map(|line| match line.find("   ") {
            Some(gap) if !line[gap..].trim_start().starts_with('-') => line[..gap].to_owned(),
            Some(_) | None => line.to_owned(),
        }));
        command.get_subcommands().for_each(|command| examples(command, found));
    }

    #[test]
    fn every_example_in_the_help_is_understood() {
        let mut found = Vec::new();
        examples(&command_line(), &mut found);
        assert!(found.len() > 15, "{found:#?}");
        for example in found {
            // What comes behind these is the shell's.
            let own = example.split(['>', '|']).next().unwrap_or_default();
            let given = command_line().try_get_matches_from(words(own));
            assert!(given.is_ok() || own.starts_with("throng help"), "{example}: {}", given.unwrap_err());
        }
    }

    #[test]
    fn the_commands_are_well_formed() {
        command_line().debug_assert();
    }
}
